"""The Tencent family's wire, as Sichuan's samples and a vendor's document show it.

Two POST calls of JSON with one envelope::

    POST /health/code      {"certificate_type":"10","certificate_id":"…", …}
    POST /health/decode    {"code_content":"TFJKT:…", …}
    each with appId, secretKey, timestamp and
    sign = SHA-256(fields as k=v&… in order of their names), upper-case hex

    {"errcode":"0","errmsg":"SUCCESS","requestId":"…","data":{
      "name":"测**","gender":"01","cid_type":"10","cid":"5101**********1234",
      "phone":"100****0007","risk_assessment_grade":"00","reason":"","guide":"…",
      "rule_number":"R-00","report_date":"2020-06-01 07:59:00",
      "report_valid_date":"2020-06-15 07:59:00","report_expired":false,
      "report_time":"2020-06-01 03:00:12","qrcode_expired":false,"issue_area":"510000",
      "apply_cid":null,"apply_cid_type":null}}

Quirks from the sources: who never declared has an empty ``report_date``; an expired QR
is a successful call with ``qrcode_expired``; the secret travels beside the signature
that it was to protect; types 10, 14, 15, 16, 20, 34 and 99. Choices: ``report_time`` as
the time of the grade, ``issue_area``, errcodes other than 0, five minutes of clock
tolerance, no name in the request.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.papers import paper_holder, paper_number
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.tencent.table import CITY
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.platforms.people import Person

CLOCK_TOLERANCE_MS: Final = 300_000
"""Five minutes between the clocks of caller and platform."""

_MS_DIGITS: Final = 13  # until the year 2286
_RESIDENT_CARD: Final = "10"
_OTHER_PAPERS: Final = ("14", "15", "16", "20", "34", "99")

_GUIDES: Final = {"00": "请继续做好个人防护", "01": "请居家观察并联系社区", "10": "请立即联系社区"}


@dataclass(frozen=True, slots=True)
class TencentCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    app_id: str = "synthetic-tfjkt-app"
    secret_key: str = "synthetic-tfjkt-secret"  # noqa: S105 - a stage prop


class TencentPlatform(CityPlatform[TencentCredentials]):
    """The reference platform of Sichuan."""

    table = CITY
    credentials_type = TencentCredentials
    times = TimeForm.LOCAL
    several_records = False
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "0",
        Result.BAD_REQUEST: "10400",
        Result.BAD_CREDENTIAL: "10401",
        Result.NOT_FOUND: "10404",
        Result.AMBIGUOUS: "10409",
        Result.QR_NOT_OURS: "10410",
        Result.MUST_UPDATE: "10412",
        Result.QUOTA: "10429",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Get a code, decode a QR."""
        return [
            web.post("/health/code", self._code),
            web.post("/health/decode", self._decode),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed query fields, as the catalogue is asked for with."""
        return self._refuse(dict(request.query))

    def find_paper(self, kind: str, number: str) -> Result | tuple[Person, ...]:
        """Who holds a document of a type that the family knows."""
        if kind == _RESIDENT_CARD:
            return self.find_number(number)
        if kind not in _OTHER_PAPERS:
            return Result.BAD_REQUEST
        index = paper_holder(int(kind), number)
        if index is None or index >= self.population.size:
            return Result.NOT_FOUND
        return (self.population.person(index),)

    async def _code(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        refusal = self._refuse(body)
        if refusal is not None:
            return refusal
        kind, number = body.get("certificate_type"), body.get("certificate_id")
        if not isinstance(kind, str) or not isinstance(number, str):
            return self._write(Result.BAD_REQUEST, None)
        return self._reply(self._asked(self.find_paper(kind, number)), kind)

    async def _decode(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        text = body.get("code_content")
        refusal = self._refuse(body)
        if refusal is None and not isinstance(text, str):
            refusal = self._write(Result.BAD_REQUEST, None)
        return refusal or self._reply(self.ask_qr(str(text)), _RESIDENT_CARD)

    def _reply(self, answer: Answer, kind: str) -> web.Response:
        if answer.result is Result.QR_EXPIRED:
            return self._write(Result.OK, {"qrcode_expired": True, "report_expired": False})
        if answer.result is Result.NOT_APPLIED:
            never = {"report_date": "", "report_valid_date": "", "report_expired": False}
            return self._write(Result.OK, {"risk_assessment_grade": "", **never})
        held = answer.only
        return self._write(answer.result, None if held is None else self._record(*held, kind))

    def _record(self, person: Person, record: Record, kind: str) -> dict[str, object]:
        until = record.valid_until
        if kind == _RESIDENT_CARD:
            cid = self.masked(person)
        else:
            number = paper_number(int(kind), person.index)
            cid = number[:2] + "*" * (len(number) - 6) + number[-4:]
        return {
            "name": person.name[0] + "**",
            "gender": "01",
            "cid_type": kind,
            "cid": cid,
            "phone": person.phone[:3] + "****" + person.phone[-4:],
            "risk_assessment_grade": record.state,
            "reason": record.reason,
            "guide": _GUIDES.get(record.state, ""),
            "rule_number": f"R-{record.state}",
            "report_date": self.time(record.declared_at),
            "report_valid_date": self.time(until),
            "report_expired": until is not None and until <= self.clock(),
            "report_time": self.time(record.updated_at),
            "qrcode_expired": False,
            "issue_area": record.division,
            "apply_cid": self.echo(record.proxy) or None,
            "apply_cid_type": _RESIDENT_CARD if record.proxy else None,
        }

    def _refuse(self, fields: Mapping[str, Any]) -> web.Response | None:
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        moment = texts.get("timestamp", "")
        in_time = (
            len(moment) == _MS_DIGITS
            and moment.isascii()
            and moment.isdigit()
            and abs(int(moment) - self.clock().timestamp() * 1_000) <= CLOCK_TOLERANCE_MS
        )
        known = (
            texts.get("appId") == self.credentials.app_id
            and texts.get("secretKey") == self.credentials.secret_key
        )
        given = texts.get("sign", "").encode()
        if in_time and known and hmac.compare_digest(given, sign_fields(texts).encode()):
            return None
        return self._write(Result.BAD_CREDENTIAL, None)

    def _write(self, result: Result, data: object) -> web.Response:
        is_ok = result is Result.OK
        return json_response(
            {
                "errcode": self.code(result),
                "errmsg": "SUCCESS" if is_ok else "FAIL",
                "requestId": "synthetic",
                "data": data,
            }
        )


def sign_fields(fields: Mapping[str, str]) -> str:
    """The signature over all fields but itself; the secret is one of them."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "sign")
    return hashlib.sha256(ordered.encode()).hexdigest().upper()
