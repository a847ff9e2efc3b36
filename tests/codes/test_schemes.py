from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codes.levels import Basis, Level, Outcome
from gateway.codes.schemes import ClockStart, Life, Scheme, SchemeError, load_scheme
from tests.codes.scheme_samples import SCHEME, VECTORS


def load(scheme: str = SCHEME, vectors: str = VECTORS) -> Scheme:
    return load_scheme(scheme.encode(), vectors=vectors.encode())


def problems(scheme: str = SCHEME, vectors: str = VECTORS) -> list[str]:
    with pytest.raises(SchemeError) as caught:
        load(scheme, vectors)
    assert caught.value.code == "SCHEME_INVALID"
    assert all(problem.message and problem.fix for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_scheme_loads_with_everything_it_says() -> None:
    scheme = load()
    assert (scheme.family, scheme.authority, scheme.prefixes) == ("ex-jkm", "330100", ("3301",))
    early, late = scheme.versions
    assert (early.id, late.id) == ("ex-jkm@2020-02", "ex-jkm@2020-03")
    yellow = early.states["黄码"]
    assert (yellow.level, yellow.basis) == (Level.YELLOW, {Basis.SPACE})
    assert (yellow.release_days_needed, yellow.release_zh) == (7, "连续打卡七日")
    assert yellow.vectors == ("yellow-by-contact",)
    assert early.states["未申领"].outcome is Outcome.NOT_APPLIED
    assert early.clocks.code == Life(ClockStart.ASSESSED_AT, 86400)
    assert late.clocks.code == Life(ClockStart.ASSESSED_AT, None)
    assert late.scopes == {"全域"}


def test_a_bare_date_begins_at_midnight_in_the_zone_of_the_scheme() -> None:
    assert load().versions[0].valid_from == datetime(2020, 2, 10, 16, tzinfo=UTC)


def test_the_version_in_force_begins_inclusive_and_ends_exclusive() -> None:
    scheme = load()
    change = datetime(2020, 3, 24, tzinfo=UTC)
    assert scheme.version_at(change - timedelta(seconds=1)).id == "ex-jkm@2020-02"
    assert scheme.version_at(change).id == "ex-jkm@2020-03"
    with pytest.raises(SchemeError) as caught:
        scheme.version_at(datetime(2020, 2, 10, 15, 59, 59, tzinfo=UTC))
    assert caught.value.code == "SCHEME_NOT_IN_FORCE"


def test_a_gap_between_versions_is_in_force_for_nobody() -> None:
    scheme = load(SCHEME.replace("2020-03-24T08:00:00+08:00\n    states", "2020-03-25\n    states"))
    with pytest.raises(SchemeError):
        scheme.version_at(datetime(2020, 3, 24, 1, tzinfo=UTC))


def test_the_public_document_is_json_loads_equal_and_holds_no_connector() -> None:
    scheme = load(SCHEME + "connector: {python: 'secret.module:Name'}\n")
    text = json.dumps(scheme.to_document())
    assert "secret.module" not in text
    again = load_scheme(json.loads(text))
    assert again == scheme
    assert load_scheme(text.encode()) == scheme
    assert load_scheme(again.to_document()) == scheme


def test_a_state_that_is_seen_but_not_mapped_does_not_load() -> None:
    (problem,) = problems(SCHEME.replace("红码, 未申领]", "红码, 灰码, 未申领]"))
    assert problem.startswith("line 15: versions[0].states: the state `灰码` is not mapped")


def test_a_state_without_a_vector_does_not_load() -> None:
    asked = "at: 2020-03-01T12:00:00+08:00\n    reports: [{state: 红码}]"
    vectors = VECTORS.replace(asked, asked.replace("2020-03", "2020-04"))
    assert any("`红码` of ex-jkm@2020-02 is not tested" in p for p in problems(vectors=vectors))


def test_a_state_that_is_tested_only_beside_another_is_not_tested() -> None:
    alone, beside = "reports: [{state: 红码}]", "reports: [{state: 红码}, {state: 绿码}]"
    vectors = VECTORS.replace(alone, beside, 1)
    assert any("is not tested" in problem for problem in problems(vectors=vectors))


def test_a_vector_that_expects_another_level_tests_nothing() -> None:
    vectors = VECTORS.replace("expect: {level: RED}\n", "expect: {level: YELLOW}\n", 1)
    assert any("`红码` of ex-jkm@2020-02 is not tested" in p for p in problems(vectors=vectors))


@pytest.mark.parametrize("end", ["2020-03-24T08:00:01+08:00", "2020-03-25", "2030-01-01T00:00:00Z"])
def test_versions_that_overlap_do_not_load(end: str) -> None:
    found = problems(
        SCHEME.replace("valid_until: 2020-03-24T08:00:00+08:00", f"valid_until: {end}")
    )
    assert any("ex-jkm@2020-02 and ex-jkm@2020-03 overlap" in problem for problem in found)


def test_an_open_version_overlaps_every_later_one() -> None:
    found = problems(SCHEME.replace("    valid_until: 2020-03-24T08:00:00+08:00\n", ""))
    assert any("overlap" in problem for problem in found)


CHANGES = [
    ("hutong: scheme/1", "hutong: scheme/2", "hutong: is not a scheme of this format"),
    ("family: ex-jkm", "family: Ex_Jkm", "family: is not a short name"),
    ('authority: "330100"', "authority: 330100", "authority: is not a six-digit division"),
    ('prefixes: ["3301"]', 'prefixes: ["33"]', "outside the authority's own division"),
    ('prefixes: ["3301"]', "prefixes: []", "is not a list of 1 to 16 items"),
    ("timezone: Asia/Shanghai", "timezone: Asia/Atlantis", "timezone: is not a known zone"),
    ("grade: A", "grade: Z", "is not a grade"),
    ("evidence: [S1]", "evidence: [S9]", "names `S9`, which is no source"),
    ('id: "2020-03"', 'id: "2020-02"', "is the id of another version"),
    ("valid_from: 2020-02-11", "valid_from: 2020-02-30", "is not a time with offset"),
    ("valid_from: 2020-02-11\n", "valid_from: 2020-02-11T08:00:00\n", "is not a time with offset"),
    ("valid_from: 2020-02-11", "valid_from: 2020-12-11", "does not lie after valid_from"),
    ("level: YELLOW", "level: 2", "is not one of the known words"),
    ("level: YELLOW", "level: ORANGE", "is not one of the known words"),
    ("level: RED", "level: RED\n        outcome: NOT_FOUND", "needs a level or an outcome"),
    ("outcome: NOT_APPLIED\n        ", "", "needs a level or an outcome"),
    ("basis: [SPACE]", "basis: [LUCK]", "is not one of the known words"),
    ("days: 7", "days: 0", "is not an integer from 1 to 366"),
    ("days: 7", "days: true", "is not an integer from 1 to 366"),
    ("{life_seconds: 86400, from: assessed_at}", "{from: assessed_at}", "needs a life"),
    ("from: declared_at}", "from: born_at}", "is not one of the known words"),
    ("future_leeway_seconds: 60", "future_leeway_seconds: 601", "is not an integer from 0 to 600"),
    ("carried_max_seconds: 21600", "carried_max_seconds: 86401", "from 60 to 86400"),
    ("several: report_all", "several: latest_wins", "is not one of the known words"),
    ("scopes: [全域]", "scopes: []", "is not a list of 1 to 256 items"),
    ("{contains: 密接, basis: [CONTACT]}", "{contains: 密接, basis: []}", "names no basis"),
    ('region: "330100"', 'region: "440100"', "lies outside the scheme's prefixes"),
    ("presentation: qr_text", "presentation: document", "has no group `number`"),
    ("{32}$", "{1,32}$", "counterexamples"),
    ('id=0123456789abcdef0123456789abcdef"', 'id=0123"', "examples[0]: does not match"),
    ("[0-9a-f]{32}", "[0-9a-f]+", "is not accepted here"),
    ("why: recomputed daily", "because: recomputed daily", "is not a known member"),
    ("meaning: {zh: 通行, en: free to pass}", "meaning: {zh: 通行}", "`en` is missing"),
]


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_one_wrong_member_is_named_and_nothing_else_matters(
    old: str, new: str, expected: str
) -> None:
    assert old in SCHEME
    vectors = VECTORS
    if expected == "counterexamples":
        changed = SCHEME.replace(old, new).replace("?id=xyz", "?id=abc")
    else:
        changed = SCHEME.replace(old, new, 1)
    assert any(expected in problem for problem in problems(changed, vectors)), problems(changed)


VECTOR_CHANGES = [
    ("hutong: vectors/1", "hutong: vectors/2", "is not of this format"),
    ("scheme: ex-jkm", "scheme: other", "is not the family of the scheme"),
    ("name: red\n", "name: green\n", "is the name of another vector"),
    ("at: 2020-03-02T08:00:00+08:00", "at: 2020-03-02", "is not a time with offset"),
    ("    reports: []\n", "", "`reports` is missing"),
    ('  issued_by: "330100"\n', "", "`issued_by` is missing"),
    ("[{state: 未申领}]", "[{zustand: 未申领}]", "is not a known member"),
    ("{outcome: CODE_EXPIRED}", "{outcome: EXPIRED}", "is not one of the known words"),
    ("{level: GREEN}", "{level: GREEN, outcome: NOT_FOUND}", "needs a level or an outcome"),
]


@pytest.mark.parametrize(("old", "new", "expected"), VECTOR_CHANGES)
def test_a_wrong_vector_is_named_in_its_own_file(old: str, new: str, expected: str) -> None:
    assert old in VECTORS
    found = problems(vectors=VECTORS.replace(old, new, 1))
    assert any(expected in problem and "vectors.yaml" in problem for problem in found), found


def test_every_problem_is_reported_at_once_in_order() -> None:
    changed = SCHEME.replace("grade: A", "grade: Z").replace("level: YELLOW", "level: BLUE")
    changed = changed.replace("several: report_all", "several: best_wins")
    with pytest.raises(SchemeError) as caught:
        load(changed)
    lines = [problem.line for problem in caught.value.problems]
    assert len(lines) >= 3
    assert lines == sorted(lines)


def test_a_scheme_without_vectors_does_not_load() -> None:
    with pytest.raises(SchemeError, match="has no vectors"):
        load_scheme(SCHEME.encode())


def test_vectors_inside_and_beside_are_one_too_many() -> None:
    document = load().to_document()
    with pytest.raises(SchemeError, match="keep one"):
        load_scheme(document, vectors=VECTORS.encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"hutong", b"\xff", b"a: &x 1\nb: *x", b"a: 1\na: 2", b"a: [" * 64, b"{" * 999],
)
def test_what_is_no_document_is_refused_with_its_line(data: bytes) -> None:
    with pytest.raises(SchemeError) as caught:
        load_scheme(data, vectors=VECTORS.encode())
    assert caught.value.problems


def test_a_scheme_larger_than_a_statement_is_refused() -> None:
    with pytest.raises(SchemeError, match="exceeds"):
        load_scheme(SCHEME.encode() + b"#" * 300_000, vectors=VECTORS.encode())


def loaded(data: object, vectors: bytes | None = None) -> Scheme | None:
    """The scheme, or None where it is refused; a refusal without a problem fails."""
    try:
        return load_scheme(data, vectors=vectors)  # type: ignore[arg-type]  # wrong on purpose, or built loosely
    except SchemeError as refused:
        named = refused.problems
    assert named
    return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else (enumerate(value) if isinstance(value, list) else ())
    )
    for name, inner in items:
        found += paths(inner, (*path, name))
    return found


DOCUMENT = load().to_document()
PATHS = paths(DOCUMENT)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PATHS), json_values)
def test_any_value_in_any_place_is_loaded_or_refused_with_problems(
    path: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    found = loaded(document)
    if found is not None:
        assert load_scheme(json.loads(json.dumps(found.to_document()))) == found


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_scheme(data: bytes) -> None:
    with pytest.raises(SchemeError):
        load_scheme(data, vectors=VECTORS.encode())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SCHEME) - 1), st.integers(1, 40))
def test_a_scheme_with_a_piece_cut_out_loads_or_is_refused_with_problems(
    start: int, length: int
) -> None:
    loaded((SCHEME[:start] + SCHEME[start + length :]).encode(), VECTORS.encode())


def test_a_qr_text_is_matched_by_the_version_in_force_only() -> None:
    scheme = load()
    text = "https://code.example/?id=0123456789abcdef0123456789abcdef"
    found = scheme.match_qr(text, datetime(2020, 3, 1, tzinfo=UTC))
    assert found is not None
    assert found.region == "330100"
    assert scheme.match_qr(text, datetime(2020, 4, 1, tzinfo=UTC)) is None
    assert scheme.match_qr(text, datetime(2019, 4, 1, tzinfo=UTC)) is None
