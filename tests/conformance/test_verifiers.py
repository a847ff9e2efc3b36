"""Verifiers pass the role through the harness: ours, and one written in another language."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.profile import Profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases

_ROOT = Path(__file__).parents[2]


async def defects(harness: str) -> dict[str, str]:
    """Run every check of the role; what did not pass, with why."""
    profile = Profile(Role.VERIFIER, harness, _ROOT, {})
    results = await run_cases(profile, open_bench(profile), load_cases(Role.VERIFIER))
    return {each.case.id: each.detail for each in results if each.status is not Status.PASS}


@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_the_shipped_verifier_passes_every_check() -> None:
    harness = shlex.join([sys.executable, "-m", "tests.conformance.shipped_verifier"])
    assert await defects(harness) == {}
