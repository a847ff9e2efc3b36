"""The platform behind the reference adapter, and how the adapter reads it.

A dozen made-up people, each with one story of the specification, and moods of the whole
platform (slow, stale, garbage…) that a small HTTP door switches. What the adapter makes
of a record is written from ``docs/spec/codes.md``, but for the fault it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aiohttp import web

from conformance_tests.attestations import LEVELS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SCHEME = "reference@1"
DIVISION = "110000"
_DAY_SECONDS = 86_400
_SKEW_SECONDS = 60
_HELD_SECONDS = 10.0
"""Longest that an answer is held back: far longer than the suite takes to turn somebody."""
_ZONE = ZoneInfo("Asia/Shanghai")
_COMPUTED = "2020-03-01 08:00:00"
COMPUTED_SECONDS = 1_583_020_800
"""``_COMPUTED`` read in the zone of the scheme: midnight in UTC."""
_STATES = {"绿码": "GREEN", "黄码": "YELLOW", "红码": "RED", "非绿码": "RESTRICTED"}
_ORDINALS = {"绿码": "3"}
"""A camera's numbers; 3 happens to be the RED of the schema."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the platform; times as it writes them, ends in seconds from now."""

    state: str
    computed: str = _COMPUTED
    ends_in: int = _DAY_SECONDS
    declaration_ends_in: int = _DAY_SECONDS
    contact: str = "NO"
    applied_by: str = ""
    issued_by: str = DIVISION
    tested_in: int = 0


def _number(serial: int) -> str:
    """A made-up resident number, born in 1900: nobody's; the last digit is no check."""
    return f"11010119000101{serial:04d}"


_HOLDER, _GUARDIAN = 1001, 1002
PEOPLE: dict[str, tuple[int, tuple[Record, ...]]] = {
    "green": (_HOLDER, (Record("绿码"),)),
    "restricted": (_GUARDIAN, (Record("红码"),)),
    "unknown-state": (1003, (Record("紫码"),)),
    "two-colour-red": (1004, (Record("非绿码"),)),
    "several-records": (1005, (Record("绿码"), Record("红码"), Record("黄码"))),
    "expired-code": (1006, (Record("绿码", ends_in=-60),)),
    "expired-declaration": (1007, (Record("绿码", declaration_ends_in=-60),)),
    "shared": (1008, ()),
    "proxy": (1009, (Record("绿码", applied_by=_number(_GUARDIAN)),)),
    "not-applied": (1010, ()),
    "evidence-only": (1011, (Record("到访地"),)),
    "unanswered": (1012, (Record("绿码", contact=""),)),
    "must-update": (1013, ()),
    "pending": (1014, ()),
    "foreign-record": (1015, (Record("绿码", issued_by="310000"),)),
    "test-from-ahead": (1017, (Record("绿码", tested_in=_DAY_SECONDS),)),
    "turned": (1016, (Record("绿码"),)),
}
"""Story: serial and records; who has none is told apart by the platform's own code."""

NOBODY = _number(1099)
TEXT = "REFERENCE-0001"
"""A QR text of somebody green, whom the platform does not name."""
_CODES = {
    "shared": "AMBIGUOUS_SUBJECT",
    "not-applied": "NOT_APPLIED",
    "must-update": "HOLDER_MUST_UPDATE",
    "pending": "PENDING_REVIEW",
}
MOODS = {
    "slow-platform": "slow",
    "stale": "stale",
    "unreadable": "garbage",
    "busy": "busy",
    "ordinal": "ordinal",
    "unreadable-date": "odd-dates",
}
"""Person of the profile: the mood in which the green person is asked."""
DECLARED: dict[str, dict[str, Any]] = {
    "several-records": {"level": "RED", "also": ["YELLOW", "GREEN"]},
    "date-without-zone": {"assessed_at": COMPUTED_SECONDS},
    "proxy": {"level": "GREEN", "acting": "restricted"},
    "unanswered": {"declarations": {"risk_area": "NO"}},
    "turned": {"bystander": "green"},
}
"""What the profile says of a person beside the presentation."""


@dataclass(slots=True)
class ReferencePlatform:
    """Answers for one document number at a time.

    Attributes:
        fault: the deliberate fault; empty for none.
        mood: what ails the platform; empty for nothing.
        url: of the door that switches the mood; empty: it is not open.
        on_turn: called with the number of who is turned, and the state; none: green again.
        on_drain: called when the adapter has to stop, and when it may go on.
    """

    fault: str = ""
    mood: str = ""
    url: str = ""
    on_turn: Callable[[str, str | None], None] = lambda _number, _state: None
    on_drain: Callable[[bool], None] = lambda _is_draining: None
    _turned: dict[str, str] = field(default_factory=dict)
    _stories: dict[str, str] = field(
        default_factory=lambda: (
            {_number(serial): name for name, (serial, _) in PEOPLE.items()} | {TEXT: "green"}
        )
    )
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def door(self) -> AsyncIterator[None]:
        """Open the door that switches the mood."""
        app = web.Application()
        app.router.add_put("/mood", self._switch)
        app.router.add_delete("/mood", self._calm)
        app.router.add_put("/turned", self._turn)
        app.router.add_put("/gap", self._forget)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mood"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _switch(self, request: web.Request) -> web.Response:
        self.mood = str((await request.json())["mood"])
        self._asked, self._answers = asyncio.Event(), asyncio.Event()
        if self.mood == "drain":
            self.on_drain(True)  # noqa: FBT003 - a callback takes no keywords
        return web.Response()

    async def _calm(self, _: web.Request) -> web.Response:
        if self.mood == "drain":
            self.on_drain(False)  # noqa: FBT003 - a callback takes no keywords
        self.mood = ""
        return web.Response()

    async def hold(self) -> None:
        """Hold an answer back until somebody is turned."""
        self._asked.set()
        async with asyncio.timeout(_HELD_SECONDS):
            await self._answers.wait()

    async def _forget(self, request: web.Request) -> web.Response:
        """Turn somebody, or nobody any more, and lose the place in what was told."""
        body = await request.json()
        number = _number(PEOPLE[body["person"]][0])
        self._turned.pop(number, None)
        if body["state"] is not None:
            self._turned[number] = body["state"]
        if self.fault != "gap-ignored":
            # What the adapter does about it: all who are not green are taken for turned.
            for other, state in self._turned.items():
                self.on_turn(other, state)
        return web.Response()

    async def _turn(self, request: web.Request) -> web.Response:
        body = await request.json()
        number, state = _number(PEOPLE[body["person"]][0]), body["state"]
        if self.mood == "hold" and state is not None:
            # Nobody is turned before somebody has asked: so what is held back is old.
            async with asyncio.timeout(_HELD_SECONDS):
                await self._asked.wait()
        self._turned.pop(number, None)
        if state is not None:
            self._turned[number] = state
        self.on_turn(number, state)
        self._answers.set()
        return web.Response()

    def switch(self, path: str, **arrange: str) -> dict[str, Any]:
        """How the door is asked to bring something about, and to undo it."""
        door = self.url.removesuffix("mood") + path
        return {
            "arrange": {"method": "PUT", "url": door, "json": arrange},
            "restore": {"method": "DELETE", "url": door},
        }

    def people(self) -> dict[str, dict[str, Any]]:
        """The ``people`` of the profile."""
        found: dict[str, dict[str, Any]] = {"unknown": {"document": {"type": 10, "number": NOBODY}}}
        found |= {name: _entry(serial) for name, (serial, _) in PEOPLE.items()}
        found["date-without-zone"] = _entry(_HOLDER)
        found["unnamed"] = {"qr_text": TEXT}
        if self.url:
            for name, mood in MOODS.items():
                found[name] = _entry(_HOLDER) | self.switch("mood", mood=mood)
            found["turned"] |= self._turns("turned") | {
                "meanwhile": self.switch("mood", mood="hold"),
                "gap": self._turns("gap"),
            }
        for name, declared in DECLARED.items():
            found[name] |= declared
        return found

    def _turns(self, path: str) -> dict[str, Any]:
        door = self.url.removesuffix("mood") + path
        return {
            word: {"method": "PUT", "url": door, "json": {"person": "turned", "state": state}}
            for word, state in (("arrange", "红码"), ("restore", None))
        }

    def ask(self, number: str, *, is_late: bool = False) -> tuple[str, str | dict[str, Any]]:
        """What the adapter makes of a person: whose record it is, and an outcome or a code.

        Args:
            number: of a document, or a QR text.
            is_late: as it was before anybody was turned.
        """
        story = self._stories.get(number)
        ailing = self._ailing()
        if ailing:
            return number, ailing
        if story is None:
            return number, self._unless("unknown-becomes-green", "NOT_FOUND")
        if story in _CODES:
            fault = f"{story}-becomes-green"
            return number, self._unless(fault, _CODES[story])
        records = PEOPLE[story][1]
        if number in self._turned and not is_late:
            records = (Record(self._turned[number]),)
        owner = records[0].applied_by
        if owner and self.fault == "proxy-record-answered":
            return self.ask(owner)
        return number, self._several(records)

    def _ailing(self) -> str | dict[str, Any]:
        outcomes = {
            "slow": ("timeout-becomes-green", "SOURCE_TIMED_OUT"),
            "stale": ("stale-becomes-green", "CODE_EXPIRED"),
            "garbage": ("garbage-becomes-green", "SOURCE_UNPARSABLE"),
            "busy": ("busy-becomes-green", "SOURCE_BUSY"),
            "odd-dates": ("missing-date-becomes-today", "SOURCE_UNPARSABLE"),
        }
        if self.mood in outcomes:
            return self._unless(*outcomes[self.mood])
        if self.mood == "ordinal":
            ordinal = int(_ORDINALS["绿码"])
            copied = {"GREEN": 1, "YELLOW": 2, "RED": 3, "RESTRICTED": 4}
            level = next(name for name, number in copied.items() if number == ordinal)
            if self.fault == "ordinal-copied":
                return self._code(Record("绿码"), level)
            return "CANNOT_DETERMINE"
        return ""

    def _unless(self, fault: str, outcome: str) -> str | dict[str, Any]:
        return self._code(Record("绿码"), "GREEN") if self.fault == fault else outcome

    def _several(self, records: tuple[Record, ...]) -> str | dict[str, Any]:
        codes = [self._one(record) for record in records]
        refused = [code for code in codes if isinstance(code, str)]
        if refused:
            return refused[0]
        stated = [code for code in codes if isinstance(code, dict)]
        stated.sort(key=lambda code: LEVELS.index(code["level"]))
        if self.fault == "records-merged-to-best":
            return stated[-1]
        if self.fault == "record-left-out":
            stated = stated[:2]
        return {**stated[0], "also": stated[1:]} if len(stated) > 1 else stated[0]

    def _one(self, record: Record) -> str | dict[str, Any]:  # noqa: PLR0911 - a return a rule
        level = _STATES.get(record.state)
        if record.issued_by != DIVISION:
            return self._unless("foreign-record-becomes-green", "CANNOT_DETERMINE")
        if record.tested_in > _SKEW_SECONDS:
            return self._unless("test-from-ahead-taken", "SOURCE_UNPARSABLE")
        if record.state == "到访地":
            return self._unless("evidence-becomes-green", "EVIDENCE_ONLY")
        if level is None:
            return self._unless("unknown-state-becomes-green", "CANNOT_DETERMINE")
        if record.ends_in <= 0 and self.fault != "expired-code-accepted":
            return "CODE_EXPIRED"
        if record.declaration_ends_in <= 0 and self.fault != "expired-declaration-accepted":
            return "DECLARATION_EXPIRED"
        if level == "RESTRICTED" and self.fault == "two-colour-becomes-yellow":
            level = "YELLOW"
        if level == "RED" and self.fault == "restricted-becomes-green":
            level = "GREEN"
        return self._code(record, level)

    def _code(self, record: Record, level: str) -> dict[str, Any]:
        zone = UTC if self.fault == "local-time-as-utc" else _ZONE
        computed = datetime.fromisoformat(record.computed).replace(tzinfo=zone)
        answers = {"contact": record.contact, "risk_area": "NO"}
        if self.fault == "absent-becomes-no":
            answers["contact"] = answers["contact"] or "NO"
        return {
            "level": level,
            "scheme": SCHEME,
            "state": record.state,
            "assessed_at": int(computed.timestamp()),
            "valid_until": int(time.time()) + abs(record.ends_in) * 60,
            "source_at": int(time.time()) - 60,
            "issued_by": DIVISION,
            "declarations": {name: answer for name, answer in answers.items() if answer},
        }


def _entry(serial: int) -> dict[str, Any]:
    return {"document": {"type": 10, "number": _number(serial)}}
