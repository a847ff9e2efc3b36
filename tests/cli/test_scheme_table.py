"""The table in the documentation is what the schemes say, or CI says that it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.scheme_files import read_scheme_folder, shipped_folders
from gateway.cli.scheme_table import PAGE, make_table, table_is_current
from gateway.cli.terminal import Exit
from tests.cli.scheme_city import SCHEME, run, write_city

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(tmp_path: Path) -> str:
    return make_table([read_scheme_folder(write_city(tmp_path / "example"))])


def test_every_state_stands_with_meaning_way_back_and_evidence(page: str) -> None:
    assert (
        "| 黄码 | 🟨 YELLOW | 居家观察<br>observed at home | 7 d<br>七日<br>seven days | C: S2 |"
    ) in page
    assert "| 灰码 | ⬜ CANNOT\\_DETERMINE | 不能确认<br>not confirmed | — | C: S2 |" in page
    assert "**时限 Validity**: code holds until 24:00 of the day of assessment" in page
    assert "- 原因原文<br>the wording of the reason" in page
    assert "- S2 (C) synthetic copy, 2021" in page


def test_a_restriction_without_a_known_way_back_says_so(tmp_path: Path) -> None:
    unknown = SCHEME.replace("        release: {days: 7, zh: 七日, en: seven days}\n", "")
    city = read_scheme_folder(write_city(tmp_path / "example", unknown))
    assert "| 居家观察<br>observed at home | 未知<br>unknown | C: S2 |" in make_table([city])


def test_it_counts_lines_and_those_that_need_no_python(page: str, tmp_path: Path) -> None:
    assert "**1 of 1 need no Python.**" in page
    with_python = write_city(tmp_path / "example")
    (with_python / "wire.py").write_text("X = 1\n", "utf-8")
    changed = make_table([read_scheme_folder(with_python)])
    assert "**0 of 1 need no Python.**" in changed


def test_all_choices_stand_at_the_end(page: str) -> None:
    _, _, choices = page.partition("## Choices 选择")
    assert "2 times" in choices
    assert "- a record older than a day is not used: it is recomputed daily" in choices


def test_what_a_scheme_writes_is_text_and_no_markup(tmp_path: Path) -> None:
    sly = SCHEME.replace("en: free to pass}", 'en: "<b>free</b> | [x](y) *to* `pass`"}')
    page = make_table([read_scheme_folder(write_city(tmp_path / "example", sly))])
    assert "&lt;b&gt;free&lt;/b&gt; \\| \\[x\\](y) \\*to\\* \\`pass\\`" in page


def test_every_shipped_version_stands_in_the_table() -> None:
    cities = [read_scheme_folder(folder) for folder in shipped_folders()]
    page = make_table(cities)
    for city in cities:
        for version in city.scheme.versions:
            assert f"### {version.id}\n" in page
            for rule in version.states.values():
                assert rule.meaning_en.split()[0] in page


@pytest.mark.long
def test_a_page_is_stale_as_soon_as_a_scheme_says_something_else(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "schemes.md"
    assert run("table", "--check", page).exit_code == Exit.NEGATIVE
    written = run("table", "--write", page)
    assert written.exit_code == Exit.OK, written.output
    assert run("table", "--check", page).exit_code == Exit.OK
    text = page.read_text("utf-8")
    assert run("table").stdout == text
    page.write_text(text.replace("GREEN", "GREEEN", 1), "utf-8")
    stale = run("table", "--check", page)
    assert stale.exit_code == Exit.NEGATIVE
    assert f"hutong scheme table --write {page}" in stale.stderr.replace("\n", "")
    assert not table_is_current(tmp_path / "nothing.md", text)
    assert run("table", "--check", page, "--write", page).exit_code == Exit.USAGE


def test_ci_checks_the_page_that_the_documentation_shows() -> None:
    assert f"scheme table --check {PAGE}" in (ROOT / "Makefile").read_text("utf-8")
    assert "make schemes-table" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert PAGE.removeprefix("docs/") in (ROOT / "zensical.toml").read_text("utf-8")


@pytest.mark.long
@pytest.mark.processes
def test_the_module_writes_the_page_of_the_project(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli.scheme_table"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    missing = subprocess.run(
        [*command, "--check"], cwd=tmp_path, env=env, capture_output=True, check=False
    )
    assert missing.returncode == Exit.NEGATIVE
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert (tmp_path / PAGE).read_text("utf-8").startswith("# Schemes")
