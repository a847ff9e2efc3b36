"""The rule file: what ships, and what does not load."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from gateway.issuer.errors import RuleError
from gateway.issuer.exposures import unpack
from gateway.issuer.rules import RuleBook, load_version, shipped_rules
from tests.issuer.core.oracle import RULES

TEXT = resources.files("gateway.issuer.rules").joinpath("native-2020-02.yaml").read_text("utf-8")


def changed(old: str, new: str) -> bytes:
    assert old in TEXT
    return TEXT.replace(old, new, 1).encode()


def test_the_shipped_rule_is_what_the_oracle_was_told() -> None:
    version = shipped_rules().versions[0]
    assert version.id == "native-2020-02"
    assert version.declaration_days == 14
    assert version.contact_window_days == 28
    found = [(rule.id, rule.level.value, rule.release_days) for rule in version.rules]
    assert found == RULES


def test_every_rule_says_why_in_two_languages_and_on_what_it_rests() -> None:
    version = shipped_rules().versions[0]
    for rule in (*version.rules, version.green):
        assert rule.reason_zh
        assert rule.reason_en
        assert rule.evidence or rule.choice
        assert len(version.full_id(rule)) <= 64
        if rule is not version.green:
            assert rule.basis
    assert "未知" not in version.explanation_zh
    assert any("formula" in choice.why for choice in version.choices)


def test_every_rule_of_the_file_is_tried_in_the_tests() -> None:
    text = Path(__file__).with_name("test_assess.py").read_text("utf-8")
    for rule in shipped_rules().versions[0].rules:
        assert f'"{rule.id}"' in text, rule.id


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("hutong: rule/1", "hutong: rule/2", "is not a rule of this format"),
        ("id: native-2020-02", "id: Native", "id: is not a short name"),
        ("valid_from: 2020-02-11", "valid_from: 1990-01-01", "valid_from: lies before 1992"),
        ("valid_days: 14", "valid_days: 0", "valid_days: is not an integer"),
        ("temperature_below: 373", "temperature_below: 360", "temperature_below: is not an"),
        ("number: 20\n", "number: 10\n", "the numbers do not rise"),
        ("number: 199", "number: 149", "must have the highest number"),
        ("id: red-contact", "id: red-case", "two rules share an id"),
        ("level: RED", "level: GREEN", "is neither RED nor YELLOW"),
        ("level: RED", "level: YELLOW", "a less severe rule stands first"),
        ("contact: {kinds: [CASE], within_days: 28}", "cases: {}", "needs exactly one condition"),
        ("kinds: [CASE]", "kinds: [FRIEND]", "is not one of the known words"),
        ("kinds: [CASE]", "kinds: []", "names no kind"),
        ("within_days: 28", "within_days: 61", "within_days: is not an integer"),
        ("risk: HIGH", "risk: LOW", "is LOW, which every place is"),
        ("risk: HIGH", "risk: SOME", "is not one of the known words"),
        ("stays_at_least: 3", "stays_at_least: 0", "stays_at_least: is not an integer"),
        ("at_least: 373", "at_least: 365", "at_least: is not an integer"),
        ("any_of: [COLD, BREATH]", "any_of: [NONE]", "needs symptoms"),
        ("question: contact", "question: weather", "is not one of the questions"),
        ('is: ["YES"]', 'is: ["NO"]', "may hold YES and UNSURE only"),
        ("basis: [CONTACT]", "basis: []", "names no basis"),
        ("release_days: 14", "release_days: 29", "release_days: is not an integer"),
        ("evidence: [ZJ, JS, S0]", "evidence: [NN]", "which is no source"),
        ("evidence: [JS, S0]\n", "", "rests on nothing"),
        ("basis: [CONTACT]", "basis: [CONTACT]\n    weight: 3", "is not a known member"),
        ("    reason:\n", "    grounds:\n", "`reason` is missing"),
        ("otherwise:", "else:", "`otherwise` is missing"),
        ("hutong: rule/1", "hutong: &a rule/1", "an anchor"),
    ],
)
def test_a_broken_rule_file_is_refused_by_line(old: str, new: str, problem: str) -> None:
    with pytest.raises(RuleError) as caught:
        load_version(changed(old, new))
    assert caught.value.code == "RULE_INVALID"
    assert problem in str(caught.value)
    assert all(each.line for each in caught.value.problems)


def test_the_version_in_force_is_the_newest_that_has_begun() -> None:
    first = load_version(TEXT.encode())
    text = changed("id: native-2020-02", "id: native-2020-06").decode()
    text = text.replace("valid_from: 2020-02-11", "valid_from: 2020-06-01")
    text = re.sub("number: ([0-9]+)", lambda found: f"number: {300 + int(found[1])}", text)
    later = load_version(text.encode())
    book = RuleBook([later, first])
    begin = datetime(2020, 5, 31, 16, tzinfo=UTC)
    assert book.in_force(begin) is later
    assert book.in_force(begin - timedelta(seconds=1)) is first
    assert book.rule(10) == (first, first.rules[0])
    assert book.rule(310) == (later, later.rules[0])
    with pytest.raises(RuleError):
        book.in_force(first.valid_from - timedelta(seconds=1))
    with pytest.raises(RuleError):
        book.rule(7)


def test_versions_that_contradict_each_other_are_refused() -> None:
    first = load_version(TEXT.encode())
    same_numbers = load_version(
        changed("id: native-2020-02", "id: other").replace(b"2020-02-11", b"2020-06-01", 1)
    )
    same_day = load_version(changed("id: native-2020-02", "id: other"))
    for versions in ([], [first, first], [first, same_day], [first, same_numbers]):
        with pytest.raises(RuleError):
            RuleBook(versions)


def test_a_pick_holds_its_parts() -> None:
    packed = ((3 * 1000 + 14) * 1000 + 999 - 20) * 1_000_000 + 330106
    assert unpack(packed) == (3, 14, 20, 330106)
