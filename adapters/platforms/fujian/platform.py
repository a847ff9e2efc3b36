"""Fujian's wire as the reference platform speaks it.

No source shows the real one; every detail is a choice, made to differ from the
others': forms signed with HMAC-SHA-256, members in pinyin initials, digits-only
local times, a word for each kind of document::

    POST /bmm/open/v1/code      zjlx=SFZ&zjhm=…
    POST /bmm/open/v1/scan      ewm=…
    each with appid, ts (milliseconds), nonce and
    sign = HMAC-SHA-256(fields as a=1&b=2 in order of their names), lower-case hex

    {"code":"200","message":"成功","result":[{"holder":"…","xm":"测**","zjhm":"3501**…",
      "mzt":"黄码","mzyy":"混检阳性同管人员","fmqh":"350000","pdsj":"20220701080000",
      "gxsj":"20220701080000","yxcysj":"20220630200000","dbrzjhm":null}]}

``holder`` is the same for all records of one person, ``fmqh`` 发码区划, ``pdsj``
判定时间, ``gxsj`` 更新时间, ``yxcysj`` 阴性采样时间, ``dbrzjhm`` the proxy's number.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.fujian.table import CITY, GREEN, POOL, POOL_CLEARED_AFTER
from adapters.platforms.papers import paper_holder
from adapters.platforms.records import Answer, Colour, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person

CLOCK_TOLERANCE_MS: Final = 300_000
"""Five minutes between the clocks of caller and platform."""

_MS_DIGITS: Final = 13  # until the year 2286
_RESIDENT_CARD: Final = "SFZ"
_OTHER_PAPERS: Final = {"GATXZ": 14, "TWTXZ": 15, "HZ": 20}


@dataclass(frozen=True, slots=True)
class FujianCredentials:
    """What the one client of the platform was given; synthetic unless you change it."""

    app_id: str = "synthetic-bmm-app"
    app_key: str = "synthetic-bmm-key"


class FujianPlatform(CityPlatform[FujianCredentials]):
    """The reference platform of Fujian."""

    table = CITY
    credentials_type = FujianCredentials
    times = TimeForm.LOCAL_COMPACT
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "200",
        Result.BAD_REQUEST: "4000",
        Result.BAD_CREDENTIAL: "4010",
        Result.NOT_FOUND: "4001",
        Result.NOT_APPLIED: "4002",
        Result.QR_EXPIRED: "4003",
        Result.QR_NOT_OURS: "4004",
        Result.MUST_UPDATE: "4005",
        Result.QUOTA: "4290",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """A query by document and one by QR text."""
        return [
            web.post("/bmm/open/v1/code", self._code),
            web.post("/bmm/open/v1/scan", self._scan),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed query fields, as the catalogue is asked for with."""
        return self._refuse(dict(request.query))

    def find_paper(self, word: str, number: str) -> Result | tuple[Person, ...]:
        """Who holds a document; every kind that the wire has a word for."""
        if word == _RESIDENT_CARD:
            return self.find_number(number)
        kind = _OTHER_PAPERS.get(word)
        index = None if kind is None else paper_holder(kind, number)
        if kind is None:
            return Result.BAD_REQUEST
        if index is None or index >= self.population.size:
            return Result.NOT_FOUND
        return (self.population.person(index),)

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - as the base calls it
        """Turn whoever was merely in a positive pool green twelve hours later."""
        if record.reason != POOL or now - record.changed_at < POOL_CLEARED_AFTER:
            return record
        return replace(
            record,
            state=GREEN,
            colour=Colour.GREEN,
            reason=f"解除 - {POOL}已排除",
            changed_at=record.changed_at + POOL_CLEARED_AFTER,
        )

    async def _code(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        word, number = fields.get("zjlx", ""), fields.get("zjhm", "")
        return self._refuse(fields) or self._reply(self._asked(self.find_paper(word, number)))

    async def _scan(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        return self._refuse(fields) or self._reply(self.ask_qr(fields.get("ewm", "")))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        return {
            "holder": self.population.mark(f"holder/{person.index}", 8).hex(),
            "xm": person.name[0] + "**",
            "zjhm": self.masked(person),
            "mzt": record.state,
            "mzyy": record.reason,
            "fmqh": record.division,
            "pdsj": self.time(record.assessed_at),
            "gxsj": self.time(record.updated_at),
            "yxcysj": self.time(record.negative_test_at),
            "dbrzjhm": self.echo(record.proxy) or None,
        }

    def _refuse(self, fields: Mapping[str, str]) -> web.Response | None:
        moment = fields.get("ts", "")
        in_time = (
            len(moment) == _MS_DIGITS
            and moment.isascii()
            and moment.isdigit()
            and abs(int(moment) - self.clock().timestamp() * 1_000) <= CLOCK_TOLERANCE_MS
        )
        known = fields.get("appid") == self.credentials.app_id and bool(fields.get("nonce"))
        wanted = sign_fields(fields, self.credentials.app_key)
        signed = hmac.compare_digest(fields.get("sign", "").encode(), wanted.encode())
        if in_time and known and signed:
            return None
        return self._reply(Answer(Result.BAD_CREDENTIAL))

    def _reply(self, answer: Answer) -> web.Response:
        is_ok = answer.result is Result.OK
        return json_response(
            {
                "code": self.code(answer.result),
                "message": "成功" if is_ok else "失败",
                "result": [self._record(*held) for held in answer.records] if is_ok else None,
            }
        )


def sign_fields(fields: Mapping[str, str], key: str) -> str:
    """The signature over all fields but itself."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "sign")
    return hmac.new(key.encode(), ordered.encode(), hashlib.sha256).hexdigest()
