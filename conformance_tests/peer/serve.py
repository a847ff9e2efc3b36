"""Start and stop a reference peer on loopback."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import grpc
from hutong.v1 import (
    adapter_service_pb2_grpc,
    exchange_service_pb2_grpc,
    feed_service_pb2_grpc,
    issuer_desk_service_pb2_grpc,
    issuer_service_pb2_grpc,
    registry_service_pb2_grpc,
    sighting_service_pb2_grpc,
)

from conformance_tests.model import Role
from conformance_tests.peer.adapter import ReferenceAdapter
from conformance_tests.peer.hub import ReferenceHub
from conformance_tests.peer.issuer import ReferenceIssuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Above the field rule for envelopes, so that the rule refuses and not the transport.
_OPTIONS = (("grpc.max_receive_message_length", 1 << 20),)


@contextlib.asynccontextmanager
async def serve_peer(
    role: Role, folder: Path, *, fault: str = "", port: int = 0
) -> AsyncIterator[Path]:
    """Run a reference peer and yield the path of the profile that fits it.

    Args:
        role: which peer.
        folder: where its profile and keys go.
        fault: name in ``faults.yaml``; empty for a sound peer.
        port: gRPC port on 127.0.0.1; 0 for a free one.
    """
    if role is Role.VERIFIER:
        # A library: nothing is served, and the suite asks it in its own process.
        path = folder / "profile.yaml"
        path.write_text(
            "role: verifier\nharness: reference\n"
            "capabilities: [armour, disclosure, packs, catalogues, hub-keys, ages, feeds]\n",
            encoding="utf-8",
        )
        yield path
        return
    server = grpc.aio.server(options=_OPTIONS)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    target = f"127.0.0.1:{bound}"
    async with contextlib.AsyncExitStack() as stack:
        if role is Role.ADAPTER:
            adapter = ReferenceAdapter(fault)
            adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server(adapter, server)
            await stack.enter_async_context(adapter.platform.door())
            profile = adapter.write_profile(folder, target)
        elif role is Role.ISSUER:
            issuer = ReferenceIssuer(fault)
            issuer_service_pb2_grpc.add_IssuerServiceServicer_to_server(issuer, server)
            issuer_desk_service_pb2_grpc.add_IssuerDeskServiceServicer_to_server(
                issuer.desk, server
            )
            await stack.enter_async_context(issuer.clock_door())
            profile = issuer.write_profile(folder, target)
        else:
            hub = ReferenceHub(fault)
            token_url = await stack.enter_async_context(hub.token_endpoint())
            exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server(hub, server)
            feed_service_pb2_grpc.add_FeedServiceServicer_to_server(hub.feed, server)
            registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(hub.registry, server)
            sighting_service_pb2_grpc.add_SightingServiceServicer_to_server(hub.sightings, server)
            server.add_generic_rpc_handlers((hub.registry.below.handler(),))
            other = grpc.aio.server(options=_OPTIONS)
            feed_service_pb2_grpc.add_FeedServiceServicer_to_server(hub.also_feed, other)
            also = f"127.0.0.1:{other.add_insecure_port('127.0.0.1:0')}"
            await other.start()
            stack.push_async_callback(other.stop, 0)
            profile = hub.write_profile(folder, target, also, token_url)
        await server.start()
        try:
            yield profile
        finally:
            await server.stop(grace=0)
