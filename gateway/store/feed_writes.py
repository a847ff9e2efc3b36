"""The feed's half of a change: append, compact, and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from gateway.store import schema
from gateway.store.errors import StoreCorruptError
from gateway.store.records import FeedRow, FeedStateRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

FEED_STATE_ID: Final = 1
"""The one row of ``feed_state``."""


class FeedWrites:
    """Mixed into :class:`~gateway.store.transaction.WriteTransaction`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def feed_state(self) -> FeedStateRow:
        """Where the feed stands."""
        return await read_feed_state(self._connection)

    async def append_feed(self, entries: Sequence[FeedRow]) -> None:
        """Append entries that follow the newest one.

        Raises:
            StoreCorruptError: they do not follow it.
        """
        if not entries:
            return
        state = await self.feed_state()
        for expected, entry in enumerate(entries, start=state.last_sequence + 1):
            if entry.sequence != expected:
                raise StoreCorruptError("a feed entry does not follow the newest one")
        await self._connection.execute(
            sa.insert(schema.feed_entries),
            [
                {
                    "sequence": entry.sequence,
                    "kind": entry.kind,
                    "subject": entry.subject,
                    "token": entry.token,
                    "digest": entry.digest,
                    "issued_at": entry.issued_at,
                    "withdrawn": entry.withdrawn,
                }
                for entry in entries
            ],
        )
        await self._set_feed_state(
            last_sequence=entries[-1].sequence, last_digest=entries[-1].digest
        )

    async def compact_feed(self, floor: int) -> int:
        """Drop superseded entries up to and including ``floor``.

        The newest entry of each (kind, subject) stays, whatever its age; but a
        tombstone goes: no reader that may continue still holds what it ended.

        Returns:
            How many entries were dropped.
        """
        state = await self.feed_state()
        floor = min(floor, state.last_sequence)
        if floor <= state.floor:
            return 0
        table = schema.feed_entries
        in_force = (
            sa.select(sa.func.max(table.c.sequence))
            .group_by(table.c.kind, table.c.subject)
            .scalar_subquery()
        )
        # The newest entry of all stays also as a tombstone: the chain continues there.
        result = await self._connection.execute(
            sa.delete(table).where(
                table.c.sequence <= floor,
                table.c.sequence < state.last_sequence,
                sa.or_(table.c.withdrawn, table.c.sequence.not_in(in_force)),
            )
        )
        await self._set_feed_state(floor=floor)
        return result.rowcount

    async def _set_feed_state(self, **values: int | str) -> None:
        await self._connection.execute(
            sa.update(schema.feed_state)
            .where(schema.feed_state.c.id == FEED_STATE_ID)
            .values(**values)
        )


async def read_feed_state(connection: AsyncConnection) -> FeedStateRow:
    """Where the feed stands.

    Raises:
        StoreCorruptError: the row, or the newest entry, is gone.
    """
    row = (
        await connection.execute(
            sa.select(schema.feed_state).where(schema.feed_state.c.id == FEED_STATE_ID)
        )
    ).one_or_none()
    if row is None:
        raise StoreCorruptError("the feed's state row is missing")
    issued_at = await connection.scalar(
        sa.select(schema.feed_entries.c.issued_at).where(
            schema.feed_entries.c.sequence == row.last_sequence
        )
    )
    if row.last_sequence and issued_at is None:
        raise StoreCorruptError("the newest feed entry is missing")
    return FeedStateRow(
        floor=row.floor,
        last_sequence=row.last_sequence,
        last_digest=row.last_digest,
        last_issued_at=issued_at,
    )
