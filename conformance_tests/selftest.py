"""Proof of the suite: a sound peer passes, and each fault fails exactly its checks."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conformance_tests.bench import open_bench
from conformance_tests.model import BAD, Role, Status
from conformance_tests.peer.common import Switch
from conformance_tests.peer.serve import serve_peer
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases, load_faults
from conformance_tests.runner import run_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance_tests.model import Case, Result


@dataclass(frozen=True, slots=True)
class Proof:
    """What one peer did to the checks.

    Attributes:
        role: of the peer.
        fault: empty for the sound peer.
        expected: checks that must fail.
        failed: checks that did, with why.
    """

    role: Role
    fault: str
    expected: frozenset[str]
    failed: dict[str, str]

    @property
    def holds(self) -> bool:
        """Whether exactly the expected checks failed."""
        return set(self.failed) == set(self.expected)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which faults a peer asks about during which check; found out on a sound one.

    A fault that a peer never asks about during a check cannot change what it does there,
    so that check need not be run against it. What a peer asks about before the first
    check may change all of them.

    Attributes:
        everywhere: faults asked about outside every check.
        during: by check.
    """

    everywhere: frozenset[str]
    during: dict[str, frozenset[str]]

    def touches(self, check: str, fault: str) -> bool:
        """Whether the fault can change the check."""
        return fault in self.everywhere or fault in self.during[check]


async def prove(
    role: Role, fault: str, expected: frozenset[str], *, reach: Reach | None = None
) -> Proof:
    """Run checks of a role against its reference peer with one fault.

    Args:
        role: of the peer.
        fault: its name; empty for a sound peer.
        expected: checks that must fail.
        reach: leaves out the checks that the fault cannot change; None: every check.
    """
    cases = [
        case
        for case in load_cases(role)
        if reach is None or case.id in expected or reach.touches(case.id, fault)
    ]
    results = await _run(role, fault, cases)
    # A SHOULD that does not hold is a warning, and a finding all the same.
    found = BAD | {Status.WARN}
    failed = {each.case.id: each.detail for each in results if each.status in found}
    skipped = {
        each.case.id: f"skipped: {each.detail}"
        for each in results
        if each.status is Status.NOT_APPLICABLE
    }
    return Proof(role, fault, expected, failed | skipped)


async def prove_sound(role: Role) -> tuple[Proof, Reach]:
    """Run every check against the sound peer, and find out how far each fault reaches."""
    switch = Switch("")
    during: dict[str, frozenset[str]] = {}
    before: list[frozenset[str]] = []

    def note(result: Result) -> None:
        during[result.case.id] = switch.take()

    results = await _run(
        role, switch, load_cases(role), note, on_start=lambda: before.append(switch.take())
    )
    failed = {each.case.id: each.detail for each in results if each.status is not Status.PASS}
    everywhere = frozenset[str]().union(*before, switch.take())
    return Proof(role, "", frozenset(), failed), Reach(everywhere, during)


async def _run(
    role: Role,
    fault: str,
    cases: list[Case],
    on_result: Callable[[Result], None] = lambda _result: None,
    on_start: Callable[[], None] = lambda: None,
) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        async with serve_peer(role, Path(name), fault=fault) as path:
            profile = load_profile(path)
            if role is Role.VERIFIER:
                profile = replace(profile, entries={**profile.entries, "fault": fault})
            bench = open_bench(profile)
            on_start()
            return await run_cases(profile, bench, cases, on_result)


async def prove_all(
    role: Role | None = None,
    on_proof: Callable[[Proof], None] = lambda _proof: None,
    *,
    every_check: bool = False,
) -> list[Proof]:
    """Prove every fault of a role, or of all, and the sound peers before them.

    Args:
        role: only this one.
        on_proof: called after each.
        every_check: also run the checks that a fault cannot reach.
    """
    proofs = []
    for each in Role if role is None else (role,):
        proof, reach = await prove_sound(each)
        on_proof(proof)
        proofs.append(proof)
        for fault in load_faults(each):
            proof = await prove(each, fault.name, fault.fails, reach=None if every_check else reach)
            on_proof(proof)
            proofs.append(proof)
    return proofs
