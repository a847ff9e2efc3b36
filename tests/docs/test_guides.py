"""The guides cannot rot: their commands exist, and those that need no server are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.main import build
from tests.docs.walk import Block, blocks, commands, missing, write

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs" / "guides").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
        *ROOT.glob("README*.md"),
        ROOT / "docs" / "index.md",
    ]
)
LIVE = sorted(path for path in PAGES if "<!-- test: live" in path.read_text("utf-8"))
"""Typed where a hub runs: :mod:`tests.docs.test_live_guides`."""
WALKS = sorted(
    path for path in PAGES if "<!-- test: run" in path.read_text("utf-8") and path not in LIVE
)


def read(page: Path) -> list[Block]:
    return blocks(page.read_text("utf-8"))


def ids(page: Path) -> str:
    return page.stem


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", WALKS, ids=ids)
def test_whoever_types_a_guide_sees_what_it_prints(page: Path, tmp_path: Path) -> None:
    printed = ""
    for block in read(page):
        where = f"{page.name}:{block.line}"
        if block.word in {"file", "append", "insert"}:
            write(tmp_path, block)
        elif block.word == "run":
            done = run(block.text, tmp_path)
            printed = done.stdout
            assert done.returncode == int(block.rest or 0), f"{where}\n{printed}"
        elif block.word:
            assert block.word == "output", where
            absent = missing(block.text, printed)
            assert absent is None, f"{where} was not printed:\n{absent}\n\nbut:\n{printed}"


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of commands with this environment's programs first."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=200,
    )


def test_a_walk_is_found() -> None:
    assert "connect-a-city" in {page.stem for page in WALKS}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    wrong = []
    for block in read(page):
        if block.language in {"sh", "console"}:
            for words in commands(block, "hutong"):
                fault = fault_of(words)
                if fault:
                    wrong.append(f"line {block.line}: hutong {' '.join(words)}: {fault}")
    assert wrong == []


def fault_of(words: list[str]) -> str | None:
    """Why a call of ``hutong`` cannot be typed; None: it can."""
    command: Any = typer.main.get_command(build(words[0]))
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.commands.get(name)
        # A hidden one is an old name that still works; a guide uses the new one.
        if found is None or found.hidden:
            return f"there is no {name}"
        command = found
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    known |= {"--help", "-h"}
    unknown = [word for word in rest if word.startswith("-") and word not in {"-", *known}]
    return f"no option {', '.join(unknown)}" if unknown else None


def test_a_wrong_command_would_be_found() -> None:
    assert fault_of(["platform", "serve", "hangzhou"]) == "there is no serve"
    assert fault_of(["scheme", "lint", "--all", "--colour"]) == "no option --colour"
    assert fault_of(["adapter", "new", "qujing", "--region", "530300"]) is None
