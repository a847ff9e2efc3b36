"""An itinerary is weighed beside a code, never in place of one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.codes import Itinerary, Level, Outcome, Place
from gateway.recognition import (
    OutcomeEvidence,
    Policy,
    PolicyError,
    RefusedEvidence,
    Verdict,
    decide,
    load_policy,
)
from tests.recognition.samples import ADMIT_GREEN, FRESH, NOW, document, policy, verified

STARRED: dict[str, Any] = {
    "id": "starred",
    "when": {"level": ["GREEN"], "itinerary": {"starred": True}},
    "verdict": "REFER",
}
SHANGHAI: dict[str, Any] = {
    "id": "from-shanghai",
    "when": {"level": ["GREEN"], "itinerary": {"visited": ["31"]}},
    "verdict": "OBSERVE_HOME",
    "days": 7,
}
NOT_SHOWN: dict[str, Any] = {
    "id": "not-shown",
    "when": {"level": ["GREEN"], "itinerary": {"shown": False}},
    "verdict": "REFER",
}


def card(*places: str, hours: float = 12, starred: str = "") -> Itinerary:
    found = tuple(Place(division, division == starred) for division in places)
    return Itinerary(14, NOW - timedelta(hours=hours), found)


def rule_of(some: Policy, itinerary: Itinerary | None, evidence: Any = None) -> str | None:
    shown = evidence or verified()
    return decide(some, shown, now=NOW, ages=FRESH, itinerary=itinerary).rule_id


@pytest.mark.parametrize(
    ("itinerary", "rule"),
    [
        (card("330100"), "green"),
        (card(), "green"),
        (card("330100", "310000"), "from-shanghai"),
        (card("330100", starred="330100"), "starred"),
        (card("310000", starred="310000"), "starred"),
        (None, "not-shown"),
    ],
)
def test_the_first_rule_that_fits_the_places_decides(itinerary: Any, rule: str) -> None:
    assert rule_of(policy(STARRED, SHANGHAI, NOT_SHOWN, ADMIT_GREEN), itinerary) == rule


@pytest.mark.parametrize(
    ("hours", "rule"), [(48, "green"), (48.01, "not-shown"), (-24, "green"), (-24.1, "not-shown")]
)
def test_an_itinerary_that_is_not_of_these_days_was_not_shown(hours: float, rule: str) -> None:
    assert rule_of(policy(NOT_SHOWN, ADMIT_GREEN), card("330100", hours=hours)) == rule


@pytest.mark.parametrize(
    "evidence",
    [
        OutcomeEvidence(Outcome.EVIDENCE_ONLY, "100002", card("330100")),
        OutcomeEvidence(Outcome.NOT_FOUND, "330100"),
        RefusedEvidence("ADAPTER_UNREACHABLE", "330100"),
        verified(Level.RED),
    ],
)
def test_an_itinerary_admits_nobody(evidence: Any) -> None:
    decision = decide(policy(ADMIT_GREEN), evidence, now=NOW, ages=FRESH, itinerary=card("330100"))
    assert decision.verdict is Verdict.REFER


def test_a_policy_with_an_itinerary_survives_the_feed() -> None:
    some = policy(STARRED, SHANGHAI, NOT_SHOWN, ADMIT_GREEN)
    assert load_policy(some.to_document()) == some


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({}, "no condition"),
        ({"shown": False, "starred": True}, "not shown"),
        ({"visited": []}, "never matches"),
        ({"visited": ["990000"]}, "known division"),
        ({"starred": "yes"}, "neither true nor false"),
        ({"stars": True}, "stars"),
    ],
)
def test_a_broken_condition_names_its_place(condition: Any, told: str) -> None:
    rule = {"id": "x", "when": {"level": ["GREEN"], "itinerary": condition}, "verdict": "REFER"}
    with pytest.raises(PolicyError, match=told):
        load_policy(document(rule))


@pytest.mark.parametrize("subject", [{"outcome": ["NOT_FOUND"]}, {"refusal": ["ANY"]}])
def test_only_a_rule_about_reports_asks_for_places(subject: dict[str, Any]) -> None:
    rule = {"id": "x", "when": {**subject, "itinerary": {"starred": True}}, "verdict": "REFER"}
    with pytest.raises(PolicyError, match="only a verified report can meet"):
        load_policy(document(rule))


def test_a_rule_behind_the_same_places_is_unreachable_and_behind_others_is_not() -> None:
    with pytest.raises(PolicyError, match="never be reached"):
        policy(STARRED, {**STARRED, "id": "again"})
    assert len(policy(STARRED, {**SHANGHAI, "id": "other"}).rules) == 2
