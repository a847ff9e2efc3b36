"""Promise 2: a hub holds no subject, presentation or level of a query.

The hub runs in a process of its own, as `hutong hub run` starts it, between a real
adapter and a real checkpoint, above another hub whose feed it passes on. After thousands
of questions about people whose papers are known, after codes that were carried, shown
twice and taken back, its whole memory is read, and its database, files, log and metrics.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import HangzhouPlatform, hangzhou_population
from adapters.sdk import AdapterParts
from adapters.sdk.issued import StatusSettings
from adapters.sdk.server import system_clock
from adapters.sdk.watching import PlatformChanges
from gateway.attestation import AttestationVerifier, to_armour
from gateway.codes import parse_document
from gateway.edge import Checkpoint, create_keys, load_keys, load_settings
from gateway.edge.enrolment import checkpoint_identity
from gateway.hub.superior import JoinPlan, join_superior
from gateway.wire.enrolment import enrol
from tests.doors.hub_process import files_of, holders, hub_process, memory_of, tables_of
from tests.edge import federation as edge_federation
from tests.hub.federation.world import start_hub, until
from tests.hub.hub_world import now_region
from tests.store.databases import database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.edge import Result
    from tests.edge.federation import Federation

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="memory is read through /proc"),
]

FEW, MANY = 400, 10_000
"""Questions of the quick test, and those of the promise."""

PEOPLE = 25
CARRIED = 10
JIANGSU, NANJING = "urn:hutong:hub:320000", "urn:hutong:region:320100"
SOUTH_GATE = "urn:hutong:checkpoint:440100:south-gate"
RED = "红码"
LEVELS = [word.encode() for word in ("GREEN", "YELLOW", "RED", "绿码", "红码")]


def with_lists(**parts: Any) -> AdapterParts:
    """An adapter that keeps lists and follows its platform."""
    changes = PlatformChanges(
        parts["connector"], "/changes", parts["scheme"], clock=system_clock, wait_seconds=1
    )
    return AdapterParts(**parts, status=StatusSettings(entries=1024), changes=changes)


async def stand_below(stack: AsyncExitStack, place: Federation, folder: Path) -> None:
    """Start a hub whose feed this one passes on, with a region that is in no other feed."""
    above: Any = place.world.hub
    below = await start_hub(stack, folder, JIANGSU)
    plan = JoinPlan(
        grpc=f"localhost:{above.grpc_port}",
        http=above.http_url,
        anchor=(above.directory / "anchor.json").read_bytes(),
        ca_pem=place.world.ca_pem,
        endpoint=f"localhost:{below.hub.grpc_port}",
        tls_ca_pem=below.ca_pem.decode(),
        prefixes=("32",),
        name_zh="",
        name_en="Synthetic hub",
    )
    await join_superior(below.settings, plan, now=datetime.now(UTC).replace(microsecond=0))
    await above.approve(JIANGSU)
    await below.admit(now_region(NANJING))


@asynccontextmanager
async def second_gate(place: Federation, folder: Path) -> AsyncIterator[Checkpoint]:
    """Another checkpoint of the same region, so that a repeat is one."""
    text = place.config.read_text().replace(edge_federation.GATE, SOUTH_GATE)
    for own in ("checkpoint-key.json", '"state"'):
        text = text.replace(own, own.replace("checkpoint", "south").replace("state", "south-state"))
    config = folder / "south.toml"
    config.write_text(text)
    settings = load_settings(config)
    create_keys(settings.key_file)
    now = datetime.now(UTC)
    identity = checkpoint_identity(settings, load_keys(settings.key_file), now=now)
    async with place.world.channel() as channel:
        await enrol(channel, identity, hub_urn=place.world.settings.urn, now=now)
    await place.world.hub.registry.approve(SOUTH_GATE)
    async with Checkpoint.open(settings) as checkpoint:
        await checkpoint.refresh()
        yield checkpoint


class Travellers:
    """People whose papers are known, and everything about them that a hub must not hold."""

    def __init__(self) -> None:
        platform = HangzhouPlatform(population=hangzhou_population(size=200))
        people = [platform.population.person(index) for index in range(PEOPLE)]
        # What the city itself publishes as a sample of its codes is in the feed.
        public = (edge_federation.SCHEMES / "hangzhou/scheme.yaml").read_text()
        stories = platform.scenarios().values()
        self.codes = [one.qr_text for one in stories if one.qr_text and one.qr_text not in public]
        self.papers = [parse_document(10, person.number) for person in people]
        self.secrets: dict[str, bytes] = {}
        for index, person in enumerate(people):
            self.secrets[f"number {index}"] = person.number.encode()
            self.secrets[f"name {index}"] = person.name.encode()
            # As the interpreter keeps a text of such characters.
            self.secrets[f"name {index} in memory"] = person.name.encode("utf-16-le")
        for index, code in enumerate(self.codes):
            self.secrets[f"QR {index}"] = code.encode()

    async def ask(self, checkpoint: Checkpoint, number: int) -> Result:
        if number % 5:
            return await checkpoint.ask(self.papers[number % PEOPLE], origin="330100")
        return await checkpoint.ask(self.codes[number % len(self.codes)])

    async def carry(self, checkpoint: Checkpoint) -> list[str]:
        """Fetch what can be carried; note whose it is, what it says and how it is shown."""
        tokens = []
        for index, paper in enumerate(self.papers):
            fetched = await checkpoint.fetch(paper, origin="330100")
            if fetched.token is None:
                continue
            attestation = AttestationVerifier(checkpoint._store.bundle).verify(
                fetched.token, audience="urn:hutong:region:440100", now=datetime.now(UTC)
            )
            self.secrets |= {
                f"token {index}": fetched.token.encode(),
                f"payload {index}": fetched.token.split(".")[1].encode(),
                f"armour {index}": to_armour(fetched.token).encode(),
                f"pseudonym {index}": attestation.subject.encode(),
                f"id {index}": attestation.token_id.encode(),
            }
            tokens.append(fetched.token)
            if len(tokens) == CARRIED:
                break
        return tokens


@pytest.mark.parametrize(
    ("questions", "backend"),
    [
        pytest.param(FEW, "sqlite", id="a few"),
        pytest.param(MANY, "sqlite", id="ten thousand", marks=pytest.mark.long),
        pytest.param(
            FEW,
            "postgres",
            id="a few on PostgreSQL",
            marks=[pytest.mark.long, pytest.mark.postgres],
        ),
    ],
)
async def test_after_thousands_of_questions_the_hub_holds_nothing_of_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, questions: int, backend: str
) -> None:
    travellers = Travellers()
    secrets = travellers.secrets
    opened = database(backend, tmp_path)
    # Its set-up runs a loop of its own, which a running loop forbids.
    dsn = await asyncio.to_thread(opened.__enter__) if backend == "postgres" else None
    monkeypatch.setattr(edge_federation, "hub_world", functools.partial(hub_process, dsn=dsn))
    monkeypatch.setattr(edge_federation, "AdapterParts", with_lists)
    async with AsyncExitStack() as stack:
        if dsn is not None:
            stack.push_async_callback(asyncio.to_thread, opened.__exit__, None, None, None)
        place = await stack.enter_async_context(edge_federation.federation(tmp_path))
        await stand_below(stack, place, tmp_path / "below")
        north = await stack.enter_async_context(Checkpoint.open(place.settings))
        await north.refresh()
        south = await stack.enter_async_context(second_gate(place, tmp_path))

        # Asked at the gate, on one stream.
        verdicts: set[str] = set()
        for begin in range(0, questions, 500):
            asked = range(begin, min(begin + 500, questions))
            results = await asyncio.gather(*(travellers.ask(north, each) for each in asked))
            verdicts |= {str(result.decision.verdict) for result in results}
        assert len(verdicts) > 1

        # Carried, shown at two gates, and taken back. However slow the machine is, the
        # gates wait for the hub's word on repeats.
        for gate in (north, south):
            gate._ready()._showings._wait_seconds = 300  # type: ignore[union-attr]
        tokens = await travellers.carry(north)
        assert len(tokens) == CARRIED
        for token in tokens:
            await north.verify(token)
        repeated = [await south.verify(token) for token in tokens]
        said = [(*one.decision.reasons, *one.decision.warnings) for one in repeated]
        assert "SEEN_ELSEWHERE" in {reason.code for reasons in said for reason in reasons}
        ledger: Any = place.adapter.ledger
        city: Any = place.platform.platform
        before = {uri: word.sequence for uri, word in ledger.board.posted.items()}
        for person in map(city.population.person, range(PEOPLE)):
            city.turn(person, RED)
        await until(
            lambda: any(
                word.number > before.get(word.entry.subject, 0)
                for word in north._store.bundle.statuses()
            )
        )

        process = place.world.hub.process  # type: ignore[attr-defined]  # of this module
        # The search finds what is there: who asked, for which region, and what a hub below says.
        seen = {
            "caller": edge_federation.GATE.encode(),
            "list": next(iter(ledger.board.posted)).encode(),
            "relayed": NANJING.encode(),
        }
        await until(lambda: holders(seen, memory_of(process.pid)) == set(seen))
        assert holders(secrets, memory_of(process.pid)) == set()

        url = f"{place.world.url}/metrics"
        async with place.world.session() as session, session.get(url) as response:
            metrics = await response.read()
        stored = list(files_of(tmp_path / "hub"))
        if dsn is not None:
            stored += await tables_of(dsn)
        assert holders({"caller": seen["caller"]}, stored) == {"caller"}
        assert holders(secrets, [metrics, *stored]) == set()
        log = (tmp_path / "hub" / "hub.log").read_bytes()
        assert log
        assert [word for word in LEVELS if word in metrics or word in log] == []
