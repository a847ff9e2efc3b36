"""Anhui's wire as the reference platform speaks it.

Seen in the middleware of a gate: two envelopes, ``flag`` outside, ``flag`` and
``errMsg`` inside; the members of a record but ``syncTime``; ``SITE_ID``, the city and
the checker's name in a call; the id inside the QR text. Chosen: paths, the bearer
token, what a flag is, all texts but 健康码未申领, ``syncTime``, that several records
stand in a list, and that an answer to a QR text has all members::

    POST /akm/gate/checkQrCode
    Authorization: Bearer …
    {"qrCode":"akm:qrcode:…","SITE_ID":"…","cityNo":"340000000000","checkerName":"…"}

    POST /akm/gate/checkIdCard
    {"idCardNo":"…","SITE_ID":"…","cityNo":"340000000000","checkerName":"…"}

    {"flag":"1","data":{"flag":"1","errMsg":"成功","data":{
       "idCardNo":"…","userPhone":"…","name":"…","nativeType":"1","healthLevel":"1",
       "colourReason":"","changeTime":"20200320081500","syncTime":"20200401090000",
       "dataSource":"1","authField":"idCardNo,userPhone,name,healthLevel"}}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.anhui.table import NATIONAL, TABLE
from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import bearer_is, json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record
    from adapters.platforms.tables import City

_ADDRESS: Final = "https://akm.example/akm-sj-mgr/index.html#/myAkm?isScan=1&id="
_CITY: Final = "340000000000"
_FINE: Final = "1"
_BUSY: Final = "2"
_WRONG: Final = "0"


@dataclass(frozen=True, slots=True)
class AnhuiCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    token: str = field(default="synthetic-akm-token", repr=False)
    site_id: str = "synthetic-site-1"


class AnhuiPlatform(CityPlatform[AnhuiCredentials]):
    """The reference platform of Anhui."""

    table: ClassVar[City] = TABLE
    credentials_type = AnhuiCredentials
    times = TimeForm.LOCAL_COMPACT
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "成功",
        Result.NOT_APPLIED: "健康码未申领",
        Result.NOT_FOUND: "未查询到人员",
        Result.QR_EXPIRED: "二维码已失效",
        Result.QR_NOT_OURS: "非安康码",
        Result.MUST_UPDATE: "请更新申报信息",
        Result.BAD_REQUEST: "请求参数错误",
        Result.QUOTA: "调用次数超过限额",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One question by QR text, one by number."""
        return [
            web.post("/akm/gate/checkQrCode", self._check),
            web.post("/akm/gate/checkIdCard", self._check),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Hold the bearer token against the client's."""
        if bearer_is(request, self.credentials.token):
            return None
        return json_response({"flag": _WRONG, "data": None}, HTTPStatus.UNAUTHORIZED)

    async def _check(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        body = await read_object(request)
        code, number = body.get("qrCode"), body.get("idCardNo")
        if body.get("SITE_ID") != self.credentials.site_id:
            answer = Answer(Result.BAD_REQUEST)
        elif isinstance(code, str):
            # The gate reads the id out of the address and sends it alone.
            answer = self.ask_qr(f"{_ADDRESS}{code}&cityNo={_CITY}")
        elif isinstance(number, str):
            answer = self.ask_number(number)
        else:
            answer = Answer(Result.BAD_REQUEST)
        return self._reply(answer)

    def _reply(self, answer: Answer) -> web.Response:
        if answer.result is Result.QUOTA:
            return json_response({"flag": _BUSY, "data": None})
        is_fine = answer.result is Result.OK
        records = [self._record(person, record) for person, record in answer.records]
        return json_response(
            {
                "flag": _FINE,
                "data": {
                    "flag": _FINE if is_fine else _WRONG,
                    "errMsg": self.code(answer.result),
                    "data": records[0] if len(records) == 1 else records or None,
                },
            }
        )

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "idCardNo": self.number(person),
            "userPhone": person.phone,
            "name": person.name,
            "nativeType": "1",
            "healthLevel": record.state,
            "colourReason": record.reason,
            "changeTime": self.time(record.changed_at),
            "syncTime": self.time(record.updated_at),
            "dataSource": "2" if record.division == NATIONAL else "1",
            "authField": "idCardNo,userPhone,name,healthLevel",
        }
