"""The national issuer: the daily run over everybody, and a first declaration.

A million synthetic people on PostgreSQL (``HUTONG_BENCH_PEOPLE``: another number;
``HUTONG_TEST_POSTGRES``: another server), in a database of its own that is dropped
afterwards. The run is done by a process of its own, whose peak memory is told. Beside
it stands a bare ``UPDATE`` of as many rows of the same table, once as one statement and
once in the run's own spans over as many connections, all in turns.

A first declaration writes the person, the declaration, the residence and the code and
assesses them in one durable transaction; a further one is the daily check-in. Beside
them stands one durable insert of a declaration's row.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import make_url

from adapters.platforms.people import Population as Papers
from gateway.codes import Declarations, DocumentType, TriState, parse_document
from gateway.issuer.core import open_issuer
from gateway.issuer.people import IdentityBox
from gateway.issuer.runs import LANES, SPAN
from gateway.issuer.values import HealthDeclaration, Identity, Symptom
from gateway.wire.loop import run as run_loop
from tests.benchmarks.figures import Figure, at_least, within
from tests.benchmarks.issuer_people import CLIENT, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PEOPLE: Final = int(os.environ.get("HUTONG_BENCH_PEOPLE", "1000000"))
_SERVER: Final = os.environ.get(
    "HUTONG_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"
)
_DECLARATIONS: Final = 400
_WARM: Final = 20
_ROUNDS: Final = 3
_SECRET: Final = bytes(range(32))
_MEMORY_MB: Final = 300
"""The goal: whatever the population."""


@dataclass(frozen=True, slots=True)
class _Run:
    people: int
    changed: int
    seconds: float
    peak_mb: float


def measure() -> list[Figure]:
    """Measure both; without a server there is nothing to measure."""
    try:
        return run_loop(_measure())
    except OSError:
        return [Figure("issuer", 0, "", note="no PostgreSQL server; not measured")]


async def _measure() -> list[Figure]:
    async with _database() as dsn:
        now = int(time.time())
        await fill(dsn, PEOPLE, now)
        first = await asyncio.to_thread(_recompute, dsn)
        if first.people != PEOPLE or not first.changed:
            raise RuntimeError("the run did not assess everybody, or changed nobody")
        rounds = [await _round(dsn) for _ in range(_ROUNDS)]
        run, bare, spans = (statistics.median(times) for times in zip(*rounds, strict=True))
        figures = [
            at_least(
                f"issuer: daily run over {PEOPLE:,} people",
                PEOPLE / run,
                "/s",
                baseline=PEOPLE / bare,
                ratio=statistics.median(one / ours for ours, one, _ in rounds),
                goal=0.3,
                note="beside a bare UPDATE of as many rows",
            ),
            Figure(
                "issuer: the same beside bare updates in its own spans and lanes",
                PEOPLE / run,
                "/s",
                baseline=PEOPLE / spans,
                ratio=statistics.median(split / ours for ours, _, split in rounds),
            ),
            Figure(
                "issuer: first run, which finds out about everybody",
                first.people / first.seconds,
                "/s",
                note=f"{first.changed:,} levels changed",
            ),
            within(
                "issuer: peak memory of the run's process",
                first.peak_mb,
                "MB",
                baseline=_MEMORY_MB,
                ratio=first.peak_mb / _MEMORY_MB,
                goal=_MEMORY_MB,
            ),
        ]
        return [*figures, *await _declarations(dsn)]


async def _round(dsn: str) -> tuple[float, float, float]:
    """Seconds of the run, of one bare update, and of bare updates in spans and lanes."""
    await _checkpoint(dsn)
    run = (await asyncio.to_thread(_recompute, dsn)).seconds
    await _checkpoint(dsn)
    bare = await _bare_update(dsn)
    await _checkpoint(dsn)
    started = time.perf_counter()
    edges = [PEOPLE * lane // LANES for lane in range(LANES + 1)]
    await asyncio.gather(*(_bare_spans(dsn, *lane) for lane in pairwise(edges)))
    return run, bare, time.perf_counter() - started


async def _checkpoint(dsn: str) -> None:
    """Let everybody begin alike: the first change of a page after it is written whole."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


_BARE: Final = "UPDATE codes SET assessed_at = assessed_at + 1"


async def _bare_update(dsn: str) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        started = time.perf_counter()
        await connection.execute(_BARE)
        return time.perf_counter() - started
    finally:
        await connection.close()


async def _bare_spans(dsn: str, first: int, last: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for low in range(first, last, SPAN):
            high = min(low + SPAN, last)
            await connection.execute(f"{_BARE} WHERE person_id BETWEEN $1 AND $2", low + 1, high)
    finally:
        await connection.close()


def _recompute(dsn: str) -> _Run:
    child = subprocess.run(
        [sys.executable, "-m", __name__, dsn], check=True, capture_output=True, text=True
    )
    return _Run(**json.loads(child.stdout))


async def _run_here(dsn: str) -> _Run:
    async with await open_issuer(dsn, IdentityBox(_SECRET, os.urandom)) as issuer:
        report = await issuer.recompute.run(lambda: datetime.now(UTC))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return _Run(report.people, report.changed, report.seconds, peak)


async def _declarations(dsn: str) -> list[Figure]:
    papers = Papers(("430102",), size=2 * _DECLARATIONS)
    told = [_declaration(papers.person(number).number) for number in range(_DECLARATIONS)]
    connection = await asyncpg.connect(dsn)
    times: dict[str, list[float]] = {"a first": [], "a further": [], "bare": []}
    try:
        async with await open_issuer(dsn, IdentityBox(_SECRET, os.urandom)) as issuer:
            # The first few meet an empty cache of plans, as they do once in a process's life.
            for declaration in told[:_WARM]:
                await issuer.facts.declare_health(declaration, client=CLIENT, now=_now())
            for number, declaration in enumerate(told[_WARM:], start=1):
                for name in ("a first", "a further"):
                    started = time.perf_counter()
                    await issuer.facts.declare_health(declaration, client=CLIENT, now=_now())
                    times[name].append(time.perf_counter() - started)
                started = time.perf_counter()
                await connection.execute(_INSERT, number, int(time.time()), CLIENT)
                times["bare"].append(time.perf_counter() - started)
    finally:
        await connection.close()
    return [
        Figure(
            f"issuer: {which} declaration, assessed at once, {name}",
            _at(times[which], share) * 1000,
            "ms",
            baseline=_at(times["bare"], share) * 1000,
            ratio=_at(times[which], share) / _at(times["bare"], share),
            note="beside one durable insert",
        )
        for which in ("a first", "a further")
        for name, share in (("median", 0.5), ("p99", 0.99))
    ]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


_INSERT: Final = (
    "INSERT INTO declarations (person_id, temperature, symptoms, contact, risk_area, overseas,"
    " notable, recorded_at, client) VALUES ($1, 365, 0, 2, 2, 2, 0, $2, $3)"
)


def _declaration(number: str) -> HealthDeclaration:
    document = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number)
    no = TriState.NO
    return HealthDeclaration(
        identity=Identity(document, "测试", "430102"),
        temperature_decicelsius=365,
        symptoms=frozenset({Symptom.NONE}),
        answers=Declarations(no, no, no),
    )


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@contextlib.asynccontextmanager
async def _database() -> AsyncIterator[str]:
    server = make_url(_SERVER).set(drivername="postgresql")
    name = f"hutong_bench_{uuid4().hex[:16]}"
    await _administer(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        await _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(server: Any, statement: str) -> None:
    connection = await asyncpg.connect(server.render_as_string(hide_password=False), timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


if __name__ == "__main__":
    done = run_loop(_run_here(sys.argv[1]))
    print(
        json.dumps(
            {
                "people": done.people,
                "changed": done.changed,
                "seconds": done.seconds,
                "peak_mb": done.peak_mb,
            }
        )
    )
