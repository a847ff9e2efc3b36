"""The national issuer we ship passes the suite in both its roles: issuer and adapter."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from hutong.v1 import code_pb2

from conformance_tests.bench import open_bench
from conformance_tests.model import Role, Status
from conformance_tests.peer.common import private_members, write_json
from conformance_tests.profile import load_profile
from conformance_tests.registry import load_cases
from conformance_tests.roles import calls
from conformance_tests.roles.issuing import DAY_SECONDS, Holder, IssuerCaller, somebody
from conformance_tests.runner import run_cases
from gateway.issuer.app import ISSUER_URN, running_issuer
from gateway.issuer.clients import Role as ClientRole
from gateway.issuer.settings import load_settings
from gateway.issuer.setup import CLIENTS, IssuerPlan, add_client, make_issuer
from tests.conformance.shipped import HUB, suite_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOME, ELSEWHERE = "330106", "350203"
WINDOWS = {
    "application": "window",
    "other-application": "other-window",
    "gate": "gate",
    "feeder": "feeder",
    "reviewer": "reviewer",
}


@dataclass
class Clock:
    """Stands still, and moves when its door is asked to."""

    # Midday in Shanghai: no check stands at the end of a day.
    now: datetime = field(
        default_factory=lambda: datetime.now(UTC).replace(hour=4, minute=0, second=0, microsecond=0)
    )

    def __call__(self) -> datetime:
        return self.now

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.now += timedelta(seconds=(await request.json())["seconds"])
        return web.json_response({"now": self.now.timestamp()})


@asynccontextmanager
async def clock_door(clock: Clock) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/clock", clock.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/clock"
    finally:
        await runner.cleanup()


async def made_issuer(folder: Path) -> Path:
    """An issuer's directory as the command line makes it, with a second application."""
    directory = folder / "issuer"
    plan = IssuerPlan(
        directory=directory, store=None, grpc=("127.0.0.1", 0), names=["localhost", "127.0.0.1"]
    )
    await make_issuer(plan, now=datetime.now(UTC))
    add_client(directory, "other-window", [ClientRole.APPLICATION])
    return directory


def issuer_profile(directory: Path, folder: Path, port: int, clock_url: str) -> Path:
    profile = {
        "role": "issuer",
        "target": f"localhost:{port}",
        "ca": str(directory / CLIENTS / "ca.pem"),
        "issuer": ISSUER_URN,
        "division": HOME,
        "area-division": ELSEWHERE,
        "clock": {"url": clock_url},
        "clients": {
            role: {"id": name, "key": str(directory / CLIENTS / f"{name}-key.json")}
            for role, name in WINDOWS.items()
        },
        "capabilities": ["clock", "areas"],
    }
    path = folder / "issuer.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


async def told(path: Path) -> dict[str, dict[str, Any]]:
    """Tell the issuer the stories of the adapter's people; the clock ends at the present."""
    caller = IssuerCaller(load_profile(path))
    channel = await calls.connect(caller.profile)
    caller.connect(channel)
    await caller.read_clock()
    green, contact, late, child = (somebody() for _ in range(4))
    await caller.declare(late)
    await caller.advance(15 * DAY_SECONDS)
    await caller.declare(green)
    old = (await caller.make(green)).code_content
    await caller.advance(DAY_SECONDS)
    await caller.declare(contact, contact=code_pb2.TRI_STATE_YES)
    await caller.declare(child, proxy=contact)
    fresh = (await caller.make(child, proxy=contact)).code_content
    await channel.close()

    def by_document(holder: Holder) -> dict[str, Any]:
        return {"document": {"type": 99, "number": holder.number}}

    return {
        "green": by_document(green),
        "restricted": by_document(contact),
        "unknown": by_document(somebody()),
        "not-applied": by_document(somebody()),
        "expired-declaration": by_document(late),
        "expired-code": {"qr_text": old},
        "proxy": {"qr_text": fresh, "level": "GREEN", "acting": "restricted"},
    }


def adapter_profile(
    directory: Path, folder: Path, port: int, token: Any, people: dict[str, dict[str, Any]]
) -> Path:
    keys = directory / "keys"
    profile = {
        "role": "adapter",
        "target": f"localhost:{port}",
        "ca": str(directory / CLIENTS / "ca.pem"),
        "authority": ISSUER_URN,
        "hub": {"urn": HUB, "token_key": write_json(folder / "token.jwk", private_members(token))},
        "caller": {"urn": "urn:hutong:checkpoint:440100:suite", "region": "440100"},
        "seal": [public(keys / "seal.json", folder / "seal.jwk")],
        "attest": [public(keys / "attest.json", folder / "attest.jwk")],
        "people": people,
        "capabilities": ["stream", "document", *(f"person.{name}" for name in people)],
    }
    path = folder / "adapter.yaml"
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    return path


def public(path: Path, target: Path) -> str:
    members = json.loads(path.read_text())
    target.write_text(json.dumps({k: v for k, v in members.items() if k not in {"d", "priv"}}))
    return target.name


@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_the_shipped_issuer_passes_every_check(tmp_path) -> None:
    directory, clock = await made_issuer(tmp_path), Clock()
    settings = load_settings(directory)
    async with (
        clock_door(clock) as url,
        running_issuer(settings, clock=clock, directory=directory) as running,
    ):
        path = issuer_profile(directory, tmp_path, running.port, url)
        profile = load_profile(path)
        results = await run_cases(profile, open_bench(profile), load_cases(Role.ISSUER))
    assert {each.case.id: each.detail for each in results if each.status is not Status.PASS} == {}


@pytest.mark.timeout(120)
@pytest.mark.asyncio
async def test_the_shipped_issuer_passes_every_check_of_an_adapter_that_applies(tmp_path) -> None:
    directory, suite = await made_issuer(tmp_path), suite_keys()
    settings = load_settings(directory)
    settings.adapter.anchor.write_bytes(suite.anchor())
    # Declared half a month ago, asked about now: the suite's own clock is the real one.
    clock = Clock(datetime.now(UTC) - timedelta(days=16))
    async with (
        clock_door(clock) as url,
        running_issuer(settings, clock=clock, directory=directory) as running,
    ):
        assert running.answers_hubs
        issuer = issuer_profile(directory, tmp_path, running.port, url)
        people = await told(issuer)
        path = adapter_profile(directory, tmp_path, running.port, suite.token, people)
        profile = load_profile(path)
        results = await run_cases(profile, open_bench(profile), load_cases(Role.ADAPTER))
    seen = {each.case.id: (each.status, each.detail) for each in results}
    assert {
        name: found
        for name, found in seen.items()
        if found[0] not in {Status.PASS, Status.NOT_APPLICABLE}
    } == {}
    assert seen["A-STATE-006"][0] is Status.PASS
    assert seen["A-STATE-008"][0] is Status.PASS
