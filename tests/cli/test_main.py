"""The root command finds the group that is asked for and keeps to its exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.main import _GROUPS, build
from gateway.cli.terminal import Exit


def test_help_names_every_group_without_loading_any() -> None:
    shown = CliRunner().invoke(build(None), ["--help"])
    assert shown.exit_code == Exit.OK
    for name in _GROUPS:
        assert name in shown.stdout


@pytest.mark.parametrize("group", _GROUPS)
def test_every_group_has_help(group: str) -> None:
    shown = CliRunner().invoke(build(group), [group, "--help"])
    assert shown.exit_code == Exit.OK
    assert shown.stdout


@pytest.mark.processes
@pytest.mark.parametrize("words", [["nothing"], ["hub", "nothing"], ["demo", "--nothing"]])
def test_a_wrong_command_line_leaves_with_64(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words], capture_output=True, check=False
    )
    assert done.returncode == Exit.USAGE
