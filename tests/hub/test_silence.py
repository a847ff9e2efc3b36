"""A region that the hub does not hear is told in the feed, and never for a blip."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2 as pb

from gateway.hub.readers import Readers
from gateway.hub.sightings import Sightings
from gateway.hub.silence import SILENT_SECONDS, Hearing
from gateway.hub.standing import Standings
from gateway.hub.status_intake import _ago
from gateway.hub.status_metrics import StatusCollector
from gateway.hub.status_publisher import _Word
from gateway.trust import FeedKind, MemberState, authority_change
from gateway.trust.findings import FindingName
from tests.hub.hub_world import GUANGZHOU, HANGZHOU, HUB, START, region
from tests.hub.intake_world import (
    World,
    base_list,
    change_frame,
    connected,
    intake_world,
    list_frame,
    until,
    word,
)
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HEARTBEAT = pb.WatchChangesResponse(heartbeat=pb.WatchChangesHeartbeat())
NOBODY = "127.0.0.1:1"
"""An adapter that cannot be reached: no service has this port."""


@pytest.fixture
def one_database(tmp_path: Path) -> Iterator[str]:
    with migrated_database("sqlite", tmp_path) as dsn:
        yield dsn


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with migrated_database("postgres", tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(one_database: str) -> AsyncIterator[World]:
    async with intake_world(one_database) as made:
        yield made


async def heard(world: World) -> None:
    """Wait until what was pushed last counts as heard, at the present moment."""
    silences = world.intake.silences
    await until(
        lambda: (
            HANGZHOU in silences._heard and silences._heard[HANGZHOU].moment == world.moments.now
        )
    )


async def followed(world: World) -> None:
    """A region with a list in the feed, heard at the present moment."""
    await connected(world)
    world.adapter.push(list_frame(), change_frame(word(1)))
    await until(lambda: world.number() == 1)
    # What is heard of a region before a list of it stands in the feed may be let go.
    world.intake.silences._heard.pop(HANGZHOU, None)
    world.adapter.push(HEARTBEAT)
    await heard(world)
    world.intake.silences.look()


async def fallen_silent(world: World) -> None:
    world.pass_by(SILENT_SECONDS)
    await until(lambda: world.silence() is not None)


@pytest.mark.asyncio
async def test_who_is_not_heard_for_a_minute_is_told_with_the_last_instant(world: World) -> None:
    await followed(world)
    world.pass_by(20)
    world.adapter.push(HEARTBEAT)
    await heard(world)
    before = world.registry.feed.sequence
    world.pass_by(SILENT_SECONDS - 1)
    assert not world.publisher._waiting
    world.pass_by(1)
    await until(lambda: world.silence() is not None)
    silence = world.silence()
    assert silence is not None
    assert silence.since == START + timedelta(seconds=20)
    # To whoever asks how the region stands, or the hub.
    registry = world.registry
    standings = Standings(registry.registry, registry.feed, registry.store, Readers(registry.clock))
    standing = await standings.standing(HUB)
    assert FindingName.REGION_NOT_HEARD in {item.name for item in standing.findings}
    assert {item.subject for item in standing.findings} >= {HANGZHOU}
    # Told once, however long it lasts.
    world.pass_by(3600)
    assert not world.publisher._waiting
    assert world.registry.feed.sequence == before + 1
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in StatusCollector(
            world.intake, world.publisher, world.registry.feed, Sightings(), world.registry.clock
        ).collect()
        for sample in family.samples
    }
    assert told["hutong_status_silent_regions",] == 1
    assert told["hutong_status_silent_seconds", "330100"] == 3600 + SILENT_SECONDS
    world.adapter.push(HEARTBEAT)
    await heard(world)
    world.intake.silences.look()
    await until(lambda: world.silence() is None)


def behind(seconds: float, world: World, *, clock: float = 0.0) -> pb.WatchChangesResponse:
    """A heartbeat of a region that last heard its platform so long ago.

    Args:
        seconds: how long ago.
        world: whose clock the hub goes by.
        clock: by how much the region's own clock differs.
    """
    now = world.registry.clock() + timedelta(seconds=clock)
    frame = pb.WatchChangesResponse(heartbeat=pb.WatchChangesHeartbeat())
    frame.now.FromDatetime(now)
    frame.as_of.FromDatetime(now - timedelta(seconds=seconds))
    return frame


async def taken(world: World) -> None:
    """Wait until everything that was pushed is taken."""
    before = world.intake.heard_at.pop(HANGZHOU, None)
    mark = behind(10 * 86_400, world)
    world.adapter.push(mark)
    await until(lambda: HANGZHOU in world.intake.heard_at)
    if before is not None:
        world.intake.heard_at[HANGZHOU] = before


@pytest.mark.asyncio
async def test_a_region_that_does_not_hear_its_platform_is_silent_since_it_last_did(
    world: World,
) -> None:
    await followed(world)
    # Heartbeats go on, and new words too: only what they say of the platform counts.
    for _ in range(3):
        world.pass_by(15)
        world.adapter.push(behind(world.moments.now, world))
        await taken(world)
    assert world.silence() is None
    stale = change_frame(word(2))
    stale.MergeFrom(pb.WatchChangesResponse(as_of=behind(45, world).as_of))
    world.adapter.push(stale)
    await until(lambda: world.number() == 2)
    await taken(world)
    world.pass_by(15)
    await until(lambda: world.silence() is not None)
    silence = world.silence()
    assert silence is not None
    assert silence.since == START
    # The platform is back: the region says so, and is heard.
    world.adapter.push(behind(1, world))
    await until(lambda: world.intake.silences._heard[HANGZHOU].moment == world.moments.now - 1)
    world.intake.silences.look()
    await until(lambda: world.silence() is None)


@pytest.mark.asyncio
async def test_the_metrics_tell_up_to_when_a_platform_was_heard(world: World) -> None:
    await followed(world)
    world.pass_by(40)
    world.adapter.push(behind(25, world))
    await until(lambda: world.intake.heard_at[HANGZHOU] == START + timedelta(seconds=15))
    collector = StatusCollector(
        world.intake, world.publisher, world.registry.feed, Sightings(), world.registry.clock
    )
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }
    assert told["hutong_status_word_age_seconds", "330100"] == 25


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("seconds", "clock", "counts"),
    [
        (10, 0, 10),
        (10, -45, 10),
        (10, 45, 10),
        # A clock further behind than is tolerated anywhere, or a line that holds frames back.
        (10, -100, 50),
        (-30, 0, 0),
        (10, 3600, 10),
        (10**11, 0, 3650 * 86_400),
    ],
)
async def test_how_long_ago_goes_by_the_clock_of_the_region(
    world: World, seconds: float, clock: float, counts: float
) -> None:
    frame = behind(min(seconds, 86_400), world, clock=clock)
    if seconds > 86_400:
        frame.as_of.seconds = -62_135_596_800
    assert _ago(frame, world.registry.clock()) == timedelta(seconds=counts)


@pytest.mark.asyncio
async def test_a_region_that_begins_without_its_platform_gets_a_minute_and_is_then_silent(
    one_database: str,
) -> None:
    async with intake_world(one_database) as world:
        await followed(world)
        await world.intake.silences.keep()
    async with intake_world(one_database) as world:
        world.registry.clock.advance(7200)
        world.adapter.holds = [list_frame(), change_frame(word(1))]
        for frame in world.adapter.holds:
            frame.MergeFrom(pb.WatchChangesResponse(as_of=behind(86_400, world).as_of))
        if world.adapter.streams:
            world.adapter.push(*world.adapter.holds)
        await connected(world)
        await taken(world)
        world.pass_by(0)
        world.pass_by(SILENT_SECONDS - 1)
        assert not world.publisher._waiting
        world.pass_by(1)
        await until(lambda: world.silence() is not None)
        silence = world.silence()
        assert silence is not None
        # What was heard before both began anew stays heard.
        assert silence.since == START


def has_more(world: World, streams: int) -> bool:
    return len(world.adapter.streams) > streams


@pytest.mark.asyncio
async def test_a_blip_is_never_told(world: World) -> None:
    await followed(world)
    before = world.registry.feed.sequence
    world.adapter.holds = [list_frame(), change_frame(word(1))]
    for _ in range(3):
        streams = len(world.adapter.streams)
        world.adapter.streams[-1].put_nowait(None)
        world.pass_by(SILENT_SECONDS - 1)
        await until(partial(has_more, world, streams))
        await heard(world)
        world.pass_by(0)
    assert world.registry.feed.sequence == before


@pytest.mark.asyncio
async def test_what_was_said_meanwhile_is_in_the_feed_before_a_region_counts_as_heard(
    world: World,
) -> None:
    await followed(world)
    await fallen_silent(world)
    world.adapter.holds = [list_frame(), list_frame(name="b1")]
    world.adapter.streams[-1].put_nowait(None)
    await until(lambda: len(world.adapter.streams) == 2)
    # It speaks, and what it revoked may still be on its way.
    world.adapter.push(change_frame(word(1, name="b1")))
    await until(lambda: world.number("b1") == 1)
    world.pass_by(1)
    assert not world.publisher._waiting
    assert world.silence() is not None
    world.adapter.push(change_frame(word(2, 17)))
    await heard(world)
    world.intake.silences.look()
    await until(lambda: world.silence() is None)
    live = world.registry.feed.live
    (status, _), tombstone = (
        live.extras[FeedKind.STATUS, base_list()[0]],
        live.tombstones[FeedKind.SILENCE, HANGZHOU],
    )
    assert world.number() == 2
    assert status.sequence < tombstone.sequence


@pytest.mark.asyncio
async def test_a_region_whose_word_is_refused_is_not_heard_until_one_is_taken(
    world: World,
) -> None:
    await followed(world)
    world.adapter.push(change_frame(word(2, 17, key="stranger")), HEARTBEAT, HEARTBEAT)
    await until(lambda: world.publisher.refused)
    world.pass_by(1)
    world.adapter.push(HEARTBEAT)
    await until(lambda: world.intake.heard_at[HANGZHOU] == world.registry.clock())
    await fallen_silent(world)
    world.adapter.push(change_frame(word(3, 17)))
    await heard(world)
    world.intake.silences.look()
    await until(lambda: world.silence() is None)


@pytest.mark.asyncio
async def test_a_word_that_cannot_be_written_leaves_its_region_unheard(world: World) -> None:
    await followed(world)
    place = (FeedKind.STATUS, base_list()[0])
    bad = _Word(9, {"statement": word(9, 1, key="stranger")})
    await world.publisher._write({place: bad})
    assert world.publisher.has_refused(HANGZHOU)
    assert not world.publisher.has_refused(GUANGZHOU)
    world.adapter.push(HEARTBEAT)
    await fallen_silent(world)
    world.adapter.push(change_frame(word(10, 1)))
    await until(lambda: world.number() == 10)
    assert not world.publisher.has_refused(HANGZHOU)


@pytest.mark.asyncio
async def test_when_all_lines_go_at_once_it_is_one_write(world: World) -> None:
    await followed(world)
    uri, _ = base_list(GUANGZHOU)
    async with world.registry.mirror.change() as change:
        said = {"statement": word(1, urn=GUANGZHOU)}
        await world.registry.mirror.append(change, [(FeedKind.STATUS, uri, said)])
    await world.registry.mirror.refresh()
    world.intake.silences.look()
    before = world.registry.feed.sequence
    world.pass_by(SILENT_SECONDS)
    assert set(world.publisher._waiting) == {
        (FeedKind.SILENCE, HANGZHOU),
        (FeedKind.SILENCE, GUANGZHOU),
    }
    await until(lambda: world.silence() and world.silence(GUANGZHOU))
    assert world.registry.feed.sequence == before + 2
    silence = world.silence(GUANGZHOU)
    # Never followed here, and no row: its newest word in the feed was heard for certain.
    assert silence is not None
    assert silence.since == START


@pytest.mark.asyncio
async def test_nothing_is_told_of_a_region_that_is_suspended_or_has_no_list(world: World) -> None:
    await followed(world)

    async def become(state: MemberState) -> None:
        record = region(HANGZHOU).body.authority(state=state)
        async with world.registry.mirror.change() as change:
            await world.registry.mirror.append(change, [authority_change(record)])
        await world.registry.mirror.refresh()

    await become(MemberState.SUSPENDED)
    world.pass_by(SILENT_SECONDS)
    world.pass_by(SILENT_SECONDS)
    assert not world.publisher._waiting
    await become(MemberState.ACTIVE)
    # It gets its time to come back.
    world.pass_by(SILENT_SECONDS - 1)
    assert not world.publisher._waiting
    await fallen_silent(world)
    silence = world.silence()
    assert silence is not None
    assert silence.since == START
    world.publisher.end(base_list()[0])
    await until(lambda: world.number() is None)
    world.pass_by(0)
    await until(lambda: world.silence() is None)


@pytest.mark.asyncio
async def test_after_a_restart_a_region_has_a_minute_to_come_back(one_database: str) -> None:
    async with intake_world(one_database) as world:
        await followed(world)
        world.pass_by(30)
        world.adapter.push(HEARTBEAT)
        await heard(world)
        await world.intake.silences.keep()
    async with intake_world(one_database, endpoint=NOBODY) as world:
        await until(lambda: world.intake.silences._kept is not None)
        world.registry.clock.advance(7200)
        world.pass_by(0)
        world.pass_by(SILENT_SECONDS - 1)
        assert not world.publisher._waiting
        world.pass_by(1)
        await until(lambda: world.silence() is not None)
        silence = world.silence()
        assert silence is not None
        assert silence.since == START + timedelta(seconds=30)
    # The silence outlives its hub too, and ends when the region is heard.
    async with intake_world(one_database) as world:
        assert world.silence() == silence
        world.adapter.holds = [list_frame(), change_frame(word(1))]
        if world.adapter.streams:
            world.adapter.push(*world.adapter.holds)
        await heard(world)
        world.intake.silences.look()
        await until(lambda: world.silence() is None)


@pytest.mark.asyncio
@pytest.mark.postgres
async def test_who_takes_over_goes_on_from_what_the_other_process_heard(shared: str) -> None:
    async with intake_world(shared) as one:
        await followed(one)
        async with intake_world(shared, endpoint=NOBODY) as two:
            # Only one of them follows, and only that one tells.
            two.registry.clock.advance(5)
            one.pass_by(45)
            one.adapter.push(HEARTBEAT)
            await heard(one)
            await one.intake.silences.keep()
            assert [each.intake._turn.is_ours for each in (one, two)] == [True, False]
            await one.stop()
            await until(lambda: two.intake._turn.is_ours)
            await until(lambda: two.intake.silences._kept is not None)
            await two.registry.mirror.refresh()
            two.registry.clock.advance(3600)
            two.pass_by(0)
            two.pass_by(SILENT_SECONDS)
            await until(lambda: two.silence() is not None)
            silence = two.silence()
            assert silence is not None
            assert silence.since == START + timedelta(seconds=45)


def test_a_stream_is_complete_when_every_list_was_spoken_of() -> None:
    hearing, told = Hearing(["a", "b"]), []
    steps: list[Callable[[], None]] = [
        lambda: hearing.take("a"),
        lambda: hearing.take("c"),
        lambda: hearing.take("b"),
        lambda: hearing.refuse("a"),
        hearing.rest,
        lambda: hearing.take("a"),
    ]
    for step in steps:
        step()
        told.append(hearing.is_complete)
    assert told == [False, False, True, False, False, True]
    quiet = Hearing(["a"])
    quiet.rest()
    assert quiet.is_complete
    assert Hearing([]).is_complete
