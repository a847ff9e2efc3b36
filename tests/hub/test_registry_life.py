"""The registry over restarts, beside another process, and under callers that leave."""

from __future__ import annotations

import asyncio

import pytest

from gateway.hub.feed_watch import entries_frame
from gateway.store import Store
from gateway.trust import MemberState
from tests.hub.hub_world import (
    GATE,
    GUANGZHOU,
    HANGZHOU,
    ZHEJIANG,
    RegistryWorld,
    checkpoint,
    policy,
    region,
    registry_world,
    scheme,
)
from tests.hub.registry_world import refused, replica_of

pytestmark = pytest.mark.asyncio


async def test_a_restart_finds_everything(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        await world.mirror.load()
        await world.active(region(), schemes=[scheme()], policy=policy())
        await world.active(checkpoint())
        await world.pending(region(GUANGZHOU))
        entries = world.feed.snapshot().entries
    async with await Store.open(dsn) as store:
        again = registry_world(store, world.clock)
        await again.mirror.load()
        assert again.feed.snapshot().entries == entries
        assert again.feed.sequence == 3
        states = {
            m.row.urn: m.state
            for m in again.registry.members.page(after="", limit=9, state=None)[0]
        }
        assert states == {
            HANGZHOU: MemberState.ACTIVE,
            GATE: MemberState.ACTIVE,
            GUANGZHOU: MemberState.PENDING,
        }


async def test_two_hub_processes_on_one_database_never_fork_the_feed(dsn: str) -> None:
    cities = [f"3301{number:02}" for number in (2, 5, 6, 8, 9, 10)]
    async with await Store.open(dsn) as one, await Store.open(dsn) as two:
        clock = registry_world(one).clock
        worlds = [registry_world(store, clock) for store in (one, two)]
        for world in worlds:
            await world.mirror.load()
        await asyncio.gather(
            *(
                worlds[index % 2].active(region(f"urn:hutong:region:{city}"))
                for index, city in enumerate(cities)
            )
        )
        for world in worlds:
            await world.mirror.refresh()
            assert world.feed.sequence == len(cities)
            assert len(world.registry.members.adapters()) == len(cities)
        assert worlds[0].feed.snapshot().entries == worlds[1].feed.snapshot().entries


async def test_what_one_process_commits_reaches_the_watchers_of_another(dsn: str) -> None:
    async with await Store.open(dsn) as one, await Store.open(dsn) as two:
        writer = registry_world(one)
        reader = registry_world(two, writer.clock)
        await writer.mirror.load()
        await reader.mirror.load()
        following = asyncio.create_task(reader.mirror.follow(0.001))
        begun = reader.feed.watch(0, None)
        assert begun is not None
        await writer.active(region())
        frame = await begun[0].next(20)
        assert frame == entries_frame(writer.feed.snapshot().entries)
        assert reader.registry.members.adapters()[0].authority == HANGZHOU
        following.cancel()


async def test_a_long_feed_is_compacted_and_a_process_that_fell_behind_starts_over(
    dsn: str,
) -> None:
    async with await Store.open(dsn) as one, await Store.open(dsn) as two:
        writer = registry_world(one, retention_entries=3)
        reader = registry_world(two, writer.clock)
        await writer.mirror.load()
        await writer.active(region())
        await reader.mirror.load()
        begun = reader.feed.watch(1, None)
        assert begun is not None
        await writer.active(region(GUANGZHOU))
        for _ in range(4):
            await writer.registry.suspend(HANGZHOU, by="x")
            await writer.registry.approve(HANGZHOU)
        assert writer.feed.sequence == 10
        assert writer.feed.floor >= 6
        assert writer.feed.watch(1, None) is None
        await reader.mirror.refresh()
        assert begun[0].is_cut
        assert reader.feed.snapshot().entries == writer.feed.snapshot().entries
        assert reader.feed.floor == writer.feed.floor
        assert len((await one.load(0, 0)).entries) < 10
        replica_of(writer)
    async with await Store.open(dsn) as store:
        again = registry_world(store, writer.clock)
        await again.mirror.load()
        assert again.feed.snapshot().entries == writer.feed.snapshot().entries


async def test_strangers_cannot_fill_the_registry(
    world: RegistryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.hub.enrolling.MAX_WAITING", 2)
    await world.active(checkpoint())
    await world.enrol(region())
    await world.enrol(region(GUANGZHOU))
    assert await refused(world.enrol(region(ZHEJIANG))) == "OVERLOADED"
    await world.pending(region())
    await world.registry.approve(HANGZHOU)
    assert (await world.enrol(region(ZHEJIANG))).state is MemberState.CHALLENGED


async def test_a_caller_that_leaves_in_the_middle_leaves_a_whole_change(
    world: RegistryWorld,
) -> None:
    await world.pending(region())
    approving = asyncio.create_task(world.registry.approve(HANGZHOU))
    await asyncio.sleep(0)
    approving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await approving
    await world.mirror.close()
    assert world.feed.sequence == 1
    assert world.registry.members.get(HANGZHOU).is_active


async def test_pages_go_through_all_members_in_order(world: RegistryWorld) -> None:
    urns = sorted(f"urn:hutong:checkpoint:440100:gate-{letter}" for letter in "abcde")
    for urn in urns:
        await world.enrol(checkpoint(urn))
    await world.registry.approve(urns[2])
    members = world.registry.members
    seen: list[str] = []
    more = True
    while more:
        page, more = members.page(after=seen[-1] if seen else "", limit=2, state=None)
        seen += [member.row.urn for member in page]
    assert seen == urns
    page, more = members.page(after="", limit=10, state=MemberState.PENDING)
    assert [member.row.urn for member in page] == [u for u in urns if u != urns[2]]
    assert not more
