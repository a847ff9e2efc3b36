"""The call behind the Alipay family's page, as the reference platform speaks it.

Ten cities of Zhejiang share one page, told apart by an ``orgCode`` in its link; a scan
asks for the detail of the code::

    POST /epidemic-collect/code/detail   orgCode=330300-…&id=…&type=twocode&from=offline
                                         &needRequestCodeDetail=YES
    POST /epidemic-collect/code/query    zjlx=IDENTITY_CARD&sfzh=…
    each with appKey, requestTime (milliseconds) and
    sign = MD5(appKey + secret + requestTime)

    {"success":true,"errorCode":"0","errorMsg":null,"traceId":"synthetic","data":[
      {"sfzh":"…","xm":"测试…","sjh":"100…","mffd":"温州市","mlx":null,"mzt":"绿码",
       "hmcmyy":"","scsqsj":"…","scffsj":"…","zjgxsj":"2020-06-01T03:00:12.000+0000",
       "zjlx":"IDENTITY_CARD","source":"阿里自建alipay","dbrsfzh":null}]}

From sources: the page, its link and the three words of a scan; the members of a
record, the values of ``source`` and ``zjlx``, how times look, the members of the
envelope. Choices: both paths, the signature (that of the province's gateway without
its refresh), five minutes of clock tolerance, the values of ``errorCode``.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.alipay.table import CITIES, CITY, ORG, PAGE, SCANNED
from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

CLOCK_TOLERANCE_MS: Final = 300_000
"""Five minutes between the clocks of caller and platform."""

_MS_DIGITS: Final = 13  # until the year 2286
_RESIDENT_CARD: Final = "IDENTITY_CARD"
_SCAN: Final = {"type": "twocode", "from": "offline", "needRequestCodeDetail": "YES"}


@dataclass(frozen=True, slots=True)
class AlipayCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    app_key: str = "synthetic-wzjkm-app"
    app_secret: str = "synthetic-wzjkm-secret"  # noqa: S105 - a stage prop


class AlipayPlatform(CityPlatform[AlipayCredentials]):
    """The reference platform of Wenzhou."""

    table = CITY
    credentials_type = AlipayCredentials
    times = TimeForm.UTC_NO_COLON
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "0",
        Result.BAD_REQUEST: "BAD_REQUEST",
        Result.BAD_CREDENTIAL: "BAD_SIGN",
        Result.NOT_FOUND: "NOT_FOUND",
        Result.NOT_APPLIED: "NOT_APPLIED",
        Result.QR_EXPIRED: "CODE_EXPIRED",
        Result.QR_NOT_OURS: "CODE_NOT_OURS",
        Result.MUST_UPDATE: "NEED_UPDATE",
        Result.QUOTA: "QUOTA",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The detail of a scanned code, and a query by document."""
        return [
            web.post("/epidemic-collect/code/detail", self._detail),
            web.post("/epidemic-collect/code/query", self._query),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed query fields, as the catalogue is asked for with."""
        return self._refuse(dict(request.query))

    async def _detail(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        refusal = self._refuse(fields)
        if refusal is not None:
            return refusal
        if any(fields.get(name) != value for name, value in _SCAN.items()):
            return self._reply(Answer(Result.BAD_REQUEST))
        if fields.get("orgCode") != ORG:
            return self._reply(Answer(Result.QR_NOT_OURS))
        return self._reply(self.ask_qr(f"{PAGE}?orgCode={ORG}{SCANNED}{fields.get('id', '')}"))

    async def _query(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        refusal = self._refuse(fields)
        if refusal is not None:
            return refusal
        if fields.get("zjlx") != _RESIDENT_CARD or not fields.get("sfzh"):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(fields["sfzh"]))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "sfzh": self.number(person),
            "id": self.population.mark(f"code/{person.index}", 16).hex(),
            "xm": person.name,
            "sjh": person.phone,
            "mffd": CITIES.get(record.division, record.division),
            "mlx": record.kind or None,
            "mzt": record.state,
            "hmcmyy": record.reason,
            "scffsj": self.time(record.issued_at),
            "scsqsj": self.time(record.applied_at),
            "zjgxsj": self.time(record.updated_at),
            "zjlx": _RESIDENT_CARD,
            "source": record.source or "阿里自建alipay",
            "dbrsfzh": self.echo(record.proxy) or None,
        }

    def _refuse(self, fields: Mapping[str, str]) -> web.Response | None:
        moment = fields.get("requestTime", "")
        in_time = (
            len(moment) == _MS_DIGITS
            and moment.isascii()
            and moment.isdigit()
            and abs(int(moment) - self.clock().timestamp() * 1_000) <= CLOCK_TOLERANCE_MS
        )
        key = fields.get("appKey", "")
        wanted = sign_request(key, self.credentials.app_secret, moment)
        signed = hmac.compare_digest(fields.get("sign", "").encode(), wanted.encode())
        if in_time and key == self.credentials.app_key and signed:
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL))

    def _reply(self, answer: Answer) -> web.Response:
        is_ok = answer.result is Result.OK
        return json_response(
            {
                "success": is_ok,
                "errorCode": self.code(answer.result),
                "errorMsg": None if is_ok else "失败",
                "extraData": None,
                "traceId": "synthetic",
                "data": [self._record(*held) for held in answer.records],
            }
        )


def sign_request(app_key: str, secret: str, request_time: str) -> str:
    """The signature: MD5, as the province's gateway wants it; no protection today."""
    text = f"{app_key}{secret}{request_time}".encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()
