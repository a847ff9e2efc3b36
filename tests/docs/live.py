"""A hub, a region and a gate as a guide finds them, in one folder, as real processes.

The guides name what nobody has (``hub.example``, a stick); here those names become what
runs on this machine. The folder is made once and copied, so that every guide begins with
the same members and no guide sees what another did::

    hub/          a hub that runs; its operator's profile is in it
    hub-ca.pem    its root
    anchor.json   its trust anchor
    qujing/       an active region
    gate/         an active checkpoint of that region
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

REGION = "urn:hutong:region:530300"
GATE = "urn:hutong:checkpoint:530300:north-gate"
WAIT_SECONDS = 30


@dataclass
class Place:
    """One such folder.

    Attributes:
        folder: where a guide's reader stands.
        names: what the guide calls things, and what they are here.
        running: processes to end.
        kept: what the reader's shell remembers.
    """

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    kept: str = ""

    def here(self, text: str) -> str:
        """A guide's text with its names made those of this place."""
        for name, real in sorted(self.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(name, real)
        return text

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",  # noqa: PTH120
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "120",
            "NO_COLOR": "1",
        }

    def run(self, script: str, *, code: int | None = 0) -> str:
        """Run a script here; what it prints on either stream."""
        done = subprocess.run(
            ["sh", "-e", "-c", self.here(script)],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )
        assert code is None or done.returncode == code, f"{script}\n{done.stdout}"
        return done.stdout

    def start_hub(self, name: str) -> dict[str, str]:
        """Run a hub at free ports, and tell its operator's profile where."""
        folder = self.folder / name
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "hub", "run", "--dir", str(folder), "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment(),
                text=True,
            )
        self.running.append(process)
        assert process.stdout is not None
        listening: dict[str, str] = json.loads(process.stdout.readline())
        grpc = listening["grpc"].rpartition(":")[2]
        http = listening["http"].rpartition(":")[2]
        profile = folder / "operator/operator.toml"
        text = re.sub(r'hub = "[^"]*"', f'hub = "localhost:{grpc}"', profile.read_text("utf-8"))
        text = re.sub(
            r'token_url = "[^"]*"', f'token_url = "https://localhost:{http}/oauth2/token"', text
        )
        profile.write_text(text, "utf-8")
        return {"grpc": f"localhost:{grpc}", "http": f"localhost:{http}"}

    def stop(self) -> None:
        """End what was started here."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.communicate(timeout=WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def make_members(folder: Path) -> None:
    """Make the folder that the module describes, with everything stopped."""
    place = Place(folder)
    place.run(
        "hutong hub init --dir hub --approvals 1 --grpc 127.0.0.1:0 --http 127.0.0.1:0\n"
        "hutong adapter new qujing --region 530300\n"
        "cp hub/anchor.json hub/tls/ca.pem .\nmv ca.pem hub-ca.pem\ncp anchor.json qujing/\n"
    )
    try:
        at = place.start_hub("hub")
        place.names = {"HUB": at["grpc"], "DOOR": at["http"]}
        place.run(
            "hutong region enrol qujing --no-checks --hub HUB --http https://DOOR --ca hub-ca.pem",
            code=1,
        )
        place.run(
            f"hutong hub approve {REGION}\nmkdir gate\ncd gate\n"
            f"hutong checkpoint init --urn {GATE} --hub HUB --http https://DOOR"
            " --anchor ../anchor.json --ca ../hub-ca.pem"
        )
        place.run("cd gate && hutong checkpoint enrol", code=1)
        place.run(f"hutong hub approve {GATE}")
    finally:
        place.stop()


def open_place(made: Path, folder: Path) -> Place:
    """A copy of the folder whose hub runs."""
    shutil.copytree(made, folder)
    place = Place(folder)
    at = place.start_hub("hub")
    place.names = {
        "hub.example:7443": at["grpc"],
        "hub.example:7480": at["http"],
        "/media/stick": str(folder / "stick"),
    }
    (folder / "stick").mkdir()
    settings = folder / "gate/checkpoint.toml"
    text = re.sub(
        r'^hub = "[^"]*"', f'hub = "{at["grpc"]}"', settings.read_text("utf-8"), flags=re.MULTILINE
    )
    text = re.sub(r'^http = "[^"]*"', f'http = "https://{at["http"]}"', text, flags=re.MULTILINE)
    settings.write_text(text, "utf-8")
    return place


def add_nation(place: Place) -> None:
    """Let the place's own hub be a province's, and run a nation's above it."""
    place.stop()
    place.running.clear()
    shutil.rmtree(place.folder / "hub")
    place.run(
        "hutong hub init --dir hub --urn urn:hutong:hub:330000 --approvals 1"
        " --grpc 127.0.0.1:0 --http 127.0.0.1:0\n"
        "hutong hub init --dir nation/hub --approvals 1 --grpc 127.0.0.1:0 --http 127.0.0.1:0\n"
        "cp nation/hub/anchor.json national-anchor.json\ncp nation/hub/tls/ca.pem national-ca.pem\n"
    )
    own, above = place.start_hub("hub"), place.start_hub("nation/hub")
    place.names = {
        "hub.zhejiang.example:7443": own["grpc"],
        "national.example:7443": above["grpc"],
        "national.example:7480": above["http"],
    }


def keys_of(place: Place, use: str, state: str) -> list[str]:
    """Ids of the region's keys of one use that stand so, in order of their first use."""
    hub, http = place.names["hub.example:7443"], place.names["hub.example:7480"]
    said: dict[str, Any] = json.loads(
        place.run(
            f"hutong region status qujing --hub {hub} --http https://{http} --ca hub-ca.pem --json",
            code=None,
        )
    )
    found = sorted(said["keys"], key=lambda key: key["not_before"])
    return [key["key_id"] for key in found if (key["use"], key["state"]) == (use, state)]
