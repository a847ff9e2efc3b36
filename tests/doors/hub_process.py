"""A hub in a process of its own, and a search of everything that it holds.

The process is started as ``hutong hub run`` starts it. What it holds is its memory, the
files under its directory, its database, its log and its metrics.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from gateway.cli.operator_client import OperatorClient
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.trust import parse_anchor
from tests.hub.hub_world import HubWorld, make_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

PATIENCE = 120
"""Seconds until a process that says nothing is given up; nothing waits for them to pass."""


_EMPTY = bytes(4096)


@dataclass
class HubProcess:
    """A hub of its own process, in the shape that the federation's tests use."""

    directory: Path
    process: asyncio.subprocess.Process
    grpc_port: int
    http_port: int

    @property
    def http_url(self) -> str:
        return f"https://localhost:{self.http_port}"

    @property
    def feed(self) -> Any:
        """What names its trust anchor."""
        anchor = parse_anchor((self.directory / "anchor.json").read_bytes())
        return type("Feed", (), {"anchor": anchor})

    @property
    def registry(self) -> HubProcess:
        """What approves."""
        return self

    async def approve(self, urn: str) -> None:
        profile = load_operator_profile(self.directory / OPERATOR_FILE)
        profile = profile.model_copy(
            update={
                "hub": f"localhost:{self.grpc_port}",
                "token_url": f"{self.http_url}/oauth2/token",
            }
        )
        async with OperatorClient(profile) as client:
            await client.approve(urn)


@asynccontextmanager
async def hub_process(directory: Path, *, dsn: str | None = None) -> AsyncIterator[HubWorld]:
    """Make a hub's directory and run it; its log is ``hub.log`` beside it."""
    settings = await make_directory(directory, dsn, datetime.now(UTC).replace(microsecond=0))
    log = directory / "hub.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "hub", "run", "--dir", str(directory), "--json",
            "--verbose",
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            listening = json.loads(await process.stdout.readline())
        ports = [int(listening[door].rpartition(":")[2]) for door in ("grpc", "http")]
        hub: Any = HubProcess(directory, process, *ports)
        ca_pem = (directory / "tls/ca.pem").read_bytes()
        yield HubWorld(directory, settings, hub, ca_pem, lambda: datetime.now(UTC))
    finally:
        process.terminate()
        await process.wait()


def memory_of(pid: int) -> Iterable[bytes]:
    """What a process has written anywhere, in pieces that overlap; empty pages are left out."""
    piece, overlap = 8 << 20, 4096
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            if not access.startswith("rw") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for at in range(start, end, piece):
                try:
                    memory.seek(at)
                    data = memory.read(min(piece + overlap, end - at)).replace(_EMPTY, b"")
                except (OSError, ValueError, OverflowError):
                    continue
                if data:
                    yield data


def files_of(directory: Path) -> Iterator[bytes]:
    """Every file of a hub: database and its write-ahead log, replicas, keys, log."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


async def tables_of(dsn: str) -> list[bytes]:
    """Every row of every table of a PostgreSQL database, as text."""
    connection = await asyncpg.connect(dsn)
    try:
        named = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        dumped = []
        for row in named:
            # Bytes are shown as they are read here, so that a text in them is found.
            rows = await connection.fetch(f"SELECT * FROM {row['name']}")  # noqa: S608
            dumped += [
                value if isinstance(value, bytes) else str(value).encode()
                for each in rows
                for value in each.values()
            ]
        return dumped
    finally:
        await connection.close()


def holders(secrets: dict[str, bytes], where: Iterable[bytes]) -> set[str]:
    """Which of the secrets stand anywhere."""
    found: set[str] = set()
    for data in where:
        found |= {name for name, secret in secrets.items() if secret in data}
    return found
