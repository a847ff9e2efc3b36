"""A hub process that cannot see its store vouches for nothing newer than its last look."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hutong.v1 import feed_service_pb2 as pb
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from sqlalchemy.engine import make_url

from gateway.hub import mirror as mirrors
from gateway.store import Store, StoreCorruptError, StoreError
from gateway.store import schema as tables
from gateway.trust.entries import payload_of
from tests.faults.proxy import FaultProxy
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    RegistryWorld,
    hub_world,
    region,
    registry_world,
)
from tests.hub.intake_world import running, until
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with migrated_database("postgres", tmp_path) as dsn:
        yield dsn


@pytest.fixture(params=BACKENDS)
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as dsn:
        yield dsn


@asynccontextmanager
async def behind(dsn: str) -> AsyncIterator[tuple[FaultProxy, str]]:
    """Yield a line to the database, and how it is reached over that line."""
    url = make_url(dsn)
    async with FaultProxy(url.port or 5432) as proxy:
        yield proxy, url.set(port=proxy.port).render_as_string(hide_password=False)


def vouched(world: RegistryWorld) -> tuple[float, float]:
    """Up to when a head and a snapshot of this process say that nothing is missing."""
    head, manifest = (payload_of(t) for t in (world.feed.head(), world.feed.snapshot().manifest))
    return head["iat"], manifest["iat"]


@asynccontextmanager
async def following(world: RegistryWorld) -> AsyncIterator[None]:
    """Look all the time."""
    async with running(world.mirror.follow(0.01, jitter=lambda: 0.0)):
        yield


@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["refuse", "stall"])
async def test_what_another_process_revoked_behind_a_lost_database_is_not_vouched_for(
    shared: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        behind(shared) as (proxy, dsn),
        await Store.open(dsn) as cut_off,
        await Store.open(shared) as whole,
    ):
        writer = registry_world(whole)
        reader = registry_world(cut_off, writer.clock)
        await writer.mirror.load()
        await reader.mirror.load()
        await writer.active(region())
        async with following(reader):
            await until(lambda: reader.feed.sequence == writer.feed.sequence)
            writer.clock.advance(60)
            await until(lambda: vouched(reader) == (writer.clock.now.timestamp(),) * 2)
            lost_at = writer.clock.now.timestamp()
            if fault == "stall":
                monkeypatch.setattr(mirrors, "PATIENCE_SECONDS", 0.2)
                proxy.stall()
            else:
                await proxy.refuse()
            await until(lambda: reader.mirror.is_lost)
            # Behind its back a region is suspended. It serves on, and says how old that is.
            writer.clock.advance(3600)
            await writer.registry.suspend(HANGZHOU, by="x")
            assert reader.feed.sequence == writer.feed.sequence - 1
            assert vouched(reader) == (lost_at, lost_at)
            assert vouched(writer) == (lost_at + 3600, lost_at + 3600)
            monkeypatch.undo()
            proxy.heal()
            await until(lambda: not reader.mirror.is_lost)
            await until(lambda: reader.feed.sequence == writer.feed.sequence)
            await until(lambda: vouched(reader) == (lost_at + 3600, lost_at + 3600))


async def test_a_store_that_cannot_be_read_is_not_vouched_for_and_is_found_again(
    any_database: str,
) -> None:
    async with await Store.open(any_database) as store:
        world = registry_world(store)
        await world.mirror.load()
        await world.active(region())
        async with following(world):
            lost_at = world.clock.now.timestamp()
            await rename(store, "feed_state", "away")
            await until(lambda: world.mirror.is_lost)
            world.clock.advance(7200)
            with pytest.raises(StoreError):
                await world.mirror.look()
            assert vouched(world) == (lost_at, lost_at)
            await rename(store, "away", "feed_state")
            await until(lambda: not world.mirror.is_lost)
            await until(lambda: vouched(world) == (lost_at + 7200, lost_at + 7200))


async def test_words_that_do_not_verify_are_not_passed_over(any_database: str) -> None:
    async with await Store.open(any_database) as one, await Store.open(any_database) as two:
        writer = registry_world(one)
        reader = registry_world(two, writer.clock)
        await writer.mirror.load()
        await reader.mirror.load()
        await writer.active(region())
        await reader.mirror.look()
        seen = writer.clock.now.timestamp()
        writer.clock.advance(60)
        await writer.active(region(GUANGZHOU))
        await end_at(one, "A" * 43)
        with pytest.raises(StoreCorruptError):
            await reader.mirror.look()
        assert vouched(reader) == (seen, seen)
        await end_at(one, writer.feed.digest)
        await reader.mirror.look()
        assert vouched(reader) == (seen + 60, seen + 60)


async def test_a_look_at_what_is_known_is_two_seeks_whoever_watches(tmp_path: Path) -> None:
    with migrated_database("sqlite", tmp_path) as dsn:
        async with await Store.open(dsn) as store:
            world = registry_world(store)
            await world.mirror.load()
            await world.active(region())
            asked: list[str] = []

            def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
                asked.append(statement)

            sa.event.listen(store._engine.sync_engine, "before_cursor_execute", note)
            watchers = [world.feed.watch(0, None) for _ in range(8)]
            assert all(watchers)
            await world.mirror.look()
            sa.event.remove(store._engine.sync_engine, "before_cursor_execute", note)
            # Where the feed ends, and when that entry was signed.
            assert [each.split("FROM ")[1].split()[0] for each in asked if "FROM" in each] == [
                "feed_state",
                "feed_entries",
            ]


async def test_a_hub_that_lost_its_store_says_so_and_its_watchers_hear_the_old_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "LOOK_SECONDS", 0.05)
    async with hub_world(tmp_path) as world, world.channel() as channel:
        mirror = world.hub.mirror
        call: Any = FeedServiceStub(channel).Watch(pb.WatchRequest(heartbeat_seconds=1))

        async def next_head() -> float:
            async with asyncio.timeout(60):
                while not (frame := await call.read()).head:
                    pass
            return float(payload_of(frame.head)["iat"])

        await next_head()
        await rename(world.hub.store, "feed_state", "away")
        await until(lambda: mirror.is_lost)
        lost_at = int(world.hub.feed.as_of.timestamp())
        assert not await world.hub._check_ready()
        # One may have left before the store was lost.
        await next_head()
        assert [await next_head() for _ in range(3)] == [lost_at] * 3
        await rename(world.hub.store, "away", "feed_state")
        await until(lambda: not mirror.is_lost)
        assert await world.hub._check_ready()
        async with asyncio.timeout(60):
            while await next_head() <= lost_at:
                pass


async def rename(store: Store, name: str, to: str) -> None:
    """Take a table away from the store, as a database that fails in its own way."""
    async with store._connect(writes=True) as connection:
        await connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO {to}"))


async def end_at(store: Store, digest: str) -> None:
    """Have the store say that its feed ends with this digest."""
    async with store._connect(writes=True) as connection:
        await connection.execute(sa.update(tables.feed_state).values(last_digest=digest))
