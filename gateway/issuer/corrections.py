"""Corrections: somebody says that what the issuer holds is wrong.

A person has at most one open correction for each subject. A reviewer answers it, and
says why: UPHELD withdraws facts, by the identifiers of the trace, and the level is
assessed again in the same transaction; REJECTED lets everything stand. Nothing is
deleted and nothing is answered twice.

Facts that may be withdrawn are the person's own declarations, stays and contacts, and
entries of lists of areas (``a-…``): these touch everybody there, who are all assessed.

What the person says and what is answered is free text and may hold anything, so both
are sealed like identities.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gateway.issuer.assess import Clocks
from gateway.issuer.checks import Faults
from gateway.issuer.days import DAY_SECONDS, from_seconds, to_seconds
from gateway.issuer.errors import (
    DeclarationMissingError,
    NotFoundError,
    ProxyNotAllowedError,
    WrongStateError,
)
from gateway.issuer.store import schema
from gateway.issuer.values import (
    STATUS_NUMBERS,
    SUBJECT_NUMBERS,
    Cause,
    Code,
    CorrectionStatus,
    CorrectionSubject,
    Identity,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.codes import Document
    from gateway.issuer.areas import Areas
    from gateway.issuer.assess import Assessor
    from gateway.issuer.people import People
    from gateway.issuer.runs import Runs
    from gateway.issuer.store import IssuerStore

FACT_TABLES: Final = {
    "d": schema.declarations,
    "s": schema.stays,
    "c": schema.contacts,
    "a": schema.areas,
}
"""Which table an identifier such as ``s-12`` names."""

MAX_TEXT: Final = 1000
MAX_WITHDRAWN: Final = 64
"""Bounds of the schema."""

_FACT = re.compile(r"([dsca])-([1-9][0-9]{0,17})", re.ASCII)
_CORRECTION = re.compile(r"k-([1-9][0-9]{0,17})", re.ASCII)
_SUBJECTS: Final = {number: subject for subject, number in SUBJECT_NUMBERS.items()}
_STATUSES: Final = {number: status for status, number in STATUS_NUMBERS.items()}


@dataclass(frozen=True, slots=True, repr=False)
class Correction:
    """A correction.

    Attributes:
        id: text such as ``k-12``.
        subject: what is said to be wrong.
        status: how it stands.
        opened_at: when it was opened.
        answered_at: when it was answered; None: open.
        answer: why so, for the holder; empty: open.
    """

    id: str
    subject: CorrectionSubject
    status: CorrectionStatus
    opened_at: datetime
    answered_at: datetime | None
    answer: str


@dataclass(frozen=True, slots=True, repr=False)
class CorrectionCase:
    """A correction as a reviewer needs it.

    Attributes:
        number: its place in the list of all; hand in the last as ``after``.
        correction: the correction.
        statement: what the person says.
        identity: who it is; mask it before it leaves the process.
        code: the person's code now.
    """

    number: int
    correction: Correction
    statement: str
    identity: Identity
    code: Code


class Corrections:
    """Opens and answers corrections; see the module."""

    def __init__(
        self, store: IssuerStore, people: People, assessor: Assessor, areas: Areas, runs: Runs
    ) -> None:
        self._store = store
        self._people = people
        self._assessor = assessor
        self._areas = areas
        self._runs = runs

    async def open(
        self,
        document: Document,
        subject: CorrectionSubject,
        statement: str,
        *,
        proxy: Document | None,
        client: str,
        now: datetime,
    ) -> Correction:
        """Open one.

        Raises:
            RequestError: the statement is empty or too long.
            DeclarationMissingError: the person has never declared.
            ProxyNotAllowedError: the proxy is not recorded for this person.
            WrongStateError: one of this subject is open already.
        """
        faults = Faults()
        faults.need(
            1 <= len(statement) <= MAX_TEXT, "open.statement", f"1 to {MAX_TEXT} characters"
        )
        faults.refuse()
        table = schema.corrections
        async with self._store.write() as connection:
            person_id = await self._allowed(connection, document, proxy)
            values = {
                "person_id": person_id,
                "subject": SUBJECT_NUMBERS[subject],
                "status": STATUS_NUMBERS[CorrectionStatus.OPEN],
                "statement": self._people.box.seal_text(statement, person_id),
                "recorded_at": to_seconds(now),
                "client": client,
            }
            try:
                inserted = await connection.execute(sa.insert(table).returning(*table.c), values)
            except IntegrityError:
                raise WrongStateError("a correction of this subject is open already") from None
            return self._correction(inserted.one())

    async def show(
        self, document: Document, correction_id: str, *, proxy: Document | None
    ) -> Correction:
        """How one of a person's corrections stands.

        Raises:
            NotFoundError: the person has none of this id.
            DeclarationMissingError: the person has never declared.
            ProxyNotAllowedError: the proxy is not recorded for this person.
        """
        async with self._store.read() as connection:
            person_id = await self._allowed(connection, document, proxy)
            row = await self._row(connection, correction_id)
        if row.person_id != person_id:
            raise NotFoundError("no such correction")
        return self._correction(row)

    async def cases(
        self, status: CorrectionStatus | None, *, after: int = 0, limit: int = 50
    ) -> tuple[CorrectionCase, ...]:
        """Corrections as a reviewer sees them, the oldest first.

        Args:
            status: only these; None: all.
            after: ``CorrectionCase.number`` of the last one already seen; 0: none.
            limit: at most so many.
        """
        table, people, codes = schema.corrections, schema.people, schema.codes
        statement = (
            sa.select(table, people.c.lookup, people.c.sealed, *_named(codes))
            .join(people, people.c.id == table.c.person_id)
            .join(codes, codes.c.person_id == table.c.person_id)
            .where(table.c.id > after)
            .order_by(table.c.id)
            .limit(limit)
        )
        if status is not None:
            statement = statement.where(table.c.status == STATUS_NUMBERS[status])
        async with self._store.read() as connection:
            rows = (await connection.execute(statement)).all()
        return tuple(self._case(row) for row in rows)

    async def answer(
        self,
        correction_id: str,
        status: CorrectionStatus,
        answer: str,
        withdrawn: Sequence[str],
        *,
        client: str,
        clock: Callable[[], datetime],
    ) -> tuple[Correction, Code]:
        """Uphold or reject one, and assess the person again.

        Args:
            correction_id: which.
            status: UPHELD or REJECTED.
            answer: why, for the holder.
            withdrawn: facts found wrong, by the identifiers of the trace; at least one
                with UPHELD, none with REJECTED.
            client: who answers.
            clock: tells the moment.

        Raises:
            RequestError: a field breaks its rule, or a fact is not there to withdraw.
            NotFoundError: no such correction.
            WrongStateError: it is answered already.
        """
        _check_answer(status, answer, withdrawn)
        table = schema.corrections
        async with self._store.write() as connection:
            if any(fact.startswith("a-") for fact in withdrawn):
                await self._store.lock_fence(connection)
            row = await self._row(connection, correction_id)
            before = await self._lock(connection, row.person_id)
            now = clock()
            seconds = to_seconds(now)
            answered = await connection.execute(
                sa.update(table)
                .where(
                    table.c.id == row.id,
                    table.c.status == STATUS_NUMBERS[CorrectionStatus.OPEN],
                )
                .values(
                    status=STATUS_NUMBERS[status],
                    answer=self._people.box.seal_text(answer, row.person_id),
                    answered_at=seconds,
                    answered_by=client,
                )
                .returning(*table.c)
            )
            after = answered.one_or_none()
            if after is None:
                raise WrongStateError("the correction is answered already")
            why = f"correction {correction_id}"
            await self._withdraw(connection, row.person_id, withdrawn, client, seconds, why)
            run_id = None
            if any(fact.startswith("a-") for fact in withdrawn):
                run_id = await self._areas.rederive(connection, now=seconds)
            code = await self._assessor.one(
                connection,
                row.person_id,
                before,
                now=seconds,
                cause=Cause.CORRECTION,
                clocks=await self._clocks(connection, before, seconds),
            )
        if run_id is not None:
            await self._runs.finish(run_id, clock)
        return self._correction(after), code

    async def _lock(self, connection: AsyncConnection, person_id: int) -> Row[Any]:
        people, codes = schema.people, schema.codes
        found = await connection.execute(sa.select(people.c.lookup).where(people.c.id == person_id))
        await self._store.lock_people(connection, [found.scalar_one()])
        locked = await connection.execute(
            sa.select(codes).where(codes.c.person_id == person_id).with_for_update(key_share=True)
        )
        return locked.one()

    async def _withdraw(
        self,
        connection: AsyncConnection,
        person_id: int,
        facts: Sequence[str],
        client: str,
        now: int,
        why: str,
    ) -> None:
        faults = Faults()
        for place, fact in enumerate(facts):
            parts = _FACT.fullmatch(fact)
            found = 0
            if parts is not None:
                table = FACT_TABLES[parts[1]]
                where = [table.c.id == int(parts[2]), table.c.withdrawn_at.is_(None)]
                if "person_id" in table.c:
                    where.append(table.c.person_id == person_id)
                values = {"withdrawn_at": now, "withdrawn_by": client, "withdrawn_why": why}
                result = await connection.execute(sa.update(table).where(*where).values(values))
                found = result.rowcount
            faults.need(found == 1, f"withdrawn[{place}]", "a fact of this person that stands")
        faults.refuse()

    async def _clocks(self, connection: AsyncConnection, before: Row[Any], now: int) -> Clocks:
        """The declaration that holds, of those that stand."""
        table = schema.declarations
        newest = await connection.scalar(
            sa.select(sa.func.max(table.c.recorded_at)).where(
                table.c.person_id == before.person_id, table.c.withdrawn_at.is_(None)
            )
        )
        if newest is None:
            return Clocks(before.declared_at, min(before.declaration_until, now))
        days = self._assessor.rules.in_force(from_seconds(newest)).declaration_days
        return Clocks(newest, newest + days * DAY_SECONDS)

    async def _allowed(
        self, connection: AsyncConnection, document: Document, proxy: Document | None
    ) -> int:
        person_id = await self._people.find_on(connection, document)
        if person_id is None:
            raise DeclarationMissingError("the person has never declared")
        if proxy is not None and not await self._people.may_act_on(connection, person_id, proxy):
            raise ProxyNotAllowedError("nobody is recorded who may act for this person")
        return person_id

    async def _row(self, connection: AsyncConnection, correction_id: str) -> Row[Any]:
        table = schema.corrections
        parts = _CORRECTION.fullmatch(correction_id)
        row = None
        if parts is not None:
            found = await connection.execute(sa.select(table).where(table.c.id == int(parts[1])))
            row = found.one_or_none()
        if row is None:
            raise NotFoundError("no such correction")
        return row

    def _correction(self, row: Row[Any]) -> Correction:
        answer = ""
        if row.answer is not None:
            answer = self._people.box.open_text(row.answer, row.person_id)
        return Correction(
            id=f"k-{row.id}",
            subject=_SUBJECTS[row.subject],
            status=_STATUSES[row.status],
            opened_at=from_seconds(row.recorded_at),
            answered_at=None if row.answered_at is None else from_seconds(row.answered_at),
            answer=answer,
        )

    def _case(self, row: Row[Any]) -> CorrectionCase:
        values = {
            name.removeprefix("code_"): value
            for name, value in row._mapping.items()  # noqa: SLF001  public API
            if name.startswith("code_")
        }
        return CorrectionCase(
            number=row.id,
            correction=self._correction(row),
            statement=self._people.box.open_text(row.statement, row.person_id),
            identity=self._people.box.open(row.lookup, row.sealed),
            code=self._assessor.code(row.person_id, values),
        )


def _named(codes: sa.Table) -> list[Any]:
    return [column.label(f"code_{column.name}") for column in codes.c]


def _check_answer(status: CorrectionStatus, answer: str, withdrawn: Sequence[str]) -> None:
    faults = Faults()
    faults.need(status is not CorrectionStatus.OPEN, "status", "UPHELD or REJECTED")
    faults.need(1 <= len(answer) <= MAX_TEXT, "answer", f"1 to {MAX_TEXT} characters")
    faults.need(len(withdrawn) <= MAX_WITHDRAWN, "withdrawn", f"at most {MAX_WITHDRAWN}")
    faults.need(len(set(withdrawn)) == len(withdrawn), "withdrawn", "each once")
    if status is CorrectionStatus.UPHELD:
        faults.need(bool(withdrawn), "withdrawn", "at least one fact, where upheld")
    else:
        faults.need(not withdrawn, "withdrawn", "none, where rejected")
    faults.refuse()
