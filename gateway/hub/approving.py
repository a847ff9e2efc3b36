"""Operators decide: approve, suspend, withdraw.

As many different operators as the hub wants must approve a member; until the last
of them it stays pending. One operator is enough to stop a member and to let a
suspended one in again: it was looked at by all of them before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.hub.errors import RegistryError
from gateway.hub.members import parse_member
from gateway.hub.registry_base import (
    IN_FEED,
    Changed,
    RegistryBase,
    check_name,
    check_prefixes_are_free,
    member_row,
    published_record,
    withdrawal,
)
from gateway.trust import (
    FeedKind,
    MemberKind,
    MemberState,
    StatementKind,
    statement_change,
)
from gateway.trust.statements import unverified_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.hub.feed_log import Change
    from gateway.store import MemberRow, StatementRow, WriteTransaction

    Place = tuple[FeedKind, str]


class Approving(RegistryBase):
    """See the module."""

    async def approve(self, urn: str, *, by: str = "") -> Changed:
        """Approve a pending member, or let a suspended one in again.

        The last approval that is needed makes the member active and publishes it.

        Args:
            urn: the member.
            by: the operator; empty: whoever runs the hub, from its own machine.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE, PREFIX_TAKEN, STATEMENT_INVALID; of a
                hub also ROUTE_LOOP and HUB_UNREACHABLE.
            StoreError: the store failed; nothing was acknowledged.
        """
        check_name(urn)
        member = self.members.get(urn)
        if (
            self.check_hub is not None
            and member is not None
            and member.body.kind is MemberKind.HUB
            and member.state in {MemberState.PENDING, MemberState.SUSPENDED}
        ):
            await self.check_hub(urn, member.body.endpoint or "", member.body.tls_ca_pem)
        return await self._mirror.run(self._approve(urn, by))

    async def suspend(self, urn: str, *, by: str, reason: str = "") -> Changed:
        """Stop a member at once and publish it; reject one that was never approved.

        Args:
            urn: the member.
            by: the operator, who cannot lock itself out.
            reason: why, for the audit.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE.
            StoreError: the store failed; nothing was acknowledged.
        """
        if urn == by:
            raise RegistryError("an operator does not suspend itself", code="WRONG_STATE")
        check_name(urn)
        return await self._mirror.run(self._suspend(urn, by, reason))

    async def withdraw(self, urn: str, *, by: str, reason: str = "") -> Changed:
        """End a member for good: name and prefixes are free, its keys are history.

        Args:
            urn: the member.
            by: an operator, or the member itself.
            reason: why, for the audit and the feed.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE.
            StoreError: the store failed; nothing was acknowledged.
        """
        check_name(urn)
        member = self.members.get(urn)
        if urn == by and member is not None and member.body.kind is MemberKind.OPERATOR:
            raise RegistryError("an operator does not withdraw itself", code="WRONG_STATE")
        return await self._mirror.run(self._withdraw(urn, by, reason))

    async def _approve(self, urn: str, by: str) -> Changed:
        async with self._mirror.change() as change:
            row = await member_row(change, urn)
            if MemberState[row.state] not in {MemberState.PENDING, MemberState.SUSPENDED}:
                raise RegistryError(
                    f"the member is {row.state.lower()}, not pending or suspended",
                    code="WRONG_STATE",
                )
            if row.approved_at is None:
                await _check_is_proven(change, row)
            member = parse_member(row)
            await check_prefixes_are_free(change, urn, member.body.prefixes)
            if row.approved_at is None:
                row = replace(row, approvals=tuple(dict.fromkeys((*row.approvals, by))))
                if len(row.approvals) < self.approvals_needed(member.body.kind):
                    put = await change.put_member(row)
                    await self._note(change, "approve", urn, by=by)
                    changed = Changed(parse_member(put), 0)
                else:
                    changed = await self._activate(change, row, by)
            else:
                changed = await self._activate(change, row, by)
        await self._mirror.refresh()
        return changed

    async def _activate(self, change: WriteTransaction, row: MemberRow, by: str) -> Changed:
        now = self._now()
        row = published_record(row, now) if MemberKind[row.kind] in IN_FEED else row
        member = parse_member(row)
        await change.hold_prefixes(row.urn, member.body.prefixes)
        waiting = await change.statements(row.urn, published=False)
        changes = self._authority_change(member, MemberState.ACTIVE)
        before = len(changes)
        changes += [
            statement_change(unverified_statement(item.token, [StatementKind(item.kind)]))
            for item in waiting
        ]
        sequences = await self._mirror.append(change, changes)
        for item, sequence in zip(waiting, sequences[before:], strict=True):
            await change.put_statement(replace(item, sequence=sequence))
        put = await change.put_member(
            replace(
                row,
                state=MemberState.ACTIVE.name,
                changed_at=now,
                approved_at=row.approved_at or now,
            )
        )
        sequence = sequences[-1] if sequences else 0
        await self._note(change, "approve", row.urn, by=by, sequence=sequence)
        return Changed(parse_member(put), sequence)

    async def _suspend(self, urn: str, by: str, reason: str) -> Changed:
        async with self._mirror.change() as change:
            row = await member_row(change, urn)
            if MemberState[row.state] in {MemberState.SUSPENDED, MemberState.WITHDRAWN}:
                raise RegistryError(
                    f"the member is {row.state.lower()} already", code="WRONG_STATE"
                )
            changes: list[Change] = []
            if row.approved_at is not None:
                changes = self._authority_change(parse_member(row), MemberState.SUSPENDED)
            sequences = await self._mirror.append(change, changes)
            put = await change.put_member(
                # Rejected or stopped: whoever lets it in again begins to count anew.
                replace(
                    row,
                    state=MemberState.SUSPENDED.name,
                    changed_at=self._now(),
                    approvals=row.approvals if row.approved_at is not None else (),
                )
            )
            sequence = sequences[-1] if sequences else 0
            action = "suspend" if row.approved_at is not None else "reject"
            await self._note(change, action, urn, by=by, reason=reason, sequence=sequence)
        await self._mirror.refresh()
        return Changed(parse_member(put), sequence)

    async def _withdraw(self, urn: str, by: str, reason: str) -> Changed:
        async with self._mirror.change() as change:
            row = await member_row(change, urn)
            if row.approved_at is None or MemberState[row.state] is MemberState.WITHDRAWN:
                raise RegistryError(
                    "only a member that was approved is withdrawn; reject any other",
                    code="WRONG_STATE",
                )
            now = self._now()
            member = parse_member(row)
            published = await change.statements(urn, published=True)
            changes = [withdrawal(*place, reason) for place in self._places(urn, published)]
            changes += self._authority_change(member, MemberState.WITHDRAWN)
            sequences = await self._mirror.append(change, changes)
            await change.remove_statements([item.digest for item in published])
            await change.remove_key_changes(urn)
            await change.hold_prefixes(urn, [])
            await change.end_keys(urn, at=now)
            put = await change.put_member(
                replace(row, state=MemberState.WITHDRAWN.name, changed_at=now)
            )
            sequence = sequences[-1] if sequences else 0
            await self._note(change, "withdraw", urn, by=by, reason=reason, sequence=sequence)
        await self._mirror.refresh()
        return Changed(parse_member(put), sequence)

    def _places(self, urn: str, published: Sequence[StatementRow]) -> list[Place]:
        """Where in the feed something stands that a member signed, or that is said of it."""
        bundle = self._mirror.bundle
        places = [(FeedKind(item.kind), item.name) for item in published]
        places += [item.entry.place for item in bundle.statuses() if item.issuer == urn]
        places += [item.entry.place for item in bundle.rehearsals() if item.issuer == urn]
        places += [item.entry.place for item in bundle.notices() if item.urn == urn]
        return list(dict.fromkeys(places))


async def _check_is_proven(change: WriteTransaction, row: MemberRow) -> None:
    enrolment = await change.enrolment(row.enrolment_id)
    if enrolment is None or not all(challenge.proven for challenge in enrolment.challenges):
        raise RegistryError("possession of its keys was never proven", code="WRONG_STATE")
