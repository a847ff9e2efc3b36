"""``hutong scheme``: list, show, test, diff, loss; names, dates and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from adapters.schemes import SCHEMES_FOLDER
from gateway.cli.scheme_files import read_scheme_folder, shipped_folders
from gateway.cli.scheme_measure import measure
from gateway.cli.terminal import Exit
from tests.cli.scheme_city import SCHEME, VECTORS, line_of, run, write_city

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("list", "show", "lint", "test", "explain", "diff", "loss", "table")


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return write_city(tmp_path / "example")


def found(*words: object) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == Exit.OK, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_in_its_help(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == Exit.OK
    assert f"hutong scheme {command}" in shown.output


def test_list_names_every_shipped_scheme_and_counts_those_without_python() -> None:
    listed = found("list")
    assert listed["not_loading"] == []
    assert [row["city"] for row in listed["schemes"]] == [f.name for f in shipped_folders()]
    free = [row for row in listed["schemes"] if not row["needs_python"]]
    assert len(free) >= 10
    for row in listed["schemes"]:
        lines = row["lines"]
        assert lines["scheme"] > lines["connector"]
        # No wire is described where a service of its own serves the scheme.
        own = lines["python"] > 0 or lines["connector"] == 0
        assert row["needs_python"] == (own or row["python_shared_with"] is not None)
    assert f"{len(free)} of them without a line of Python" in run("list").output


@pytest.mark.parametrize("columns", ["60", "80", "140", "200"])
def test_a_list_shows_names_in_both_languages_at_every_width(
    columns: str, city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = run("list", city.parent)
    assert shown.exit_code == Exit.OK
    assert "示例健康码" in shown.output
    assert all(len(line) <= int(columns) for line in shown.output.splitlines())


def test_a_folder_of_schemes_tells_which_does_not_load(city: Path) -> None:
    write_city(city.parent / "broken", SCHEME.replace("level: YELLOW", "level: ORANGE"))
    listed = run("list", city.parent, "--json")
    assert listed.exit_code == Exit.NEGATIVE
    rows = json.loads(listed.stdout)
    assert [row["city"] for row in rows["schemes"]] == ["example"]
    assert rows["not_loading"][0]["folder"].endswith("broken")
    assert "broken does not load: scheme.yaml:" in run("list", city.parent).output
    assert run("list", city.parent / "nothing").exit_code == Exit.COULD_NOT_RUN


@pytest.mark.parametrize("name", ["hangzhou", "hz-jkm", "330100", "杭州健康码"])
def test_a_shipped_scheme_answers_to_each_of_its_names(name: str, city: Path) -> None:
    assert found("show", name)["family"] == "hz-jkm"


def test_a_folder_here_comes_before_a_shipped_scheme_of_that_name(city: Path) -> None:
    write_city(city.parent / "hangzhou")
    shown = run("show", "hangzhou", "--json")
    assert json.loads(shown.stdout)["family"] == "ex-jkm"
    assert "not the shipped hangzhou" in shown.stderr


@pytest.mark.parametrize(
    ("word", "meant"), [("hangzou", "hangzhou"), ("bj-jbk", "beijing"), ("渝康", "chongqing")]
)
def test_a_misspelt_name_is_asked_back(word: str, meant: str, city: Path) -> None:
    shown = run("show", word)
    assert shown.exit_code == Exit.USAGE
    assert "did you mean" in shown.stderr
    assert meant in shown.stderr


def test_an_unknown_name_points_to_the_list(city: Path) -> None:
    shown = run("show", "qqqqqq")
    assert shown.exit_code == Exit.USAGE
    assert "hutong scheme list" in shown.stderr


def test_show_tells_states_clocks_qr_choices_and_sources(city: Path) -> None:
    shown = run("show", city).output
    for part in ("■ 绿码", "▢ 灰码", "CANNOT_DETERMINE", "observed at home", "七日", "seven days"):
        assert part in shown
    for part in ("until 24:00 of the day of assessment", "→ 330600", "S2 (C)", "原因原文"):
        assert part in shown
    line = line_of(SCHEME, '- id: "2021"')
    assert f"ex-jkm@2021   since 2021-01-01   in force   scheme.yaml:{line}" in shown
    states = found("show", city)["versions"][1]["states"]
    assert [state["result"] for state in states] == [
        "GREEN",
        "YELLOW",
        "RED",
        "NOT_APPLIED",
        "CANNOT_DETERMINE",
    ]


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2020-12-31", "ex-jkm@2020"),
        ("2021-01-01", "ex-jkm@2021"),
        ("2020-12-31T15:59:59Z", "ex-jkm@2020"),
        ("2020-12-31T16:00:00Z", "ex-jkm@2021"),
    ],
)
def test_at_picks_the_version_in_the_zone_of_the_scheme(at: str, version: str, city: Path) -> None:
    assert [one["id"] for one in found("show", city, "--at", at)["versions"]] == [version]


def test_a_date_that_is_none_and_one_before_the_scheme(city: Path) -> None:
    assert run("show", city, "--at", "yesterday").exit_code == Exit.USAGE
    before = run("show", city, "--at", "2019-01-01")
    assert before.exit_code == Exit.COULD_NOT_RUN
    assert "SCHEME_NOT_IN_FORCE" in before.stderr


def test_vectors_that_hold_are_ticked_and_counted(city: Path) -> None:
    tested = run("test", city)
    assert tested.exit_code == Exit.OK
    assert "7 passed, 0 failed" in tested.output
    assert found("test", city)["passed"] == 7


def test_a_vector_that_differs_is_shown_with_its_line_and_the_rule_that_decides(city: Path) -> None:
    at = "reports: [{state: 绿码}]\n    expect: {level: GREEN}"
    vectors = VECTORS.replace(
        at, at + "\n  - name: late\n    at: 2020-03-02T08:00:00+08:00\n    " + at
    )
    write_city(city, vectors=vectors)
    tested = run("test", city)
    assert tested.exit_code == Exit.NEGATIVE
    assert f"vectors.yaml:{line_of(vectors, '- name: late')} late" in tested.output
    assert "expected GREEN" in tested.output
    assert "got      CODE_EXPIRED" in tested.output
    assert f"scheme.yaml:{line_of(SCHEME, '绿码:')}" in tested.output
    (failed,) = [
        one
        for one in json.loads(run("test", city, "--json").stdout)["vectors"]
        if not one["passed"]
    ]
    assert failed["line"] == line_of(vectors, "- name: late")


def test_several_folders_are_tested_at_once_and_one_that_does_not_load_is_2(city: Path) -> None:
    other = write_city(city.parent / "other", SCHEME.replace("level: RED\n", "level: REDD\n"))
    tested = run("test", city, other)
    assert tested.exit_code == Exit.COULD_NOT_RUN
    assert "7 passed, 0 failed in 2 schemes, 1 not loading" in tested.output
    assert "does not load: scheme.yaml:" in tested.output


def test_every_shipped_scheme_holds_its_vectors() -> None:
    tested = run("test", "--all", "--json")
    assert tested.exit_code == Exit.OK, tested.output
    runs = json.loads(tested.stdout)
    assert len(runs) == len(shipped_folders())
    assert all(one["passed"] and not one["failed"] for one in runs)


def test_diff_tells_states_added_removed_and_changed_in_both_languages(city: Path) -> None:
    differs = found("diff", city)
    assert (differs["from"], differs["to"]) == ("ex-jkm@2020", "ex-jkm@2021")
    states = {
        (change["kind"], change["name"], change["member"]): change
        for change in differs["changes"]
        if change["part"] == "states"
    }
    assert ("added", "黄码", "") in states
    level = states[("changed", "红码", "level")]
    assert (level["old"], level["new"]) == ("RESTRICTED", "RED")
    assert level["line"] == line_of(SCHEME, "集中隔离") - 2
    assert states[("changed", "红码", "meaning")]["new"] == "集中隔离\nisolated"
    assert not any(name == "绿码" for _, name, _ in states)
    clock = next(change for change in differs["changes"] if change["part"] == "clocks")
    assert clock["line"] == line_of(SCHEME, "life: end_of_day")
    back = found("diff", city, "2021", "ex-jkm@2020")["changes"]
    assert any(change["kind"] == "removed" and change["name"] == "黄码" for change in back)
    assert found("diff", city, "2021", "2021")["changes"] == []
    printed = run("diff", city).output
    assert "+ 黄码" in printed
    assert "居家观察" in printed


def test_diff_of_a_version_that_is_unknown_or_alone(city: Path) -> None:
    unknown = run("diff", city, "2020", "2012")
    assert unknown.exit_code == Exit.USAGE
    assert "example has 2020, 2021" in unknown.stderr
    assert run("diff", city, "2020").exit_code == Exit.USAGE
    alone = run("diff", "hangzhou")
    assert alone.exit_code == Exit.COULD_NOT_RUN
    assert "hutong scheme show hangzhou" in alone.stderr


def test_loss_counts_merged_states_vanished_words_and_grades(city: Path) -> None:
    older, newer = found("loss", city)
    assert older["stated"] == [{"zh": "原因原文", "en": "the wording of the reason"}]
    assert older["grades"] == {"A": 2}
    assert newer["grades"] == {"A": 1, "C": 4}
    gone = {one["word"]: one["becomes"] for one in newer["vanished"]}
    assert gone["未申领"] == "NOT_APPLIED"
    assert gone["Y"] == "黄码"
    assert "灰码" not in gone  # CANNOT_DETERMINE carries the raw state
    merged = SCHEME.replace("level: YELLOW", "level: RED")
    write_city(city, merged, VECTORS.replace("expect: {level: YELLOW}", "expect: {level: RED}"))
    assert found("loss", city)[1]["merged"] == {"RED": ["黄码", "红码"]}
    assert "黄码  红码" in run("loss", city).output


def test_loss_of_all_names_every_version_and_needs_exactly_one_of_both() -> None:
    versions = {one for row in found("list")["schemes"] for one in row["versions"]}
    assert {one["version"] for one in found("loss", "--all")} == versions
    assert run("loss").exit_code == Exit.USAGE
    assert run("loss", "hangzhou", "--all").exit_code == Exit.USAGE


def test_lines_that_hold_nothing_do_not_count(city: Path) -> None:
    before = measure(read_scheme_folder(city))
    assert (before.python, before.needs_python) == (0, False)
    (city / "__init__.py").write_text('"""Only a docstring."""\n\n# and a comment\n', "utf-8")
    (city / "scheme.yaml").write_text(SCHEME + "\n# a comment\n\n", "utf-8")
    assert measure(read_scheme_folder(city)) == before
    (city / "wire.py").write_text('"""Doc."""\n\n\ndef f() -> int:\n    """Doc."""\n    return 1\n')
    assert measure(read_scheme_folder(city)).python == 2
    python = "connector:\n  python: gateway.issuer.connector:served\n"
    foreign = write_city(city.parent / "foreign", SCHEME[: SCHEME.index("connector:")] + python)
    assert measure(read_scheme_folder(foreign)).python_words == "that of gateway.issuer"
    apart = write_city(city.parent / "apart", SCHEME[: SCHEME.index("connector:")])
    found = measure(read_scheme_folder(apart))
    assert (found.connector, found.needs_python, found.python_words) == (0, True, "own service")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["test", "nowhere-at-all"], 64),
        (["lint", "/nonexistent"], 2),
        (["show"], 64),
        (["diff", "guangzhou", "--json"], 0),
    ],
)
def test_exit_codes_of_the_real_command(words: list[str], code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "scheme", *words],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert SCHEMES_FOLDER.is_dir()
