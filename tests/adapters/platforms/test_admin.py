from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from adapters.platforms import Faults, HangzhouPlatform, RunningPlatform, serve_platform
from tests.adapters.platforms.support import ADMIN_TOKEN

BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.mark.asyncio
async def test_faults_are_set_shown_and_cleared(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    url = f"{hangzhou.admin_url}/admin/faults"
    async with http.put(url, json={"faults": ["slow=0.5", "quota"]}, headers=BEARER) as answer:
        assert answer.status == 200
    async with http.get(url, headers=BEARER) as answer:
        assert await answer.json() == {"faults": ["slow=0.5", "quota"]}
    assert hangzhou.platform.faults == Faults(slow_seconds=0.5, quota=True)
    async with http.delete(url, headers=BEARER) as answer:
        assert await answer.json() == {"faults": []}
    assert hangzhou.platform.faults == Faults()


@pytest.mark.asyncio
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "ü"}])
async def test_without_the_token_nothing_is_shown_or_changed(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    for path in ("faults", "population"):
        async with http.get(f"{hangzhou.admin_url}/admin/{path}", headers=headers) as answer:
            assert answer.status == 401
    async with http.put(
        f"{hangzhou.admin_url}/admin/faults", json={"faults": ["down"]}, headers=headers
    ) as answer:
        assert answer.status == 401
    assert hangzhou.platform.faults == Faults()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"faults":"down"}',
        b'{"faults":[1]}',
        b"\xff",
        b'{"faults":["slow=x"]}',
    ],
)
async def test_a_body_that_says_no_faults_changes_nothing(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, body: bytes
) -> None:
    hangzhou.platform.faults = Faults(stale=True)
    async with http.put(f"{hangzhou.admin_url}/admin/faults", data=body, headers=BEARER) as answer:
        assert answer.status == 400
    assert hangzhou.platform.faults == Faults(stale=True)


@pytest.mark.asyncio
async def test_the_admin_door_knows_the_scenarios_and_the_city_door_knows_no_admin(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{guangzhou.admin_url}/admin/population", headers=BEARER) as answer:
        document: dict[str, Any] = await answer.json()
    assert document["synthetic"] is True
    assert document["size"] == 20_000
    assert "guangzhou/green" in {person["name"] for person in document["scenarios"]}
    async with http.get(f"{guangzhou.base_url}/admin/faults", headers=BEARER) as answer:
        assert answer.status == 404


@pytest.mark.asyncio
async def test_health_needs_no_token(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{hangzhou.admin_url}/healthz") as answer:
        assert await answer.json() == {"city": "hangzhou", "status": "serving"}


@pytest.mark.asyncio
async def test_a_taken_admin_port_leaves_no_city_door_open(
    hangzhou: RunningPlatform, unused_tcp_port: int, http: aiohttp.ClientSession
) -> None:
    taken = int(hangzhou.admin_url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="address"):
        await serve_platform(
            HangzhouPlatform(), admin_token=ADMIN_TOKEN, port=unused_tcp_port, admin_port=taken
        )
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"http://127.0.0.1:{unused_tcp_port}/")
