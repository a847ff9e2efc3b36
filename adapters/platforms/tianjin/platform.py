"""Tianjin's wire as the reference platform speaks it.

No source shows the real one; every detail is a choice: forms posted with a SHA-256
signature over the sorted fields, a status in the answer that looks like an HTTP status
and is none, local times with slashes and without a zone::

    POST /jxb/healthcode/person   certType=01&certNo=…&appId=…&timestamp=…&nonceStr=…&sign=…
    POST /jxb/healthcode/scan     content=TJJKM…&appId=…

    {"status":"200","msg":"成功","body":{"codes":[
       {"certNo":"1201**********002X","issueArea":"天津市","colorName":"橙码",
        "dataFrom":"共享数据","remark":"14天内来自中风险地区","byAgent":"0",
        "computeTime":"2020/04/01 09:02:00","updateTime":"2020/04/01 09:02:00"}]}}
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response
from adapters.platforms.tianjin.table import CITY
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record

_CARD: Final = "01"
_FRESH_SECONDS: Final = 300
"""How far a request's timestamp may be from the platform's clock; a choice."""

_ISSUERS: Final = {CITY.division: "天津市"}


@dataclass(frozen=True, slots=True)
class TianjinCredentials:
    """What a client of the platform was given; synthetic unless you change it."""

    app_id: str = "synthetic-jxb"
    app_key: str = "synthetic-jxb-key"


class TianjinPlatform(CityPlatform[TianjinCredentials]):
    """The reference platform of Tianjin."""

    table = CITY
    credentials_type = TianjinCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "200",
        Result.BAD_REQUEST: "400",
        Result.BAD_CREDENTIAL: "401",
        Result.NOT_FOUND: "404",
        Result.QR_EXPIRED: "410",
        Result.QR_NOT_OURS: "415",
        Result.NOT_APPLIED: "420",
        Result.MUST_UPDATE: "428",
        Result.QUOTA: "429",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """A query by document and one by QR text."""
        return [
            web.post("/jxb/healthcode/person", self._person),
            web.post("/jxb/healthcode/scan", self._scan),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a catalogue call, whose fields stand in its query, without a signature."""
        return self._check(request.query)

    async def _person(self, request: web.Request) -> web.Response:
        form = await _fields(request)
        refusal = self._check(form)
        if refusal is not None:
            return refusal
        if form.get("certType") != _CARD:
            return self._reply(Answer(Result.NOT_FOUND))
        return self._reply(self.ask_number(form.get("certNo", "")))

    async def _scan(self, request: web.Request) -> web.Response:
        form = await _fields(request)
        return self._check(form) or self._reply(self.ask_qr(form.get("content", "")))

    def _check(self, fields: Mapping[str, str]) -> web.Response | None:
        """The refusal of fields that this application did not sign just now."""
        told = {name: value for name, value in fields.items() if name != "sign"}
        ordered = "&".join(f"{name}={told[name]}" for name in sorted(told))
        over = f"{ordered}&key={self.credentials.app_key}".encode()
        wanted = hashlib.sha256(over).hexdigest().upper()
        given = fields.get("sign", "").encode("utf-8", "surrogateescape")
        if (
            hmac.compare_digest(given, wanted.encode())
            and fields.get("appId") == self.credentials.app_id
            and _is_fresh(fields.get("timestamp", ""), self.clock())
        ):
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        is_ok = answer.result is Result.OK
        codes = [self._record(person, record) for person, record in answer.records]
        return json_response(
            {
                "status": self.code(answer.result),
                "msg": "成功" if is_ok else "失败",
                "body": {"codes": codes} if is_ok else None,
            },
            status,
        )

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "certNo": self.masked(person),
            "issueArea": _ISSUERS.get(record.division, "外省市"),
            "colorName": record.state,
            "dataFrom": record.source,
            "remark": record.reason,
            "byAgent": "1" if record.proxy else "0",
            "computeTime": self._slashed(record.assessed_at),
            "updateTime": self._slashed(record.updated_at),
        }

    def _slashed(self, moment: datetime) -> str:
        return str(self.time(moment)).replace("-", "/")


async def _fields(request: web.Request) -> dict[str, str]:
    form = await request.post()
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _is_fresh(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    return abs(int(timestamp) / 1_000 - now.timestamp()) <= _FRESH_SECONDS
