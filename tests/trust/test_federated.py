"""Several feeds as one answer: who speaks for whom, and what a superior does not allow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.attestation.sealing import Profile, generate_sealing_key, public_sealing_jwk
from gateway.trust import (
    EnrolmentBody,
    FeedKind,
    FeedLog,
    FeedReplica,
    KeyUse,
    MemberKind,
    MemberState,
    authority_change,
    make_anchor,
    sealing_member_key,
    signing_member_key,
)
from gateway.trust.distrust import DistrustRule
from gateway.trust.entries import superior_body
from gateway.trust.errors import TrustLookupError
from gateway.trust.federated import FederatedBundle
from gateway.trust.hub_places import hub_places
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.trust import MemberKey, TrustBundle

NOW = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
NATION, ZHEJIANG, GUANGDONG, NINGBO = (
    f"urn:hutong:hub:{code}" for code in ("000000", "330000", "440000", "330200")
)
HANGZHOU, GUANGZHOU, SHENZHEN = (
    f"urn:hutong:region:{code}" for code in ("330100", "440100", "440300")
)

Change = tuple[FeedKind, str, dict[str, Any]]


@cache
def key(slot: str) -> SigningKey:
    return generate_signing_key()


@cache
def sealing_jwk(slot: str) -> Any:
    return public_sealing_jwk(generate_sealing_key(Profile.JWE))


def signing(slot: str, use: KeyUse) -> MemberKey:
    return signing_member_key(key(f"{slot}/{use}"), use, not_before=SINCE)


def region(urn: str, *, state: MemberState = MemberState.ACTIVE, slot: str = "") -> Change:
    slot = slot or urn
    uses = (KeyUse.STATE, KeyUse.ATTEST, KeyUse.AUTHENTICATE)
    seal = sealing_member_key(sealing_jwk(slot), not_before=SINCE)
    body = EnrolmentBody(
        urn=urn,
        kind=MemberKind.REGION,
        name_zh="",
        name_en="Synthetic region",
        prefixes=(urn[-6:].removesuffix("00"),),
        endpoint="adapter.invalid:7500",
        keys=(*(signing(slot, use) for use in uses), seal),
    )
    return authority_change(body.authority(state=state))


def hub(
    urn: str, *, feed_key: Callable[[MemberKey], MemberKey] = lambda held: held, **bounds: Any
) -> Change:
    uses = (KeyUse.STATE, KeyUse.TOKEN, KeyUse.AUTHENTICATE)
    code = urn[-6:]
    body = EnrolmentBody(
        urn=urn,
        kind=MemberKind.HUB,
        name_zh="",
        name_en="Synthetic hub",
        prefixes=(code.removesuffix("00").removesuffix("00"),),
        endpoint="hub.invalid:7443",
        keys=(*(signing(urn, use) for use in uses), feed_key(signing(urn, KeyUse.FEED))),
    )
    return authority_change(body.authority(**bounds))


def below(superior: str) -> Change:
    return (
        FeedKind.SUPERIOR,
        superior,
        superior_body(superior, [signing(superior, KeyUse.FEED)]),
    )


def distrust(urn: str) -> Change:
    rule = DistrustRule(urn, SINCE).to_body()
    body = {"rule": rule, "reason": "synthetic", "decided_at": to_seconds(NOW)}
    return FeedKind.DISTRUST, "d-1", body


def feed(urn: str, *changes: Change) -> TrustBundle:
    own = key(f"{urn}/{KeyUse.FEED}")
    log, replica = FeedLog(urn), FeedReplica(make_anchor(urn, feed_keys=[own]))
    for kind, subject, body in changes:
        entry, log = log.append(own, kind, subject, body, now=NOW)
        replica.apply_entry(entry.token, NOW)
    return replica.bundle


def from_guangdong(*nation: Change, zhejiang: tuple[Change, ...] = ()) -> FederatedBundle:
    """What a reader in Guangdong believes."""
    feeds = {
        NATION: feed(NATION, hub(GUANGDONG), *nation),
        ZHEJIANG: feed(ZHEJIANG, *zhejiang),
    }
    return FederatedBundle(GUANGDONG, feed(GUANGDONG, below(NATION), region(GUANGZHOU)), feeds)


def attest_key(bundle: TrustBundle, urn: str, slot: str = "") -> Any:
    return bundle.attestation_key(urn, key(f"{slot or urn}/{KeyUse.ATTEST}").key_id)


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(TrustLookupError) as refused:
        ask()
    return refused.value.code


def test_a_far_region_is_answered_for_by_its_own_hub() -> None:
    bundle = from_guangdong(hub(ZHEJIANG), zhejiang=(region(HANGZHOU),))
    assert attest_key(bundle, HANGZHOU).issuer == HANGZHOU
    assert bundle.authority_for("330106").urn == HANGZHOU
    assert bundle.sealing_key("330106", now=NOW)
    assert [item.urn for item in bundle.authorities()] == [HANGZHOU, GUANGZHOU]
    assert bundle.behind(HANGZHOU) == (GUANGDONG, NATION, ZHEJIANG)
    assert bundle.behind_region("440106") == (GUANGDONG,)


def test_a_hub_whose_feed_is_not_held_answers_nothing() -> None:
    own = feed(GUANGDONG, below(NATION), region(GUANGZHOU))
    bundle = FederatedBundle(GUANGDONG, own, {NATION: feed(NATION, hub(ZHEJIANG))})
    assert refusal(lambda: bundle.authority_for("330106")) == "HUB_UNKNOWN"
    assert refusal(lambda: attest_key(bundle, HANGZHOU)) == "KEY_UNKNOWN"
    assert bundle.behind_region("330106") == (GUANGDONG, NATION, ZHEJIANG)


def test_what_lies_outside_a_prefix_is_not_believed() -> None:
    bundle = from_guangdong(hub(ZHEJIANG), zhejiang=(region(HANGZHOU), region(SHENZHEN)))
    assert refusal(lambda: attest_key(bundle, SHENZHEN)) == "CONSTRAINT_EXCEEDED"
    assert refusal(lambda: bundle.authority(SHENZHEN)) == "CONSTRAINT_EXCEEDED"
    assert refusal(lambda: bundle.authority_for("440300")) == "UNKNOWN_REGION"


def test_the_own_hub_too_speaks_only_inside_its_prefixes() -> None:
    own = feed(GUANGDONG, below(NATION), region(HANGZHOU, slot="forged"))
    feeds = {
        NATION: feed(NATION, hub(GUANGDONG), hub(ZHEJIANG)),
        ZHEJIANG: feed(ZHEJIANG, region(HANGZHOU)),
    }
    bundle = FederatedBundle(GUANGDONG, own, feeds)
    assert attest_key(bundle, HANGZHOU).issuer == HANGZHOU
    assert refusal(lambda: attest_key(bundle, HANGZHOU, "forged")) == "KEY_UNKNOWN"


def test_a_life_is_bounded_by_every_superior() -> None:
    bundle = from_guangdong(
        hub(ZHEJIANG, max_attestation_seconds=600), zhejiang=(region(HANGZHOU),)
    )
    assert attest_key(bundle, HANGZHOU).max_lifetime_seconds == 600


def test_a_kind_that_a_superior_does_not_allow_is_not_believed() -> None:
    bundle = from_guangdong(
        hub(ZHEJIANG, kinds=frozenset({"scheme", "policy"})), zhejiang=(region(HANGZHOU),)
    )
    assert refusal(lambda: attest_key(bundle, HANGZHOU)) == "CONSTRAINT_EXCEEDED"
    assert bundle.authority(HANGZHOU).urn == HANGZHOU


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (MemberState.SUSPENDED, "AUTHORITY_SUSPENDED"),
        (MemberState.WITHDRAWN, "AUTHORITY_WITHDRAWN"),
    ],
)
def test_a_hub_that_is_cut_off_takes_everybody_below_with_it(state: MemberState, code: str) -> None:
    bundle = from_guangdong(hub(ZHEJIANG, state=state), zhejiang=(region(HANGZHOU),))
    assert refusal(lambda: attest_key(bundle, HANGZHOU)) == code
    assert refusal(lambda: bundle.authority_for("330106")) == code


def test_the_own_hub_is_not_cut_off_by_its_superior() -> None:
    feeds = {NATION: feed(NATION, hub(GUANGDONG, state=MemberState.SUSPENDED))}
    own = feed(GUANGDONG, below(NATION), region(GUANGZHOU))
    bundle = FederatedBundle(GUANGDONG, own, feeds)
    assert bundle.authority_for("440106").urn == GUANGZHOU


@pytest.mark.parametrize("change", [{"tainted_from": NOW}, {"revoked_at": NOW}], ids=str)
def test_a_feed_key_that_is_distrusted_verifies_no_feed(change: dict[str, Any]) -> None:
    nation = feed(NATION, hub(ZHEJIANG, feed_key=lambda held: replace(held, **change)))
    places = hub_places(GUANGDONG, feed(GUANGDONG, below(NATION)), {NATION: nation})
    assert places[ZHEJIANG].anchor is None
    assert places[ZHEJIANG].fault == "HUB_UNKNOWN"


@pytest.mark.parametrize(("path_length", "is_believed"), [(0, False), (1, True)])
def test_how_deep_hubs_stand_is_for_the_superior_to_say(
    path_length: int, *, is_believed: bool
) -> None:
    city = "urn:hutong:region:330200"
    feeds = {
        NATION: feed(NATION, hub(ZHEJIANG, path_length=path_length)),
        ZHEJIANG: feed(ZHEJIANG, hub(NINGBO)),
        NINGBO: feed(NINGBO, region(city)),
    }
    bundle = FederatedBundle(GUANGDONG, feed(GUANGDONG, below(NATION)), feeds)
    if is_believed:
        assert bundle.behind(city) == (GUANGDONG, NATION, ZHEJIANG, NINGBO)
        assert attest_key(bundle, city).issuer == city
    else:
        assert refusal(lambda: attest_key(bundle, city)) == "CONSTRAINT_EXCEEDED"


def test_a_distrust_of_the_own_hub_and_of_those_above_counts_for_everybody() -> None:
    zhejiang = (region(HANGZHOU),)
    assert attest_key(from_guangdong(hub(ZHEJIANG), zhejiang=zhejiang), HANGZHOU).distrusts == ()
    above = from_guangdong(hub(ZHEJIANG), distrust(HANGZHOU), zhejiang=zhejiang)
    assert len(attest_key(above, HANGZHOU).distrusts) == 1
    assert len(above.distrusts()) == 1
    # Zhejiang's word on a city of Guangdong counts for nobody.
    foreign = from_guangdong(hub(ZHEJIANG), zhejiang=(*zhejiang, distrust(GUANGZHOU)))
    assert attest_key(foreign, GUANGZHOU).distrusts == ()
    assert foreign.distrusts() == ()


def test_hubs_that_say_they_stand_above_each_other_end_nobody() -> None:
    feeds = {NATION: feed(NATION, below(GUANGDONG), hub(ZHEJIANG))}
    places = hub_places(GUANGDONG, feed(GUANGDONG, below(NATION)), feeds)
    assert set(places) == {NATION, ZHEJIANG}
