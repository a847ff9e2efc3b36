"""Counting what was carried: who, to which region, why, how many, how much.

Counts only. No subject, no key, no time of a single question exists here. The
exchange adds up in memory; a flush hands the sums of one period to the store
in one transaction, because a row of its own for every question would cost more
than the question (group commit is worth 15 to 20 times, measured).

Sums that a failed flush could not hand over stay and go with the next one. A
crash loses at most one period; answers never wait for the store.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FLUSH_SECONDS = 10.0
"""A crash loses this much of the count at most; one small transaction in between."""

MAX_TALLIES = 100_000
"""Distinct (caller, region, purpose) in memory; about 20 MB. Past it, new
combinations are added up under the caller ``""`` so that totals stay right."""

_IDLE_FLUSHES = 12
"""Flushes without a count after which a tally is dropped. At the shortest period
of :data:`MIN_FLUSH_SECONDS` that is longer than a question lives (60 s), so no
question in flight still holds a tally that nobody reads."""

MIN_FLUSH_SECONDS = 6.0
"""Shortest period; see ``_IDLE_FLUSHES``."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums of one period.

    Attributes:
        caller: URN of who asked.
        region: six-digit origin region asked.
        purpose: number of ``Purpose`` on the wire.
        envelopes: sealed questions carried.
        bytes: sealed bytes carried, both ways.
    """

    caller: str
    region: str
    purpose: int
    envelopes: int
    bytes: int


class UsageStore(Protocol):
    """Where sums go; the store implements it."""

    async def add_usage(self, rows: Sequence[UsageRow]) -> None:
        """Add the sums of one period in one transaction."""
        ...


class Tally:
    """A running sum of one caller, region and purpose.

    The exchange holds it while a question is in flight and adds to it in place.
    """

    __slots__ = ("bytes", "envelopes", "idle")

    def __init__(self) -> None:
        self.envelopes = 0
        self.bytes = 0
        self.idle = 0


class Accounting:
    """Adds up in memory and flushes grouped.

    Args:
        store: where sums go.
        flush_seconds: length of a period, at least :data:`MIN_FLUSH_SECONDS`.
    """

    def __init__(self, store: UsageStore, *, flush_seconds: float = DEFAULT_FLUSH_SECONDS) -> None:
        self._store = store
        self._flush_seconds = max(flush_seconds, MIN_FLUSH_SECONDS)
        self._tallies: dict[tuple[str, str, int], Tally] = {}
        self._flushing = asyncio.Lock()

    def tally(self, caller: str, region: str, purpose: int) -> Tally:
        """Return the running sum to add to."""
        tallies = self._tallies
        tally = tallies.get((caller, region, purpose))
        if tally is None:
            if len(tallies) >= MAX_TALLIES:
                caller = ""
            tally = tallies.setdefault((caller, region, purpose), Tally())
        return tally

    async def flush(self) -> None:
        """Hand over what was added up since the last time.

        Raises:
            Exception: whatever the store raised; the sums stay for the next time.
        """
        async with self._flushing:
            taken: list[tuple[Tally, UsageRow]] = []
            for key, tally in list(self._tallies.items()):
                if tally.envelopes or tally.bytes:
                    taken.append((tally, UsageRow(*key, tally.envelopes, tally.bytes)))
                    tally.envelopes = tally.bytes = tally.idle = 0
                else:
                    tally.idle += 1
                    if tally.idle > _IDLE_FLUSHES:
                        del self._tallies[key]
            if not taken:
                return
            try:
                await self._store.add_usage([row for _, row in taken])
            except BaseException:
                for tally, row in taken:
                    tally.envelopes += row.envelopes
                    tally.bytes += row.bytes
                raise

    async def run(self) -> None:
        """Flush every period until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(self._flush_seconds)
                try:
                    await self.flush()
                except Exception as error:  # noqa: BLE001  a store that is down must not end the count
                    _log.error("usage_flush_failed", exception_type=type(error).__qualname__)
        finally:
            await self.flush()
