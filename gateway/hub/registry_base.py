"""What every change of the registry shares: the store, the clock, the rules of holding.

A change is one transaction of the store: members, statements, feed entries and the
line of the audit are committed together, and what a caller is told was committed
before. Memory follows after the commit (:mod:`gateway.hub.mirror`).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.hub.errors import RegistryError
from gateway.hub.members import Member, parse_member
from gateway.store import AuditRow
from gateway.trust import MemberKind, MemberState, authority_change
from gateway.trust.authority import ALL_KINDS, MAX_ATTESTATION_SECONDS
from gateway.trust.times import from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from gateway.hub.admission import DocumentChecks
    from gateway.hub.feed_log import Change
    from gateway.hub.mirror import StoreMirror
    from gateway.store import MemberRow, Store, WriteTransaction
    from gateway.trust import FeedKind

ENROLMENT_ID_BYTES: Final = 24
"""192 random bits: the id is what lets its holder ask how far the enrolment is."""

MAX_VERIFYING: Final = 2
"""Enrolments verified at once. Anybody may enrol, and schemes take milliseconds to
load: the rest waits for its turn within its deadline instead of filling the threads."""

DEFAULT_APPROVALS: Final = 2
"""Operators who must approve a member; see ``approvals_needed`` in ``hub.toml``."""

DEFAULT_LEAD: Final = timedelta(seconds=60)
"""Four refresh periods of 15 s between a key's publication and its first use."""

IN_FEED: Final = frozenset({MemberKind.REGION, MemberKind.HUB})
"""Kinds of members that the feed names."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a member.

    Attributes:
        member: as it stands now.
        sequence: of the last feed entry written; zero: none.
    """

    member: Member
    sequence: int


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the hub allows an authority that it names.

    Attributes:
        kinds: what it, or whoever stands below it, may sign.
        max_attestation_seconds: longest life of an attestation of it.
        path_length: of a hub: how many hubs may stand below it, one under another.
    """

    kinds: frozenset[str] = ALL_KINDS
    max_attestation_seconds: int = MAX_ATTESTATION_SECONDS
    path_length: int = 0


UNBOUNDED: Final = Constraint()
"""Where ``hub.toml`` says nothing."""


class RegistryBase:
    """See the module.

    Args:
        hub_urn: URN of this hub.
        store: where everything lasts.
        mirror: members and feed in memory.
        checks: how documents are held against their grammar.
        challenge_seconds: time to open the challenges.
        clock: the time, UTC.
        approvals_needed: different operators who must approve a member.
        lead: between the publication of a key and its first use.
        constraints: what it allows authorities, by URN.
        random_bytes: the source of ids and challenges.

    Attributes:
        members: the members in memory.
        checks: as given.
        lead: as given.
        random_bytes: as given.
        check_hub: refuses a hub that would close a loop (URN, endpoint, roots), before
            its first approval; None: no hubs are known here.
    """

    check_hub: Callable[[str, str, str | None], Awaitable[None]] | None = None

    def __init__(
        self,
        *,
        hub_urn: str,
        store: Store,
        mirror: StoreMirror,
        checks: DocumentChecks,
        challenge_seconds: int,
        clock: Callable[[], datetime],
        approvals_needed: int = DEFAULT_APPROVALS,
        lead: timedelta = DEFAULT_LEAD,
        constraints: Mapping[str, Constraint] | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.members = mirror.members
        self.lead = lead
        self._hub_urn = hub_urn
        self._store = store
        self._mirror = mirror
        self.checks = checks
        self._challenge_life = timedelta(seconds=challenge_seconds)
        self._clock = clock
        self._approvals_needed = approvals_needed
        self._constraints = dict(constraints or {})
        self.random_bytes = random_bytes
        self._verifying = asyncio.Semaphore(MAX_VERIFYING)

    def approvals_needed(self, kind: MemberKind) -> int:
        """Operators who must approve a member of this kind.

        A further operator needs no more than there are: or a new hub could never
        have a second one.
        """
        if kind is not MemberKind.OPERATOR:
            return self._approvals_needed
        operators = self.members.count().get((kind.name, MemberState.ACTIVE.name), 0)
        return max(1, min(self._approvals_needed, operators))

    def now(self) -> datetime:
        """The time, UTC, whole seconds."""
        return self._now()

    async def announce(
        self,
        changes: Sequence[Change],
        *,
        action: str = "",
        subject: str = "",
        by: str = "",
        reason: str = "",
        check: Callable[[], None] | None = None,
    ) -> int:
        """Put the hub's own words into the feed.

        Args:
            changes: at least one.
            action: for the audit; empty: nobody's action.
            subject: what it is about.
            by: who does it; empty: the hub itself.
            reason: why.
            check: raises where it may not be; asked when memory is the store's.

        Returns:
            The sequence number of the last entry.

        Raises:
            RegistryError: what ``check`` raises; STATEMENT_INVALID: readers would refuse.
            StoreError: the store failed; nothing was acknowledged.
        """

        async def run() -> int:
            async with self._mirror.change() as change:
                if check is not None:
                    check()
                sequences = await self._mirror.append(change, changes)
                if action:
                    await self._note(
                        change, action, subject, by=by, reason=reason, sequence=sequences[-1]
                    )
            await self._mirror.refresh()
            return sequences[-1]

        return await self._mirror.run(run())

    async def announce_once(
        self, changes: Sequence[Change], names: Sequence[str], *, now: datetime
    ) -> int:
        """Put notices into the feed unless every one of these names was given before.

        Returns:
            The sequence number of the last entry; zero: all were given, by any process.

        Raises:
            StoreError: the store failed; nothing was given.
        """

        async def run() -> int:
            async with self._mirror.change() as change:
                given = [await change.give_notice(name, at=now) for name in names]
                sequences = await self._mirror.append(change, changes if any(given) else [])
            await self._mirror.refresh()
            return sequences[-1] if sequences else 0

        return await self._mirror.run(run())

    def _now(self) -> datetime:
        return from_seconds(to_seconds(self._clock()))

    async def _note(
        self,
        change: WriteTransaction,
        action: str,
        subject: str,
        *,
        by: str,
        reason: str = "",
        sequence: int = 0,
    ) -> None:
        """Write a line of the audit as part of a change; an empty ``by`` is the hub itself."""
        await change.add_audit(
            AuditRow(self._now(), by, action, subject, printable(reason), sequence)
        )

    def _authority_change(self, member: Member, state: MemberState) -> list[Change]:
        """What the feed is told of a member; nothing of one that it does not name."""
        if member.body.kind not in IN_FEED:
            return []
        bounds = self.constraint(member.body.urn)
        record = member.body.authority(
            state=state,
            max_attestation_seconds=bounds.max_attestation_seconds,
            kinds=bounds.kinds,
            path_length=bounds.path_length,
        )
        return [authority_change(record)]

    def constraint(self, urn: str) -> Constraint:
        """What this hub allows an authority."""
        return self._constraints.get(urn, UNBOUNDED)


def withdrawal(kind: FeedKind, subject: str, reason: str) -> Change:
    """The tombstone that ends what stands in the feed under a kind and a subject."""
    return kind, subject, {"withdrawn": {"reason": printable(reason)}}


def printable(reason: str) -> str:
    """A reason without control characters, for people."""
    return "".join(character if character.isprintable() else " " for character in reason)


def published_record(row: MemberRow, now: datetime) -> MemberRow:
    """The row with the moment of publication noted on every key that lacks one."""
    body = parse_member(row).body
    keys = tuple(
        key if key.published_at is not None else replace(key, published_at=now) for key in body.keys
    )
    return replace(row, record=replace(body, keys=keys).to_body())


async def check_prefixes_are_free(
    change: WriteTransaction, urn: str, prefixes: Sequence[str]
) -> None:
    """Refuse prefixes that somebody else holds.

    Raises:
        RegistryError: PREFIX_TAKEN.
    """
    holders = await change.prefix_holders(prefixes)
    if any(holder != urn for holder in holders.values()):
        raise RegistryError("another authority holds a prefix", code="PREFIX_TAKEN")


async def check_keys_are_free(change: WriteTransaction, urn: str, key_ids: Sequence[str]) -> None:
    """Refuse keys that belong to somebody else, or to the past.

    Raises:
        RegistryError: KEY_MALFORMED.
    """
    holders = await change.key_holders(key_ids)
    if any(holder != urn for holder in holders.values()):
        raise RegistryError("a key belongs to another member, or to the past", code="KEY_MALFORMED")


def check_name(name: str) -> None:
    """Refuse a name that no database takes.

    Raises:
        RegistryError: NOT_FOUND.
    """
    if "\0" in name:
        # PostgreSQL takes no text with a zero, which would look like its failure.
        raise RegistryError("nothing has this name", code="NOT_FOUND")


async def member_row(change: WriteTransaction, urn: str) -> MemberRow:
    """A member as it stands now.

    Raises:
        RegistryError: NOT_FOUND.
    """
    row = await change.member(urn)
    if row is None:
        raise RegistryError("no such member", code="NOT_FOUND")
    return row
