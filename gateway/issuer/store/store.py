"""Transactions of the issuer, and the order in which they wait for each other.

Two rules make every assessment see every fact:

1. Whoever changes or assesses a person holds that person's lock from before the first
   read until the commit. On PostgreSQL that is an advisory lock on the keyed digest of
   the document for those who bring facts (it exists before the person does, so a
   contact and a first declaration that meet cannot miss each other), and the row of
   ``codes`` for everybody, locked in the order of ``person_id``.
2. Whoever brings facts also holds *the fence* in common. A new list of areas and the
   start of a run take the fence alone for a moment: after that, every transaction that
   could have read the old list has ended, and no person with a smaller id will appear.

SQLite lets one writer in at a time, which is all of this at once.

Example::

    async with await IssuerStore.open("sqlite:///issuer.db") as store:
        async with store.write() as connection:
            await store.lock_people(connection, [lookup])
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.database import WRITE_OPTION, StoreError, close_engine, create_engine, prepare_file
from gateway.issuer.store.migrate import LOCK_CLASS, MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DEFAULT_POOL: Final = 8
"""Connections kept open: two of a run, the rest for calls. Two cores serve no more."""

_FENCE: Final = 1
"""Second key of the fence's advisory lock; the first is that of the room."""

_KEY_BYTES: Final = 8
"""Of a lookup digest that make the key of its advisory lock."""


class IssuerStore:
    """One database; see the module."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite lets one writer in at a time; waiting here costs nothing, waiting in
        # its busy handler costs a thread and a back-off.
        self._writing = asyncio.Lock()

    @classmethod
    async def open(
        cls, dsn: str, *, may_migrate: bool = True, pool_size: int = DEFAULT_POOL
    ) -> Self:
        """Open the database, bringing it up to date first.

        Args:
            dsn: see :mod:`gateway.database.engine`.
            may_migrate: False: refuse a database that is behind.
            pool_size: connections kept open.

        Raises:
            SchemaAheadError: a newer version wrote the database.
            SchemaBehindError: it is behind and may not be migrated.
            StoreError: it cannot be reached or used.
        """
        engine = create_engine(dsn, pool_size=pool_size)
        try:
            await asyncio.to_thread(prepare_file, engine)
            if may_migrate:
                await MIGRATIONS.migrate(engine)
            else:
                await MIGRATIONS.check(engine)
        except StoreError:
            await engine.dispose()
            raise
        except (SQLAlchemyError, OSError) as error:
            await engine.dispose()
            reason = type(error).__name__
            raise StoreError(f"the store cannot be opened ({reason})") from error
        return cls(engine)

    async def close(self) -> None:
        """Close every connection."""
        await close_engine(self._engine)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def is_postgres(self) -> bool:
        """Whether several writers work side by side."""
        return self._engine.dialect.name == "postgresql"

    async def ping(self) -> None:
        """Make sure that the database answers.

        Raises:
            StoreError: it does not.
        """
        async with self.read() as connection:
            await connection.execute(sa.text("SELECT 1"))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; committed when the block ends, undone when it raises.

        Raises:
            StoreError: the database failed; nothing was acknowledged.
        """
        if self.is_postgres:
            async with self._connect(writes=True) as connection:
                yield connection
            return
        async with self._writing, self._connect(writes=True) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads.

        Raises:
            StoreError: the database failed.
        """
        async with self._connect(writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def _connect(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**{WRITE_OPTION: writes})
                async with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            # The driver's text may hold the values of a row.
            raise StoreError(f"the store failed ({type(error).__name__})") from error

    async def lock_people(self, connection: AsyncConnection, lookups: Iterable[bytes]) -> None:
        """Take the fence in common and the locks of people, known or not, in order."""
        if not self.is_postgres:
            return
        # A set: two digests may share a key, and the keys are what is put in order.
        keys = sorted({int.from_bytes(each[:_KEY_BYTES], "big", signed=True) for each in lookups})
        # The fence stands in FROM, so it is taken before the first key.
        await connection.execute(
            sa.text(
                "SELECT count(pg_advisory_xact_lock(key))"
                " FROM pg_advisory_xact_lock_shared(:room, :fence) AS fence"
                " CROSS JOIN unnest(CAST(:keys AS bigint[])) AS key"
            ),
            {"room": LOCK_CLASS, "fence": _FENCE, "keys": keys},
        )

    async def lock_fence(self, connection: AsyncConnection) -> None:
        """Take the fence alone: wait until nobody is bringing facts."""
        if self.is_postgres:
            await connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(:room, :fence)"),
                {"room": LOCK_CLASS, "fence": _FENCE},
            )
