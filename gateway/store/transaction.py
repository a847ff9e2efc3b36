"""One registry change: everything in it is committed together, or nothing.

A :class:`WriteTransaction` holds the registry's write lock (SQLite's, or a table
lock on PostgreSQL), so that what it reads stays true until it commits, also
beside a second hub process on the same database. That is what keeps the feed
from forking and two members from holding one prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from gateway.store import schema
from gateway.store.feed_writes import FeedWrites, read_feed_state
from gateway.store.ledger import LedgerWrites
from gateway.store.records import EnrolmentRow, Loaded, MemberRow, StatementRow
from gateway.store.rows import (
    enrolment_from_rows,
    feed_from_row,
    member_from_row,
    member_values,
    statement_from_row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


class WriteTransaction(FeedWrites, LedgerWrites):
    """Reads and writes of one change; made by :meth:`Store.write` only."""

    async def lock(self) -> None:
        """Take the registry's write lock where ``BEGIN`` did not."""
        if self._connection.dialect.name == "postgresql":
            # Conflicts with itself and with row writes, not with readers.
            await self._connection.execute(
                sa.text("LOCK TABLE feed_state IN SHARE ROW EXCLUSIVE MODE")
            )

    async def load(self, after_revision: int, after_sequence: int) -> Loaded:
        """Everything that changed, as this change sees it; see :meth:`Store.load`."""
        return await read_changes(self._connection, after_revision, after_sequence)

    async def member(self, urn: str) -> MemberRow | None:
        """The member as it stands now."""
        row = (
            await self._connection.execute(
                sa.select(schema.members).where(schema.members.c.urn == urn)
            )
        ).one_or_none()
        return None if row is None else member_from_row(row)

    async def put_member(self, member: MemberRow) -> MemberRow:
        """Insert or replace a member; gives it the next revision.

        Returns:
            The member with its revision.
        """
        table = schema.members
        newest = await self._connection.scalar(sa.select(sa.func.max(table.c.revision)))
        values = member_values(member) | {"revision": (newest or 0) + 1}
        updated = await self._connection.execute(
            sa.update(table).where(table.c.urn == member.urn).values(values)
        )
        if updated.rowcount == 0:
            await self._connection.execute(sa.insert(table).values(values))
        row = (
            await self._connection.execute(sa.select(table).where(table.c.urn == member.urn))
        ).one()
        return member_from_row(row)

    async def prefix_holders(self, prefixes: Sequence[str]) -> dict[str, str]:
        """Who holds these very prefixes, by prefix."""
        table = schema.member_prefixes
        rows = await self._connection.execute(
            sa.select(table).where(table.c.prefix.in_(list(prefixes)))
        )
        return {row.prefix: row.urn for row in rows}

    async def hold_prefixes(self, urn: str, prefixes: Sequence[str]) -> None:
        """Give a member its prefixes, in place of those it held."""
        table = schema.member_prefixes
        await self._connection.execute(sa.delete(table).where(table.c.urn == urn))
        if prefixes:
            await self._connection.execute(
                sa.insert(table), [{"prefix": prefix, "urn": urn} for prefix in prefixes]
            )

    async def key_holders(self, key_ids: Sequence[str]) -> dict[str, str]:
        """Who holds these keys, by key id; nobody (empty) a key of the past."""
        table = schema.member_keys
        rows = await self._connection.execute(
            sa.select(table).where(table.c.key_id.in_(list(key_ids)))
        )
        return {row.key_id: row.urn if row.ended_at is None else "" for row in rows}

    async def hold_keys(self, urn: str, key_ids: Sequence[str]) -> None:
        """Give a member its keys, in place of those it held; its past stays."""
        table = schema.member_keys
        await self._connection.execute(
            sa.delete(table).where(table.c.urn == urn, table.c.ended_at.is_(None))
        )
        if key_ids:
            await self._connection.execute(
                sa.insert(table), [{"key_id": key_id, "urn": urn} for key_id in key_ids]
            )

    async def add_keys(self, urn: str, key_ids: Sequence[str]) -> None:
        """Give a member further keys, beside those it holds."""
        if key_ids:
            await self._connection.execute(
                sa.insert(schema.member_keys),
                [{"key_id": key_id, "urn": urn} for key_id in key_ids],
            )

    async def end_keys(
        self, urn: str, *, at: datetime, key_ids: Sequence[str] | None = None
    ) -> None:
        """Make keys of a member keys of the past, which nobody ever enrols again.

        Args:
            urn: the member.
            at: now.
            key_ids: which; None: all of them.
        """
        table = schema.member_keys
        ending = sa.update(table).where(table.c.urn == urn, table.c.ended_at.is_(None))
        if key_ids is not None:
            ending = ending.where(table.c.key_id.in_(list(key_ids)))
        await self._connection.execute(ending.values(ended_at=at))

    async def enrolment(self, enrolment_id: str) -> EnrolmentRow | None:
        """An enrolment with its challenges."""
        table = schema.enrolments
        row = (
            await self._connection.execute(
                sa.select(table).where(table.c.enrolment_id == enrolment_id)
            )
        ).one_or_none()
        if row is None:
            return None
        return await with_challenges(self._connection, row)

    async def key_changes(self, urn: str) -> tuple[EnrolmentRow, ...]:
        """A member's changes of keys, those that wait included, oldest first."""
        return await read_key_changes(self._connection, urn)

    async def add_enrolment(self, enrolment: EnrolmentRow) -> None:
        """Write a new enrolment and its challenges."""
        await self._connection.execute(
            sa.insert(schema.enrolments).values(
                enrolment_id=enrolment.enrolment_id,
                urn=enrolment.urn,
                statement=enrolment.statement,
                statement_key_id=enrolment.statement_key_id,
                created_at=enrolment.created_at,
                expires_at=enrolment.expires_at,
                kind=enrolment.kind,
            )
        )
        if enrolment.challenges:
            await self._connection.execute(
                sa.insert(schema.challenges),
                [
                    {
                        "enrolment_id": enrolment.enrolment_id,
                        "key_id": challenge.key_id,
                        "digest": challenge.digest,
                        "proven": challenge.proven,
                    }
                    for challenge in enrolment.challenges
                ],
            )

    async def remove_key_changes(self, urn: str) -> None:
        """Forget a member's changes of keys that wait for their proof."""
        waiting = sa.select(schema.challenges.c.enrolment_id).where(
            schema.challenges.c.proven.is_(False)
        )
        await self._connection.execute(
            sa.delete(schema.enrolments).where(
                schema.enrolments.c.urn == urn,
                schema.enrolments.c.kind == "keys",
                schema.enrolments.c.enrolment_id.in_(waiting),
            )
        )

    async def remove_statements(self, digests: Sequence[str]) -> None:
        """Forget statements that no longer stand in the feed."""
        await self._connection.execute(
            sa.delete(schema.statements).where(schema.statements.c.digest.in_(list(digests)))
        )

    async def remove_enrolments(self, urn: str) -> None:
        """Forget a member's enrolments and its statements not yet published."""
        await self._connection.execute(
            sa.delete(schema.enrolments).where(schema.enrolments.c.urn == urn)
        )
        await self._connection.execute(
            sa.delete(schema.statements).where(
                schema.statements.c.urn == urn, schema.statements.c.sequence.is_(None)
            )
        )

    async def mark_proven(self, enrolment_id: str) -> None:
        """All challenges of the enrolment came back."""
        await self._connection.execute(
            sa.update(schema.challenges)
            .where(schema.challenges.c.enrolment_id == enrolment_id)
            .values(proven=True)
        )

    async def statements(self, urn: str, *, published: bool) -> tuple[StatementRow, ...]:
        """A member's statements, oldest first."""
        return await read_statements(self._connection, urn, published=published)

    async def statement(self, digest: str) -> StatementRow | None:
        """A statement by the digest of its token."""
        table = schema.statements
        row = (
            await self._connection.execute(sa.select(table).where(table.c.digest == digest))
        ).one_or_none()
        return None if row is None else statement_from_row(row)

    async def put_statement(self, statement: StatementRow) -> None:
        """Insert a statement, or write where it was published."""
        table = schema.statements
        updated = await self._connection.execute(
            sa.update(table)
            .where(table.c.digest == statement.digest)
            .values(sequence=statement.sequence)
        )
        if updated.rowcount == 0:
            await self._connection.execute(
                sa.insert(table).values(
                    digest=statement.digest,
                    urn=statement.urn,
                    kind=statement.kind,
                    name=statement.name,
                    token=statement.token,
                    received_at=statement.received_at,
                    sequence=statement.sequence,
                )
            )


async def read_statements(
    connection: AsyncConnection, urn: str, *, published: bool
) -> tuple[StatementRow, ...]:
    """A member's statements, oldest first."""
    table = schema.statements
    condition = table.c.sequence.is_not(None) if published else table.c.sequence.is_(None)
    rows = await connection.execute(
        sa.select(table)
        .where(table.c.urn == urn, condition)
        .order_by(table.c.sequence, table.c.kind.desc(), table.c.name)
    )
    return tuple(statement_from_row(row) for row in rows)


async def with_challenges(connection: AsyncConnection, row: sa.Row[Any]) -> EnrolmentRow:
    """A row of ``enrolments`` with its challenges."""
    challenges = await connection.execute(
        sa.select(schema.challenges)
        .where(schema.challenges.c.enrolment_id == row.enrolment_id)
        .order_by(schema.challenges.c.key_id)
    )
    return enrolment_from_rows(row, challenges)


async def read_key_changes(connection: AsyncConnection, urn: str) -> tuple[EnrolmentRow, ...]:
    """A member's changes of keys, those that wait included, oldest first."""
    table = schema.enrolments
    rows = await connection.execute(
        sa.select(table)
        .where(table.c.urn == urn, table.c.kind == "keys")
        .order_by(table.c.created_at, table.c.enrolment_id)
    )
    return tuple([await with_challenges(connection, row) for row in rows])


async def read_changes(
    connection: AsyncConnection, after_revision: int, after_sequence: int
) -> Loaded:
    """Everything that changed since."""
    members = await connection.execute(
        sa.select(schema.members)
        .where(schema.members.c.revision > after_revision)
        .order_by(schema.members.c.revision)
    )
    entries = await connection.execute(
        sa.select(schema.feed_entries)
        .where(schema.feed_entries.c.sequence > after_sequence)
        .order_by(schema.feed_entries.c.sequence)
    )
    return Loaded(
        members=tuple(member_from_row(row) for row in members),
        entries=tuple(feed_from_row(row) for row in entries),
        feed_state=await read_feed_state(connection),
    )
