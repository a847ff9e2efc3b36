"""Shaoxing's wire: one SOAP operation for hospitals.

::

    POST /HealthCode/Service.asmx
    <soap:Envelope …><soap:Body><QueryHealthCode>
      <appId>…</appId><password>…</password>
      <request>&lt;Request&gt;&lt;HospitalCode&gt;…</request></QueryHealthCode>…

    <soap:Envelope …><soap:Body><QueryHealthCodeResponse><QueryHealthCodeResult>
      &lt;Response&gt;&lt;Code&gt;200&lt;/Code&gt;&lt;HealthCode&gt;…</…>

From sources: the method, ``password`` = MD5(appId + method + yyyyMMdd), the members
HospitalCode, HospitalName and IDCard with its X in upper case, the members CodeStatus,
StatusReason, Name and Phone, code 200. Choices: the envelope, the XML inside it as
text, IssueCity, AssessTime, UpdateTime, every other code, the date of the password in
Shanghai.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.shaoxing.table import CITY
from adapters.platforms.times import SHANGHAI, TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person

METHOD: Final = "QueryHealthCode"

_CATALOGUE: Final = "QueryCatalogue"
_HOSPITALS: Final = frozenset({"SYNTHETIC01"})
_ISSUER: Final = {"330600": "绍兴市", "330700": "金华市"}


@dataclass(frozen=True, slots=True)
class ShaoxingCredentials:
    """What one hospital was given; synthetic unless you change it."""

    app_id: str = "synthetic-sxjkm"


class ShaoxingPlatform(CityPlatform[ShaoxingCredentials]):
    """The reference platform of Shaoxing."""

    table = CITY
    credentials_type = ShaoxingCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "200",
        Result.BAD_REQUEST: "400",
        Result.BAD_CREDENTIAL: "401",
        Result.NOT_FOUND: "404",
        Result.NOT_APPLIED: "405",
        Result.MUST_UPDATE: "406",
        Result.QUOTA: "429",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One operation."""
        return [web.post("/HealthCode/Service.asmx", self._operate)]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call without the password of the day in its query string."""
        query = request.query
        if self._knows(query.get("appId", ""), _CATALOGUE, query.get("password", "")):
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL))

    async def _operate(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode("utf-8", "replace")
        call = _member(body, METHOD)
        if not self._knows(_member(call, "appId"), METHOD, _member(call, "password")):
            return self._reply(Answer(Result.BAD_CREDENTIAL))
        question = unescape(_member(call, "request"))
        number = unescape(_member(question, "IDCard"))
        known = _member(question, "HospitalCode") in _HOSPITALS
        if not known or not _member(question, "HospitalName") or number != number.upper():
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(number))

    def _knows(self, app_id: str, method: str, password: str) -> bool:
        own = self.credentials.app_id
        wanted = make_password(own, method, self.clock())
        given = password.encode("utf-8", "surrogateescape")
        return app_id == own and hmac.compare_digest(given, wanted.encode())

    def _reply(self, answer: Answer) -> web.Response:
        message = "成功" if answer.result is Result.OK else "失败"
        inner = f"<Code>{self.code(answer.result)}</Code><Message>{message}</Message>" + "".join(
            self._record(person, record) for person, record in answer.records
        )
        result = escape(f"<Response>{inner}</Response>", quote=False)
        text = (
            '<?xml version="1.0" encoding="utf-8"?>'
            '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<{METHOD}Response xmlns="urn:synthetic:sxjkm"><{METHOD}Result>{result}'
            f"</{METHOD}Result></{METHOD}Response></soap:Body></soap:Envelope>"
        )
        return web.Response(text=text, content_type="text/xml", charset="utf-8")

    def _record(self, person: Person, record: Record) -> str:
        members = {
            "CodeStatus": record.state,
            "StatusReason": record.reason,
            "Name": person.name,
            "Phone": person.phone,
            "IssueCity": _ISSUER.get(record.division, record.division),
            "AssessTime": self.time(record.assessed_at),
            "UpdateTime": self.time(record.updated_at),
        }
        texts = (f"<{name}>{escape(str(value))}</{name}>" for name, value in members.items())
        return f"<HealthCode>{''.join(texts)}</HealthCode>"


def make_password(app_id: str, method: str, now: datetime) -> str:
    """The password of a day: MD5, as the real service demands; no protection today."""
    day = now.astimezone(SHANGHAI).strftime("%Y%m%d")
    return hashlib.md5(f"{app_id}{method}{day}".encode()).hexdigest()  # noqa: S324 - the wire that a hospital's adapter shows


def _member(text: str, name: str) -> str:
    """What stands in the one element of this name; empty: there is none.

    Not a reader of XML: the calls that this stage prop takes are written by one
    adapter, and whatever looks different is refused.
    """
    found = re.search(f"<{name}(?: [^>]*)?>(.*?)</{name}>", text, re.DOTALL)
    return found[1] if found else ""
