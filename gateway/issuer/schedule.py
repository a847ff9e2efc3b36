"""What the issuer does by itself: the daily run, lists that become due, tidying up.

Several processes may serve one database. Each looks every minute; one row says for
which Shanghai day the daily run was last done and which process holds it now, so one
process at a time does it. A process that dies lets go after :data:`HOLD_SECONDS`, and
another takes the run up where it ended. Were two to run at once all the same, nothing
would be wrong: each span of people is locked and assessed once.

A process that starts late in the day does that day's run at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from gateway.issuer.days import DAY_SECONDS, OFFSET_SECONDS, day_of, to_seconds
from gateway.issuer.store.service_schema import schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.issuer.recompute import Recompute
    from gateway.issuer.runs import Progress, RunReport
    from gateway.issuer.store import IssuerStore

HOLD_SECONDS: Final = 120
"""How long a process holds the run without saying so again: several spans of people."""

_RENEW_SECONDS: Final = HOLD_SECONDS / 4
_NAME: Final = "daily"

_log = structlog.get_logger(__name__)


class Daily:
    """The daily run of one process.

    Args:
        store: where the schedule stands.
        recompute: does it.
        clock: now, aware, UTC.
        at_seconds: time of day, in seconds after midnight in Shanghai.
        holder: tells this process from the others, at most 32 characters.
    """

    def __init__(
        self,
        *,
        store: IssuerStore,
        recompute: Recompute,
        clock: Callable[[], datetime],
        at_seconds: int,
        holder: str,
    ) -> None:
        self._store = store
        self._recompute = recompute
        self._clock = clock
        self._at = at_seconds
        self._holder = holder

    async def run_if_due(
        self, progress: Callable[[Progress], None] | None = None
    ) -> RunReport | None:
        """Do the day's run where it is due and nobody else does it.

        Returns:
            What was done; None: nothing was due here.

        Raises:
            StoreError: the database failed; look again later.
        """
        now = to_seconds(self._clock())
        day = day_of(now)
        if (now + OFFSET_SECONDS) % DAY_SECONDS < self._at or not await self._take(day, now):
            return None
        renewing = asyncio.create_task(self._renew())
        try:
            report = await self._recompute.run(self._clock, progress)
            if report.is_resumed:
                # What was done before the break may be of yesterday.
                report = await self._recompute.run(self._clock, progress)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        await self._set(done_on=day, holder="", held_until=0)
        _log.info(
            "daily_run_done",
            run=report.run_id,
            people=report.people,
            changed=report.changed,
            seconds=round(report.seconds, 1),
        )
        return report

    async def _take(self, day: int, now: int) -> bool:
        table = schedule
        async with self._store.read() as connection:
            row = (
                await connection.execute(sa.select(table).where(table.c.name == _NAME))
            ).one_or_none()
        if row is not None and (
            row.done_on >= day or (row.held_until > now and row.holder != self._holder)
        ):
            return False
        insert: Any = postgresql.insert if self._store.is_postgres else sqlite.insert
        async with self._store.write() as connection:
            await connection.execute(
                insert(table)
                .values(name=_NAME, done_on=day - 1, holder="", held_until=0)
                .on_conflict_do_nothing()
            )
            taken = await connection.execute(
                sa.update(table)
                .where(
                    table.c.name == _NAME,
                    table.c.done_on < day,
                    sa.or_(table.c.held_until <= now, table.c.holder == self._holder),
                )
                .values(holder=self._holder, held_until=now + HOLD_SECONDS)
            )
        return taken.rowcount == 1

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._set(held_until=to_seconds(self._clock()) + HOLD_SECONDS)

    async def _set(self, **values: int | str) -> None:
        table = schedule
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(table)
                .where(table.c.name == _NAME, table.c.holder == self._holder)
                .values(**values)
            )
