"""Snapshots: what they must hold, and which history they may tell."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import feed, jws
from gateway.trust.feed_log import sign_manifest
from gateway.trust.replica import FeedReplica
from gateway.trust.statements import StatementKind
from tests.trust.replica_world import refused
from tests.trust.simulator import (
    FederationSimulator,
    policy_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.trust.feed import FeedEntry


def manifest_over(
    federation: FederationSimulator, live: list[FeedEntry], **changes: Any
) -> tuple[str, list[str]]:
    """A manifest the hub might sign over any entries."""
    members: dict[str, Any] = {
        "hub": federation.hub,
        "sequence": live[-1].sequence,
        "digest": live[-1].digest,
        "issued_at": federation.now,
        "live": [entry.digest for entry in live],
    } | changes
    return sign_manifest(federation.feed_key, **members), [entry.token for entry in live]


def snapshots_out_of_place(
    federation: FederationSimulator,
) -> Iterator[tuple[str, tuple[str, list[str]], str]]:
    federation.suspend("330100")
    manifest, entries = federation.snapshot()
    live = federation.live()
    yield "an entry left out", (manifest, entries[1:]), "FEED_MALFORMED"
    yield "an entry twice", (manifest, [entries[0], *entries]), "FEED_MALFORMED"
    yield (
        "two entries swapped",
        (manifest, [entries[1], entries[0], *entries[2:]]),
        "FEED_MALFORMED",
    )
    yield "no entries", (manifest, []), "FEED_MALFORMED"
    yield (
        "a foreign manifest",
        (
            jws.sign({"iss": federation.hub}, generate_signing_key(), typ=feed.MANIFEST_TYPE),
            entries,
        ),
        "FEED_SIGNATURE",
    )
    yield "a head for a manifest", (federation.head(), entries), "FEED_MALFORMED"
    yield (
        "swapped in the manifest too",
        manifest_over(federation, [live[1], live[0], *live[2:]]),
        "FEED_MALFORMED",
    )
    yield (
        "a superseded entry as well",
        manifest_over(federation, federation.entries),
        ("FEED_MALFORMED"),
    )
    yield (
        "another number than the newest entry's",
        manifest_over(federation, live, sequence=live[-1].sequence + 1),
        "FEED_MALFORMED",
    )
    yield (
        "another digest than the newest entry's",
        manifest_over(federation, live, digest=live[0].digest),
        "FEED_MALFORMED",
    )
    yield (
        "a scheme without its authority",
        manifest_over(federation, [e for e in live if e.subject != "urn:hutong:region:440100"]),
        "FEED_MALFORMED",
    )
    broken = [*live[:-1], dataclasses.replace(live[-1], token="a.b.c", digest=jws.digest("a.b.c"))]
    yield "an entry that is none", manifest_over(federation, broken), "FEED_MALFORMED"


def test_a_snapshot_with_one_thing_out_of_place_is_refused(
    federation: FederationSimulator,
) -> None:
    for name, (manifest, entries), code in snapshots_out_of_place(federation):
        fresh = FeedReplica(federation.anchor)
        try:
            refused(fresh, lambda: fresh.load_snapshot(manifest, entries, federation.now), code)
        except BaseException as error:
            error.add_note(name)
            raise


def test_consecutive_entries_of_a_snapshot_must_chain(federation: FederationSimulator) -> None:
    live = federation.live()
    token = federation.resign(live[1], prev="B" * 43)
    live[1] = feed.verify_entry(token, federation.anchor)
    fresh = FeedReplica(federation.anchor)
    snapshot = manifest_over(federation, live)
    refused(fresh, lambda: fresh.load_snapshot(*snapshot, federation.now), "FEED_FORK")


def test_an_older_snapshot_is_a_rollback(federation: FederationSimulator) -> None:
    old = federation.snapshot()
    federation.suspend("330100")
    replica = federation.replica()
    refused(replica, lambda: replica.load_snapshot(*old, federation.now), "FEED_ROLLED_BACK")


def test_a_snapshot_of_the_same_moment_only_makes_the_state_younger(
    federation: FederationSimulator,
) -> None:
    replica = federation.replica()
    replica.load_snapshot(*federation.snapshot(), federation.now)
    assert replica.age(federation.now) == timedelta()
    assert replica.live_tokens() == federation.replica().live_tokens()


def other_history(federation: FederationSimulator, entries: int) -> FederationSimulator:
    """A federation of the same hub that shares the first entries and then differs."""
    other = FederationSimulator(now=federation.now)
    other.feed_key, other.anchor = federation.feed_key, federation.anchor
    other.regions = dict(federation.regions)
    other.entries = federation.entries[:entries]
    for entry in other.entries:
        other.log = other.log.after(entry)
    return other


@pytest.mark.parametrize("shared", [0, 1, 2, 5])
@pytest.mark.parametrize("further", [0, 5])
def test_a_snapshot_of_another_history_is_a_fork(
    federation: FederationSimulator, shared: int, further: int
) -> None:
    replica = federation.replica()
    other = other_history(federation, shared)
    other.tick(60)
    while len(other.entries) < len(federation.entries) + further:
        if len(other.entries) < 2:
            code = ("330100", "440100")[len(other.entries)]
            other.publish_authority(federation.regions[code].authority)
        else:
            other.publish_policy("330100", turn=len(other.entries))
    FeedReplica(other.anchor).load_snapshot(*other.snapshot(), other.now)
    refused(replica, lambda: replica.load_snapshot(*other.snapshot(), other.now), "FEED_FORK")


def test_a_snapshot_that_leaves_out_what_is_held_is_a_fork(
    federation: FederationSimulator,
) -> None:
    replica = federation.replica()
    federation.publish_policy("440100", note="newer")
    live = [entry for entry in federation.live() if entry.sequence != 3]
    snapshot = manifest_over(federation, live)
    FeedReplica(federation.anchor).load_snapshot(*snapshot, federation.now)
    refused(replica, lambda: replica.load_snapshot(*snapshot, federation.now), "FEED_FORK")


def test_a_snapshot_that_brings_something_older_that_was_not_held_is_a_fork(
    federation: FederationSimulator,
) -> None:
    for code in federation.regions:
        federation.publish_scheme(code, note="newer")
        federation.publish_policy(code, note="newer")
    replica = federation.replica()
    # Number 4 is superseded for everybody who followed: here it is something else.
    token = federation.statement(
        StatementKind.POLICY, "330100", policy_frame("330100") | {"region": "330106"}
    )
    forged = federation.resign(
        federation.entries[3],
        subject="urn:hutong:region:330100#330106",
        body={"statement": token},
        iat=int(federation.now.timestamp()),
    )
    live = federation.live()
    live.insert(2, feed.verify_entry(forged, federation.anchor))
    snapshot = manifest_over(federation, live)
    FeedReplica(federation.anchor).load_snapshot(*snapshot, federation.now)
    refused(replica, lambda: replica.load_snapshot(*snapshot, federation.now), "FEED_FORK")


def test_what_follows_the_newest_entry_held_must_name_it(
    federation: FederationSimulator,
) -> None:
    replica = federation.replica()
    suspended = federation.suspend("330100")
    federation.publish_policy("440100", note="supersedes the newest entry held")
    live = [
        feed.verify_entry(federation.resign(entry, prev=feed.ZERO_DIGEST), federation.anchor)
        if entry is suspended
        else entry
        for entry in federation.live()
    ]
    newest = federation.resign(live[-1], prev=live[-2].digest)
    live[-1] = feed.verify_entry(newest, federation.anchor)
    snapshot = manifest_over(federation, live)
    FeedReplica(federation.anchor).load_snapshot(*snapshot, federation.now)
    refused(replica, lambda: replica.load_snapshot(*snapshot, federation.now), "FEED_FORK")


def test_what_is_live_is_bounded(
    federation: FederationSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = federation.replica()
    entry = federation.publish_policy("330100", region="330106")
    monkeypatch.setattr("gateway.trust.live.MAX_LIVE_ENTRIES", 6)
    refused(replica, lambda: replica.apply_entry(entry.token, federation.now), "FEED_MALFORMED")
