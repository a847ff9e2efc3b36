from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hutong.v1 import (
    exchange_pb2,
    exchange_service_pb2,
    feed_service_pb2,
    registry_service_pb2,
)
from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.hub.accounting import UsageRow as Sum
from gateway.hub.app_parts import UsageSink
from gateway.hub.errors import HubSetupError
from gateway.store import Store, StoreCorruptError, UsageRow
from gateway.trust import StatementKind, TrustLookupError
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import enrol
from gateway.wire.errors import failure_from_rpc_error
from gateway.wire.server import ServerError
from tests.hub.hub_world import (
    GATE,
    HANGZHOU,
    HUB,
    OPERATOR,
    START,
    HubWorld,
    checkpoint,
    enrolment,
    hub_world,
    now_region,
    policy,
    scheme,
    signing_key,
    statement,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.asyncio

TIMEOUT = 20


def now() -> datetime:
    return datetime.now(UTC)


async def reason(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return failure_from_rpc_error(caught.value).code


class Client:
    """Every stub on one channel, with the operator's token."""

    def __init__(self, world: HubWorld, channel: grpc.aio.Channel) -> None:
        self.world = world
        self.channel = channel
        self.registry = RegistryServiceStub(channel)
        self.feed = FeedServiceStub(channel)
        self.exchange = ExchangeServiceStub(channel)
        self.operator: tuple[tuple[str, str], ...] = ()

    async def approve(self, urn: str) -> registry_service_pb2.ApproveResponse:
        return await self.registry.Approve(
            registry_service_pb2.ApproveRequest(urn=urn), metadata=self.operator, timeout=TIMEOUT
        )

    async def enrol(self, who: Any, **documents: Any) -> str:
        enrolled = await enrol(self.channel, who, hub_urn=HUB, now=now(), **documents)
        return enrolled.state


@asynccontextmanager
async def connected(directory: Path) -> AsyncIterator[Client]:
    async with hub_world(directory) as world, world.channel() as channel:
        client = Client(world, channel)
        async with world.operator_tokens() as tokens:
            client.operator = await world.metadata(tokens, "registry.read registry.approve")
        yield client


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with connected(tmp_path) as client:
        yield client


async def test_a_region_enrols_is_approved_publishes_and_is_in_the_feed(client: Client) -> None:
    who = now_region()
    assert await client.enrol(who, schemes=[scheme()]) == "PENDING"
    approved = await client.approve(HANGZHOU)
    assert approved.sequence == 2
    assert approved.member.state == registry_service_pb2.MEMBER_STATE_ACTIVE
    async with client.world.tokens(HANGZHOU, signing_key(f"{HANGZHOU}/auth")) as tokens:
        published = await client.registry.PublishStatement(
            registry_service_pb2.PublishStatementRequest(
                statement=statement(who, StatementKind.POLICY, policy(), now())
            ),
            metadata=await client.world.metadata(tokens, "registry.publish"),
            timeout=TIMEOUT,
        )
    assert published.sequence == 3
    replica = FeedReplica(client.world.hub.feed.anchor)
    manifest, entries = "", []
    async for chunk in client.feed.Snapshot(feed_service_pb2.SnapshotRequest()):
        manifest = manifest or chunk.manifest
        entries += chunk.entries
    replica.load_snapshot(manifest, entries, now())
    assert replica.bundle.authority_for("330106").urn == HANGZHOU
    assert replica.bundle.policy("330100") == policy()


async def test_a_watcher_sees_what_was_what_comes_and_that_nothing_comes(client: Client) -> None:
    await client.enrol(now_region())
    await client.approve(HANGZHOU)
    replica = FeedReplica(client.world.hub.feed.anchor)
    watch = client.feed.Watch(feed_service_pb2.WatchRequest(heartbeat_seconds=1))
    first = await watch.read()
    for token in first.entries.entries:
        replica.apply_entry(token, now())
    head = await watch.read()
    replica.apply_head(head.head, now())
    assert replica.sequence == 1
    await client.registry.Suspend(
        registry_service_pb2.SuspendRequest(urn=HANGZHOU, reason="synthetic"),
        metadata=client.operator,
        timeout=TIMEOUT,
    )
    pushed = await watch.read()
    (token,) = pushed.entries.entries
    replica.apply_entry(token, now())
    heartbeat = await watch.read()
    replica.apply_head(heartbeat.head, now())
    with pytest.raises(TrustLookupError) as caught:
        replica.bundle.authority_for("330106")
    assert caught.value.code == "AUTHORITY_SUSPENDED"
    watch.cancel()


async def test_a_reader_that_does_not_read_is_cut_and_hinders_nobody(tmp_path: Path) -> None:
    async with hub_world(tmp_path):
        pass
    path = tmp_path / "hub.toml"
    path.write_text(path.read_text() + "[feed]\nwatcher_queue = 1\nstall_seconds = 600\n")
    async with connected(tmp_path) as client:
        slow = client.feed.Watch(feed_service_pb2.WatchRequest())
        assert (await slow.read()).WhichOneof("frame") == "head"
        quick = FeedServiceStub(client.world.channel()).Watch(feed_service_pb2.WatchRequest())
        assert (await quick.read()).WhichOneof("frame") == "head"
        # Entries as large as a region's may be, to fill the line's buffers soon.
        certificate = client.world.ca_pem.decode()
        await client.enrol(now_region(tls_ca_pem=certificate * (16_000 // len(certificate))))
        # How much the line itself takes in before it blocks is the system's to say.
        while not any(watcher.is_cut for watcher in client.world.hub.feed._watchers):
            await client.approve(HANGZHOU)
            assert (await quick.read()).WhichOneof("frame") == "entries"
            await client.registry.Suspend(
                registry_service_pb2.SuspendRequest(urn=HANGZHOU),
                metadata=client.operator,
                timeout=TIMEOUT,
            )
            assert (await quick.read()).WhichOneof("frame") == "entries"
        frames = await _drained(slow)
        assert frames[-1] == "resync"
        assert len(frames) < client.world.hub.feed.sequence
        quick.cancel()


async def test_a_reader_ahead_is_refused(client: Client) -> None:
    watch = client.feed.Watch(feed_service_pb2.WatchRequest(after_sequence=1))
    assert await reason(watch.read()) == "SEQUENCE_AHEAD"


async def test_a_question_is_routed_by_what_was_approved(client: Client) -> None:
    who = checkpoint(not_before=datetime(2020, 1, 1, tzinfo=UTC))
    assert await client.enrol(who) == "PENDING"
    await client.approve(GATE)
    async with client.world.tokens(GATE, signing_key(f"{GATE}/auth")) as tokens:
        metadata = await client.world.metadata(tokens, "exchange.query")

    def ask() -> Awaitable[Any]:
        return client.exchange.Query(
            exchange_service_pb2.ExchangeServiceQueryRequest(
                question=exchange_pb2.SealedQuestion(
                    region="330106",
                    purpose=exchange_pb2.PURPOSE_CHECKPOINT,
                    key_id="A" * 43,
                    envelope=b"sealed",
                )
            ),
            metadata=metadata,
            timeout=TIMEOUT,
        )

    assert await reason(ask()) == "UNKNOWN_REGION"
    await client.enrol(now_region(endpoint="127.0.0.1:1"))
    await client.approve(HANGZHOU)
    assert await reason(ask()) == "ADAPTER_UNREACHABLE"
    await client.registry.Suspend(
        registry_service_pb2.SuspendRequest(urn=HANGZHOU), metadata=client.operator, timeout=TIMEOUT
    )
    assert await reason(ask()) == "REGION_SUSPENDED"
    await client.registry.Suspend(
        registry_service_pb2.SuspendRequest(urn=GATE), metadata=client.operator, timeout=TIMEOUT
    )
    assert await reason(ask()) == "CALLER_SUSPENDED"


async def test_each_call_of_the_registry_needs_its_own_scope(client: Client) -> None:
    registry, pb = client.registry, registry_service_pb2
    async with client.world.operator_tokens() as tokens:
        reading = await client.world.metadata(tokens, "registry.read")
        approving = await client.world.metadata(tokens, "registry.approve")
    calls = [
        (registry.ListMembers, pb.ListMembersRequest(), approving),
        (registry.Approve, pb.ApproveRequest(urn=GATE), reading),
        (registry.Suspend, pb.SuspendRequest(urn=GATE), reading),
        (registry.PublishStatement, pb.PublishStatementRequest(statement="x"), reading),
    ]
    for method, request, metadata in calls:
        assert await reason(method(request, timeout=TIMEOUT)) == "TOKEN_MISSING"
        assert await reason(method(request, metadata=metadata, timeout=TIMEOUT)) == "SCOPE_MISSING"
    bad = (("authorization", "Bearer nonsense"),)
    call = registry.ListMembers(pb.ListMembersRequest(), metadata=bad, timeout=TIMEOUT)
    assert await reason(call) == "TOKEN_INVALID"


async def test_bad_input_of_the_registry_gets_its_documented_reason(client: Client) -> None:
    registry, pb = client.registry, registry_service_pb2
    who = now_region()
    good = enrolment(who, now())
    cases = [
        (registry.Enrol, pb.EnrolRequest(), "INVALID_REQUEST"),
        (registry.Enrol, pb.EnrolRequest(statement="x"), "STATEMENT_INVALID"),
        (registry.Enrol, pb.EnrolRequest(statement="x" * 70_000), "INVALID_REQUEST"),
        (
            registry.Enrol,
            pb.EnrolRequest(statement=good.statement[:-4] + "AAAA", key_proofs=good.key_proofs),
            "STATEMENT_INVALID",
        ),
        (registry.Enrol, pb.EnrolRequest(statement=good.statement), "POSSESSION_NOT_PROVEN"),
        (
            registry.Enrol,
            enrolment(
                who, now(), schemes=[{"family": "x", "authority": "330100", "prefixes": ["3301"]}]
            ),
            "SCHEME_INVALID",
        ),
        (registry.Enrol, enrolment(who, now(), policy={"region": "330100"}), "POLICY_INVALID"),
        (registry.GetEnrolment, pb.GetEnrolmentRequest(enrolment_id="none"), "NOT_FOUND"),
        (registry.GetEnrolment, pb.GetEnrolmentRequest(), "INVALID_REQUEST"),
        (
            registry.ProvePossession,
            pb.ProvePossessionRequest(
                enrolment_id="none",
                challenges=[pb.OpenedChallenge(key_id="A" * 43, plaintext=bytes(32))],
            ),
            "NOT_FOUND",
        ),
        (
            registry.ProvePossession,
            pb.ProvePossessionRequest(
                enrolment_id="none",
                challenges=[pb.OpenedChallenge(key_id="A" * 43, plaintext=bytes(32))] * 2,
            ),
            "INVALID_REQUEST",
        ),
        (registry.Approve, pb.ApproveRequest(urn=GATE), "NOT_FOUND"),
        (registry.Suspend, pb.SuspendRequest(urn=OPERATOR), "WRONG_STATE"),
        (registry.ListMembers, pb.ListMembersRequest(page_token="x"), "PAGE_TOKEN_INVALID"),
        (registry.ListMembers, pb.ListMembersRequest(page_token="é"), "PAGE_TOKEN_INVALID"),
        (registry.ListMembers, pb.ListMembersRequest(page_size=501), "INVALID_REQUEST"),
        (registry.ListMembers, pb.ListMembersRequest(state=9), "INVALID_REQUEST"),
    ]
    for method, request, expected in cases:
        call = method(request, metadata=client.operator, timeout=TIMEOUT)
        assert await reason(call) == expected, request
    listed = await client.registry.ListMembers(
        pb.ListMembersRequest(), metadata=client.operator, timeout=TIMEOUT
    )
    assert [member.urn for member in listed.members] == [OPERATOR]


async def test_an_address_that_enrols_too_often_is_told_to_slow_down(tmp_path: Path) -> None:
    async with hub_world(tmp_path):
        pass
    path = tmp_path / "hub.toml"
    path.write_text(path.read_text().replace("[grpc]", "[grpc]\nenrolments_per_minute = 1"))
    async with connected(tmp_path) as client:
        assert await client.enrol(now_region()) == "PENDING"
        request = enrolment(now_region(), now())
        assert await reason(client.registry.Enrol(request, timeout=TIMEOUT)) == "OVERLOADED"


async def test_a_page_token_is_worth_nothing_with_another_filter(client: Client) -> None:
    pb = registry_service_pb2
    for letter in "abc":
        urn = f"urn:hutong:checkpoint:440100:gate-{letter}"
        await client.enrol(checkpoint(urn, not_before=datetime(2020, 1, 1, tzinfo=UTC)))

    def page(token: str, state: Any = pb.MEMBER_STATE_PENDING) -> Awaitable[Any]:
        return client.registry.ListMembers(
            pb.ListMembersRequest(page_size=2, page_token=token, state=state),
            metadata=client.operator,
            timeout=TIMEOUT,
        )

    first = await page("")
    assert len(first.members) == 2
    second = await page(first.next_page_token)
    assert len(second.members) == 1
    assert second.next_page_token == ""
    refused = page(first.next_page_token, pb.MEMBER_STATE_UNSPECIFIED)
    assert await reason(refused) == "PAGE_TOKEN_INVALID"


async def test_a_restart_keeps_members_and_feed(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        await client.enrol(now_region(), schemes=[scheme()])
        await client.approve(HANGZHOU)
        before = client.world.hub.feed.snapshot().entries
    async with connected(tmp_path) as client:
        assert client.world.hub.feed.snapshot().entries == before
        watch = client.feed.Watch(feed_service_pb2.WatchRequest(after_sequence=2))
        assert (await watch.read()).WhichOneof("frame") == "head"
        watch.cancel()


async def test_a_stop_ends_watchers_with_shutting_down(tmp_path: Path) -> None:
    async with hub_world(tmp_path) as world:
        channel = world.channel()
        stub = FeedServiceStub(channel)
        watch = stub.Watch(feed_service_pb2.WatchRequest())
        await watch.read()
    assert await reason(_drained(watch)) == "SHUTTING_DOWN"
    await channel.close()


async def _drained(watch: Any) -> list[str]:
    frames = []
    while (response := await watch.read()) is not grpc.aio.EOF:
        frames.append(response.WhichOneof("frame"))
    return frames


async def test_health_answers_for_every_service(client: Client) -> None:
    stub = health_pb2_grpc.HealthStub(client.channel)
    for service in ("ExchangeService", "RegistryService", "FeedService"):
        request = health_pb2.HealthCheckRequest(service=f"hutong.v1.{service}")
        answer = await stub.Check(request, timeout=TIMEOUT)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_hub_does_not_start_on_a_corrupted_store(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        await client.enrol(now_region())
        await client.approve(HANGZHOU)
        settings = client.world.settings
    async with await Store.open(settings.store) as store, store.write() as change:
        await change._connection.exec_driver_sql("DELETE FROM feed_entries")
    with pytest.raises(StoreCorruptError):
        async with hub_world(tmp_path):
            pass


async def test_a_hub_does_not_start_on_a_port_that_is_taken(tmp_path: Path) -> None:
    async with hub_world(tmp_path / "one") as world:
        for door in ("grpc", "http"):
            other = tmp_path / door
            async with hub_world(other):
                pass
            port = world.hub.grpc_port if door == "grpc" else world.hub.http_port
            path = other / "hub.toml"
            text = path.read_text()
            head, table, tail = text.partition(f"[{door}]")
            path.write_text(head + table + tail.replace("port = 0", f"port = {port}", 1))
            with pytest.raises((HubSetupError, ServerError)) as caught:
                async with hub_world(other):
                    pass
            assert "cannot listen" in str(caught.value)


async def test_usage_is_kept_by_the_hour(tmp_path: Path) -> None:
    async with await Store.open(f"sqlite:///{tmp_path / 'hub.db'}") as store:
        sink = UsageSink(store, lambda: START.replace(minute=59, second=59))
        await sink.add_usage([Sum(GATE, "330106", exchange_pb2.PURPOSE_CHECKPOINT, 2, 300)])
        assert await store.usage(since=START) == (
            UsageRow(GATE, "330106", "CHECKPOINT", START, 2, 300),
        )


async def test_many_watchers_get_a_change_at_once(client: Client) -> None:
    watches = [client.feed.Watch(feed_service_pb2.WatchRequest()) for _ in range(50)]
    for watch in watches:
        assert (await watch.read()).WhichOneof("frame") == "head"
    await client.enrol(now_region())
    await client.approve(HANGZHOU)
    frames = await asyncio.gather(*(watch.read() for watch in watches))
    assert {frame.entries.entries[0] for frame in frames} == set(
        client.world.hub.feed.snapshot().entries
    )
    for watch in watches:
        watch.cancel()
