"""What a change writes down about itself: audit, notices given, proofs spent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gateway.store import schema
from gateway.store.rows import audit_from_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.store.records import AuditRow


class LedgerWrites:
    """Mixed into :class:`~gateway.store.transaction.WriteTransaction`."""

    _connection: AsyncConnection

    async def add_audit(self, row: AuditRow) -> int:
        """Append a line to the audit as part of this change.

        Returns:
            Its number.
        """
        table = schema.audit
        newest = await self._connection.scalar(sa.select(sa.func.max(table.c.number)))
        number: int = (newest or 0) + 1
        await self._connection.execute(
            sa.insert(table).values(
                number=number,
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                sequence=row.sequence,
            )
        )
        return number

    async def give_notice(self, name: str, *, at: datetime) -> bool:
        """Remember that a notice is given.

        Returns:
            False when it was given before, by whichever process.
        """
        table = schema.notices
        found = await self._connection.scalar(sa.select(table.c.name).where(table.c.name == name))
        if found is None:
            await self._connection.execute(sa.insert(table).values(name=name, at=at))
        return found is None

    async def spend_proof(self, owner: str, proof_id: str, *, expires_at: datetime) -> bool:
        """Use up a proof's id as part of this change.

        Returns:
            False when the id was used before.
        """
        digest = proof_digest(owner, proof_id)
        table = schema.used_proofs
        found = await self._connection.scalar(
            sa.select(table.c.digest).where(table.c.digest == digest)
        )
        if found is not None:
            return False
        await self._connection.execute(
            sa.insert(table).values(digest=digest, expires_at=expires_at)
        )
        return True


def proof_digest(owner: str, proof_id: str) -> bytes:
    """What is kept of a spent proof; ids of different owners do not collide."""
    return hashlib.sha256(f"{len(owner)}:{owner}{proof_id}".encode()).digest()


async def read_audit(
    connection: AsyncConnection, *, subject: str, before: int, limit: int
) -> Sequence[AuditRow]:
    """Lines of the audit, newest first.

    Args:
        connection: to the database.
        subject: only about this; empty: about anything.
        before: only lines of lower numbers; zero: from the newest.
        limit: how many at most.
    """
    table = schema.audit
    query = sa.select(table).order_by(table.c.number.desc()).limit(limit)
    if subject:
        query = query.where(table.c.subject == subject)
    if before:
        query = query.where(table.c.number < before)
    return [audit_from_row(row) for row in await connection.execute(query)]
