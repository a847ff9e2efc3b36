"""The trace: everything that ever set a person's level, in order.

Facts as they were brought, withdrawals, corrections and changes of level, each with
when, by whom and what, in words without a name or a number. Nothing is left out, and
what was withdrawn stays where it stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.codes import Level
from gateway.issuer.areas import related_divisions
from gateway.issuer.days import from_seconds
from gateway.issuer.errors import NotFoundError
from gateway.issuer.rules import StayWhen
from gateway.issuer.store import schema
from gateway.issuer.values import (
    ANSWER_NUMBERS,
    CAUSE_NUMBERS,
    CONTACT_NUMBERS,
    LEVEL_NUMBERS,
    RISK_NUMBERS,
    STATUS_NUMBERS,
    STAY_NUMBERS,
    SUBJECT_NUMBERS,
    SYMPTOM_BITS,
    AreaRisk,
    StayKind,
    Symptom,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.codes import Document
    from gateway.issuer.people import People
    from gateway.issuer.rules import RuleBook
    from gateway.issuer.store import IssuerStore

_ORDER: Final = ("stay", "declaration", "contact", "correction", "withdrawal", "level")
"""Within one second: first what was said, then what followed from it."""

_ANSWERS: Final = {number: answer.lower() for answer, number in ANSWER_NUMBERS.items()}
_KINDS: Final = {number: kind for kind, number in CONTACT_NUMBERS.items()}
_LEVELS: Final = {number: level for level, number in LEVEL_NUMBERS.items()}
_CAUSES: Final = {number: cause for cause, number in CAUSE_NUMBERS.items()}
_SUBJECTS: Final = {number: subject for subject, number in SUBJECT_NUMBERS.items()}
_STATUSES: Final = {number: status for status, number in STATUS_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One entry.

    Attributes:
        id: of the fact, as a correction withdraws it, or of the change.
        at: when it was recorded.
        kind: ``declaration``, ``stay``, ``contact``, ``level``, ``correction`` or
            ``withdrawal``.
        by: client that brought it; for a level, the rule.
        text: what it says.
        withdrawn_at: when it was withdrawn; None: it stands.
    """

    id: str
    at: datetime
    kind: str
    by: str
    text: str
    withdrawn_at: datetime | None = None


class Trace:
    """Reads traces; see the module."""

    def __init__(self, store: IssuerStore, people: People, rules: RuleBook) -> None:
        self._store = store
        self._people = people
        self._rules = rules

    async def read(self, document: Document) -> tuple[TraceEntry, ...]:
        """Everything about the person who holds a document, the oldest first.

        Raises:
            NotFoundError: nobody has declared with it.
        """
        async with self._store.read() as connection:
            person_id = await self._people.find_on(connection, document)
            if person_id is None:
                raise NotFoundError("no such person")
            entries = [entry async for entry in self._entries(connection, person_id)]
        # Sorting keeps the order of ids within one second and kind.
        return tuple(sorted(entries, key=lambda each: (each.at, _ORDER.index(each.kind))))

    async def _entries(
        self, connection: AsyncConnection, person_id: int
    ) -> AsyncIterator[TraceEntry]:
        for letter, kind, table, words in (
            ("s", "stay", schema.stays, _stay),
            ("d", "declaration", schema.declarations, _declaration),
            ("c", "contact", schema.contacts, _contact),
        ):
            for row in await _rows(connection, table, table.c.person_id == person_id):
                for entry in _fact(f"{letter}-{row.id}", kind, row, words(row)):
                    yield entry
        table = schema.corrections
        for row in await _rows(connection, table, table.c.person_id == person_id):
            for entry in _correction(row):
                yield entry
            # An entry of a list is nobody's own; here stand those this correction found wrong.
            areas = schema.areas
            why = areas.c.withdrawn_why == f"correction k-{row.id}"
            for area in await _rows(connection, areas, why):
                text = f"area {area.division} of list {area.revision}; {area.withdrawn_why}"
                yield _withdrawal(f"a-{area.id}", area, text)
        table = schema.level_changes
        for row in await _rows(connection, table, table.c.person_id == person_id):
            yield await self._level(connection, row)

    async def _level(self, connection: AsyncConnection, row: Row[Any]) -> TraceEntry:
        version, rule = self._rules.rule(row.rule)
        level = _LEVELS[row.level]
        text = level.value if row.previous is None else f"{_LEVELS[row.previous]} to {level}"
        text += f"; {rule.reason_en}"
        if row.area and level is not Level.GREEN:
            text += f"; area {row.area}"
        if isinstance(rule.when, StayWhen):
            entries = await _listed(connection, row.area, row.at)
            text += f"; listed as {' '.join(entries)}" if entries else ""
        return TraceEntry(
            id=f"l-{row.id}",
            at=from_seconds(row.at),
            kind="level",
            by=version.full_id(rule),
            text=f"{text}; cause {_CAUSES[row.cause].lower()}",
        )


async def _listed(connection: AsyncConnection, division: int, at: int) -> list[str]:
    """The entries by which a division was an area of risk, in the list of that moment."""
    lists, areas = schema.area_lists, schema.areas
    newest = sa.select(sa.func.max(lists.c.revision)).where(lists.c.valid_from <= at)
    where = sa.and_(
        areas.c.revision == newest.scalar_subquery(),
        areas.c.risk > RISK_NUMBERS[AreaRisk.LOW],
        areas.c.division.in_(related_divisions(division)),
    )
    return [f"a-{row.id}" for row in await _rows(connection, areas, where)]


async def _rows(
    connection: AsyncConnection, table: sa.Table, where: sa.ColumnElement[bool]
) -> list[Row[Any]]:
    found = await connection.execute(sa.select(table).where(where).order_by(table.c.id))
    return list(found)


def _fact(fact_id: str, kind: str, row: Row[Any], text: str) -> list[TraceEntry]:
    withdrawn_at = None if row.withdrawn_at is None else from_seconds(row.withdrawn_at)
    entries = [
        TraceEntry(fact_id, from_seconds(row.recorded_at), kind, row.client, text, withdrawn_at)
    ]
    if withdrawn_at is not None:
        entries.append(_withdrawal(fact_id, row, f"{fact_id}; {row.withdrawn_why}"))
    return entries


def _withdrawal(fact_id: str, row: Row[Any], text: str) -> TraceEntry:
    return TraceEntry(
        id=f"w-{fact_id}",
        at=from_seconds(row.withdrawn_at),
        kind="withdrawal",
        by=row.withdrawn_by,
        text=text,
    )


def _declaration(row: Row[Any]) -> str:
    told = [symptom.lower() for symptom, bit in SYMPTOM_BITS.items() if row.symptoms & bit]
    parts = [
        f"temperature {row.temperature / 10:.1f} °C",
        f"symptoms {' '.join(told) or Symptom.NONE.lower()}",
        *(
            f"{question.replace('_', ' ')} {_ANSWERS[getattr(row, question)]}"
            for question in ("contact", "risk_area", "overseas")
        ),
    ]
    if row.proxy_id is not None:
        parts.append("declared by a proxy")
    return "; ".join(parts)


def _stay(row: Row[Any]) -> str:
    since = from_seconds(row.entered_at).isoformat()
    if row.kind == STAY_NUMBERS[StayKind.RESIDENCE]:
        return f"lives in {row.division} since {since}"
    until = "still there" if row.left_at is None else f"to {from_seconds(row.left_at).isoformat()}"
    return f"in {row.division} from {since}, {until}"


def _contact(row: Row[Any]) -> str:
    at = from_seconds(row.at).isoformat()
    text = f"{_KINDS[row.kind].lower()} on {at} in {row.division}; reference {row.reference}"
    if row.known_at != row.recorded_at:
        text += f"; kept until {from_seconds(row.known_at).isoformat()}"
    return text


def _correction(row: Row[Any]) -> list[TraceEntry]:
    subject = _SUBJECTS[row.subject].lower()
    correction_id = f"k-{row.id}"
    entries = [
        TraceEntry(
            correction_id,
            from_seconds(row.recorded_at),
            "correction",
            row.client,
            f"{subject} said to be wrong",
        )
    ]
    if row.answered_at is not None:
        entries.append(
            TraceEntry(
                f"{correction_id}-answer",
                from_seconds(row.answered_at),
                "correction",
                row.answered_by,
                f"{subject}: {_STATUSES[row.status].lower()}",
            )
        )
    return entries
