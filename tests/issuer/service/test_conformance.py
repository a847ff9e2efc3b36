"""The issuer passes the suite that third parties run, as an issuer of its own role."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from aiohttp import web

from conformance_tests.bench import open_bench
from conformance_tests.model import Status
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases
from gateway.issuer.app import ISSUER_URN
from gateway.issuer.clients import Role
from gateway.issuer.setup import CLIENTS, add_client
from tests.issuer.core.world import HOME, YIWU
from tests.issuer.service.world import ServiceWorld, service_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

CLIENT_OF_ROLE = {
    "application": "window",
    "gate": "gate",
    "feeder": "feeder",
    "reviewer": "reviewer",
    "other-application": "clinic",
}


@asynccontextmanager
async def clock_door(world: ServiceWorld) -> AsyncIterator[str]:
    """The door by which the suite lets days pass, each with its daily run."""

    async def serve(request: web.Request) -> web.Response:
        if request.method == "POST":
            world.clock.now += timedelta(seconds=(await request.json())["seconds"])
            await world.running.tick()
            await world.running.run_daily()
        return web.json_response({"now": world.clock.now.timestamp()})

    app = web.Application()
    app.router.add_route("*", "/clock", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/clock"
    finally:
        await runner.cleanup()


async def test_the_issuer_passes_every_check(dsn: str, tmp_path: Path) -> None:
    async with service_world(tmp_path / "issuer", dsn) as world, clock_door(world) as url:
        add_client(world.folder, "clinic", [Role.APPLICATION])
        await world.running.reload_clients()
        keys = world.folder / CLIENTS
        profile_file = tmp_path / "profile.yaml"
        profile_file.write_text(
            yaml.safe_dump(
                {
                    "role": "issuer",
                    "target": world.target,
                    "ca": str(keys / "ca.pem"),
                    "issuer": ISSUER_URN,
                    "division": HOME,
                    "area-division": YIWU,
                    "clients": {
                        role: {"id": name, "key": str(keys / f"{name}-key.json")}
                        for role, name in CLIENT_OF_ROLE.items()
                    },
                    "clock": {"url": url},
                    "capabilities": ["clock", "areas"],
                }
            )
        )
        profile = load_profile(profile_file)
        results = await run_cases(profile, open_bench(profile), load_cases(profile.role))
    assert results
    failures = {
        each.case.id: f"{each.status}: {each.detail}"
        for each in results
        if each.status is not Status.PASS
    }
    assert failures == {}, json.dumps(failures, indent=1)
