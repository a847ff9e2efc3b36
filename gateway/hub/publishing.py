"""Regions publish: schemes and policies go into the feed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.hub.admission import MAX_STATEMENTS, statement_row, verify_published
from gateway.hub.registry_base import RegistryBase
from gateway.trust import MemberKind, MemberState, Statement, statement_change, statement_digest
from gateway.trust.errors import StatementError

if TYPE_CHECKING:
    from datetime import datetime


class Publishing(RegistryBase):
    """See the module."""

    async def publish(self, urn: str, token: str) -> int:
        """Put a scheme or policy of an active region into the feed.

        Args:
            urn: the region that asks.
            token: its signed statement.

        Returns:
            Sequence number of the entry; of the existing one for a statement that
            was published before.

        Raises:
            TrustError: STATEMENT_INVALID.
            RegistryError: SCHEME_INVALID, POLICY_INVALID, STATEMENT_INVALID.
            StoreError: the store failed; nothing was acknowledged.
        """
        now = self._now()
        member = self.members.get(urn)
        if member is None or not member.is_active or member.body.kind is not MemberKind.REGION:
            raise StatementError("only an active region publishes")
        async with self._verifying:
            statement = await asyncio.to_thread(
                verify_published, token, member.body, checks=self.checks, now=now
            )
        return await self._mirror.run(self._publish(statement, now))

    async def _publish(self, statement: Statement, now: datetime) -> int:
        async with self._mirror.change() as change:
            row = await change.member(statement.issuer)
            if row is None or MemberState[row.state] is not MemberState.ACTIVE:
                # Suspended while the statement was being verified.
                raise StatementError("only an active region publishes")
            known = await change.statement(statement_digest(statement.token))
            if known is not None and known.sequence is not None:
                return known.sequence
            published = await change.statements(statement.issuer, published=True)
            subjects = {item.name for item in published} | {statement.subject}
            if len(subjects) > MAX_STATEMENTS:
                raise StatementError(f"a region has at most {MAX_STATEMENTS} schemes and policies")
            (sequence,) = await self._mirror.append(change, [statement_change(statement)])
            await change.put_statement(
                replace(statement_row(statement, now=now), sequence=sequence)
            )
            await self._note(
                change,
                f"publish-{statement.kind.value}",
                statement.subject,
                by=statement.issuer,
                sequence=sequence,
            )
        await self._mirror.refresh()
        return sequence
