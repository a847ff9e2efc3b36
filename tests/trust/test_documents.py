"""The documents that regions really publish, through statement, feed and bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.codes.schemes import load_scheme
from gateway.recognition import load_policy
from tests.trust.simulator import FederationSimulator

ROOT = Path(__file__).parents[2]
SCHEMES = sorted((ROOT / "adapters" / "schemes").glob("*/scheme.yaml"))
POLICIES = sorted((ROOT / "gateway" / "recognition" / "policies").glob("*.yaml"))


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.parent.name)
def test_a_shipped_scheme_comes_out_of_the_bundle_as_it_went_in(path: Path) -> None:
    vectors = path.with_name("vectors.yaml")
    scheme = load_scheme(path.read_bytes(), vectors=vectors.read_bytes())
    federation = FederationSimulator()
    federation.add_region(scheme.authority, prefixes=scheme.prefixes)
    federation.publish_scheme(scheme.authority, scheme.to_document())
    (document,) = federation.replica_from_snapshot().bundle.schemes()
    assert load_scheme(document).to_document() == scheme.to_document()


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_shipped_policy_comes_out_of_the_bundle_as_it_went_in(path: Path) -> None:
    policy = load_policy(path.read_bytes())
    federation = FederationSimulator()
    federation.add_region(policy.region)
    federation.publish_policy(policy.region, policy.to_document())
    document = federation.replica_from_snapshot().bundle.policy(policy.region)
    assert load_policy(document) == policy


def test_something_is_shipped() -> None:
    assert len(SCHEMES) >= 2
    assert len(POLICIES) >= 2
