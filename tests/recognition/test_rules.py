from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.codes import Basis, Level, Outcome
from gateway.recognition import (
    ANY_REFUSAL,
    AgeLimits,
    Match,
    Policy,
    PolicyError,
    Reason,
    ReasonError,
    Rule,
    Verdict,
    Words,
    check_versions,
    policy_at,
)
from gateway.recognition.reachability import unreachable_rules
from tests.recognition.samples import ADMIT_GREEN, NOW, policy

GREEN = frozenset({Level.GREEN})
FRESH_GREEN = Match(levels=GREEN, max_age_hours=24)
CONDITION = (Words("条件", "condition"),)


def test_a_fresh_green_may_be_admitted() -> None:
    Rule("green", FRESH_GREEN, Verdict.ADMIT)
    Rule("green", FRESH_GREEN, Verdict.ADMIT_WITH_CONDITIONS, conditions=CONDITION)


@pytest.mark.parametrize(
    ("match", "verdict", "message"),
    [
        (Match(), Verdict.ADMIT, "without naming a level"),
        (Match(origins=frozenset({"33"})), Verdict.ADMIT, "without naming a level"),
        (Match(disagreement=False), Verdict.ADMIT, "without naming a level"),
        (Match(outcomes=frozenset(Outcome)), Verdict.ADMIT, "without naming a level"),
        (Match(refusals=frozenset({ANY_REFUSAL})), Verdict.ADMIT, "without naming a level"),
        (Match(levels=GREEN), Verdict.ADMIT, "bound on the age"),
        (Match(levels=GREEN, max_age_hours=337), Verdict.ADMIT, "that old"),
        (replace(FRESH_GREEN, levels=frozenset(Level)), Verdict.ADMIT, "not GREEN"),
        (replace(FRESH_GREEN, levels=frozenset({Level.YELLOW})), Verdict.ADMIT, "not GREEN"),
        (
            replace(FRESH_GREEN, levels=frozenset({Level.RED})),
            Verdict.ADMIT_WITH_CONDITIONS,
            "RED would be admitted",
        ),
        (replace(FRESH_GREEN, disagreement=True), Verdict.ADMIT, "disagree"),
        (
            replace(FRESH_GREEN, outcomes=frozenset({Outcome.NOT_FOUND})),
            Verdict.ADMIT,
            "more than one",
        ),
        (replace(FRESH_GREEN, origins=frozenset({"330000"})), Verdict.ADMIT, "shortest prefix"),
        (replace(FRESH_GREEN, origins=frozenset({"99"})), Verdict.ADMIT, "no known division"),
        (replace(FRESH_GREEN, origins=frozenset()), Verdict.ADMIT, "never matches"),
        (Match(refusals=frozenset({"NO_SUCH"})), Verdict.REFUSE, "does not exist"),
    ],
)
def test_no_unsafe_rule_can_be_made_at_all(match: Match, verdict: Verdict, message: str) -> None:
    conditions = CONDITION if verdict is Verdict.ADMIT_WITH_CONDITIONS else ()
    with pytest.raises(PolicyError, match=message):
        Rule("rule", match, verdict, conditions=conditions)


@pytest.mark.parametrize(
    "match",
    [
        Match(),
        Match(outcomes=frozenset({Outcome.SOURCE_BUSY})),
        Match(refusals=frozenset({"KEY_UNKNOWN"})),
        Match(origins=frozenset({"33"})),
    ],
)
def test_a_fault_is_not_red_either(match: Match) -> None:
    with pytest.raises(PolicyError, match="not about verified levels"):
        Rule("rule", match, Verdict.OBSERVE_CENTRAL, days=14)
    Rule("rule", match, Verdict.REFER)
    Rule("rule", match, Verdict.REFUSE)


@pytest.mark.parametrize("rule_id", ["", "Green", "-a", "a b", "a" * 49, "绿"])
def test_rule_ids_have_a_form(rule_id: str) -> None:
    with pytest.raises(PolicyError, match="not a rule id"):
        Rule(rule_id, FRESH_GREEN, Verdict.ADMIT)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "330100@v1"},
        {"id": "440100"},
        {"region": "449900", "id": "449900@v1"},
        {"valid_from": NOW.replace(tzinfo=None)},
        {"valid_until": NOW - timedelta(days=9000)},
        {"rules": ()},
    ],
)
def test_no_policy_with_a_broken_head_can_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        replace(policy(ADMIT_GREEN), **changes)


def test_a_policy_has_no_two_rules_of_one_id_and_tolerable_ages() -> None:
    good = policy(ADMIT_GREEN)
    with pytest.raises(PolicyError, match="share an id"):
        replace(good, rules=good.rules * 2)
    for hours in (0, 745):
        with pytest.raises(PolicyError, match="outside"):
            AgeLimits(hours, 1, 1)


def version(name: str, first: int, last: int | None, region: str = "440100") -> Policy:
    base = policy(ADMIT_GREEN)
    return replace(
        base,
        id=f"{region}@{name}",
        region=region,
        valid_from=NOW + timedelta(days=first),
        valid_until=None if last is None else NOW + timedelta(days=last),
    )


def test_versions_may_touch_and_leave_gaps() -> None:
    versions = [version("c", 9, None), version("a", 0, 3), version("b", 3, 6)]
    check_versions(versions)
    for day, expected in ((-1, None), (0, "a"), (2.9, "a"), (3, "b"), (7, None), (400, "c")):
        found = policy_at(versions, "440100", NOW + timedelta(days=day))
        assert (found.id if found else None) == (f"440100@{expected}" if expected else None)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (version("a", 0, None), version("b", 5, None), "overlaps 440100@a"),
        (version("a", 0, 6), version("b", 5, 9), "overlaps 440100@a"),
        (version("b", 5, 9), version("a", 0, 6), "overlaps 440100@a"),
        (version("a", 0, 9), version("b", 2, 3), "overlaps 440100@a"),
        (version("a", 0, 3), version("a", 5, 9), "the same id"),
    ],
)
def test_overlapping_versions_are_refused(first: Policy, second: Policy, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        check_versions([first, second])
    with pytest.raises(PolicyError, match=message):
        policy_at([first, second], "440100", NOW)


def test_other_regions_do_not_overlap() -> None:
    check_versions([version("a", 0, None), version("a", 0, None, "330100")])


def rule(match: Match, verdict: Verdict = Verdict.REFER, **changes: Any) -> Rule:
    return Rule("rule", match, verdict, **changes)


YELLOW = frozenset({Level.YELLOW})
ZHEJIANG = frozenset({"33"})
HANGZHOU = frozenset({"3301"})


@pytest.mark.parametrize(
    ("earlier", "later", "hidden"),
    [
        (Match(), Match(levels=GREEN), True),
        (Match(levels=GREEN), Match(), False),
        (Match(levels=YELLOW), Match(levels=GREEN), False),
        (Match(levels=YELLOW | GREEN), Match(levels=GREEN), True),
        (Match(origins=ZHEJIANG), Match(origins=HANGZHOU), True),
        (Match(origins=HANGZHOU), Match(origins=ZHEJIANG), False),
        (Match(origins=ZHEJIANG), Match(levels=GREEN, origins=HANGZHOU), True),
        (Match(origins=ZHEJIANG), Match(levels=GREEN), False),
        (Match(levels=GREEN, max_age_hours=24), Match(levels=GREEN, max_age_hours=12), True),
        (Match(levels=GREEN, max_age_hours=12), Match(levels=GREEN, max_age_hours=24), False),
        (Match(levels=GREEN, max_age_hours=12), Match(levels=GREEN), False),
        (Match(disagreement=True), Match(levels=YELLOW), False),
        (Match(disagreement=False), Match(levels=GREEN), True),
        (Match(disagreement=False), Match(levels=YELLOW), False),
        (Match(schemes=frozenset({"a"})), Match(schemes=frozenset({"a@1"})), True),
        (Match(schemes=frozenset({"a@1"})), Match(schemes=frozenset({"a"})), False),
        (Match(states=frozenset("ab")), Match(states=frozenset("a")), True),
        (Match(bases=frozenset({Basis.SPACE})), Match(bases=frozenset(Basis)), False),
        (Match(areas=ZHEJIANG), Match(areas=HANGZHOU), True),
        (
            Match(outcomes=frozenset(Outcome)),
            Match(outcomes=frozenset({Outcome.NOT_FOUND})),
            True,
        ),
        (Match(refusals=frozenset({"ANY"})), Match(refusals=frozenset({"KEY_UNKNOWN"})), True),
        (Match(refusals=frozenset({"KEY_UNKNOWN"})), Match(refusals=frozenset({"ANY"})), False),
        (Match(outcomes=frozenset(Outcome)), Match(refusals=frozenset({"ANY"})), False),
    ],
)
def test_a_rule_behind_a_wider_one_is_found(earlier: Match, later: Match, hidden: bool) -> None:
    found = list(unreachable_rules([rule(earlier), rule(later)]))
    assert found == ([(1, "rule")] if hidden else [])


def test_several_rules_may_hide_one_together() -> None:
    rules = [
        rule(Match(levels=GREEN)),
        rule(Match(levels=frozenset(Level) - GREEN)),
        rule(Match(outcomes=frozenset(Outcome))),
        rule(Match(refusals=frozenset({"ANY"}))),
        rule(Match()),
    ]
    assert [place for place, _ in unreachable_rules(rules)] == [4]


def test_an_admission_does_not_hide_what_it_may_not_admit() -> None:
    either = frozenset({Level.YELLOW})
    admitting = Rule(
        "admit",
        Match(levels=either, max_age_hours=24),
        Verdict.ADMIT_WITH_CONDITIONS,
        conditions=CONDITION,
    )
    assert not list(unreachable_rules([admitting, rule(Match(levels=either, max_age_hours=24))]))


def test_a_rule_about_nothing_that_exists_is_found() -> None:
    assert list(unreachable_rules([rule(Match(levels=GREEN, disagreement=True))])) == [(0, None)]


@pytest.mark.parametrize("text", ["", "  ", "x" * 301, "a\nb", "a\x00"])
def test_words_are_printable_and_short_in_both_languages(text: str) -> None:
    with pytest.raises(ReasonError):
        Words(text, "en")
    with pytest.raises(ReasonError):
        Reason("CODE", "中文", text)


@pytest.mark.parametrize("code", ["", "a", "lower", "A-B", "A" * 49, "1A"])
def test_reason_codes_are_upper_snake(code: str) -> None:
    with pytest.raises(ReasonError):
        Reason(code, "中文", "en")
