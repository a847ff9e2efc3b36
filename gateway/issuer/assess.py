"""Assessing: the compiled rule, applied to one person, to several, to a span of ids.

Every way runs the same SELECT (:func:`gateway.issuer.exposures.picks`) and writes the
same columns. A level is a function of the facts that stand, the lists of areas and the
moment, so assessing twice changes nothing and an interrupted run can simply go on.

``since`` moves when the level changes; a row of ``level_changes`` is written when the
rule or the area changes (which a change of level always is). ``assessed_at`` never
goes back.

Whoever calls holds the people's locks; see :mod:`gateway.issuer.store.store`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.codes import Level, Release
from gateway.issuer.days import from_seconds, to_seconds
from gateway.issuer.exposures import picks, unpack
from gateway.issuer.sqlwords import NOW
from gateway.issuer.store import schema
from gateway.issuer.values import CAUSE_NUMBERS, LEVEL_NUMBERS, Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.sql.dml import Insert, Update
    from sqlalchemy.sql.selectable import Select

    from gateway.issuer.rules import Rule, RuleBook, RuleVersion
    from gateway.issuer.store import IssuerStore
    from gateway.issuer.values import Cause

_LEVELS: Final = {number: level for level, number in LEVEL_NUMBERS.items()}

_PERSON: Final = sa.bindparam("person", type_=sa.BigInteger)
_LOW: Final = sa.bindparam("low", type_=sa.BigInteger)
_HIGH: Final = sa.bindparam("high", type_=sa.BigInteger)
_CAUSE: Final = sa.bindparam("cause", type_=sa.SmallInteger)

# Of the connection that uses them, and empty outside of a transaction.
_temporary: Final = sa.MetaData()
_scope_table: Final = sa.Table(
    "issuer_scope",
    _temporary,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
)
_picks_table: Final = sa.Table(
    "issuer_picks",
    _temporary,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("pick", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Assessed:
    """What an assessment of several people did.

    Attributes:
        people: how many were assessed.
        changed: how many of them have another level now.
    """

    people: int
    changed: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """The declaration that holds: when it was made, and until when it does."""

    declared_at: int
    declaration_until: int


@dataclass(frozen=True, slots=True)
class Touched:
    """Whom a change touches.

    Attributes:
        people: a SELECT of ids.
        parameters: of that SELECT.
    """

    people: Select[tuple[int]]
    parameters: Mapping[str, int]


class Assessor:
    """Assesses by a book of rules; the version in force at the moment decides."""

    def __init__(self, store: IssuerStore, rules: RuleBook) -> None:
        self._store = store
        self.rules = rules
        self._one: dict[str, Any] = {}
        self._sets: dict[tuple[str, bool], _SetStatements] = {}

    async def one(
        self,
        connection: AsyncConnection,
        person_id: int,
        before: Row[Any] | None,
        *,
        now: int,
        cause: Cause,
        clocks: Clocks | None = None,
    ) -> Code:
        """Assess one person and write the code.

        Args:
            connection: of the transaction that holds the person's lock.
            person_id: who.
            before: the row of ``codes``, locked; None: there is none yet.
            now: the moment, in seconds.
            cause: why, for the history.
            clocks: the declaration that holds from now on; None: the one before.
        """
        if before is not None:
            # Another process may have been a moment ahead; a day never goes back.
            now = max(now, before.assessed_at)
        version = self.rules.in_force(from_seconds(now))
        statement = self._one.get(version.id)
        if statement is None:
            statement = self._one[version.id] = picks(version, lambda column: column == _PERSON)
        found = (await connection.execute(statement, {"person": person_id, "now": now})).first()
        green = (LEVEL_NUMBERS[Level.GREEN], 0, version.green.number, 0)
        level, remaining, rule, area = green if found is None else unpack(int(found.pick))
        values = {
            "assessed_at": now,
            "level": level,
            "rule": rule,
            "remaining": remaining,
            "area": area,
            "since": now if before is None or before.level != level else before.since,
        }
        if clocks is not None:
            values["declared_at"] = clocks.declared_at
            values["declaration_until"] = clocks.declaration_until
        table = schema.codes
        if before is None:
            values["person_id"] = person_id
            await connection.execute(sa.insert(table), values)
        else:
            where = table.c.person_id == sa.bindparam("b_person")
            update = sa.update(table).where(where)
            await connection.execute(update, {**values, "b_person": person_id})
            values = {**before._mapping, **values}  # noqa: SLF001  public API
        if before is None or (before.rule, before.area) != (rule, area):
            await connection.execute(
                sa.insert(schema.level_changes),
                {
                    "person_id": person_id,
                    "at": now,
                    "previous": None if before is None else before.level,
                    "level": level,
                    "rule": rule,
                    "area": area,
                    "cause": CAUSE_NUMBERS[cause],
                },
            )
        return self.code(person_id, values)

    async def several(
        self, connection: AsyncConnection, people: Sequence[int], *, now: int, cause: Cause
    ) -> Assessed:
        """Assess people whose locks the transaction holds."""
        if not people:
            return Assessed(0, 0)
        await self._prepare(connection)
        await connection.execute(
            sa.insert(_scope_table), [{"person_id": each} for each in sorted(set(people))]
        )
        return await self._scoped(connection, now=now, cause=cause)

    async def within(
        self,
        connection: AsyncConnection,
        low: int,
        high: int,
        *,
        clock: Callable[[], datetime],
        cause: Cause,
    ) -> Assessed:
        """Lock and assess everybody in a span of ids.

        Args:
            connection: of a transaction that writes.
            low: first id, inclusive.
            high: last id, inclusive.
            clock: tells the moment; read once everybody is locked, so that nobody was
                assessed later than what is written here.
            cause: why, for the history.
        """
        await self._prepare(connection)
        bounds = {"low": low, "high": high}
        if self._store.is_postgres:
            count = sa.select(sa.func.count()).select_from(self._locked().subquery())
            await connection.execute(count, bounds)
        now = to_seconds(clock())
        statements = self._statements(self._version(now), scoped=False)
        return await statements.run(connection, {**bounds, "now": now}, cause)

    async def next_touched(
        self,
        connection: AsyncConnection,
        low: int,
        high: int,
        touched: Touched,
        limit: int,
        *,
        clock: Callable[[], datetime],
        cause: Cause,
    ) -> tuple[int, Assessed]:
        """Lock and assess the first people of a span whom a change touches.

        Args:
            connection: of a transaction that writes.
            low: first id, inclusive.
            high: last id, inclusive.
            touched: who is meant.
            limit: at most so many.
            clock: as for :meth:`within`.
            cause: why, for the history.

        Returns:
            Up to which id the span is done, and what was done.
        """
        await self._prepare(connection)
        # The ids that were locked are kept: a fact that comes now may touch others.
        chosen = self._locked().where(schema.codes.c.person_id.in_(touched.people)).limit(limit)
        await connection.execute(
            sa.insert(_scope_table).from_select(["person_id"], chosen),
            {"low": low, "high": high, **touched.parameters},
        )
        ids = _scope_table.c.person_id
        count, last = (await connection.execute(sa.select(sa.func.count(), sa.func.max(ids)))).one()
        if not count:
            return high, Assessed(0, 0)
        done = await self._scoped(connection, now=to_seconds(clock()), cause=cause)
        return (last if count == limit else high), done

    def _locked(self) -> Select[tuple[int]]:
        """The ids of a span, locked where several writers work side by side."""
        person = schema.codes.c.person_id
        span = sa.select(person).where(person.between(_LOW, _HIGH)).order_by(person)
        return span.with_for_update(key_share=True) if self._store.is_postgres else span

    def code(self, person_id: int, values: Any) -> Code:
        """A code from a row of ``codes``."""
        version, rule = self.rules.rule(values["rule"])
        done = rule.release_days - values["remaining"]
        area = values["area"]
        return Code(
            person_id=person_id,
            level=_LEVELS[values["level"]],
            since=from_seconds(values["since"]),
            assessed_at=from_seconds(values["assessed_at"]),
            rule=version.full_id(rule),
            reason_zh=rule.reason_zh,
            reason_en=rule.reason_en,
            basis=rule.basis,
            release=Release(done, rule.release_days) if rule.release_days else None,
            area=str(area) if area else None,
            declared_at=from_seconds(values["declared_at"]),
            declaration_valid_until=from_seconds(values["declaration_until"]),
        )

    def level(self, number: int) -> Level:
        """The level that a number in the tables stands for."""
        return _LEVELS[number]

    async def _scoped(self, connection: AsyncConnection, *, now: int, cause: Cause) -> Assessed:
        if self._store.is_postgres:
            # A handful of people or a city full: the plan depends on it, and nobody else
            # tells the planner about a temporary table.
            await connection.execute(sa.text(f"ANALYZE {_scope_table.name}"))
        statements = self._statements(self._version(now), scoped=True)
        return await statements.run(connection, {"now": now}, cause)

    def _version(self, now: int) -> RuleVersion:
        return self.rules.in_force(from_seconds(now))

    def _statements(self, version: RuleVersion, *, scoped: bool) -> _SetStatements:
        key = (version.id, scoped)
        if key not in self._sets:
            self._sets[key] = _SetStatements(version, scoped=scoped)
        return self._sets[key]

    async def _prepare(self, connection: AsyncConnection) -> None:
        for table in (_scope_table, _picks_table):
            columns = ", ".join(
                f"{column.name} BIGINT {'PRIMARY KEY' if column.primary_key else 'NOT NULL'}"
                for column in table.columns
            )
            end = " ON COMMIT DELETE ROWS" if self._store.is_postgres else ""
            await connection.execute(
                sa.text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {table.name} ({columns}){end}")
            )
            await connection.execute(sa.delete(table))


class _SetStatements:
    """What is executed for a set of people: picks once, then history, bound, green."""

    def __init__(self, version: RuleVersion, *, scoped: bool) -> None:
        def scope(column: Any) -> Any:
            if scoped:
                return column.in_(sa.select(_scope_table.c.person_id))
            return column.between(_LOW, _HIGH)

        codes, found = schema.codes, _picks_table
        green = version.green
        self._pick = sa.insert(found).from_select(["person_id", "pick"], picks(version, scope))
        level, remaining, rule, area = unpack(found.c.pick)
        self._history = self._changes(green, scope)
        self._bound = (
            sa.update(codes)
            .where(codes.c.person_id == found.c.person_id)
            .values(
                since=sa.case((codes.c.level == level, codes.c.since), else_=NOW),
                assessed_at=NOW,
                level=level,
                rule=rule,
                remaining=remaining,
                area=area,
            )
        )
        number = LEVEL_NUMBERS[green.level]
        self._green: Update = (
            sa.update(codes)
            .where(
                scope(codes.c.person_id),
                ~sa.exists(sa.select(1).where(found.c.person_id == codes.c.person_id)),
            )
            .values(
                since=sa.case((codes.c.level == number, codes.c.since), else_=NOW),
                assessed_at=NOW,
                level=number,
                rule=green.number,
                remaining=0,
                area=0,
            )
        )

    def _changes(self, green: Rule, scope: Any) -> Insert:
        codes, found, changes = schema.codes, _picks_table, schema.level_changes
        level, _, rule, area = unpack(found.c.pick)
        is_free = found.c.pick.is_(None)
        new_rule = sa.case((is_free, green.number), else_=rule)
        new_area = sa.case((is_free, 0), else_=area)
        rows = (
            sa.select(
                codes.c.person_id,
                NOW,
                codes.c.level,
                sa.case((is_free, LEVEL_NUMBERS[green.level]), else_=level),
                new_rule,
                new_area,
                _CAUSE,
            )
            .select_from(codes.outerjoin(found, found.c.person_id == codes.c.person_id))
            .where(
                scope(codes.c.person_id),
                sa.or_(codes.c.rule != new_rule, codes.c.area != new_area),
            )
        )
        names = ["person_id", "at", "previous", "level", "rule", "area", "cause"]
        return (
            sa.insert(changes)
            .from_select(names, rows)
            .returning(changes.c.previous, changes.c.level)
        )

    async def run(
        self, connection: AsyncConnection, parameters: dict[str, int], cause: Cause
    ) -> Assessed:
        await connection.execute(self._pick, parameters)
        written = await connection.execute(
            self._history, {**parameters, "cause": CAUSE_NUMBERS[cause]}
        )
        changed = sum(row.previous != row.level for row in written)
        bound = await connection.execute(self._bound, {"now": parameters["now"]})
        green = await connection.execute(self._green, parameters)
        return Assessed(bound.rowcount + green.rowcount, changed)
