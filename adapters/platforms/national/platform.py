"""The national code's verification service, as integrators of gates described it.

A reader posts what it read with its own serial number and signature, and is told a
return code and two characters::

    POST /gkm/device/verification
    {"cardNoType":"2","devValue":"https://gkm.example/ma?bizExtData=…","sn":"…",
     "authCode":"…","timeStamp":"1591000000000","devSign":"…"}

    {"code":10000,"msg":"成功","data":{"id":"2101**********1234","name":"测**",
      "status":"01","qrCodeType":1,"type":0,"reason":"数据未见异常，现场测温异常",
      "date":"2020-06-01 03:00:12","hours":26,"vaccine":2,"stopOverCity":"",
      "applyId":null}}

From sources: ``devValue``, ``devSign`` and ``sn``; the codes 10000, 10006, 40000,
40001, 40006, 40007, 40017 and 40019; ``status`` 00, 01 and 10; ``type`` 0, 1 and 2;
``qrCodeType`` 0, 1 and 10; ``cardNoType`` 1 and 2; the members ``hours``, ``vaccine``,
``reason`` and ``stopOverCity``. Choices: the path, one call where some terminals
apply first, what is signed (SHA-256 over the sorted fields, upper case), five minutes
of clock tolerance, and codes for what the sources leave out (40004 nobody, 40005 never
applied, 40010 another system's QR, 40011 the holder must act).

``qrCodeType`` stands there so that an adapter can be caught copying it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.national.table import CITY, GREEN, RED, YELLOW
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

CLOCK_TOLERANCE_MS: Final = 300_000
"""Five minutes between the clocks of reader and service."""

_MS_DIGITS: Final = 13  # until the year 2286
_CARD: Final = "1"
_QR: Final = "2"

_FAMILIES: Final = {"100001": 0, "440100": 2}
"""``type`` by issuer: 0 the national code, 2 穗康码; any other is written as 1, 粤康码."""
_PROVINCE: Final = 1

_READER: Final = {GREEN: 0, YELLOW: 1, RED: 10}
"""What one reader calls the same states; it takes 1 and 10 for red."""

_BAD_SIGN: Final = "10006"
_UNKNOWN_DEVICE: Final = "40000"
_BAD_AUTHORISATION: Final = "40001"


@dataclass(frozen=True, slots=True)
class NationalCredentials:
    """What one reader was given; synthetic unless you change it."""

    sn: str = "SYNTHETIC-SN-0001"
    auth_code: str = "synthetic-authorisation"
    device_key: str = "synthetic-device-key"


class NationalPlatform(CityPlatform[NationalCredentials]):
    """The reference service of the national code."""

    table = CITY
    credentials_type = NationalCredentials
    times = TimeForm.LOCAL
    several_records = False
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "10000",
        Result.BAD_CREDENTIAL: _BAD_SIGN,
        Result.BAD_REQUEST: "40009",
        Result.NOT_FOUND: "40004",
        Result.NOT_APPLIED: "40005",
        Result.QR_EXPIRED: "40007",
        Result.QR_NOT_OURS: "40010",
        Result.MUST_UPDATE: "40011",
        Result.QUOTA: "40006",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One verification for cards and QR codes."""
        return [web.post("/gkm/device/verification", self._verify)]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed query fields, as the catalogue is asked for with."""
        return self._refuse(dict(request.query))

    async def _verify(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        refusal = self._refuse(body)
        if refusal is not None:
            return refusal
        value, kind = body.get("devValue"), body.get("cardNoType")
        if not isinstance(value, str) or kind not in (_CARD, _QR):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_qr(value) if kind == _QR else self.ask_number(value))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        draw = self.population.draw
        return {
            "id": self.masked(person),
            "name": person.name[0] + "**",
            "status": record.state,
            "qrCodeType": _READER.get(record.state, record.state),
            "type": _FAMILIES.get(record.division, _PROVINCE),
            "reason": record.reason,
            "date": self.time(record.updated_at),
            "hours": int(draw(person.index, "hours") * 168),
            "vaccine": int(draw(person.index, "vaccine") * 4),
            "stopOverCity": "",
            "applyId": self.echo(record.proxy) or None,
        }

    def _refuse(self, fields: Mapping[str, Any]) -> web.Response | None:
        """Why this call is not let in, or None when its signature holds."""
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        code = None
        if texts.get("sn") != self.credentials.sn:
            code = _UNKNOWN_DEVICE
        elif texts.get("authCode") != self.credentials.auth_code:
            code = _BAD_AUTHORISATION
        elif not self._signed(texts):
            code = _BAD_SIGN
        return None if code is None else _write(code, None)

    def _signed(self, fields: Mapping[str, str]) -> bool:
        moment = fields.get("timeStamp", "")
        if not (len(moment) == _MS_DIGITS and moment.isascii() and moment.isdigit()):
            return False
        if abs(int(moment) - self.clock().timestamp() * 1_000) > CLOCK_TOLERANCE_MS:
            return False
        wanted = sign_fields(fields, self.credentials.device_key)
        return hmac.compare_digest(fields.get("devSign", "").encode(), wanted.encode())

    def _reply(self, answer: Answer) -> web.Response:
        held = answer.only
        return _write(self.code(answer.result), None if held is None else self._record(*held))


def sign_fields(fields: Mapping[str, str], key: str) -> str:
    """The signature over all fields but itself."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "devSign")
    return hashlib.sha256(f"{ordered}&key={key}".encode()).hexdigest().upper()


def _write(code: str, data: object) -> web.Response:
    message = "成功" if data is not None else "失败"
    return json_response({"code": int(code), "msg": message, "data": data})
