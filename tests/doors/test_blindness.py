"""Promise 2: a hub holds no subject, presentation or level of a query.

The hub runs in a process of its own, as `hutong hub run` starts it, between a real
adapter and a real checkpoint. After a few thousand questions about people whose
papers are known, its whole memory is read, and its files, its log and its metrics.
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

import pytest

from adapters.platforms import HangzhouPlatform, hangzhou_population
from gateway.cli.operator_client import OperatorClient
from gateway.codes import parse_document
from gateway.edge import Checkpoint
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.trust import parse_anchor
from tests.edge import federation as edge_federation
from tests.hub.hub_world import HubWorld, make_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from gateway.edge.checkpoint import Fetched

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="memory is read through /proc"),
]

QUESTIONS = 2_000
PEOPLE = 100


@dataclass
class HubProcess:
    """A hub of its own process, in the shape that the federation's tests use."""

    directory: Path
    process: asyncio.subprocess.Process
    grpc_port: int
    http_port: int

    @property
    def feed(self) -> Any:
        """What names its trust anchor."""
        anchor = parse_anchor((self.directory / "anchor.json").read_bytes())
        return type("Feed", (), {"_anchor": anchor})

    @property
    def registry(self) -> HubProcess:
        """What approves."""
        return self

    async def approve(self, urn: str) -> None:
        profile = load_operator_profile(self.directory / OPERATOR_FILE)
        profile = profile.model_copy(
            update={
                "hub": f"localhost:{self.grpc_port}",
                "token_url": f"https://localhost:{self.http_port}/oauth2/token",
            }
        )
        async with OperatorClient(profile) as client:
            await client.approve(urn)


@asynccontextmanager
async def hub_process(directory: Path) -> AsyncIterator[HubWorld]:
    settings = await make_directory(directory, None, datetime.now(UTC).replace(microsecond=0))
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
        async with asyncio.timeout(30):
            listening = json.loads(await process.stdout.readline())
        ports = [int(listening[door].rpartition(":")[2]) for door in ("grpc", "http")]
        hub: Any = HubProcess(directory, process, *ports)
        ca_pem = (directory / "tls/ca.pem").read_bytes()
        yield HubWorld(directory, settings, hub, ca_pem, lambda: datetime.now(UTC))
    finally:
        process.terminate()
        await process.wait()


def memory_of(pid: int) -> Iterable[bytes]:
    """Every readable and writable region of a process, in pieces that overlap."""
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
                    yield memory.read(min(piece + overlap, end - at))
                except (OSError, ValueError, OverflowError):
                    continue


def holders(secrets: dict[str, bytes], where: Iterable[bytes]) -> set[str]:
    """Which of the secrets stand anywhere."""
    found: set[str] = set()
    for data in where:
        found |= {name for name, secret in secrets.items() if secret in data}
    return found


@pytest.mark.timeout(120)
async def test_after_thousands_of_questions_the_hub_holds_nothing_of_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_federation, "hub_world", hub_process)
    platform = HangzhouPlatform(population=hangzhou_population(size=200))
    people = [platform.population.person(index) for index in range(PEOPLE)]
    secrets: dict[str, bytes] = {}
    async with (
        edge_federation.federation(tmp_path) as place,
        Checkpoint.open(place.settings) as checkpoint,
    ):
        await checkpoint.refresh()
        # What the city itself publishes as a sample of its codes is in the feed.
        public = (edge_federation.SCHEMES / "hangzhou/scheme.yaml").read_text()
        known = [
            person
            for person in platform.scenarios().values()
            if person.qr_text and person.qr_text not in public
        ]
        papers = [parse_document(10, person.number) for person in people]
        for index, paper in enumerate(papers):
            secrets[f"number {index}"] = paper.number.encode()
        for person in known:
            secrets[f"QR {person.name}"] = str(person.qr_text).encode()
            secrets[f"number {person.name}"] = person.document_number.encode()

        levels: set[str] = set()
        for begin in range(0, QUESTIONS, 500):
            asked = [
                checkpoint.ask(papers[number % PEOPLE], origin="330100")
                if number % 5
                else checkpoint.ask(known[number % len(known)].qr_text or "")
                for number in range(begin, begin + 500)
            ]
            results = await asyncio.gather(*asked)
            levels |= {str(result.decision.verdict) for result in results}
        assert len(levels) > 1

        fetched: list[Fetched] = [
            await checkpoint.fetch(paper, origin="330100") for paper in papers[:20]
        ]
        for index, one in enumerate(fetched):
            if one.token is not None:
                secrets[f"token {index}"] = one.token.encode()
                secrets[f"payload {index}"] = one.token.split(".")[1].encode()
        assert any(name.startswith("token") for name in secrets)

        hub = place.world.hub
        process = hub.process  # type: ignore[attr-defined]  # the one of this module
        # The search finds what is there: the hub knows who asked, and for which region.
        seen = {"caller": edge_federation.GATE.encode()}
        assert holders(seen, memory_of(process.pid)) == {"caller"}
        assert holders(secrets, memory_of(process.pid)) == set()

        async with (
            place.world.session() as session,
            session.get(f"{place.world.url}/metrics") as response,
        ):
            metrics = await response.read()
        stored = [path.read_bytes() for path in (tmp_path / "hub").rglob("*") if path.is_file()]
        assert holders(secrets, [metrics, *stored]) == set()
        log = (tmp_path / "hub" / "hub.log").read_bytes()
        for word in (b"GREEN", b"YELLOW", b"RED", "绿码".encode(), "红码".encode()):
            assert word not in metrics
            assert word not in log
