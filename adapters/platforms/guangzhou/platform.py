"""Guangzhou's wire as the reference platform speaks it.

No source shows the real one; every detail here is a choice, made to differ from
Zhejiang's: JSON posted with a bearer token, an HTTP status for the caller's own
mistakes, a result code for everything about the person, local times without a
zone, masked identity in the answer::

    POST /skm/api/v2/verify
    Authorization: Bearer …
    {"queryType":"QR","qrCode":"SKM2:…"}
    {"queryType":"CARD","cardType":"10","cardNo":"…"}

    {"resultCode":"0","resultMsg":"成功","serialNo":"…","result":{
       "holder":{"name":"测**","cardNo":"4401**********123X"},
       "reports":[{"system":"SKM","divisionCode":"440100","codeState":"绿码",
         "gateStatus":"00","reasonText":"","evaluatedAt":"2020-04-01 09:00:12",
         "updatedAt":"2020-04-01 09:00:12","declaredAt":null,"expiresAt":null}]}}

``gateStatus`` carries the two characters that gates were seen to read (00 green,
10 red). It stands there so that an adapter can be caught copying it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.guangzhou.table import CITY, GATE_STATUS, GREEN, RED
from adapters.platforms.records import Answer, Colour, Record, Result
from adapters.platforms.server import bearer_is, json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person
    from adapters.platforms.tables import City

QUOTA_RETRY_SECONDS: Final = 30
"""What ``Retry-After`` says when the day's calls are used up."""

_RESIDENT_CARD: Final = "10"

_MESSAGES: Final = {
    "0": "成功",
    "1400": "请求参数错误",
    "1401": "令牌无效",
    "1429": "调用次数超过限额",
    "2001": "查无此人",
    "2002": "未申领穗康码",
    "2003": "二维码已过期",
    "2004": "非穗康码",
    "2005": "请完成人脸核验",
    "2006": "该手机登记多人，无法确定持码人",
}

_STATUSES: Final = {
    Result.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Result.BAD_CREDENTIAL: HTTPStatus.UNAUTHORIZED,
    Result.QUOTA: HTTPStatus.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True)
class GuangzhouCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    token: str = "synthetic-skm-token"  # noqa: S105 - a stage prop


class GuangzhouPlatform(CityPlatform[GuangzhouCredentials]):
    """The reference platform of Guangzhou; its clock decides the age of the code."""

    table: ClassVar[City] = CITY
    credentials_type = GuangzhouCredentials
    times = TimeForm.LOCAL
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "0",
        Result.BAD_REQUEST: "1400",
        Result.BAD_CREDENTIAL: "1401",
        Result.QUOTA: "1429",
        Result.NOT_FOUND: "2001",
        Result.NOT_APPLIED: "2002",
        Result.QR_EXPIRED: "2003",
        Result.QR_NOT_OURS: "2004",
        Result.QR_UNKNOWN: "2001",
        Result.MUST_UPDATE: "2005",
        Result.AMBIGUOUS: "2006",
    }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._served = 0

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One query."""
        return [web.post("/skm/api/v2/verify", self._verify)]

    def admit(self, request: web.Request) -> web.Response | None:
        """The bearer token."""
        if bearer_is(request, self.credentials.token):
            return None
        return self._reply(Result.BAD_CREDENTIAL)

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - as in the base
        """A pass is as old as its declaration; nobody assesses it."""
        if record.declared_at is None:
            return record
        return replace(record, assessed_at=record.declared_at, updated_at=record.declared_at)

    async def _verify(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        answer = self._ask(await read_object(request))
        if answer.result is Result.QUOTA:
            response = self._reply(Result.QUOTA)
            response.headers["Retry-After"] = str(QUOTA_RETRY_SECONDS)
            return response
        if answer.result is not Result.OK:
            return self._reply(answer.result)
        person = answer.holdings[0].person
        return self._reply(
            Result.OK,
            {
                "holder": {"name": person.name[0] + "**", "cardNo": self.masked(person)},
                "reports": [self._report(record) for _, record in answer.records],
            },
        )

    def _ask(self, document: Mapping[str, Any]) -> Answer:
        kind, text, number = (document.get(name) for name in ("queryType", "qrCode", "cardNo"))
        if kind == "QR" and isinstance(text, str):
            return self.ask_qr(text)
        card = document.get("cardType")
        if kind == "CARD" and isinstance(number, str) and isinstance(card, str):
            return self.ask_number(number if card == _RESIDENT_CARD else "")
        return Answer(Result.BAD_REQUEST)

    def _report(self, record: Record) -> dict[str, object]:
        word = {Colour.GREEN: GREEN, Colour.RED: RED}.get(record.colour, "")
        return {
            "system": record.source,
            "divisionCode": record.division,
            "codeState": record.state,
            "gateStatus": GATE_STATUS.get(word, ""),
            "reasonText": record.reason,
            "evaluatedAt": self.time(record.assessed_at),
            "updatedAt": self.time(record.updated_at),
            "declaredAt": self.time(record.declared_at),
            "expiresAt": self.time(record.valid_until),
        }

    def _reply(self, result: Result, found: object = None) -> web.Response:
        self._served += 1
        code = self.code(result)
        return json_response(
            {
                "resultCode": code,
                "resultMsg": _MESSAGES[code],
                "serialNo": f"{self._served:012d}",
                "result": found,
            },
            _STATUSES.get(result, HTTPStatus.OK),
        )
