"""A region that its hub does not hear: what the feed says of it, on every road."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.trust import FeedKind, MemberState, silence_body, withdrawal_change
from gateway.trust.federated import FederatedBundle
from gateway.trust.pack import load_pack
from tests.hub.hub_world import GUANGZHOU as REGION_44
from tests.hub.hub_world import HANGZHOU as REGION_33
from tests.hub.hub_world import START as PACKED_AT
from tests.trust.replica_world import refuses_next
from tests.trust.simulator import START, FederationSimulator
from tests.trust.test_federated import (
    GUANGDONG,
    GUANGZHOU,
    HANGZHOU,
    NATION,
    NOW,
    ZHEJIANG,
    below,
    feed,
    hub,
    region,
)
from tests.trust.test_pack import ANCHOR, Feed, same

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_silence_holds_until_the_region_is_heard_again(federation: FederationSimulator) -> None:
    bundle = federation.replica().bundle
    assert (bundle.silence(HANGZHOU), bundle.silences()) == (None, ())
    federation.append(FeedKind.SILENCE, HANGZHOU, silence_body(START))
    bundle = federation.replica().bundle
    silence = bundle.silence(HANGZHOU)
    assert silence is not None
    assert (silence.urn, silence.since) == (HANGZHOU, START)
    assert bundle.silences() == (silence,)
    assert bundle.silence(GUANGZHOU) is None
    # It is no reason to disbelieve anything.
    assert bundle.authority_for("330100").is_active
    federation.append(*withdrawal_change(FeedKind.SILENCE, HANGZHOU, "heard again"))
    assert federation.replica().bundle.silence(HANGZHOU) is None


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (HANGZHOU, {}),
        (HANGZHOU, {"since": "yesterday"}),
        (HANGZHOU, {"since": -1}),
        (HANGZHOU, {"since": 1_583_035_200, "until": 1_583_035_201}),
        (NATION, silence_body(START)),
        ("urn:hutong:status:330100:a1", silence_body(START)),
    ],
)
def test_what_is_no_silence_is_refused(
    federation: FederationSimulator, subject: str, body: dict[str, Any]
) -> None:
    refuses_next(federation, FeedKind.SILENCE, subject, body)


# --- several hubs -----------------------------------------------------------------------


def test_the_hub_that_answers_for_a_region_says_whether_it_hears_it() -> None:
    since = NOW - timedelta(hours=3)
    silent = (FeedKind.SILENCE, HANGZHOU, silence_body(since))

    def bundle(own: Any, far: Any) -> FederatedBundle:
        return FederatedBundle(
            GUANGDONG,
            feed(GUANGDONG, below(NATION), region(GUANGZHOU), *own),
            {
                NATION: feed(NATION, hub(GUANGDONG), hub(ZHEJIANG)),
                ZHEJIANG: feed(ZHEJIANG, below(NATION), region(HANGZHOU), *far),
            },
        )

    told = bundle((), (silent,))
    found = told.silence(HANGZHOU)
    assert found is not None
    assert found.since == since
    assert told.silences() == (found,)
    assert told.silence(GUANGZHOU) is None
    # Another hub has no line to the region, and nothing to say of it.
    untold = bundle((silent,), ())
    assert (untold.silence(HANGZHOU), untold.silences()) == (None, ())
    assert untold.silence("urn:hutong:region:520100") is None


# --- packs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        lambda packed: packed.put(*withdrawal_change(FeedKind.SILENCE, REGION_33, "heard again")),
        lambda packed: packed.region(REGION_33, state=MemberState.SUSPENDED),
    ],
    ids=["heard again", "suspended"],
)
def test_a_pack_carries_a_silence_and_its_end(end: Callable[[Feed], object]) -> None:
    packed = Feed()
    packed.region(REGION_33)
    packed.region(REGION_44)
    for urn in (REGION_33, REGION_44):
        packed.put(FeedKind.SILENCE, urn, silence_body(PACKED_AT))
    held = load_pack(ANCHOR, packed.pack("33"), PACKED_AT)
    # Of the divisions asked for, and of no others.
    assert [silence.urn for silence in held.bundle.silences()] == [REGION_33]
    before = packed.log.sequence
    end(packed)
    held = load_pack(ANCHOR, packed.pack("33", after=before), PACKED_AT, held)
    assert same(held, packed, "33")
    assert bool(held.bundle.silences()) == bool(
        packed.live.extras.get((FeedKind.SILENCE, REGION_33))
    )
