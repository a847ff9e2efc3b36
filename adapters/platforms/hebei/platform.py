r"""Hebei's wire as the reference platform speaks it.

As a client under ``/hbjkm/`` shows it: ``errcode`` 0 or something else, ``content`` a
JSON document as text inside the JSON document, its ``data`` the national records. The
scan posts ``bizExtData``, opaque data out of the QR text. Choices: the query by document,
the token, the members of a report beside ``healthyStaus`` (which is spelt so), every
return code but 0::

    X-Access-Token: …
    POST /hbjkm/userHealth/queryInfo      {"cardType":"10","cardId":"…"}
    POST /hbjkm/userHealth/validateInfo   {"bizExtData":"13…"}

    {"errcode":0,"errmsg":"成功","data":{"content":"{\"data\":{
       \"person\":{\"desensitizeName\":\"测**\",\"desensitizeCardId\":\"1301**********002X\"},
       \"healthyReport\":[{\"healthyStaus\":\"00\",\"xzqhdm\":\"130000\",
         \"desensitizeCardId\":\"1301**********002X\",\"yy\":\"\",\"dbr\":\"\",
         \"pgsj\":\"2020-04-01 03:10:00\",\"gxsj\":\"2020-04-01 03:10:00\"}],
       \"allHealthyReportPerProvinceOne\":[…],\"yqReports\":[…],
       \"hasWarm\":\"未见异常\",\"warmMsgs\":[]}}"}}
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.hebei.table import CITY, LOW, WARNS
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record

_CARD: Final = "10"
_QR_PREFIX: Final = "https://hbjkm.example/scan?bizExtData="

CLEAR: Final = "未见异常"
WARNED: Final = "存在预警"
"""The word beside 未见异常; a choice, sources say "or other"."""


@dataclass(frozen=True, slots=True)
class HebeiCredentials:
    """What a client of the platform was given; synthetic unless you change it."""

    token: str = "synthetic-hbjkm-token"  # noqa: S105 - a stage prop


class HebeiPlatform(CityPlatform[HebeiCredentials]):
    """The reference platform of Hebei."""

    table = CITY
    credentials_type = HebeiCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "0",
        Result.QUOTA: "-1",
        Result.BAD_REQUEST: "1000",
        Result.NOT_FOUND: "1001",
        Result.NOT_APPLIED: "1002",
        Result.QR_EXPIRED: "1003",
        Result.QR_NOT_OURS: "1004",
        Result.MUST_UPDATE: "1005",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """A query by document and one by what a QR text holds."""
        return [
            web.post("/hbjkm/userHealth/queryInfo", self._query),
            web.post("/hbjkm/userHealth/validateInfo", self._validate),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call without the token."""
        given = request.headers.get("X-Access-Token", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.token.encode()):
            return None
        return json_response({"errcode": 401, "errmsg": "未授权"}, HTTPStatus.UNAUTHORIZED)

    async def _query(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        body = await read_object(request)
        number = body.get("cardId")
        if not isinstance(number, str) or not isinstance(body.get("cardType"), str):
            return self._reply(Answer(Result.BAD_REQUEST))
        known = body["cardType"] == _CARD
        return self._reply(self.ask_number(number) if known else Answer(Result.NOT_FOUND))

    async def _validate(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        data = (await read_object(request)).get("bizExtData")
        if not isinstance(data, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_qr(_QR_PREFIX + data))

    def _reply(self, answer: Answer) -> web.Response:
        is_ok = answer.result is Result.OK
        return json_response(
            {
                "errcode": int(self.code(answer.result)),
                "errmsg": "成功" if is_ok else "用户过多，请稍后重试",
                "data": {"content": self._content(answer)} if is_ok else None,
            }
        )

    def _content(self, answer: Answer) -> str:
        """The national records, as text."""
        reports = [self._report(person, record) for person, record in answer.records]
        clear = all(
            record.state == LOW and not record.extra.get(WARNS) for _, record in answer.records
        )
        one_each = {report["xzqhdm"]: report for report in reports}
        person = answer.holdings[0].person
        records = {
            "person": {
                "desensitizeName": person.name[0] + "**",
                "desensitizeCardId": self.masked(person),
            },
            "healthyReport": reports,
            "allHealthyReportPerProvinceOne": list(one_each.values()),
            "yqReports": [],
            "hasWarm": CLEAR if clear else WARNED,
            "warmMsgs": [] if clear else ["请联系社区"],
        }
        return json.dumps({"data": records}, ensure_ascii=False)

    def _report(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "healthyStaus": record.state,
            "xzqhdm": record.division,
            "desensitizeCardId": self.masked(person),
            "yy": record.reason,
            "dbr": "*" * len(record.proxy),
            "pgsj": self.time(record.assessed_at),
            "gxsj": self.time(record.updated_at),
        }
