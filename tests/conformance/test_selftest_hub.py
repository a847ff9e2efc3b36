"""What the suite proves of itself for the role ``hub``; see ``proving``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance_tests.model import Role
from tests.conformance import proving

if TYPE_CHECKING:
    from conformance_tests.registry import Fault


def test_a_sound_hub_passes_every_check() -> None:
    proving.passes_every_check(Role.HUB)


@pytest.mark.parametrize("fault", proving.some(Role.HUB), ids=lambda fault: fault.name)
def test_a_fault_fails_exactly_its_checks(fault: Fault) -> None:
    proving.fails_exactly_its_checks(fault)


@pytest.mark.long
@pytest.mark.parametrize("fault", proving.the_others(Role.HUB), ids=lambda fault: fault.name)
def test_every_other_fault_fails_exactly_its_checks(fault: Fault) -> None:
    proving.fails_exactly_its_checks(fault)


def test_a_fault_reaches_the_checks_that_it_fails() -> None:
    proving.reaches_the_checks_that_it_fails(Role.HUB)
