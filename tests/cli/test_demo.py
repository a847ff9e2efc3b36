"""The demo plays every act as scripted, over real processes, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from adapters.platforms import platform
from gateway.cli.demo.act_native import GRANDCHILD, GRANDMOTHER, TRAVELLER
from gateway.cli.demo.scene import Fact, Scene
from gateway.cli.demo.script import ACTS, CHAPTERS
from gateway.cli.demo.stage import act_block, act_json, chapter_rule, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]

_COMMAND = [sys.executable, "-m", "gateway.cli", "demo"]
_HUBS = ("hub", "zhejiang/hub")
_ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "NO_COLOR": "1",
    "COLUMNS": "160",
}


def _running_below(folder: Path) -> list[int]:
    """Process ids whose command line names a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


class Played:
    """One run of the demo, for all tests of the module: its acts, and what it suggests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder.parent / "stderr.txt").open("w") as errors:
            self.process = subprocess.Popen(
                [*_COMMAND, "--json", "--dir", str(folder)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder.parent,
                env=_ENVIRONMENT,
            )
        self.acts: list[dict[str, Any]] = []
        self.suggested: dict[str, str] = {}

    @property
    def errors(self) -> str:
        return (self.folder.parent / "stderr.txt").read_text()

    def play(self) -> None:
        """Read the acts; returns when the federation stays up, or has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "next" in told:
                self.suggested = told["next"]
                return
            self.acts.append(told)

    def stop(self) -> int:
        """As Ctrl-C does; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        self.process.stdout.read()
        return self.process.wait(120)


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Iterator[Played]:
    run = Played(tmp_path_factory.mktemp("demo") / "federation")
    try:
        run.play()
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
        run.process.wait()
        if run.process.stdout is not None:
            run.process.stdout.close()


def _act(played: Played, name: str) -> dict[str, Any]:
    return next(act for act in played.acts if act["act"] == name)


def test_every_act_is_as_scripted(played) -> None:
    assert played.suggested, played.errors
    assert [(act["chapter"], act["act"]) for act in played.acts] == [
        (chapter.name, act.name) for chapter in CHAPTERS for act in chapter.acts
    ]
    for act in played.acts:
        assert {"origin", "destination", "seen", "verdict", "reasons", "facts"} <= set(act)
        assert act["milliseconds"] >= 0
        assert (act["failures"], act["as_scripted"]) == ([], True), act["act"]
    native = _act(played, "native-red")
    assert native["instead_of"] == native["origin"] == "430000"
    paper = (played.folder / "paper-code.pdf").read_bytes()
    assert paper.startswith(b"%PDF")


def test_a_red_at_noon_ends_the_green_of_the_morning(played) -> None:
    outcomes = [_act(played, name)["verdict"] for name in ("noon-morning", "noon-red", "noon-pack")]
    assert outcomes == ["ADMIT", "REFUSE", "REFUSE"]
    alone = _act(played, "noon-without-a-line")
    assert alone["path"] == "offline"
    assert alone["ages"]["status_seconds"] >= 5 * 3600
    assert alone["ages"]["trust_seconds"] >= 5 * 3600


def test_nothing_is_green_while_the_line_is_cut(played) -> None:
    for name in ("line-cut-far", "line-cut-from-outside"):
        assert (_act(played, name)["seen"], _act(played, name)["verdict"]) == (
            "HUB_UNREACHABLE",
            "REFER",
        )
    for name in ("line-two-hubs", "line-cut-home", "line-healed"):
        assert _act(played, name)["verdict"] == "ADMIT"


def test_a_rotation_fails_nobody_and_a_leaked_key_only_the_thief(played) -> None:
    facts = _act(played, "rotation-at-its-time")["facts"]
    assert any(re.search(r"asked [1-9][0-9]* times meanwhile: 0 failed", fact) for fact in facts)
    leak = {act["act"]: act["verdict"] for act in played.acts if act["act"].startswith("leak-")}
    assert leak == {
        "leak-unnoticed": "ADMIT",
        "leak-too-wide": "REFUSE",
        "leak-undone": "ADMIT",
        "leak-refused": "REFUSE",
    }
    assert any("the audit holds all three" in fact for fact in _act(played, "leak-undone")["facts"])


def test_an_act_that_does_not_come_out_says_where() -> None:
    act = ACTS[0]
    fact = Fact("the gate opens", "开闸", holds=False)
    scene = Scene(
        seen=act.seen,
        verdict="REFUSE",
        zh="劝返",
        en="REFUSE",
        style="",
        is_good=False,
        reasons=(),
        facts=(fact,),
        milliseconds=1.0,
    )
    assert act.failures(scene) == [
        "verdict: REFUSE, scripted ADMIT",
        "reason: nothing, scripted GREEN_IS_FRESH",
        "not so: the gate opens",
    ]
    assert act_json(CHAPTERS[0], act, scene, ["no"])["as_scripted"] is False
    shown = Console(file=io.StringIO(), width=100)
    shown.print(chapter_rule(CHAPTERS[0]), act_block(1, act, scene, ["no"]), summary(1, 1, 2.0))
    printed = shown.file.getvalue()
    assert "not as scripted: no" in printed
    assert "1 of 1 acts were not as scripted" in printed
    assert "✗ the gate opens" in printed


def test_what_it_suggests_works_and_ctrl_c_stops_everything(played) -> None:
    assert played.suggested, played.errors
    # Three platforms have no file of their own.
    assert len(_running_below(played.folder)) >= 8
    assert list(played.suggested) == list(_SAID)
    said = _say(played.suggested, played.folder.parent)
    for name, words in _SAID.items():
        assert all(word in said[name] for word in words), (name, said[name])
    assert played.stop() == 0, played.errors
    deadline = time.monotonic() + 60
    while _running_below(played.folder) and time.monotonic() < deadline:
        os.sched_yield()
    assert _running_below(played.folder) == []


def test_no_file_holds_a_presentation_and_the_hub_holds_no_level(played) -> None:
    folder = played.folder
    people = [
        person
        for city in ("hangzhou", "guangzhou", "guangdong", "beijing", "ningbo")
        for person in platform(city).scenarios().values()
    ]
    secrets = [person.document_number for person in people]
    # Some cities' texts end by themselves: what was shown minutes ago is another today.
    secrets += [person.qr_text for person in people if person.qr_text]
    secrets += [person.number for person in (TRAVELLER, GRANDMOTHER, GRANDCHILD)]
    levels = ("GREEN", "YELLOW", "RED", "RESTRICTED")
    read = 0
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # of a store that is at work
                continue
            read += 1
            assert not [secret for secret in secrets if secret.encode() in data], path
            if any(path.is_relative_to(folder / hub) for hub in _HUBS) and path.suffix != ".db":
                # The feed names levels in schemes and policies; nothing else there may.
                assert not [level for level in levels if f'"{level}"'.encode() in data], path
    assert read > 60


_SAID = {
    "one traveller, online": ["YELLOW", "OBSERVE AT HOME"],
    "path 1: a traveller arrives in Beijing": ['"state":"未见异常"', '"own":"尚未掌握"'],
    "path 2: convert a green": ["CONVERTED", "gd-ykm@2022"],
    "path 3: declare": ["GREEN"],
    "and ask the national issuer": ["GREEN"],
    "path 4: fetch an attestation to carry": ["ADMIT", "wrote carried.png"],
    "and verify it, with no network": ["ADMIT", "offline"],
    "every code that is connected": ["beijing", "yiwu"],
    "what becomes of a platform's own reply, step by step": ["GREEN", "scheme.yaml:"],
    "whoever is not green in Hangzhou, as a list for Guangdong": ["hangzhou.catalogue", "rows"],
    "what a gate knows, and how old it is": ["sequence"],
    "who takes part": ["urn:hutong:region:820000"],
    "break a platform": ["slow=8"],
}
"""What each suggestion must say, beside ending without an error."""


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S602 - the demo's own words, as a person types them
        command,
        shell=True,
        cwd=folder,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def _say(commands: dict[str, str], folder: Path) -> dict[str, str]:
    """Type each suggestion as it was printed."""
    said = {}
    for name, command in commands.items():
        done = _run(command, folder)
        deadline = time.monotonic() + 90
        # The hub was started anew a moment ago: Beijing's line to it comes back by itself.
        while "path 1" in name and "未取得" in done.stdout and time.monotonic() < deadline:
            done = _run(command, folder)
        # A yellow is not admitted, and says so with 1.
        assert done.returncode == (1 if "one traveller" in name else 0), done.stderr
        said[name] = done.stdout + done.stderr
    return said


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    done = subprocess.run(
        [*_COMMAND, "--once", "--dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_a_second_demo_leaves_the_folder_of_a_running_one_alone(tmp_path) -> None:
    marker = tmp_path / "made-by-hutong-demo"
    with marker.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as a demo that still runs holds it
        done = subprocess.run(
            [*_COMMAND, "--once", "--dir", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "another demo runs" in done.stderr
    assert marker.exists()
