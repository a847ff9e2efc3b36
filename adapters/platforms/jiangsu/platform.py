"""Jiangsu's wire as the reference platform speaks it.

Seen in an integrator's code: a form with these fields, ``resCode`` with these numbers,
``res`` with name, phone, idcardNo and level. Chosen: paths, ``updateTime``, the second
question, HTTP 429 when the day's calls are used up, ``res`` null for an unknown number::

    POST /jkm/2/verifyQrcode      url=https://…result&source=…&position=…&verifierDept=…
                                  &verifierName=…&verifierPhone=…&token=…
    POST /jkm/2/queryByIdcard     idcardNo=…&source=…&verifierDept=…&token=…

    {"resCode":0,"resMessage":"OK","res":{"name":"…","phone":"…","idcardNo":"…",
       "level":"green","updateTime":"2020-04-01 09:02:10"}}

The token in a call is the verifier's. The holder has another one, in the address of
the holder's own page; this platform has no use for it and never asks for it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.jiangsu.table import TABLE
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import bearer_is, json_response
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.platforms.people import Person, Population
    from adapters.platforms.records import Record
    from adapters.platforms.tables import City

_MESSAGES: Final = {
    "0": "OK",
    "1": "其他错误",
    "111": "二维码已过期",
    "112": "不是苏康码",
    "116": "无权限",
    "119": "请先更新申报信息",
}


@dataclass(frozen=True, slots=True)
class JiangsuCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    token: str = field(default="synthetic-verifier-token", repr=False)


class JiangsuPlatform(CityPlatform[JiangsuCredentials]):
    """The reference platform of Jiangsu."""

    table: ClassVar[City] = TABLE
    credentials_type = JiangsuCredentials
    times = TimeForm.LOCAL
    several_records = False
    codes: ClassVar = {
        Result.OK: "0",
        Result.NOT_FOUND: "0",
        Result.NOT_APPLIED: "1",
        Result.AMBIGUOUS: "1",
        Result.BAD_REQUEST: "1",
        Result.QUOTA: "1",
        Result.QR_EXPIRED: "111",
        Result.QR_UNKNOWN: "112",
        Result.QR_NOT_OURS: "112",
        Result.BAD_CREDENTIAL: "116",
        Result.MUST_UPDATE: "119",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One question by QR text, one by number."""
        return [
            web.post("/jkm/2/verifyQrcode", self._verify),
            web.post("/jkm/2/queryByIdcard", self._query),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Hold a bearer token against the verifier's; for the catalogue, which has no form."""
        if bearer_is(request, self.credentials.token):
            return None
        return json_response({"resCode": 116}, HTTPStatus.UNAUTHORIZED)

    async def _verify(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        url = form.get("url", "")
        if not self._is_verifier(form):
            return self._reply(Answer(Result.BAD_CREDENTIAL))
        return self._reply(self.ask_qr(url) if url else Answer(Result.BAD_REQUEST))

    async def _query(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        if not self._is_verifier(form):
            return self._reply(Answer(Result.BAD_CREDENTIAL))
        return self._reply(self.ask_number(form.get("idcardNo", "")))

    async def _form(self, request: web.Request) -> dict[str, str]:
        fields = await request.post()
        return {name: value for name, value in fields.items() if isinstance(value, str)}

    def _is_verifier(self, form: dict[str, str]) -> bool:
        given = form.get("token", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self.credentials.token.encode())

    def _reply(self, answer: Answer) -> web.Response:
        code = self.code(answer.result)
        only = answer.only
        return json_response(
            {
                "resCode": int(code),
                "resMessage": _MESSAGES[code],
                "res": None if only is None else self._record(*only),
            },
            HTTPStatus.TOO_MANY_REQUESTS if answer.result is Result.QUOTA else HTTPStatus.OK,
        )

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "name": person.name,
            "phone": person.phone,
            "idcardNo": self.number(person),
            "level": record.state,
            "updateTime": self.time(record.updated_at),
        }


def holder_page(population: Population, index: int) -> str:
    """The address of a holder's own page, with the holder's whole credential in it."""
    token = population.mark(f"{index}/token", 32).hex()
    return f"https://jsstm.example/jkmIndex.html?token={token}&uuid=P{index:09d}"
