"""A code shown in part: what is withheld is unknown, and unknown never admits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.claim_set import AttestationUse
from gateway.attestation.disclosed import CODE_MEMBERS, DisclosedAttestation, DisclosedCode
from gateway.codes import Level, UnifiedCode
from gateway.codes.levels import Basis
from gateway.recognition import Decision, Verdict, VerifiedEvidence, decide
from gateway.recognition.rules import Match
from tests.recognition.samples import ADMIT_GREEN, FRESH, NOW, code, policy

MINIMAL = frozenset({"level", "issued_by", "valid_until"})
ALL = frozenset(CODE_MEMBERS)
PART: dict[str, Any] = {
    "id": "part",
    "when": {"level": ["GREEN"], "withheld": True, "max_age_hours": 6},
    "verdict": "ADMIT",
}
GATE = policy(PART)


def shown(
    report: UnifiedCode | None = None,
    told: frozenset[str] = MINIMAL,
    *,
    issued_hours: float = 0,
    **changes: Any,
) -> VerifiedEvidence:
    report = code(valid_until=NOW + timedelta(hours=9)) if report is None else report
    members = {name: getattr(report, name) for name in told}
    base = DisclosedAttestation(
        issuer="urn:hutong:region:330100",
        audience="urn:hutong:region:440100",
        issued_at=NOW - timedelta(hours=issued_hours),
        not_before=NOW - timedelta(hours=issued_hours),
        expires_at=NOW + timedelta(hours=8),
        token_id="synthetic-token-id-1",
        use=AttestationUse.CARRIED,
        code=DisclosedCode(disclosed=told, **members),
    )
    return VerifiedEvidence(replace(base, **changes))


def judged(evidence: VerifiedEvidence, *rules: dict[str, Any]) -> Decision:
    return decide(policy(*rules) if rules else GATE, evidence, now=NOW, ages=FRESH)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_gate_that_says_so_admits_on_level_validity_and_region() -> None:
    decision = judged(shown())
    assert decision.verdict is Verdict.ADMIT
    assert decision.rule_id == "part"
    assert decision.ages.source_seconds is None
    elsewhere = {**PART, "when": {**PART["when"], "origin": ["33"]}}
    assert judged(shown(), elsewhere).verdict is Verdict.ADMIT
    elsewhere["when"] = {**elsewhere["when"], "origin": ["42"]}
    assert judged(shown(), elsewhere).verdict is Verdict.REFER


def test_the_rules_for_whole_codes_admit_nobody_who_shows_a_part() -> None:
    decision = judged(shown(), ADMIT_GREEN)
    assert decision.verdict is Verdict.REFER
    assert codes(decision)[0] == "DISCLOSE_MORE"
    assert decision.rule_id is None


@pytest.mark.parametrize(
    "condition",
    [
        {"scheme": ["hz-jkm"]}, {"scheme": ["other"]}, {"state": ["绿码"]}, {"basis": ["CONTACT"]},
        {"area": ["42"]}, {"max_age_hours": 1},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("verdict", ["REFUSE", "REFER"])
def test_a_rule_about_what_is_withheld_is_neither_passed_over_nor_followed(
    condition: dict[str, Any], verdict: str
) -> None:
    first = {"id": "first", "when": {"level": ["GREEN"], **condition}, "verdict": verdict}
    decision = judged(shown(), first, PART)
    assert decision.verdict is Verdict.REFER
    assert "DISCLOSE_MORE" in codes(decision)
    # Where another condition fails already, nothing more need be shown.
    first["when"] = {"level": ["RED"], **condition}
    assert judged(shown(), first, PART).verdict is Verdict.ADMIT


def test_what_is_disclosed_is_weighed_as_ever() -> None:
    first = {"id": "first", "when": {"basis": ["CONTACT"]}, "verdict": "REFUSE"}
    told = MINIMAL | {"basis"}
    contact = code(basis=frozenset({Basis.CONTACT}))
    assert judged(shown(contact, told), first, PART).verdict is Verdict.REFUSE
    assert judged(shown(code(), told), first, PART).verdict is Verdict.ADMIT
    dated = MINIMAL | {"assessed_at", "source_at"}
    assert judged(shown(told=dated), ADMIT_GREEN).verdict is Verdict.ADMIT
    assert judged(shown(code(hours=30), dated), ADMIT_GREEN).verdict is Verdict.REFER
    # A date that is told counts, also where the issue would do.
    assert judged(shown(code(hours=7), dated)).verdict is Verdict.REFER


def test_without_a_date_the_age_counts_from_the_issue() -> None:
    assert judged(shown(issued_hours=5)).verdict is Verdict.ADMIT
    assert judged(shown(issued_hours=7)).verdict is Verdict.REFER
    assert judged(shown(issued_hours=-1)).verdict is Verdict.REFER
    old = policy(PART, ages={"trust_hours": 24, "policy_hours": 72, "source_hours": 4})
    decision = decide(old, shown(issued_hours=5), now=NOW, ages=FRESH)
    assert codes(decision)[0] == "SOURCE_TOO_OLD"


@pytest.mark.parametrize("level", [Level.YELLOW, Level.RED, Level.RESTRICTED])
def test_no_other_level_is_admitted_while_other_records_may_be_withheld(level: Level) -> None:
    rule = {
        "id": "watched",
        "when": {"level": ["YELLOW", "RESTRICTED"], "withheld": True, "max_age_hours": 6},
        "verdict": "ADMIT_WITH_CONDITIONS",
        "conditions": [{"zh": "测温", "en": "Take the temperature"}],
    }
    assert judged(shown(code(level)), rule, PART).verdict is Verdict.REFER
    told = MINIMAL | {"also"}
    expected = Verdict.REFER if level is Level.RED else Verdict.ADMIT_WITH_CONDITIONS
    assert judged(shown(code(level), told), rule, PART).verdict is expected
    home = {"id": "home", "when": {"level": [level.value]}, "verdict": "OBSERVE_HOME", "days": 7}
    assert judged(shown(code(level)), home).verdict is Verdict.OBSERVE_HOME
    apart = {**home, "when": {"level": [level.value], "disagreement": False}}
    assert codes(judged(shown(code(level)), apart))[0] == "DISCLOSE_MORE"


def test_its_own_end_and_audience_hold_as_for_a_whole_one() -> None:
    over = code(valid_until=NOW - timedelta(seconds=1))
    assert codes(judged(shown(over)))[0] == "CODE_EXPIRED"
    assert "ATTESTATION_EXPIRED" in codes(judged(shown(expires_at=NOW - timedelta(hours=1))))
    assert "AUDIENCE_MISMATCH" in codes(judged(shown(audience="urn:hutong:region:310000")))


def test_a_rule_for_whole_codes_alone_passes_a_part_by() -> None:
    whole = {**ADMIT_GREEN, "when": {**ADMIT_GREEN["when"], "withheld": False}}
    assert judged(shown(), whole, PART).rule_id == "part"
    assert judged(shown(), whole).verdict is Verdict.REFER
    assert judged(shown(told=ALL), whole).verdict is Verdict.ADMIT
    assert Match(withheld=True).to_document() == {"withheld": True}


@given(
    st.sets(st.sampled_from(sorted(ALL - {"level", "issued_by"}))),
    st.sampled_from(list(Level)),
    st.sampled_from(
        [{}, {"scheme": ["hz-jkm"]}, {"basis": ["SPACE"]}, {"area": ["3301"]}, {"state": ["绿码"]}]
    ),
)
def test_showing_less_never_admits_where_showing_all_does_not(
    told: set[str], level: Level, narrowed: dict[str, Any]
) -> None:
    report = code(level, basis=frozenset({Basis.CONTACT}), area="330106")
    stop = {"id": "stop", "when": {"basis": ["CONTACT"], "area": ["3301"]}, "verdict": "REFUSE"}
    admit = {**ADMIT_GREEN, "when": {**ADMIT_GREEN["when"], **narrowed}}
    for rules in ((stop, admit), (admit,)):
        part = judged(shown(report, frozenset(told) | {"level", "issued_by"}), *rules)
        whole = judged(shown(report, ALL), *rules)
        assert whole.verdict.admits or not part.verdict.admits
