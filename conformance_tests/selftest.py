"""Proof of the suite: a sound peer passes, and each fault fails exactly its checks."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conformance_tests.bench import open_bench
from conformance_tests.model import BAD, Role, Status
from conformance_tests.peer.serve import serve_peer
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases, load_faults
from conformance_tests.runner import run_cases

if TYPE_CHECKING:
    from collections.abc import Callable


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


async def prove(role: Role, fault: str, expected: frozenset[str]) -> Proof:
    """Run every check of a role against its reference peer with one fault."""
    with tempfile.TemporaryDirectory() as name:
        async with serve_peer(role, Path(name), fault=fault) as path:
            profile = load_profile(path)
            results = await run_cases(profile, open_bench(profile), load_cases(role))
    failed = {each.case.id: each.detail for each in results if each.status in BAD}
    skipped = {
        each.case.id: f"skipped: {each.detail}"
        for each in results
        if each.status is Status.NOT_APPLICABLE
    }
    return Proof(role, fault, expected, failed | skipped)


async def prove_all(
    role: Role | None = None, on_proof: Callable[[Proof], None] = lambda _proof: None
) -> list[Proof]:
    """Prove every fault of a role, or of all, and the sound peers before them."""
    proofs = []
    for each in Role if role is None else (role,):
        plans = [("", frozenset[str]())]
        plans += [(fault.name, fault.fails) for fault in load_faults(each)]
        for fault, expected in plans:
            proof = await prove(each, fault, expected)
            on_proof(proof)
            proofs.append(proof)
    return proofs
