"""Jiangxi's wire as the reference platform speaks it.

No source shows the real one. Chosen: one list of records of the province and of its
cities, each with its issuer; times in milliseconds; every call signed::

    POST /gtm/openapi/code/byQr     {"qrText":"https://…", …}
    POST /gtm/openapi/code/byCard   {"cardType":"111","cardNo":"…", …}
                                    with appId, timestamp, nonce and signature

    {"status":"200","message":"","body":{"codes":[{"cardNo":"…","holder":"…",
       "codeName":"昌通码","issuer":"南昌市","colour":"绿码","reason":"",
       "assessedAt":1585701600000,"updatedAt":1585702800000,"appliedBy":""}]}}

``signature`` is the HMAC-SHA256 of all other fields in order of their names, ``a=1&b=2``.
``timestamp`` is in seconds, good for five minutes; whether a nonce came before is not kept.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.jiangxi.table import ISSUERS, NANCHANG, TABLE
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record
    from adapters.platforms.tables import City

_RESIDENT_CARD: Final = "111"
_LEEWAY_SECONDS: Final = 5 * 60
_EPOCH_DIGITS: Final = 10

_MESSAGES: Final = {
    "200": "",
    "429": "调用次数超过限额",
    "4000": "请求参数错误",
    "4001": "未查询到人员",
    "4002": "未申领赣通码",
    "4003": "二维码已过期",
    "4004": "非赣通码",
    "4005": "请更新申报信息",
    "4010": "签名错误",
}


@dataclass(frozen=True, slots=True)
class JiangxiCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    app_id: str = "synthetic-gtm-client"
    app_key: str = field(default="synthetic-gtm-key", repr=False)


class JiangxiPlatform(CityPlatform[JiangxiCredentials]):
    """The reference platform of Jiangxi, with the records of its cities."""

    table: ClassVar[City] = TABLE
    credentials_type = JiangxiCredentials
    times = TimeForm.EPOCH_MS
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "200",
        Result.QUOTA: "429",
        Result.BAD_REQUEST: "4000",
        Result.NOT_FOUND: "4001",
        Result.NOT_APPLIED: "4002",
        Result.QR_EXPIRED: "4003",
        Result.QR_NOT_OURS: "4004",
        Result.MUST_UPDATE: "4005",
        Result.BAD_CREDENTIAL: "4010",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One question by QR text, one by number."""
        return [
            web.post("/gtm/openapi/code/byQr", self._by_qr),
            web.post("/gtm/openapi/code/byCard", self._by_card),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Check the signature over the query; for the catalogue, which has no body."""
        return None if self._is_signed(request.query) else self._refuse()

    async def _by_qr(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        text = body.get("qrText")
        if not self._is_signed(body):
            return self._refuse()
        if not isinstance(text, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_qr(text))

    async def _by_card(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        number = body.get("cardNo")
        if not self._is_signed(body):
            return self._refuse()
        if not isinstance(number, str) or body.get("cardType") != _RESIDENT_CARD:
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(number))

    def _is_signed(self, fields: Mapping[str, Any]) -> bool:
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        given, moment = texts.pop("signature", ""), texts.get("timestamp", "")
        if len(moment) != _EPOCH_DIGITS or not (moment.isascii() and moment.isdigit()):
            return False
        if abs(int(moment) - self.clock().timestamp()) > _LEEWAY_SECONDS:
            return False
        ordered = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
        wanted = hmac.new(
            self.credentials.app_key.encode(),
            ordered.encode("utf-8", "surrogateescape"),
            hashlib.sha256,
        ).hexdigest()
        is_client = texts.get("appId") == self.credentials.app_id
        return is_client and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())

    def _refuse(self) -> web.Response:
        return self._reply(Answer(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    def _reply(self, answer: Answer, status: int = HTTPStatus.OK) -> web.Response:
        code = self.code(answer.result)
        codes = [self._code(person, record) for person, record in answer.records]
        body = {"codes": codes} if answer.result is Result.OK else None
        return json_response({"status": code, "message": _MESSAGES[code], "body": body}, status)

    def _code(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "cardNo": self.number(person),
            "holder": person.name,
            "codeName": "昌通码" if record.division == NANCHANG else "赣通码",
            "issuer": ISSUERS[record.division],
            "colour": record.state,
            "reason": record.reason,
            "assessedAt": self.time(record.assessed_at),
            "updatedAt": self.time(record.updated_at),
            "appliedBy": record.proxy,
        }
