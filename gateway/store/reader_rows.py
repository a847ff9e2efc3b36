"""What readers of the feed said, for all hub processes of one database.

Written in groups: one transaction for however many acknowledgements came since the
last. It stands beside the registry: no lock of a change is taken, nothing is
signed, and losing it costs nothing but what readers say again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import schema

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """How far one reader is.

    Attributes:
        hub: whose feed; empty: the serving hub's own.
        urn: who it is.
        sequence: the newest entry it said it holds.
        seen_at: when it said so.
    """

    hub: str
    urn: str
    sequence: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What one reader said of a rehearsal.

    Attributes:
        rehearsal: names the rehearsal.
        urn: who said it.
        reason: why it would not verify the new key; empty: it would.
        seen_at: when it said so.
    """

    rehearsal: str
    urn: str
    reason: str
    seen_at: datetime


class ReaderRows:
    """Mixed into :class:`~gateway.store.store.Store`."""

    _writing: asyncio.Lock

    @property
    def is_shared(self) -> bool:
        """Another process may write to this database while we run."""
        raise NotImplementedError

    def _connect(self, *, writes: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction; the store's own."""
        raise NotImplementedError

    async def say_readers(
        self,
        process: str,
        readers: Sequence[ReaderRow],
        answers: Sequence[AnswerRow],
        *,
        watchers: int,
        now: datetime,
    ) -> None:
        """Write what readers told one process, in one transaction.

        What another process heard later stands.

        Args:
            process: which process.
            readers: how far they are, each once.
            answers: what they said of rehearsals, each once.
            watchers: how many readers watch the feed at that process.
            now: the clock.

        Raises:
            StoreError: the database failed; nothing of it was written.
        """
        async with self._writing, self._connect(writes=True) as connection:
            # A fixed order: two processes that write the same rows cannot lock each
            # other out.
            await self._upsert(
                connection,
                schema.readers,
                [
                    {
                        "hub": row.hub,
                        "urn": row.urn,
                        "sequence": row.sequence,
                        "seen_at": row.seen_at,
                        "process": process,
                    }
                    for row in sorted(readers, key=lambda row: (row.hub, row.urn))
                ],
            )
            await self._upsert(
                connection,
                schema.rehearsal_answers,
                [
                    {
                        "rehearsal": row.rehearsal,
                        "urn": row.urn,
                        "reason": row.reason,
                        "seen_at": row.seen_at,
                    }
                    for row in sorted(answers, key=lambda row: (row.rehearsal, row.urn))
                ],
            )
            await self._upsert(
                connection,
                schema.processes,
                [{"process": process, "watchers": watchers, "seen_at": now}],
            )

    async def heard_readers(self, *, since: datetime, limit: int) -> tuple[ReaderRow, ...]:
        """How far readers are that spoke at any process, the latest to speak first.

        Args:
            since: those that spoke from here on.
            limit: how many at most.
        """
        table = schema.readers
        columns = (table.c.hub, table.c.urn, table.c.sequence, table.c.seen_at)
        query = sa.select(*columns).where(table.c.seen_at >= since)
        query = query.order_by(table.c.seen_at.desc(), table.c.hub, table.c.urn).limit(limit)
        async with self._connect(writes=False) as connection:
            rows = await connection.execute(query)
            return tuple(ReaderRow(*row) for row in rows)

    async def heard_answers(self, rehearsal: str, *, limit: int) -> dict[str, str]:
        """Reasons by reader, of one rehearsal, whichever process heard them.

        Args:
            rehearsal: names it.
            limit: how many at most.
        """
        table = schema.rehearsal_answers
        query = sa.select(table.c.urn, table.c.reason).where(table.c.rehearsal == rehearsal)
        async with self._connect(writes=False) as connection:
            rows = await connection.execute(query.order_by(table.c.urn).limit(limit))
            return {row.urn: row.reason for row in rows}

    async def other_watchers(self, process: str, *, since: datetime) -> int:
        """How many readers watch the feed at the other processes that live.

        Args:
            process: the one that asks.
            since: a process that was silent from here on is gone.
        """
        table = schema.processes
        query = sa.select(sa.func.coalesce(sa.func.sum(table.c.watchers), 0)).where(
            table.c.process != process, table.c.seen_at >= since
        )
        async with self._connect(writes=False) as connection:
            return int(await connection.scalar(query) or 0)

    async def forget_readers(self, *, before: datetime, answers_before: datetime) -> None:
        """Drop what was said long ago.

        Args:
            before: readers and processes that were silent since.
            answers_before: answers of rehearsals that are over by now.
        """
        async with self._writing, self._connect(writes=True) as connection:
            for table, moment in (
                (schema.readers, before),
                (schema.processes, before),
                (schema.rehearsal_answers, answers_before),
            ):
                await connection.execute(sa.delete(table).where(table.c.seen_at < moment))

    async def forget_process(self, process: str) -> None:
        """Say that a process is gone: nobody watches there any more."""
        table = schema.processes
        async with self._writing, self._connect(writes=True) as connection:
            await connection.execute(sa.delete(table).where(table.c.process == process))

    async def _upsert(
        self, connection: AsyncConnection, table: sa.Table, rows: list[dict[str, Any]]
    ) -> None:
        if not rows:
            return
        insert: Any = postgresql.insert if self.is_shared else sqlite.insert
        statement = insert(table)
        keys = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(
            index_elements=keys,
            set_={name: statement.excluded[name] for name in rows[0] if name not in keys},
            where=statement.excluded.seen_at >= table.c.seen_at,
        )
        await connection.execute(statement, rows)
