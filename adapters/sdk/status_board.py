"""What stands now on every live status list, and who is told when it changes.

A watcher is not sent a queue of events but the difference between what it was sent and
what stands: a slow one skips what was superseded meanwhile, and nothing piles up for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hutong.v1 import adapter_service_pb2

from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HEARTBEAT_SECONDS: Final = 15
"""As ``WatchChangesRequest.heartbeat_seconds`` where it is zero."""


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
    """See the module. One event loop."""

    def __init__(self) -> None:
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
        drained = asyncio.create_task(draining.wait())
        turning: asyncio.Task[bool] | None = None
        self.watchers += 1
        try:
            while not draining.is_set():
                turned = self._turned
                frames = self._frames(sent)
                for frame in frames:
                    yield frame
                if turned.is_set():
                    # More has changed while those were on their way.
                    continue
                turning = asyncio.create_task(turned.wait())
                done, _ = await asyncio.wait(
                    {turning, drained}, timeout=silence, return_when=asyncio.FIRST_COMPLETED
                )
                turning.cancel()
                if not done:
                    yield adapter_service_pb2.WatchChangesResponse(
                        heartbeat=adapter_service_pb2.WatchChangesHeartbeat()
                    )
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

    def _wake(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()
