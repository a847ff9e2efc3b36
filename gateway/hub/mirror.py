"""Memory that follows the store: members and feed, whoever wrote last.

Everything the hub answers from memory is a pure function of the store. A change
is one transaction (:meth:`StoreMirror.change`) that begins by taking over what
any process committed before it, and is followed by :meth:`StoreMirror.refresh`,
which takes over the change itself. There is no other way into memory, so a
failed or half-seen commit cannot leave the two apart for longer than one look.

The feed vouches for its memory up to the beginning of the last look that succeeded
(HT-FEED-44). Notices wake a process and are no look: one that hears none may be cut off.
So every few seconds it is read where the feed ends, once for all who watch. While that
fails, because the database is away or holds what does not verify, the feed is served on
with heads that bear the old time, :attr:`StoreMirror.is_lost` says so, and the next look
that succeeds ends it.
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

LOOK_SECONDS: Final = 5.0
"""Longest between two looks at where the feed ends. Heads are at most that much older than
they need to be, a third of a heartbeat; it is two seeks a look, for each process."""

PATIENCE_SECONDS: Final = 10.0
"""A look that takes longer counts as failed: a line that is dead may say nothing."""

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
        self.is_lost = False
        """Whether the last look of :meth:`follow` failed: the store is out of sight."""

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
        at = self._feed.now()
        loaded = await self._store.load(0, 0)
        self._feed.apply(loaded.entries, loaded.feed_state, as_of=at, is_whole=True)
        self.members.apply(loaded.members)

    async def refresh(self) -> None:
        """Take over what was committed since, by this process or another.

        Raises:
            StoreCorruptError: what the store holds does not verify.
            StoreError: it cannot be read.
        """
        async with self._refreshing:
            await self._catch_up(self._store.load)

    async def look(self) -> None:
        """See whether the feed ends where it ends here, in two seeks; if not, refresh.

        Raises:
            StoreCorruptError: what the store holds does not verify.
            StoreError: it cannot be read.
        """
        async with self._refreshing:
            at = self._feed.now()
            state = await self._store.feed_state()
            if (state.floor, state.last_sequence) == (self._feed.floor, self._feed.sequence):
                self._feed.apply((), state, as_of=at)
            else:
                await self._catch_up(self._store.load)

    async def follow(
        self,
        seconds: float,
        wakeups: Wakeups | None = None,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Look for ever, and refresh now and then.

        Args:
            seconds: longest pause between two refreshes, when no notice comes.
            wakeups: notices of what others wrote; None: there are none.
            jitter: a number in [0, 1): processes that started together do not look
                together.
        """
        left = 0.0
        while True:
            if left <= 0:
                left = seconds * (1 - jitter() / 2)
            pause = min(left, LOOK_SECONDS * (1 - jitter() / 2))
            left -= pause
            if wakeups is None:
                await asyncio.sleep(pause)
            elif await wakeups.wait(pause):
                left = 0.0
            await self._follow_once(is_whole=left <= 0)

    async def _follow_once(self, *, is_whole: bool) -> None:
        looking = asyncio.ensure_future(self.refresh() if is_whole else self.look())
        try:
            await asyncio.wait({looking}, timeout=PATIENCE_SECONDS)
            if not looking.done():
                # Waited for nonetheless: it ends with its line, and no look stands beside it.
                self._lose("TimeoutError")
            await looking
        except Exception as error:  # noqa: BLE001  nothing may end the following
            self._lose(error.code if isinstance(error, HutongError) else type(error).__name__)
        else:
            if self.is_lost:
                _log.info("store_found_again", sequence=self._feed.sequence)
            self.is_lost = False
        finally:
            looking.cancel()

    def _lose(self, code: str) -> None:
        if not self.is_lost:
            _log.error("store_lost", code=code, as_of=self._feed.as_of.isoformat())
        self.is_lost = True

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
        at = self._feed.now()
        loaded = await load(self.members.revision, self._feed.sequence)
        is_whole = loaded.feed_state.floor > self._feed.sequence
        if is_whole:
            # Another process compacted entries that this one has not seen.
            loaded = await load(self.members.revision, 0)
        self._feed.apply(loaded.entries, loaded.feed_state, as_of=at, is_whole=is_whole)
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
