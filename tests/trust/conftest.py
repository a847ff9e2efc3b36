"""A federation of two regions, for every test of this folder that asks for one."""

from __future__ import annotations

import pytest

from tests.trust.simulator import FederationSimulator


@pytest.fixture
def federation() -> FederationSimulator:
    made = FederationSimulator()
    made.add_region("330100")
    made.add_region("440100")
    for code in made.regions:
        made.publish_scheme(code)
        made.publish_policy(code)
    made.tick(60)
    return made
