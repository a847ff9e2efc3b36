"""Chongqing's wire as the reference platform speaks it.

Seen in a hospital's client: the path's ending, the parameter, SM4-ECB in upper-case
hexadecimal over the QR text itself, the member ``CipherText`` and in it ``aac003``,
``aac004``, ``birthday``, ``lxdh``, ``dz`` and ``zjhm``. Chosen: everything else, the
members that tell a colour among it::

    GET /ykm/getHealthCardInfo/ykm?ciphertext=…      the QR text
    GET /ykm/getHealthCardInfo/zjhm?ciphertext=…     {"zjhm":"…"}
    appKey: …

    {"code":"0","msg":"成功","CipherText":"…"}

    {"zjhm":"…","aac003":"…","aac004":"…","birthday":"…","lxdh":"…","dz":"",
     "jkmzt":"绿色","jkmyy":"","xzqh":"500000",
     "pdsj":"2021-11-08 09:00:12","gxsj":"2021-11-08 09:00:12"}

Several records stand in a list. What does not open under the client's key is refused
with HTTP 401, as a wrong ``appKey`` is.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from adapters.platforms.base import CityPlatform
from adapters.platforms.chongqing.table import TABLE
from adapters.platforms.records import Answer, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.platforms.people import Person
    from adapters.platforms.records import Record
    from adapters.platforms.tables import City

_BLOCK_BITS: Final = 128
_SEXES: Final = ("2", "1")  # the second last digit of an identity number: even, odd

_MESSAGES: Final = {
    "0": "成功",
    "1001": "未申领渝康码",
    "1002": "未查询到人员信息",
    "1003": "二维码已过期",
    "1004": "非渝康码",
    "1005": "请更新申报信息",
    "1400": "请求参数错误",
    "1401": "无访问权限",
    "1429": "调用次数超过限额",
}


@dataclass(frozen=True, slots=True)
class ChongqingCredentials:
    """What the clients of the platform were given; synthetic unless you change it."""

    app_key: str = "synthetic-ykm-client"
    sm4_key: str = field(default="73796e7468657469632d73746167652d", repr=False)


class ChongqingPlatform(CityPlatform[ChongqingCredentials]):
    """The reference platform of Chongqing."""

    table: ClassVar[City] = TABLE
    credentials_type = ChongqingCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "0",
        Result.NOT_APPLIED: "1001",
        Result.NOT_FOUND: "1002",
        Result.QR_EXPIRED: "1003",
        Result.QR_NOT_OURS: "1004",
        Result.MUST_UPDATE: "1005",
        Result.BAD_REQUEST: "1400",
        Result.BAD_CREDENTIAL: "1401",
        Result.QUOTA: "1429",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One question by QR text, one by number."""
        return [
            web.get("/ykm/getHealthCardInfo/ykm", self._by_qr),
            web.get("/ykm/getHealthCardInfo/zjhm", self._by_card),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Hold the header against the client's name."""
        given = request.headers.get("appKey", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.app_key.encode()):
            return None
        return self._refuse()

    async def _by_qr(self, request: web.Request) -> web.Response:
        text = self._opened(request)
        return self._refuse() if text is None else self._reply(self.ask_qr(text))

    async def _by_card(self, request: web.Request) -> web.Response:
        text = self._opened(request)
        if text is None:
            return self._refuse()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        number = document.get("zjhm") if isinstance(document, dict) else None
        if not isinstance(number, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(number))

    def _opened(self, request: web.Request) -> str | None:
        """The text of a question; None: the caller has not the name or not the key."""
        if self.admit(request) is not None:
            return None
        decryptor = Cipher(SM4(self._key), ECB()).decryptor()  # noqa: S305 - the wire's mode
        unpadder = PKCS7(_BLOCK_BITS).unpadder()
        try:
            sealed = bytes.fromhex(request.query.get("ciphertext", ""))
            clear = decryptor.update(sealed) + decryptor.finalize()
            return (unpadder.update(clear) + unpadder.finalize()).decode()
        except ValueError:
            return None

    def _reply(self, answer: Answer) -> web.Response:
        document = self._envelope(answer.result)
        if answer.result is Result.OK:
            records = [self._record(person, record) for person, record in answer.records]
            document["CipherText"] = self._sealed(records[0] if len(records) == 1 else records)
        return json_response(document)

    def _refuse(self) -> web.Response:
        return json_response(self._envelope(Result.BAD_CREDENTIAL), HTTPStatus.UNAUTHORIZED)

    def _envelope(self, result: Result) -> dict[str, Any]:
        code = self.code(result)
        return {"code": code, "msg": _MESSAGES[code]}

    def _sealed(self, document: object) -> str:
        padder = PKCS7(_BLOCK_BITS).padder()
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        encryptor = Cipher(SM4(self._key), ECB()).encryptor()  # noqa: S305 - the wire's mode
        sealed = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
        return sealed.hex().upper()

    @property
    def _key(self) -> bytes:
        return bytes.fromhex(self.credentials.sm4_key)

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "zjhm": self.number(person),
            "aac003": person.name,
            "aac004": _SEXES[int(person.number[16]) % 2],
            "birthday": person.number[6:14],
            "lxdh": person.phone,
            "dz": "",
            "jkmzt": record.state,
            "jkmyy": record.reason,
            "xzqh": record.division,
            "pdsj": self.time(record.assessed_at),
            "gxsj": self.time(record.updated_at),
        }
