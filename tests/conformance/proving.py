"""Every fault of a reference peer fails exactly the checks it names, and no other.

What the files ``test_selftest_*`` say, one a role, so that they run side by side. All
faults together are a long walk; every fifth is tried on the short one too.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

from conformance_tests.registry import load_cases, load_faults
from conformance_tests.selftest import prove, prove_sound

if TYPE_CHECKING:
    from conformance_tests.model import Role
    from conformance_tests.registry import Fault
    from conformance_tests.selftest import Proof, Reach


_SAMPLE: Final = 5


def some(role: Role) -> list[Fault]:
    """Faults of a role that are tried on the short walk."""
    return load_faults(role)[::_SAMPLE]


def the_others(role: Role) -> list[Fault]:
    """The rest of them."""
    return [fault for place, fault in enumerate(load_faults(role)) if place % _SAMPLE]


@functools.cache
def sound(role: Role) -> tuple[Proof, Reach]:
    """The proof of a sound peer; once a role: how far a fault reaches does not change."""
    return asyncio.run(prove_sound(role))


def passes_every_check(role: Role) -> None:
    """A sound peer passes, and every check was asked of it."""
    proof, reach = sound(role)
    assert proof.failed == {}
    assert set(reach.during) == {case.id for case in load_cases(role)}


def fails_exactly_its_checks(fault: Fault) -> None:
    """A peer with this fault fails what the fault names, and nothing else."""
    _, reach = sound(fault.role)
    proof = asyncio.run(prove(fault.role, fault.name, fault.fails, reach=reach))
    assert set(proof.failed) == set(fault.fails), proof.failed


def reaches_the_checks_that_it_fails(role: Role) -> None:
    """What leaves checks out finds by itself, on a sound peer, those that a fault changes."""
    _, reach = sound(role)
    missed = {
        fault.name: [check for check in fault.fails if not reach.touches(check, fault.name)]
        for fault in load_faults(role)
    }
    assert {name: checks for name, checks in missed.items() if checks} == {}
