"""Assessing many people: in lanes, in short transactions, and on from where it ended.

A **run** goes over all ids up to the greatest when it began. Its lanes work side by
side on PostgreSQL, two for two cores; on SQLite there is one. Each transaction locks
and assesses one span of ids and moves its lane's cursor, so a process killed at any
moment leaves every span done or untouched, and any process may take the run up again.

Nobody is missed: a run begins by taking the fence, so that whoever has a smaller id is
in the tables; people who come later are assessed when they declare. A declaration that
meets a span waits for it or is seen by it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.issuer.assess import Touched
from gateway.issuer.days import to_seconds
from gateway.issuer.store import schema
from gateway.issuer.values import CAUSE_NUMBERS, Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.issuer.assess import Assessor
    from gateway.issuer.store import IssuerStore

SPAN: Final = 20_000
"""People in one transaction: about a tenth of a second, which is how long a declaration
may have to wait, and long enough that a commit costs nothing beside it."""

LANES: Final = 2
"""Side by side on PostgreSQL: as many as the cores of the smallest machine we serve."""

_CAUSES: Final = {number: cause for cause, number in CAUSE_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: ids gone through, also by processes before this one.
        total: ids in all.
        people: people assessed.
        changed: of whom so many have another level now.
    """

    done: int
    total: int
    people: int
    changed: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes:
        run_id: its number.
        people: people assessed, over all processes that worked on it.
        changed: of whom so many have another level now.
        is_resumed: an earlier process had begun it.
        seconds: how long this process worked.
        people_per_second: of this process.
    """

    run_id: int
    people: int
    changed: int
    is_resumed: bool
    seconds: float
    people_per_second: float


class Runs:
    """Begins runs and carries them out."""

    def __init__(self, store: IssuerStore, assessor: Assessor, *, span: int = SPAN) -> None:
        self._store = store
        self._assessor = assessor
        self._span = span

    async def begin(
        self,
        connection: AsyncConnection,
        cause: Cause,
        now: int,
        *,
        revision: int | None = None,
        divisions: Iterable[int] | None = None,
    ) -> int:
        """Write down a run that is to be carried out; the fence is held.

        Args:
            connection: of the transaction that holds the fence.
            cause: AREAS or DAILY.
            now: the moment.
            revision: of the list of areas that leads to it.
            divisions: only people who live or stay there; None: everybody.

        Returns:
            Its number.
        """
        runs, lanes = schema.runs, schema.run_lanes
        ids = schema.people.c.id
        least, greatest = (
            await connection.execute(sa.select(sa.func.min(ids), sa.func.max(ids)))
        ).one()
        first, last = (0, 0) if least is None else (least - 1, greatest)
        inserted = await connection.execute(
            sa.insert(runs).returning(runs.c.id),
            {"cause": CAUSE_NUMBERS[cause], "revision": revision, "started_at": now},
        )
        run_id: int = inserted.scalar_one()
        count = LANES if self._store.is_postgres else 1
        edges = [first + (last - first) * lane // count for lane in range(count + 1)]
        await connection.execute(
            sa.insert(lanes),
            [
                {
                    "run_id": run_id,
                    "lane": lane,
                    "first": edges[lane],
                    "last": edges[lane + 1],
                    "cursor": edges[lane],
                    "assessed": 0,
                    "changed": 0,
                }
                for lane in range(count)
            ],
        )
        listed = sorted(set(divisions)) if divisions is not None else []
        if listed:
            await connection.execute(
                sa.insert(schema.run_divisions),
                [{"run_id": run_id, "division": division} for division in listed],
            )
        elif divisions is not None:
            # It is about nobody.
            await connection.execute(
                sa.update(lanes).where(lanes.c.run_id == run_id).values(cursor=lanes.c.last)
            )
        return run_id

    async def unfinished(self, cause: Cause) -> Sequence[int]:
        """Runs that nobody has brought to their end, the oldest first."""
        runs = schema.runs
        async with self._store.read() as connection:
            found = await connection.scalars(
                sa.select(runs.c.id)
                .where(runs.c.cause == CAUSE_NUMBERS[cause], runs.c.finished_at.is_(None))
                .order_by(runs.c.id)
            )
            return found.all()

    async def finish(
        self,
        run_id: int,
        clock: Callable[[], datetime],
        progress: Callable[[Progress], None] | None = None,
    ) -> RunReport:
        """Carry a run out, from wherever it stands.

        Raises:
            StoreError: the database failed; the run can be taken up again.
        """
        started = time.monotonic()
        runs, lanes = schema.runs, schema.run_lanes
        async with self._store.read() as connection:
            run = (await connection.execute(sa.select(runs).where(runs.c.id == run_id))).one()
            rows = (
                await connection.execute(sa.select(lanes).where(lanes.c.run_id == run_id))
            ).all()
            is_limited = await connection.scalar(
                sa.select(sa.func.count()).where(schema.run_divisions.c.run_id == run_id)
            )
        total = sum(row.last - row.first for row in rows)
        state = {row.lane: (row.cursor - row.first, row.assessed, row.changed) for row in rows}
        before = sum(row.assessed for row in rows)
        cause = _CAUSES[run.cause]

        async def work(lane: int, first: int) -> None:
            while step := await self._step(run_id, lane, clock, cause, limited=bool(is_limited)):
                cursor, assessed, changed = step
                state[lane] = (cursor - first, assessed, changed)
                if progress is not None:
                    done, people, new = map(sum, zip(*state.values(), strict=True))
                    progress(Progress(done, total, people, new))

        await _side_by_side(work(row.lane, row.first) for row in rows)
        return await self._end(run_id, clock, started=started, before=before)

    async def _step(
        self, run_id: int, lane: int, clock: Callable[[], datetime], cause: Cause, *, limited: bool
    ) -> tuple[int, int, int] | None:
        """Assess one span; None: the lane is at its end."""
        table = schema.run_lanes
        where = sa.and_(table.c.run_id == run_id, table.c.lane == lane)
        async with self._store.write() as connection:
            row = (await connection.execute(sa.select(table).where(where).with_for_update())).one()
            if row.cursor >= row.last:
                return None
            high = row.last if limited else min(row.cursor + self._span, row.last)
            span = (connection, row.cursor + 1, high)
            if limited:
                high, found = await self._assessor.next_touched(
                    *span, _touched(run_id), self._span, clock=clock, cause=cause
                )
            else:
                found = await self._assessor.within(*span, clock=clock, cause=cause)
            step = (high, row.assessed + found.people, row.changed + found.changed)
            names = ("cursor", "assessed", "changed")
            await connection.execute(
                sa.update(table).where(where).values(dict(zip(names, step, strict=True)))
            )
        return step

    async def _end(
        self, run_id: int, clock: Callable[[], datetime], *, started: float, before: int
    ) -> RunReport:
        runs, lanes, lists = schema.runs, schema.run_lanes, schema.area_lists
        now = to_seconds(clock())
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(runs)
                .where(runs.c.id == run_id, runs.c.finished_at.is_(None))
                .values(finished_at=now)
            )
            revision = sa.select(runs.c.revision).where(runs.c.id == run_id).scalar_subquery()
            await connection.execute(
                sa.update(lists)
                .where(lists.c.revision == revision, lists.c.assessed_at.is_(None))
                .values(assessed_at=now)
            )
            people, changed = (
                await connection.execute(
                    sa.select(sa.func.sum(lanes.c.assessed), sa.func.sum(lanes.c.changed)).where(
                        lanes.c.run_id == run_id
                    )
                )
            ).one()
        seconds = time.monotonic() - started
        return RunReport(
            run_id=run_id,
            people=int(people),
            changed=int(changed),
            is_resumed=before > 0,
            seconds=seconds,
            people_per_second=(int(people) - before) / seconds,
        )


async def _side_by_side(lanes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the lanes; the first error ends them all and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(lane)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


_RUN: Final = sa.bindparam("run", type_=sa.BigInteger)
_THERE: Final = sa.select(schema.stays.c.person_id).where(
    schema.stays.c.division.in_(
        sa.select(schema.run_divisions.c.division).where(schema.run_divisions.c.run_id == _RUN)
    )
)


def _touched(run_id: int) -> Touched:
    return Touched(_THERE, {"run": run_id})
