"""One reader of the feed: a bounded queue that never makes anybody wait.

A watcher that does not keep up is cut: its queue is dropped, it is told to
start over, and if it does not even read that, its stream is ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAME_BYTES: Final = 1024 * 1024
"""Entries sent together: far below the message limit of 4 MiB, far above one entry."""


@dataclass(slots=True, eq=False)
class Watcher:
    """One reader's queue; made by :meth:`HubFeed.watch`.

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
    _frames: deque[tuple[str, ...]] = field(default_factory=deque)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _stall: asyncio.TimerHandle | None = None

    def push(self, frame: tuple[str, ...]) -> None:
        """Queue a frame, or cut the watcher where the queue is full."""
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

    async def next(self, timeout_seconds: float) -> tuple[str, ...] | None:
        """Wait for a frame.

        Returns:
            Entries; None: time ran out, or the watcher was cut or closed.
        """
        if not self._frames and not self.is_cut and not self.is_closed:
            self._woken.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._woken.wait()
            except TimeoutError:
                return None
        return self._frames.popleft() if self._frames and not self.is_cut else None


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
