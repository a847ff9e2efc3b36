"""A TCP line that can be made to fail: refuse, stall, break in the middle of a message, heal.

Stands between any two peers and knows nothing of what they say. What it does is decided by
bytes and by calls, never by time.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_PIECE = 16_384


class Fault(enum.Enum):
    """What the line does."""

    NONE = "none"
    REFUSE = "refuse"
    """Connections are cut and none is let in."""
    STALL = "stall"
    """Connections stay and are let in; nothing arrives, nobody is told."""


class FaultProxy:
    """A line to one port of this machine.

    Args:
        target: where it leads.

    Attributes:
        port: where it begins; kept across every fault.
        carried: bytes that came back from the target.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault = Fault.NONE
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._left: int | None = None
        self.port = 0
        self.carried = 0
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.refuse()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def refuse(self) -> None:
        """Cut what is there and let nobody in."""
        self._fault = Fault.REFUSE
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stall(self) -> None:
        """Hold everything back, in both directions."""
        self._fault = Fault.STALL
        self._flowing.clear()

    def cut_after(self, size: int) -> None:
        """Let so many bytes come back from the target, then cut, whatever they are part of."""
        self._left = size

    def heal(self) -> None:
        """Carry everything again; what was held back goes on."""
        self._fault = Fault.NONE
        self._left = None
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._fault is Fault.REFUSE or task is None:
            writer.transport.abort()
            return
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._target)
            ways = {
                asyncio.ensure_future(self._pump(reader, there, is_back=False)),
                asyncio.ensure_future(self._pump(back, writer, is_back=True)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # a line that is cut tells nobody
        finally:
            self._tasks.discard(task)
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_back: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                await self._flowing.wait()
                if is_back and self._left is not None:
                    data = data[: self._left]
                    self._left -= len(data)
                if is_back:
                    self.carried += len(data)
                writer.write(data)
                await writer.drain()
                if is_back and self._left == 0:
                    self.cuts += 1
                    return
