"""Follows the hub's feed and keeps the replica current: of a checkpoint, of an adapter.

``run()`` watches for as long as its process lives: it resumes after the newest entry
held, takes a snapshot where the hub asks for one or a gap shows, and takes a line
that is silent for longer than the heartbeat it asked for as dead. ``refresh()``
is the same once: it returns when the hub has confirmed that nothing is newer.

What the replica refuses (a rolled-back feed, a fork, a foreign signature) is not
taken: the follower notes the code, keeps what it has, which goes on ageing, and
tries again later, because the hub may be mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import structlog
from hutong.v1 import feed_service_pb2

from gateway.errors import HutongError, InternalError, TrustError
from gateway.trust.feed import MAX_LIVE_ENTRIES
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

REFRESH_HEARTBEAT_SECONDS: Final = 1
"""Asked of the hub when somebody waits for its word; the schema's smallest."""

REFRESH_SECONDS: Final = 10.0
"""Longest wait of a refresh without a snapshot."""

SNAPSHOT_SECONDS: Final = 60.0
"""A full snapshot of all regions on a slow line."""

SILENCE_FACTOR: Final = 2.0
"""Heartbeats that may be missed by half: one may be late, two are none."""

PAUSE_SECONDS: Final = (0.2, 30.0)
"""First and longest pause after a failed watch, doubled each time, jittered."""

_log = structlog.get_logger(__name__)


class FollowedReplica(Protocol):
    """What a follower fills: :class:`~gateway.wire.replica_store.ReplicaStore` is one."""

    @property
    def is_usable(self) -> bool:
        """Whether there was ever a word of the hub."""

    @property
    def sequence(self) -> int:
        """Number of the newest entry held; zero: none."""

    async def take_snapshot(self, manifest: str, entries: Sequence[str], now: datetime) -> None:
        """Replace what is held; raises FeedError."""

    async def take_entries(self, entries: Sequence[str], now: datetime) -> None:
        """Append entries in order; raises FeedError."""

    async def take_head(self, head: str, now: datetime) -> None:
        """Note that nothing is newer; raises FeedError."""


class FeedFollower:
    """Keeps one replica current. One event loop.

    Args:
        stub: of the hub's FeedService.
        store: the replica and its file.
        clock: now, UTC.
        heartbeat_seconds: longest silence asked for.
        on_change: called after entries or a snapshot were taken.
        hub: URN of the hub whose feed is wanted; empty: the serving hub's own.
    """

    def __init__(
        self,
        stub: FeedServiceStub,
        store: FollowedReplica,
        *,
        clock: Callable[[], datetime],
        heartbeat_seconds: int,
        on_change: Callable[[], None],
        hub: str = "",
    ) -> None:
        self._stub = stub
        self._hub = hub
        self._store = store
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._on_change = on_change
        self._turn = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._refreshes = 0  # under way or waiting for their turn
        self._failures_in_a_row = 0
        self.last_failure: str | None = None
        """Code of the last failure; None after a word of the hub was taken."""

    async def run(self) -> None:
        """Follow for ever; ends only when cancelled."""
        while True:
            async with self._turn:
                if self._refreshes:
                    # It came while this waited for its turn; a watch would keep it out.
                    # The loop goes on meanwhile, so that one that was cancelled can end.
                    await asyncio.sleep(0)
                    continue
                self._watching = asyncio.ensure_future(
                    self._watch(self._heartbeat_seconds, until_current=False)
                )
                try:
                    await asyncio.wait([self._watching])
                except asyncio.CancelledError:
                    self._watching.cancel()
                    await asyncio.wait([self._watching])
                    raise
                interrupted = self._watching.cancelled()
                failure = None if interrupted else self._watching.exception()
            if isinstance(failure, HutongError):
                self._note(failure)
            elif failure is not None:
                # A fault of ours must not end the following: trust would age unseen.
                _log.error("feed_follower_failed", exc_info=failure)
                self._note(InternalError("the follower failed"))
            if not interrupted:
                await asyncio.sleep(self._pause())

    async def refresh(self) -> None:
        """Bring the replica up to date now.

        Raises:
            RpcFailure: the hub cannot be reached or does not answer in time.
            FeedError: what it sent was refused; nothing was changed by it.
        """
        self._refreshes += 1
        try:
            if self._watching is not None:
                self._watching.cancel()
            async with self._turn:
                await self._watch(REFRESH_HEARTBEAT_SECONDS, until_current=True)
        except HutongError as error:
            self._note(error)
            raise
        finally:
            self._refreshes -= 1

    # --- one watch -----------------------------------------------------------

    async def _watch(self, heartbeat_seconds: int, *, until_current: bool) -> None:
        if not self._store.is_usable:
            await self._take_snapshot()
            if until_current:
                return
        request = feed_service_pb2.WatchRequest(
            after_sequence=self._store.sequence,
            heartbeat_seconds=heartbeat_seconds,
            hub=self._hub,
        )
        limit = REFRESH_SECONDS if until_current else heartbeat_seconds * SILENCE_FACTOR + 1
        call = self._stub.Watch(request)
        try:
            while True:
                try:
                    async with asyncio.timeout(limit):
                        frame = await call.read()
                except TimeoutError:
                    raise RpcFailure("PEER_UNREACHABLE", "the feed is silent") from None
                if not isinstance(frame, feed_service_pb2.WatchResponse):
                    return  # the hub ended the stream
                if not await self._take(frame):
                    return
                if until_current and frame.WhichOneof("frame") in {"head", "resync"}:
                    return
        except grpc.aio.AioRpcError as error:
            failure = failure_from_rpc_error(error)
            if failure.code == "SEQUENCE_AHEAD":
                raise RpcFailure(
                    failure.code, "the hub's feed ends before ours; it may have been rolled back"
                ) from None
            raise failure from None
        finally:
            with contextlib.suppress(Exception):
                call.cancel()

    async def _take(self, frame: feed_service_pb2.WatchResponse) -> bool:
        """Take one frame; returns whether the watch goes on."""
        now = self._clock()
        kind = frame.WhichOneof("frame")
        try:
            if kind == "entries":
                try:
                    await self._store.take_entries(frame.entries.entries, now)
                finally:
                    # Also when cancelled: what was taken before stays taken.
                    self._on_change()
            elif kind == "head":
                await self._store.take_head(frame.head, now)
            else:
                # A resync, or a frame of a later version: the state in full says it all.
                await self._take_snapshot()
                return False
        except TrustError as error:
            if error.code != "FEED_GAP":
                raise
            _log.warning("feed_gap", sequence=self._store.sequence)
            await self._take_snapshot()
            return False
        self._heard()
        return True

    async def _take_snapshot(self) -> None:
        manifest = ""
        entries: list[str] = []
        try:
            request = feed_service_pb2.SnapshotRequest(hub=self._hub)
            call = self._stub.Snapshot(request, timeout=SNAPSHOT_SECONDS)
            async for chunk in call:
                manifest = manifest or chunk.manifest
                entries.extend(chunk.entries)
                if len(entries) > MAX_LIVE_ENTRIES:
                    call.cancel()
                    raise RpcFailure("MESSAGE_TOO_LARGE", "the snapshot has too many entries")
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
        try:
            await self._store.take_snapshot(manifest, entries, self._clock())
        finally:
            self._on_change()
        self._heard()

    # --- bookkeeping ---------------------------------------------------------

    def _heard(self) -> None:
        self._failures_in_a_row = 0
        self.last_failure = None

    def _note(self, failure: HutongError) -> None:
        self._failures_in_a_row = min(self._failures_in_a_row + 1, 16)
        if failure.code != self.last_failure:
            _log.warning("feed_not_followed", code=failure.code, sequence=self._store.sequence)
        self.last_failure = failure.code

    def _pause(self) -> float:
        first, longest = PAUSE_SECONDS
        pause = min(longest, first * 2.0**self._failures_in_a_row)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads readers, keeps no secret
