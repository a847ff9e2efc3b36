"""Memory that follows the store: members and feed, whoever wrote last.

Everything the hub answers from memory is a pure function of the store. A change
is one transaction (:meth:`StoreMirror.change`) that begins by taking over what
any process committed before it, and is followed by :meth:`StoreMirror.refresh`,
which takes over the change itself. There is no other way into memory, so a
failed or half-seen commit cannot leave the two apart for longer than one look.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from gateway.errors import HutongError
from gateway.hub.errors import RegistryError
from gateway.hub.members import MemberTable
from gateway.trust import FeedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable

    from gateway.hub.feed_log import Change, HubFeed
    from gateway.store import Loaded, Store, WriteTransaction
    from gateway.store.wakeups import Wakeups
    from gateway.trust import TrustBundle

T = TypeVar("T")

RETENTION_BYTES: Final = 64 * 1024 * 1024
"""Of entries that readers may still continue after: on a day of many revocations each
status entry may take tens of kilobytes, and all of it stands in memory."""

_log = structlog.get_logger(__name__)


class StoreMirror:
    """See the module.

    Args:
        store: where everything lasts.
        feed: the feed in memory.
        retention_entries: newest entries the feed keeps.
        retention_bytes: how many bytes of them it keeps at most.

    Attributes:
        members: the members in memory.
    """

    def __init__(
        self,
        store: Store,
        feed: HubFeed,
        *,
        retention_entries: int,
        retention_bytes: int = RETENTION_BYTES,
    ) -> None:
        self.members = MemberTable()
        self._store = store
        self._feed = feed
        self._retention = retention_entries
        self._retention_bytes = retention_bytes
        self._refreshing = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()

    @property
    def bundle(self) -> TrustBundle:
        """The answers that the feed gives now."""
        return self._feed.bundle

    async def load(self) -> None:
        """Fill memory from the store.

        Raises:
            StoreCorruptError: what the store holds does not verify.
            StoreError: it cannot be read.
        """
        loaded = await self._store.load(0, 0)
        self._feed.apply(loaded.entries, loaded.feed_state, is_whole=True)
        self.members.apply(loaded.members)

    async def refresh(self) -> None:
        """Take over what was committed since, by this process or another.

        Raises:
            StoreCorruptError: what the store holds does not verify.
            StoreError: it cannot be read.
        """
        async with self._refreshing:
            await self._catch_up(self._store.load)

    async def follow(
        self,
        seconds: float,
        wakeups: Wakeups | None = None,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Refresh for ever: for a store that other processes write to.

        Args:
            seconds: longest pause between two looks, when no notice comes.
            wakeups: notices of what others wrote; None: there are none.
            jitter: a number in [0, 1): processes that started together do not look
                together.
        """
        while True:
            pause = seconds * (1 - jitter() / 2)
            if wakeups is None:
                await asyncio.sleep(pause)
            else:
                await wakeups.wait(pause)
            try:
                await self.refresh()
            except HutongError as error:
                _log.error("registry_refresh_failed", code=error.code)

    async def close(self) -> None:
        """Wait for the changes under way."""
        await asyncio.gather(*self._changes, return_exceptions=True)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[WriteTransaction]:
        """A transaction with memory brought up to the store, whoever wrote last.

        Raises:
            StoreError: the store failed; nothing was acknowledged.
        """
        async with self._refreshing, self._store.write() as change:
            await self._catch_up(change.load)
            yield change

    async def _catch_up(self, load: Callable[[int, int], Awaitable[Loaded]]) -> None:
        loaded = await load(self.members.revision, self._feed.sequence)
        is_whole = loaded.feed_state.floor > self._feed.sequence
        if is_whole:
            # Another process compacted entries that this one has not seen.
            loaded = await load(self.members.revision, 0)
        self._feed.apply(loaded.entries, loaded.feed_state, is_whole=is_whole)
        self.members.apply(loaded.members)

    async def run(self, change: Coroutine[Any, Any, T]) -> T:
        """Run a change to its end, whether or not its caller waits for it."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def append(self, change: WriteTransaction, changes: Iterable[Change]) -> tuple[int, ...]:
        """Sign entries and write them as part of a change.

        Returns:
            Their sequence numbers.

        Raises:
            RegistryError: STATEMENT_INVALID: an honest reader would refuse one.
        """
        state = await change.feed_state()
        try:
            rows = self._feed.next_rows(changes, state)
        except FeedError as error:
            raise RegistryError(
                f"readers would refuse it: {error}", code="STATEMENT_INVALID"
            ) from None
        await change.append_feed(rows)
        floor = self._feed.floor_within(self._retention, self._retention_bytes, rows)
        if floor > state.floor:
            await change.compact_feed(floor)
        return tuple(row.sequence for row in rows)
