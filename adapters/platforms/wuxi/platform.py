"""Wuxi's wire as the reference platform speaks it.

Seen in the city's administration system: ``isHealthy``, ``reason``, ``dataType`` with 01
and 02, the queue 待审核 and what a reviewer makes of it, codes of districts. Chosen:
everything around them, the signature among it::

    POST /xkt/personal/scan       {"qrCode":"https://…","appId":"…","timestamp":"…","sign":"…"}
    POST /xkt/personal/query      {"idType":"1","idNo":"…","appId":"…","timestamp":"…","sign":"…"}

    {"code":"0","msg":"","rows":[{"idNo":"…","name":"…","isHealthy":"红码","dataType":"01",
       "reason":"数据分析转入","areaCode":"320281","auditTime":"2020-04-01 08:40:00",
       "updateTime":"2020-04-01 09:00:00","proxyIdNo":""}]}

``sign`` is the MD5 of all other fields in order of their names, ``a=1&b=2``, and of the
client's key, in upper case. ``timestamp`` is in milliseconds, good for five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Colour, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm
from adapters.platforms.wuxi.table import ANSWERED, ANSWERS, PULLED, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record
    from adapters.platforms.tables import City

_RESIDENT_CARD: Final = "1"
_LEEWAY_MS: Final = 5 * 60 * 1_000
_EPOCH_DIGITS: Final = 13

_MESSAGES: Final = {
    "0": "",
    "429": "调用次数超过限额",
    "1001": "未查询到人员",
    "1002": "未申领锡康码",
    "1003": "二维码已过期",
    "1004": "非锡康码",
    "1005": "请更新申报信息",
    "1400": "请求参数错误",
    "1401": "签名错误",
}


@dataclass(frozen=True, slots=True)
class WuxiCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    app_id: str = "synthetic-xkm-client"
    app_key: str = field(default="synthetic-xkm-key", repr=False)


class WuxiPlatform(CityPlatform[WuxiCredentials]):
    """The reference platform of Wuxi, which answers for Jiangyin too."""

    table: ClassVar[City] = TABLE
    credentials_type = WuxiCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "0",
        Result.QUOTA: "429",
        Result.NOT_FOUND: "1001",
        Result.NOT_APPLIED: "1002",
        Result.QR_EXPIRED: "1003",
        Result.QR_NOT_OURS: "1004",
        Result.MUST_UPDATE: "1005",
        Result.BAD_REQUEST: "1400",
        Result.BAD_CREDENTIAL: "1401",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One question by QR text, one by number."""
        return [
            web.post("/xkt/personal/scan", self._scan),
            web.post("/xkt/personal/query", self._query),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Check the signature over the query; for the catalogue, which has no body."""
        return None if self._is_signed(request.query) else self._refuse()

    async def _scan(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        text = body.get("qrCode")
        if not self._is_signed(body):
            return self._refuse()
        if not isinstance(text, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_qr(text))

    async def _query(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        number = body.get("idNo")
        if not self._is_signed(body):
            return self._refuse()
        if not isinstance(number, str) or body.get("idType") != _RESIDENT_CARD:
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(number))

    def _is_signed(self, fields: Mapping[str, Any]) -> bool:
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        given, moment = texts.pop("sign", ""), texts.get("timestamp", "")
        if len(moment) != _EPOCH_DIGITS or not (moment.isascii() and moment.isdigit()):
            return False
        if abs(int(moment) - self.clock().timestamp() * 1_000) > _LEEWAY_MS:
            return False
        ordered = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
        signed = f"{ordered}&key={self.credentials.app_key}".encode("utf-8", "surrogateescape")
        wanted = hashlib.md5(signed, usedforsecurity=False).hexdigest().upper()
        is_client = texts.get("appId") == self.credentials.app_id
        return is_client and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())

    def _refuse(self) -> web.Response:
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        code = self.code(answer.result)
        rows = [self._row(person, record) for person, record in answer.records]
        return json_response({"code": code, "msg": _MESSAGES[code], "rows": rows}, status)

    def _row(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "idNo": self.number(person),
            "name": person.name,
            "isHealthy": record.state,
            "dataType": _data_type(record),
            "reason": record.reason,
            "areaCode": record.division,
            "auditTime": self.time(record.assessed_at),
            "updateTime": self.time(record.updated_at),
            "proxyIdNo": record.proxy,
        }


def _data_type(record: Record) -> str:
    """Who pulled a record that is not green; a green has none."""
    if record.colour is Colour.GREEN:
        return ""
    if record.kind or not record.reason:
        return record.kind
    return ANSWERED if record.reason in ANSWERS else PULLED
