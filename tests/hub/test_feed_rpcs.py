"""What a hub serves beside its entries: feeds by hub, lists, sightings, packs, acknowledgements."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from hutong.v1 import feed_service_pb2 as pb
from hutong.v1 import registry_service_pb2, sighting_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub
from hutong.v1.sighting_service_pb2_grpc import SightingServiceStub

from gateway.attestation import base64url
from gateway.cli.hub_pack import _gather, _look, _write
from gateway.cli.operator_client import OperatorClient
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.store import StatusListRow
from gateway.trust import authority_change, parse_anchor
from gateway.trust.jws import digest
from gateway.trust.pack import load_pack
from gateway.wire.enrolment import enrol
from gateway.wire.errors import failure_from_rpc_error
from tests.hub.hub_world import (
    GATE,
    GUANGZHOU,
    HANGZHOU,
    HUB,
    HubWorld,
    checkpoint,
    hub_world,
    now_region,
    signing_key,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

pytestmark = pytest.mark.asyncio

TIMEOUT = 60
SOUTH_GATE = "urn:hutong:checkpoint:440100:south-gate"
LIST = b"e30.e30.c2ln"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def reason(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return failure_from_rpc_error(caught.value).code


async def publish(world: HubWorld, *urns: str) -> None:
    """Regions in the feed, without the way through the registry."""
    mirror = world.hub.mirror
    async with mirror.change() as change:
        await mirror.append(
            change, [authority_change(now_region(urn).body.authority()) for urn in urns]
        )
    await mirror.refresh()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[HubWorld]:
    async with hub_world(tmp_path / "hub") as world:
        yield world


@asynccontextmanager
async def operator(world: HubWorld) -> AsyncIterator[tuple[tuple[str, str], ...]]:
    async with world.operator_tokens() as tokens:
        yield await world.metadata(tokens, "registry.read registry.approve")


async def admitted(world: HubWorld, urn: str) -> tuple[tuple[str, str], ...]:
    """A checkpoint that takes part; returns its metadata."""
    who = checkpoint(urn, not_before=datetime(2020, 1, 1, tzinfo=UTC))
    async with world.channel() as channel, operator(world) as metadata:
        await enrol(channel, who, hub_urn=HUB, now=now())
        await RegistryServiceStub(channel).Approve(
            registry_service_pb2.ApproveRequest(urn=urn), metadata=metadata, timeout=TIMEOUT
        )
    async with world.tokens(urn, signing_key(f"{urn}/auth")) as tokens:
        return await world.metadata(tokens, "exchange.query")


async def test_the_own_feed_is_named_and_a_foreign_one_refused(world: HubWorld) -> None:
    await publish(world, HANGZHOU)
    async with world.channel() as channel:
        stub = FeedServiceStub(channel)
        (feed,) = (await stub.ListHubs(pb.ListHubsRequest(), timeout=TIMEOUT)).feeds
        assert (feed.hub, feed.sequence, feed.connected, feed.superior) == (HUB, 1, True, False)
        assert feed.as_of.seconds > 0
        other = "urn:hutong:hub:330000"
        snapshot = stub.Snapshot(pb.SnapshotRequest(hub=other))
        assert await reason(snapshot.read()) == "HUB_UNKNOWN"
        assert await reason(stub.Watch(pb.WatchRequest(hub=other)).read()) == "HUB_UNKNOWN"
        named = stub.Watch(pb.WatchRequest(hub=HUB))
        frame = await named.read()
        assert isinstance(frame, pb.WatchResponse)
        assert len(frame.entries.entries) == 1
        named.cancel()


async def test_a_status_list_is_served_whole_by_its_digest(world: HubWorld) -> None:
    name = digest(LIST.decode())
    await world.hub.store.add_status_list(
        StatusListRow(name, "urn:hutong:status:330100:a1", HANGZHOU, LIST, now(), now())
    )
    async with world.channel() as channel:
        stub = FeedServiceStub(channel)
        chunks = stub.GetStatusList(pb.GetStatusListRequest(digest=name))
        assert b"".join([chunk.chunk async for chunk in chunks]) == LIST
        missing = pb.GetStatusListRequest(digest=base64url.encode(bytes(32)))
        assert await reason(stub.GetStatusList(missing).read()) == "NOT_FOUND"
    async with world.session() as session:
        async with session.get(f"{world.url}/status/{name}") as response:
            assert response.headers["Content-Type"] == "application/statuslist+jwt"
            assert await response.read() == LIST
        async with session.get(f"{world.url}/status/{base64url.encode(bytes(32))}") as response:
            assert response.status == 404


async def test_a_reader_says_how_far_it_is(world: HubWorld) -> None:
    metadata = await admitted(world, GATE)
    async with world.channel() as channel:
        stub = FeedServiceStub(channel)
        request = pb.AcknowledgeRequest(hub=HUB, sequence=7)
        await stub.Acknowledge(request, metadata=metadata, timeout=TIMEOUT)
        assert await reason(stub.Acknowledge(request, timeout=TIMEOUT)) == "TOKEN_MISSING"
    (reader,) = world.hub.readers.standing()
    assert (reader.urn, reader.sequence) == (GATE, 7)


async def test_two_checkpoints_that_share_a_hub_notice_a_repeat(world: HubWorld) -> None:
    north, south = await admitted(world, GATE), await admitted(world, SOUTH_GATE)
    at = now()

    def sighting(tag: bytes, seconds: int) -> sighting_service_pb2.Sighting:
        made = sighting_service_pb2.Sighting(tag=tag)
        made.seen_at.FromDatetime(at - timedelta(seconds=seconds))
        made.span_ends.FromDatetime(at + timedelta(hours=1))
        return made

    async with world.channel() as channel:
        stub = SightingServiceStub(channel)

        async def report(metadata: Any, *items: Any) -> list[tuple[bool, int]]:
            request = sighting_service_pb2.ReportRequest(sightings=items)
            answer = await stub.Report(request, metadata=metadata, timeout=TIMEOUT)
            return [(each.elsewhere, each.seconds_apart) for each in answer.answers]

        assert await report(north, sighting(b"a" * 16, 90)) == [(False, 0)]
        # One malformed tag does not fail the batch.
        assert await report(south, sighting(b"a" * 16, 30), sighting(b"bad", 30)) == [
            (True, 60),
            (False, 0),
        ]
        empty = sighting_service_pb2.ReportRequest()
        assert await reason(stub.Report(empty, metadata=north, timeout=TIMEOUT)) == (
            "INVALID_REQUEST"
        )


async def test_packs_over_the_wire_and_by_the_command(world: HubWorld, tmp_path: Path) -> None:
    await publish(world, HANGZHOU, GUANGZHOU)
    anchor = parse_anchor((world.directory / "anchor.json").read_bytes())
    async with world.channel() as channel, operator(world) as metadata:
        stub = RegistryServiceStub(channel)

        async def made(**request: Any) -> bytes:
            wanted = registry_service_pb2.MakePackRequest(**request)
            return b"".join([part.chunk async for part in stub.MakePack(wanted, metadata=metadata)])

        async def refused(**request: Any) -> str:
            return await reason(
                stub.MakePack(
                    registry_service_pb2.MakePackRequest(**request), metadata=metadata
                ).read()
            )

        whole = await made(prefixes=["33"], status_lists=True)
        held = load_pack(anchor, whole, now())
        assert [each.urn for each in held.bundle.authorities()] == [HANGZHOU]
        await publish(world, HANGZHOU)
        delta = await made(prefixes=["33"], after_sequence=held.sequence)
        assert load_pack(anchor, delta, now(), held).sequence == 3
        assert await refused(prefixes=["33"], max_bytes=len(whole) - 100) == "PACK_TOO_LARGE"
        assert await refused(after_sequence=9) == "SEQUENCE_AHEAD"
        assert await refused(after_sequence=3) == "PACK_EMPTY"
        assert await refused(prefixes=["65"]) == "UNKNOWN_REGION"
        profile = load_operator_profile(world.directory / OPERATOR_FILE).model_copy(
            update={
                "hub": f"localhost:{world.hub.grpc_port}",
                "token_url": f"{world.url}/oauth2/token",
            }
        )
        async with OperatorClient(profile) as client:
            fetched = await _gather(client.pack(["33"], after=0, max_bytes=0, with_lists=True))
        _write(tmp_path / "zhejiang.pack", fetched)
        assert (tmp_path / "zhejiang.pack").read_bytes() == fetched
        assert _look(fetched).total == len(fetched)
        assert load_pack(anchor, fetched, now(), held).sequence == 3
        nobody = stub.MakePack(registry_service_pb2.MakePackRequest())
        assert await reason(nobody.read()) == "TOKEN_MISSING"
