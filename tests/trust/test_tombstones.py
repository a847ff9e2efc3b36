"""What is withdrawn leaves at once, stays listed while somebody needs it, and adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.trust import feed, jws
from gateway.trust.errors import TrustLookupError
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.kinds import is_withdrawal, looks_withdrawn, withdrawal
from gateway.trust.replica import FeedReplica
from tests.trust.replica_world import refused, refuses_next
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import Sequence

HANGZHOU = "urn:hutong:region:330100"
POLICY = f"{HANGZHOU}#330100"


def snapshot(
    federation: FederationSimulator, floor: int = 0, *, of: FeedReplica | None = None
) -> tuple[str, Sequence[str]]:
    """What a hub that compacted up to ``floor`` would send."""
    listing = (of or federation.replica()).listing(floor)
    manifest = federation.log.manifest(
        federation.feed_key,
        listing.live,
        now=federation.now,
        floor=floor,
        tombstones=listing.tombstones,
    )
    return manifest, listing.tokens


def withdraw(federation: FederationSimulator, subject: str = POLICY) -> feed.FeedEntry:
    return federation.append(*withdrawal_change(FeedKind.POLICY, subject, "a mistake"))


def test_a_tombstone_takes_effect_at_once_and_is_counted_apart(
    federation: FederationSimulator,
) -> None:
    followed = federation.replica()
    assert followed.bundle.policy("330100")
    entry = withdraw(federation)
    assert entry.is_tombstone
    followed.apply_entry(entry.token, federation.now)
    with pytest.raises(TrustLookupError) as caught:
        followed.bundle.policy("330100")
    assert caught.value.code == "POLICY_UNKNOWN"
    manifest, tokens = snapshot(federation)
    fixed = feed.verify_manifest(manifest, federation.anchor)
    assert (fixed.count, len(tokens), fixed.floor) == (5, 6, 0)
    assert entry.digest not in followed.live_digests()


def test_snapshot_and_deltas_add_up_to_the_same_digest(federation: FederationSimulator) -> None:
    followed, joined = federation.replica(), FeedReplica(federation.anchor)
    joined.load_snapshot(*snapshot(federation), federation.now)
    for entry in (withdraw(federation), federation.publish_policy("440100", turn=2)):
        for replica in (followed, joined):
            replica.apply_entry(entry.token, federation.now)
    late = FeedReplica(federation.anchor)
    late.load_snapshot(*snapshot(federation, federation.log.sequence), federation.now)
    assert followed.live_digests() == joined.live_digests() == late.live_digests()
    assert followed.digest == joined.digest == late.digest
    fixed = feed.verify_manifest(snapshot(federation)[0], federation.anchor)
    assert fixed.entries == feed.entries_digest(late.live_digests())


def test_what_was_withdrawn_may_come_again(federation: FederationSimulator) -> None:
    withdraw(federation)
    federation.tick()
    federation.publish_policy("330100", turn=2)
    replica = federation.replica()
    assert replica.bundle.policy("330100")["turn"] == 2
    assert replica.listing().tombstones == ()


def test_the_newest_entry_is_listed_whatever_the_floor(federation: FederationSimulator) -> None:
    entry = withdraw(federation)
    manifest, tokens = snapshot(federation, entry.sequence)
    assert tokens[-1] == entry.token
    replica = FeedReplica(federation.anchor)
    replica.load_snapshot(manifest, tokens, federation.now)
    replica.apply_head(federation.head(), federation.now)
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    assert (again.sequence, again.floor) == (entry.sequence, entry.sequence)
    assert again.to_bytes() == replica.to_bytes()


def test_below_the_floor_something_held_may_be_gone_without_a_trace(
    federation: FederationSimulator,
) -> None:
    behind = federation.replica()
    withdraw(federation)
    federation.publish_policy("440100", turn=2)
    hub = federation.replica()
    hub.forget(federation.log.sequence)
    assert len(hub.listing(hub.floor).tokens) == 5
    behind.load_snapshot(*snapshot(federation, hub.floor, of=hub), federation.now)
    assert behind.live_digests() == hub.live_digests()


def test_above_the_floor_the_same_is_another_history(federation: FederationSimulator) -> None:
    behind = federation.replica()
    held = behind.sequence
    withdraw(federation)
    federation.publish_policy("440100", turn=2)
    hub = federation.replica()
    hub.forget(federation.log.sequence)
    # The tombstone is left out although the manifest's floor says it is still needed.
    forged = snapshot(federation, held, of=hub)
    refused(behind, lambda: behind.load_snapshot(*forged, federation.now), "FEED_FORK")


def test_a_tombstone_that_is_held_does_not_vanish_above_the_floor(
    federation: FederationSimulator,
) -> None:
    withdraw(federation)
    federation.publish_policy("440100", turn=2)
    behind = federation.replica()
    hub = federation.replica()
    hub.forget(federation.log.sequence)
    forged = snapshot(federation, 2, of=hub)
    refused(behind, lambda: behind.load_snapshot(*forged, federation.now), "FEED_FORK")


def test_what_was_withdrawn_does_not_come_back_with_a_snapshot(
    federation: FederationSimulator,
) -> None:
    before = federation.live()
    withdraw(federation)
    newest = federation.publish_policy("440100", turn=2)
    replica = federation.replica()
    live = [entry for entry in before if entry.subject != newest.subject] + [newest]
    manifest = federation.log.manifest(
        federation.feed_key, [entry.digest for entry in live], now=federation.now
    )
    tokens = [entry.token for entry in live]
    refused(replica, lambda: replica.load_snapshot(manifest, tokens, federation.now), "FEED_FORK")


def test_a_manifest_fixes_its_tombstones(federation: FederationSimulator) -> None:
    withdraw(federation)
    federation.publish_policy("440100", turn=2)
    manifest, tokens = snapshot(federation)
    fresh = FeedReplica(federation.anchor)
    buried = [token for token in tokens if looks_withdrawn(token)]
    less = [token for token in tokens if token not in buried]
    for wrong in (less, [*buried, *tokens]):
        refused(
            fresh,
            lambda wrong=wrong: fresh.load_snapshot(manifest, wrong, federation.now),  # type: ignore[misc]
            "FEED_MALFORMED",
        )


def test_a_floor_above_the_newest_entry_is_refused(federation: FederationSimulator) -> None:
    fresh = FeedReplica(federation.anchor)
    forged = snapshot(federation, federation.log.sequence + 1)
    refused(fresh, lambda: fresh.load_snapshot(*forged, federation.now), "FEED_MALFORMED")


def test_an_authority_does_not_go_before_what_it_signed(federation: FederationSimulator) -> None:
    refuses_next(federation, *withdrawal_change(FeedKind.AUTHORITY, HANGZHOU, "gone"))


def test_a_reader_drops_old_tombstones_when_there_are_too_many(
    federation: FederationSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.trust.replica.MAX_TOMBSTONES", 4)
    for number in range(6):
        federation.append(*withdrawal_change(FeedKind("x-test"), f"one {number}", ""))
    replica = federation.replica()
    assert 0 < replica.floor < replica.sequence
    assert len(replica.listing(replica.floor).tombstones) <= 4
    again = FeedReplica.from_bytes(federation.anchor, replica.to_bytes(), federation.now)
    assert again.live_digests() == replica.live_digests()


def test_a_file_of_the_first_version_is_read(federation: FederationSimulator) -> None:
    lines = federation.replica().to_bytes().split(b"\n", 2)[2]
    from gateway.trust.replica_file import _checksum

    old = b"hutong-replica 1 " + _checksum(lines) + b"\n" + lines
    replica = FeedReplica.from_bytes(federation.anchor, old, federation.now)
    assert (replica.sequence, replica.floor) == (6, 0)


@given(
    body=st.dictionaries(
        st.sampled_from(["withdrawn", "statement", "reason"]),
        st.none() | st.text(max_size=5) | st.dictionaries(st.just("reason"), st.text(max_size=5)),
        max_size=2,
    )
)
@settings(max_examples=25)
def test_what_looks_withdrawn_is_what_is_withdrawn(body: dict[str, Any]) -> None:
    token = jws.sign({"body": body, "seq": 1}, KEY, typ=feed.ENTRY_TYPE)
    assert looks_withdrawn(token) is is_withdrawal(body)
    assert is_withdrawal(withdrawal("why"))


KEY = FederationSimulator().feed_key


@pytest.mark.parametrize("token", ["", "a", "a.b", "a..c", "a.bnVsbA.c"])
def test_what_cannot_be_read_is_not_withdrawn(token: str) -> None:
    assert not looks_withdrawn(token)
