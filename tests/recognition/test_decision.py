from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.codes import Basis, Level, Outcome, Release
from gateway.errors import InternalError
from gateway.recognition import (
    Ages,
    Decision,
    Evidence,
    OutcomeEvidence,
    Policy,
    RefusedEvidence,
    Verdict,
    VerifiedEvidence,
    decide,
)
from tests.recognition.samples import (
    ADMIT_GREEN,
    FRESH,
    NOW,
    attestation,
    code,
    policy,
    verified,
)

HANGZHOU = "330100"


def judge(own: Policy, evidence: Evidence, ages: Ages = FRESH) -> Decision:
    return decide(own, evidence, now=NOW, ages=ages)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_fresh_green_is_admitted_with_its_reason_and_ages() -> None:
    decision = judge(policy(ADMIT_GREEN), verified())
    assert decision.verdict is Verdict.ADMIT
    assert decision.verdict.admits
    assert codes(decision) == ["LEVEL_GREEN"]
    assert decision.rule_id == "green"
    assert decision.policy_id == "440100@2020-04"
    assert decision.ages == Ages(60, 60, 3 * 3600, 0)
    assert decision.warnings == ()


def test_the_first_rule_that_matches_decides() -> None:
    own = policy(
        {"id": "not-these", "when": {"origin": ["3301"], "level": ["GREEN"]}, "verdict": "REFUSE"},
        ADMIT_GREEN,
    )
    assert judge(own, verified()).rule_id == "not-these"
    assert judge(own, verified(issued_by="330200")).rule_id == "green"


def test_where_no_rule_matches_a_person_decides() -> None:
    for evidence in (
        verified(Level.RED),
        OutcomeEvidence(Outcome.NOT_FOUND, HANGZHOU),
        RefusedEvidence("SIGNATURE_INVALID", HANGZHOU),
    ):
        decision = judge(policy(ADMIT_GREEN), evidence)
        assert decision.verdict is Verdict.REFER
        assert decision.rule_id is None
        assert codes(decision)[-1] == "NO_RULE"
        assert len(decision.reasons) == 2


def test_days_conditions_and_words_come_from_the_rule() -> None:
    own = policy(
        {
            "id": "yellow",
            "when": {"level": ["YELLOW"]},
            "verdict": "OBSERVE_HOME",
            "days": 7,
            "reason": {"code": "OWN_WORDS", "zh": "自定", "en": "own"},
        },
        {
            "id": "green",
            "when": {"level": ["GREEN"], "max_age_hours": 24},
            "verdict": "ADMIT_WITH_CONDITIONS",
            "conditions": [{"zh": "戴口罩", "en": "wear a mask"}],
        },
    )
    yellow = judge(own, verified(Level.YELLOW))
    assert (yellow.verdict, yellow.days) == (Verdict.OBSERVE_HOME, 7)
    assert codes(yellow) == ["OWN_WORDS", "LEVEL_YELLOW"]
    green = judge(own, verified())
    assert green.verdict is Verdict.ADMIT_WITH_CONDITIONS
    assert [condition.en for condition in green.conditions] == ["wear a mask"]


@pytest.mark.parametrize(("hours", "admitted"), [(0, True), (24, True), (24.01, False)])
def test_freshness_is_inclusive(hours: float, admitted: bool) -> None:
    assert judge(policy(ADMIT_GREEN), verified(hours=hours)).verdict.admits is admitted


def test_an_assessment_from_the_future_has_no_age() -> None:
    assert judge(policy(ADMIT_GREEN), verified(hours=-0.05)).verdict.admits
    ahead = verified(hours=-0.1, source_at=NOW)
    assert not judge(policy(ADMIT_GREEN), ahead).verdict.admits


def test_a_record_not_updated_for_too_long_is_not_admitted() -> None:
    old = verified(source_at=NOW - timedelta(hours=37))
    decision = judge(policy(ADMIT_GREEN), old)
    assert decision.verdict is Verdict.REFER
    assert codes(decision)[0] == "SOURCE_TOO_OLD"
    assert decision.ages.source_seconds == 37 * 3600


def test_the_older_of_two_source_ages_counts() -> None:
    decision = judge(policy(ADMIT_GREEN), verified(), Ages(60, 60, 40 * 3600))
    assert decision.verdict is Verdict.REFER
    assert decision.ages.source_seconds == 40 * 3600


@pytest.mark.parametrize(
    ("ages", "reason"),
    [
        (Ages(24 * 3600 + 1, 60), "TRUST_TOO_OLD"),
        (Ages(None, 60), "TRUST_AGE_UNKNOWN"),
        (Ages(-301, 60), "TRUST_AGE_UNKNOWN"),
        (Ages(60, 72 * 3600 + 1), "POLICY_TOO_OLD"),
        (Ages(60, None), "POLICY_AGE_UNKNOWN"),
    ],
)
@pytest.mark.parametrize(
    "evidence",
    [
        verified(),
        verified(Level.RED),
        OutcomeEvidence(Outcome.NOT_FOUND, HANGZHOU),
        RefusedEvidence("SIGNATURE_INVALID", HANGZHOU),
    ],
)
def test_trust_or_policy_too_old_refers_whatever_the_rules_say(
    ages: Ages, reason: str, evidence: Evidence
) -> None:
    own = policy(
        ADMIT_GREEN,
        {"id": "red", "when": {"level": ["RED"]}, "verdict": "OBSERVE_CENTRAL", "days": 14},
        {"id": "rest", "when": {}, "verdict": "REFUSE"},
    )
    decision = judge(own, evidence, ages)
    assert decision.verdict is Verdict.REFER
    assert (decision.days, decision.conditions) == (None, ())
    assert codes(decision)[0] == reason
    assert len(decision.reasons) > 1


def test_ages_at_their_limit_are_young_enough() -> None:
    assert judge(policy(ADMIT_GREEN), verified(), Ages(24 * 3600, 72 * 3600)).verdict.admits
    assert judge(policy(ADMIT_GREEN), verified(), Ages(-300, 0)).verdict.admits


def test_a_policy_not_in_force_refers() -> None:
    for changes in ({"valid_from": "2027-01-01"}, {"valid_until": "2026-05-01"}):
        decision = judge(policy(ADMIT_GREEN, **changes), verified())
        assert decision.verdict is Verdict.REFER
        assert codes(decision)[0] == "POLICY_NOT_IN_FORCE"


def test_an_attestation_for_another_audience_is_refused_evidence() -> None:
    own = policy(ADMIT_GREEN, {"id": "no", "when": {"refusal": ["ANY"]}, "verdict": "REFUSE"})
    for audience, admitted in (
        ("urn:hutong:region:440100", True),
        ("urn:hutong:region:44", True),
        ("urn:hutong:region:4401", True),
        ("urn:hutong:region:440000", True),
        ("urn:hutong:region:440106", False),
        ("urn:hutong:region:330100", False),
        ("urn:hutong:region:", False),
        ("urn:hutong:hub:440100", False),
    ):
        evidence = VerifiedEvidence(attestation(code(), audience=audience))
        decision = judge(own, evidence)
        assert decision.verdict.admits is admitted
        if not admitted:
            assert codes(decision) == ["AUDIENCE_MISMATCH"]


def test_an_attestation_past_its_end_is_refused_evidence() -> None:
    own = policy(ADMIT_GREEN, {"id": "no", "when": {"refusal": ["ANY"]}, "verdict": "REFUSE"})
    for seconds, verdict in ((119, Verdict.ADMIT), (120, Verdict.REFUSE)):
        ended = attestation(
            code(),
            issued_at=NOW - timedelta(hours=1),
            not_before=NOW - timedelta(hours=1),
            expires_at=NOW - timedelta(seconds=seconds),
        )
        assert judge(own, VerifiedEvidence(ended)).verdict is verdict


def test_a_green_past_its_own_end_is_the_outcome_and_not_green() -> None:
    own = policy(
        ADMIT_GREEN,
        {
            "id": "expired",
            "when": {"outcome": ["CODE_EXPIRED", "DECLARATION_EXPIRED"]},
            "verdict": "REFER",
        },
    )
    assert judge(own, verified(valid_until=NOW + timedelta(seconds=1))).verdict.admits
    ended = judge(own, verified(valid_until=NOW))
    assert (ended.rule_id, codes(ended)) == ("expired", ["CODE_EXPIRED"])
    undeclared = judge(own, verified(declaration_valid_until=NOW))
    assert codes(undeclared) == ["DECLARATION_EXPIRED"]


def test_the_end_of_a_red_code_does_not_loosen_it() -> None:
    own = policy(
        {"id": "red", "when": {"level": ["RED"]}, "verdict": "OBSERVE_CENTRAL", "days": 14}
    )
    decision = judge(own, verified(Level.RED, valid_until=NOW))
    assert decision.verdict is Verdict.OBSERVE_CENTRAL
    assert codes(decision) == ["LEVEL_RED", "CODE_EXPIRED"]


def test_a_yellow_past_its_end_is_not_admitted_even_where_yellow_is() -> None:
    own = policy(
        {
            "id": "yellow",
            "when": {"level": ["YELLOW"], "max_age_hours": 24},
            "verdict": "ADMIT_WITH_CONDITIONS",
            "conditions": [{"zh": "测温", "en": "temperature"}],
        }
    )
    assert judge(own, verified(Level.YELLOW)).verdict.admits
    assert judge(own, verified(Level.YELLOW, valid_until=NOW)).verdict is Verdict.REFER
    assert judge(own, verified(Level.YELLOW, declaration_valid_until=NOW)).verdict is Verdict.REFER


def test_records_that_disagree_are_never_admitted_and_say_so() -> None:
    own = policy(
        {
            "id": "yellow",
            "when": {"level": ["YELLOW"], "max_age_hours": 24},
            "verdict": "ADMIT_WITH_CONDITIONS",
            "conditions": [{"zh": "测温", "en": "temperature"}],
        },
        {"id": "differ", "when": {"disagreement": True}, "verdict": "REFER"},
    )
    both = verified(Level.YELLOW, also=(code(issued_by="330200"),))
    decision = judge(own, both)
    assert (decision.verdict, decision.rule_id) == (Verdict.REFER, "differ")
    assert codes(decision) == ["RECORDS_DISAGREE", "LEVEL_YELLOW"]
    agreeing = verified(Level.YELLOW, also=(code(Level.YELLOW, issued_by="330200"),))
    assert judge(own, agreeing).verdict.admits


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        ({"origin": ["33"]}, {"issued_by": "440100"}),
        ({"origin": ["330106", "3301"]}, {"issued_by": "330200"}),
        ({"scheme": ["hz-jkm"]}, {"scheme": "gz-skm@v2"}),
        ({"scheme": ["hz-jkm@2020-02"]}, {"scheme": "hz-jkm@2020-03"}),
        ({"state": ["绿码"]}, {"state": "红码"}),
        ({"basis": ["CONTACT", "SPACE"]}, {"basis": frozenset({Basis.TIME})}),
        ({"area": ["42"]}, {"area": "330100"}),
        ({"area": ["42"]}, {"area": None}),
        ({"max_age_hours": 4}, {"assessed_at": NOW - timedelta(hours=5)}),
        ({"level": ["YELLOW"]}, {"level": Level.RED}),
    ],
)
def test_each_matcher_tells_apart(when: dict[str, Any], changes: dict[str, Any]) -> None:
    own = policy({"id": "rule", "when": when, "verdict": "REFUSE"})
    fitting = verified(Level.YELLOW, area="420100", basis=frozenset({Basis.SPACE, Basis.TIME}))
    assert judge(own, fitting).rule_id == "rule"
    report = replace(fitting.attestation.code, **changes)
    other = VerifiedEvidence(attestation(report))
    assert judge(own, other).rule_id is None


def test_outcomes_and_refusals_match_by_name_and_origin() -> None:
    own = policy(
        {
            "id": "busy",
            "when": {"outcome": ["SOURCE_BUSY"], "origin": ["33"]},
            "verdict": "REFER",
        },
        {"id": "forged", "when": {"refusal": ["SIGNATURE_INVALID"]}, "verdict": "REFUSE"},
        {"id": "other", "when": {"refusal": ["ANY"]}, "verdict": "REFER"},
    )
    assert judge(own, OutcomeEvidence(Outcome.SOURCE_BUSY, HANGZHOU)).rule_id == "busy"
    assert judge(own, OutcomeEvidence(Outcome.SOURCE_BUSY, "440100")).rule_id is None
    assert judge(own, OutcomeEvidence(Outcome.SOURCE_BUSY, None)).rule_id is None
    assert judge(own, OutcomeEvidence(Outcome.NOT_FOUND, HANGZHOU)).rule_id is None
    assert judge(own, RefusedEvidence("SIGNATURE_INVALID", None)).rule_id == "forged"
    assert judge(own, RefusedEvidence("KEY_UNKNOWN", None)).rule_id == "other"
    assert judge(own, RefusedEvidence("A_CODE_OF_TOMORROW", None)).rule_id == "other"
    # A name that is both an outcome and a refusal is not confused.
    assert judge(own, RefusedEvidence("NOT_FOUND", None)).rule_id == "other"


def test_a_rule_about_anything_takes_the_rest() -> None:
    own = policy(ADMIT_GREEN, {"id": "rest", "when": {}, "verdict": "REFUSE"})
    for evidence in (
        verified(Level.RED),
        verified(hours=30),
        OutcomeEvidence(Outcome.NOT_FOUND, None),
        RefusedEvidence("WHATEVER", None),
    ):
        assert judge(own, evidence).verdict is Verdict.REFUSE


def test_an_unknown_refusal_keeps_its_code_where_it_has_the_form_of_one() -> None:
    own = policy(ADMIT_GREEN)
    assert codes(judge(own, RefusedEvidence("NEW_CODE", None)))[0] == "NEW_CODE"
    assert codes(judge(own, RefusedEvidence("330106199001010018", None)))[0] == "REFUSED"


def test_a_decision_is_a_json_value() -> None:
    decision = judge(policy(ADMIT_GREEN), verified())
    value = json.loads(json.dumps(decision.to_json(), ensure_ascii=False))
    assert value == {
        "verdict": "ADMIT",
        "days": None,
        "conditions": [],
        "reasons": [
            {
                "code": "LEVEL_GREEN",
                "zh": "绿码，出发地未发现异常。",
                "en": "Green: the origin region knows of nothing.",
            }
        ],
        "warnings": [],
        "policy": "440100@2020-04",
        "rule": "green",
        "ages": {
            "trust_seconds": 60,
            "policy_seconds": 60,
            "source_seconds": 10800,
            "status_seconds": 0,
        },
    }


def test_no_repr_shows_what_was_decided_or_answered_about_a_person() -> None:
    evidence = verified(Level.RED, state="红码", release=Release(3, 14))
    decision = judge(policy(ADMIT_GREEN), evidence)
    outcome = OutcomeEvidence(Outcome.NOT_FOUND, HANGZHOU)
    text = repr(evidence) + repr(decision) + repr(outcome)
    for secret in ("RED", "红码", "REFER", "NOT_FOUND"):
        assert secret not in text


def test_a_moment_without_a_zone_is_our_own_fault() -> None:
    with pytest.raises(InternalError):
        decide(policy(ADMIT_GREEN), verified(), now=NOW.replace(tzinfo=None), ages=FRESH)
