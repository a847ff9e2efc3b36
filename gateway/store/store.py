"""The hub's memory on disk.

Reads return values; changes go through :meth:`Store.write`, which commits once
when the block ends and rolls everything back when it raises. What a caller was
told after that commit survives a kill of the process at any moment.

Hot paths never come here: the hub reads its members and its feed from memory,
which it fills from :meth:`Store.load`.

Example::

    async with await Store.open("sqlite:///hub.db") as store:
        async with store.write() as change:
            await change.put_member(member)
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway.database import WRITE_OPTION, StoreError, close_engine, create_engine, prepare_file
from gateway.store import schema
from gateway.store.feed_writes import read_feed_state
from gateway.store.heard_rows import HeardRows
from gateway.store.ledger import proof_digest, read_audit
from gateway.store.migrate import MIGRATIONS
from gateway.store.reader_rows import ReaderRows
from gateway.store.records import StatusListRow, UsageRow
from gateway.store.transaction import (
    WriteTransaction,
    read_changes,
    read_key_changes,
    read_statements,
    with_challenges,
)
from gateway.store.wakeups import NOTIFY, Turn, Wakeups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from gateway.store.records import AuditRow, EnrolmentRow, FeedStateRow, Loaded, StatementRow


class Store(ReaderRows, HeardRows):
    """One database; see the module."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite lets one writer in at a time; waiting here costs nothing, waiting
        # in its busy handler costs a thread and a back-off.
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str, *, may_migrate: bool = True) -> Self:
        """Open the database, bringing it up to date first.

        Args:
            dsn: see :mod:`gateway.database.engine`.
            may_migrate: False: refuse a database that is behind.

        Raises:
            SchemaAheadError: a newer version wrote the database.
            SchemaBehindError: it is behind and may not be migrated.
            StoreError: it cannot be reached or used.
        """
        engine = create_engine(dsn)
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
            raise StoreError(f"the store cannot be opened ({type(error).__name__})") from error
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
    def is_shared(self) -> bool:
        """Another process may write to this database while we run."""
        return self._engine.dialect.name == "postgresql"

    def wakeups(self) -> Wakeups | None:
        """Notices of what other processes wrote; None: nobody else can write here."""
        return Wakeups(self._engine.url, jitter=random.random) if self.is_shared else None

    def turn(self) -> Turn:
        """What only one process at a time should do on this database."""
        return Turn(self._engine.url if self.is_shared else None, jitter=random.random)

    async def ping(self) -> None:
        """Make sure that the database answers.

        Raises:
            StoreError: it does not.
        """
        async with self._reading() as connection:
            await connection.execute(sa.select(schema.feed_state.c.id))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTransaction]:
        """A change of the registry, alone in the whole federation of hub processes.

        Raises:
            StoreError: the database failed; nothing of the change was acknowledged.
        """
        async with self._writing, self._connect(writes=True) as connection:
            transaction = WriteTransaction(connection)
            await transaction.lock()
            yield transaction
            if self.is_shared:
                await connection.execute(sa.text(NOTIFY))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
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

    async def load(self, after_revision: int, after_sequence: int) -> Loaded:
        """Everything that changed, as of one moment.

        Args:
            after_revision: newest member revision already known; zero: all members.
            after_sequence: newest feed entry already known; zero: the whole feed.
        """
        async with self._reading() as connection:
            if self.is_shared:
                # One snapshot for every read: a member never shows up without the
                # feed entry that the same commit wrote.
                await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            return await read_changes(connection, after_revision, after_sequence)

    async def feed_state(self) -> FeedStateRow:
        """Where the feed stands: one row.

        Raises:
            StoreError: the database failed.
        """
        async with self._reading() as connection:
            return await read_feed_state(connection)

    async def enrolment(self, enrolment_id: str) -> EnrolmentRow | None:
        """An enrolment with its challenges."""
        async with self._reading() as connection:
            table = schema.enrolments
            row = (
                await connection.execute(
                    sa.select(table).where(table.c.enrolment_id == enrolment_id)
                )
            ).one_or_none()
            if row is None:
                return None
            return await with_challenges(connection, row)

    async def key_changes(self, urn: str) -> tuple[EnrolmentRow, ...]:
        """A member's changes of keys, proven ones included, oldest first."""
        async with self._reading() as connection:
            return await read_key_changes(connection, urn)

    async def published(self, urn: str) -> tuple[StatementRow, ...]:
        """What of a member's statements is published, superseded ones included, oldest first."""
        async with self._reading() as connection:
            return await read_statements(connection, urn, published=True)

    async def audit(
        self, *, subject: str = "", before: int = 0, limit: int
    ) -> tuple[AuditRow, ...]:
        """Lines of the audit, newest first.

        Args:
            subject: only about this; empty: about anything.
            before: only lines of lower numbers; zero: from the newest.
            limit: how many at most.
        """
        async with self._reading() as connection:
            return tuple(await read_audit(connection, subject=subject, before=before, limit=limit))

    async def spend_proof(self, client: str, proof_id: str, *, expires_at: datetime) -> bool:
        """Use up a proof's id, durably, before what it proves is granted.

        Args:
            client: whose proof; ids of different clients do not collide.
            proof_id: the ``jti``.
            expires_at: after when the proof is void anyway and may be forgotten.

        Returns:
            False when the id was used before.
        """
        digest = proof_digest(client, proof_id)
        try:
            async with self._writing, self._engine.connect() as connection:
                await connection.execution_options(**{WRITE_OPTION: True})
                async with connection.begin():
                    await connection.execute(
                        sa.insert(schema.used_proofs).values(digest=digest, expires_at=expires_at)
                    )
        except IntegrityError:
            return False
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the store failed ({type(error).__name__})") from error
        return True

    async def forget_proofs(self, *, before: datetime) -> int:
        """Drop spent proofs that are void by now.

        Returns:
            How many.
        """
        async with self._writing, self._connect(writes=True) as connection:
            table = schema.used_proofs
            result = await connection.execute(sa.delete(table).where(table.c.expires_at < before))
            return result.rowcount

    async def add_usage(self, rows: Sequence[UsageRow]) -> None:
        """Add counts to what is already counted, all in one transaction."""
        if not rows:
            return
        insert: Any = postgresql.insert if self.is_shared else sqlite.insert
        table = schema.usage
        statement = insert(table)
        statement = statement.on_conflict_do_update(
            index_elements=[table.c.caller, table.c.region, table.c.purpose, table.c.hour],
            set_={
                name: table.c[name] + statement.excluded[name] for name in ("envelopes", "bytes")
            },
        )
        async with self._writing, self._connect(writes=True) as connection:
            await connection.execute(
                statement,
                [
                    {
                        "caller": row.caller,
                        "region": row.region,
                        "purpose": row.purpose,
                        "hour": row.hour,
                        "envelopes": row.envelopes,
                        "bytes": row.bytes,
                    }
                    # A fixed order: two processes that add to the same rows cannot
                    # lock each other out.
                    for row in sorted(rows, key=lambda r: (r.caller, r.region, r.purpose, r.hour))
                ],
            )

    async def usage(self, *, since: datetime) -> tuple[UsageRow, ...]:
        """Counted use from an hour on, inclusive."""
        async with self._reading() as connection:
            table = schema.usage
            rows = await connection.execute(
                sa.select(table)
                .where(table.c.hour >= since)
                .order_by(table.c.hour, table.c.caller, table.c.region, table.c.purpose)
            )
            return tuple(UsageRow(**row._mapping) for row in rows)  # noqa: SLF001 — public API

    async def add_status_list(self, row: StatusListRow) -> None:
        """Keep a base status list; once more does nothing."""
        insert: Any = postgresql.insert if self.is_shared else sqlite.insert
        statement = insert(schema.status_lists).values(
            digest=row.digest,
            uri=row.uri,
            urn=row.urn,
            token=row.token,
            received_at=row.received_at,
            expires_at=row.expires_at,
        )
        async with self._writing, self._connect(writes=True) as connection:
            await connection.execute(statement.on_conflict_do_nothing())

    async def status_list(self, digest: str) -> bytes | None:
        """The token of a base status list."""
        table = schema.status_lists
        async with self._reading() as connection:
            token = await connection.scalar(
                sa.select(table.c.token).where(table.c.digest == digest)
            )
            return None if token is None else bytes(token)

    async def status_list_end(self, digest: str) -> datetime | None:
        """When a base status list is over; None: it is not kept."""
        table = schema.status_lists
        async with self._reading() as connection:
            end: datetime | None = await connection.scalar(
                sa.select(table.c.expires_at).where(table.c.digest == digest)
            )
            return end

    async def status_lists_received(self, digests: Collection[str]) -> dict[str, datetime]:
        """When base status lists came, by digest; those that are not kept are left out."""
        table = schema.status_lists
        async with self._reading() as connection:
            rows = await connection.execute(sa.select(table.c.digest, table.c.received_at))
            return {row.digest: row.received_at for row in rows if row.digest in digests}

    async def forget_status_lists(self, *, named: Collection[str], before: datetime) -> int:
        """Drop lists that no entry names any more and that are older than a moment.

        Args:
            named: digests that the feed names.
            before: readers may still want what came later.

        Returns:
            How many.
        """
        table = schema.status_lists
        async with self._writing, self._connect(writes=True) as connection:
            old = await connection.scalars(
                sa.select(table.c.digest).where(table.c.received_at < before)
            )
            gone = [digest for digest in old if digest not in named]
            if gone:
                await connection.execute(sa.delete(table).where(table.c.digest.in_(gone)))
            return len(gone)
