"""Every adapter we ship passes the suite, started for real with its platform behind it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.platforms import platform
from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases
from tests.conformance.shipped import CITIES, capabilities, scheme_of, shipped_city

UNTOLD = {"person.unanswered", "person.test-from-ahead", "drain"}
"""What no shipped city can show from outside; the reference peer proves the check."""


NEAREST = ("hangzhou", "guangzhou", "beijing", "ningbo")
"""Asked on the short walk; on the long one, everybody is."""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in NEAREST else pytest.mark.long) for name in CITIES],
)
async def test_a_shipped_adapter_passes_every_check_that_applies(name: str, tmp_path) -> None:
    async with shipped_city(name, tmp_path) as path:
        profile = load_profile(path)
        results = await run_cases(profile, open_bench(profile), load_cases(Role.ADAPTER))
    passed = [each for each in results if each.status is Status.PASS]
    assert {
        each.case.id: f"{each.status}: {each.detail}"
        for each in results
        if each.status not in {Status.PASS, Status.NOT_APPLICABLE}
    } == {}
    assert len(passed) >= 20


def test_between_them_the_shipped_adapters_face_every_check() -> None:
    needed = {need for case in load_cases(Role.ADAPTER) for need in case.needs}
    declared: set[str] = set()
    now = datetime.now(UTC)
    for name in CITIES:
        declared |= set(capabilities(platform(name), scheme_of(name), now))
    assert needed - declared == UNTOLD
