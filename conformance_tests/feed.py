"""A feed of one entry, by which an adapter under test believes the suite's origin region.

An adapter that converts verifies other regions' attestations against its own replica of
the hub's feed. So the suite plays the hub: it names its origin region in a feed that it
signs with the feed key of the trust anchor (``hutong-conformance keys`` makes both).

Its sequence number is the second in which it was made: a replica that an earlier run left
on disk is behind it, never ahead, and takes the state in full.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import feed_service_pb2, feed_service_pb2_grpc

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError, abort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jwcrypto import jwk

_Context = grpc.aio.ServicerContext[Any, Any]
_HOUR_SECONDS = 3600
_ZERO_DIGEST = crypto.b64(bytes(32))


@dataclass(slots=True)
class SuiteFeed(feed_service_pb2_grpc.FeedServiceServicer):
    """Serves the one entry.

    Attributes:
        hub: URN of the hub that the suite plays.
        key: private feed key.
        authority: URN of the origin region.
        attest: the key that the region attests with; its public half is published.
    """

    hub: str
    key: jwk.JWK = field(repr=False)
    authority: str
    attest: jwk.JWK = field(repr=False)
    _entry: str = ""
    _sequence: int = 0

    def __post_init__(self) -> None:
        now = self._sequence = int(time.time())
        claims = {
            "iss": self.hub,
            "seq": now,
            "prev": _ZERO_DIGEST,
            "iat": now,
            "kind": "authority",
            "subject": self.authority,
            "body": self._body(now - _HOUR_SECONDS),
        }
        self._entry = crypto.sign(claims, self.key, "hutong-feed-entry+jwt")

    def _body(self, since: int) -> dict[str, Any]:
        code = self.authority.rpartition(":")[2]
        while code.endswith("00"):
            code = code[:-2]
        seal = crypto.new_seal_key()
        published = {
            "attest": crypto.public_members(self.attest),
            "state": crypto.public_members(crypto.new_signing_key()),
            "authenticate": crypto.public_members(crypto.new_signing_key()),
            "seal": {**seal.members, "kid": seal.kid},
        }
        return {
            "urn": self.authority,
            "kind": "region",
            "name_zh": "",
            "name_en": "Origin of the conformance suite",
            "prefixes": [code],
            "endpoint": "127.0.0.1:1",
            "keys": [
                {"use": use, "jwk": members, "not_before": since}
                for use, members in published.items()
            ],
            "state": "active",
            "max_attestation_seconds": 86_400,
        }

    def _mark(self, typ: str, **more: Any) -> str:
        digest = crypto.b64(hashlib.sha256(self._entry.encode()).digest())
        now = int(time.time())
        claims = {"iss": self.hub, "seq": self._sequence, "digest": digest, "iat": now, **more}
        return crypto.sign(claims, self.key, typ)

    async def Snapshot(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.SnapshotRequest,  # noqa: ARG002 - it is empty
        context: _Context,  # noqa: ARG002 - open to everyone
    ) -> AsyncIterator[feed_service_pb2.SnapshotResponse]:
        """Send the state in full."""
        listed = hashlib.sha256(hashlib.sha256(self._entry.encode()).digest()).digest()
        manifest = self._mark("hutong-feed-manifest+jwt", count=1, entries=crypto.b64(listed))
        yield feed_service_pb2.SnapshotResponse(manifest=manifest)
        yield feed_service_pb2.SnapshotResponse(entries=[self._entry])

    async def Watch(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.WatchRequest,
        context: _Context,  # noqa: ARG002 - open to everyone
    ) -> AsyncIterator[feed_service_pb2.WatchResponse]:
        """Send heads; whoever stands elsewhere needs the state in full."""
        if request.after_sequence != self._sequence:
            yield feed_service_pb2.WatchResponse(resync=feed_service_pb2.Resync())
            return
        while True:
            yield feed_service_pb2.WatchResponse(head=self._mark("hutong-feed-head+jwt"))
            await asyncio.sleep(request.heartbeat_seconds or 15)

    async def ListHubs(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.ListHubsRequest,  # noqa: ARG002 - it is empty
        context: _Context,  # noqa: ARG002 - open to everyone
    ) -> feed_service_pb2.ListHubsResponse:
        """Name the one feed."""
        return feed_service_pb2.ListHubsResponse(
            feeds=[
                feed_service_pb2.ServedFeed(hub=self.hub, sequence=self._sequence, connected=True)
            ]
        )

    async def GetStatusList(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.GetStatusListRequest,  # noqa: ARG002 - it has none
        context: _Context,
    ) -> AsyncIterator[feed_service_pb2.GetStatusListResponse]:
        """Refuse: there is no list."""
        chunks: tuple[feed_service_pb2.GetStatusListResponse, ...] = ()
        for chunk in chunks:
            yield chunk
        await abort(context, RefusedError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"))

    async def Acknowledge(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.AcknowledgeRequest,  # noqa: ARG002 - nothing depends on it
        context: _Context,  # noqa: ARG002 - as above
    ) -> feed_service_pb2.AcknowledgeResponse:
        """Take note."""
        return feed_service_pb2.AcknowledgeResponse()

    async def CountReaders(  # noqa: N802 - the service's own name
        self,
        request: feed_service_pb2.CountReadersRequest,  # noqa: ARG002 - as below
        context: _Context,
    ) -> feed_service_pb2.CountReadersResponse:
        """Refuse: there is no hub next to this one."""
        await abort(context, RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"))


@contextlib.asynccontextmanager
async def serve_feed(feed: SuiteFeed, listen: str) -> AsyncIterator[int]:
    """Serve a feed on plain gRPC, for adapters on the same machine; yield the port.

    Raises:
        RuntimeError: the address cannot be bound.
    """
    server = grpc.aio.server()
    feed_service_pb2_grpc.add_FeedServiceServicer_to_server(feed, server)
    port = server.add_insecure_port(listen)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=0)
