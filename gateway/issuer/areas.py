"""Areas of risk: lists by revision, and the spells that follow from them.

A list is the whole truth from its moment on: what is not in it is of low risk. Lists
are facts, never changed. What the assessment reads is derived: for every division, the
**spells** during which it was at a risk or above. A division is as risky as the most
severe area that contains it or lies in it, so a stay told by its city alone counts
like one in the city's worst county; spells are spread over all known divisions, which
makes the assessment a plain equality join.

An entry of a list may be withdrawn by a correction; then all spells are derived anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from gateway.codes import division_prefix
from gateway.codes.divisions import division_codes
from gateway.issuer.assess import Assessed
from gateway.issuer.checks import check_areas
from gateway.issuer.days import to_seconds
from gateway.issuer.store import schema
from gateway.issuer.values import RISK_NUMBERS, AreaRisk, Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.issuer.runs import Runs
    from gateway.issuer.store import IssuerStore
    from gateway.issuer.values import Area

_LOWEST: Final = RISK_NUMBERS[AreaRisk.MEDIUM]
"""The least risk that any rule asks for."""


@dataclass(frozen=True, slots=True)
class PublishedAreas:
    """A published list.

    Attributes:
        revision: counted up from 1.
        assessed: people assessed again; 0 where it holds from later on.
        changed: people whose level changed.
    """

    revision: int
    assessed: int
    changed: int


@dataclass(frozen=True, slots=True)
class Spell:
    """From when until when a division was at a risk or above.

    Attributes:
        division: six digits, as a number.
        risk: MEDIUM or HIGH, as a number; HIGH also gives a spell of MEDIUM.
        from_at: inclusive.
        until_at: exclusive; None: the newest list still says so.
    """

    division: int
    risk: int
    from_at: int
    until_at: int | None


def spread(areas: Mapping[int, int]) -> frozenset[tuple[int, int]]:
    """Every (division, risk) that a list puts a division at, or above it."""
    found: set[tuple[int, int]] = set()
    for division, risk in areas.items():
        for each in related_divisions(division):
            found.update((each, least) for least in range(_LOWEST, risk + 1))
    return frozenset(found)


def spells(lists: Iterable[tuple[int, Mapping[int, int]]]) -> tuple[Spell, ...]:
    """All spells of a history of lists, each a moment and its areas, in order."""
    closed: list[Spell] = []
    going: dict[tuple[int, int], int] = {}
    for valid_from, areas in lists:
        said = spread(areas)
        ended = going.keys() - said
        closed.extend(Spell(*key, going.pop(key), valid_from) for key in ended)
        going.update(dict.fromkeys(said - going.keys(), valid_from))
    closed.extend(Spell(*key, from_at, None) for key, from_at in going.items())
    return tuple(_ordered(closed))


@cache
def related_divisions(division: int) -> tuple[int, ...]:
    """A division, those it contains, and those that contain it."""
    text = str(division)
    prefix = division_prefix(text)
    above = {text[:2] + "0000", text[:4] + "00"}
    return tuple(int(code) for code in division_codes() if code.startswith(prefix) or code in above)


class Areas:
    """Takes lists; see the module."""

    def __init__(self, store: IssuerStore, runs: Runs) -> None:
        self._store = store
        self._runs = runs

    async def publish(
        self,
        areas: Sequence[Area],
        *,
        valid_from: datetime,
        source: str,
        client: str,
        clock: Callable[[], datetime],
    ) -> PublishedAreas:
        """Replace the list from a moment on and assess everybody whom it touches.

        A list that holds from later on touches people then: :meth:`assess_due`.

        Args:
            areas: the whole list.
            valid_from: at most one day ahead, and not before the last list.
            source: where it comes from.
            client: who brings it.
            clock: tells the moment.

        Raises:
            RequestError: a field breaks its rule.
            StoreError: the database failed; a list that was taken stays, and
                the assessing is taken up again by :meth:`assess_due`.
        """
        table = schema.area_lists
        begins = to_seconds(valid_from)
        run_id = None
        async with self._store.write() as connection:
            await self._store.lock_fence(connection)
            now = clock()
            newest = (
                await connection.execute(
                    sa.select(sa.func.max(table.c.revision), sa.func.max(table.c.valid_from))
                )
            ).one()
            check_areas(areas, valid_from, newest[1], source, now)
            revision = (newest[0] or 0) + 1
            recorded = {"recorded_at": to_seconds(now), "client": client}
            await connection.execute(
                sa.insert(table),
                {"revision": revision, "valid_from": begins, "source": source, **recorded},
            )
            rows = [
                {
                    "revision": revision,
                    "division": int(area.division),
                    "risk": RISK_NUMBERS[area.risk],
                    **recorded,
                }
                for area in areas
            ]
            if rows:
                await connection.execute(sa.insert(schema.areas), rows)
            touched = await self._append(connection, rows, begins)
            if begins <= to_seconds(now):
                run_id = await self._runs.begin(
                    connection, Cause.AREAS, to_seconds(now), revision=revision, divisions=touched
                )
        if run_id is None:
            return PublishedAreas(revision, 0, 0)
        report = await self._runs.finish(run_id, clock)
        return PublishedAreas(revision, report.people, report.changed)

    async def assess_due(self, clock: Callable[[], datetime]) -> Assessed:
        """Assess whom lists touch that hold by now, and end runs that were left.

        Cheap where nothing is due; meant to be called every minute.

        Raises:
            StoreError: the database failed; call it again.
        """
        people = changed = 0
        for run_id in await self._runs.unfinished(Cause.AREAS):
            report = await self._runs.finish(run_id, clock)
            people, changed = people + report.people, changed + report.changed
        async with self._store.read() as connection:
            waiting = await self._due(connection, to_seconds(clock()))
        for revision, valid_from in waiting:
            async with self._store.write() as connection:
                # Whoever still reads with an earlier clock ends first.
                await self._store.lock_fence(connection)
                if (revision, valid_from) not in await self._due(connection, valid_from):
                    continue  # another process took it up
                divisions = await self._changed_at(connection, valid_from)
                run_id = await self._runs.begin(
                    connection,
                    Cause.AREAS,
                    to_seconds(clock()),
                    revision=revision,
                    divisions=divisions,
                )
            report = await self._runs.finish(run_id, clock)
            people, changed = people + report.people, changed + report.changed
        return Assessed(people, changed)

    async def rederive(self, connection: AsyncConnection, *, now: int) -> int | None:
        """Derive all spells anew after entries were withdrawn; the fence is held.

        Returns:
            The run that must be finished after the commit; None: nothing changed.
        """
        lists, areas, table = schema.area_lists, schema.areas, schema.area_spells
        history: dict[int, tuple[int, dict[int, int]]] = {}
        for row in await connection.execute(sa.select(lists).order_by(lists.c.revision)):
            history[row.revision] = (row.valid_from, {})
        for row in await connection.execute(sa.select(areas).where(areas.c.withdrawn_at.is_(None))):
            history[row.revision][1][row.division] = row.risk
        after = set(spells(history.values()))
        before = {
            Spell(row.division, row.risk, row.from_at, row.until_at)
            for row in await connection.execute(sa.select(table))
        }
        if after == before:
            return None
        await connection.execute(sa.delete(table))
        if after:
            await connection.execute(sa.insert(table), [_row(each) for each in _ordered(after)])
        touched = {each.division for each in before ^ after}
        return await self._runs.begin(connection, Cause.AREAS, now, divisions=touched)

    async def _append(
        self, connection: AsyncConnection, rows: Sequence[Mapping[str, object]], begins: int
    ) -> set[int]:
        """Close the spells that the new list ends and open those that it begins."""
        table = schema.area_spells
        said = spread({int(str(row["division"])): int(str(row["risk"])) for row in rows})
        going = {
            (row.division, row.risk)
            for row in await connection.execute(sa.select(table).where(table.c.until_at.is_(None)))
        }
        ended, begun = going - said, said - going
        for risk in {risk for _, risk in ended}:
            divisions = [division for division, each in ended if each == risk]
            await connection.execute(
                sa.update(table)
                .where(
                    table.c.until_at.is_(None),
                    table.c.risk == risk,
                    table.c.division.in_(divisions),
                )
                .values(until_at=begins)
            )
        if begun:
            opened = [Spell(division, risk, begins, None) for division, risk in sorted(begun)]
            await connection.execute(sa.insert(table), [_row(each) for each in opened])
        return {division for division, _ in ended | begun}

    async def _due(self, connection: AsyncConnection, now: int) -> Sequence[tuple[int, int]]:
        """Lists that hold by now and for which no run was begun."""
        lists, runs = schema.area_lists, schema.runs
        rows = await connection.execute(
            sa.select(lists.c.revision, lists.c.valid_from)
            .where(
                lists.c.assessed_at.is_(None),
                lists.c.valid_from <= now,
                lists.c.revision.not_in(
                    sa.select(runs.c.revision).where(runs.c.revision.is_not(None))
                ),
            )
            .order_by(lists.c.revision)
        )
        return [(row.revision, row.valid_from) for row in rows]

    async def _changed_at(self, connection: AsyncConnection, moment: int) -> set[int]:
        table = schema.area_spells
        found = await connection.scalars(
            sa.select(table.c.division).where(
                sa.or_(table.c.from_at == moment, table.c.until_at == moment)
            )
        )
        return set(found)


def _ordered(found: Iterable[Spell]) -> list[Spell]:
    return sorted(found, key=lambda each: (each.division, each.risk, each.from_at))


def _row(spell: Spell) -> dict[str, int | None]:
    return {
        "division": spell.division,
        "risk": spell.risk,
        "from_at": spell.from_at,
        "until_at": spell.until_at,
    }
