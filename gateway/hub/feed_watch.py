"""Readers of a feed: bounded queues that never make anybody wait.

What is new is serialised once and its bytes are shared by every reader: the cost
of a change is one frame, whoever many watch it. Nothing is signed for one reader.

A watcher that does not keep up is cut: its queue is dropped, it is told to
start over, and if it does not even read that, its stream is ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from hutong.v1 import feed_service_pb2 as pb

from gateway.hub.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

FRAME_BYTES: Final = 1024 * 1024
"""Entries sent together: far below the message limit of 4 MiB, far above one entry."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state in full.

    Attributes:
        manifest: signed, fixes which entries follow.
        entries: live entries in order of their sequence numbers.
    """

    manifest: str
    entries: tuple[str, ...]


class ServedFeed(Protocol):
    """A feed that this hub serves: its own, or another hub's passed on byte by byte."""

    @property
    def hub(self) -> str:
        """URN of the hub that signs it."""
        ...

    @property
    def sequence(self) -> int:
        """Number of the newest entry held here; zero before the first."""
        ...

    @property
    def floor(self) -> int:
        """The oldest sequence number that a reader can still continue after."""
        ...

    @property
    def as_of(self) -> datetime | None:
        """When the signing hub last vouched for that; None: never."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the signing hub is reached now."""
        ...

    @property
    def is_superior(self) -> bool:
        """Whether it is the serving hub's superior."""
        ...

    def head(self) -> str:
        """Return the newest signed head; empty: none fits the newest entry yet."""
        ...

    def snapshot(self) -> Snapshot:
        """Return the state in full."""
        ...

    def watch(
        self, after: int, task: asyncio.Task[Any] | None
    ) -> tuple[Watcher, tuple[str, ...]] | None:
        """Begin to watch; None: what the reader lacks is no longer kept."""
        ...

    def unwatch(self, watcher: Watcher) -> None:
        """Stop watching."""
        ...


@dataclass(slots=True, eq=False)
class Watcher:
    """One reader's queue; made by :meth:`Watchers.begin`.

    Attributes:
        limit: frames that may wait.
        stall_seconds: how long the task may block after a cut.
        task: what serves the reader.
        is_cut: it fell behind and must start over.
        is_closed: the hub is stopping.
    """

    limit: int
    stall_seconds: float
    task: asyncio.Task[Any] | None
    is_cut: bool = False
    is_closed: bool = False
    _frames: deque[bytes] = field(default_factory=deque)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _stall: asyncio.TimerHandle | None = None

    def push(self, frame: bytes) -> None:
        """Queue a serialised frame, or cut the watcher where the queue is full."""
        if self.is_cut:
            return
        if len(self._frames) >= self.limit:
            self.cut()
        else:
            self._frames.append(frame)
            self._woken.set()

    def cut(self) -> None:
        """Drop what waits; the reader must start over."""
        if self.is_cut:
            return
        self.is_cut = True
        self._frames.clear()
        if self.task is not None:
            # A reader that does not read holds its handler inside a write; only
            # cancelling the handler gets it out.
            self._stall = asyncio.get_running_loop().call_later(
                self.stall_seconds, self.task.cancel
            )
        self._woken.set()

    def end(self) -> None:
        """Tell the watcher that the hub is stopping."""
        self.is_closed = True
        self._woken.set()

    def release(self) -> None:
        """The handler is done; nothing is left to cancel."""
        if self._stall is not None:
            self._stall.cancel()

    async def next(self, timeout_seconds: float) -> bytes | None:
        """Wait for a frame.

        Returns:
            A serialised ``WatchResponse`` of entries; None: time ran out, or the
            watcher was cut or closed.
        """
        if not self._frames and not self.is_cut and not self.is_closed:
            self._woken.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._woken.wait()
            except TimeoutError:
                return None
        return self._frames.popleft() if self._frames and not self.is_cut else None


class Watchers:
    """The readers of one feed.

    Args:
        limit: frames that wait for one reader.
        stall_seconds: how long a reader that was cut may block.
    """

    def __init__(self, limit: int, stall_seconds: float) -> None:
        self.limit = limit
        self._stall_seconds = stall_seconds
        self._watchers: set[Watcher] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[Watcher]:
        return iter(self._watchers)

    def begin(
        self, after: int, task: asyncio.Task[Any] | None, *, sequence: int, floor: int
    ) -> Watcher | None:
        """Begin to watch; None: the reader is behind the floor and must start over.

        Raises:
            RegistryError: SEQUENCE_AHEAD, SHUTTING_DOWN.
        """
        if self._is_closed:
            raise RegistryError("the hub is stopping", code="SHUTTING_DOWN")
        if after > sequence:
            raise RegistryError("the feed has no such sequence number", code="SEQUENCE_AHEAD")
        if after < floor:
            return None
        watcher = Watcher(self.limit, self._stall_seconds, task)
        self._watchers.add(watcher)
        return watcher

    def end(self, watcher: Watcher) -> None:
        """Stop watching."""
        watcher.release()
        self._watchers.discard(watcher)

    def push(self, tokens: Sequence[str]) -> None:
        """Send new entries to every reader: serialised once, the bytes are shared."""
        if not self._watchers:
            return
        for frame in in_frames(tokens):
            data = entries_frame(frame)
            for watcher in self._watchers:
                watcher.push(data)

    def cut(self) -> None:
        """Tell every reader to start over."""
        for watcher in self._watchers:
            watcher.cut()

    def close(self) -> None:
        """End every reader's stream; the hub is stopping."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.end()


def entries_frame(tokens: Iterable[str]) -> bytes:
    """Return a serialised ``WatchResponse`` of entries."""
    return pb.WatchResponse(entries=pb.FeedEntries(entries=tokens)).SerializeToString()


def in_frames(tokens: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Group entries into frames of about :data:`FRAME_BYTES`."""
    frame: list[str] = []
    size = 0
    for token in tokens:
        if frame and size + len(token) > FRAME_BYTES:
            yield tuple(frame)
            frame, size = [], 0
        frame.append(token)
        size += len(token)
    if frame:
        yield tuple(frame)
