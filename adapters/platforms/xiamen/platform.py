"""Xiamen's wire as the reference platform speaks it.

No source shows the real one; every detail is a choice, made to differ from the
others': GET with basic authentication, results as words, times in milliseconds since
1970, an opaque identifier for each person::

    GET /xmjkm/v1/person?idType=01&idNo=…
    GET /xmjkm/v1/qr?content=…
    Authorization: Basic …

    {"status":"ok","codes":[{"personId":"…","idNo":"3502**********1234","color":"橙码",
      "cityCode":"350200","reason":"…","assessedAt":1590951600000,
      "updatedAt":1590951600000,"appliedBy":null}]}
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm
from adapters.platforms.xiamen.table import CITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

_RESIDENT_CARD: Final = "01"


@dataclass(frozen=True, slots=True)
class XiamenCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    user: str = "synthetic-xmjkm"
    password: str = "synthetic-xmjkm-password"  # noqa: S105 - a stage prop


class XiamenPlatform(CityPlatform[XiamenCredentials]):
    """The reference platform of Xiamen."""

    table = CITY
    credentials_type = XiamenCredentials
    times = TimeForm.EPOCH_MS
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "ok",
        Result.BAD_REQUEST: "bad-request",
        Result.BAD_CREDENTIAL: "unauthorized",
        Result.NOT_FOUND: "not-found",
        Result.NOT_APPLIED: "not-applied",
        Result.QR_EXPIRED: "qr-expired",
        Result.QR_NOT_OURS: "qr-foreign",
        Result.MUST_UPDATE: "update-form",
        Result.QUOTA: "quota",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """A query by document and one by QR text."""
        return [
            web.get("/xmjkm/v1/person", self._person),
            web.get("/xmjkm/v1/qr", self._qr),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse who does not know name and password."""
        pair = f"{self.credentials.user}:{self.credentials.password}".encode()
        wanted = b"Basic " + base64.b64encode(pair)
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, wanted):
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    async def _person(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        number = request.query.get("idNo", "")
        if request.query.get("idType") != _RESIDENT_CARD or not number:
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(number))

    async def _qr(self, request: web.Request) -> web.Response:
        return self.admit(request) or self._reply(self.ask_qr(request.query.get("content", "")))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "personId": self.population.mark(f"person/{person.index}", 8).hex(),
            "idNo": self.masked(person),
            "color": record.state,
            "cityCode": record.division,
            "reason": record.reason,
            "assessedAt": self.time(record.assessed_at),
            "updatedAt": self.time(record.updated_at),
            "appliedBy": self.echo(record.proxy) or None,
        }

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        codes = [self._record(*held) for held in answer.records]
        return json_response({"status": self.code(answer.result), "codes": codes}, status)
