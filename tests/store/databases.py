"""A database of its own for each test, on SQLite and on PostgreSQL.

:func:`database` gives an empty one. :func:`migrated_database` gives one at the
newest schema without rows, far quicker: SQLite copies a file, PostgreSQL empties
the tables of one database that the whole test process shares.

What SQLAlchemy has compiled for one test serves all others of the process.

The PostgreSQL server is ``HUTONG_TEST_POSTGRES`` or the local default. Where it
is missing, its half is skipped visibly, and fails under ``CI=true``.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from gateway.store import Store

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from typing import Any

SERVER = os.environ.get("HUTONG_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")

# Quicker than TRUNCATE for a handful of rows; the rest goes with its member.
_EMPTY = """
DELETE FROM members; DELETE FROM feed_entries; DELETE FROM used_proofs; DELETE FROM usage;
DELETE FROM status_lists;
DELETE FROM notices;
DELETE FROM readers; DELETE FROM rehearsal_answers; DELETE FROM processes;
DELETE FROM heard_regions;
ALTER TABLE audit DISABLE TRIGGER USER; DELETE FROM audit; ALTER TABLE audit ENABLE TRIGGER USER;
UPDATE feed_state SET floor = 0, last_sequence = 0, last_digest = '';
"""

BACKENDS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]

_COMPILED: dict[Any, Any] = {}
_DIALECTS: dict[tuple[str, str], sa.Dialect] = {}


@sa.event.listens_for(sa.Engine, "engine_connect")
def _compile_once(connection: sa.Connection) -> None:
    """Let no test compile a statement that another has compiled.

    A process of ours has one engine for as long as it lives, and its statements are
    compiled once. Each test opens an engine of its own, and would compile them all again:
    more than a third of the time of the issuer's tests.
    """
    own = connection.dialect
    connection.dialect = _DIALECTS.setdefault((own.name, own.driver), own)
    connection.execution_options(compiled_cache=_COMPILED)


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run something to its end, also for a test that is inside an event loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
    else:
        with ThreadPoolExecutor(1) as beside:
            beside.submit(asyncio.run, work).result()


def _execute(statement: str, dsn: str = SERVER) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _finish(execute())


@cache
def _why_absent() -> str | None:
    try:
        _execute("SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"no PostgreSQL server for the tests ({type(error).__name__})"
    return None


@contextmanager
def database(backend: str, directory: Path) -> Iterator[str]:
    """Yield the DSN of an empty database and drop it afterwards."""
    if backend == "sqlite":
        yield f"sqlite:///{directory / 'hub.db'}"
        return
    _need_server()
    name = f"hutong_test_{secrets.token_hex(8)}"
    _execute(f'CREATE DATABASE "{name}"')
    try:
        yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def migrated_database(backend: str, directory: Path) -> Iterator[str]:
    """Yield the DSN of a database at the newest schema, without rows."""
    if backend == "sqlite":
        path = directory / "hub.db"
        shutil.copy(_sqlite_template(), path)
        yield f"sqlite:///{path}"
        return
    _need_server()
    dsn = _shared_postgres()
    _execute(_EMPTY, dsn)
    yield dsn


def _need_server() -> None:
    if reason := _why_absent():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


async def _migrate(dsn: str) -> None:
    await (await Store.open(dsn)).close()


@cache
def _sqlite_template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="hutong-test-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "hub.db"
    _finish(_migrate(f"sqlite:///{path}"))
    return path


@cache
def _shared_postgres() -> str:
    opened = database("postgres", Path())
    dsn = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    _finish(_migrate(dsn))
    return dsn
