"""The feed of the reference hub: records, a withdrawal, a status list, at most one fault.

Its chain is that of the vectors (``vectors.world``), whose keys are everybody's.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import feed_service_pb2, feed_service_pb2_grpc, readers_pb2

from conformance_tests.peer.common import RefusedError, abort, metadata
from conformance_tests.vectors.chain import ZERO, Chain, Link, listed
from conformance_tests.vectors.keys import digest
from conformance_tests.vectors.lists import base_list
from conformance_tests.vectors.plan import CITY, HUB, NOW, VerifierPlan
from conformance_tests.vectors.records import member_key, record
from conformance_tests.vectors.world import chain_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conformance_tests.peer.hub_below import ReferenceBelow

_Context = grpc.aio.ServicerContext[Any, Any]
_STATUS = VerifierPlan(status=100)
_OUTDATED_SECONDS = 3600


@dataclass(slots=True)
class ReferenceFeed(feed_service_pb2_grpc.FeedServiceServicer):
    """Serves one chain.

    Attributes:
        fault: the deliberate fault; empty for none.
        second: the feed whose chain this one serves at another address; None: it is its own.
        chain: what it serves.
        lists: base lists beside the one of the vectors, by digest.
        below: reads what hubs below say; None: there are none.
    """

    fault: str
    second: ReferenceFeed | None = None
    chain: Chain = field(init=False)
    lists: dict[str, str] = field(default_factory=dict, repr=False)
    below: ReferenceBelow | None = None
    _doubled: bool = False

    def __post_init__(self) -> None:
        if self.second is not None:
            self.chain = self.second.chain
            return
        self.chain = chain_of(_STATUS)
        notice = {"topic": "key-expiring", "at": NOW}
        self.chain.append("notice", f"{CITY}#key-expiring", notice, NOW - 200)
        gone = {"withdrawn": {"reason": "renewed"}}
        self.chain.append("notice", f"{CITY}#key-expiring", gone, NOW - 100)

    def _now(self) -> int:
        return int(time.time()) - _OUTDATED_SECONDS * (self.fault == "outdated-heads")

    def _own(self, hub: str) -> bool:
        return hub in {"", HUB} or self.fault == "unknown-hub-served"

    async def Snapshot(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.SnapshotRequest, context: _Context
    ) -> AsyncIterator[feed_service_pb2.SnapshotResponse]:
        """Send the state in full."""
        if not self._own(request.hub):
            await abort(context, RefusedError(grpc.StatusCode.NOT_FOUND, "HUB_UNKNOWN"))
        if self.fault == "key-published-twice" and not self._doubled:
            self._double()
        chain, more = self.chain, dict[str, Any]()
        live: list[Link] = chain.live()
        if self.fault == "manifest-list-wrong":
            more["entries"] = listed(live[::-1])
        if self.fault == "tombstones-unlisted":
            more["tombstones"] = listed([])
        if self.fault == "superseded-listed":
            kept = sorted({*live, chain.links[1]}, key=lambda link: link.sequence)
            more |= {"count": len(kept), "entries": listed(kept)}
        snapshot = chain.snapshot(int(time.time()), **more)
        tokens = list(snapshot["entries"])
        if self.fault == "superseded-listed":
            tokens.insert(1, chain.links[1].token)
        yield feed_service_pb2.SnapshotResponse(manifest=snapshot["manifest"])
        yield feed_service_pb2.SnapshotResponse(entries=tokens)

    async def Watch(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.WatchRequest, context: _Context
    ) -> AsyncIterator[feed_service_pb2.WatchResponse]:
        """Send entries after a number, then heads."""
        if request.hub and (not self._own(request.hub) or self.fault == "own-name-unknown"):
            await abort(context, RefusedError(grpc.StatusCode.NOT_FOUND, "HUB_UNKNOWN"))
        links = self.chain.links
        if request.after_sequence > len(links) and self.fault != "ahead-accepted":
            await abort(context, RefusedError(grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_AHEAD"))
        after = 0 if self.fault == "resume-from-start" else request.after_sequence
        for link in links:
            left_out = self.fault == "gap-in-watch" and link.sequence == len(links) - 1
            if link.sequence > after and not left_out:
                token = link.token
                if self.second is not None and self.fault == "other-entries-elsewhere":
                    token = self._another(link)
                entries = feed_service_pb2.FeedEntries(entries=[token])
                yield feed_service_pb2.WatchResponse(entries=entries)
        if self.fault == "no-heads":
            return
        while True:
            yield feed_service_pb2.WatchResponse(head=self.chain.head(self._now()))
            await asyncio.sleep(request.heartbeat_seconds or 15)

    def _double(self) -> None:
        """One key for two members."""
        self._doubled = True
        body = record(CITY, "city")
        body["keys"].append(member_key("attest", "neighbour/attest"))
        self.chain.append("authority", CITY, body, NOW)

    def _another(self, link: Link) -> str:
        """Another entry of the same number."""
        body = {"topic": "elsewhere", "at": NOW}
        made = self.chain.link(link.sequence, ZERO, "notice", f"{CITY}#elsewhere", body, NOW)
        return made.token

    async def ListHubs(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.ListHubsRequest, context: _Context
    ) -> feed_service_pb2.ListHubsResponse:
        """Name the one feed."""
        behind = self.fault == "own-feed-behind"
        own = feed_service_pb2.ServedFeed(
            hub=HUB, sequence=self.chain.sequence - behind, connected=True
        )
        feeds = [own]
        if self.fault == "two-superiors":
            feeds += [
                feed_service_pb2.ServedFeed(hub=f"urn:hutong:hub:{code}", superior=True)
                for code in ("100000", "200000")
            ]
        return feed_service_pb2.ListHubsResponse(feeds=feeds)

    async def GetStatusList(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.GetStatusListRequest, context: _Context
    ) -> AsyncIterator[feed_service_pb2.GetStatusListResponse]:
        """Send the one list."""
        token = self.lists.get(request.digest, base_list(_STATUS).token)
        if request.digest != digest(token):
            if self.fault == "unknown-list-empty":
                return
            await abort(context, RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"))
        data = token.encode()
        middle = len(data) // 2
        yield feed_service_pb2.GetStatusListResponse(chunk=data[:middle])
        if self.fault != "list-cut-short":
            yield feed_service_pb2.GetStatusListResponse(chunk=data[middle:])

    async def Acknowledge(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.AcknowledgeRequest, context: _Context
    ) -> feed_service_pb2.AcknowledgeResponse:
        """Take note."""
        return feed_service_pb2.AcknowledgeResponse()

    async def CountReaders(  # noqa: N802 - the service's own name
        self, request: feed_service_pb2.CountReadersRequest, context: _Context
    ) -> feed_service_pb2.CountReadersResponse:
        """Count nobody, for a hub next to this one."""
        try:
            if self.below is None:
                raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
            self.below.itself(metadata(context, "hutong-grant"))
        except RefusedError as error:
            await abort(context, error)
        return feed_service_pb2.CountReadersResponse(hubs=[readers_pb2.HubReaders(hub=HUB)])
