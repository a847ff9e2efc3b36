"""What a region revokes reaches the feed as it was signed; whatever does not hold does not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2 as pb

from adapters.sdk.issued import IssuedLedger, StatusSettings
from gateway.codes.levels import Level
from gateway.codes.unified import UnifiedCode
from gateway.hub.sightings import Sightings
from gateway.hub.status_lists import StatusLists
from gateway.hub.status_metrics import StatusCollector
from gateway.hub.status_publisher import _Word, held_lists
from gateway.trust import FeedKind
from tests.hub.hub_world import GUANGZHOU, HANGZHOU, signing_key
from tests.hub.intake_world import (
    PATIENCE,
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
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio


@pytest.fixture
def one_database(tmp_path: Path) -> Iterator[str]:
    with migrated_database("sqlite", tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(one_database: str) -> AsyncIterator[World]:
    async with intake_world(one_database) as made:
        yield made


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
        {(FeedKind.STATUS, base_list()[0]): _word(2, {"statement": word(2, 1)})},
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
        await until(lambda: (FeedKind.STATUS, base_list(name="b1")[0]) in world.publisher._waiting)
    await until(lambda: world.number() == 5 and world.number("b1") == 1)
    # At most the first of them was taken alone, before the others came.
    assert world.registry.feed.sequence <= sequence + 3


async def test_one_bad_word_does_not_take_the_others_with_it(world: World) -> None:
    await connected(world)
    world.adapter.push(list_frame(), list_frame(name="b1"), change_frame(word(1)))
    await until(lambda: world.number() == 1)
    bad = _word(9, {"statement": word(9, 1, name="b1", key="stranger")})
    good = _word(2, {"statement": word(2, 5)})
    kind = FeedKind.STATUS
    await world.publisher._write(
        {(kind, base_list(name="b1")[0]): bad, (kind, base_list()[0]): good}
    )
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
