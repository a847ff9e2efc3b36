"""What a checkpoint does about repeats: asks the hub while deciding, or keeps it for later.

Joins :mod:`gateway.edge.sightings` (the wire) and :mod:`gateway.edge.reconcile` (the
disk) for the pipeline. A checkpoint that runs offline has no reporter: every admission
is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gateway.edge.sightings import REPORT_SECONDS
from gateway.errors import HutongError

if TYPE_CHECKING:
    from gateway.edge.reconcile import SightingQueue
    from gateway.edge.sightings import Sighting, SightingReporter

_log = structlog.get_logger(__name__)


class Showings:
    """See the module.

    Args:
        queue: of admissions that the hub was not told.
        reporter: to the hub; None: this checkpoint runs offline.
        wait_seconds: what somebody at the gate waits for the hub's word.
    """

    def __init__(
        self,
        queue: SightingQueue,
        reporter: SightingReporter | None,
        *,
        wait_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._wait_seconds = wait_seconds
        self._queue = queue
        self._reporter = reporter
        self._is_away = False
        self._tasks: set[asyncio.Task[tuple[bool, int | None]]] = set()

    @property
    def can_ask(self) -> bool:
        """Whether there is a hub to ask."""
        return self._reporter is not None

    async def ask(self, sighting: Sighting) -> tuple[bool, int | None]:
        """Report a showing now.

        Returns:
            Whether the hub took it, and the seconds to the nearest showing elsewhere.
        """
        if self._reporter is None:
            return False, None
        try:
            [apart] = await self._reporter.report([sighting], timeout_seconds=self._wait_seconds)
        except HutongError as error:
            if not self._is_away:
                _log.warning("showing_not_reported", code=error.code)
            self._is_away = True
            return False, None
        self._is_away = False
        return True, apart

    def tell(self, sighting: Sighting) -> None:
        """Report a showing that nobody waits for; what becomes of it is not told."""
        task = asyncio.ensure_future(self.ask(sighting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def keep(self, sighting: Sighting) -> None:
        """Keep an admission that the hub was not told; a full disk costs only that."""
        try:
            self._queue.keep(sighting)
        except OSError as error:
            _log.error("admission_not_kept", error=type(error).__name__)
