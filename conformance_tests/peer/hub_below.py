"""The reference hub and the hubs below it: who may join, and whom they speak for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2 as pb
from hutong.v1 import adapter_service_pb2_grpc as pb_grpc

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import DENIED, LEEWAY_SECONDS, PRECONDITION, PeerMember

if TYPE_CHECKING:
    from conformance_tests.peer.hub_book import Book

_Context = grpc.aio.ServicerContext[Any, Any]
_DESCRIBE_SECONDS = 5.0
_INVALID = RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


@dataclass(slots=True)
class ReferenceBelow:
    """Reads what hubs below say, but for the one fault of its book."""

    book: Book

    async def check(self, member: PeerMember) -> None:
        """Ask a hub whom it stands below.

        Raises:
            RefusedError: HUB_UNREACHABLE or ROUTE_LOOP.
        """
        body = member.body
        credentials = grpc.ssl_channel_credentials(body.get("tls_ca_pem", "").encode() or None)
        async with grpc.aio.secure_channel(body["endpoint"], credentials) as channel:
            stub = pb_grpc.AdapterServiceStub(channel)
            try:
                said = await stub.Describe(pb.DescribeRequest(), timeout=_DESCRIBE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if self.book.fault == "unreachable-hub-approved":
                    return
                raise RefusedError(grpc.StatusCode.UNAVAILABLE, "HUB_UNREACHABLE") from error
        if self.book.hub in said.superiors and self.book.fault != "loop-approved":
            raise RefusedError(PRECONDITION, "ROUTE_LOOP")

    def introduced(self, hub: PeerMember, grant: str) -> PeerMember:
        """The caller that a hub below speaks for.

        Raises:
            RefusedError: it may not, or the grant does not hold.
        """
        claims = self._read(hub, grant)
        if claims["sub"] == hub.urn and self.book.fault != "hub-taken-for-caller":
            raise _INVALID
        return PeerMember(
            claims["sub"],
            "checkpoint",
            {"region": claims["region"]},
            "active",
            purposes=claims["purposes"],
            via=claims["via"],
            until=claims["exp"],
        )

    def itself(self, grant: str) -> PeerMember:
        """The hub below that asks on its own behalf.

        Raises:
            RefusedError: it may not, or the grant does not hold.
        """
        if not grant:
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        said = crypto.unsafe_claims(grant)
        hub = self.book.members.get(said["iss"])
        if hub is None or hub.kind != "hub":
            raise _INVALID
        if hub.state != "active" and self.book.fault != "suspended-hub-answered":
            raise RefusedError(DENIED, "CALLER_SUSPENDED")
        claims = self._read(hub, grant)
        first = claims["via"][0]
        if claims["sub"] != first and self.book.fault != "caller-taken-for-hub":
            raise _INVALID
        return hub

    def _read(self, hub: PeerMember, grant: str) -> dict[str, Any]:
        tokens = {
            key["jwk"]["kid"]: crypto.load_key(key["jwk"])
            for key in hub.keys
            if key["use"] == "token" or self.book.fault == "grant-by-any-key"
        }
        try:
            claims, _ = crypto.read_signed(grant, tokens, "hutong-grant+jwt")
        except ValueError as error:
            if self.book.fault != "delegated-signature-ignored":
                raise _INVALID from error
            claims = crypto.unsafe_claims(grant)
        if claims["aud"] != self.book.hub and self.book.fault != "grant-of-any-hub":
            raise _INVALID
        late = claims["exp"] <= time.time() - LEEWAY_SECONDS
        if late and self.book.fault != "ended-grant-taken":
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
        if self.book.hub in claims["via"] and self.book.fault != "loop-ignored":
            raise RefusedError(PRECONDITION, "ROUTE_LOOP")
        inside = claims["region"].startswith(tuple(hub.prefixes))
        if not inside and self.book.fault != "callers-from-anywhere":
            raise RefusedError(DENIED, "AUDIENCE_NOT_ALLOWED")
        return claims

    async def describe(
        self,
        request: pb.DescribeRequest,
        context: _Context,
    ) -> pb.DescribeResponse:
        """Say that nothing stands above this hub."""
        above = [] if self.book.fault == "superiors-unnamed" else [self.book.hub]
        return pb.DescribeResponse(authority=self.book.hub, superiors=above)

    def handler(self) -> grpc.GenericRpcHandler:
        """The one call of AdapterService that a hub below none serves."""
        return grpc.method_handlers_generic_handler(
            "hutong.v1.AdapterService",
            {
                "Describe": grpc.unary_unary_rpc_method_handler(
                    self.describe,
                    request_deserializer=pb.DescribeRequest.FromString,
                    response_serializer=pb.DescribeResponse.SerializeToString,
                )
            },
        )
