"""What a superior allows those it names: kinds, lifetimes, how many hubs below.

The bounds stand in ``hub.toml`` and travel in the signed ``authority`` entry; readers
refuse what lies outside. Where they changed since the entry was written, the hub writes
it anew at its start, and withdraws what the new bounds no longer allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.hub.members import parse_member
from gateway.hub.registry_base import IN_FEED, RegistryBase, withdrawal
from gateway.trust import FeedKind, MemberState

if TYPE_CHECKING:
    from gateway.hub.feed_log import Change
    from gateway.trust import Authority

_NAMED = frozenset({MemberState.ACTIVE, MemberState.SUSPENDED})


class Constraining(RegistryBase):
    """See the module."""

    async def constrain(self) -> int:
        """Publish every bound that is not in the feed yet.

        Returns:
            How many authorities were told of anew.

        Raises:
            StatementError: a bound that makes no sense for its authority.
            StoreError: the store failed.
        """
        told = 0
        for authority in (*self._mirror.bundle.authorities(), *self._mirror.bundle.all_hubs()):
            if self._is_bounded(authority):
                continue
            told += await self._mirror.run(self._constrain(authority.urn))
        return told

    def _is_bounded(self, authority: Authority) -> bool:
        wanted = self.constraint(authority.urn)
        return authority.state not in _NAMED or (
            authority.kinds,
            authority.max_attestation_seconds,
            authority.path_length,
        ) == (wanted.kinds, wanted.max_attestation_seconds, wanted.path_length)

    async def _constrain(self, urn: str) -> int:
        async with self._mirror.change() as change:
            row = await change.member(urn)
            if row is None or row.approved_at is None or MemberState[row.state] not in _NAMED:
                return 0
            member = parse_member(row)
            if member.body.kind not in IN_FEED:
                return 0
            kinds = self.constraint(urn).kinds
            published = await change.statements(urn, published=True)
            gone = [item for item in published if item.kind not in kinds]
            places = [(FeedKind(item.kind), item.name) for item in gone]
            if FeedKind.STATUS.value not in kinds:
                statuses = self._mirror.bundle.statuses()
                places += [item.entry.place for item in statuses if item.issuer == urn]
            reason = "its superior does not allow it any more"
            changes: list[Change] = [withdrawal(*place, reason) for place in dict.fromkeys(places)]
            changes += self._authority_change(member, MemberState[row.state])
            sequences = await self._mirror.append(change, changes)
            await change.remove_statements([item.digest for item in gone])
            await self._note(change, "constrain", urn, by="", sequence=sequences[-1])
        await self._mirror.refresh()
        return 1
