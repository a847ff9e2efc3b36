"""A broken scheme is told with the line and the fix, and a doubtful one is asked about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.cli.terminal import Exit
from tests.cli.scheme_city import SCHEME, VECTORS, line_of, run, write_city

if TYPE_CHECKING:
    from pathlib import Path

BROKEN_SCHEMES = {
    # what to replace, by what, what the problem says, what the fix says
    "a level that is none": ("level: YELLOW", "level: ORANGE", "known words", "use GREEN, YELLOW"),
    "an outcome that is none": ("outcome: NOT_APPLIED", "outcome: NONE", "known words", "use NOT_"),
    "level and outcome": (
        "level: YELLOW",
        "level: YELLOW\n        outcome: NOT_FOUND",
        "level or",
        "write exactly one",
    ),
    "a state nobody maps": ("[绿码, 红码]", "[绿码, 红码, 蓝码]", "蓝码", "add `蓝码:`"),
    "a source nobody wrote": (
        "evidence: [S2]\n    states",
        "evidence: [S9]\n    states",
        "names `S9`",
        "add it to `sources`",
    ),
    "a number where text belongs": ('region: "330600"', "region: 330600", "six-digit", "quote it"),
    "a region outside the prefixes": ('region: "330600"', 'region: "440100"', "outside", "correct"),
    "a pattern that is ambiguous": (
        "[0-9a-f]{8}$",
        "[0-9a-f]{1,8}[0-9]$",
        "ambiguous",
        "qr_pattern",
    ),
    "an example that does not match": ("c/00000001", "c/1", "does not match", "correct pattern"),
    "versions that overlap": (
        "valid_until: 2021-01-01",
        "valid_until: 2021-01-02",
        "overlap",
        "valid_until: 2021-01-01T00:00:00+08:00",
    ),
    "a date that is none": ("valid_from: 2021-01-01", "valid_from: January", "not a time", "write"),
    "a clock without a life": (
        "{life: end_of_day, from: assessed_at}",
        "{from: assessed_at}",
        "needs a life",
        "life_seconds: N",
    ),
    "a placeholder nobody fills": (
        "{number}",
        "{passport}",
        "unknown placeholder",
        "use {nonce} {number} {secret:NAME}",
    ),
    "a path that is missing": ("{path: city}", "{}", "`path` is missing", "add `path: …`"),
    "a method that is none": (
        "method: POST\n        path: /ask",
        "method: PUT\n        path: /ask",
        "known words",
        "use GET, POST",
    ),
    "an outcome of a code": ('"31": NOT_APPLIED', '"31": GREEN', "known words", "use NOT_APPLIED"),
    "a key twice": ("family: ex-jkm", "family: ex-jkm\nfamily: ex-jkm", "stands twice", "keep one"),
    "a syntax error": (
        "states_seen: [绿码, 红码]",
        "states_seen: [绿码, 红码",
        "not YAML",
        "correct the syntax",
    ),
    "an anchor": (
        "states_seen: [绿码, 红码]",
        "states_seen: &x [绿码, 红码]",
        "anchor",
        "write the",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "example"


def problems_of(folder: Path) -> list[dict[str, Any]]:
    linted = run("lint", folder, "--json")
    document = json.loads(linted.stdout)
    assert linted.exit_code == (Exit.OK if document["loads"] else Exit.NEGATIVE)
    found: list[dict[str, Any]] = document["problems"]
    return found


@pytest.mark.parametrize("what", BROKEN_SCHEMES)
def test_each_way_to_break_a_scheme_names_its_line_and_the_fix(what: str, folder: Path) -> None:
    old, new, message, fix = BROKEN_SCHEMES[what]
    line = line_of(SCHEME, old)
    write_city(folder, SCHEME.replace(old, new, 1))
    found = [
        one
        for one in problems_of(folder)
        if message in one["message"] + one["path"] and fix in one["fix"]
    ]
    assert found, problems_of(folder)
    near = {problem["line"] for problem in found}
    # Where members are missing or exclude each other, the mapping around them is named.
    assert any(abs(number - line) <= 5 for number in near), (line, found)
    shown = run("lint", folder)
    assert shown.exit_code == Exit.NEGATIVE
    assert any(f"scheme.yaml:{number} " in shown.output for number in near)
    assert fix in shown.output


def test_the_line_is_exactly_that_of_the_member_that_is_wrong(folder: Path) -> None:
    broken = SCHEME.replace("level: YELLOW", "level: ORANGE").replace(
        "source_max_age_seconds: 86400", "source_max_age_seconds: soon"
    )
    write_city(folder, broken)
    found = {one["path"]: one["line"] for one in problems_of(folder)}
    assert found["versions[1].states.黄码.level"] == line_of(broken, "level: ORANGE")
    assert found["versions[1].clocks.source_max_age_seconds"] == line_of(broken, "soon")


def test_a_member_that_nobody_knows_is_named_with_those_that_are(folder: Path) -> None:
    broken = SCHEME.replace("        outcome: NOT_APPLIED", "        outcom: NOT_APPLIED")
    write_city(folder, broken)
    found = [one for one in problems_of(folder) if one["path"].endswith("outcom")]
    assert found[0]["line"] == line_of(broken, "outcom:")
    assert found[0]["fix"].startswith("did you mean `outcome`?")
    assert "level" in found[0]["fix"]


def test_a_text_that_a_comma_cut_in_two_is_to_be_quoted(folder: Path) -> None:
    write_city(folder, SCHEME.replace("en: seven days}", "en: seven days, at most}"))
    (problem,) = problems_of(folder)
    assert "quote the text" in problem["fix"]
    assert problem["line"] == line_of(SCHEME, "en: seven days}")


def test_every_problem_is_told_at_once(folder: Path) -> None:
    broken = SCHEME.replace("level: YELLOW", "level: ORANGE").replace('"330600"\n', '"33060"\n', 1)
    write_city(folder, broken, VECTORS.replace("level: RESTRICTED", "level: RED"))
    found = problems_of(folder)
    assert {one["file"] for one in found} == {"scheme.yaml"}
    assert len(found) >= 3


def test_a_state_without_a_vector_is_named_where_it_stands(folder: Path) -> None:
    write_city(folder, vectors=VECTORS.replace("expect: {level: RED}", "expect: {level: GREEN}"))
    (problem,) = problems_of(folder)
    assert problem["line"] == line_of(SCHEME, "集中隔离") - 2
    assert "add a vector" in problem["fix"]


def test_a_problem_of_the_vectors_names_their_file(folder: Path) -> None:
    vectors = VECTORS.replace("name: grey", "name: not-applied")
    write_city(folder, vectors=vectors)
    assert any(
        one["file"] == "vectors.yaml" and one["line"] >= line_of(VECTORS, "name: grey")
        for one in problems_of(folder)
    )
    assert "vectors.yaml:" in run("lint", folder).output


def test_a_command_that_needs_the_scheme_names_the_first_problem_and_lint(folder: Path) -> None:
    write_city(folder, SCHEME.replace("level: YELLOW", "level: ORANGE"))
    for command in ("show", "diff", "loss"):
        done = run(command, folder)
        assert done.exit_code == Exit.COULD_NOT_RUN
        assert done.stderr.startswith("error: scheme.yaml:")
        assert f"hutong scheme lint {folder}" in done.stderr


def test_a_clean_scheme_has_neither_error_nor_warning(folder: Path) -> None:
    write_city(folder)
    linted = run("lint", folder, "--strict")
    assert linted.exit_code == Exit.OK, linted.output
    assert "✓ loads ex-jkm: 2 versions, 7 states, 7 vectors" in linted.output
    assert "warning" not in linted.output


LOSS = "    lost:\n      - {zh: 原因原文, en: the wording of the reason}\n"
WAY_BACK = "        release: {days: 7, zh: 七日, en: seven days}\n"
CHOICE = """\
    choices:
      - {what: a record older than two days is not used, why: no source tells}
"""
CLOCKS = """\
    clocks:
      code: {life: end_of_day, from: assessed_at}
      source_max_age_seconds: 86400
"""
SCAN = """\
      qr_text:
        method: POST
        path: /scan
        send: json
        fields: {code: "{text}"}
"""
DOUBTFUL = {
    "no evidence of a state": (
        "en: never applied}\n        evidence: [S2]",
        "en: never applied}",
        "`未申领` has no evidence",
    ),
    "no way back": (WAY_BACK, "", "`黄码` has no way back"),
    "a way back in one language": (
        WAY_BACK,
        "        release: {days: 7, zh: 七日}\n",
        "one language",
    ),
    "nothing said to be lost": (LOSS, "", "does not say what is lost"),
    "nothing chosen": (
        CHOICE,
        "",
        "states no choice",
    ),
    "a green of any age": (
        CLOCKS,
        "",
        "green of any age",
    ),
    "a source nobody cites": (
        "versions:\n",
        "  S3: {grade: B, text: unused}\nversions:\n",
        "S3 is never cited",
    ),
    "a state never seen": ("红码, 未申领, 灰码]", "红码, 未申领]", "`灰码` is mapped but never"),
    "an overlong line": ("en: free to pass}", "en: " + "free to pass " * 9 + "}", "a line of 1"),
    "an overlong meaning": (
        "meaning: {zh: 可通行, en: free to pass}",
        "meaning:\n          zh: 可通行\n          en: >-\n"
        + "            free to pass wherever one likes to go\n" * 5,
        "a meaning of 1",
    ),
    "a gap between versions": ("valid_until: 2021-01-01", "valid_until: 2020-12-01", "nothing is"),
    "QR texts that nobody is asked": (
        SCAN,
        "",
        "QR texts that nobody is asked",
    ),
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_what_a_careful_reader_would_ask_about_is_a_warning(what: str, folder: Path) -> None:
    old, new, message = DOUBTFUL[what]
    assert old in SCHEME
    changed = SCHEME.replace(old, new, 1)
    write_city(folder, changed)
    document = json.loads(run("lint", folder, "--json").stdout)
    assert document["loads"], document["problems"]
    found = [one for one in document["warnings"] if message in one["message"]]
    assert found, document["warnings"]
    assert all(one["line"] > 0 and one["fix"] for one in found)
    assert run("lint", folder).exit_code == Exit.OK
    assert run("lint", folder, "--strict").exit_code == Exit.NEGATIVE


def test_a_way_back_that_a_choice_calls_unknown_is_no_warning(folder: Path) -> None:
    choice = "{what: a record older than a day is not used, why: it is recomputed daily}"
    unknown = "{what: the way back from yellow, why: 未知/unknown}"
    write_city(folder, SCHEME.replace(WAY_BACK, "").replace(choice, f"{choice}\n      - {unknown}"))
    assert run("lint", folder, "--strict").exit_code == Exit.OK


def test_vectors_that_cannot_tell_anything_are_warnings(folder: Path) -> None:
    twin = """  - name: twin
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 绿码}]
    expect: {level: GREEN}
  - name: before-the-code
    at: 2019-03-01T12:00:00+08:00
    reports: [{state: 绿码}]
    expect: {level: GREEN}
"""
    write_city(folder, vectors=VECTORS + twin)
    warnings = json.loads(run("lint", folder, "--json").stdout)["warnings"]
    messages = {one["message"]: one["line"] for one in warnings}
    assert messages["vector twin asks what green-of-2020 asks"] == line_of(
        VECTORS + twin, "- name: twin"
    )
    assert "vector before-the-code is asked when no version is in force" in messages


def test_a_connector_that_cannot_be_imported_is_a_warning(folder: Path) -> None:
    start = SCHEME.index("connector:")
    python = SCHEME[:start] + "connector:\n  python: no_such_package.connector:Connector\n"
    write_city(folder, python)
    (warning,) = json.loads(run("lint", folder, "--json").stdout)["warnings"]
    assert "cannot be imported" in warning["message"]
    assert warning["line"] == line_of(python, "python:")


def test_a_scheme_that_no_adapter_serves_is_a_warning(folder: Path) -> None:
    write_city(folder, SCHEME[: SCHEME.index("connector:")])
    (warning,) = json.loads(run("lint", folder, "--json").stdout)["warnings"]
    assert "no connector" in warning["message"]


def test_a_qr_text_of_two_cities_is_told_at_both(folder: Path) -> None:
    other = SCHEME.replace("330600", "330700").replace("3306", "3307")
    write_city(folder)
    write_city(
        folder.parent / "other",
        other.replace("ex-jkm", "ox-jkm"),
        VECTORS.replace("ex-jkm", "ox-jkm").replace("330600", "330700"),
    )
    first, second = json.loads(run("lint", folder, folder.parent / "other", "--json").stdout)
    assert any("QR text of other" in one["message"] for one in first["warnings"])
    assert any("QR text of example" in one["message"] for one in second["warnings"])


def test_shipped_schemes_load_and_no_two_share_a_qr_text() -> None:
    linted = run("lint", "--all", "--json")
    assert linted.exit_code == Exit.OK, linted.output
    for document in json.loads(linted.stdout):
        assert not [one for one in document["warnings"] if "QR text of" in one["message"]]


def test_this_folder_is_linted_where_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_city(folder)
    monkeypatch.chdir(folder)
    assert "loads ex-jkm" in run("lint").output
    assert run("lint", ".", "--all").exit_code == Exit.USAGE
