"""Lists that open, are said, and end: one authority's, over the file of what was issued.

Lists are sharded by period: one is open for a few hours, the next is published before it
is used, a full one makes way for another, and a list ends with the last attestation that
could name it. Then all that was kept of it is deleted.

One lock holds whatever changes lists (:attr:`TurningLists.turning`): a statement says all
that the one before said, and more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from adapters.sdk.issued_lists import LiveList, forget_list, keep_base, keep_list, make_list
from adapters.sdk.issued_store import HeldError, IssuedStore
from adapters.sdk.status_board import StatusBoard

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation.keys import SigningKey

_SLACK_SECONDS: Final = 120  # two skews (HT-ATT-6) beyond the last attestation
_TICK_SECONDS: Final = 20.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """How the lists are kept.

    Attributes:
        path: the file; None: in memory, for one process's life.
        bits: of an entry: 1, or 2 to tell what is on hold from what is revoked.
        entries: of a list; at most half are given out.
        period_seconds: how long a list is open.
        processes: that may share the folder; each takes a file of its own.
        max_lists: live at once; beyond, nothing that is carried is issued.
    """

    path: Path | None = None
    bits: int = 1
    entries: int = 131_072
    period_seconds: int = 3 * 3600
    processes: int = 1
    max_lists: int = 256


class TurningLists:
    """See the module. One event loop.

    Args:
        settings: how the lists are kept.
        authority: URN of the region.
        key: its attestation key.
        max_seconds: longest life of a carried attestation.
        clock: now, aware, UTC.
        random_below: a number from 0 below its argument, unpredictable.

    Attributes:
        board: what stands now on every list.
        held: the live lists by number.
        current: the list that entries are drawn from; None: none is open.
        turning: held by whoever changes lists.
        key: signs.
    """

    def __init__(
        self,
        settings: StatusSettings,
        *,
        authority: str,
        key: SigningKey,
        max_seconds: int,
        clock: Callable[[], datetime],
        random_below: Callable[[int], int],
    ) -> None:
        self.board = StatusBoard(clock)
        self.held: dict[int, LiveList] = {}
        self.current: LiveList | None = None
        self.turning = asyncio.Lock()
        self.key = key
        self._settings = settings
        self._authority = authority
        self._max_seconds = max_seconds
        self._clock = clock
        self._random = random_below
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, store: IssuedStore, held: list[LiveList]) -> None:
        """Publish what the file holds, and turn the lists from now on.

        Args:
            store: the file.
            held: the lists in it.
        """
        self._store = store
        for one in held:
            self.held[one.row.id] = one
            # What was on disk and not said before a crash is said now; and by the key of
            # today, so that a list does not fall with a key that has been replaced.
            await self.say(one, self._clock(), is_new_key=not one.is_by(self.key))
        await self.tick()
        self._ticking = asyncio.create_task(self._tick_for_ever())

    async def close(self) -> None:
        """Turn the lists no more."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            self._ticking = None

    async def use(self, key: SigningKey) -> None:
        """Sign with another attestation key from now on, every live list included.

        A list does not fall with the key that signed it when it was opened.
        """
        async with self.turning:
            if key.key_id == self.key.key_id:
                return
            self.key = key
            now = self._clock()
            for one in self.held.values():
                await self.say(one, now, is_new_key=not one.is_by(key))

    async def tick(self, room: int = 0) -> None:
        """Open what is due and end what is over; called by itself every few seconds.

        The first list is opened when a hub watches or the first entry is wanted: by then
        the hub has admitted the region, and its key is in use, so the list verifies.

        Args:
            room: entries that are wanted now; 0: none.
        """
        async with self.turning:
            now = self._clock()
            seconds = int(now.timestamp())
            for one in [one for one in self.held.values() if one.row.ends_at <= seconds]:
                number = one.row.id
                await self._store.run(functools.partial(forget_list, number=number))
                del self.held[number]
                if self.current is one:
                    self.current = None
                self.board.take_down(one.row.uri)
            ready = [one for one in self.held.values() if one.has_room(room, seconds)]
            if not ready:
                self.current = None
                if not room:
                    return
                ready = [await self._open(now)]
            # The oldest that is open is used up first.
            ready.sort(key=lambda one: (one.row.closes_at, one.row.id))
            self.current = ready[0]
            # The next one is published before it is used, so that checkpoints have it.
            if len(ready) == 1 and ready[0].is_nearly_over(seconds):
                await self._open(now)

    async def say(self, one: LiveList, now: datetime, *, is_new_key: bool = False) -> None:
        """Sign and post the newest word on a list, on a new base where one is due."""
        if is_new_key or one.needs_base():
            one.rebase(self.key, now)
            await self._store.run(functools.partial(keep_base, row=one.row))
        self.board.post(one.row.uri, one.posted(self.key, now))

    async def _open(self, now: datetime) -> LiveList:
        settings = self._settings
        if len(self.held) >= settings.max_lists:
            _log.error("too_many_status_lists", lists=len(self.held))
            raise RuntimeError("too many status lists are live")
        closes = int(now.timestamp()) + settings.period_seconds
        row, decoys = make_list(
            self.key,
            authority=self._authority,
            bits=settings.bits,
            entries=settings.entries,
            opened_at=now,
            closes_at=closes,
            ends_at=closes + self._max_seconds + _SLACK_SECONDS,
            random_below=self._random,
        )
        made = await self._store.run(lambda connection: keep_list(connection, row, decoys))
        self.held[made.row.id] = made
        self.board.post(row.uri, made.posted(self.key, now))
        return made

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001 - the next tick goes on
                _log.error("status_lists_not_turned", kind=type(error).__name__)


def open_file(settings: StatusSettings) -> IssuedStore:
    """Open the file, or the next that no other process of this adapter has.

    Raises:
        AdapterConfigError: none can be used.
    """
    path = settings.path
    if path is None:
        return IssuedStore(None)
    for place in range(1, settings.processes):
        with contextlib.suppress(HeldError):
            name = path.name if place == 1 else f"{path.stem}-{place}{path.suffix}"
            return IssuedStore(path.with_name(name))
    last = settings.processes
    return IssuedStore(path if last == 1 else path.with_name(f"{path.stem}-{last}{path.suffix}"))
