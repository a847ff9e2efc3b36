"""Every fault of a reference peer fails exactly the checks it names, and no other."""

from __future__ import annotations

import pytest

from conformance_tests.model import Role
from conformance_tests.registry import load_faults
from conformance_tests.selftest import prove


@pytest.mark.asyncio
@pytest.mark.parametrize("role", list(Role))
async def test_a_sound_peer_passes_every_check(role: Role) -> None:
    proof = await prove(role, "", frozenset())
    assert proof.failed == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", load_faults(), ids=lambda fault: f"{fault.role}-{fault.name}")
async def test_a_fault_fails_exactly_its_checks(fault) -> None:
    proof = await prove(fault.role, fault.name, fault.fails)
    assert set(proof.failed) == set(fault.fails), proof.failed
