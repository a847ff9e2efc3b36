"""Verifiers pass the role through the harness: ours, and one written in another language."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.profile import Profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases

_ROOT = Path(__file__).parents[2]
_NODE = _ROOT / "conformance_tests" / "verifiers" / "node"


OFFERS = ("armour", "disclosure", "packs", "catalogues", "hub-keys", "ages", "feeds")
"""What the readers that we ship declare: everything."""


async def defects(harness: str, which: str = "V-", offers: tuple[str, ...] = ()) -> dict[str, str]:
    """Run the checks of the role; what did not pass, with why."""
    profile = Profile(Role.VERIFIER, harness, _ROOT, {}, frozenset(offers))
    cases = [
        case
        for case in load_cases(Role.VERIFIER)
        if case.id.startswith(which) and set(case.needs) <= set(offers)
    ]
    results = await run_cases(profile, open_bench(profile), cases)
    return {each.case.id: each.detail for each in results if each.status is not Status.PASS}


@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_the_shipped_verifier_passes_every_check() -> None:
    harness = shlex.join([sys.executable, "-m", "tests.conformance.shipped_verifier"])
    assert await defects(harness, offers=OFFERS) == {}


def unavailable(why: str) -> NoReturn:
    """Skip in sight of everybody; where all tools must be there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def node_verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier in JavaScript with its one library, installed once a lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        unavailable("Node.js is not installed")
    lock = (_NODE / "package-lock.json").read_bytes()
    installed = _ROOT / "build" / "node-verifier" / hashlib.sha256(lock).hexdigest()[:16]
    if not (installed / "node_modules").exists():
        fresh = tmp_path_factory.mktemp("node") / "verifier"
        fresh.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NODE / name, fresh)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            unavailable("npm cannot install the verifier's library")
        installed.parent.mkdir(parents=True, exist_ok=True)
        # Another worker may have been faster; its copy is as good.
        with contextlib.suppress(OSError):
            shutil.move(fresh, installed)
    folder = tmp_path_factory.mktemp("harness")
    (folder / "node_modules").symlink_to(installed / "node_modules")
    source = (_NODE / "verifier.mjs").read_text()
    (folder / "verifier.mjs").write_text(source)
    (folder / "kind.mjs").write_text(source.replace("LEEWAY = 60", "LEEWAY = 61"))
    return folder


@pytest.mark.timeout(180)
@pytest.mark.asyncio
async def test_the_verifier_in_another_language_passes_every_check(node_verifier: Path) -> None:
    assert await defects(shlex.join(["node", str(node_verifier / "verifier.mjs")])) == {}


@pytest.mark.timeout(180)
@pytest.mark.asyncio
async def test_a_verifier_in_another_language_that_is_a_second_too_kind_fails(
    node_verifier: Path,
) -> None:
    kind = shlex.join(["node", str(node_verifier / "kind.mjs")])
    assert set(await defects(kind, "V-TIME")) == {"V-TIME-002", "V-TIME-005"}


def test_the_verifier_in_another_language_is_short_and_names_no_registry() -> None:
    assert len((_NODE / "verifier.mjs").read_text().splitlines()) < 300
    assert "resolved" not in (_NODE / "package-lock.json").read_text()
