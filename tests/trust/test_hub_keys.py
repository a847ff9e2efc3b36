"""A hub's own keys: whoever has any older anchor walks to the newest, and nobody else leads."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.attestation.keys import generate_signing_key
from gateway.trust import parse_anchor
from gateway.trust.feed import FeedKind
from gateway.trust.feed_log import withdrawal_change
from gateway.trust.hub_keys import hub_keys_change
from gateway.trust.keys import KeyUse, MemberKey
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
    from collections.abc import Callable


@pytest.fixture
def hub() -> ChangingHub:
    return hub_with_a_region()


# --- through a rotation ---------------------------------------------------------------


def test_a_reader_that_follows_takes_the_next_key_over(hub: ChangingHub) -> None:
    replica = hub.replica()
    before = hub.feed_key
    replica.apply_entry(hub.rotate().token, hub.now)
    assert hub.feed_key is not before
    replica.apply_entry(hub.publish_policy("330100").token, hub.now)
    replica.apply_head(hub.head(), hub.now)
    assert replica.sequence == hub.log.sequence
    assert replica.anchor.times() == hub.anchor_now().times()


def test_a_reader_with_the_first_anchor_walks_through_several_rotations(hub: ChangingHub) -> None:
    held = hub.replica()
    for use in (KeyUse.FEED, KeyUse.TOKEN, KeyUse.FEED, KeyUse.FEED):
        hub.rotate(use)
        hub.publish_policy("330100")
    for reader in (FeedReplica(hub.anchor), held):
        reader.load_snapshot(*hub.snapshot(), hub.now)
        assert reader.anchor.number == 4
        assert reader.anchor.times() == hub.anchor_now().times()
        reader.apply_head(hub.head(), hub.now)


def test_two_rotations_in_one_batch_are_followed(hub: ChangingHub) -> None:
    replica = hub.replica()
    batch = [hub.say(hub.rotated(KeyUse.FEED)), hub.say(hub.rotated(KeyUse.TOKEN))]
    for entry in batch:
        replica.apply_entry(entry.token, hub.now)
    hub.tick(LEAD.total_seconds())
    replica.apply_head(hub.head(), hub.now)
    assert replica.anchor.number == 2


@pytest.mark.parametrize("rotations", [1, 2])
def test_an_anchor_that_is_handed_over_later_is_as_good(hub: ChangingHub, rotations: int) -> None:
    for _ in range(rotations):
        hub.rotate()
    late = parse_anchor(hub.anchor_now().to_bytes())
    assert late == hub.anchor_now()
    hub.rotate()
    hub.publish_policy("330100")
    by_snapshot, by_entry = FeedReplica(late), FeedReplica(late)
    by_snapshot.load_snapshot(*hub.snapshot(), hub.now)
    for entry in hub.entries:
        by_entry.apply_entry(entry.token, hub.now)
    for reader in (by_snapshot, by_entry):
        assert reader.anchor.times() == hub.anchor_now().times()
        assert reader.live_digests() == snapshot_reader(hub).live_digests()


def test_the_first_anchors_file_is_as_it_was(hub: ChangingHub) -> None:
    assert b"number" not in hub.anchor.to_bytes()
    assert b"not_before" not in hub.anchor.to_bytes()
    assert parse_anchor(hub.anchor.to_bytes()) == hub.anchor


def test_a_later_anchor_with_other_keys_does_not_fit(hub: ChangingHub) -> None:
    other = ChangingHub()
    other.rotate()
    mine = hub.anchor_now()
    foreign = dataclasses.replace(
        other.anchor_now(), feed_keys={**other.anchor_now().feed_keys, **mine.feed_keys}
    )
    hub.rotate()
    replica = FeedReplica(foreign)
    assert code_of(lambda: replica.load_snapshot(*hub.snapshot(), hub.now)) in (
        "FEED_FORK",
        "FEED_SIGNATURE",
    )


@pytest.mark.parametrize("anchored", ["first", "late"])
def test_a_restart_walks_again(hub: ChangingHub, anchored: str) -> None:
    replica = hub.replica()
    for entry in (hub.rotate(), hub.rotate(), hub.publish_policy("330100")):
        replica.apply_entry(entry.token, hub.now)
    replica.apply_head(hub.head(), hub.now)
    anchor = hub.anchor if anchored == "first" else hub.anchor_now()
    again = FeedReplica.from_bytes(anchor, replica.to_bytes(), hub.now)
    assert (again.sequence, again.as_of) == (replica.sequence, replica.as_of)
    assert again.anchor.times() == replica.anchor.times()
    again.apply_entry(hub.publish_policy("330100").token, hub.now)


def test_token_keys_come_from_the_feed_and_a_revoked_one_is_gone(hub: ChangingHub) -> None:
    replica = hub.replica()
    old = hub.keys[1]
    replica.apply_entry(hub.rotate(KeyUse.TOKEN).token, hub.now)
    assert set(replica.anchor.token_keys) == {old.key_id, hub.keys[-1].key_id}
    keys = [
        dataclasses.replace(key, revoked_at=hub.now, reason="copied")
        if key == hub.keys[-1]
        else key
        for key in hub.keys
    ]
    new = hub.made(KeyUse.TOKEN, begins=hub.now)
    replica.apply_entry(hub.say([*keys, new]).token, hub.now)
    assert set(replica.anchor.token_keys) == {old.key_id, new.key_id}


# --- a key outside of its time --------------------------------------------------------


def test_the_next_key_signs_nothing_before_its_time(hub: ChangingHub) -> None:
    replica = hub.replica()
    replica.apply_entry(hub.say(hub.rotated(KeyUse.FEED)).token, hub.now)
    early, _ = hub.log.append(
        hub.private[hub.keys[-1].key_id], FeedKind.NOTICE, f"{HUB}#x", {}, now=hub.now
    )
    refused(replica, lambda: replica.apply_entry(early.token, hub.now), "FEED_SIGNATURE")


def test_a_key_that_has_ended_signs_nothing_more(hub: ChangingHub) -> None:
    replica, old = hub.replica(), hub.feed_key
    replica.apply_entry(hub.rotate().token, hub.now)
    late, _ = hub.log.append(old, FeedKind.NOTICE, f"{HUB}#x", {}, now=hub.now)
    refused(replica, lambda: replica.apply_entry(late.token, hub.now), "FEED_SIGNATURE")
    head = hub.log.head(old, now=hub.now)
    refused(replica, lambda: replica.apply_head(head, hub.now), "FEED_SIGNATURE")


def test_a_thief_of_an_ended_key_cannot_date_back_behind_what_was_signed_since(
    hub: ChangingHub,
) -> None:
    replica, old = hub.replica(), hub.feed_key
    replica.apply_entry(hub.rotate().token, hub.now)
    replica.apply_entry(hub.publish_policy("330100").token, hub.now)
    log = dataclasses.replace(hub.log, issued_at=None)
    back, _ = log.append(
        old, FeedKind.NOTICE, f"{HUB}#x", {"topic": "x", "at": 0}, now=hub.now - LEAD
    )
    refused(replica, lambda: replica.apply_entry(back.token, hub.now), "FEED_MALFORMED")


def test_a_foreign_key_says_no_set(hub: ChangingHub) -> None:
    replica = hub.replica()
    kind, subject, body = hub_keys_change(HUB, 1, hub.rotated(KeyUse.FEED))
    forged, _ = hub.log.append(generate_signing_key(), kind, subject, body, now=hub.now)
    refused(replica, lambda: replica.apply_entry(forged.token, hub.now), "FEED_SIGNATURE")


def test_the_next_key_does_not_say_its_own_set(hub: ChangingHub) -> None:
    """Also where the list of a snapshot is what a reader has."""
    keys = hub.rotated(KeyUse.FEED, begins=hub.now)
    new = hub.private[keys[-1].key_id]
    kind, subject, body = hub_keys_change(HUB, 1, keys)
    forged, log = hub.log.append(new, kind, subject, body, now=hub.now)
    replica, fresh = hub.replica(), FeedReplica(hub.anchor)
    refused(replica, lambda: replica.apply_entry(forged.token, hub.now), "FEED_SIGNATURE")
    manifest = log.manifest(new, [*replica.live_digests(), forged.digest], now=hub.now)
    tokens = [*replica.live_tokens(), forged.token]
    assert code_of(lambda: fresh.load_snapshot(manifest, tokens, hub.now)) == "FEED_SIGNATURE"


# --- sets that do not hold ------------------------------------------------------------


def _without_the_old(hub: ChangingHub) -> list[MemberKey]:
    return hub.rotated(KeyUse.FEED)[1:]


def _in_the_past(hub: ChangingHub) -> list[MemberKey]:
    return hub.rotated(KeyUse.FEED, begins=hub.now - timedelta(seconds=1))


def _a_gap(hub: ChangingHub) -> list[MemberKey]:
    *kept, new = hub.rotated(KeyUse.FEED)
    return [*kept, dataclasses.replace(new, not_before=new.not_before + timedelta(seconds=1))]


def _no_key_for_ever(hub: ChangingHub) -> list[MemberKey]:
    *kept, new = hub.rotated(KeyUse.FEED)
    return [*kept, dataclasses.replace(new, not_after=new.not_before + LEAD)]


def _revoked_feed(hub: ChangingHub) -> list[MemberKey]:
    first, *rest = hub.rotated(KeyUse.FEED, begins=hub.now)
    return [dataclasses.replace(first, not_after=None, revoked_at=hub.now), *rest]


def _tainted(hub: ChangingHub) -> list[MemberKey]:
    *kept, last = hub.keys
    return [*kept, dataclasses.replace(last, tainted_from=hub.now)]


def _no_feed_key(hub: ChangingHub) -> list[MemberKey]:
    return hub.keys[1:]


def _another_beginning(hub: ChangingHub) -> list[MemberKey]:
    first, *rest = hub.rotated(KeyUse.FEED)
    return [dataclasses.replace(first, not_before=hub.now - LEAD), *rest]


def _another_use(hub: ChangingHub) -> list[MemberKey]:
    first, last = hub.keys
    return [first, dataclasses.replace(last, use=KeyUse.FEED)]


def _a_regions_use(hub: ChangingHub) -> list[MemberKey]:
    return [*hub.keys, hub.made(KeyUse.ATTEST, begins=hub.now)]


def _token_in_the_past(hub: ChangingHub) -> list[MemberKey]:
    return hub.rotated(KeyUse.TOKEN, begins=hub.now - timedelta(seconds=1))


@pytest.mark.parametrize(
    "keys",
    [
        _without_the_old,
        _in_the_past,
        _a_gap,
        _no_key_for_ever,
        _revoked_feed,
        _tainted,
        _no_feed_key,
        _another_beginning,
        _another_use,
        _a_regions_use,
        _token_in_the_past,
    ],
)
def test_a_set_that_does_not_hold_is_refused(
    hub: ChangingHub, keys: Callable[[ChangingHub], list[MemberKey]]
) -> None:
    replica, fresh = hub.replica(), FeedReplica(hub.anchor)
    first = hub.feed_key
    entry = hub.say(keys(hub))
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")
    hub.keys = []
    hub.feed_key = first
    assert code_of(lambda: fresh.load_snapshot(*hub.snapshot(), hub.now)) == "FEED_MALFORMED"


@pytest.mark.parametrize(
    ("number", "code"), [(0, "FEED_MALFORMED"), (1, "FEED_ROLLED_BACK"), (3, "FEED_GAP")]
)
def test_the_next_number_is_the_only_one(hub: ChangingHub, number: int, code: str) -> None:
    replica = hub.replica()
    replica.apply_entry(hub.rotate().token, hub.now)
    entry = hub.say(hub.rotated(KeyUse.FEED), number=number)
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), code)


def test_an_end_that_was_said_is_not_moved(hub: ChangingHub) -> None:
    replica = hub.replica()
    replica.apply_entry(hub.say(hub.rotated(KeyUse.FEED)).token, hub.now)
    first, *rest = hub.keys
    assert first.not_after is not None
    later = dataclasses.replace(first, not_after=first.not_after + LEAD)
    entry = hub.say([later, *rest])
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


def test_an_ended_key_does_not_come_back(hub: ChangingHub) -> None:
    replica = hub.replica()
    replica.apply_entry(hub.rotate().token, hub.now)
    hub.tick(1)
    back = [dataclasses.replace(hub.keys[0], not_after=None), *hub.keys[1:]]
    entry = hub.say(back)
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


def test_a_hub_says_no_keys_of_another(hub: ChangingHub) -> None:
    replica = hub.replica()
    _, _, body = hub_keys_change(HUB, 1, hub.rotated(KeyUse.FEED))
    entry = hub.append(FeedKind.HUB_KEYS, "urn:hutong:hub:330000#1", body)
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


def test_a_set_must_be_understood(hub: ChangingHub) -> None:
    """An older reader stops with FEED_UNSUPPORTED instead of losing the thread."""
    replica = hub.replica()
    kind, subject, body = hub_keys_change(HUB, 1, hub.rotated(KeyUse.FEED))
    assert body["critical"] is True
    entry = hub.append(kind, subject, {"keys": body["keys"]})
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


def test_a_set_is_not_withdrawn(hub: ChangingHub) -> None:
    replica = hub.replica()
    replica.apply_entry(hub.rotate().token, hub.now)
    entry = hub.append(*withdrawal_change(FeedKind.HUB_KEYS, f"{HUB}#1", "synthetic"))
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_MALFORMED")


def test_a_snapshot_without_a_set_that_is_held_is_refused(hub: ChangingHub) -> None:
    """Even below the floor, where a reader otherwise accepts that something is gone."""
    replica, old = hub.replica(), hub.feed_key
    without = ChangingHub.snapshot(hub)[1]
    replica.apply_entry(hub.say(hub.rotated(KeyUse.FEED)).token, hub.now)
    further = hub.publish_policy("330100")
    tokens = [*without[:-1], further.token]
    manifest = hub.log.manifest(
        old,
        [item.digest for item in hub.entries if item.token in tokens],
        now=hub.now,
        floor=further.sequence,
    )
    before = replica.to_bytes()
    assert code_of(lambda: replica.load_snapshot(manifest, tokens, hub.now)) in (
        "FEED_ROLLED_BACK",
        "FEED_FORK",
    )
    assert replica.to_bytes() == before


def test_a_set_in_two_versions_is_a_fork(hub: ChangingHub) -> None:
    kind, subject, body = hub_keys_change(HUB, 1, hub.rotated(KeyUse.FEED))
    other, _ = hub.log.append(hub.feed_key, kind, subject, body, now=hub.now)
    hub.rotate()
    manifest, tokens = hub.snapshot()
    fresh = FeedReplica(hub.anchor)
    tokens = [*tokens, other.token]
    assert code_of(lambda: fresh.load_snapshot(manifest, tokens, hub.now)) == "FEED_FORK"


# --- a neighbour's word ---------------------------------------------------------------


def test_keys_that_a_neighbour_names_are_not_added_to(hub: ChangingHub) -> None:
    bound = dataclasses.replace(hub.anchor, is_bound=True)
    replica = FeedReplica(bound)
    for entry in hub.entries:
        replica.apply_entry(entry.token, hub.now)
    replica.apply_entry(hub.rotate().token, hub.now)
    entry = hub.publish_policy("330100")
    refused(replica, lambda: replica.apply_entry(entry.token, hub.now), "FEED_SIGNATURE")
    assert set(replica.anchor.feed_keys) == set(hub.anchor.feed_keys)


def test_a_set_ends_the_keys_that_a_neighbour_names(hub: ChangingHub) -> None:
    old = hub.feed_key
    keys = hub.rotated(KeyUse.FEED)
    named = {keys[-1].key_id: keys[-1].verification_key(issuer=HUB)}
    replica = FeedReplica(
        dataclasses.replace(hub.anchor, feed_keys={**hub.anchor.feed_keys, **named}, is_bound=True)
    )
    for entry in (*hub.entries, hub.say(keys)):
        replica.apply_entry(entry.token, hub.now)
    hub.tick(LEAD.total_seconds())
    head = hub.log.head(old, now=hub.now)
    refused(replica, lambda: replica.apply_head(head, hub.now), "FEED_SIGNATURE")
    replica.apply_head(hub.head(), hub.now)


def test_with_the_next_key_named_first_a_neighbours_reader_goes_on(hub: ChangingHub) -> None:
    keys = hub.rotated(KeyUse.FEED)
    named = dataclasses.replace(
        hub.anchor,
        feed_keys={
            **hub.anchor.feed_keys,
            keys[-1].key_id: keys[-1].verification_key(issuer=HUB),
        },
        is_bound=True,
    )
    replica = FeedReplica(named)
    for entry in (*hub.entries, hub.say(keys)):
        replica.apply_entry(entry.token, hub.now)
    hub.tick(LEAD.total_seconds())
    replica.apply_entry(hub.publish_policy("330100").token, hub.now)
    fresh = FeedReplica(named)
    fresh.load_snapshot(*hub.snapshot(), hub.now)
    assert fresh.anchor.number == replica.anchor.number == 1


# --- a rehearsal ----------------------------------------------------------------------
