"""A feed that is passed on: byte by byte, on disk, and nothing that does not verify."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.hub.errors import RegistryError
from gateway.hub.relay import RelayedFeed
from gateway.trust import FeedKind, FeedLog, FeedReplica, make_anchor
from gateway.trust.errors import FeedError
from tests.hub.hub_world import signing_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

HUB = "urn:hutong:hub:330000"
NOW = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)


class Signing:
    """A hub that signs notices."""

    def __init__(self) -> None:
        self.key = signing_key("relayed/feed")
        self.anchor = make_anchor(HUB, feed_keys=[self.key])
        self.log = FeedLog(HUB)
        self.replica = FeedReplica(self.anchor)

    def entry(self, topic: str, at: datetime = NOW) -> str:
        body = {"topic": topic, "at": int(at.timestamp())}
        subject = f"{HUB}#{topic}"
        made, self.log = self.log.append(self.key, FeedKind.NOTICE, subject, body, now=at)
        self.replica.apply_entry(made.token, at)
        return made.token

    def manifest(self) -> str:
        return self.log.manifest(self.key, self.replica.live_digests(), now=NOW)

    def head(self, at: datetime = NOW) -> str:
        return self.log.head(self.key, now=at)


def relay(path: Path, hub: Signing) -> RelayedFeed:
    return RelayedFeed(
        path,
        hub.anchor,
        is_superior=False,
        is_connected=lambda: True,
        watcher_queue=4,
        stall_seconds=5.0,
    )


async def test_nothing_is_served_before_the_first_word(tmp_path: Path) -> None:
    feed = relay(tmp_path / "feed", Signing())
    for ask in (feed.snapshot, lambda: feed.watch(0, None)):
        with pytest.raises(RegistryError) as refused:
            ask()
        assert refused.value.code == "HUB_UNKNOWN"
    assert not feed.load(NOW)


async def test_what_came_goes_out_as_it_was_signed_also_after_a_restart(tmp_path: Path) -> None:
    hub = Signing()
    first = hub.entry("one")
    manifest = hub.manifest()
    feed = relay(tmp_path / "feed", hub)
    await feed.take_snapshot(manifest, [first], NOW)
    begun = feed.watch(1, asyncio.current_task())
    assert begun is not None
    watcher, missing = begun
    assert missing == ()
    second, third = hub.entry("two"), hub.entry("three")
    await feed.take_entries([second, third], NOW)
    frame = await watcher.next(5)
    assert frame is not None
    assert second.encode() in frame
    # Until a head comes that fits, none is sent.
    assert feed.head() == ""
    later = NOW + timedelta(minutes=2)
    head = hub.head(later)
    await feed.take_head(head, later)
    assert feed.head() == head
    again = relay(tmp_path / "feed", hub)
    assert again.load(later)
    for one in (feed, again):
        assert one.snapshot().manifest == manifest
        assert one.snapshot().entries == (first,)
        assert (one.floor, one.sequence, one.head()) == (1, 3, head)
        assert one.as_of == later
        begun = one.watch(1, None)
        assert begun is not None
        assert begun[1] == (second, third)
        assert one.watch(0, None) is None


async def test_a_file_that_was_changed_is_set_aside(tmp_path: Path) -> None:
    hub = Signing()
    feed = relay(tmp_path / "feed", hub)
    entry = hub.entry("one")
    await feed.take_snapshot(hub.manifest(), [entry], NOW)
    file = tmp_path / "feed"
    file.write_bytes(file.read_bytes().replace(b"entry ", b"entry A"))
    again = relay(file, hub)
    assert not again.load(NOW)
    assert not again.is_usable
    assert (tmp_path / "feed.damaged").exists()


async def test_what_another_hub_signed_is_not_passed_on(tmp_path: Path) -> None:
    hub = Signing()
    feed = relay(tmp_path / "feed", hub)
    entry = hub.entry("one")
    await feed.take_snapshot(hub.manifest(), [entry], NOW)
    forger = Signing()
    forger.key = signing_key("forger")
    forger.log, forger.replica = hub.log, FeedReplica(make_anchor(HUB, feed_keys=[forger.key]))
    forged, _ = forger.log.append(
        forger.key,
        FeedKind.NOTICE,
        f"{HUB}#two",
        {"topic": "two", "at": int(NOW.timestamp())},
        now=NOW,
    )
    begun = feed.watch(1, None)
    assert begun is not None
    with pytest.raises(FeedError) as refused:
        await feed.take_entries([forged.token], NOW)
    assert refused.value.code == "FEED_SIGNATURE"
    assert feed.sequence == 1
    assert await begun[0].next(0.01) is None
