"""Following the feed: order, forks, heads and ages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed, feed_log
from gateway.trust.replica import FeedReplica
from tests.trust.replica_world import MINUTE, refused, refuses_entry
from tests.trust.simulator import (
    START,
    FederationSimulator,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# --- following ------------------------------------------------------------------------


def test_every_way_leads_to_the_same_state(federation: FederationSimulator) -> None:
    federation.suspend("440100")
    federation.publish_policy("330100", note="newer")
    chain = federation.replica()
    snapshot = federation.replica_from_snapshot()
    half_way = federation.replica(upto=3)
    half_way.load_snapshot(*federation.snapshot(), federation.now)
    restarted = FeedReplica.from_bytes(federation.anchor, chain.to_bytes(), federation.now)
    expected = tuple(entry.token for entry in federation.live())
    for replica in (chain, snapshot, half_way, restarted, chain.copy()):
        assert replica.live_tokens() == expected
        assert replica.live_digests() == tuple(e.digest for e in federation.live())
        assert (replica.sequence, replica.digest) == (8, federation.log.digest)
        assert replica.bundle.policy("330100")["note"] == "newer"


def test_an_empty_feed_has_a_snapshot_and_a_head() -> None:
    federation = FederationSimulator()
    replica = federation.replica_from_snapshot()
    replica.apply_head(federation.head(), federation.now)
    assert replica.sequence == 0
    assert replica.as_of == federation.now
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    assert again.as_of == federation.now


def test_the_newest_entry_once_more_does_nothing(federation: FederationSimulator) -> None:
    replica = federation.replica()
    before = replica.to_bytes()
    replica.apply_entry(federation.entries[-1].token, federation.now)
    assert replica.to_bytes() == before


def test_a_copy_goes_its_own_way(federation: FederationSimulator) -> None:
    replica = federation.replica()
    trial = replica.copy()
    trial.apply_entry(federation.suspend("330100").token, federation.now)
    assert trial.sequence == replica.sequence + 1
    assert replica.bundle.authority_for("330100").is_active


# --- order ----------------------------------------------------------------------------


def test_an_older_entry_is_a_rollback(federation: FederationSimulator) -> None:
    for entry in federation.entries[:-1]:
        refuses_entry(federation, entry.token, "FEED_ROLLED_BACK")


def test_an_older_superseded_entry_is_a_rollback(federation: FederationSimulator) -> None:
    federation.suspend("330100")
    refuses_entry(federation, federation.entries[0].token, "FEED_ROLLED_BACK")


def test_a_missing_entry_is_a_gap(federation: FederationSimulator) -> None:
    replica = federation.replica(upto=3)
    refused(
        replica,
        lambda: replica.apply_entry(federation.entries[4].token, federation.now),
        "FEED_GAP",
    )


def test_a_second_entry_for_a_number_is_a_fork(federation: FederationSimulator) -> None:
    for place in (0, -1):
        token = federation.resign(federation.entries[place], iat=int(START.timestamp()) + 1)
        refuses_entry(federation, token, "FEED_FORK")


def test_a_next_entry_after_another_history_is_a_fork(federation: FederationSimulator) -> None:
    entry = federation.suspend("330100")
    for previous in (federation.entries[0].digest, feed.ZERO_DIGEST, "B" * 43):
        replica = federation.replica(upto=-1)
        token = federation.resign(entry, prev=previous)
        refused(replica, lambda: replica.apply_entry(token, federation.now), "FEED_FORK")


def test_a_foreign_signature_is_refused(federation: FederationSimulator) -> None:
    entry = federation.suspend("330100")
    replica = federation.replica(upto=-1)
    for key in (generate_signing_key(), federation.token_key):
        token = federation.resign(entry, key=key)
        refused(replica, lambda: replica.apply_entry(token, federation.now), "FEED_SIGNATURE")


@pytest.mark.parametrize(("seconds", "is_taken"), [(60, True), (61, False)])
def test_what_comes_from_the_future_is_refused(
    federation: FederationSimulator,
    seconds: int,
    is_taken: bool,
) -> None:
    now = federation.now
    federation.tick(seconds)
    entry = federation.suspend("330100")
    manifest, entries = federation.snapshot()
    followed = federation.replica(upto=-1)
    tried: list[tuple[FeedReplica, Callable[[FeedReplica], object]]] = [
        (followed.copy(), lambda replica: replica.apply_entry(entry.token, now)),
        (followed.copy(), lambda replica: replica.load_snapshot(manifest, entries, now)),
        (federation.replica(), lambda replica: replica.apply_head(federation.head(), now)),
    ]
    for replica, attempt in tried:
        if is_taken:
            attempt(replica)
        else:
            refused(replica, lambda: attempt(replica), "FEED_FROM_FUTURE")


# --- heads and ages -------------------------------------------------------------------


def test_a_head_makes_the_state_young_again(federation: FederationSimulator) -> None:
    replica = federation.replica()
    assert replica.age(federation.now) == MINUTE
    replica.apply_head(federation.head(), federation.now)
    assert replica.age(federation.now) == timedelta()
    assert replica.as_of == federation.now


def test_an_older_head_does_not_make_it_older(federation: FederationSimulator) -> None:
    replica = federation.replica()
    old = federation.head()
    federation.tick(60)
    replica.apply_head(federation.head(), federation.now)
    replica.apply_head(old, federation.now)
    assert replica.age(federation.now) == timedelta()


def test_an_age_is_never_negative(federation: FederationSimulator) -> None:
    replica = federation.replica()
    assert replica.age(START - timedelta(hours=1)) == timedelta()


def test_an_empty_replica_is_older_than_any_limit(federation: FederationSimulator) -> None:
    assert FeedReplica(federation.anchor).age(federation.now) == timedelta.max


def test_a_head_of_another_moment_is_refused(federation: FederationSimulator) -> None:
    old = federation.head()
    behind = federation.replica()
    federation.suspend("330100")
    ahead = federation.replica()
    refused(behind, lambda: behind.apply_head(federation.head(), federation.now), "FEED_GAP")
    refused(ahead, lambda: ahead.apply_head(old, federation.now), "FEED_ROLLED_BACK")
    forked = feed_log.sign_head(
        federation.feed_key,
        hub=federation.hub,
        sequence=ahead.sequence,
        digest="B" * 43,
        issued_at=federation.now,
    )
    refused(ahead, lambda: ahead.apply_head(forked, federation.now), "FEED_FORK")
