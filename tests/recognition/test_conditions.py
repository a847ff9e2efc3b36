"""The row of ready conditions says what the rule says, word by word."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.attestation.disclosed import CODE_MEMBERS
from gateway.codes import Level, UnifiedCode
from gateway.recognition import Match, OutcomeEvidence, RefusedEvidence, VerifiedEvidence
from gateway.recognition.case import case_of
from gateway.recognition.conditions import ask_more, conditions_about, conditions_of
from tests.recognition.samples import NOW, attestation
from tests.recognition.test_disclosed import shown
from tests.recognition.test_safety import FAULTS, MATCHES, near_codes

if TYPE_CHECKING:
    from gateway.recognition import Evidence
    from gateway.recognition.case import Case
    from gateway.recognition.conditions import Conditions

_MEMBERS = {
    "schemes": "scheme",
    "states": "state",
    "bases": "basis",
    "areas": "area",
    "max_age_hours": "assessed_at",
    "disagreement": "also",
}


def _within(division: str | None, prefixes: frozenset[str]) -> bool:
    return division is not None and any(division.startswith(prefix) for prefix in prefixes)


def _says(match: Match, evidence: Evidence, report: UnifiedCode) -> bool:
    """What the words of ``Match`` mean, of evidence that tells everything it holds."""
    is_report = isinstance(evidence, VerifiedEvidence)
    origin = report.issued_by if isinstance(evidence, VerifiedEvidence) else evidence.origin
    age = NOW - report.assessed_at
    of_reports = (
        match.levels is None or report.level in match.levels,
        match.schemes is None or bool({report.scheme, report.scheme.split("@")[0]} & match.schemes),
        match.states is None or report.state in match.states,
        match.bases is None or bool(report.basis & match.bases),
        match.areas is None or _within(report.area, match.areas),
        match.max_age_hours is None
        or timedelta(seconds=-300) <= age <= timedelta(hours=match.max_age_hours),
        match.disagreement is None
        or match.disagreement == any(other.level is not report.level for other in report.also),
        match.withheld is not True,
    )
    return (
        (match.origins is None or _within(origin, match.origins))
        and (
            match.outcomes is None
            or (isinstance(evidence, OutcomeEvidence) and evidence.outcome in match.outcomes)
        )
        and (
            match.refusals is None
            or (
                isinstance(evidence, RefusedEvidence)
                and bool({"ANY", evidence.code} & match.refusals)
            )
        )
        and (not match.only_reports or (is_report and all(of_reports)))
    )


def all_hold(conditions: Conditions, case: Case) -> bool:
    return all(holds(case) for _, holds in conditions)


def _same_where_it_may_apply(match: Match, case: Case) -> None:
    """What a policy leaves out of a row, once it has sorted its rules, was decided then."""
    whole = conditions_of(match)
    if match.may_be_about(case.subject):
        left = conditions_about(match, case.subject)
        assert len(left) <= len(whole)
        assert all_hold(left, case) == all_hold(whole, case)
        assert ask_more(left, case) == ask_more(whole, case)
    else:
        assert not all_hold(whole, case)


_SPARSE = st.builds(
    lambda match, kept: Match(**{name: getattr(match, name) for name in kept}),
    MATCHES,
    st.frozensets(st.sampled_from([each.name for each in fields(Match)]), max_size=3),
)


@settings(max_examples=60)
@given(_SPARSE, near_codes(), FAULTS | st.none())
def test_a_row_holds_where_the_words_of_the_rule_do(
    match: Match, report: UnifiedCode, fault: Evidence | None
) -> None:
    # A green past its end is an outcome: `decide`, not the rule.
    report = replace(report, valid_until=None, declaration_valid_until=None)
    evidence = fault or VerifiedEvidence(attestation(report))
    case = case_of(evidence, "440100", NOW)
    assert all_hold(conditions_of(match), case) == _says(match, evidence, report)
    assert not ask_more(conditions_of(match), case)
    _same_where_it_may_apply(match, case)


@settings(max_examples=60)
@given(_SPARSE, near_codes(), st.frozensets(st.sampled_from(CODE_MEMBERS)))
def test_a_row_asks_for_more_where_only_what_is_withheld_is_open(
    match: Match, report: UnifiedCode, told: frozenset[str]
) -> None:
    report = replace(report, valid_until=None, declaration_valid_until=None)
    told |= {"level", "issued_by"}
    case = case_of(shown(report, told), "440100", NOW)
    withheld = set(CODE_MEMBERS) - told
    if report.level is Level.GREEN:
        withheld -= {"also"}  # behind a green all are green
    opened = [
        name
        for name, member in _MEMBERS.items()
        if member in withheld and getattr(match, name) is not None
    ]
    rest = replace(match, **dict.fromkeys(opened))
    expected = bool(opened) and all_hold(conditions_of(rest), case)
    assert ask_more(conditions_of(match), case) == expected
    _same_where_it_may_apply(match, case)
