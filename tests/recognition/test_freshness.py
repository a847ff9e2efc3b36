"""Steps by age, and one attestation at two places: what a policy makes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.codes import Level
from gateway.recognition import (
    Ages,
    Decision,
    Policy,
    PolicyError,
    RefusedEvidence,
    Verdict,
    VerifiedEvidence,
    decide,
    load_policy,
    refusal_reason,
    shipped_policy,
    shipped_regions,
)
from tests.recognition.samples import (
    ADMIT_GREEN,
    NOW,
    attestation,
    code,
    document,
    policy,
    verified,
)

HOUR = 3600
STEPS = {"warn_hours": 2, "refer_hours": 12, "refuse_hours": 48}
ALL = {"trust": STEPS, "policy": STEPS, "status": STEPS}
FRESH = {"trust_seconds": 60, "policy_seconds": 60, "status_seconds": 60}


def judged(with_policy: Policy, *, elsewhere: int | None = None, **ages: int | None) -> Decision:
    return decide(
        with_policy,
        verified(),
        now=NOW,
        ages=Ages(**{**FRESH, **ages}),
        elsewhere_seconds=elsewhere,
    )


def codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


def warned(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.warnings]


@pytest.mark.parametrize("subject", ["trust", "policy", "status"])
def test_each_age_warns_then_refers_then_refuses_and_each_limit_is_inclusive(subject: str) -> None:
    own = policy(ADMIT_GREEN, freshness=ALL)
    name, upper = f"{subject}_seconds", subject.upper()
    for seconds, verdict, warning, reason in (
        (2 * HOUR, Verdict.ADMIT, [], None),
        (2 * HOUR + 1, Verdict.ADMIT, [f"{upper}_AGEING"], None),
        (12 * HOUR, Verdict.ADMIT, [f"{upper}_AGEING"], None),
        (12 * HOUR + 1, Verdict.REFER, [], f"{upper}_TOO_OLD"),
        (48 * HOUR, Verdict.REFER, [], f"{upper}_TOO_OLD"),
        (48 * HOUR + 1, Verdict.REFUSE, [], f"{upper}_BEYOND_USE"),
    ):
        decision = judged(own, **{name: seconds})
        assert decision.verdict is verdict
        assert warned(decision) == warning
        assert reason is None or reason in codes(decision)


def test_without_the_section_the_limits_of_ages_hold_as_before() -> None:
    own = policy(ADMIT_GREEN)
    assert own.freshness is None
    assert judged(own, trust_seconds=24 * HOUR).verdict is Verdict.ADMIT
    assert judged(own, trust_seconds=24 * HOUR + 1).verdict is Verdict.REFER
    assert judged(own, policy_seconds=72 * HOUR + 1).verdict is Verdict.REFER
    # An attestation that names no list was never asked about before, and is not now.
    assert judged(own, status_seconds=400 * HOUR).verdict is Verdict.ADMIT


def test_a_step_left_out_of_the_section_leaves_the_limit_of_ages() -> None:
    own = policy(ADMIT_GREEN, freshness={"trust": {"warn_hours": 2, "refuse_hours": 48}})
    assert warned(judged(own, trust_seconds=24 * HOUR)) == ["TRUST_AGEING"]
    assert judged(own, trust_seconds=24 * HOUR + 1).verdict is Verdict.REFER
    assert judged(own, trust_seconds=48 * HOUR + 1).verdict is Verdict.REFUSE


@pytest.mark.parametrize("age", [None, -301])
def test_an_age_that_is_not_known_or_lies_ahead_is_never_green(age: int | None) -> None:
    for own in (policy(ADMIT_GREEN), policy(ADMIT_GREEN, freshness=ALL)):
        for subject in ("trust", "policy"):
            assert judged(own, **{f"{subject}_seconds": age}).verdict is Verdict.REFER


def test_without_a_list_the_status_is_as_old_as_the_attestation() -> None:
    own = policy(ADMIT_GREEN, freshness={"status": STEPS})
    evidence = VerifiedEvidence(
        attestation(
            code(),
            issued_at=NOW - timedelta(hours=3),
            not_before=NOW - timedelta(hours=3),
            expires_at=NOW + timedelta(hours=3),
        )
    )
    decision = decide(own, evidence, now=NOW, ages=Ages(60, 60))
    assert decision.ages.status_seconds == 3 * HOUR
    assert (decision.verdict, warned(decision)) == (Verdict.ADMIT, ["STATUS_AGEING"])


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("warn", Verdict.ADMIT), ("refer", Verdict.REFER), ("refuse", Verdict.REFUSE)],
)
def test_a_repeat_within_the_window_gets_the_verdict_of_the_policy(
    verdict: str, expected: Verdict
) -> None:
    own = policy(ADMIT_GREEN, replay={"minutes": 30, "verdict": verdict})
    decision = judged(own, elsewhere=30 * 60)
    assert decision.verdict is expected
    assert ("SEEN_ELSEWHERE" in warned(decision)) is (verdict == "warn")
    assert ("SEEN_ELSEWHERE" in codes(decision)) is (verdict != "warn")
    assert judged(own, elsewhere=30 * 60 + 1).verdict is Verdict.ADMIT
    assert judged(own).verdict is Verdict.ADMIT
    assert judged(policy(ADMIT_GREEN), elsewhere=1).verdict is Verdict.ADMIT


def test_a_repeat_makes_no_other_verdict_milder() -> None:
    red = {"id": "red", "when": {"level": ["RED"]}, "verdict": "REFUSE"}
    own = policy(red, replay={"minutes": 30, "verdict": "refer"})
    decision = decide(
        own, verified(Level.RED), now=NOW, ages=Ages(60, 60, None, 60), elsewhere_seconds=5
    )
    assert (decision.verdict, warned(decision)) == (Verdict.REFUSE, ["SEEN_ELSEWHERE"])


@pytest.mark.parametrize("refusal", ["ATTESTATION_REVOKED", "ATTESTATION_ON_HOLD"])
def test_what_the_issuer_took_back_is_refused_by_any_policy_that_does_not_name_it(
    refusal: str,
) -> None:
    anything = {"id": "any", "when": {"refusal": ["ANY"]}, "verdict": "REFER"}
    named = {"id": "named", "when": {"refusal": [refusal]}, "verdict": "REFER"}
    evidence = RefusedEvidence(refusal, None)
    old = Ages(None, None)
    assert decide(policy(anything), evidence, now=NOW, ages=old).verdict is Verdict.REFUSE
    assert decide(policy(ADMIT_GREEN), evidence, now=NOW, ages=old).verdict is Verdict.REFUSE
    decision = decide(policy(named), evidence, now=NOW, ages=Ages(60, 60))
    assert (decision.verdict, decision.rule_id) == (Verdict.REFER, "named")
    for region in shipped_regions():
        decision = decide(shipped_policy(region), evidence, now=NOW, ages=Ages(60, 60))
        assert decision.verdict is Verdict.REFUSE
        assert refusal_reason(refusal) in decision.reasons


@pytest.mark.parametrize("refusal", ["STATUS_UNKNOWN", "STATUS_LIST_INVALID"])
def test_an_unknown_status_is_for_a_person_in_every_shipped_policy(refusal: str) -> None:
    for region in shipped_regions():
        decision = decide(
            shipped_policy(region), RefusedEvidence(refusal, None), now=NOW, ages=Ages(60, 60)
        )
        assert decision.verdict is Verdict.REFER


def test_the_sections_come_back_from_the_document() -> None:
    own = policy(
        ADMIT_GREEN,
        freshness={"trust": {"warn_hours": 6}, "status": STEPS},
        replay={"minutes": 45, "verdict": "refuse"},
    )
    assert load_policy(own.to_document()) == own
    assert "freshness" not in policy(ADMIT_GREEN).to_document()
    assert "replay" not in policy(ADMIT_GREEN).to_document()


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ({"freshness": {}}, "freshness", "empty section"),
        ({"freshness": {"trust": {}}}, "freshness.trust", "no limit"),
        ({"freshness": {"trust": {"warn_hours": 0}}}, "freshness.trust.warn_hours", "1 to 744"),
        (
            {"freshness": {"status": {"warn_hours": 6, "refer_hours": 6}}},
            "freshness.status.refer_hours",
            "not greater",
        ),
        (
            {"freshness": {"trust": {"warn_hours": 24}}},
            "freshness.trust.warn_hours",
            "never reached",
        ),
        ({"freshness": {"source": STEPS}}, "freshness.source", "not a known member"),
        ({"replay": {"minutes": 0, "verdict": "warn"}}, "replay.minutes", "1 to 1440"),
        ({"replay": {"minutes": 5, "verdict": "admit"}}, "replay.verdict", "known words"),
        ({"replay": {"minutes": 5}}, "replay", "missing"),
    ],
)
def test_what_is_wrong_with_a_section_is_named(
    section: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        load_policy(document(ADMIT_GREEN, **section))
    assert any(
        problem.path.startswith(path) and words in str(problem) for problem in raised.value.problems
    ), raised.value


def test_a_problem_of_a_section_names_its_line() -> None:
    text = b"""\
id: 440100@2020-04
region: "440100"
name: {zh: x, en: y}
valid_from: 2020-04-08
ages: {trust_hours: 24, policy_hours: 72, source_hours: 36}
freshness:
  trust:
    refer_hours: 12
    refuse_hours: 6
replay: {minutes: 5, verdict: refer}
rules:
  - {id: red, when: {level: [RED]}, verdict: REFUSE, choice: synthetic}
"""
    with pytest.raises(PolicyError) as raised:
        load_policy(text)
    [problem] = raised.value.problems
    assert (problem.line, problem.path) == (9, "freshness.trust.refuse_hours")


def test_a_policy_made_otherwise_is_held_to_the_same() -> None:
    own = policy(ADMIT_GREEN, freshness=ALL, replay={"minutes": 5, "verdict": "warn"})
    assert own.freshness is not None
    assert own.replay is not None
    assert own.freshness.trust is not None
    with pytest.raises(PolicyError):
        replace(own, freshness=replace(own.freshness, trust=replace(own.freshness.trust, refer=1)))
    with pytest.raises(PolicyError):
        replace(own, replay=replace(own.replay, minutes=1441))
