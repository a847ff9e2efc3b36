"""Every fault of a reference peer fails exactly the checks it names, and no other."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import pytest

from conformance_tests.model import Role
from conformance_tests.registry import load_cases, load_faults
from conformance_tests.selftest import prove, prove_sound

if TYPE_CHECKING:
    from conformance_tests.selftest import Proof, Reach


@functools.cache
def sound(role: Role) -> tuple[Proof, Reach]:
    # Once a role: how far a fault reaches does not change.
    return asyncio.run(prove_sound(role))


@pytest.mark.parametrize("role", list(Role))
def test_a_sound_peer_passes_every_check(role: Role) -> None:
    proof, reach = sound(role)
    assert proof.failed == {}
    assert set(reach.during) == {case.id for case in load_cases(role)}


@pytest.mark.parametrize("fault", load_faults(), ids=lambda fault: f"{fault.role}-{fault.name}")
def test_a_fault_fails_exactly_its_checks(fault) -> None:
    _, reach = sound(fault.role)
    proof = asyncio.run(prove(fault.role, fault.name, fault.fails, reach=reach))
    assert set(proof.failed) == set(fault.fails), proof.failed


@pytest.mark.parametrize("role", list(Role))
def test_a_fault_reaches_the_checks_that_it_fails(role: Role) -> None:
    # What leaves checks out finds by itself, on a sound peer, those that a fault changes.
    _, reach = sound(role)
    missed = {
        fault.name: [check for check in fault.fails if not reach.touches(check, fault.name)]
        for fault in load_faults(role)
    }
    assert {name: checks for name, checks in missed.items() if checks} == {}
