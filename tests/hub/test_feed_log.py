from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import HutongError
from gateway.hub.feed_log import Change, HubFeed
from gateway.hub.feed_watch import FRAME_BYTES, Watcher, entries_frame, in_frames
from gateway.store import FeedRow, FeedStateRow, StoreCorruptError
from gateway.trust import FeedError, FeedKind, MemberState, authority_change, make_anchor
from gateway.trust.entries import notice_body, payload_of
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.replica import FeedReplica
from tests.hub.hub_world import GUANGZHOU, HANGZHOU, HUB, ZHEJIANG, Clock, region, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CITIES = [HANGZHOU, GUANGZHOU, ZHEJIANG]


def new_feed(clock: Clock, *, key: str = "hub/feed", watcher_queue: int = 4) -> HubFeed:
    return HubFeed(
        hub_urn=HUB,
        key=signing_key(key),
        anchor=make_anchor(HUB, feed_keys=[signing_key("hub/feed")]),
        clock=clock,
        watcher_queue=watcher_queue,
        stall_seconds=5.0,
    )


class Table:
    """The rows of a store, and a feed that follows them."""

    def __init__(self, **options: object) -> None:
        self.clock = Clock()
        self.rows: list[FeedRow] = []
        self.floor = 0
        self.feed = new_feed(self.clock, **options)  # type: ignore[arg-type]  # wrong on purpose, or built loosely

    @property
    def state(self) -> FeedStateRow:
        if not self.rows:
            return FeedStateRow(self.floor, 0, "")
        last = self.rows[-1]
        return FeedStateRow(self.floor, last.sequence, last.digest, last.issued_at)

    def publish(self, *urns: str, state: MemberState = MemberState.ACTIVE) -> None:
        self.put(*(authority_change(region(urn).body.authority(state=state)) for urn in urns))

    def put(self, *changes: Change) -> None:
        new = self.feed.next_rows(changes, self.state)
        self.rows += new
        self.feed.apply(new, self.state, as_of=self.clock())

    def look(self) -> None:
        self.feed.apply((), self.state, as_of=self.clock())

    def compact(self, floor: int) -> None:
        newest = {(row.kind, row.subject): row.sequence for row in self.rows}
        self.floor = max(self.floor, floor)
        self.rows = [
            row
            for row in self.rows
            if row.sequence > self.floor
            or (newest[row.kind, row.subject] == row.sequence and not row.withdrawn)
            or row.sequence == self.rows[-1].sequence
        ]
        self.look()

    def reload(self, rows: Sequence[FeedRow] | None = None, **options: object) -> HubFeed:
        feed = new_feed(self.clock, **options)  # type: ignore[arg-type]  # wrong on purpose, or built loosely
        feed.apply(
            self.rows if rows is None else rows, self.state, as_of=self.clock(), is_whole=True
        )
        return feed


@pytest.fixture
def table() -> Table:
    table = Table()
    table.publish(HANGZHOU)
    table.publish(GUANGZHOU, ZHEJIANG)
    table.publish(HANGZHOU, state=MemberState.SUSPENDED)
    return table


def snapshot_replica(feed: HubFeed, clock: Clock) -> FeedReplica:
    replica = FeedReplica(feed.anchor)
    snapshot = feed.snapshot()
    replica.load_snapshot(snapshot.manifest, snapshot.entries, clock())
    return replica


def test_a_reloaded_feed_is_the_same_feed(table: Table) -> None:
    again = table.reload()
    assert again.sequence == table.feed.sequence == 4
    assert again.snapshot().entries == table.feed.snapshot().entries
    assert again._tail == table.feed._tail


def test_an_empty_store_is_an_empty_feed() -> None:
    feed = Table().reload()
    assert feed.sequence == 0
    assert feed.snapshot().entries == ()
    assert snapshot_replica(feed, Clock()).sequence == 0


def _flip(token: str) -> str:
    header, payload, signature = token.split(".")
    middle = "A" if signature[10] != "A" else "B"
    return f"{header}.{payload}.{signature[:10]}{middle}{signature[11:]}"


CORRUPTIONS: dict[str, Callable[[list[FeedRow]], list[FeedRow]]] = {
    "a changed byte": lambda rows: [replace(rows[0], token=_flip(rows[0].token)), *rows[1:]],
    "two rows swapped": lambda rows: [
        replace(rows[0], token=rows[1].token, digest=rows[1].digest),
        replace(rows[1], token=rows[0].token, digest=rows[0].digest),
        *rows[2:],
    ],
    "a row in a foreign subject": lambda rows: [replace(rows[0], subject=GUANGZHOU), *rows[1:]],
    "a foreign digest": lambda rows: [replace(rows[0], digest=rows[1].digest), *rows[1:]],
    "a hole": lambda rows: [rows[0], *rows[2:]],
    "the first entry gone": lambda rows: rows[1:],
    "the end cut off": lambda rows: rows[:-1],
    "everything gone": lambda rows: rows[:0],
    "a row twice": lambda rows: [*rows, rows[-1]],
    "not a token": lambda rows: [replace(rows[0], token="x"), *rows[1:]],
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_store_is_refused(table: Table, name: str) -> None:
    with pytest.raises(StoreCorruptError):
        table.reload(CORRUPTIONS[name](table.rows))


def test_a_feed_signed_by_another_key_is_refused() -> None:
    other = Table()
    other.feed = HubFeed(
        hub_urn=HUB,
        key=signing_key("other/feed"),
        anchor=make_anchor(HUB, feed_keys=[signing_key("other/feed")]),
        clock=other.clock,
        watcher_queue=4,
        stall_seconds=5.0,
    )
    other.publish(HANGZHOU)
    with pytest.raises(StoreCorruptError):
        other.reload()


def test_a_refused_batch_changes_nothing(table: Table) -> None:
    before = (table.feed.sequence, table.feed.snapshot().entries)
    with pytest.raises(StoreCorruptError):
        table.feed.apply([replace(table.rows[0], sequence=5)], table.state, as_of=table.clock())
    assert (table.feed.sequence, table.feed.snapshot().entries) == before


def test_what_a_reader_would_refuse_is_never_signed_into_a_row(table: Table) -> None:
    twice = region("urn:hutong:region:330100", prefixes=["330106"], slot="x")
    thief = replace(
        region(ZHEJIANG, slot="y").body.authority(),
        urn=ZHEJIANG,
        prefixes=("330106",),
    )
    table.publish(GUANGZHOU)
    changes = [authority_change(twice.body.authority()), authority_change(thief)]
    with pytest.raises(FeedError):
        table.feed.next_rows(changes, table.state)


def test_a_store_that_moved_behind_the_feeds_back_is_noticed(table: Table) -> None:
    with pytest.raises(StoreCorruptError):
        table.feed.next_rows([], replace(table.state, last_sequence=3))


def test_heads_and_manifests_are_as_old_as_the_last_look_at_the_store(table: Table) -> None:
    seen = table.clock.now
    head, manifest = table.feed.head(), table.feed.snapshot().manifest
    table.clock.advance(7200)
    # Nobody looked: it may be anything that the store holds by now.
    assert table.feed.head() == head
    assert table.feed.snapshot().manifest == manifest
    assert table.feed.as_of == seen
    # What the store says of another history is no look either.
    with pytest.raises(StoreCorruptError):
        table.feed.apply((), replace(table.state, last_sequence=9), as_of=table.clock())
    assert table.feed.as_of == seen
    assert payload_of(table.feed.head())["iat"] == seen.timestamp()
    table.look()
    assert payload_of(table.feed.head())["iat"] == seen.timestamp() + 7200
    assert payload_of(table.feed.snapshot().manifest)["iat"] == seen.timestamp() + 7200
    table.clock.advance(-3600)
    replica = FeedReplica(table.feed.anchor)
    for token in table.feed._tail:
        replica.apply_entry(token, table.clock.now.replace(year=2021))
    head = table.feed.head()
    replica.apply_head(head, table.clock.now.replace(year=2021))


def test_a_clock_that_was_set_back_does_not_stop_the_feed(table: Table) -> None:
    table.clock.advance(-86_400)
    table.publish(GUANGZHOU)
    assert table.reload().sequence == 5


def test_the_snapshot_as_json_is_the_snapshot(table: Table) -> None:
    read = json.loads(table.feed.snapshot_json())
    snapshot = table.feed.snapshot()
    assert read == {"manifest": snapshot.manifest, "entries": list(snapshot.entries)}


def test_a_reader_ahead_of_the_feed_is_told_so(table: Table) -> None:
    with pytest.raises(HutongError) as caught:
        table.feed.watch(5, None)
    assert caught.value.code == "SEQUENCE_AHEAD"


def test_a_reader_behind_the_floor_must_start_over(table: Table) -> None:
    table.compact(2)
    assert table.feed.floor == 2
    assert table.feed.watch(1, None) is None
    begun = table.feed.watch(2, None)
    assert begun is not None
    assert begun[1] == tuple(row.token for row in table.rows if row.sequence > 2)
    assert table.reload().snapshot().entries == table.feed.snapshot().entries


def test_a_stopping_feed_takes_no_watchers(table: Table) -> None:
    table.feed.close()
    with pytest.raises(HutongError) as caught:
        table.feed.watch(0, None)
    assert caught.value.code == "SHUTTING_DOWN"


@pytest.mark.asyncio
async def test_a_watcher_gets_every_new_entry(table: Table) -> None:
    begun = table.feed.watch(4, None)
    assert begun is not None
    watcher, missing = begun
    assert missing == ()
    assert await watcher.next(0) is None
    waiting = asyncio.create_task(watcher.next(5))
    await asyncio.sleep(0)
    table.publish(HANGZHOU, GUANGZHOU)
    assert await waiting == entries_frame(row.token for row in table.rows[-2:])
    table.feed.unwatch(watcher)
    assert table.feed.watchers == 0


@pytest.mark.asyncio
async def test_a_slow_watcher_is_cut_and_hinders_nobody(table: Table) -> None:
    blocked = asyncio.create_task(asyncio.Event().wait())
    slow = table.feed.watch(4, blocked)
    quick = table.feed.watch(4, None)
    assert slow is not None
    assert quick is not None
    for _ in range(table.feed._watchers.limit + 1):
        table.publish(HANGZHOU)
        assert await quick[0].next(1) is not None
    assert slow[0].is_cut
    assert not quick[0].is_cut
    assert await slow[0].next(1) is None
    blocked.cancel()


@pytest.mark.asyncio
async def test_a_cut_watcher_that_blocks_is_ended() -> None:
    blocked = asyncio.create_task(asyncio.Event().wait())
    watcher = Watcher(limit=1, stall_seconds=0, task=blocked)
    watcher.push(b"a")
    watcher.push(b"b")
    with pytest.raises(asyncio.CancelledError):
        await blocked
    watcher.push(b"c")
    assert await watcher.next(1) is None


@pytest.mark.asyncio
async def test_a_released_watcher_ends_nothing() -> None:
    async def serve() -> str:
        watcher = Watcher(limit=1, stall_seconds=0, task=asyncio.current_task())
        watcher.cut()
        watcher.release()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    assert await asyncio.create_task(serve()) == "done"


@pytest.mark.asyncio
async def test_watchers_are_cut_when_the_feed_starts_over(table: Table) -> None:
    begun = table.feed.watch(4, None)
    assert begun is not None
    table.feed.apply(table.rows, table.state, as_of=table.clock(), is_whole=True)
    assert begun[0].is_cut


@given(st.lists(st.integers(1, FRAME_BYTES // 2), max_size=12))
def test_frames_keep_order_and_stay_near_their_size(sizes: list[int]) -> None:
    tokens = [f"{index}" * size for index, size in enumerate(sizes)]
    frames = list(in_frames(tokens))
    assert [token for frame in frames for token in frame] == tokens
    assert all(frame for frame in frames)
    assert all(len(frame) == 1 or sum(map(len, frame)) <= FRAME_BYTES for frame in frames)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("compact"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("reload"), st.just(0), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 1), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_any_reader_that_follows_or_starts_over_holds_what_the_hub_holds(
    actions: list[tuple[str, int, int]],
) -> None:
    table = Table()
    readers = [FeedReplica(table.feed.anchor) for _ in range(2)]

    def read(replica: FeedReplica) -> None:
        begun = table.feed.watch(replica.sequence, None)
        if begun is None:
            snapshot = table.feed.snapshot()
            replica.load_snapshot(snapshot.manifest, snapshot.entries, table.clock())
        else:
            for token in begun[1]:
                replica.apply_entry(token, table.clock())
            table.feed.unwatch(begun[0])
        replica.apply_head(table.feed.head(), table.clock())
        assert replica.sequence == table.feed.sequence
        assert replica.live_tokens() == table.feed.snapshot().entries

    for action, number, flag in actions:
        table.clock.advance(2)
        if action == "publish":
            state = MemberState.SUSPENDED if flag else MemberState.ACTIVE
            table.publish(CITIES[number], state=state)
        elif action == "compact":
            table.compact(min(number, table.feed.sequence))
        elif action == "reload":
            table.feed = table.reload()
        else:
            read(readers[number])
    for replica in readers:
        read(replica)


def test_a_tombstone_is_listed_until_the_feed_is_compacted_past_it(table: Table) -> None:
    notice = f"{HANGZHOU}#drill"
    table.put((FeedKind.NOTICE, notice, notice_body("drill", at=table.clock())))
    behind = snapshot_replica(table.feed, table.clock)
    table.put(withdrawal_change(FeedKind.NOTICE, notice, "over"))
    following = snapshot_replica(table.feed, table.clock)
    assert following.bundle.notices() == ()
    assert table.feed.snapshot().entries[-1] == table.rows[-1].token
    table.publish(GUANGZHOU)
    table.publish(ZHEJIANG)
    live = snapshot_replica(table.feed, table.clock).live_digests()
    # A reader at the floor still gets the withdrawal; one below must start over.
    table.compact(6)
    assert table.rows[-3].subject != notice
    assert notice not in {row.subject for row in table.rows}
    assert table.feed.watch(behind.sequence, None) is None
    assert table.feed.watch(6, None) is not None
    # The manifest's floor lets it drop what it held and nobody names any more.
    snapshot = table.feed.snapshot()
    behind.load_snapshot(snapshot.manifest, snapshot.entries, table.clock())
    assert behind.bundle.notices() == ()
    assert behind.live_digests() == live
    assert table.reload().snapshot().entries == snapshot.entries


def test_a_reader_above_the_floor_refuses_a_snapshot_that_hides_what_it_holds(
    table: Table,
) -> None:
    notice = f"{HANGZHOU}#drill"
    table.put((FeedKind.NOTICE, notice, notice_body("drill", at=table.clock())))
    reader = snapshot_replica(table.feed, table.clock)
    table.put(withdrawal_change(FeedKind.NOTICE, notice, "over"))
    table.publish(GUANGZHOU)
    floor = table.floor
    table.compact(6)
    # A hub that hides the withdrawal and says that nothing was compacted.
    table.feed._floor = floor
    table.feed._snapshot = None
    snapshot = table.feed.snapshot()
    with pytest.raises(FeedError) as caught:
        reader.load_snapshot(snapshot.manifest, snapshot.entries, table.clock())
    assert caught.value.code == "FEED_FORK"


def test_what_is_kept_is_bounded_by_number_and_by_size(table: Table) -> None:
    feed, rows = table.feed, table.rows
    sizes = [len(row.token) for row in rows]
    everything = sum(sizes)
    assert feed.floor_within(100, everything, ()) == 0
    assert feed.floor_within(2, everything, ()) == 2
    # Half of it: the newest entries that fit.
    kept, room = 0, everything // 2
    for size in reversed(sizes):
        room -= size
        if room < 0:
            break
        kept += 1
    assert feed.floor_within(100, everything // 2, ()) == len(rows) - kept
    # One entry alone may be larger than the bound; it is kept.
    assert feed.floor_within(100, 1, ()) == len(rows) - 1
    table.compact(3)
    assert feed._tail_bytes == sum(map(len, feed._tail)) == sizes[-1]
