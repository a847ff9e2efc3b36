"""What a region revokes reaches the feed as it was signed; whatever does not hold does not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2 as pb

from adapters.sdk.issued import IssuedLedger, StatusSettings
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list, status_uri
from gateway.codes.levels import Level
from gateway.codes.unified import UnifiedCode
from gateway.hub.directory import AdapterRecord
from gateway.hub.sightings import Sightings
from gateway.hub.status_intake import StatusIntake, StatusPublisher, _Word, held_lists
from gateway.hub.status_lists import StatusLists
from gateway.hub.status_metrics import StatusCollector
from gateway.store import Store
from gateway.store.wakeups import Turn
from gateway.trust import authority_change
from gateway.trust.jws import digest
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    START,
    RegistryWorld,
    region,
    registry_world,
    signing_key,
)
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

PATIENCE = 60
"""Seconds until a test gives up; nothing waits for them to pass."""


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - the condition belongs to other tasks
            await asyncio.sleep(0.005)


def base_list(urn: str = HANGZHOU, name: str = "a1") -> tuple[str, bytes]:
    return _base_list(urn, name)


@cache
def _base_list(urn: str, name: str) -> tuple[str, bytes]:
    uri = status_uri(urn, name)
    token = sign_status_list(
        StatusList(1, 1000),
        signing_key(f"{urn}/attest"),
        uri=uri,
        issued_at=START,
        expires_at=START + timedelta(days=1),
    )
    return uri, token.encode("ascii")


@cache
def word(number: int, *entries: int, urn: str = HANGZHOU, name: str = "a1", key: str = "") -> str:
    uri, base = base_list(urn, name)
    return sign_status_change(
        signing_key(key or f"{urn}/attest"),
        base=StatusBase(digest(base.decode("ascii")), 1000, 1),
        uri=uri,
        sequence=number,
        changes={1: entries},
        issued_at=START,
    )


def list_frame(urn: str = HANGZHOU, name: str = "a1") -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(list=pb.StatusListToken(token=base_list(urn, name)[1]))


def change_frame(token: str) -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(change=token)


class StubAdapter:
    """An adapter that pushes what a test says; every stream begins with what holds."""

    def __init__(self) -> None:
        self.watches = True
        self.source: Callable[[], AsyncIterator[pb.WatchChangesResponse]] | None = None
        self.holds: list[pb.WatchChangesResponse] = []
        self.streams: list[asyncio.Queue[pb.WatchChangesResponse | None]] = []
        self.described = 0
        self.left = 0

    def push(self, *frames: pb.WatchChangesResponse) -> None:
        for frame in frames:
            self.streams[-1].put_nowait(frame)

    async def describe(self, _request: Any, _context: Any) -> pb.DescribeResponse:
        self.described += 1
        return pb.DescribeResponse(authority=HANGZHOU, watches=self.watches)

    async def watch(self, _request: Any, _context: Any) -> AsyncIterator[pb.WatchChangesResponse]:
        if self.source is not None:
            async for frame in self.source():
                yield frame
            return
        queue: asyncio.Queue[pb.WatchChangesResponse | None] = asyncio.Queue()
        for frame in self.holds:
            queue.put_nowait(frame)
        self.streams.append(queue)
        try:
            while (next_frame := await queue.get()) is not None:
                yield next_frame
        finally:
            self.left += 1

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "hutong.v1.AdapterService",
            {
                "Describe": grpc.unary_unary_rpc_method_handler(
                    self.describe,
                    request_deserializer=pb.DescribeRequest.FromString,
                    response_serializer=pb.DescribeResponse.SerializeToString,
                ),
                "WatchChanges": grpc.unary_stream_rpc_method_handler(
                    self.watch,
                    request_deserializer=pb.WatchChangesRequest.FromString,
                    response_serializer=pb.WatchChangesResponse.SerializeToString,
                ),
            },
        )


@dataclass
class Directory:
    """One adapter, suspended at will."""

    record: AdapterRecord
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def caller(self, client_urn: str) -> None:
        return None

    def adapters(self) -> list[AdapterRecord]:
        return [self.record]

    def subscribe(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def become(self, *, active: bool) -> None:
        old = self.record
        self.record = AdapterRecord(
            old.authority, old.prefixes, old.endpoint, old.tls_ca_pem, active
        )
        for callback in self.callbacks:
            callback()


@dataclass
class World:
    """A feed, its store, and an intake that follows one stub."""

    registry: RegistryWorld
    adapter: StubAdapter
    directory: Directory
    publisher: StatusPublisher
    intake: StatusIntake

    def number(self, name: str = "a1", urn: str = HANGZHOU) -> int | None:
        held = held_lists(self.registry.feed).get(status_uri(urn, name))
        return None if held is None else held.number


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def one_database(tmp_path: Path) -> Iterator[str]:
    with migrated_database("sqlite", tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(one_database: str) -> AsyncIterator[World]:
    async with await Store.open(one_database) as store:
        registry = registry_world(store)
        await registry.mirror.load()
        async with registry.mirror.change() as change:
            await registry.mirror.append(
                change,
                [authority_change(region(urn).body.authority()) for urn in (HANGZHOU, GUANGZHOU)],
            )
        await registry.mirror.refresh()
        adapter = StubAdapter()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((adapter.handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        record = AdapterRecord(HANGZHOU, ("3301",), f"127.0.0.1:{port}", None, active=True)
        directory = Directory(record)
        publisher = StatusPublisher(registry.feed, registry.mirror)
        intake = StatusIntake(
            directory,
            registry.feed,
            publisher,
            store,
            Turn(None, jitter=lambda: 0.0),
            open_channel=lambda each: grpc.aio.insecure_channel(each.endpoint),
            clock=registry.clock,
            jitter=lambda: 0.0,
        )
        async with running(publisher.run(), intake.run()):
            yield World(registry, adapter, directory, publisher, intake)
        await server.stop(None)


async def connected(world: World) -> None:
    await until(lambda: world.adapter.streams)


async def test_a_list_is_kept_and_its_changes_are_in_the_feed_as_signed(world: World) -> None:
    await connected(world)
    feed = world.registry.feed
    watcher, _ = feed.watch(feed.sequence, None) or (None, ())
    assert watcher is not None
    world.adapter.push(list_frame(), change_frame(word(1)), change_frame(word(2, 17)))
    await until(lambda: world.number() == 2)
    held = held_lists(feed)[base_list()[0]]
    assert held.statement == word(2, 17)
    assert held.changes() == {1: (17,)}
    assert await StatusLists(world.registry.store).get(held.base_digest) == base_list()[1]
    assert await watcher.next(PATIENCE) is not None


@pytest.mark.parametrize(
    "frames",
    [
        [list_frame(GUANGZHOU), change_frame(word(1, 3, urn=GUANGZHOU))],
        [change_frame(word(1, 3, name="no-base"))],
        [list_frame(name="b1"), change_frame(word(1, 3, name="b1", key="stranger"))],
        [pb.WatchChangesResponse(list=pb.StatusListToken(token=b"x.y.z"))],
        [change_frame("not a token")],
        [pb.WatchChangesResponse(ended="urn:hutong:status:440100:a1")],
        [pb.WatchChangesResponse(ended="nonsense")],
    ],
    ids=["foreign", "no base", "signature", "list", "change", "foreign end", "bad end"],
)
async def test_what_does_not_hold_is_left_out_and_the_stream_goes_on(
    world: World, frames: list[pb.WatchChangesResponse]
) -> None:
    await connected(world)
    world.adapter.push(*frames, list_frame(), change_frame(word(1)))
    await until(lambda: world.number() == 1)
    assert list(held_lists(world.registry.feed)) == [base_list()[0]]
    assert len(world.adapter.streams) == 1
    assert world.publisher.refused.total() >= 1
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in StatusCollector(
            world.intake, world.publisher, world.registry.feed, Sightings(), world.registry.clock
        ).collect()
        for sample in family.samples
    }
    assert told["hutong_status_adapters",] == told["hutong_status_lists",] == 1
    assert told["hutong_status_changes_total",] == 1
    assert told["hutong_status_word_age_seconds", "330100"] == 0
    (code,) = world.publisher.refused
    assert told["hutong_status_refused_total", code] == world.publisher.refused[code]


async def test_an_older_statement_never_comes_back(world: World) -> None:
    await connected(world)
    world.adapter.push(list_frame(), change_frame(word(3, 1, 2)))
    await until(lambda: world.number() == 3)
    world.adapter.push(change_frame(word(2, 1)), list_frame(name="z1"))
    world.adapter.push(change_frame(word(1, name="z1")))
    await until(lambda: world.number("z1") == 1)
    assert world.number() == 3
    # Nor past the intake: the publisher looks again where it writes.
    before = world.registry.feed.sequence
    await world.publisher._append(
        {base_list()[0]: _word(2, {"statement": word(2, 1)})},
    )
    assert world.registry.feed.sequence == before


async def test_a_list_ends_when_it_is_over_and_not_before(world: World) -> None:
    await connected(world)
    end = pb.WatchChangesResponse(ended=base_list()[0])
    world.adapter.push(list_frame(), change_frame(word(1)))
    world.adapter.push(end, change_frame(word(2, 4)))
    await until(lambda: world.number() == 2)
    world.registry.clock.advance(86_400)
    world.adapter.push(end)
    await until(lambda: world.number() is None)
    # The tombstone is listed until the feed is compacted past it.
    assert world.registry.feed.snapshot().entries[-1] == world.registry.feed._tail[-1]


async def test_a_broken_stream_is_taken_up_again_and_says_what_holds(world: World) -> None:
    await connected(world)
    world.adapter.holds = [list_frame(), change_frame(word(7, 9))]
    world.adapter.streams[-1].put_nowait(None)
    await until(lambda: world.number() == 7)
    sequence = world.registry.feed.sequence
    world.adapter.streams[-1].put_nowait(None)
    await until(lambda: len(world.adapter.streams) == 3)
    world.adapter.push(change_frame(word(8, 9, 10)))
    await until(lambda: world.number() == 8)
    assert world.registry.feed.sequence == sequence + 1


async def test_a_suspended_region_is_not_followed(world: World) -> None:
    await connected(world)
    world.directory.become(active=False)
    await until(lambda: world.adapter.left == 1)
    assert world.intake.connected == set()
    world.directory.become(active=True)
    await until(lambda: len(world.adapter.streams) == 2)


async def test_what_comes_during_a_write_is_written_together_and_only_the_newest(
    world: World,
) -> None:
    await connected(world)
    world.adapter.push(list_frame(), list_frame(name="b1"), change_frame(word(1)))
    await until(lambda: world.number() == 1)
    sequence = world.registry.feed.sequence
    async with world.registry.mirror._refreshing:
        # Nothing can be written now; everything that comes waits.
        for number in range(2, 6):
            world.adapter.push(change_frame(word(number, *range(number))))
        world.adapter.push(change_frame(word(1, name="b1")))
        await until(lambda: base_list(name="b1")[0] in world.publisher._waiting)
    await until(lambda: world.number() == 5 and world.number("b1") == 1)
    # At most the first of them was taken alone, before the others came.
    assert world.registry.feed.sequence <= sequence + 3


async def test_one_bad_word_does_not_take_the_others_with_it(world: World) -> None:
    await connected(world)
    world.adapter.push(list_frame(), list_frame(name="b1"), change_frame(word(1)))
    await until(lambda: world.number() == 1)
    bad = _word(9, {"statement": word(9, 1, name="b1", key="stranger")})
    good = _word(2, {"statement": word(2, 5)})
    await world.publisher._write({base_list(name="b1")[0]: bad, base_list()[0]: good})
    assert world.number() == 2
    assert world.number("b1") is None


async def test_what_an_adapter_of_ours_revokes_is_in_the_feed(world: World) -> None:
    """The adapter's ledger pushes as it does in service; nothing here is made by hand."""
    clock = world.registry.clock
    ledger = IssuedLedger(
        StatusSettings(entries=1024),
        authority=HANGZHOU,
        key=signing_key(f"{HANGZHOU}/attest"),
        pseudonym_secret=bytes(32),
        max_seconds=3600,
        clock=clock,
    )
    await ledger.start()
    try:
        await ledger.prepare(1)
        code = UnifiedCode(
            level=Level.GREEN,
            scheme="hz-jkm@2020-02",
            state="green",
            assessed_at=clock(),
            source_at=clock(),
            issued_by="330100",
        )
        until_then = clock() + timedelta(hours=1)
        made = ledger.allot("somebody", code, issued_at=clock(), expires_at=until_then)
        assert made is not None
        await asyncio.wrap_future(ledger.write([made.row]))
        await connected(world)
        world.adapter.source = lambda: ledger.board.watch(15, asyncio.Event())
        world.adapter.streams[-1].put_nowait(None)
        uri, index = made.reference.uri, made.reference.index
        await until(lambda: uri in held_lists(world.registry.feed))
        assert await ledger.revoke(["somebody"]) == 1
        # Decoys may stand beside it.
        await until(lambda: index in held_lists(world.registry.feed)[uri].changes().get(1, ()))
    finally:
        world.directory.become(active=False)
        await ledger.close()


def _word(number: int, body: dict[str, Any]) -> Any:
    return _Word(number, body)
