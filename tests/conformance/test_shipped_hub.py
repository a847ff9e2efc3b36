"""The hub we ship passes the suite, with a shipped city behind it and everything behind TLS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases
from gateway.attestation import public_sealing_jwk
from tests.paths.world import world

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import CheckpointSettings
    from tests.paths.world import World


def profile_of(place: World, settings: CheckpointSettings, folder: Path) -> Path:
    city = place["hangzhou"]
    keys = json.loads(settings.key_file.read_text())
    entry = next(each for each in keys["keys"] if each["use"] == "authenticate")
    (folder / "client.json").write_text(json.dumps(entry["jwk"]))
    (folder / "seal.json").write_text(json.dumps(public_sealing_jwk(city.keys.seal[0])))
    (folder / "hub-ca.pem").write_bytes(place.hub.ca_pem)
    profile = {
        "role": "hub",
        "target": f"localhost:{place.hub.hub.grpc_port}",
        "ca": "hub-ca.pem",
        "http_ca": "hub-ca.pem",
        "token_url": f"{place.hub.url}/oauth2/token",
        "client": {"urn": settings.urn, "region": settings.region, "key": "client.json"},
        "anchor": str(place.folder / "anchor.json"),
        "origin": {
            "region": city.region,
            "seal": "seal.json",
            "person": {
                "document": {"type": 10, "number": city.story("green").document_number},
            },
        },
        "capabilities": ["origin"],
    }
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_the_shipped_hub_passes_every_check(tmp_path) -> None:
    async with world(tmp_path, "hangzhou") as place:
        settings = await place.checkpoint("440100")
        profile = load_profile(profile_of(place, settings, tmp_path))
        results = await run_cases(profile, open_bench(profile), load_cases(Role.HUB))
    assert {each.case.id: each.detail for each in results if each.status is not Status.PASS} == {}
