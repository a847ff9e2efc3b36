"""``hutong issuer``: a day at its windows, gates and desks, against a running issuer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToJson
from hutong.v1 import issuer_pb2
from typer.testing import CliRunner

from gateway.cli.main import build
from tests.issuer.core.world import POPULATION
from tests.issuer.service.test_paper import read_page
from tests.issuer.service.world import declaration

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[3]
COMMANDS = (
    *("init", "run", "recompute", "enrol", "declare", "itinerary", "query", "make-code"),
    *("verify-code", "client add", "client list", "client remove", "correct open", "correct show"),
    *("desk areas publish", "desk contacts", "desk corrections list"),
    *("desk corrections answer", "desk trace"),
)


class Here:
    """A folder to work in, and its issuer once one runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "issuer"
        self.number = folder / "number.txt"
        self.number.write_text(POPULATION.person(1).number + "\n")

    def run(self, *words: str, stdin: str | None = None) -> Any:
        app = build("issuer")
        return CliRunner().invoke(app, ["issuer", *words], input=stdin)

    def ask(self, *words: str, code: int = 0, **options: Any) -> Any:
        """A command that prints JSON."""
        result = self.run(*words, "--dir", str(self.directory), "--json", **options)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if result.stdout else None

    def about(self, *words: str, code: int = 0, **options: Any) -> Any:
        """A command about the first person."""
        return self.ask(*words, "--document-file", str(self.number), code=code, **options)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@contextmanager
def running(here: Here) -> Iterator[subprocess.Popen[str]]:
    paths = [str(ROOT), str(ROOT / "protos/gen")]
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "gateway.cli", "issuer", "run", "--json"),
            *("--dir", str(here.directory)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    ) as process:
        try:
            assert process.stdout is not None
            target = json.loads(process.stdout.readline())["grpc"]
            for profile in (here.directory / "clients").glob("*.toml"):
                text = profile.read_text().replace(
                    "localhost:0", target.replace("127.0.0.1", "localhost")
                )
                profile.write_text(text)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(here: Here, command: str) -> None:
    result = here.run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"hutong issuer {command}" in " ".join(result.output.split())


def test_clients_are_listed_added_and_removed(here: Here) -> None:
    here.ask("init", "--grpc", "127.0.0.1:0")
    assert here.run("init", "--dir", str(here.directory)).exit_code == 2
    first = {one["client"]: one["roles"] for one in here.ask("client", "list")}
    assert first == {
        "window": ["application"],
        "gate": ["gate"],
        "feeder": ["feeder"],
        "reviewer": ["reviewer"],
    }
    made = here.ask("client", "add", "clinic", "--role", "application", "--role", "gate")
    assert Path(made["profile"]).exists()
    assert here.run("client", "add", "clinic", "--role", "gate").exit_code == 2
    listed = {one["client"]: one["roles"] for one in here.ask("client", "list")}
    assert listed == first | {"clinic": ["application", "gate"]}
    here.ask("client", "remove", "clinic")
    assert {one["client"] for one in here.ask("client", "list")} == set(first)
    assert here.run("client", "add", "x", "--role", "king").exit_code == 64


def test_a_day_at_the_windows_the_gate_and_the_desks(here: Here) -> None:
    here.ask("init", "--grpc", "127.0.0.1:0")
    with running(here) as process:
        assert here.about("query", code=1) == {"outcome": "OUTCOME_NOT_APPLIED"}
        refused = here.run(
            *("declare", "--dir", str(here.directory), "--file"),
            here.write(
                "bad.json",
                MessageToJson(
                    declaration(1, symptoms=[issuer_pb2.SYMPTOM_NONE, issuer_pb2.SYMPTOM_EYES])
                ),
            ),
        )
        assert refused.exit_code == 1
        assert "symptoms" in refused.stderr
        file = here.write("good.json", MessageToJson(declaration(1)))
        assert here.ask("declare", "--file", file)["state"]["level"] == "LEVEL_GREEN"
        left = datetime.now(UTC) - timedelta(days=1)
        stay = f"330782,{(left - timedelta(days=1)).isoformat()},{left.isoformat()}"
        here.about("itinerary", "--stay", stay)

        paper = here.folder / "paper.pdf"
        here.about("make-code", "--paper", str(paper))
        [text], _, _ = read_page(paper.read_bytes())
        assert paper.stat().st_mode & 0o077 == 0
        verified = here.ask("verify-code", "-", stdin=text)
        assert verified["holder"]["gate_level"] == "LEVEL_GREEN"
        hot = here.ask("verify-code", "-", "--temperature", "38.2", stdin=text, code=1)
        assert hot["holder"]["gate_level"] == "LEVEL_YELLOW"

        at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        number = POPULATION.person(1).number
        contacts = here.write(
            "contacts.csv",
            "number,kind,at,division,reference\n"
            f"{number},close,{at},330106,case-1\n"
            f"{number},close,{at},330106,case-1\n"
            f"{number[:-1]},close,{at},330106,case-2\n",
        )
        told = here.ask("desk", "contacts", contacts, code=1)
        assert [row["outcome"] for row in told["rows"]] == ["TAKEN", "KNOWN", "UNREADABLE"]
        assert told["changed"] == 1
        areas = here.write("areas.json", '[{"division": "420100", "risk": "high"}]')
        assert here.ask("desk", "areas", "publish", areas, "--source", "x")["revision"] == 1

        opened = here.about("correct", "open", "--subject", "contact", "--statement", "not me")
        correction = opened["correction"]["id"]
        assert opened["state"]["level"] == "LEVEL_RED"
        [case] = here.ask("desk", "corrections", "list")
        assert case["correction"]["id"] == correction
        entries = here.about("desk", "trace")["entries"]
        [fact] = [entry["id"] for entry in entries if entry["kind"] == "contact"]
        answered = here.ask(
            *("desk", "corrections", "answer", correction),
            *("--uphold", "--withdraw", fact, "--why", "another person"),
        )
        assert answered["state"]["level"] == "LEVEL_GREEN"
        shown = here.about("correct", "show", correction)
        assert shown["correction"]["status"] == "CORRECTION_STATUS_UPHELD"
        assert here.ask("recompute")["people"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert here.about("query", code=2) is None
