from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from adapters.platforms import city_names
from gateway.cli.platform import app

if TYPE_CHECKING:
    from collections.abc import Iterator

runner = CliRunner()


def test_population_lists_every_story_with_papers_and_needs_no_server() -> None:
    result = runner.invoke(app, ["people", "guangzhou", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["synthetic"] is True
    stories = {person["name"]: person for person in document["scenarios"]}
    assert stories["guangzhou/red"]["expected"] == "RESTRICTED"
    shown = runner.invoke(app, ["people", "guangzhou"])
    assert stories["guangzhou/red"]["qr_text"] in shown.stdout


@pytest.mark.parametrize("city", city_names())
def test_every_city_shows_its_people(city: str) -> None:
    result = runner.invoke(app, ["people", city, "--size", "10000", "--json"])
    assert result.exit_code == 0
    stories = json.loads(result.stdout)["scenarios"]
    assert {f"{city}/not-found"} < {story["name"] for story in stories}
    assert runner.invoke(app, ["people", city]).exit_code == 0


@pytest.mark.parametrize("old", [["population", "hangzhou"], ["serve", "--help"]])
def test_the_names_of_the_first_release_still_work(old: list[str]) -> None:
    assert runner.invoke(app, old).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["people", "atlantis"],
        ["people", "hangzhou", "--size", "1000000000"],
        ["run", "atlantis"],
        ["run", "hangzhou", "--faults", "slow=x"],
        ["run", "hangzhou", "--host", "0.0.0.0"],
        ["fault", "set", "broken", "--city", "hangzhou"],
        ["fault", "show", "--city", "atlantis"],
        ["fault", "show", "--city", "hangzhou", "--admin-url", "ftp://x"],
        ["turn", "330102190001010010", "--to", "红码", "--city", "hangzhou"],
        ["turn", "green", "--to", "红码", "--city", "atlantis"],
    ],
)
def test_a_wrong_command_line_leaves_with_64_and_a_fix(words: list[str]) -> None:
    result = runner.invoke(app, words)
    assert result.exit_code == 64
    assert "fix:" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["green"],
        ["--to", "红码"],
        ["green", "--to", "红码", "--back"],
        ["green", "--to", "红码", "--document-file", "-"],
    ],
)
def test_a_turn_names_one_person_and_one_state(words: list[str]) -> None:
    from gateway.cli.main import build  # noqa: F401  sets the exit code of usage errors

    assert runner.invoke(app, ["turn", *words, "--city", "hangzhou"]).exit_code == 64


def test_nobody_at_the_admin_door_is_could_not_run(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    result = runner.invoke(app, ["fault", "show", "--city", "hangzhou", "--admin-url", url])
    assert result.exit_code == 2
    assert "hutong platform run hangzhou" in result.stderr


@pytest.fixture
def serving() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "gateway.cli", "platform", "run", "hangzhou"]
    options = ["--port", "0", "--admin-port", "0", "--faults", "slow=0.5,stale", "--json"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        if process.poll() is None:
            process.kill()


@pytest.mark.processes
def test_faults_of_a_running_city_are_switched_and_ctrl_c_stops_it(
    serving: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    process, doors = serving
    admin = ["--city", "hangzhou", "--admin-url", doors["admin_url"]]
    shown = runner.invoke(app, ["fault", "show", *admin])
    assert shown.stdout == "faults: slow=0.5, stale\n"
    changed = runner.invoke(app, ["fault", "set", "quota", "garbage=html", *admin])
    assert changed.stdout == "faults: garbage=html, quota\n"
    refused = runner.invoke(app, ["fault", "clear", *admin, "--admin-token", "wrong"])
    assert refused.exit_code == 2
    cleared = runner.invoke(app, ["fault", "clear", *admin])
    assert cleared.stdout == "faults: none\n"
    turned = runner.invoke(app, ["turn", "green", "--to", "红码", *admin])
    assert turned.stdout == "hangzhou: 1 turned, now 红码\n"
    told = json.loads(runner.invoke(app, ["people", "hangzhou", "--json"]).stdout)["scenarios"]
    number = next(one["document_number"] for one in told if one["name"] == "hangzhou/yellow")
    words = ["turn", "--document-file", "-", "--back", "--json", *admin]
    turned = runner.invoke(app, words, input=f"{number}\n")
    assert json.loads(turned.stdout) == {"city": "hangzhou", "state": None, "turned": 1}
    unknown = runner.invoke(app, ["turn", "green", "--to", "purple", *admin])
    assert unknown.exit_code == 2
    assert "states now: 绿码, 黄码, 红码" in unknown.stderr
    with urllib.request.urlopen(f"{doors['admin_url']}/healthz") as answer:
        assert json.load(answer)["city"] == "hangzhou"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
