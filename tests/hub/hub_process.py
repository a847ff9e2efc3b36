"""A hub as a process of its own, for the tests that kill it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.hub.keys import load_signing_key
from gateway.wire.channel import open_channel
from gateway.wire.token_client import TokenClient
from tests.hub.hub_world import OPERATOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc

ROOT = Path(__file__).parents[2]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Life:
    """One running process of the hub."""

    process: asyncio.subprocess.Process
    grpc: str
    http: str
    ca_pem: bytes
    directory: Path

    def channel(self) -> grpc.aio.Channel:
        return open_channel(self.grpc, ca_pem=self.ca_pem)

    def tokens(self) -> TokenClient:
        key = load_signing_key(self.directory / "operator/key.json")
        return TokenClient(f"{self.http}/oauth2/token", OPERATOR, key, self.ca_pem, now)


@asynccontextmanager
async def living(directory: Path) -> AsyncIterator[Life]:
    paths = [str(ROOT), str(ROOT / "protos/gen")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.cli", "hub", "run", "--dir", str(directory), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.stdout is not None
    try:
        listening = json.loads(await process.stdout.readline())
        yield Life(
            process=process,
            grpc=listening["grpc"].replace("127.0.0.1", "localhost"),
            http=listening["http"],
            ca_pem=(directory / "tls/ca.pem").read_bytes(),
            directory=directory,
        )
    finally:
        if process.returncode is None:
            process.kill()
        # Read to the end, so that the pipe is closed before its loop is.
        await process.stdout.read()
        await process.wait()
