"""The daily recompute: everybody's level, as of now.

Most of what a day changes is that it passed: a check-in is missing, a release is done.
So everybody is assessed once a day, from the same definition as at a declaration, in
short transactions (see :mod:`gateway.issuer.runs`). When it is started is the
operator's choice; Hangzhou's hour is not known.

Run it again after a kill: it goes on where the killed one ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.issuer.days import to_seconds
from gateway.issuer.values import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.issuer.runs import Progress, RunReport, Runs
    from gateway.issuer.store import IssuerStore


class Recompute:
    """The daily run."""

    def __init__(self, store: IssuerStore, runs: Runs) -> None:
        self._store = store
        self._runs = runs

    async def run(
        self,
        clock: Callable[[], datetime],
        progress: Callable[[Progress], None] | None = None,
    ) -> RunReport:
        """Assess everybody, or bring a run to its end that was left.

        Args:
            clock: tells the moment; each span of people is assessed as of its own.
            progress: called after every transaction.

        Raises:
            StoreError: the database failed; the run can be taken up again.
        """
        left = await self._runs.unfinished(Cause.DAILY)
        if left:
            return await self._runs.finish(left[0], clock, progress)
        async with self._store.write() as connection:
            await self._store.lock_fence(connection)
            run_id = await self._runs.begin(connection, Cause.DAILY, to_seconds(clock()))
        return await self._runs.finish(run_id, clock, progress)
