"""The demo plays every act as scripted, over real processes, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.platforms import platform
from gateway.cli.demo.act_native import GRANDCHILD, GRANDMOTHER, TRAVELLER
from gateway.cli.demo.scene import Fact, Scene
from gateway.cli.demo.script import ACTS, CHAPTERS
from gateway.cli.demo.stage import act_json

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400), pytest.mark.xdist_group("demo")]

_COMMAND = [sys.executable, "-m", "gateway.cli", "demo"]
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


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo") / "federation"
    return folder, subprocess.run(
        [*_COMMAND, "--once", "--json", "--dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_act_is_as_scripted_and_nothing_is_left_running(played) -> None:
    folder, done = played
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["chapter"], line["act"]) for line in lines] == [
        (chapter.name, act.name) for chapter in CHAPTERS for act in chapter.acts
    ]
    for line in lines:
        assert {"origin", "destination", "seen", "verdict", "reasons", "facts"} <= set(line)
        assert line["milliseconds"] >= 0
        assert (line["failures"], line["as_scripted"]) == ([], True)
    assert _running_below(folder) == []
    native = next(line for line in lines if line["act"] == "native-red")
    assert native["instead_of"] == native["origin"] == "430000"
    paper = (folder / "paper-code.pdf").read_bytes()
    assert paper.startswith(b"%PDF")


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


def test_no_file_holds_a_presentation_and_the_hub_holds_no_level(played) -> None:
    folder, done = played
    assert done.returncode == 0, done.stderr
    people = [
        person
        for city in ("hangzhou", "guangzhou", "guangdong", "beijing")
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
            data = path.read_bytes()
            read += 1
            assert not [secret for secret in secrets if secret.encode() in data], path
            if path.is_relative_to(folder / "hub") and path.suffix != ".db":
                # The feed names levels in schemes and policies; nothing else there may.
                assert not [level for level in levels if f'"{level}"'.encode() in data], path
    assert read > 60


def test_what_it_suggests_works_and_ctrl_c_stops_everything(tmp_path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [*_COMMAND, "--dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=_ENVIRONMENT,
    ) as demo:
        try:
            assert demo.stdout is not None
            printed = []
            for line in demo.stdout:
                printed.append(line)
                if "Ctrl-C" in line:
                    break
            running = len(_running_below(folder))
            said = _say(re.findall(r"  # (.+)\n  (.+)\n", "".join(printed)), tmp_path)
        finally:
            demo.send_signal(signal.SIGINT)
        demo.stdout.read()
        assert demo.wait(60) == 0
    deadline = time.monotonic() + 10
    while _running_below(folder) and time.monotonic() < deadline:
        os.sched_yield()
    assert _running_below(folder) == []
    # Three platforms have no file of their own.
    assert running >= 8
    assert list(said) == list(_SAID)
    for name, words in _SAID.items():
        assert all(word in said[name] for word in words), (name, said[name])


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


def _say(commands: list[tuple[str, str]], folder: Path) -> dict[str, str]:
    """Type each suggestion as it was printed."""
    said = {}
    for name, command in commands:
        done = subprocess.run(  # noqa: S602 - the demo's own words, as a person types them
            command,
            shell=True,
            cwd=folder,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
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
