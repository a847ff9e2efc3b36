"""The hub we ship passes the suite, with a shipped city behind it and everything behind TLS.

Whatever can be asked of a hub in use is asked with a real city behind it; what writes to
the hub, at one that is thrown away, with two operators and a second process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.profile import load_profile, with_also
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases
from gateway.attestation import public_sealing_jwk
from gateway.hub.keys import save_signing_key
from gateway.hub.notices import Notices
from gateway.hub.rehearsals import Rehearsals
from gateway.hub.setup import HubPlan, make_hub
from gateway.wire.enrolment import enrol
from tests.hub.hub_world import HUB, OPERATOR, hub_world, operator
from tests.paths.world import world
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from conformance_tests.model import Case
    from gateway.edge import CheckpointSettings
    from tests.hub.hub_world import HubWorld
    from tests.paths.world import World

BARRED = {"division": "650000", "kind": "policy"}
PATIENCE = 60
"""Seconds until the test gives up; nothing waits for them to pass."""
SECOND = "urn:hutong:operator:second"
EXTRA = """
[constraints."urn:hutong:region:650000"]
kinds = ["attestation", "scheme", "status"]
"""


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
async def test_the_shipped_hub_passes_every_check_of_a_hub_in_use(tmp_path) -> None:
    async with world(tmp_path, "hangzhou") as place:
        settings = await place.checkpoint("440100")
        profile = load_profile(profile_of(place, settings, tmp_path))
        cases = [case for case in load_cases(Role.HUB) if set(case.needs) <= {"origin"}]
        results = await run_cases(profile, open_bench(profile), cases)
    assert {each.case.id: each.detail for each in results if each.status is not Status.PASS} == {}


@contextlib.asynccontextmanager
async def disposable_hub(
    folder: Path, dsn: str | None = None
) -> AsyncIterator[tuple[HubWorld, Path]]:
    """A hub with two operators, and the profile by which the suite does there as it likes."""
    directory = folder / "hub"
    await make_hub(
        HubPlan(
            directory=directory,
            urn=HUB,
            store=dsn,
            grpc=("127.0.0.1", 0),
            http=("127.0.0.1", 0),
            names=["localhost", "127.0.0.1"],
            operator="first",
            approvals=2,
        ),
        now=datetime.now(UTC).replace(microsecond=0),
    )
    with (directory / "hub.toml").open("a") as settings:
        settings.write(EXTRA)
    async with hub_world(directory) as there:
        second = operator(SECOND)
        async with there.channel() as channel:
            await enrol(channel, second, hub_urn=HUB, now=there.clock())
        await there.hub.registry.approve(SECOND, by=OPERATOR)
        save_signing_key(directory / "operator/second.json", second.signing_keys[0])
        profile = {
            "role": "hub",
            "target": f"localhost:{there.hub.grpc_port}",
            "ca": "tls/ca.pem",
            "http_ca": "tls/ca.pem",
            "token_url": f"{there.url}/oauth2/token",
            "anchor": "anchor.json",
            "disposable": {
                "operators": [
                    {"urn": OPERATOR, "key": "operator/key.json"},
                    {"urn": SECOND, "key": "operator/second.json"},
                ],
                "prefix": "65",
                "barred": BARRED,
            },
            "capabilities": ["disposable", "disposable.barred"],
        }
        path = directory / "profile.yaml"
        path.write_text(yaml.safe_dump(profile))
        yield there, path


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.asyncio
async def test_the_shipped_hub_passes_every_check_that_writes_to_it(tmp_path) -> None:
    cases = [case for case in load_cases(Role.HUB) if "disposable" in case.needs]
    async with disposable_hub(tmp_path) as (there, path):
        profile = load_profile(path)
        # The hub looks for keys that end once a minute; this one does so at once.
        rehearsals = Rehearsals(there.hub.registry, there.hub.feed, there.hub.readers)
        notices = Notices(there.hub.registry, there.hub.feed, rehearsals)
        looking = asyncio.create_task(notices.run(seconds=0.1))
        try:
            results = await run_cases(profile, open_bench(profile), cases)
        finally:
            looking.cancel()
    assert {each.case.id: each.detail for each in results if each.status is not Status.PASS} == {}


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with migrated_database("postgres", tmp_path) as dsn:
        yield dsn


@pytest.mark.postgres
@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_a_second_process_of_the_shipped_hub_serves_the_same_feed(tmp_path, shared) -> None:
    wanted = {"H-ENROL-010", "H-FEED-011"}
    cases = [case for case in load_cases(Role.HUB) if case.id in wanted]
    async with disposable_hub(tmp_path, shared) as (one, path):
        shutil.copytree(one.directory, tmp_path / "other")
        async with hub_world(tmp_path / "other") as other:
            for there in (one, other):
                assert there.hub.wakeups is not None
                async with asyncio.timeout(PATIENCE):
                    await there.hub.wakeups.listening.wait()
            profile = with_also(load_profile(path), f"localhost:{other.hub.grpc_port}")
            results = await run_cases(profile, open_bench(profile), sorted(cases, key=_last))
    found = {each.case.id: (each.status, each.detail) for each in results}
    assert {name: told for name, told in found.items() if told[0] is not Status.PASS} == {}
    assert set(found) == wanted


def _last(case: Case) -> bool:
    # Whatever the second address is to serve is written before.
    return case.id == "H-FEED-011"
