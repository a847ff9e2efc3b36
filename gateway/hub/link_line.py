"""The line under a link: one stream to an adapter, made again whenever it is lost.

It connects when first used, backs off with jitter, and ends a pause early for a
question; what it carries, and what becomes of that when it is lost, is the link's
(:mod:`gateway.hub.adapter_link`).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from gateway.errors import PeerError
from gateway.wire.coalesce import Coalescer
from gateway.wire.errors import RpcFailure
from gateway.wire.fragments import Run, join_runs, run_bytes, run_count
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.hub.link_service import LinkService

Metadata = tuple[tuple[str, str], ...]
"""Of a call."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Bounds and pauses of a link.

    Attributes:
        max_in_flight: questions asked and not answered.
        max_queued_bytes: bytes that wait for the line.
        connect_seconds: longest a connection attempt takes.
        first_pause_seconds: pause after the first failed attempt; it doubles.
        longest_pause_seconds: where doubling ends.
        wake_pause_seconds: shortest pause that questions leave a dead adapter.
        wake_connect_seconds: longest that questions wait for the attempt they woke.
    """

    max_in_flight: int = 65_536
    max_queued_bytes: int = 16 * 1024 * 1024
    connect_seconds: float = 5.0
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 15.0
    wake_pause_seconds: float = 1.0
    wake_connect_seconds: float = 1.0


class LinkLine:
    """See the module; arguments as those of :class:`gateway.hub.adapter_link.AdapterLink`."""

    def __init__(
        self,
        authority: str,
        open_channel: Callable[[], grpc.aio.Channel],
        *,
        settings: LinkSettings,
        jitter: Callable[[], float],
        service: LinkService,
        credentials: Callable[[], Awaitable[Metadata]] | None,
    ) -> None:
        self.authority = authority
        self.unreachable = service.unreachable
        self._service = service
        self._credentials = credentials
        self._open_channel = open_channel
        self._settings = settings
        self._jitter = jitter
        self._queue = _new_queue()
        self._queued_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._accepting = True
        self._retry_at = 0.0
        self._wake_at = 0.0
        self._pause: asyncio.Event | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the last attempt to reach the adapter held, or questions wait for one."""
        return self._accepting and self._task is not None

    async def close(self) -> None:
        """Refuse what is in flight, end the stream and close the channel."""
        self._closed = True
        self._accepting = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._lose()

    def _take(self, data: bytes) -> None:
        """Take a message of the stream, still serialised."""
        raise NotImplementedError

    def _lose(self) -> None:
        """The stream is gone, and everything on it."""
        raise NotImplementedError

    def _start(self) -> grpc.aio.Channel:
        """Connect when first used; return the channel, or refuse while the adapter is away."""
        if self._channel is None:
            self._channel = self._open_channel()
            self._task = asyncio.get_running_loop().create_task(self._run(self._channel))
        if not self._accepting and not self._end_pause():
            raise self._unreachable()
        return self._channel

    async def _run(self, channel: grpc.aio.Channel) -> None:
        pause = self._settings.first_pause_seconds
        connect_seconds = self._settings.connect_seconds
        try:
            while True:
                answered = False
                try:
                    await self._connect(channel, connect_seconds)
                    self._accepting = True
                    answered = await self._serve(channel)
                except (grpc.aio.AioRpcError, OSError, PeerError) as error:
                    # TimeoutError and ConnectionError are OSErrors.
                    _log.debug("adapter_lost", authority=self.authority, error=type(error).__name__)
                except DecodeError:
                    _log.warning("adapter_misbehaved", authority=self.authority)
                except Exception as error:  # noqa: BLE001  the link must come back whatever failed
                    report_incident(error, authority=self.authority)
                if answered:
                    pause = self._settings.first_pause_seconds
                wait = pause * (0.5 + self._jitter() / 2)
                pause = min(2 * pause, self._settings.longest_pause_seconds)
                self._accepting = False
                now = asyncio.get_running_loop().time()
                self._retry_at = now + wait
                self._wake_at = now + self._settings.wake_pause_seconds
                _log.info("adapter_unreachable", authority=self.authority, retry_in_seconds=wait)
                self._lose()
                connect_seconds = self._settings.connect_seconds
                if await self._sleep(wait):
                    connect_seconds = self._settings.wake_connect_seconds
                    # The old channel keeps a reconnection pause of its own.
                    await channel.close()
                    channel = self._channel = self._open_channel()
        finally:
            self._accepting = False
            await channel.close()

    async def _sleep(self, seconds: float) -> bool:
        """Pause; say whether a question ended the pause."""
        self._pause = pause = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await pause.wait()
        finally:
            self._pause = None
        return pause.is_set()

    def _end_pause(self) -> bool:
        """Have the adapter tried at once if it may be; what is asked now waits for that."""
        if self._pause is None or asyncio.get_running_loop().time() < self._wake_at:
            return False
        self._accepting = True
        self._pause.set()
        return True

    async def _connect(self, channel: grpc.aio.Channel, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            state = channel.get_state(try_to_connect=True)
            while state is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    raise ConnectionError
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)

    async def _serve(self, channel: grpc.aio.Channel) -> bool:
        """Carry questions and answers until the stream ends; say whether any answer came."""
        credentials = None if self._credentials is None else await self._credentials()
        method: Any = channel.stream_stream(self._service.stream_method)
        call: grpc.aio.StreamStreamCall[Any, Any] = method(metadata=credentials)
        writer = asyncio.get_running_loop().create_task(self._write(call))
        # Without its writer a stream would only let deadlines pass.
        writer.add_done_callback(lambda _: call.cancel())
        answered = False
        try:
            while True:
                message = await _read(call)
                if message is grpc.aio.EOF:
                    return answered
                self._take(cast("bytes", message))
                answered = True
        finally:
            writer.cancel()
            call.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        # When a write fails the stream is over, and the reader sees why.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                runs = await self._queue.take()
                message = join_runs(runs)
                self._queued_bytes -= len(message)
                await call.write(message)

    def _unreachable(self) -> RpcFailure:
        wait = self._settings.first_pause_seconds
        if not self._closed:
            next_attempt = min(self._retry_at, self._wake_at)
            wait = max(0.05, next_attempt - asyncio.get_running_loop().time())
        return RpcFailure(
            self.unreachable, "who answers cannot be reached", retry_after_seconds=wait
        )

    def _enqueue(self, pieces: list[bytes], count: int) -> None:
        # The bounds are held in `ask`, where there is somebody to refuse.
        run = Run(b"".join(pieces), count)
        self._queue.push_one(run)
        self._queued_bytes += len(run.data)

    def _drop_queue(self) -> None:
        self._queue.abort()
        self._queue = _new_queue()
        self._queued_bytes = 0


async def _read(call: grpc.aio.StreamStreamCall[Any, Any]) -> object:
    """Read a message; a call that was cancelled here is a lost connection.

    grpc.aio raises CancelledError for it, which would end the task that keeps
    the link although nobody cancelled that.
    """
    try:
        return await call.read()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError from None


def _new_queue() -> Coalescer[Run]:
    return Coalescer(size=run_bytes, count=run_count)
