"""Shanghai's two wires as the reference platform speaks them.

The e-licence library, after its clients: a login gives a session, a scan inside it
gives whose QR text it is, and no colour. A session ends without notice. The colour
stands behind an interface of its own, which no source shows; all of it is a choice::

    POST /elicence/login            username=…&password=…
    {"code":"0","msg":"成功","data":{"sessionId":"…"}}

    POST /elicence/scanCertQrCode   sessionId=…&certQrCode=https://…&pos=…&use=…&orgName=…
                                    &username=…&itemCode=…&businessCode=…
    {"code":"0","msg":"成功","data":{"xm":"测试甲甲甲甲甲","zjhm":"3101…","mobile":"100…",
       "catMainCode":"SSM","encodeCertCode":"…"}}

    X-Ssm-Key: …
    POST /ssm/colour/query          {"zjlx":"10","zjhm":"3101…"}
    {"code":"0","msg":"成功","data":[{"zjhm":"3101…","issuer":"上海市","color":"绿码",
       "reason":"","agent":"N","evalTime":"2020-04-01 09:02:00",
       "updateTime":"2020-04-01 09:02:00"}]}
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.shanghai.table import CITY, COLOURLESS
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record

SESSION_LIFE: Final = timedelta(minutes=30)
"""From the login; a choice."""

SESSION_ENDED: Final = "401"

SCAN_FIELDS: Final = ("pos", "use", "orgName", "username", "itemCode", "businessCode")
"""What a scan must say of who scans and why, beside session and text."""

_CARD: Final = "10"
_ISSUERS: Final = {CITY.division: "上海市"}


@dataclass(frozen=True, slots=True)
class ShanghaiCredentials:
    """What a client of both systems was given; synthetic unless you change it."""

    user: str = "synthetic-ssm"
    password: str = "synthetic-ssm-password"  # noqa: S105 - a stage prop
    colour_key: str = "synthetic-ssm-key"


class ShanghaiPlatform(CityPlatform[ShanghaiCredentials]):
    """The reference platform of Shanghai."""

    table = CITY
    credentials_type = ShanghaiCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "0",
        Result.BAD_REQUEST: "400",
        Result.BAD_CREDENTIAL: "403",
        Result.NOT_FOUND: "404",
        Result.QR_EXPIRED: "410",
        Result.QR_NOT_OURS: "415",
        Result.NOT_APPLIED: "420",
        Result.MUST_UPDATE: "428",
        Result.QUOTA: "429",
    }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._sessions: dict[str, datetime] = {}

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The library's two calls and the interface for the colour."""
        return [
            web.post("/elicence/login", self._login),
            web.post("/elicence/scanCertQrCode", self._scan),
            web.post("/ssm/colour/query", self._colour),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call without the key of the second system."""
        given = request.headers.get("X-Ssm-Key", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.colour_key.encode()):
            return None
        return _send(self.code(Result.BAD_CREDENTIAL), None, HTTPStatus.UNAUTHORIZED)

    def end_sessions(self) -> None:
        """Forget every session, as the library does when it restarts."""
        self._sessions.clear()

    async def _login(self, request: web.Request) -> web.Response:
        form = await _fields(request)
        given = f"{form.get('username')}:{form.get('password')}".encode("utf-8", "surrogateescape")
        wanted = f"{self.credentials.user}:{self.credentials.password}".encode()
        if not hmac.compare_digest(given, wanted):
            return _send(self.code(Result.BAD_CREDENTIAL), None)
        now = self.clock()
        session = self.population.mark(f"session/{len(self._sessions)}/{now}", 16).hex()
        self._sessions[session] = now + SESSION_LIFE
        return _send("0", {"sessionId": session})

    async def _scan(self, request: web.Request) -> web.Response:
        form = await _fields(request)
        until = self._sessions.get(form.get("sessionId", ""))
        if until is None or until <= self.clock():
            return _send(SESSION_ENDED, None)
        if not all(form.get(name) for name in ("certQrCode", *SCAN_FIELDS)):
            return _send(self.code(Result.BAD_REQUEST), None)
        answer = self.ask_qr(form["certQrCode"])
        people = [self._identity(held.person) for held in answer.holdings if held.records]
        found: object = people[0] if len(people) == 1 else people
        return _send(self.code(answer.result), found if answer.result is Result.OK else None)

    async def _colour(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        body = await read_object(request)
        number = body.get("zjhm")
        if not isinstance(number, str) or not isinstance(body.get("zjlx"), str):
            return _send(self.code(Result.BAD_REQUEST), None)
        known = body["zjlx"] == _CARD
        answer = self.ask_number(number) if known else Answer(Result.NOT_FOUND)
        rows = [
            self._row(person, record)
            for person, record in answer.records
            if record.state != COLOURLESS
        ]
        return _send(self.code(answer.result), rows if answer.result is Result.OK else None)

    def _identity(self, person: Person) -> dict[str, str]:
        return {
            "xm": person.name,
            "zjhm": self.number(person),
            "mobile": person.phone,
            "catMainCode": "SSM",
            "encodeCertCode": self.population.mark(f"licence/{person.index}", 8).hex(),
        }

    def _row(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "zjhm": self.number(person),
            "issuer": _ISSUERS.get(record.division, "外省市"),
            "color": record.state,
            "reason": record.reason,
            "agent": "Y" if record.proxy else "N",
            "evalTime": self.time(record.assessed_at),
            "updateTime": self.time(record.updated_at),
        }


async def _fields(request: web.Request) -> dict[str, str]:
    form = await request.post()
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _send(code: str, data: object, status: int = HTTPStatus.OK) -> web.Response:
    document = {"code": code, "msg": "成功" if code == "0" else "失败", "data": data}
    return json_response(document, status)
