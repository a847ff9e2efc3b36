from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes import Level, Outcome
from gateway.recognition import MAX_POLICY_BYTES, PolicyError, Verdict, load_policy
from tests.recognition.samples import ADMIT_GREEN, document

GOOD = """\
id: 440100@2020-04
region: "440100"
name: {zh: 合成政策, en: Synthetic policy}
valid_from: 2020-04-08
valid_until: 2020-05-08T12:00:00+08:00
ages:
  trust_hours: 24
  policy_hours: 72
  source_hours: 36
rules:
  - id: green
    when:
      origin: ["330000", "3301"]
      level: [GREEN]
      scheme: [hz-jkm]
      state: [绿码]
      basis: [SPACE]
      area: ["42"]
      max_age_hours: 24
      disagreement: false
    verdict: ADMIT
    choice: synthetic
  - id: yellow
    when: {level: [YELLOW]}
    verdict: OBSERVE_HOME
    days: 7
    source: synthetic
  - id: fault
    when: {outcome: [SOURCE_BUSY]}
    verdict: REFER
    reason: {code: FAULT, zh: 故障, en: fault}
    choice: synthetic
"""


def problems(text: str | bytes) -> list[tuple[int, str, str]]:
    with pytest.raises(PolicyError) as caught:
        load_policy(text if isinstance(text, bytes) else text.encode())
    assert caught.value.code == "POLICY_INVALID"
    for problem in caught.value.problems:
        assert problem.fix
        assert str(problem) in str(caught.value)
    return [(each.line, each.path, each.message) for each in caught.value.problems]


def test_a_policy_file_loads() -> None:
    policy = load_policy(GOOD.encode())
    assert policy.id == "440100@2020-04"
    assert policy.valid_from == datetime(2020, 4, 7, 16, tzinfo=UTC)
    assert policy.valid_until == datetime(2020, 5, 8, 4, tzinfo=UTC)
    green, yellow, fault = policy.rules
    assert green.match.levels == frozenset({Level.GREEN})
    assert green.match.origins == frozenset({"33", "3301"})
    assert green.match.disagreement is False
    assert (yellow.verdict, yellow.days, yellow.source) == (Verdict.OBSERVE_HOME, 7, "synthetic")
    assert fault.match.outcomes == frozenset({Outcome.SOURCE_BUSY})
    assert fault.reason is not None
    assert fault.reason.code == "FAULT"


def test_a_policy_survives_its_document() -> None:
    policy = load_policy(GOOD.encode())
    again = load_policy(policy.to_document())
    assert again == policy
    assert again.to_document() == policy.to_document()


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message"),
    [
        ("440100@2020-04", "440100", 1, "id", "is not an id"),
        ("id: 440100@", "id: 330100@", 1, "id", "does not begin with the region"),
        ('region: "440100"', "region: 440100", 2, "region", "division of six digits"),
        ('region: "440100"', 'region: "449900"', 2, "region", "no known division"),
        (", en: Synthetic policy", "", 3, "name", "`en` is missing"),
        ("2020-04-08", "2020-04-31", 4, "valid_from", "not a time with offset"),
        ("2020-04-08", "2020-04-08T00:00:00", 4, "valid_from", "not a time with offset"),
        ("2020-05-08T12", "2020-03-08T12", 5, "valid_until", "not after valid_from"),
        ("trust_hours: 24", "trust_hours: 0", 7, "ages.trust_hours", "from 1 to 744"),
        ("  policy_hours: 72\n", "", 6, "ages", "`policy_hours` is missing"),
        ("id: green", "id: Green", 11, "rules[0].id", "rule id"),
        ('"330000"', '"990000"', 13, "rules[0].when.origin", "no known division"),
        ('"330000"', "330000", 13, "rules[0].when.origin[0]", "not text"),
        ("[GREEN]", "[green]", 14, "rules[0].when.level[0]", "known words"),
        ("[GREEN]", "GREEN", 14, "rules[0].when.level", "not a list"),
        ("[GREEN]", "[]", 14, "rules[0].when.level", "empty list"),
        ("[hz-jkm]", "[HZ]", 15, "rules[0].when.scheme[0]", "scheme"),
        ("[SPACE]", "[SPACE, MOON]", 17, "rules[0].when.basis[1]", "known words"),
        ("max_age_hours: 24", "max_age_hours: 0", 19, "rules[0].when.max_age_hours", "integer"),
        ("max_age_hours: 24", "max_age_hours: 337", 19, "rules[0].when.max_age_hours", "that old"),
        ("      max_age_hours: 24\n", "", 12, "rules[0].when.max_age_hours", "bound on the age"),
        ("disagreement: false", "disagreement: no", 20, "rules[0].when.disagreement", "neither"),
        ("disagreement: false", "disagreement: true", 20, "rules[0].when.disagreement", "disagree"),
        ("disagreement: false", "colour: red", 20, "rules[0].when.colour", "not a known member"),
        ("verdict: ADMIT\n", "verdict: LET_IN\n", 21, "rules[0].verdict", "known words"),
        ("[GREEN]", "[GREEN, RED]", 14, "rules[0].when.level", "not GREEN"),
        ("    choice: synthetic\n  - id: y", "  - id: y", 11, "rules[0]", "where it comes from"),
        ("id: yellow", "id: green", 23, "rules[1].id", "another rule has this id"),
        ("days: 7", "days: 29", 26, "rules[1].days", "too few or too many"),
        ("    days: 7\n", "", 23, "rules[1].days", "days go with observation"),
        ("OBSERVE_HOME", "REFER", 26, "rules[1].days", "days go with observation"),
        ("OBSERVE_HOME", "ADMIT_WITH_CONDITIONS", 24, "rules[1].when.max_age_hours", "bound"),
        ("verdict: REFER", "verdict: ADMIT", 30, "rules[2].verdict", "without naming a level"),
        ("verdict: REFER", "verdict: OBSERVE_CENTRAL\n    days: 3", 30, "rules[2].verdict", "not"),
        ("[SOURCE_BUSY]", "[SOURCE_LAZY]", 29, "rules[2].when.outcome[0]", "known words"),
        ("outcome: [SOURCE_BUSY]", "refusal: [LAZY]", 29, "rules[2].when.refusal", "not exist"),
        ("{outcome: [SOURCE_BUSY]}", "{}", 0, "", ""),
        (
            "outcome: [SOURCE_BUSY]",
            "outcome: [SOURCE_BUSY], level: [RED]",
            29,
            "rules[2].when.outcome",
            "more than one",
        ),
        (
            "outcome: [SOURCE_BUSY]",
            "outcome: [SOURCE_BUSY], max_age_hours: 3",
            29,
            "rules[2].when.outcome",
            "only a verified report",
        ),
        ("code: FAULT", "code: fault", 31, "rules[2].reason.code", "code"),
        ("zh: 故障", 'zh: ""', 31, "rules[2].reason.zh", "empty"),
        ("zh: 故障", 'zh: " "', 31, "rules[2].reason", "blank"),
        ("en: fault", 'en: "a\\u0007b"', 31, "rules[2].reason", "unprintable"),
    ],
)
def test_each_problem_is_named_with_its_line(
    old: str, new: str, line: int, path: str, message: str
) -> None:
    assert GOOD.count(old) >= 1
    text = GOOD.replace(old, new, 1)
    if not message:
        load_policy(text.encode())
        return
    found = problems(text)
    assert [(each[0], each[1]) for each in found if message in each[2]] == [(line, path)]


def test_every_problem_of_a_file_is_told_at_once_in_the_order_of_its_lines() -> None:
    text = GOOD.replace("trust_hours: 24", "trust_hours: x").replace("[GREEN]", "[BLUE]")
    text = text.replace("id: yellow", "id: Yellow")
    assert [line for line, _, _ in problems(text)] == [7, 14, 23]


def test_a_catch_all_that_admits_is_refused() -> None:
    for verdict in ("ADMIT", "ADMIT_WITH_CONDITIONS", "OBSERVE_HOME"):
        rule: dict[str, Any] = {"id": "all", "when": {}, "verdict": verdict}
        if verdict == "OBSERVE_HOME":
            rule["days"] = 7
        if verdict == "ADMIT_WITH_CONDITIONS":
            rule["conditions"] = [{"zh": "条件", "en": "condition"}]
        with pytest.raises(PolicyError, match="levels"):
            load_policy(document(rule))


def test_unreachable_rules_are_named_with_what_hides_them() -> None:
    text = GOOD + "  - {id: late, when: {level: [YELLOW]}, verdict: REFER, choice: synthetic}\n"
    assert problems(text) == [
        (33, "rules[3].id", "can never be reached: yellow always matches before it")
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GOOD.replace("verdict: ADMIT\n", "verdict: ADMIT\n    verdict: REFER\n"), 22, "twice"),
        (GOOD.replace("[GREEN]", "*levels"), 14, "anchor"),
        (GOOD + "---\n" + GOOD, 33, "second document"),
        ("", 1, "empty"),
        ("[]", 1, "not a mapping"),
        ("just text", 1, "not a mapping"),
        (GOOD.replace("rules:", "rules: [}"), 10, "not YAML"),
    ],
)
def test_what_is_no_such_document_is_refused_with_its_line(
    text: str, line: int, message: str
) -> None:
    assert any(found[0] == line and message in found[2] for found in problems(text))


def test_size_and_number_of_rules_are_bounded() -> None:
    assert "exceeds" in problems(b"#" * (MAX_POLICY_BYTES + 1))[0][2]
    rules = [
        {"id": f"r{place}", "when": {"state": [f"s{place}"]}, "verdict": "REFER"}
        for place in range(201)
    ]
    load_policy(document(*rules[:200]))
    with pytest.raises(PolicyError, match="1 to 200"):
        load_policy(document(*rules))
    with pytest.raises(PolicyError, match="1 to 200"):
        load_policy(document())


def test_json_loads_like_yaml() -> None:
    import json

    value = document(ADMIT_GREEN)
    assert load_policy(json.dumps(value).encode()) == load_policy(value)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_problems(data: bytes) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(data)
    assert caught.value.problems


@given(st.data())
def test_a_file_with_a_piece_cut_out_loads_or_names_a_line(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    text = GOOD[:start] + GOOD[end:]
    lines = range(1, text.count("\n") + 2)
    try:
        load_policy(text.encode())
    except PolicyError as error:
        assert all(problem.line in lines for problem in error.problems)  # noqa: PT017 - one of two outcomes, each checked
