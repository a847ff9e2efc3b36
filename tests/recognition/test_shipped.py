"""What the shipped policies lead to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.attestation.errors import AttestationFault
from gateway.codes import Itinerary, Level, Outcome, Place
from gateway.recognition import (
    REFUSAL_CODES,
    Decision,
    Evidence,
    OutcomeEvidence,
    PolicyError,
    RefusedEvidence,
    Verdict,
    VerifiedEvidence,
    decide,
    load_policy,
    shipped_policy,
    shipped_regions,
)
from tests.recognition.samples import FRESH, NOW, attestation, code

REGIONS = ("110000", "310000", "320500", "330100", "440000", "440100", "820000")
CITIES = ("330100", "440100")
"""Recognise each other, in the same words."""
ORIGIN = {
    "110000": "130000",
    "310000": "330000",
    "320500": "310000",
    "330100": "440100",
    "440000": "420000",
    "440100": "330100",
    "820000": "440000",
}


def judge(region: str, evidence: Evidence) -> Decision:
    return decide(shipped_policy(region), evidence, now=NOW, ages=FRESH)


def carried(region: str, level: Level, **changes: Any) -> VerifiedEvidence:
    changes = {"issued_by": ORIGIN[region], **changes}
    return VerifiedEvidence(
        attestation(code(level, **changes), audience=f"urn:hutong:region:{region}")
    )


def test_seven_policies_are_shipped() -> None:
    assert shipped_regions() == REGIONS
    with pytest.raises(PolicyError):
        shipped_policy("110100")
    with pytest.raises(PolicyError):
        shipped_policy("../policies/330100")


@pytest.mark.parametrize("region", REGIONS)
def test_a_shipped_policy_survives_json_and_says_where_each_rule_comes_from(region: str) -> None:
    policy = shipped_policy(region)
    assert load_policy(json.loads(json.dumps(policy.to_document()))) == policy
    assert policy.region == region
    assert policy.in_force(NOW)
    assert all(rule.source or rule.choice for rule in policy.rules)


@pytest.mark.parametrize("region", CITIES)
@pytest.mark.parametrize(
    ("level", "changes", "verdict", "first_reason"),
    [
        (Level.GREEN, {}, Verdict.ADMIT, "GREEN_IS_FRESH"),
        (Level.GREEN, {"hours": 37}, Verdict.REFER, "ASSESSMENT_TOO_OLD"),
        (Level.GREEN, {"issued_by": "110000"}, Verdict.REFER, "ORIGIN_NOT_RECOGNISED"),
        (Level.YELLOW, {}, Verdict.OBSERVE_HOME, "YELLOW_IS_OBSERVED"),
        (Level.RED, {}, Verdict.OBSERVE_CENTRAL, "RED_IS_OBSERVED"),
        (Level.YELLOW, {"also": (code(),)}, Verdict.REFER, "COMPARE_RECORDS"),
        (Level.RED, {"also": (code(Level.YELLOW),)}, Verdict.REFER, "COMPARE_RECORDS"),
    ],
)
def test_levels(
    region: str, level: Level, changes: dict[str, Any], verdict: Verdict, first_reason: str
) -> None:
    decision = judge(region, carried(region, level, **changes))
    assert decision.verdict is verdict
    assert decision.reasons[0].code == first_reason


def test_observation_takes_seven_days_for_yellow_and_fourteen_for_red() -> None:
    for region in REGIONS:
        assert judge(region, carried(region, Level.YELLOW)).days == 7
        assert judge(region, carried(region, Level.RED)).days == 14


def test_the_two_colours_of_guangdong_are_read_neither_as_yellow_nor_as_red() -> None:
    decision = judge("330100", carried("330100", Level.RESTRICTED, state="红码"))
    assert decision.verdict is Verdict.REFER
    assert [reason.code for reason in decision.reasons] == [
        "GUANGDONG_RED_IS_NOT_GRADED",
        "LEVEL_RESTRICTED",
    ]
    for region in REGIONS:
        other = judge(region, carried(region, Level.RESTRICTED, issued_by="500000"))
        assert other.reasons[0].code == "RESTRICTED_IS_NOT_GRADED"


def test_green_of_hubei_enters_guangzhou_with_conditions_and_hangzhou_without() -> None:
    guangzhou = judge("440100", carried("440100", Level.GREEN, issued_by="420100"))
    assert guangzhou.verdict is Verdict.ADMIT_WITH_CONDITIONS
    assert len(guangzhou.conditions) == 2
    hangzhou = judge("330100", carried("330100", Level.GREEN, issued_by="420100"))
    assert hangzhou.verdict is Verdict.ADMIT


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_goes_to_a_person_with_words_of_its_rule(
    region: str, outcome: Outcome
) -> None:
    decision = judge(region, OutcomeEvidence(outcome, ORIGIN[region]))
    assert decision.verdict is Verdict.REFER
    assert decision.rule_id is not None
    assert [reason.code for reason in decision.reasons][1] == outcome
    expired = outcome in (
        Outcome.CODE_EXPIRED,
        Outcome.DECLARATION_EXPIRED,
        Outcome.HOLDER_MUST_UPDATE,
    )
    assert (decision.reasons[0].code == "REFRESH_AND_COME_BACK") is expired


@pytest.mark.parametrize("region", REGIONS)
def test_an_attestation_that_does_not_hold_is_refused_and_any_other_failure_referred(
    region: str,
) -> None:
    # Whether it was revoked is not known: the attestation may hold, so a person decides.
    own = {*AttestationFault, "ARMOUR_INVALID"} - {"STATUS_UNKNOWN", "STATUS_LIST_INVALID"}
    for refusal in sorted(REFUSAL_CODES | {"A_CODE_OF_TOMORROW"}):
        decision = judge(region, RefusedEvidence(refusal, None))
        assert decision.verdict is (Verdict.REFUSE if refusal in own else Verdict.REFER)
        assert refusal in [reason.code for reason in decision.reasons]


def with_card(*, starred: bool | None) -> Decision:
    card = None
    if starred is not None:
        card = Itinerary(14, NOW, (Place("310000", starred),))
    evidence = carried("320500", Level.GREEN)
    return decide(shipped_policy("320500"), evidence, now=NOW, ages=FRESH, itinerary=card)


def test_suzhou_wants_a_travel_card_beside_the_code() -> None:
    assert with_card(starred=None).reasons[0].code == "SHOW_THE_TRAVEL_CARD"
    assert with_card(starred=True).reasons[0].code == "PLACE_IS_STARRED"
    assert with_card(starred=False).verdict is Verdict.ADMIT
    assert with_card(starred=None).verdict is with_card(starred=True).verdict is Verdict.REFER


@pytest.mark.parametrize(
    ("region", "origin", "hours"),
    [("820000", "440000", 6), ("440000", "820000", 24)],
)
def test_a_carried_green_lives_as_long_as_the_destination_says(
    region: str, origin: str, hours: int
) -> None:
    fresh = judge(region, carried(region, Level.GREEN, issued_by=origin, hours=hours))
    old = judge(region, carried(region, Level.GREEN, issued_by=origin, hours=hours + 0.1))
    assert fresh.verdict is Verdict.ADMIT_WITH_CONDITIONS
    assert (old.verdict, old.reasons[0].code) == (Verdict.REFER, "ASSESSMENT_TOO_OLD")


def test_the_delta_recognises_green_and_nothing_else() -> None:
    for origin in ("310000", "320000", "330000", "340000"):
        assert judge("310000", carried("310000", Level.GREEN, issued_by=origin)).verdict is (
            Verdict.ADMIT
        )
        for level in (Level.YELLOW, Level.RED, Level.RESTRICTED):
            assert not judge("310000", carried("310000", level, issued_by=origin)).verdict.admits


def test_beijing_takes_its_neighbours_and_asks_others_for_a_test() -> None:
    near = judge("110000", carried("110000", Level.GREEN, issued_by="120000"))
    far = judge("110000", carried("110000", Level.GREEN, issued_by="330100"))
    assert (near.verdict, far.verdict) == (Verdict.ADMIT, Verdict.ADMIT_WITH_CONDITIONS)


@pytest.mark.parametrize("region", ["310000", "440000"])
def test_the_national_code_is_recognised(region: str) -> None:
    decision = judge(region, carried(region, Level.GREEN, issued_by="100000"))
    assert decision.verdict is Verdict.ADMIT
