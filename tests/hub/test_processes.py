"""Two hub processes over one PostgreSQL: one feed, no polling, nobody's place is lost."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hutong.v1 import feed_service_pb2 as pb
from hutong.v1 import registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.store import Store
from gateway.trust import FeedKind
from gateway.trust.entries import notice_body
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import enrol
from tests.hub.hub_world import (
    GATE,
    HANGZHOU,
    HUB,
    HubWorld,
    checkpoint,
    hub_world,
    make_directory,
    signing_key,
)
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import grpc

pytestmark = [pytest.mark.asyncio, pytest.mark.postgres]

PATIENCE = 60
"""Seconds until a test gives up; nothing waits for them to pass."""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with migrated_database("postgres", tmp_path) as dsn:
        yield dsn


class Pair:
    """Two hubs with the same keys on the same database."""

    def __init__(self, stack: AsyncExitStack, one: HubWorld, two: HubWorld) -> None:
        self._stack = stack
        self.worlds = [one, two]
        self.stacks: list[AsyncExitStack] = []

    async def publish(self, at: int, topic: str) -> int:
        """Write a notice through one of the hubs; return its number."""
        mirror = self.worlds[at].hub.mirror
        body = notice_body(topic, at=datetime.now(UTC))
        async with mirror.change() as change:
            (number,) = await mirror.append(
                change, [(FeedKind.NOTICE, f"{HANGZHOU}#{topic}", body)]
            )
        await mirror.refresh()
        return number


@pytest_asyncio.fixture
async def pair(shared: str, tmp_path: Path) -> AsyncIterator[Pair]:
    first, second = tmp_path / "one", tmp_path / "two"
    await make_directory(first, shared, datetime.now(UTC).replace(microsecond=0))
    shutil.copytree(first, second)
    async with AsyncExitStack() as both, AsyncExitStack() as one, AsyncExitStack() as two:
        made = Pair(
            both,
            await one.enter_async_context(hub_world(first)),
            await two.enter_async_context(hub_world(second)),
        )
        made.stacks = [one, two]
        for world in made.worlds:
            assert world.hub.wakeups is not None
            async with asyncio.timeout(PATIENCE):
                await world.hub.wakeups.listening.wait()
        yield made


class Reader:
    """A reader that applies what a stream brings to a replica of its own."""

    def __init__(self, world: HubWorld, replica: FeedReplica) -> None:
        self.channel = world.channel()
        self.replica = replica
        self.call: grpc.aio.UnaryStreamCall[Any, Any] = FeedServiceStub(self.channel).Watch(
            pb.WatchRequest(after_sequence=replica.sequence)
        )

    async def until(self, sequence: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.replica.sequence < sequence:
                frame = await self.call.read()
                assert isinstance(frame, pb.WatchResponse)
                for token in frame.entries.entries:
                    assert self.replica.apply_entry(token, datetime.now(UTC)).token == token

    async def close(self) -> None:
        self.call.cancel()
        await self.channel.close()


def replica(pair: Pair) -> FeedReplica:
    return FeedReplica(pair.worlds[0].hub.feed.anchor)


async def test_both_serve_the_same_feed_and_a_change_is_seen_at_the_other(pair: Pair) -> None:
    readers = [Reader(world, replica(pair)) for world in pair.worlds]
    for number in range(6):
        await pair.publish(number % 2, f"topic-{number}")
    for reader in readers:
        await reader.until(6)
        await reader.close()
    one, two = (world.hub.feed for world in pair.worlds)
    assert one.snapshot().entries == two.snapshot().entries
    assert readers[0].replica.live_tokens() == readers[1].replica.live_tokens()


async def test_a_watcher_whose_process_dies_goes_on_at_the_other(pair: Pair) -> None:
    mine = replica(pair)
    reader = Reader(pair.worlds[0], mine)
    await pair.publish(0, "before")
    await pair.publish(1, "before-too")
    await reader.until(2)
    await pair.stacks[0].aclose()
    await reader.close()
    await pair.publish(1, "while-nobody-watched")
    reader = Reader(pair.worlds[1], mine)
    await pair.publish(1, "after")
    # A gap or a second entry for one number would raise in the replica.
    await reader.until(4)
    assert mine.live_tokens() == pair.worlds[1].hub.feed.snapshot().entries
    await reader.close()


async def test_a_lost_listening_connection_comes_back_and_looks(shared: str, pair: Pair) -> None:
    wakeups = pair.worlds[1].hub.wakeups
    assert wakeups is not None
    reader = Reader(pair.worlds[1], replica(pair))
    async with await Store.open(shared) as store, store.write() as change:
        await change._connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
    await pair.publish(0, "notified-or-looked-for")
    await reader.until(1)
    async with asyncio.timeout(PATIENCE):
        await wakeups.listening.wait()
    await reader.close()


async def test_only_one_follows_and_the_other_takes_over(pair: Pair) -> None:
    intakes = [world.hub.status_intake for world in pair.worlds]
    turns = [intake._turn for intake in intakes if intake is not None]

    async def holder() -> int:
        async with asyncio.timeout(PATIENCE):
            while True:
                ours = [index for index, turn in enumerate(turns) if turn.is_ours]
                if ours:
                    assert len(ours) == 1
                    return ours[0]
                await asyncio.sleep(0.01)

    first = await holder()
    await pair.stacks[first].aclose()
    assert await holder() == 1 - first


async def test_a_standing_counts_what_readers_told_the_other_process(pair: Pair) -> None:
    one, two = pair.worlds
    reader = Reader(one, replica(pair))
    who = checkpoint(GATE, not_before=datetime(2020, 1, 1, tzinfo=UTC))
    async with one.channel() as channel, one.operator_tokens() as tokens:
        await enrol(channel, who, hub_urn=HUB, now=datetime.now(UTC))
        await RegistryServiceStub(channel).Approve(
            registry_service_pb2.ApproveRequest(urn=GATE),
            metadata=await one.metadata(tokens, "registry.approve"),
            timeout=PATIENCE,
        )
    async with (
        one.tokens(GATE, signing_key(f"{GATE}/auth")) as tokens,
        two.operator_tokens() as others,
    ):
        member = await one.metadata(tokens, "exchange.query")
        async with one.channel() as channel:
            request = pb.AcknowledgeRequest(sequence=7)
            request.rehearsals.add(rehearsal="none", verified=True)
            # With an answer in it, it is written when it is acknowledged.
            await FeedServiceStub(channel).Acknowledge(request, metadata=member, timeout=PATIENCE)
        metadata = await two.metadata(others, "registry.read")
        async with asyncio.timeout(PATIENCE), two.channel() as channel:
            while True:
                standing = await RegistryServiceStub(channel).GetStanding(
                    registry_service_pb2.GetStandingRequest(), metadata=metadata, timeout=PATIENCE
                )
                assert [(item.reader, item.sequence) for item in standing.readers] == [(GATE, 7)]
                if standing.readers_connected == 1:
                    break
                await asyncio.sleep(0.05)
    await reader.close()
