"""What people read: one line with a cause and a way out, and tables that fit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from gateway.cli import adapter, hub_members, terminal
from gateway.cli.operator_client import MemberView
from gateway.cli.terminal import Exit, describe
from gateway.recognition import load_policy
from gateway.wire.errors import STATUS_OF_REASON, RpcFailure

if TYPE_CHECKING:
    from pathlib import Path

_GATE = "urn:hutong:checkpoint:330600:north-gate"


def _member(name: str) -> MemberView:
    return MemberView(
        urn=_GATE,
        kind="CHECKPOINT",
        state="PENDING",
        display_name=name,
        prefixes=(),
        endpoint="",
        key_ids=(),
        changed_at=datetime(2020, 3, 1, tzinfo=UTC),
    )


@pytest.fixture
def city(tmp_path: Path) -> Path:
    folder = tmp_path / "shaoxing"
    made = CliRunner().invoke(
        adapter.app, ["new", "shaoxing", "--region", "330600", "--dir", str(folder)]
    )
    assert made.exit_code == Exit.OK, made.output
    return folder


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_a_urn_stands_on_one_line_however_narrow_the_screen(columns, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    hub_members.print_members([_member("north gate")])
    assert sum(_GATE in line for line in capsys.readouterr().out.splitlines()) == 1


def test_a_name_that_a_member_gave_itself_is_text_and_no_markup(capsys) -> None:
    hub_members.print_members([_member("[/] [red]x[/red]")])
    assert "[/] [red]x[/red]" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["PEER_UNREACHABLE", *STATUS_OF_REASON])
def test_a_refusal_without_words_of_its_own_is_never_its_code_twice(reason) -> None:
    text = describe(RpcFailure(reason))
    assert text.endswith(f"[{reason}]")
    assert text.count(reason) == 1


def test_an_untested_state_is_named_at_its_own_line(city: Path) -> None:
    vectors = city / "vectors.yaml"
    text = vectors.read_text("utf-8")
    vectors.write_text(text.replace("expect: {level: RED}", "expect: {level: GREEN}"), "utf-8")
    scheme = (city / "scheme.yaml").read_text("utf-8").splitlines()
    line = 1 + next(place for place, row in enumerate(scheme) if row.strip() == "红码:")
    found = CliRunner().invoke(adapter.app, ["lint", str(city)])
    assert found.exit_code == Exit.NEGATIVE
    assert f"scheme.yaml:{line} versions[0].states.红码" in found.stdout


def test_a_command_that_needs_the_scheme_names_its_first_problem_on_one_line(city: Path) -> None:
    scheme = city / "scheme.yaml"
    text = scheme.read_text("utf-8")
    scheme.write_text(text.replace("level: GREEN", "level: GREAN"), "utf-8")
    found = CliRunner().invoke(adapter.app, ["test", str(city)])
    assert found.exit_code == Exit.COULD_NOT_RUN
    error, fix = found.stderr.splitlines()
    assert error.startswith("error: scheme.yaml:")
    assert "SCHEME_INVALID" in error
    assert "hutong adapter lint" in fix


def test_the_policy_of_a_new_city_loads(city: Path) -> None:
    policy = load_policy((city / "policy.yaml").read_bytes())
    assert policy.region == "330600"
    assert 'policy = "policy.yaml"' in (city / "adapter.toml").read_text("utf-8")


def test_every_word_for_a_reason_is_a_sentence_and_not_a_code() -> None:
    assert all(not words.isupper() for words in terminal._WORDS.values())
