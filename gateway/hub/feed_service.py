"""Serves ``hutong.v1.FeedService`` from the feed in memory; open to everyone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import feed_service_pb2 as pb
from hutong.v1 import feed_service_pb2_grpc as pb_grpc

from gateway.hub.errors import RegistryError
from gateway.hub.feed_watch import in_frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.feed_watch import Watcher

FEED_SERVICE: Final = "hutong.v1.FeedService"
"""Full name, for health and registration."""

DEFAULT_HEARTBEAT_SECONDS: Final = 15
"""``WatchRequest.heartbeat_seconds`` of zero, as ``feed_service.proto`` says."""

HEARTBEAT_SHARE: Final = 0.9
"""Heads leave a little before the reader's patience ends."""


class FeedService(pb_grpc.FeedServiceServicer):
    """The service.

    Args:
        feed: the feed in memory.
    """

    def __init__(self, feed: HubFeed) -> None:
        self._feed = feed

    async def Snapshot(  # noqa: N802  the name of the RPC
        self, request: pb.SnapshotRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.SnapshotResponse]:
        """Send the manifest, then the live entries in chunks."""
        del request, context
        snapshot = self._feed.snapshot()
        manifest = snapshot.manifest
        for frame in in_frames(snapshot.entries):
            yield pb.SnapshotResponse(manifest=manifest, entries=frame)
            manifest = ""
        if manifest:
            yield pb.SnapshotResponse(manifest=manifest)

    async def Watch(  # noqa: N802  the name of the RPC
        self, request: pb.WatchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchResponse]:
        """Send what the reader lacks, then every entry as it happens, and heads."""
        del context
        begun = self._feed.watch(request.after_sequence, asyncio.current_task())
        if begun is None:
            yield self._resync()
            return
        watcher, missing = begun
        try:
            for frame in in_frames(missing):
                yield pb.WatchResponse(entries=pb.FeedEntries(entries=frame))
            # At once, so that a reader who lacks nothing knows how old that is.
            yield pb.WatchResponse(head=self._feed.head())
            silence = HEARTBEAT_SHARE * (request.heartbeat_seconds or DEFAULT_HEARTBEAT_SECONDS)
            async for response in self._follow(watcher, silence):
                yield response
        finally:
            self._feed.unwatch(watcher)

    async def ListHubs(  # noqa: N802  the name of the RPC
        self, request: pb.ListHubsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListHubsResponse:
        """Name the feeds that are served here."""
        raise NotImplementedError

    async def GetStatusList(  # noqa: N802  the name of the RPC
        self, request: pb.GetStatusListRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GetStatusListResponse]:
        """Send a base list in chunks."""
        raise NotImplementedError
        yield

    async def Acknowledge(  # noqa: N802  the name of the RPC
        self, request: pb.AcknowledgeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.AcknowledgeResponse:
        """Take in how far a reader is."""
        raise NotImplementedError

    async def _follow(self, watcher: Watcher, silence: float) -> AsyncIterator[pb.WatchResponse]:
        while True:
            frame = await watcher.next(silence)
            if frame is not None:
                yield pb.WatchResponse(entries=pb.FeedEntries(entries=frame))
            elif watcher.is_cut:
                yield self._resync()
                return
            elif watcher.is_closed:
                raise RegistryError("the hub is stopping", code="SHUTTING_DOWN")
            else:
                yield pb.WatchResponse(head=self._feed.head())

    def _resync(self) -> pb.WatchResponse:
        return pb.WatchResponse(resync=pb.Resync(oldest_sequence=self._feed.floor))
