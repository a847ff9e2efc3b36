"""The guard against a second showing: once is once, whatever is killed or shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge import seen as seen_module
from gateway.edge.seen import SeenAttestations

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)
ISSUER = "urn:hutong:region:330100"


def test_the_second_showing_is_seen_before(tmp_path: Path) -> None:
    guard = SeenAttestations(tmp_path / "seen", os.urandom)
    assert guard.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    assert not guard.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    assert guard.admit_once("urn:hutong:region:440100", "a", expires_at=LATER, now=NOW)


def test_another_process_of_the_checkpoint_knows_it_too(tmp_path: Path) -> None:
    one = SeenAttestations(tmp_path / "seen", os.urandom)
    other = SeenAttestations(tmp_path / "seen", os.urandom)
    assert one.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    assert not other.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    assert other.admit_once(ISSUER, "b", expires_at=LATER, now=NOW)
    assert not one.admit_once(ISSUER, "b", expires_at=LATER, now=NOW)


def test_nothing_in_the_file_names_the_attestation(tmp_path: Path) -> None:
    guard = SeenAttestations(tmp_path / "seen", os.urandom)
    guard.admit_once(ISSUER, "token-id-synthetic", expires_at=LATER, now=NOW)
    content = (tmp_path / "seen").read_bytes()
    assert b"synthetic" not in content
    assert b"330100" not in content
    assert (tmp_path / "seen").stat().st_mode & 0o077 == 0


def test_after_its_life_an_attestation_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_module, "MAX_SEEN_BYTES", 400)
    guard = SeenAttestations(tmp_path / "seen", os.urandom)
    for index in range(20):
        assert guard.admit_once(ISSUER, f"old-{index}", expires_at=LATER, now=NOW)
    assert guard.admit_once(ISSUER, "new", expires_at=LATER + timedelta(days=1), now=LATER)
    assert (tmp_path / "seen").stat().st_size < 200
    assert not guard.admit_once(ISSUER, "new", expires_at=LATER + timedelta(days=1), now=LATER)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.booleans())
def test_a_torn_end_loses_nothing_that_was_reported(
    tmp_path_factory: pytest.TempPathFactory,
    cut: int,
    garbage: bool,
) -> None:
    path = tmp_path_factory.mktemp("seen") / "seen"
    guard = SeenAttestations(path, os.urandom)
    assert guard.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    whole = path.read_bytes()
    guard.admit_once(ISSUER, "b", expires_at=LATER, now=NOW)
    torn = path.read_bytes()[: max(len(whole), path.stat().st_size - cut)]
    path.write_bytes(torn + (b"\xff\x00" if garbage else b""))
    again = SeenAttestations(path, os.urandom)
    assert not again.admit_once(ISSUER, "a", expires_at=LATER, now=NOW)
    assert again.admit_once(ISSUER, "c", expires_at=LATER, now=NOW)
    assert not SeenAttestations(path, os.urandom).admit_once(ISSUER, "c", expires_at=LATER, now=NOW)


_WRITER = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from gateway.edge import seen
seen.MAX_SEEN_BYTES = 2000  # compact often, so that kills meet compactions
guard = seen.SeenAttestations(Path(sys.argv[1]), os.urandom)
now = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)
index = 0
while True:
    expiry = now + timedelta(days=1 if index % 16 == 0 else -1)
    name = f"{sys.argv[2]}-{index}"
    guard.admit_once("urn:hutong:region:330100", name, expires_at=expiry, now=now)
    print(index, flush=True)
    index += 1
"""


@pytest.mark.processes
def test_a_killed_process_forgets_no_admission_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    reported: list[str] = []
    for run in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(run)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        last = 0
        for line in process.stdout:
            last = int(line)
            if last >= 60 + 37 * run:
                break
        process.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.stdout.close()
        process.wait()
        reported += [f"{run}-{index}" for index in range(0, last + 1, 16)]
    guard = SeenAttestations(path, os.urandom)
    expiry = NOW + timedelta(days=1)
    assert not any(guard.admit_once(ISSUER, one, expires_at=expiry, now=NOW) for one in reported)
