"""Xi'an's wire as the reference platform speaks it.

Known is that a phone fetches its QR text by a refresh call and that the answer is a
small JSON document. Every detail is a choice: GET with basic authentication, state
words, times in milliseconds::

    GET /ymt/qr/refresh?idNo=…                  the holder's phone
    GET /ymt/gov/person?idType=1&idNo=…
    GET /ymt/gov/scan?qr=XAYMT:…

    {"code":0,"msg":"ok","data":[{"idNo":"6101**********002X","city":"西安市",
       "status":"绿码","evalTime":1642640520000,"syncTime":1642640520000,
       "qrUntil":1642644120000,"agent":0}]}

``qrUntil`` is the end of the hour and stands there only when a QR text was asked
about. In lockdown "codes temporarily do not expire": with ``lockdown`` set, a text is
answered at any age, and ``qrUntil`` still says when its hour was over.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm
from adapters.platforms.xian.table import CITY, fetched_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from adapters.platforms.people import Person
    from adapters.platforms.qr import QrForm
    from adapters.platforms.records import Record

_CARD: Final = "1"
_ISSUERS: Final = {CITY.division: "西安市"}


@dataclass(frozen=True, slots=True)
class XianCredentials:
    """What a client of the platform was given; synthetic unless you change it."""

    user: str = "synthetic-ymt"
    password: str = "synthetic-ymt-password"  # noqa: S105 - a stage prop


class XianPlatform(CityPlatform[XianCredentials]):
    """The reference platform of Xi'an.

    Attributes:
        lockdown: whether texts whose hour is over are answered.
    """

    table = CITY
    credentials_type = XianCredentials
    times = TimeForm.EPOCH_MS
    several_people = True
    shows_issuer = True
    lockdown = False
    codes: ClassVar = {
        Result.OK: "0",
        Result.BAD_REQUEST: "99",
        Result.NOT_FOUND: "100",
        Result.NOT_APPLIED: "101",
        Result.QR_EXPIRED: "102",
        Result.QR_NOT_OURS: "103",
        Result.MUST_UPDATE: "104",
        Result.QUOTA: "503",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Two queries, and the call of the holder's phone."""
        return [
            web.get("/ymt/gov/person", self._person),
            web.get("/ymt/gov/scan", self._scan),
            web.get("/ymt/qr/refresh", self._refresh),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call without user and password."""
        pair = f"{self.credentials.user}:{self.credentials.password}".encode()
        wanted = b"Basic " + base64.b64encode(pair)
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, wanted):
            return None
        return json_response({"code": 98, "msg": "unauthorized"}, HTTPStatus.UNAUTHORIZED)

    async def _person(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        if request.query.get("idType") != _CARD:
            return self._reply(Answer(Result.NOT_FOUND), None)
        return self._reply(self.ask_number(request.query.get("idNo", "")), None)

    async def _scan(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        text = request.query.get("qr", "")
        return self._reply(self.ask_qr(text), self._until(text))

    async def _refresh(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        answer = self.ask_number(request.query.get("idNo", ""))
        held = answer.only
        if held is None:
            return self._reply(answer, None)
        data = {"qr": self.qr_text(held[0].index)}
        return json_response({"code": 0, "msg": "ok", "data": data})

    def find_qr(self, text: str) -> Result | tuple[Person, ...]:
        """Who shows a QR text; in lockdown, at any age of the text."""
        found = super().find_qr(text)
        form = self._form()
        ticket = form.read(text) if form is not None else None
        if found is Result.QR_EXPIRED and self.lockdown and ticket is not None:
            return (self.population.person(ticket.serial),)
        return found

    def _form(self) -> QrForm | None:
        return self.table.qr_form(self.table.version_at(self.clock()))

    def _until(self, text: str) -> datetime | None:
        """When the hour of a text is over; None: texts have no hour yet, or it is no text."""
        form = self._form()
        ticket = form.read(text) if form is not None else None
        if form is not CITY.qr or form is None or form.life is None or ticket is None:
            return None
        return fetched_at(ticket.stamp) + form.life

    def _reply(self, answer: Answer, until: datetime | None) -> web.Response:
        is_ok = answer.result is Result.OK
        records = [self._record(person, record, until) for person, record in answer.records]
        return json_response(
            {
                "code": int(self.code(answer.result)),
                "msg": "ok" if is_ok else "failed",
                "data": records if is_ok else None,
            }
        )

    def _record(self, person: Person, record: Record, until: datetime | None) -> dict[str, object]:
        return {
            "idNo": self.masked(person),
            "city": _ISSUERS.get(record.division, "外地"),
            "status": record.state,
            "evalTime": self.time(record.assessed_at),
            "syncTime": self.time(record.updated_at),
            "qrUntil": self.time(until),
            "agent": 1 if record.proxy else 0,
        }
