"""The market's wire as the reference platform speaks it.

No source shows the real one; every detail is a choice: one GET with a key in a header,
results and states as words, times with an offset::

    GET /market/api/visitor?by=id&value=…       or by=qr
    X-Market-Key: …

    {"result":"found","visitor":{"visitorId":"…","role":"采购商","entry":"准予入场",
      "checkedAt":"2020-06-01T03:00:12+08:00","note":"","boothsScanned":3,
      "declaredBy":null}}
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm
from adapters.platforms.yiwu.table import CITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

_SHARE_BUYERS: Final = 0.6  # a choice
_MOST_BOOTHS: Final = 12  # scanned in a day; a choice


@dataclass(frozen=True, slots=True)
class YiwuCredentials:
    """What the one client of the market was given; synthetic unless you change it."""

    market_key: str = "synthetic-market-key"


class YiwuPlatform(CityPlatform[YiwuCredentials]):
    """The reference platform of the market."""

    table = CITY
    credentials_type = YiwuCredentials
    times = TimeForm.ISO
    several_records = False
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "found",
        Result.BAD_REQUEST: "bad-request",
        Result.BAD_CREDENTIAL: "no-key",
        Result.NOT_FOUND: "unknown",
        Result.NOT_APPLIED: "not-registered",
        Result.QR_EXPIRED: "code-replaced",
        Result.QR_NOT_OURS: "not-a-market-code",
        Result.MUST_UPDATE: "incomplete",
        Result.QUOTA: "too-many",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One query."""
        return [web.get("/market/api/visitor", self._visitor)]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse who does not know the key."""
        given = request.headers.get("X-Market-Key", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.market_key.encode()):
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    async def _visitor(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        by, value = request.query.get("by"), request.query.get("value", "")
        if by not in ("id", "qr"):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_qr(value) if by == "qr" else self.ask_number(value))

    async def _catalogue(self, request: web.Request) -> web.Response:
        """An empty page: the market keeps people out, and knows nobody red or yellow."""
        taken = self.clock().astimezone(UTC).isoformat(timespec="seconds")
        page = {"city": self.city, "takenAt": taken.replace("+00:00", "Z"), "next": None}
        return self.admit(request) or json_response({**page, "rows": []})

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        is_buyer = self.population.draw(person.index, "role") < _SHARE_BUYERS
        scanned = int(self.population.draw(person.index, "booths") * _MOST_BOOTHS)
        return {
            "visitorId": self.population.mark(f"visitor/{person.index}", 8).hex(),
            "role": "采购商" if is_buyer else "经营户",
            "entry": record.state,
            "checkedAt": self.time(record.updated_at),
            "note": record.reason,
            "boothsScanned": scanned if is_buyer else 0,
            "declaredBy": self.echo(record.proxy) or None,
        }

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        held = answer.only
        visitor = None if held is None else self._record(*held)
        return json_response({"result": self.code(answer.result), "visitor": visitor}, status)
