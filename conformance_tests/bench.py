"""Chooses the bench for a role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance_tests.model import Role
from conformance_tests.roles.adapter import AdapterBench
from conformance_tests.roles.hub import HubBench
from conformance_tests.roles.issuer import IssuerBench
from conformance_tests.roles.verifier import VerifierBench

if TYPE_CHECKING:
    from conformance_tests.profile import Profile
    from conformance_tests.runner import Bench


def open_bench(profile: Profile) -> Bench:
    """Return the bench of the profile's role, not yet connected.

    Raises:
        ProfileError: the profile lacks what the role needs.
    """
    benches: dict[Role, type[Bench]] = {
        Role.ADAPTER: AdapterBench,
        Role.HUB: HubBench,
        Role.ISSUER: IssuerBench,
        Role.VERIFIER: VerifierBench,
    }
    return benches[profile.role](profile)
