"""One attestation at two places is noticed, within bounds, and forgotten with its span."""

from __future__ import annotations

import pytest

from gateway.hub.sightings import MAX_SPAN_SECONDS, TAG_BYTES, Sightings
from gateway.wire.errors import RpcFailure

NOW = 1_586_332_800.0
END = NOW + 600
TAG, OTHER = b"t" * TAG_BYTES, b"o" * TAG_BYTES
NORTH, SOUTH = "urn:hutong:checkpoint:440100:north", "urn:hutong:checkpoint:440100:south"


def test_a_tag_at_two_places_is_noticed_whoever_comes_first() -> None:
    seen = Sightings()
    assert seen.report(NORTH, TAG, NOW, END, NOW) is None
    assert seen.report(SOUTH, TAG, NOW + 90, END, NOW + 90) == 90
    # The first comes back later, from an outage: the nearest of the others counts.
    assert seen.report(NORTH, TAG, NOW + 60, END, NOW + 100) == 30
    assert seen.report(NORTH, OTHER, NOW, END, NOW) is None
    assert (seen.reported, seen.elsewhere) == (4, 2)


def test_the_same_place_again_is_not_elsewhere() -> None:
    seen = Sightings()
    assert seen.report(NORTH, TAG, NOW, END, NOW) is None
    assert seen.report(NORTH, TAG, NOW + 5, END, NOW + 5) is None


def test_a_tag_is_forgotten_when_its_span_ends() -> None:
    seen = Sightings()
    seen.report(NORTH, TAG, NOW, END, NOW)
    assert seen.report(SOUTH, OTHER, END, END + 600, END) is None
    assert len(seen) == 1
    assert seen.report(SOUTH, TAG, END, END + 600, END) is None


@pytest.mark.parametrize(
    ("tag", "seen_at", "ends"),
    [
        (b"short", NOW, END),
        (TAG, NOW + 61, END),
        (TAG, NOW, NOW),
        (TAG, NOW, NOW + MAX_SPAN_SECONDS + 61),
    ],
    ids=["length", "future", "over", "too long"],
)
def test_a_bad_item_is_not_kept(tag: bytes, seen_at: float, ends: float) -> None:
    seen = Sightings()
    assert seen.report(NORTH, tag, seen_at, ends, NOW) is None
    assert (len(seen), seen.reported) == (0, 0)


def test_full_memory_makes_room_by_what_ends_first() -> None:
    seen = Sightings(max_tags=2)
    for number in range(3):
        seen.report(NORTH, bytes([number]) * TAG_BYTES, NOW, END + number, NOW)
    assert (len(seen), seen.displaced) == (2, 1)
    assert seen.report(SOUTH, bytes([2]) * TAG_BYTES, NOW, END + 2, NOW) == 0
    assert seen.report(SOUTH, bytes([0]) * TAG_BYTES, NOW, END, NOW) is None


def test_one_tag_remembers_a_few_places_and_still_answers() -> None:
    seen = Sightings()
    for number in range(50):
        seen.report(f"urn:{number}", TAG, NOW, END, NOW)
    assert seen.report("urn:new", TAG, NOW + 3, END, NOW + 3) == 3


def test_a_caller_that_reports_too_much_waits_and_others_do_not() -> None:
    seen = Sightings(per_minute=10)
    seen.admit(NORTH, 1024, NOW)  # one batch of after an outage always passes
    with pytest.raises(RpcFailure) as caught:
        seen.admit(NORTH, 1, NOW + 59)
    assert caught.value.code == "OVERLOADED"
    assert caught.value.retry_after_seconds
    assert seen.refused == 1
    seen.admit(SOUTH, 10, NOW)
    seen.admit(NORTH, 1, NOW + 60)
