"""Opening a database: one DSN, one engine, the pragmas that make SQLite durable.

* ``sqlite:///relative/or//absolute.db`` uses aiosqlite: write-ahead log,
  ``synchronous=FULL`` (what was acknowledged survives a power cut),
  foreign keys on, a busy timeout.
* ``postgresql://user@host/database`` uses asyncpg. Just-in-time compilation is off:
  the issuer's assessment is planned as expensive and runs in a millisecond.

SQLAlchemy begins SQLite transactions late by default, which lets two writers
read the same state first. Here every transaction begins explicitly, and one
that announced itself as a writer takes the write lock before it reads.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.database.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

BUSY_TIMEOUT_MS: Final = 10_000
"""How long SQLite waits for another process's write, which takes well under a second."""

_RETRY_MS: Final = 50
"""Two processes meet here only when both start on a new file."""

_RETURN_SECONDS: Final = 0.01
_RETURN_LOOKS: Final = 500
"""Five seconds in all: giving back is a rollback, a message or two."""

WRITE_OPTION: Final = "hutong_write"
"""Execution option of a connection that is going to write."""

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def create_engine(dsn: str, *, pool_size: int = 5) -> AsyncEngine:
    """Make the engine for a DSN; connects nothing yet.

    Args:
        dsn: see the module.
        pool_size: connections kept open.

    Raises:
        StoreError: the DSN is malformed or names another database system.
    """
    try:
        url = make_url(dsn)
    except (ArgumentError, ValueError) as error:  # a port that is no number is the latter
        raise StoreError("the store DSN cannot be parsed") from error
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise StoreError("the store DSN must begin with sqlite: or postgresql:")
    url = url.set(drivername=driver)
    if driver.startswith("sqlite"):
        if url.database in {None, "", ":memory:"}:
            raise StoreError("the SQLite store needs a file: an acknowledged change must last")
        engine = create_async_engine(url, pool_size=pool_size, max_overflow=0)
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        # A connection that died while idle (server restart, firewall) is replaced
        # before use instead of failing the first change after it.
        pool_pre_ping=True,
        connect_args={"server_settings": {"jit": "off"}},
    )


async def close_engine(engine: AsyncEngine) -> None:
    """Close every connection, those included that are still on their way back.

    A caller that is cancelled gives its connection back behind its own back. A pool
    that is closed before forgets that one, and nobody closes it.
    """
    pool = engine.pool
    if isinstance(pool, sa.pool.QueuePool):
        for _ in range(_RETURN_LOOKS):
            if not pool.checkedout():
                break
            await asyncio.sleep(_RETURN_SECONDS)
    await engine.dispose()


def prepare_file(engine: AsyncEngine) -> None:
    """Make sure that a SQLite file can be opened, and put it into write-ahead mode.

    Blocking; run it in a thread. The mode lasts in the file. It is set before any
    pool exists because the driver's thread outlives a connection that fails, and
    because SQLite's busy timeout does not cover this one change.

    Raises:
        StoreError: no such folder, no database, no permission, or locked for long.
    """
    path = engine.url.database
    if engine.dialect.name != "sqlite" or path is None:
        return
    attempts = BUSY_TIMEOUT_MS // _RETRY_MS
    for attempt in range(1, attempts + 1):
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and (
                attempt < attempts
            ):
                time.sleep(_RETRY_MS / 1000)
                continue
            raise StoreError(f"the store cannot be opened ({type(error).__name__})") from error
        return


def _prepare_sqlite(dbapi_connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself; _begin_sqlite does.
    dbapi_connection.isolation_level = None
    try:
        cursor = dbapi_connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        # The pool forgets a connection whose preparation failed; its thread would
        # outlive the loop.
        dbapi_connection.close()
        raise


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
