"""The travel card's wire as the reference platform speaks it.

No source shows a wire for verifying; every detail is a choice: JSON posted with a key
in a header, one card behind one QR text, cities by their prefix of GB/T 2260::

    POST /xck/openapi/card/verify    {"qrcode":"https://xck.example/card/…"}
    X-Access-Key: …

    {"code":"200","message":"OK","data":{"cards":[{"phone":"100****0001",
      "cardColor":"绿色卡","updateTime":"2022-07-01 03:00:12",
      "countedUntil":"2022-07-01 00:00:00","days":14,
      "cities":[{"cityCode":"3301","marked":"0"},{"cityCode":"6101","marked":"1"}],
      "markStyle":"*","abroad":["某国"]}]}}

The previous day is the newest that is counted, so ``countedUntil`` is the midnight
before the card was last counted. ``marked`` is 0 throughout in versions without a mark.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.drawing import midnight_after
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm
from adapters.platforms.travelcard.table import (
    CITY,
    ELSEWHERE,
    MARKED,
    MARKS,
    WINDOW_DAYS,
    YELLOW,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

_DAY: Final = timedelta(days=1)
_MUNICIPALITIES: Final = ("11", "12", "31", "50")
_SHARE_TRAVELLERS: Final = 0.15  # a choice


@dataclass(frozen=True, slots=True)
class TravelcardCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    access_key: str = "synthetic-xck-key"


class TravelcardPlatform(CityPlatform[TravelcardCredentials]):
    """The reference platform of the travel card."""

    table = CITY
    credentials_type = TravelcardCredentials
    times = TimeForm.LOCAL
    several_records = False
    several_people = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "200",
        Result.BAD_REQUEST: "4000",
        Result.BAD_CREDENTIAL: "4010",
        Result.NOT_FOUND: "4004",
        Result.QR_EXPIRED: "4007",
        Result.QR_NOT_OURS: "4009",
        Result.MUST_UPDATE: "4011",
        Result.QUOTA: "5003",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One verification, by QR text alone."""
        return [web.post("/xck/openapi/card/verify", self._verify)]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse who does not know the key."""
        given = request.headers.get("X-Access-Key", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.access_key.encode()):
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    async def _verify(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        text = (await read_object(request)).get("qrcode")
        found = self.ask_qr(text) if isinstance(text, str) else Answer(Result.BAD_REQUEST)
        return self._reply(found)

    async def _catalogue(self, request: web.Request) -> web.Response:
        """An empty page: nobody is red or yellow by a card, and it knows no numbers."""
        taken = self.clock().astimezone(UTC).isoformat(timespec="seconds")
        page = {"city": self.city, "takenAt": taken.replace("+00:00", "Z"), "next": None}
        return self.admit(request) or json_response({**page, "rows": []})

    def _cities(self, person: Person, record: Record) -> tuple[str, ...]:
        """Cities with a stay of more than four hours, home first."""
        told: tuple[str, ...] | None = record.extra.get("cities")
        if told is not None:
            return told
        home = person.county[:2] if person.county[:2] in _MUNICIPALITIES else person.county[:4]
        if self.population.draw(person.index, "travels") >= _SHARE_TRAVELLERS:
            return (home,)
        pick = int(self.population.draw(person.index, "where") * len(ELSEWHERE))
        return tuple(dict.fromkeys((home, ELSEWHERE[pick], ELSEWHERE[pick - 1])))

    def _card(self, person: Person, record: Record) -> dict[str, object]:
        version = self.table.version_at(self.clock()).id
        return {
            "phone": person.phone[:3] + "****" + person.phone[-4:],
            "cardColor": record.state,
            "updateTime": self.time(record.updated_at),
            "countedUntil": self.time(midnight_after(record.updated_at) - _DAY),
            "days": record.extra.get("days") or WINDOW_DAYS[version],
            "cities": [
                {"cityCode": city, "marked": str(int(version in MARKS and city in MARKED))}
                for city in self._cities(person, record)
            ],
            "markStyle": MARKS.get(version, ""),
            "abroad": ["某国"] if record.state == YELLOW else [],
        }

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        is_ok = answer.result is Result.OK
        cards = [self._card(*held) for held in answer.records]
        return json_response(
            {
                "code": self.code(answer.result),
                "message": "OK" if is_ok else "FAIL",
                "data": {"cards": cards} if is_ok else None,
            },
            status,
        )
