"""Tomorrow's rules, announced today: a policy that names the one which follows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.codes.levels import Level
from gateway.recognition import PolicyError, Verdict, decide, load_policy
from tests.recognition.samples import ADMIT_GREEN, FRESH, NOW, document, policy, verified

REFUSE_GREEN: dict[str, Any] = {"id": "none", "when": {"level": ["GREEN"]}, "verdict": "REFUSE"}
BEGINS = NOW + timedelta(minutes=2)


def announced(**changes: Any) -> dict[str, Any]:
    """A document under which green is admitted until the next one begins."""
    following = document(
        REFUSE_GREEN, **{"id": "440100@2020-05", "valid_from": BEGINS.isoformat(), **changes}
    )
    return document(ADMIT_GREEN, next=following)


@pytest.mark.parametrize(
    ("moment", "verdict", "name"),
    [
        (BEGINS - timedelta(seconds=1), Verdict.ADMIT, "440100@2020-04"),
        (BEGINS, Verdict.REFUSE, "440100@2020-05"),
    ],
)
def test_the_one_that_has_begun_decides(moment: datetime, verdict: Verdict, name: str) -> None:
    both = load_policy(announced())
    decision = decide(both, verified(Level.GREEN), now=moment, ages=FRESH)
    assert (decision.verdict, decision.policy_id) == (verdict, name)
    assert both.at(moment).id == name
    # Alone, each of them says the same: a receipt needs no more than the one it names.
    alone = load_policy(both.at(moment).to_document())
    assert decide(alone, verified(Level.GREEN), now=moment, ages=FRESH) == decision


def test_it_is_written_as_it_is_read() -> None:
    both = load_policy(json.dumps(announced()).encode())
    assert load_policy(both.to_document()) == both
    assert both.following is not None
    assert (both.in_force(BEGINS), both.following.in_force(BEGINS)) == (False, True)
    ended = load_policy(announced(valid_until=(BEGINS + timedelta(days=1)).isoformat()))
    assert not ended.at(BEGINS + timedelta(days=2)).in_force(BEGINS + timedelta(days=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "440100@2020-04"}, "the id of the policy"),
        ({"id": "330100@2020-05", "region": "330100"}, "another region"),
        ({"valid_from": "2020-01-01"}, "does not begin after"),
        ({"next": document(REFUSE_GREEN)}, "not a known member"),
        ({"rules": []}, "1 to 200"),
    ],
)
def test_what_cannot_follow_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(announced(**changes))
    said = [f"{problem.path}: {problem.message}" for problem in caught.value.problems]
    assert any(one.startswith("next") and message in one for one in said), said


def test_an_end_of_its_own_leaves_no_doubt_which_one_counts() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy({**announced(), "valid_until": (BEGINS + timedelta(days=1)).isoformat()})
    assert [problem.path for problem in caught.value.problems] == ["next.valid_from"]
    assert policy(ADMIT_GREEN).at(datetime(2030, 1, 1, tzinfo=UTC)).id == "440100@2020-04"
