"""One receiving region with an empty store, on SQLite or on PostgreSQL."""

from __future__ import annotations

import asyncio
import atexit
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.catalogue.schema import metadata
from gateway.catalogue.store import CatalogueStore
from tests.catalogue.world import Chain, World, make_federation
from tests.store.databases import BACKENDS, _execute, _need_server, database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_EMPTY = ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))  # noqa: S608  names of ours


@contextmanager
def _store(backend: str, directory: Path) -> Iterator[str]:
    """Yield the DSN of a store without rows: tests on PostgreSQL share one database."""
    if backend == "sqlite":
        with database(backend, directory) as dsn:
            yield dsn
        return
    _need_server()
    dsn = _shared_postgres()
    _execute(_EMPTY, dsn)
    yield dsn


@cache
def _shared_postgres() -> str:
    opened = database("postgres", Path())
    dsn = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)

    async def make_tables() -> None:
        await (await CatalogueStore.open(dsn)).close()

    asyncio.run(make_tables())
    return dsn


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with _store(request.param, tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    federation = make_federation()
    async with await CatalogueStore.open(dsn) as store:
        yield World(federation, Chain(federation, tmp_path), store, tmp_path)
