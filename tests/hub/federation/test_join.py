"""``hutong hub join-superior`` on real hubs, and the line that ``status`` shows."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from typer.testing import CliRunner

from gateway.cli.hub import app
from tests.hub.federation.world import NATION, ZHEJIANG, Place, start_hub, start_line, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(300)]


async def invoke(*arguments: object) -> Any:
    """Run a command in a thread: it brings a loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke, app, list(map(str, arguments)), catch_exceptions=False
    )


async def metrics(place: Place) -> str:
    context = ssl.create_default_context(cadata=place.ca_pem.decode())
    async with aiohttp.ClientSession() as session:
        url = f"{place.hub.http_url}/metrics"
        async with session.get(url, ssl=context) as response:
            return await response.text()


async def test_a_running_hub_is_joined_by_the_command(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        nation = await start_hub(stack, tmp_path / "nation", NATION)
        zhejiang = await start_hub(stack, tmp_path / "zhejiang", ZHEJIANG)
        up = await start_line(stack, nation.hub.grpc_port)
        options = (
            *("--dir", zhejiang.directory, "--grpc", f"localhost:{up.port}"),
            *("--http", nation.hub.http_url, "--anchor", nation.directory / "anchor.json"),
            *("--ca", nation.directory / "tls/ca.pem", "--name", "Zhejiang"),
            *("--endpoint", f"localhost:{zhejiang.hub.grpc_port}"),
        )
        foreign = await invoke("join-superior", *options, "--prefix", "44")
        assert foreign.exit_code != 0
        assert not zhejiang.settings.superior.exists()
        joined = await invoke("join-superior", *options, "--prefix", "33", "--json")
        assert joined.exit_code == 0, joined.output
        assert json.loads(joined.stdout)["state"] == "PENDING"
        again = await invoke("join-superior", *options, "--prefix", "33")
        assert again.exit_code != 0
        await nation.hub.registry.approve(ZHEJIANG)
        # It looks for itself.
        federation = zhejiang.hub.federation
        assert federation is not None
        await until(lambda: federation.superiors() == (ZHEJIANG, NATION))
        zhejiang_door, nation_door = zhejiang.hub.feeds[NATION], nation.hub.feeds[ZHEJIANG]
        await until(lambda: zhejiang_door.connected and nation_door.connected)
        assert 'hutong_hub_connected{hub="000000"} 1.0' in await metrics(zhejiang)
        await up.cut()
        await until(lambda: not zhejiang_door.connected)
        assert nation_door.connected
        assert 'hutong_hub_connected{hub="000000"} 0.0' in await metrics(zhejiang)
        # It says so, and it serves.
        found = json.loads(
            (await invoke("status", "--operator", zhejiang.operator_file, "--json")).stdout
        )
        assert found["serving"]
        (line,) = found["hubs"]
        assert (line["hub"], line["superior"], line["connected"]) == (NATION, True, False)
