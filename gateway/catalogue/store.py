"""The store of taken catalogues: SQLite by default, PostgreSQL by DSN.

Opened for a command or a service, never by a checkpoint's decision, which reads the
SQLite file through :mod:`gateway.catalogue.listing`. One import is one transaction.
What is in the store came from signed files and can be taken from them again, so there
are no migrations: a store of another schema is refused, and made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.catalogue.errors import CatalogueStoreError
from gateway.catalogue.listing import Listing
from gateway.catalogue.ordering import LastTaken
from gateway.catalogue.schema import (
    SCHEMA_NUMBER,
    counts,
    files,
    history,
    listings,
    meta,
    metadata,
)
from gateway.database import WRITE_OPTION, StoreError, close_engine, create_engine, prepare_file
from gateway.trust.times import from_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from gateway.catalogue.header import CatalogueKind

_IMPORT_LOCK: Final = 0x48434154
"""Key of PostgreSQL's advisory lock while importing: ``HCAT`` in ASCII."""


_CACHE_KIB: Final = 65_536
"""Pseudonyms come in no order, so an import touches all of the table: 64 MiB of it stay at
hand, which is the bound of its memory too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFile:
    """A file that was taken.

    Attributes:
        issuer: URN.
        audience: URN.
        kind: ``records`` or ``counts``.
        sequence: its number.
        day: that it stands for.
        taken_at: when its source was read.
        imported_at: when it was taken here.
        rows: lines.
        identified: whether its rows carry sealed documents.
        correction: where a person asks the issuer to correct a record.
        outcomes: rows by what became of them.
        closed: listings that it ended.
        open_now: listings of its issuer and audience that are open now.
    """

    issuer: str
    audience: str
    kind: str
    sequence: int
    day: date
    taken_at: datetime
    imported_at: datetime
    rows: int
    identified: bool
    correction: str
    outcomes: dict[str, int]
    closed: int
    open_now: int

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "issuer": self.issuer,
            "audience": self.audience,
            "kind": self.kind,
            "sequence": self.sequence,
            "day": self.day.isoformat(),
            "taken_at": self.taken_at.isoformat(),
            "imported_at": self.imported_at.isoformat(),
            "rows": self.rows,
            "identified": self.identified,
            "correction": self.correction,
            "outcomes": self.outcomes,
            "closed": self.closed,
            "open_now": self.open_now,
        }


def sqlite_dsn(path: Path) -> str:
    """The DSN of a store in a file."""
    return f"sqlite:///{path.resolve()}"


class CatalogueStore:
    """One database. Made by ``open``; belongs to one event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Open a store, and make its tables where it is new.

        Raises:
            CatalogueStoreError: it cannot be opened, or has another schema.
        """
        try:
            engine = create_engine(dsn, pool_size=2)
            await asyncio.to_thread(prepare_file, engine)
        except StoreError as error:
            raise CatalogueStoreError(str(error)) from None
        store = cls(engine)
        try:
            async with store.writing() as connection:
                await connection.run_sync(metadata.create_all)
                number = await connection.scalar(sa.select(sa.func.max(meta.c.schema_number)))
                if number is None:
                    await connection.execute(sa.insert(meta).values(schema_number=SCHEMA_NUMBER))
                else:
                    _check_schema(number)
        except BaseException:
            await engine.dispose()
            raise
        return store

    async def close(self) -> None:
        """Close every connection."""
        await close_engine(self._engine)

    async def __aenter__(self) -> Self:
        """The store."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that writes, alone; whatever is raised inside undoes it.

        Raises:
            CatalogueStoreError: the database failed.
        """
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**{WRITE_OPTION: True})
                if connection.dialect.name == "sqlite":
                    await connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
                    await connection.commit()
                async with connection.begin():
                    if connection.dialect.name == "postgresql":
                        await connection.execute(
                            sa.select(sa.func.pg_advisory_xact_lock(_IMPORT_LOCK))
                        )
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            # The text of a database error may hold the values of the statement.
            raise CatalogueStoreError(
                f"the store of catalogues failed ({type(error).__name__})"
            ) from None

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise CatalogueStoreError(
                f"the store of catalogues failed ({type(error).__name__})"
            ) from None

    async def taken(self) -> tuple[TakenFile, ...]:
        """Every file taken, by issuer, audience, kind and number."""
        order = (files.c.issuer, files.c.audience, files.c.kind, files.c.sequence)
        open_now = (
            sa.select(listings.c.issuer, listings.c.audience, sa.func.count().label("open_now"))
            .where(listings.c.closed_by.is_(None))
            .group_by(listings.c.issuer, listings.c.audience)
        )
        async with self._reading() as connection:
            counted = {
                (r.issuer, r.audience): r.open_now for r in await connection.execute(open_now)
            }
            found = (await connection.execute(sa.select(files).order_by(*order))).all()
        return tuple(
            TakenFile(
                issuer=row.issuer,
                audience=row.audience,
                kind=row.kind,
                sequence=row.sequence,
                day=date.fromisoformat(row.day),
                taken_at=from_seconds(row.taken_at),
                imported_at=from_seconds(row.imported_at),
                rows=row.rows,
                identified=row.identified,
                correction=row.correction,
                outcomes=json.loads(row.outcomes),
                closed=row.closed,
                open_now=counted.get((row.issuer, row.audience), 0),
            )
            for row in found
        )

    async def counted(self, issuer: str, audience: str) -> tuple[tuple[str, str, int | None], ...]:
        """Division, word and number of the newest counts; None: below the threshold."""
        newest = (
            sa.select(sa.func.max(files.c.id))
            .where(files.c.issuer == issuer, files.c.audience == audience)
            .where(files.c.kind == "counts")
            .scalar_subquery()
        )
        query = (
            sa.select(counts.c.division, counts.c.name, counts.c.count)
            .where(counts.c.file_id == newest)
            .order_by(counts.c.division, counts.c.kind, counts.c.name)
        )
        async with self._reading() as connection:
            found = (await connection.execute(query)).all()
        return tuple((division, name, number) for division, name, number in found)

    async def listed(self, issuer: str, sub: str) -> Listing | None:
        """The open listing of a pseudonym; None: the issuer does not list it."""
        query = (
            sa.select(listings, files.c.taken_at, files.c.day, files.c.correction)
            .join(files, files.c.id == listings.c.last_file)
            .where(listings.c.issuer == issuer, listings.c.sub == sub)
            .where(listings.c.closed_by.is_(None))
        )
        async with self._reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else Listing.from_members(row)

    async def past(self, issuer: str, sub: str) -> int:
        """How many earlier statements about a pseudonym are kept."""
        query = (
            sa.select(sa.func.count())
            .select_from(history)
            .where(history.c.issuer == issuer, history.c.sub == sub)
        )
        async with self._reading() as connection:
            return await connection.scalar(query) or 0


def _check_schema(number: int) -> None:
    if number != SCHEMA_NUMBER:
        raise CatalogueStoreError(
            f"the store has schema {number}, not {SCHEMA_NUMBER}",
            fix="take the newest file of each issuer into a new store",
        )


async def last_taken(
    connection: AsyncConnection, issuer: str, audience: str, kind: CatalogueKind
) -> LastTaken | None:
    """The newest file taken of an issuer; None: none was."""
    query = (
        sa.select(files.c.sequence, files.c.digest, files.c.day)
        .where(files.c.issuer == issuer, files.c.audience == audience, files.c.kind == kind.value)
        .order_by(files.c.sequence.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else LastTaken(row.sequence, row.digest, date.fromisoformat(row.day))
