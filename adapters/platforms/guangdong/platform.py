"""Guangdong's wire as the reference platform speaks it.

No source shows the real one; every detail is a choice, made to differ from the
others': forms signed with SHA-256 over their sorted fields, head and body apart,
local times without a zone, several issuers' records in one list::

    POST /ebus/ykm/query     idType=01&idNo=…  or  qrText=…
    POST /ebus/ykm/gate      qrText=…&site=…
    POST /ebus/ykm/convert   reference=…&idType=01&idNo=…&name=…&origin=330100
                             &testTime=…&validUntil=…&symptoms=0&contact=0&travel=0
    each with appId, timestamp (milliseconds), nonce and
    sign = SHA-256(fields as a=1&b=2 in order of their names + "&key=" + secret), upper case

    {"head":{"code":"0000","message":"成功"},"body":{"records":[
       {"idNo":"4403**********1234","state":"绿码","issuer":"440000","reason":"",
        "computedAt":"2020-06-01 11:02:09","updatedAt":"2020-06-01 11:02:09",
        "expiresAt":null,"testedAt":null}]}}

The conversion follows the one with Macao: the holder answers three questions, only
who answers no to all of them is converted, and the date of the negative test is
kept. A gate asks with the QR text alone and is told whether to let pass.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.guangdong.table import CITY
from adapters.platforms.imports import ImportOrder
from adapters.platforms.records import Answer, Colour, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import SHANGHAI, TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person
    from adapters.platforms.tables import City

CLOCK_TOLERANCE_MS: Final = 300_000
"""Five minutes between the clocks of caller and platform."""

_RESIDENT_CARD: Final = "01"
_QUESTIONS: Final = ("symptoms", "contact", "travel")
_NO: Final = "0"
_MS_DIGITS: Final = 13  # until the year 2286


@dataclass(frozen=True, slots=True)
class GuangdongCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    app_id: str = "synthetic-ykm-app"
    app_key: str = "synthetic-ykm-key"


class GuangdongPlatform(CityPlatform[GuangdongCredentials]):
    """The reference platform of Guangdong."""

    table: ClassVar[City] = CITY
    credentials_type = GuangdongCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "0000",
        Result.NOT_FOUND: "1001",
        Result.NOT_APPLIED: "1002",
        Result.MUST_UPDATE: "1003",
        Result.QR_EXPIRED: "1004",
        Result.QR_NOT_OURS: "1005",
        Result.OWN_RECORD: "2001",
        Result.CONFLICT: "2002",
        Result.BAD_REQUEST: "4000",
        Result.BAD_CREDENTIAL: "4001",
        Result.QUOTA: "4290",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Query, gate and conversion."""
        return [
            web.post("/ebus/ykm/query", self._query),
            web.post("/ebus/ykm/gate", self._gate),
            web.post("/ebus/ykm/convert", self._convert),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed query fields, as the catalogue is asked for with."""
        return None if self._signed(request.query) else self._refuse(Result.BAD_CREDENTIAL)

    async def _query(self, request: web.Request) -> web.Response:
        form = _texts(await request.post())
        if not self._signed(form):
            return self._refuse(Result.BAD_CREDENTIAL)
        answer = self._ask(form)
        if answer.result is not Result.OK:
            return self._refuse(answer.result)
        records = [self._record(person, record) for person, record in answer.records]
        return self._reply(Result.OK, {"records": records})

    async def _gate(self, request: web.Request) -> web.Response:
        form = _texts(await request.post())
        if not self._signed(form):
            return self._refuse(Result.BAD_CREDENTIAL)
        answer = self.ask_qr(form.get("qrText", ""))
        if answer.result is not Result.OK:
            return self._refuse(answer.result)
        people = {person.index for person, _ in answer.records}
        free = len(people) == 1 and all(r.colour is Colour.GREEN for _, r in answer.records)
        records = [self._record(person, record) for person, record in answer.records]
        return self._reply(Result.OK, {"pass": free, "records": records})

    async def _convert(self, request: web.Request) -> web.Response:
        form = _texts(await request.post())
        if not self._signed(form):
            return self._refuse(Result.BAD_CREDENTIAL)
        try:
            tested = _read_time(form.get("testTime", ""))
            ends_at = _read_time(form.get("validUntil", ""))
        except ValueError:
            return self._refuse(Result.BAD_REQUEST)
        if any(form.get(name) != _NO for name in _QUESTIONS):
            return self._refuse(Result.BAD_REQUEST)
        done = self.convert(
            ImportOrder(
                reference=form.get("reference", ""),
                number=form.get("idNo", ""),
                origin=form.get("origin", ""),
                name=form.get("name", ""),
                document_type=form.get("idType", ""),
                negative_test_at=tested,
                ends_at=ends_at,
            )
        )
        if isinstance(done, Result):
            return self._refuse(done)
        return self._reply(
            Result.OK,
            {
                "qrText": done.qr_text,
                "expiresAt": self.time(done.expires_at),
                "testedAt": self.time(done.negative_test_at),
            },
        )

    def _ask(self, form: Mapping[str, str]) -> Answer:
        if "qrText" in form:
            return self.ask_qr(form["qrText"])
        if form.get("idType") != _RESIDENT_CARD or not form.get("idNo"):
            return Answer(Result.BAD_REQUEST)
        return self.ask_number(form["idNo"])

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "idNo": self.masked(person),
            "state": record.state,
            "issuer": record.division,
            "reason": record.reason,
            "computedAt": self.time(record.assessed_at),
            "updatedAt": self.time(record.updated_at),
            "expiresAt": self.time(record.valid_until),
            "testedAt": self.time(record.negative_test_at),
        }

    def _signed(self, fields: Mapping[str, str]) -> bool:
        moment = fields.get("timestamp", "")
        if not (moment.isascii() and moment.isdigit() and len(moment) == _MS_DIGITS):
            return False
        if abs(int(moment) - int(self.clock().timestamp() * 1_000)) > CLOCK_TOLERANCE_MS:
            return False
        wanted = sign_fields(fields, self.credentials.app_key)
        known = fields.get("appId") == self.credentials.app_id and bool(fields.get("nonce"))
        return known and hmac.compare_digest(fields.get("sign", "").encode(), wanted.encode())

    def _refuse(self, result: Result) -> web.Response:
        if result is Result.BAD_CREDENTIAL:
            return self._reply(result, None, HTTPStatus.UNAUTHORIZED)
        return self._reply(result, None)

    def _reply(self, result: Result, body: object, status: int = HTTPStatus.OK) -> web.Response:
        message = "成功" if result is Result.OK else "失败"
        head = {"code": self.code(result), "message": message}
        return json_response({"head": head, "body": body}, status)


def sign_fields(fields: Mapping[str, str], key: str) -> str:
    """The signature over all fields but itself."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "sign")
    return hashlib.sha256(f"{ordered}&key={key}".encode()).hexdigest().upper()


def _texts(form: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _read_time(text: str) -> datetime | None:
    """A time of the wire; empty: none is stated.

    Raises:
        ValueError: another form.
    """
    if not text:
        return None
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
