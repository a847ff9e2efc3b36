"""An issuer with a clock and synthetic people, on SQLite and on PostgreSQL.

:func:`issuer_database` gives a database at the newest schema without rows: SQLite
copies a file, PostgreSQL empties the tables of one database that the whole test process
shares (see ``tests/store/databases.py`` for the server).
"""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from adapters.platforms.people import Population
from gateway.codes import Declarations, TriState, parse_document
from gateway.issuer.core import open_issuer
from gateway.issuer.people import IdentityBox
from gateway.issuer.store import IssuerStore, service_schema
from gateway.issuer.values import (
    Area,
    AreaRisk,
    ContactKind,
    ContactReport,
    HealthDeclaration,
    Identity,
    Stay,
    Symptom,
)
from tests.store.databases import _need_server, database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.codes import Document
    from gateway.issuer.core import Issuer
    from gateway.issuer.values import Code

BEGIN = datetime(2020, 3, 1, 2, 0, tzinfo=UTC)
"""Ten in the morning in Shanghai."""

HOME = "330106"
WUHAN = "420103"
YIWU = "330782"

POPULATION = Population((HOME,), size=5000)

_NO = Declarations(TriState.NO, TriState.NO, TriState.NO)


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def days(self, count: float) -> None:
        """Let days pass."""
        self.now += timedelta(days=count)


class Randomness:
    """Bytes from a seed: what a test seals is the same in every run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def __call__(self, count: int) -> bytes:
        return self._random.randbytes(count)


def box() -> IdentityBox:
    """The identity keys of every test."""
    return IdentityBox(bytes(range(32)), Randomness())


def document(index: int) -> Document:
    """The identity card of a synthetic person."""
    return parse_document(10, POPULATION.person(index).number)


def declaration(
    index: int,
    *,
    temperature: int = 365,
    symptoms: frozenset[Symptom] = frozenset({Symptom.NONE}),
    contact: TriState = TriState.NO,
    risk_area: TriState = TriState.NO,
    overseas: TriState = TriState.NO,
    home: str = HOME,
    proxy: int | None = None,
    **identity: Any,
) -> HealthDeclaration:
    """A declaration of a synthetic person, normal unless told."""
    person = POPULATION.person(index)
    return HealthDeclaration(
        identity=Identity(
            **{
                "document": document(index),
                "name": person.name,
                "phone": person.phone,
                "division": home,
                **identity,
            }
        ),
        temperature_decicelsius=temperature,
        symptoms=symptoms,
        answers=Declarations(contact, risk_area, overseas),
        proxy=None if proxy is None else document(proxy),
    )


class World:
    """An issuer, a clock, and short ways to bring facts."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        self.issuer = issuer
        self.clock = clock

    async def declare(self, index: int, **what: Any) -> Code:
        """Declare health, normally unless told."""
        return await self.issuer.facts.declare_health(
            declaration(index, **what), client="app", now=self.clock.now
        )

    async def check_in(self, index: int, days: int, **what: Any) -> Code:
        """Declare on each of the following days."""
        code = None
        for _ in range(days):
            self.clock.days(1)
            code = await self.declare(index, **what)
        assert code is not None
        return code

    async def stay(
        self,
        index: int,
        division: str,
        from_days_ago: float,
        to_days_ago: float | None = None,
        proxy: int | None = None,
    ) -> Code:
        """Declare one stay."""
        now = self.clock.now
        left = None if to_days_ago is None else now - timedelta(days=to_days_ago)
        stay = Stay(division, now - timedelta(days=from_days_ago), left)
        return await self.issuer.facts.declare_itinerary(
            document(index),
            [stay],
            proxy=None if proxy is None else document(proxy),
            client="app",
            now=now,
        )

    async def report(
        self,
        index: int,
        kind: ContactKind,
        days_ago: float = 0,
        reference: str = "case-1",
        client: str = "cdc",
    ) -> str:
        """Report one contact; returns what became of it."""
        contact = ContactReport(
            document(index), kind, self.clock.now - timedelta(days=days_ago), HOME, reference
        )
        reported = await self.issuer.facts.report_contacts(
            [contact], client=client, now=self.clock.now
        )
        return reported.outcomes[0].value

    async def publish(self, areas: dict[str, AreaRisk], *, in_days: float = 0) -> Any:
        """Publish a list."""
        return await self.issuer.areas.publish(
            [Area(division, risk) for division, risk in areas.items()],
            valid_from=self.clock.now + timedelta(days=in_days),
            source="synthetic",
            client="nhc",
            clock=self.clock,
        )

    async def recompute(self) -> Any:
        """The daily run."""
        return await self.issuer.recompute.run(self.clock)

    async def code(self, index: int) -> Code:
        """The current code."""
        code = await self.issuer.code(document(index))
        assert code is not None
        return code


def short(code: Code) -> tuple[str, str, tuple[int, int] | None]:
    """Level, rule and release of a code, to compare."""
    release = code.release
    days = None if release is None else (release.days_done, release.days_needed)
    return (code.level.value, code.rule.removeprefix("native-2020-02/"), days)


@contextmanager
def issuer_database(backend: str, directory: Path) -> Iterator[str]:
    """Yield the DSN of a database at the newest schema, without rows."""
    if backend == "sqlite":
        path = directory / "issuer.db"
        shutil.copy(_sqlite_template(), path)
        yield f"sqlite:///{path}"
        return
    _need_server()
    dsn = _shared_postgres()
    asyncio.run(_empty(dsn))
    yield dsn


async def _empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        # The triggers that refuse a deletion are not asked.
        await connection.execute("SET session_replication_role = replica")
        for table in service_schema.metadata.sorted_tables:
            await connection.execute(f"DELETE FROM {table.name}")  # noqa: S608  names of ours
    finally:
        await connection.close()


async def _migrate(dsn: str) -> None:
    await (await IssuerStore.open(dsn)).close()


@cache
def _sqlite_template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="hutong-issuer-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "issuer.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@cache
def _shared_postgres() -> str:
    opened = database("postgres", Path())
    dsn = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    asyncio.run(_migrate(dsn))
    return dsn


async def open_world(dsn: str, *, span: int = 3) -> World:
    """An issuer over a database, whose runs go in small spans."""
    return World(await open_issuer(dsn, box(), span=span, pool_size=6), Clock())
