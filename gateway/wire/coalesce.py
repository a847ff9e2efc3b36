"""Coalescing: what is asked while a batch is in flight leaves as the next batch.

A gRPC message costs hundreds of microseconds, an item in it a few. So edge, hub
and adapter never send items one by one when more are ready, and never wait for
more when the line is idle. There is no timer: the time the previous write takes
is the gathering time, so batches grow with the load and vanish without it.

* :class:`Coalescer` is the queue: any number of producers, one consumer that
  takes batches. Bounded: ``put`` waits while it is full (backpressure).
* :class:`BatchWriter` is a coalescer with the consumer built in: it calls an
  async ``write(batch)`` for each batch, one at a time.

Invariants (property-tested): nothing accepted is lost or doubled before a
failure or an abort; the items of one producer keep their order; a batch has at
least one item, never more than ``max_items``, and never more than ``max_bytes``
unless it is one single item; at most ``capacity`` items wait.

One event loop only; not thread-safe. Example::

    async with BatchWriter(stream.write_batch, size=len) as writer:
        await writer.put(item)
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from gateway.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

T = TypeVar("T")

MAX_BATCH_ITEMS: Final = 1024
"""The schema's bound of a batch (``exchange_service.proto``)."""

MAX_BATCH_BYTES: Final = 1024 * 1024
"""A batch parses in about a millisecond at this size, which bounds how long one
peer's batch keeps the loop from the others."""

DEFAULT_CAPACITY: Final = 8 * MAX_BATCH_ITEMS
"""A batch in flight and several in waiting; more would only be waiting time."""


class CoalescerClosedError(InternalError):
    """An item was put after the close, or the consumer ended before it was taken."""

    default_code = "SHUTTING_DOWN"


class Coalescer(Generic[T]):
    """A bounded queue whose consumer takes whole batches.

    Args:
        max_items: most items of a batch.
        max_bytes: most bytes of a batch, as ``size`` measures them.
        capacity: items that may wait; ``put`` waits above it.
        size: bytes of an item; None: every item counts as nothing, and only
            ``max_items`` bounds a batch.
        count: how many items one element stands for, for a producer that adds
            runs of them; None: one. An element is never divided, so the last
            one may go beyond ``capacity``.
    """

    def __init__(
        self,
        *,
        max_items: int = MAX_BATCH_ITEMS,
        max_bytes: int = MAX_BATCH_BYTES,
        capacity: int = DEFAULT_CAPACITY,
        size: Callable[[T], int] | None = None,
        count: Callable[[T], int] | None = None,
    ) -> None:
        if min(max_items, max_bytes, capacity) < 1:
            raise ValueError("every bound must be at least 1")
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._capacity = capacity
        self._size = size
        self._count = count
        self._items: deque[T] = deque()
        self._waiting = 0
        self._putters: deque[tuple[asyncio.Future[None], T]] = deque()
        self._taker: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """Items that wait to be taken."""
        return self._waiting

    @property
    def closed(self) -> bool:
        """Whether no further item is accepted."""
        return self._closed

    @property
    def room(self) -> int:
        """Items that can be offered now."""
        return 0 if self._closed or self._putters else max(0, self._capacity - self._waiting)

    async def put(self, item: T) -> None:
        """Add an item, waiting while the queue is full; first come, first served.

        A cancelled ``put`` leaves its item behind only if a batch took it already.

        Raises:
            CoalescerClosedError: the queue is closed, or was while waiting.
        """
        if self.offer(item):
            return
        if self._closed:
            raise CoalescerClosedError("the queue is closed")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (future, item)
        self._putters.append(waiting)
        try:
            await future
        except asyncio.CancelledError:
            # Either it still waits, or it was moved into the queue in this very tick.
            if waiting in self._putters:
                self._putters.remove(waiting)
            elif future.done() and not future.cancelled() and future.exception() is None:
                self.discard(item)
            raise

    def offer(self, item: T) -> bool:
        """Add an item if there is room at once; say whether it was added."""
        if self._closed or self._putters or self._waiting >= self._capacity:
            return False
        self._append(item)
        return True

    def push(self, items: Iterable[T]) -> None:
        """Add items whatever the bound, for a producer that bounds itself elsewhere.

        A hub's answers are bounded by the questions in flight; making them wait
        here would only stop the stream they came from.

        Raises:
            CoalescerClosedError: the queue is closed.
        """
        if self._closed:
            raise CoalescerClosedError("the queue is closed")
        for item in items:
            self._append(item)

    def push_one(self, item: T) -> None:
        """Add one item whatever the bound; see :meth:`push`.

        Raises:
            CoalescerClosedError: the queue is closed.
        """
        if self._closed:
            raise CoalescerClosedError("the queue is closed")
        self._append(item)

    async def wait_room(self) -> None:
        """Wait until fewer items than the capacity wait, or the queue is closed.

        For a producer that pushes: it stops reading its own source meanwhile.
        """
        while self._waiting >= self._capacity and not self._closed:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def discard(self, item: T) -> bool:
        """Take one item back, by identity; say whether it had not left yet."""
        for index, waiting in enumerate(self._items):
            if waiting is item:
                del self._items[index]
                self._waiting -= self._count_of(item)
                self._admit()
                return True
        return False

    async def take(self) -> list[T]:
        """Wait for items and return the next batch; empty only after the close.

        Only one consumer may wait at a time. Cancelled, it has taken nothing.
        """
        while not self._items:
            if self._closed:
                return []
            self._taker = asyncio.get_running_loop().create_future()
            try:
                # Waking takes one turn of the loop, in which every producer
                # that was ready with the first adds its item too.
                await self._taker
            finally:
                self._taker = None
        return self.take_ready()

    def take_ready(self) -> list[T]:
        """Return the batch that is ready now, without waiting; may be empty."""
        items, count, size = self._items, self._count, self._size
        if (
            len(items) <= self._max_items
            and (count is None or sum(map(count, items)) <= self._max_items)
            and (size is None or sum(map(size, items)) <= self._max_bytes)
        ):
            batch = list(items)
            items.clear()
            self._waiting = 0
        else:
            batch = self._take_some()
        if self._putters:
            self._admit()
        if self._room is not None and self._waiting < self._capacity:
            self._tell_room()
        return batch

    def _take_some(self) -> list[T]:
        items, size = self._items, self._size
        items_left, bytes_left = self._max_items, self._max_bytes
        batch: list[T] = []
        while items:
            count = self._count_of(items[0])
            items_left -= count
            bytes_left -= 0 if size is None else size(items[0])
            if batch and min(items_left, bytes_left) < 0:
                break
            batch.append(items.popleft())
            self._waiting -= count
        return batch

    def close(self) -> None:
        """Accept nothing further; what waits in the queue can still be taken.

        Producers that wait for room are refused.
        """
        self._closed = True
        while self._putters:
            future, _ = self._putters.popleft()
            if not future.done():
                future.set_exception(CoalescerClosedError("the queue is closed"))
        if self._taker is not None:
            self._wake()
        self._tell_room()

    def abort(self) -> list[T]:
        """Close and drop what waits.

        Returns:
            What was dropped, in order.
        """
        dropped = list(self._items)
        self._items.clear()
        self._waiting = 0
        self.close()
        return dropped

    def _append(self, item: T) -> None:
        self._items.append(item)
        self._waiting += 1 if self._count is None else self._count(item)
        if self._taker is not None:
            self._wake()

    def _count_of(self, item: T) -> int:
        return 1 if self._count is None else self._count(item)

    def _tell_room(self) -> None:
        if self._room is not None:
            room, self._room = self._room, None
            if not room.done():
                room.set_result(None)

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    def _admit(self) -> None:
        while self._putters and self._waiting < self._capacity:
            future, item = self._putters.popleft()
            if not future.done():
                self._append(item)
                future.set_result(None)


class BatchWriter(Generic[T]):
    """A coalescer that writes its batches itself, one at a time.

    Leaving the ``async with`` block drains: everything accepted is written
    before it returns. When a write fails, the writer stops, refuses what
    follows, and :attr:`unsent` holds every item not known to have left.

    Args:
        write: sends one batch; awaited before the next is taken.
        max_items: see :class:`Coalescer`.
        max_bytes: see :class:`Coalescer`.
        capacity: see :class:`Coalescer`.
        size: see :class:`Coalescer`.
        on_failure: called once with the exception of a failed write.
    """

    def __init__(
        self,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        max_items: int = MAX_BATCH_ITEMS,
        max_bytes: int = MAX_BATCH_BYTES,
        capacity: int = DEFAULT_CAPACITY,
        size: Callable[[T], int] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self._write = write
        self._queue: Coalescer[T] = Coalescer(
            max_items=max_items, max_bytes=max_bytes, capacity=capacity, size=size
        )
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None
        self.unsent: list[T] = []
        self.failure: Exception | None = None

    def __len__(self) -> int:
        """Items that wait for the next batch."""
        return len(self._queue)

    @property
    def room(self) -> int:
        """Items that can be offered now."""
        return self._queue.room

    def start(self) -> None:
        """Start writing; must be called in a running loop, once."""
        if self._task is not None:
            raise RuntimeError("the writer runs already")
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def put(self, item: T) -> None:
        """Add an item, waiting while the queue is full.

        Raises:
            CoalescerClosedError: the writer is closed or a write failed.
        """
        await self._queue.put(item)

    def offer(self, item: T) -> bool:
        """Add an item if there is room at once; say whether it was added."""
        return self._queue.offer(item)

    def push(self, items: Iterable[T]) -> None:
        """Add items whatever the bound; see :meth:`Coalescer.push`."""
        self._queue.push(items)

    def discard(self, item: T) -> bool:
        """Take one item back, by identity; say whether it had not left yet."""
        return self._queue.discard(item)

    async def close(self) -> None:
        """Accept nothing further, write what waits, and stop."""
        self._queue.close()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def abort(self) -> None:
        """Stop at once: the write in flight is cancelled, what waits is unsent."""
        dropped = self._queue.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.unsent = [*self.unsent, *dropped]

    async def __aenter__(self) -> Self:
        """Start writing."""
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or stop at once when the block failed."""
        if kind is None:
            await self.close()
        else:
            await self.abort()

    async def _run(self) -> None:
        while batch := await self._queue.take():
            try:
                await self._write(batch)
            except Exception as failure:  # noqa: BLE001  handed on by on_failure and `failure`
                self.failure = failure
                self.unsent = batch + self._queue.abort()
                if self._on_failure is not None:
                    self._on_failure(failure)
                return
            except asyncio.CancelledError:
                self.unsent = batch
                raise
