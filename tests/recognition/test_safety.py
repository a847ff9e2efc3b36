"""No path turns a fault into green: promises that hold for every policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codes import Basis, Level, Outcome, UnifiedCode
from gateway.recognition import (
    REFUSAL_CODES,
    Ages,
    Evidence,
    Match,
    OutcomeEvidence,
    Policy,
    PolicyError,
    RefusedEvidence,
    Rule,
    Verdict,
    VerifiedEvidence,
    Words,
    decide,
    load_policy,
)
from gateway.recognition.policy import AgeLimits
from tests.codes.strategies import DIVISIONS, REPORTS, UNIFIED_CODES
from tests.recognition.samples import NOW, attestation, document

_PREFIXES = st.frozensets(st.sampled_from(["33", "3301", "44", "4401", "42"]), min_size=1)
_REFUSALS = st.frozensets(st.sampled_from(["ANY", *sorted(REFUSAL_CODES)]), min_size=1, max_size=5)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


MATCHES = st.builds(
    Match,
    levels=_maybe(st.frozensets(st.sampled_from(Level), min_size=1)),
    outcomes=_maybe(st.frozensets(st.sampled_from(Outcome), min_size=1)),
    refusals=_maybe(_REFUSALS),
    origins=_maybe(_PREFIXES),
    schemes=_maybe(st.frozensets(st.sampled_from(["hz-jkm", "gz-skm@v2"]), min_size=1)),
    states=_maybe(st.frozensets(st.sampled_from(["绿码", "红码"]), min_size=1)),
    bases=_maybe(st.frozensets(st.sampled_from(Basis), min_size=1)),
    areas=_maybe(_PREFIXES),
    max_age_hours=_maybe(st.integers(1, 400)),
    disagreement=_maybe(st.booleans()),
)
_SIMPLE_MATCHES = st.one_of(
    st.builds(Match, outcomes=st.frozensets(st.sampled_from(Outcome), min_size=1)),
    st.builds(Match, refusals=_REFUSALS),
    st.builds(Match, origins=_maybe(_PREFIXES)),
    MATCHES,
)


def _mostly(value: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A harmless value three times in four, so that one thing at a time goes wrong."""
    return st.sampled_from([st.just(value)] * 3 + [other]).flatmap(lambda chosen: chosen)


def _fitting(verdict: Verdict) -> dict[str, Any]:
    """The members that go with a verdict, so that more of what is drawn is a rule."""
    if verdict.observes:
        return {"days": 7}
    if verdict is Verdict.ADMIT_WITH_CONDITIONS:
        return {"conditions": (Words("条件", "condition"),)}
    return {}


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule that can exist, of any kind."""
    verdict = draw(st.sampled_from(Verdict))
    try:
        return Rule("rule", draw(_SIMPLE_MATCHES), verdict, **_fitting(verdict))
    except PolicyError:
        return Rule("rule", draw(_NARROW), Verdict.REFER)


_NARROW = st.builds(Match, schemes=st.just(frozenset({"gz-skm"})))
_GREEN = frozenset({Level.GREEN})
_PASSABLE = st.frozensets(
    st.sampled_from([Level.GREEN, Level.YELLOW, Level.RESTRICTED]), min_size=1
)


@st.composite
def admitting_rules(draw: st.DrawFn) -> Rule:
    """A rule that admits as much as a rule may."""
    verdict = draw(st.sampled_from([Verdict.ADMIT, Verdict.ADMIT_WITH_CONDITIONS]))
    match = Match(
        levels=_GREEN if verdict is Verdict.ADMIT else draw(_PASSABLE),
        origins=draw(st.none() | st.just(frozenset({"33", "44", "42"}))),
        max_age_hours=draw(st.integers(20, 336)),
        disagreement=draw(st.sampled_from([None, False])),
    )
    return Rule("rule", match, verdict, **_fitting(verdict))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that can exist, unreachable rules and all; most of them admit."""
    drawn = [
        *draw(st.lists(rules(), max_size=2)),
        *draw(st.lists(admitting_rules(), max_size=3)),
        *draw(st.lists(rules(), min_size=1, max_size=3)),
    ]
    numbered = tuple(replace(rule, id=f"r{place}") for place, rule in enumerate(drawn))
    return Policy(
        "440100@v1",
        "440100",
        Words("政策", "policy"),
        NOW - timedelta(days=9),
        None,
        AgeLimits(24, 72, 36),
        numbered,
    )


AGES = st.builds(
    Ages,
    st.none() | st.integers(-400, 100_000),
    st.none() | st.integers(-400, 300_000),
    st.none() | st.integers(-400, 200_000),
)
YOUNG = Ages(0, 0, 0)
FAULTS: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(OutcomeEvidence, st.sampled_from(Outcome), st.none() | DIVISIONS),
    st.builds(
        RefusedEvidence,
        st.sampled_from(sorted(REFUSAL_CODES)) | st.text(max_size=60),
        st.none() | DIVISIONS,
    ),
)


@given(policies(), FAULTS, AGES | st.just(YOUNG))
def test_no_policy_admits_an_outcome_or_a_refusal(
    policy: Policy, evidence: Evidence, ages: Ages
) -> None:
    decision = decide(policy, evidence, now=NOW, ages=ages)
    assert not decision.verdict.admits
    assert not decision.verdict.observes
    assert decision.reasons


_PAST = _mostly(
    NOW - timedelta(hours=9), st.integers(-2, 400).map(lambda count: NOW - timedelta(hours=count))
)
_ENDS = _mostly(None, st.integers(-48, 48).map(lambda count: NOW + timedelta(hours=count)))
_CODES = st.builds(
    replace,
    REPORTS,
    level=_mostly(Level.GREEN, st.sampled_from(Level)),
    issued_by=st.sampled_from(["330100", "330200", "440100"]),
)


@st.composite
def near_codes(draw: st.DrawFn) -> UnifiedCode:
    """Unified codes whose times lie about the moment of the decision."""
    return replace(
        draw(UNIFIED_CODES | _CODES),
        assessed_at=draw(_PAST),
        source_at=draw(_PAST),
        valid_until=draw(_ENDS),
        declaration_valid_until=draw(_ENDS),
    )


_NEAR_AGES = _mostly(YOUNG, AGES)


@given(
    policies(),
    near_codes(),
    _NEAR_AGES,
    _mostly("440100", st.sampled_from(["44", "4401", "330100", "440106"])),
    _mostly(60, st.integers(-600, 600)),
)
def test_what_is_admitted_was_named_fresh_agreed_addressed_and_in_time(
    policy: Policy, code: UnifiedCode, ages: Ages, audience: str, life: int
) -> None:
    evidence = VerifiedEvidence(
        attestation(
            code,
            audience=f"urn:hutong:region:{audience}",
            issued_at=NOW - timedelta(hours=1),
            not_before=NOW - timedelta(hours=1),
            expires_at=NOW + timedelta(seconds=life),
        )
    )
    decision = decide(policy, evidence, now=NOW, ages=ages)
    assert decision.reasons
    assert (decision.days is not None) == decision.verdict.observes
    if not decision.verdict.admits:
        return
    rule = next(rule for rule in policy.rules if rule.id == decision.rule_id)
    assert rule.verdict is decision.verdict
    assert rule.match.levels is not None
    assert code.level in rule.match.levels
    assert code.level is not Level.RED
    assert decision.verdict is not Verdict.ADMIT or code.level is Level.GREEN
    assert all(other.level is code.level for other in code.also)
    assert timedelta(seconds=-300) <= NOW - code.assessed_at <= timedelta(hours=336)
    assert timedelta(seconds=-300) <= NOW - code.source_at <= timedelta(hours=36)
    assert code.valid_until is None or code.valid_until > NOW
    assert code.declaration_valid_until is None or code.declaration_valid_until > NOW
    assert audience in ("440100", "4401", "44")
    assert life > -120
    assert ages.trust_seconds is not None
    assert ages.trust_seconds <= 24 * 3600
    assert ages.policy_seconds is not None
    assert ages.policy_seconds <= 72 * 3600


def test_the_drawn_policies_do_admit_some_and_hold_back_others() -> None:
    """Guards the properties above against becoming empty."""
    seen: set[Verdict] = set()

    @settings(max_examples=200, database=None, derandomize=True)
    @given(policies(), near_codes())
    def draw(policy: Policy, code: UnifiedCode) -> None:
        seen.add(decide(policy, verified(code), now=NOW, ages=YOUNG).verdict)

    def verified(code: UnifiedCode) -> VerifiedEvidence:
        return VerifiedEvidence(attestation(code))

    draw()
    assert seen >= {Verdict.ADMIT, Verdict.ADMIT_WITH_CONDITIONS, Verdict.REFER, Verdict.REFUSE}


@given(policies(), FAULTS | near_codes().map(attestation).map(VerifiedEvidence), AGES)
def test_a_decision_replays_to_itself(policy: Policy, evidence: Evidence, ages: Ages) -> None:
    first = decide(policy, evidence, now=NOW, ages=ages)
    assert decide(policy, evidence, now=NOW, ages=ages) == first


_WORDS = st.sampled_from(
    ["ADMIT", "REFER", "OBSERVE_HOME", "GREEN", "RED", "ANY", "SOURCE_BUSY", "33", "", "x"]
)
_LOOSE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 400) | _WORDS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["level", "outcome", "refusal", "origin", "max_age_hours", "zh", "en"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_RULE_DOCUMENTS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c"]) | _LOOSE,
        "when": st.fixed_dictionaries(
            {},
            optional={
                "level": st.lists(st.sampled_from([each.value for each in Level])) | _LOOSE,
                "outcome": st.lists(st.sampled_from([each.value for each in Outcome])) | _LOOSE,
                "refusal": st.lists(st.sampled_from(["ANY", "KEY_UNKNOWN"])) | _LOOSE,
                "origin": st.lists(st.sampled_from(["33", "99"])) | _LOOSE,
                "max_age_hours": st.integers(0, 400) | _LOOSE,
                "disagreement": st.booleans() | _LOOSE,
            },
        )
        | _LOOSE,
        "verdict": st.sampled_from([each.value for each in Verdict]) | _LOOSE,
    },
    optional={
        "days": st.integers(0, 30) | _LOOSE,
        "conditions": st.just([{"zh": "条件", "en": "condition"}]) | _LOOSE,
        "reason": _LOOSE,
        "source": _LOOSE,
    },
)


@given(st.lists(_RULE_DOCUMENTS, min_size=1, max_size=4), FAULTS)
def test_any_document_is_refused_or_is_a_policy_that_admits_no_fault(
    drawn: list[dict[str, Any]], evidence: Evidence
) -> None:
    try:
        policy = load_policy(document(*drawn))
    except PolicyError:
        return
    assert load_policy(policy.to_document()) == policy
    assert not decide(policy, evidence, now=NOW, ages=YOUNG).verdict.admits
