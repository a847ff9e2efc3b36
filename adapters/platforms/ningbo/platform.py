"""Ningbo's wire: one signed form for identity numbers, codes and paper passes.

::

    POST /yxm/openapi/v1/query
    appId=…&timestamp=…&nonce=…&sign=…&cxfs=sfzh&zjlx=10&zjhm=…      or cxfs=ewm&ewm=…

    {"code":"200","msg":"成功","data":[{"zjhm":…,"ztmc":"红码","zklb":"两检转绿",…}]}

``sign`` is SHA-256 over all other fields as ``a=1&b=2`` in order of their names,
followed by ``&key=`` and the key, in lower-case hexadecimal digits.

No source shows Ningbo's wire: all of it is a choice, its members named by pinyin
initials as in the provincial query. From sources are the states, the paper pass and
the rule of two tests (see the table).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.ningbo.table import (
    CITY,
    GREEN,
    PAPER,
    PAPER_QR,
    RED_BY_TESTS,
    TESTS_WITHIN,
    TURNED_GREEN,
)
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person
    from adapters.platforms.scenarios import ScenarioPerson

CLOCK_TOLERANCE_MS: Final = 300_000

_ISSUER: Final = {"330200": "宁波市"}
_PAPER_STORIES: Final = ("paper-pass", "paper-pass-and-a-red-code", "paper-pass-withdrawn")


@dataclass(frozen=True, slots=True)
class NingboCredentials:
    """What one client of the open interface was given; synthetic unless you change it."""

    app_id: str = "synthetic-nbyxm"
    app_key: str = "synthetic-nbyxm-key"


class NingboPlatform(CityPlatform[NingboCredentials]):
    """The reference platform of Ningbo."""

    table = CITY
    credentials_type = NingboCredentials
    times = TimeForm.LOCAL
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "200",
        Result.BAD_REQUEST: "4000",
        Result.BAD_CREDENTIAL: "4010",
        Result.NOT_FOUND: "4041",
        Result.NOT_APPLIED: "4042",
        Result.QR_EXPIRED: "4101",
        Result.QR_NOT_OURS: "4102",
        Result.MUST_UPDATE: "4103",
        Result.QUOTA: "429",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One query."""
        return [web.post("/yxm/openapi/v1/query", self._query)]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call whose query string is not signed."""
        return self._refuse(dict(request.query))

    def find_qr(self, text: str) -> Result | tuple[Person, ...]:
        """Who shows a code, or whose name a paper pass bears."""
        ticket = PAPER_QR.read(text)
        if ticket is None:
            return super().find_qr(text)
        if not ticket.genuine or ticket.serial >= self.population.size:
            return Result.QR_UNKNOWN
        person = self.population.person(ticket.serial)
        # Who has applied for a code since holds no pass any more.
        has_pass = any(record.state == PAPER for record in self.records_of(person))
        return (person,) if has_pass else Result.QR_EXPIRED

    def scenarios(self) -> Mapping[str, ScenarioPerson]:
        """The people with a fixed story; some show their paper pass."""
        people = dict(super().scenarios())
        for name in _PAPER_STORIES:
            index = tuple(self.table.stories).index(name)
            people[name] = replace(people[name], qr_text=PAPER_QR.write(index, 1))
        return people

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - as the base calls it
        """Turn a red of the class green once two tests within seven days are negative."""
        tests = [now - ago for ago in record.extra.get("tested_ago", ())]
        if not tests:
            return record
        record = replace(record, negative_test_at=tests[-1].replace(microsecond=0))
        near = any(second - first <= TESTS_WITHIN for first, second in pairwise(tests))
        if record.state != RED_BY_TESTS or not near:
            return record
        return replace(
            record,
            state=GREEN,
            colour=Colour.GREEN,
            reason=TURNED_GREEN,
            release_days=None,
            release_days_done=None,
        )

    async def _query(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        refusal = self._refuse(fields)
        if refusal is not None:
            return refusal
        if fields.get("cxfs") == "ewm":
            answer = self.ask_qr(fields.get("ewm", ""))
        elif fields.get("cxfs") == "sfzh" and fields.get("zjlx") == "10":
            answer = self.ask_number(fields.get("zjhm", ""))
        else:
            return self._reply(Result.BAD_REQUEST)
        return self._reply(
            answer.result, (self._record(person, record) for person, record in answer.records)
        )

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        state, _, kind = record.state.partition("/")
        return {
            "zjhm": self.number(person),
            "xm": person.name,
            "ztmc": state,
            "zklb": kind,
            "fkd": _ISSUER.get(record.division, record.division),
            "yysm": record.reason,
            "gcts": record.release_days_done,
            "hsyxsj": self.time(record.negative_test_at),
            "pdsj": self.time(record.assessed_at),
            "gxsj": self.time(record.updated_at),
            "sjly": record.source,
            "dbrzjhm": record.proxy or None,
        }

    def _refuse(self, fields: Mapping[str, str]) -> web.Response | None:
        moment = fields.get("timestamp", "")
        if not (moment.isascii() and moment.isdigit() and len(moment) <= 13):  # noqa: PLR2004 - milliseconds until the year 2286
            return self._reply(Result.BAD_REQUEST)
        late = abs(int(moment) - int(self.clock().timestamp() * 1_000)) > CLOCK_TOLERANCE_MS
        given = fields.get("sign", "").encode("utf-8", "surrogateescape")
        wanted = sign_fields(fields, self.credentials.app_key).encode()
        known = fields.get("appId") == self.credentials.app_id
        if late or not known or not hmac.compare_digest(given, wanted):
            return self._reply(Result.BAD_CREDENTIAL)
        return None

    def _reply(self, result: Result, records: Iterable[dict[str, object]] = ()) -> web.Response:
        message = "成功" if result is Result.OK else "失败"
        return json_response({"code": self.code(result), "msg": message, "data": list(records)})


def sign_fields(fields: Mapping[str, str], key: str) -> str:
    """The signature of a call: SHA-256 over its other fields and the key."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "sign")
    return hashlib.sha256(f"{ordered}&key={key}".encode("utf-8", "surrogateescape")).hexdigest()
