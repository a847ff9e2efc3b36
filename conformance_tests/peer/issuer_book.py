"""What the reference issuer holds, in memory: people, their facts, and a rule of its own.

Written from ``docs/spec/issuer.md``. The rule is small and its own: a declared or reported
contact and a list's area are red for three check-ins, everything else is green.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hutong.v1 import (
    code_pb2,
    exchange_pb2,
    issuer_desk_service_pb2,
    issuer_pb2,
    issuer_service_pb2,
)

from conformance_tests.crypto import random_text
from conformance_tests.roles.issuing import DAY_SECONDS, stamp

RULE_DAYS = 3
DECLARATION_SECONDS = 14 * DAY_SECONDS
_SHANGHAI_SECONDS = 8 * 3600
"""Days are those of Asia/Shanghai, which stands at UTC+8."""


def day_of(seconds: float) -> int:
    """The number of the day in which a moment lies."""
    return int(seconds + _SHANGHAI_SECONDS) // DAY_SECONDS


@dataclass(slots=True)
class Fact:
    """One entry of a trace."""

    kind: str
    at: float
    by: str
    text: str
    day: int = 0
    is_exposure: bool = False
    is_normal: bool = False
    withdrawn_at: float | None = None
    id: str = field(default_factory=random_text)

    def entry(self) -> issuer_desk_service_pb2.TraceEntry:
        """The fact as a message."""
        return issuer_desk_service_pb2.TraceEntry(
            id=self.id,
            at=stamp(self.at),
            kind=self.kind,
            by=self.by,
            text=self.text,
            withdrawn_at=None if self.withdrawn_at is None else stamp(self.withdrawn_at),
        )


@dataclass(slots=True)
class Person:
    """Everything about somebody."""

    name: str = ""
    number: str = ""
    division: str = ""
    declared_at: float = 0
    facts: list[Fact] = field(default_factory=list)
    proxies: set[str] = field(default_factory=set)
    corrections: dict[str, issuer_service_pb2.Correction] = field(default_factory=dict)


@dataclass(slots=True)
class Book:
    """The people, and the clock under which they are assessed.

    Attributes:
        fault: the deliberate fault; empty for none.
        now: the clock, seconds; it stands still until it is moved.
    """

    fault: str
    now: float
    people: dict[str, Person] = field(default_factory=dict)
    kept: dict[str, list[Fact]] = field(default_factory=dict)
    references: set[tuple[str, str]] = field(default_factory=set)
    areas: set[str] = field(default_factory=set)
    revision: int = 0

    def person(self, document: exchange_pb2.Document) -> Person | None:
        """Whoever declared with a document."""
        return self.people.get(document.number)

    def holds(self, person: Person) -> bool:
        """Whether the declaration is within its validity."""
        ignored = self.fault == "expired-declaration-accepted"
        return ignored or self.now < person.declared_at + DECLARATION_SECONDS

    def progress(self, person: Person) -> int | None:
        """Check-ins done on the way back to green; None: there is nothing to go back from."""
        facts = [fact for fact in person.facts if fact.withdrawn_at is None]
        exposed = [fact.day for fact in facts if fact.is_exposure]
        if self.fault == "correction-not-assessed":
            exposed = [fact.day for fact in person.facts if fact.is_exposure]
        if self._is_at_risk(person):
            exposed.append(day_of(self.now))
        if not exposed:
            return None
        days = [fact.day for fact in facts if fact.is_normal and fact.day > max(exposed)]
        if self.fault == "days-counted-twice":
            return len(days)
        if self.fault == "missed-day-ignored":
            return len(set(days))
        done, last = 0, max(days, default=0)
        while last - done in days:
            done += 1
        return done

    def _is_at_risk(self, person: Person) -> bool:
        return person.division in self.areas and self.fault != "areas-not-assessed"

    def level(self, person: Person) -> code_pb2.Level.ValueType:
        """The level of this moment."""
        done = self.progress(person)
        if done is None:
            late = self.fault == "assessed-tomorrow"
            return code_pb2.LEVEL_YELLOW if late else code_pb2.LEVEL_GREEN
        needed = RULE_DAYS - 1 if self.fault == "green-too-early" else RULE_DAYS
        return code_pb2.LEVEL_GREEN if done >= needed else code_pb2.LEVEL_RED

    def state(self, person: Person) -> issuer_pb2.HealthState:
        """What the issuer holds of a person."""
        level = self.level(person)
        told = "" if self.fault == "reason-left-out" else "测试规则"
        state = issuer_pb2.HealthState(
            level=level,
            assessed_at=stamp(self.now),
            since=stamp(person.declared_at),
            rule="reference/contact",
            reason_zh=told,
            reason_en=told and "reference rule",
            declared_at=stamp(person.declared_at),
            declaration_valid_until=stamp(person.declared_at + DECLARATION_SECONDS),
        )
        if level != code_pb2.LEVEL_GREEN:
            done = self.progress(person) or 0
            state.release.CopyFrom(code_pb2.Release(days_done=done, days_needed=RULE_DAYS))
        return state

    def add(self, person: Person, kind: str, by: str, **told: Any) -> Fact:
        """Append a fact."""
        text = person.name if self.fault == "trace-names-person" else kind
        fact = Fact(kind, self.now, by, text, day_of(self.now), **told)
        person.facts.append(fact)
        return fact
