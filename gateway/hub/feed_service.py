"""Serves ``hutong.v1.FeedService`` from the feeds in memory; open to everyone.

Which feeds there are is a table by hub: the own one, and those of other hubs that
are passed on byte by byte. What a watcher gets is serialised before it comes here
(``feed_watch``), so the handler is made by hand.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import feed_service_pb2 as pb

from gateway.hub.errors import RegistryError
from gateway.hub.feed_watch import entries_frame, in_frames
from gateway.hub.hubs_around import seconds_left
from gateway.hub.reader_counts import READERS_SECONDS, count_to_proto
from gateway.wire.hub_tokens import EXCHANGE_SCOPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.hub.access import AccessControl
    from gateway.hub.feed_watch import ServedFeed, Watcher
    from gateway.hub.hubs_around import HubGrants
    from gateway.hub.reader_counts import ReaderCounts
    from gateway.hub.reader_sharing import ReaderSharing
    from gateway.hub.readers import Readers
    from gateway.hub.status_lists import StatusLists

    Context = grpc.aio.ServicerContext[Any, Any]

FEED_SERVICE: Final = "hutong.v1.FeedService"
"""Full name, for health and registration."""

DEFAULT_HEARTBEAT_SECONDS: Final = 15
"""``WatchRequest.heartbeat_seconds`` of zero, as ``feed_service.proto`` says."""

HEARTBEAT_SHARE: Final = 0.9
"""Heads leave a little before the reader's patience ends."""

CHUNK_BYTES: Final = 256 * 1024
"""A base list of millions of entries in a handful of messages."""


class FeedService:
    """The service; register it with :func:`feed_handler`.

    Args:
        own: URN of the serving hub.
        feeds: the feeds served, by the URN of the hub that signs; may change.
        status_lists: the base lists of the regions.
        access: verifies the tokens of those who acknowledge.
        readers: remembers what they say.
        sharing: tells it to the other processes.
        counts: counts readers, here and at the hubs around.
        grants: reads the grants of hubs that ask for that.
    """

    def __init__(
        self,
        own: str,
        feeds: Mapping[str, ServedFeed],
        *,
        status_lists: StatusLists,
        access: AccessControl,
        readers: Readers,
        sharing: ReaderSharing,
        counts: ReaderCounts,
        grants: HubGrants,
    ) -> None:
        self._own = own
        self._feeds = feeds
        self._status_lists = status_lists
        self._access = access
        self._readers = readers
        self._sharing = sharing
        self._counts = counts
        self._grants = grants
        # The newest head of each feed, serialised: as many as there are feeds.
        self._heads: dict[str, tuple[str, bytes]] = {}

    async def snapshot(
        self, request: pb.SnapshotRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotResponse]:
        """Send the manifest, then the live entries in chunks."""
        del context
        snapshot = self._feed(request.hub).snapshot()
        manifest = snapshot.manifest
        for frame in in_frames(snapshot.entries):
            yield pb.SnapshotResponse(manifest=manifest, entries=frame)
            manifest = ""
        if manifest:
            yield pb.SnapshotResponse(manifest=manifest)

    async def watch(self, request: pb.WatchRequest, context: Context) -> None:
        """Send what the reader lacks, then every entry as it happens, and heads.

        It writes through its context: no layers of generators stand between a change
        and a thousand watchers.
        """
        feed = self._feed(request.hub)
        begun = feed.watch(request.after_sequence, asyncio.current_task())
        if begun is None:
            await context.write(_resync(feed))
            return
        watcher, missing = begun
        silence = HEARTBEAT_SHARE * (request.heartbeat_seconds or DEFAULT_HEARTBEAT_SECONDS)
        try:
            for frame in in_frames(missing):
                await context.write(entries_frame(frame))
            # At once, so that a reader who lacks nothing knows how old that is.
            if head := self._head(feed):
                await context.write(head)
            is_over = False
            while not is_over:
                following, is_over = await self._next(feed, watcher, silence)
                await context.write(following)
        finally:
            feed.unwatch(watcher)

    async def list_hubs(self, request: pb.ListHubsRequest, context: Context) -> pb.ListHubsResponse:
        """Name the feeds that are served here, the own one first."""
        del request, context
        ordered = sorted(self._feeds.values(), key=lambda feed: (feed.hub != self._own, feed.hub))
        return pb.ListHubsResponse(feeds=[_served(feed) for feed in ordered])

    async def get_status_list(
        self, request: pb.GetStatusListRequest, context: Context
    ) -> AsyncIterator[pb.GetStatusListResponse]:
        """Send a base list in chunks."""
        del context
        token = await self._status_lists.get(request.digest)
        if token is None:
            raise RegistryError("no such status list is kept here", code="NOT_FOUND")
        for start in range(0, len(token), CHUNK_BYTES):
            yield pb.GetStatusListResponse(chunk=token[start : start + CHUNK_BYTES])

    async def acknowledge(
        self, request: pb.AcknowledgeRequest, context: Context
    ) -> pb.AcknowledgeResponse:
        """Take in how far a reader is."""
        access, _ = self._access.require(context, EXCHANGE_SCOPE)
        hub = "" if request.hub == self._own else request.hub
        self._feed(hub)
        self._readers.acknowledge(access.caller, hub, request.sequence, request.rehearsals)
        if request.rehearsals:
            await self._sharing.written()
        return pb.AcknowledgeResponse()

    async def count_readers(
        self, request: pb.CountReadersRequest, context: Context
    ) -> pb.CountReadersResponse:
        """Count the readers of this hub and of those behind it, for another hub."""
        ask = self._grants.read(context)
        counted = await self._counts.answer(
            ask,
            rehearsal=request.rehearsal,
            issuer=request.issuer,
            seconds=seconds_left(context, READERS_SECONDS),
        )
        return pb.CountReadersResponse(
            hubs=[count_to_proto(count) for count in counted.hubs], unknown=counted.unknown
        )

    def _feed(self, hub: str) -> ServedFeed:
        feed = self._feeds.get(hub or self._own)
        if feed is None:
            raise RegistryError("no feed of that hub is served here", code="HUB_UNKNOWN")
        return feed

    async def _next(self, feed: ServedFeed, watcher: Watcher, silence: float) -> tuple[bytes, bool]:
        """What to send next, and whether that is the end: entries, a head, or start over."""
        while True:
            frame = await watcher.next(silence)
            if frame is not None:
                return frame, False
            if watcher.is_cut:
                return _resync(feed), True
            if watcher.is_closed:
                raise RegistryError("the hub is stopping", code="SHUTTING_DOWN")
            if head := self._head(feed):
                return head, False

    def _head(self, feed: ServedFeed) -> bytes:
        token = feed.head()
        if not token:
            # Another hub's, whose entries came faster than its heads: one is on its way.
            return b""
        known = self._heads.get(feed.hub)
        if known is None or known[0] != token:
            known = self._heads[feed.hub] = (
                token,
                pb.WatchResponse(head=token).SerializeToString(),
            )
        return known[1]


def feed_handler(service: FeedService) -> grpc.GenericRpcHandler:
    """Make the handler of the service; ``Watch`` answers in bytes that are serialised already."""
    return grpc.method_handlers_generic_handler(
        FEED_SERVICE,
        {
            "Snapshot": grpc.unary_stream_rpc_method_handler(
                service.snapshot,
                request_deserializer=pb.SnapshotRequest.FromString,
                response_serializer=pb.SnapshotResponse.SerializeToString,
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                service.watch, request_deserializer=pb.WatchRequest.FromString
            ),
            "ListHubs": grpc.unary_unary_rpc_method_handler(
                service.list_hubs,
                request_deserializer=pb.ListHubsRequest.FromString,
                response_serializer=pb.ListHubsResponse.SerializeToString,
            ),
            "GetStatusList": grpc.unary_stream_rpc_method_handler(
                service.get_status_list,
                request_deserializer=pb.GetStatusListRequest.FromString,
                response_serializer=pb.GetStatusListResponse.SerializeToString,
            ),
            "Acknowledge": grpc.unary_unary_rpc_method_handler(
                service.acknowledge,
                request_deserializer=pb.AcknowledgeRequest.FromString,
                response_serializer=pb.AcknowledgeResponse.SerializeToString,
            ),
            "CountReaders": grpc.unary_unary_rpc_method_handler(
                service.count_readers,
                request_deserializer=pb.CountReadersRequest.FromString,
                response_serializer=pb.CountReadersResponse.SerializeToString,
            ),
        },
    )


def _served(feed: ServedFeed) -> pb.ServedFeed:
    as_of = feed.as_of
    stamp = None
    if as_of is not None:
        stamp = Timestamp()
        stamp.FromDatetime(as_of)
    return pb.ServedFeed(
        hub=feed.hub,
        sequence=feed.sequence,
        as_of=stamp,
        connected=feed.connected,
        superior=feed.is_superior,
    )


def _resync(feed: ServedFeed) -> bytes:
    return pb.WatchResponse(resync=pb.Resync(oldest_sequence=feed.floor)).SerializeToString()
