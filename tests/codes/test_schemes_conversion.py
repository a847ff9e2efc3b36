"""Members of a version that say what is lost, what is foreign and what converts."""

from __future__ import annotations

import json

import pytest

from gateway.codes.itinerary import Itinerary, Place
from gateway.codes.levels import Level, Outcome
from gateway.codes.schemes import Foreign, Loss, Scheme, SchemeError, load_scheme
from tests.codes.scheme_samples import SCHEME, VECTORS

MORE = """\
    lost:
      - {zh: 橙与黄不再区分, en: orange and yellow are one}
    foreign: leave_out_green
    import:
      levels: [GREEN]
      origins: ["44", "110000"]
      schemes: [gz-skm, hz-jkm@2020-02]
      max_age_seconds: 86400
      negative_test_max_age_seconds: 604800
      answers_must_be_no: true
      life_seconds: 3600
      state: 绿码
      evidence: [S1]
    several: report_all
"""
WHOLE = SCHEME.replace("    several: report_all\n", MORE, 1)


def load(scheme: str = WHOLE, vectors: str = VECTORS) -> Scheme:
    return load_scheme(scheme.encode(), vectors=vectors.encode())


def problems(scheme: str, vectors: str = VECTORS) -> list[str]:
    with pytest.raises(SchemeError) as caught:
        load(scheme, vectors)
    assert all(problem.message and problem.fix for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_a_version_says_what_is_lost_what_is_foreign_and_what_converts() -> None:
    early, late = load().versions
    assert early.lost == (Loss("橙与黄不再区分", "orange and yellow are one"),)
    assert early.foreign is Foreign.LEAVE_OUT_GREEN
    rule = early.import_rule
    assert rule is not None
    assert rule.levels == {Level.GREEN}
    assert (rule.origins, rule.schemes) == (("44", "110000"), ("gz-skm", "hz-jkm@2020-02"))
    assert (rule.max_age_seconds, rule.negative_test_max_age_seconds) == (86400, 604800)
    assert (rule.answers_must_be_no, rule.life_seconds, rule.state) == (True, 3600, "绿码")
    assert rule.evidence == ("S1",)
    assert (late.lost, late.foreign, late.import_rule) == (None, None, None)


def test_all_of_it_is_published() -> None:
    scheme = load()
    again = load_scheme(json.dumps(scheme.to_document()).encode())
    assert again == scheme
    assert again.versions[0].import_rule == scheme.versions[0].import_rule


def test_any_origin_scheme_and_no_test_are_said_with_null() -> None:
    text = WHOLE.replace('["44", "110000"]', "null").replace("[gz-skm, hz-jkm@2020-02]", "null")
    rule = load(text.replace("604800", "null", 1)).versions[0].import_rule
    assert rule is not None
    assert (rule.origins, rule.schemes, rule.negative_test_max_age_seconds) == (None, None, None)


def test_that_nothing_is_lost_is_said_with_an_empty_list() -> None:
    text = WHOLE.replace(MORE.splitlines()[1] + "\n", "").replace("    lost:\n", "    lost: []\n")
    assert load(text).versions[0].lost == ()


LOST = "    lost:\n      - {zh: 橙与黄不再区分, en: orange and yellow are one}\n"
CHANGES = [
    ("levels: [GREEN]", "levels: []", "names no level"),
    ("levels: [GREEN]", "levels: [GREEN, YELLOW]", "would be made of YELLOW"),
    ("levels: [GREEN]", "levels: [ORANGE]", "is not one of the known words"),
    ('origins: ["44", "110000"]\n', "x: 1\n", "`origins` is missing"),
    ('["44", "110000"]', '["4"]', "is not a prefix"),
    ('["44", "110000"]', "[]", "is not a list of 1 to 256 items"),
    ("schemes: [gz-skm, hz-jkm@2020-02]", "schemes: [Gz]", "is not a scheme"),
    ("max_age_seconds: 86400\n", "max_age_seconds: 0\n", "is not an integer from 1"),
    ("answers_must_be_no: true", "answers_must_be_no: ja", "is neither true nor false"),
    ("      answers_must_be_no: true\n", "", "`answers_must_be_no` is missing"),
    ("life_seconds: 3600", "life_seconds: 59", "is not an integer from 60"),
    ("      life_seconds: 3600\n", "", "`life_seconds` is missing"),
    ("      state: 绿码\n", "      state: 蓝码\n", "`蓝码` is no state of this version"),
    ("      state: 绿码\n", "      state: 未申领\n", "`未申领` is no state of this version"),
    ("      evidence: [S1]\n    sev", "      evidence: [S9]\n    sev", "names `S9`"),
    ("foreign: leave_out_green", "foreign: believe", "is not one of the known words"),
    (LOST, "    lost:\n", "says nothing"),
    ("{zh: 橙与黄不再区分, en: orange and yellow are one}", "{zh: 橙}", "`en` is missing"),
]


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_one_wrong_member_is_named_with_its_line_and_a_fix(
    old: str, new: str, expected: str
) -> None:
    assert WHOLE.count(old) >= 1
    at = WHOLE.index("    lost:")
    found = problems(WHOLE[:at] + WHOLE[at:].replace(old, new, 1))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("line ") for problem in found)


def test_a_conversion_may_make_a_restriction_but_never_lift_one() -> None:
    text = WHOLE.replace("levels: [GREEN]", "levels: [GREEN, YELLOW]", 1)
    assert any("would be made of YELLOW" in problem for problem in problems(text))
    at = text.index("      state: 绿码")
    text = text[:at] + text[at:].replace("state: 绿码", "state: 黄码", 1)
    rule = load(text).versions[0].import_rule
    assert rule is not None
    assert rule.state == "黄码"


EVIDENCE = VECTORS.replace(
    "    reports: [{state: 未申领}]\n    expect: {outcome: NOT_APPLIED}",
    """\
    reports:
      - state: 未申领
        negative_test_at: 2020-02-29T08:00:00+08:00
        itinerary:
          window_days: 14
          as_of: 2020-03-01T00:00:00+08:00
          places: [{division: "330100", starred: true}, {division: "110000"}]
    expect: {outcome: EVIDENCE_ONLY}""",
)


def test_evidence_with_places_is_tested_by_vectors() -> None:
    scheme = load(WHOLE.replace("outcome: NOT_APPLIED", "outcome: EVIDENCE_ONLY"), EVIDENCE)
    rule = scheme.versions[0].states["未申领"]
    assert rule.outcome is Outcome.EVIDENCE_ONLY
    (report,) = next(v for v in scheme.vectors if v.name in rule.vectors).reports
    itinerary = report["itinerary"]
    assert isinstance(itinerary, Itinerary)
    assert itinerary.places == (Place("330100", starred=True), Place("110000"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("window_days: 14", "window_days: 99", "is not an integer from 1 to 31"),
        ("as_of: 2020-03-01T00:00:00+08:00", "as_of: yesterday", "is not a time with offset"),
        ('division: "110000"', 'division: "330100"', "one stands twice"),
        ("starred: true", "starred: perhaps", "is neither true nor false"),
        ('division: "110000"', "city: 北京", "`division` is missing"),
    ],
)
def test_a_wrong_itinerary_of_a_vector_is_named(old: str, new: str, expected: str) -> None:
    scheme = WHOLE.replace("outcome: NOT_APPLIED", "outcome: EVIDENCE_ONLY")
    assert old in EVIDENCE
    found = problems(scheme, EVIDENCE.replace(old, new, 1))
    assert any(expected in problem for problem in found), found
    assert all("vectors.yaml" in problem for problem in found)
