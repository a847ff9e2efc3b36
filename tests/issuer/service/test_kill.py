"""Killing the issuer in the middle of declarations loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hutong.v1 import issuer_desk_service_pb2 as desk_pb
from hutong.v1 import issuer_service_pb2 as pb

from gateway.issuer.calling import IssuerClient, load_profile
from gateway.issuer.setup import CLIENTS
from gateway.wire.errors import RpcFailure
from tests.issuer.core.world import POPULATION
from tests.issuer.service.world import declaration, document, make_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.timeout(180),
]

ROOT = Path(__file__).parents[3]
WORKERS = 4
LIVES = (3, 17)
"""After how many acknowledgements each life ends."""


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    paths = [str(ROOT), str(ROOT / "protos/gen")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.cli", "issuer", "run", "--dir", str(folder), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.stdout is not None
    try:
        listening = json.loads(await process.stdout.readline())
        yield process, listening["grpc"].replace("127.0.0.1", "localhost")
    finally:
        if process.returncode is None:
            process.kill()
        await process.stdout.read()
        await process.wait()


def client(folder: Path, name: str, target: str) -> IssuerClient:
    profile = load_profile(folder / CLIENTS / f"{name}.toml")
    return IssuerClient(profile.model_copy(update={"issuer": target}), lambda: datetime.now(UTC))


async def work(
    folder: Path, target: str, number: int, told: dict[int, str], count: asyncio.Semaphore
) -> None:
    """Declare, and make a code on paper, until the issuer is gone."""
    async with client(folder, "window", target) as window:
        for step in range(1000):
            index = 10 + number + WORKERS * (len(told) + step)
            try:
                await window.call(window.service.DeclareHealth, declaration(index))
                told.setdefault(index, "")
                count.release()
                made = await window.call(
                    window.service.MakeCode,
                    pb.MakeCodeRequest(
                        call=await window.applied(pb.CALL_KIND_MAKE),
                        document=document(index),
                        medium=pb.MEDIUM_PAPER,
                    ),
                )
            except RpcFailure as failure:
                if failure.code != "PEER_UNREACHABLE":
                    raise
                return
            told[index] = made.code_content
            count.release()


async def test_what_was_acknowledged_survives_a_kill(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "issuer"
    await make_folder(folder, dsn)
    told: dict[int, str] = {}
    for kills in LIVES:
        async with living(folder) as (process, target):
            count = asyncio.Semaphore(0)
            async with asyncio.TaskGroup() as group:
                for number in range(WORKERS):
                    group.create_task(work(folder, target, number, told, count))
                for _ in range(kills):
                    await count.acquire()
                process.send_signal(signal.SIGKILL)
                await process.wait()
    assert len(told) >= sum(LIVES) // 2
    async with (
        living(folder) as (process, target),
        client(folder, "window", target) as window,
        client(folder, "gate", target) as gate,
        client(folder, "reviewer", target) as reviewer,
    ):
        for index, text in told.items():
            held = await window.call(
                window.service.QueryHealth, pb.QueryHealthRequest(document=document(index))
            )
            assert held.HasField("state"), POPULATION.person(index).index
            trace = await reviewer.call(
                reviewer.desk.ReadTrace, desk_pb.ReadTraceRequest(document=document(index))
            )
            kinds = [entry.kind for entry in trace.entries]
            assert kinds.count("level") == 1
            assert "declaration" in kinds
            if text:
                verified = await gate.call(
                    gate.service.VerifyCode,
                    pb.VerifyCodeRequest(
                        call=await gate.applied(pb.CALL_KIND_VERIFY), code_content=text
                    ),
                )
                assert verified.HasField("holder")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
