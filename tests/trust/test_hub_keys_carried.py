"""Sets of a hub's keys in rehearsals and packs, and every reader of them at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation.keys import generate_signing_key
from gateway.trust import parse_anchor
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.keys import KeyUse, signing_member_key
from gateway.trust.pack import load_pack, make_pack, read_manifest
from gateway.trust.rehearsals import hub_rehearsal_body
from gateway.trust.replica import FeedReplica
from tests.trust.hub_keys_world import (
    LEAD,
    ChangingHub,
    code_of,
    hub_with_a_region,
    snapshot_reader,
)
from tests.trust.replica_world import refused
from tests.trust.simulator import HUB

if TYPE_CHECKING:
    from gateway.trust.feed import FeedEntry


@pytest.fixture
def hub() -> ChangingHub:
    return hub_with_a_region()


def test_a_key_to_come_is_rehearsed_without_a_statement(hub: ChangingHub) -> None:
    replica = hub.replica()
    private = generate_signing_key()
    key = signing_member_key(private, KeyUse.FEED, not_before=hub.now + LEAD)
    body = hub_rehearsal_body(key, private, hub=HUB, now=hub.now)
    replica.apply_entry(hub.append(FeedKind.HUB_REHEARSAL, key.key_id, body).token, hub.now)
    (rehearsal,) = replica.bundle.rehearsals()
    assert (rehearsal.issuer, rehearsal.rehearsal_id) == (HUB, key.key_id)
    rehearsal.check()
    hub.suspend("330100")
    for entry in hub.entries[-1:]:
        replica.apply_entry(entry.token, hub.now)
    gone = hub.append(*withdrawal_change(FeedKind.HUB_REHEARSAL, key.key_id, "over"))
    replica.apply_entry(gone.token, hub.now)
    assert not replica.bundle.rehearsals()


@pytest.mark.parametrize("change", ["subject", "use", "hub", "more"])
def test_a_rehearsal_of_a_hub_that_does_not_hold_is_refused(hub: ChangingHub, change: str) -> None:
    replica = hub.replica()
    private = generate_signing_key()
    use = KeyUse.STATE if change == "use" else KeyUse.TOKEN
    key = signing_member_key(private, use, not_before=hub.now + LEAD)
    body = hub_rehearsal_body(key, private, hub="nobody" if change == "hub" else HUB, now=hub.now)
    subject = "x" * 43 if change == "subject" else key.key_id
    entry = hub.append(
        FeedKind.HUB_REHEARSAL, subject, body | ({"x": 1} if change == "more" else {})
    )
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


# --- packs ----------------------------------------------------------------------------


def pack_of(hub: ChangingHub, *, after: int = 0, later: list[FeedEntry] | None = None) -> bytes:
    return make_pack(
        hub.feed_key,
        snapshot_reader(hub).live,
        hub=HUB,
        sequence=hub.log.sequence,
        digest=hub.log.digest,
        now=hub.now,
        prefixes=("3301",),
        after=after,
        later=[entry.token for entry in later or ()],
    )


def test_a_pack_carries_the_chain_of_keys(hub: ChangingHub) -> None:
    first = load_pack(hub.anchor, pack_of(hub), hub.now)
    after = hub.log.sequence
    hub.rotate()
    hub.rotate()
    later = [*hub.entries[after:], hub.publish_policy("330100")]
    whole = load_pack(hub.anchor, pack_of(hub), hub.now)
    delta = pack_of(hub, after=after, later=later)
    assert read_manifest(hub.anchor, delta).sequence == hub.log.sequence
    assert read_manifest(hub.anchor_now(), delta).sequence == hub.log.sequence
    both = load_pack(hub.anchor, delta, hub.now, first)
    assert [e.digest for e in both.live_entries()] == [e.digest for e in whole.live_entries()]
    assert len(both.live_set.hub_keys()) == 2
    # A third follows on top of that; older keys do not.
    hub.rotate()
    load_pack(hub.anchor, pack_of(hub), hub.now, both)


def test_a_pack_by_a_key_that_has_ended_is_refused(hub: ChangingHub) -> None:
    old = hub.feed_key
    hub.rotate()
    live = snapshot_reader(hub).live
    data = make_pack(
        old, live, hub=HUB, sequence=hub.log.sequence, digest=hub.log.digest, now=hub.now
    )
    assert code_of(lambda: load_pack(hub.anchor, data, hub.now)) == "FEED_SIGNATURE"


# --- whatever is rotated, and whoever was away ----------------------------------------

_steps = st.lists(
    st.sampled_from(["feed", "token", "policy", "both", "away"]), min_size=1, max_size=8
)


@given(steps=_steps, anchored=st.integers(min_value=0, max_value=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_reader_from_every_anchor_comes_to_the_same_keys(
    steps: list[str], anchored: int
) -> None:
    hub = ChangingHub()
    hub.add_region("330100")
    hub.tick(1)
    anchors = [hub.anchor]
    follower, absent = hub.replica(), hub.replica()
    for step in steps:
        seen = len(hub.entries)
        if step in ("feed", "token"):
            hub.rotate(KeyUse(step))
        elif step == "both":
            hub.say(hub.rotated(KeyUse.FEED))
            hub.rotate(KeyUse.TOKEN)
        elif step == "policy":
            hub.publish_policy("330100", turn=seen)
        else:
            absent.load_snapshot(*hub.snapshot(), hub.now)
        anchors.append(hub.anchor_now())
        hub.tick(1)
        for entry in hub.entries[seen:]:
            follower.apply_entry(entry.token, hub.now)
    absent.load_snapshot(*hub.snapshot(), hub.now)
    late = FeedReplica(parse_anchor(anchors[anchored % len(anchors)].to_bytes()))
    late.load_snapshot(*hub.snapshot(), hub.now)
    again = FeedReplica.from_bytes(hub.anchor, follower.to_bytes(), hub.now)
    said = {key.key_id for key in hub.keys if key.use is KeyUse.TOKEN}
    for reader in (follower, absent, late, again):
        assert reader.anchor.times() == hub.anchor_now().times()
        assert set(reader.anchor.token_keys) == said
        assert reader.live_digests() == follower.live_digests()
        reader.apply_head(hub.head(), hub.now)
