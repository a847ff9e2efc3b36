"""What stands now on every live status list, and who is told when it changes.

A watcher is not sent a queue of events but the difference between what it was sent and
what stands: a slow one skips what was superseded meanwhile, and nothing piles up for it.

Where a platform is followed, every frame says up to when that was without a gap
(HT-ADP-23), so a line that is alive does not pass for a platform that is heard. A frame
never says more than what was sent with it: only the last of several bears the newest
instant.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hutong.v1 import adapter_service_pb2

from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

HEARTBEAT_SECONDS: Final = 15
"""As ``WatchChangesRequest.heartbeat_seconds`` where it is zero."""

LATE: Final = timedelta(seconds=HEARTBEAT_SECONDS + 10)
"""A platform that is followed again after longer than an answer takes is told at once."""


@dataclass(frozen=True, slots=True)
class Posted:
    """One list as it stands.

    Attributes:
        base: the list's token.
        digest: of that token.
        change: the newest statement.
        sequence: of that statement.
    """

    base: str = field(repr=False)
    digest: str
    change: str = field(repr=False)
    sequence: int


class StatusBoard:
    """See the module. One event loop.

    Args:
        clock: now, aware, UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._begun: datetime | None = None
        self._followed: datetime | None = None
        self._posted: dict[str, Posted] = {}
        self._turned = asyncio.Event()
        self.watchers = 0

    @property
    def posted(self) -> dict[str, Posted]:
        """The lists by URI, as they stand now."""
        return dict(self._posted)

    def post(self, uri: str, posted: Posted) -> None:
        """Say how a list stands now; wakes every watcher."""
        self._posted[uri] = posted
        self._wake()

    def take_down(self, uri: str) -> None:
        """Say that a list has ended."""
        if self._posted.pop(uri, None) is not None:
            self._wake()

    @property
    def followed(self) -> datetime | None:
        """Up to when a platform was followed without a gap; None: none is followed."""
        return self._followed

    def follow(self, at: datetime) -> None:
        """Say up to when the platform's changes were followed; all of them are posted.

        Args:
            at: not later than when the platform was asked; the first may be long ago.
        """
        before, self._followed = self._followed, at
        self._begun = self._begun or at
        if before is not None and at - before > LATE:
            self._wake()

    async def watch(
        self, heartbeat_seconds: int, draining: asyncio.Event
    ) -> AsyncGenerator[adapter_service_pb2.WatchChangesResponse, None]:
        """Yield what stands, then what changes, and a sign of life between.

        Args:
            heartbeat_seconds: longest silence; 0: :data:`HEARTBEAT_SECONDS`.
            draining: set when the server stops.

        Raises:
            RpcFailure: SHUTTING_DOWN, the server stops.
        """
        silence = heartbeat_seconds or HEARTBEAT_SECONDS
        sent: dict[str, tuple[str, int]] = {}
        told, is_first = self._begun, True
        drained = asyncio.create_task(draining.wait())
        turning: asyncio.Task[bool] | None = None
        self.watchers += 1
        try:
            while not draining.is_set():
                turned = self._turned
                frames = self._frames(sent)
                if not frames and not is_first:
                    frames = [_heartbeat()]
                # As of when these were collected: the platform may have said more since.
                followed, is_first = self._followed, False
                for frame in frames[:-1]:
                    yield self._stamped(frame, told)
                for frame in frames[-1:]:
                    yield self._stamped(frame, followed)
                    told = followed
                if turned.is_set():
                    # More has changed while those were on their way.
                    continue
                turning = asyncio.create_task(turned.wait())
                await asyncio.wait(
                    {turning, drained}, timeout=silence, return_when=asyncio.FIRST_COMPLETED
                )
                turning.cancel()
                # Where nothing turned, the next round has no frame but a heartbeat.
            raise RpcFailure("SHUTTING_DOWN", "the adapter stops; watch again elsewhere or later")
        finally:
            self.watchers -= 1
            drained.cancel()
            if turning is not None:
                turning.cancel()

    def _frames(
        self, sent: dict[str, tuple[str, int]]
    ) -> list[adapter_service_pb2.WatchChangesResponse]:
        """What a watcher lacks: base lists, then statements, then what has ended."""
        response = adapter_service_pb2.WatchChangesResponse
        lists, changes = [], []
        for uri, posted in self._posted.items():
            digest, sequence = sent.get(uri, ("", 0))
            if digest != posted.digest:
                token = adapter_service_pb2.StatusListToken(token=posted.base.encode("ascii"))
                lists.append(response(list=token))
            if sequence < posted.sequence:
                changes.append(response(change=posted.change))
            sent[uri] = posted.digest, posted.sequence
        ended = [uri for uri in sent if uri not in self._posted]
        for uri in ended:
            del sent[uri]
        return [*lists, *changes, *(response(ended=uri) for uri in ended)]

    def _stamped(
        self, frame: adapter_service_pb2.WatchChangesResponse, as_of: datetime | None
    ) -> adapter_service_pb2.WatchChangesResponse:
        as_of = as_of or self._begun
        if as_of is not None:
            frame.as_of.FromDatetime(as_of)
            frame.now.FromDatetime(self._clock())
        return frame

    def _wake(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()


def _heartbeat() -> adapter_service_pb2.WatchChangesResponse:
    return adapter_service_pb2.WatchChangesResponse(
        heartbeat=adapter_service_pb2.WatchChangesHeartbeat()
    )
