"""A line between two places that can be cut and healed: a small proxy on loopback.

A line that is cut ends what goes over it and takes nothing new; nobody at either end is
told why, as with a cable.
"""

from __future__ import annotations

import asyncio
import contextlib

from gateway.cli.demo.site import HOST


class Line:
    """See the module. One event loop.

    Args:
        target: port that it leads to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.port = 0

    async def start(self) -> None:
        """Lay the line; ``port`` is where it begins."""
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End everything that goes over it, and take nothing new."""
        self._is_cut = True
        for call in (calls := list(self._calls)):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def heal(self) -> None:
        """Carry again what comes from now on."""
        self._is_cut = False

    async def stop(self) -> None:
        """Take the line away."""
        await self.cut()
        if self._server is not None:
            self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        if self._is_cut or call is None:
            writer.transport.abort()
            return
        self._calls.add(call)
        ends = [writer]
        try:
            back, there = await asyncio.open_connection(HOST, self._target)
            ends.append(there)
            ways = [
                asyncio.ensure_future(_pump(reader, there)),
                asyncio.ensure_future(_pump(back, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # a line that is cut tells nobody
        finally:
            self._calls.discard(call)
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
