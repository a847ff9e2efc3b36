"""Who belongs to the federation: every change of it, and nothing but changes.

A change is one transaction of the store: members, statements and feed entries
are committed together, and what a caller is told was committed before. Memory
follows after the commit (:mod:`gateway.hub.mirror`).

The rules, beyond those of :mod:`gateway.trust`:

* A name belongs to whoever was approved first. Until then an enrolment may be
  replaced by the holder of the same statement key at any time, and by anybody
  once its challenges have lapsed or an operator has rejected it (suspended it
  before it was ever approved).
* A prefix has one holder, from its approval on, also while that member is
  suspended. A longer prefix inside another's is another prefix and may have its
  own holder: the longest one answers.
* A key has one holder, from the moment its possession is proven.
* A suspension keeps everything the member published, so that approving it again
  restores it.

Every change runs to its end in a task of its own: a caller that goes away in
the middle leaves neither half a change nor a memory that lags behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from gateway.attestation import base64url
from gateway.hub.admission import (
    MAX_STATEMENTS,
    Admission,
    Challenge,
    DocumentChecks,
    make_challenges,
    statement_row,
    verify_admission,
    verify_published,
)
from gateway.hub.errors import RegistryError
from gateway.hub.members import Member, parse_member
from gateway.store import EnrolmentRow, MemberRow
from gateway.trust import (
    MemberKind,
    MemberState,
    Statement,
    StatementKind,
    authority_change,
    statement_change,
    statement_digest,
)
from gateway.trust.errors import StatementError
from gateway.trust.statements import unverified_statement
from gateway.trust.times import from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Mapping,
        Sequence,
    )
    from datetime import datetime

    from gateway.hub.feed_log import Change
    from gateway.hub.mirror import StoreMirror
    from gateway.store import Store, WriteTransaction

T = TypeVar("T")

ENROLMENT_ID_BYTES: Final = 24
"""192 random bits: the id is what lets its holder ask how far the enrolment is."""

MAX_WAITING: Final = 10_000
"""Members nobody has approved yet. Anybody may enrol: this bounds what strangers can
fill the store and the memory with (about 50 MB), far above any real queue."""

MAX_VERIFYING: Final = 2
"""Enrolments verified at once. Anybody may enrol, and schemes take milliseconds to
load: the rest waits for its turn within its deadline instead of filling the threads."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An accepted enrolment.

    Attributes:
        enrolment_id: names it from now on.
        state: where the member stands.
        challenges: one a sealing key.
        expires_at: after when the challenges are void.
    """

    enrolment_id: str
    state: MemberState
    challenges: tuple[Challenge, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a member.

    Attributes:
        member: as it stands now.
        sequence: of the last feed entry written; zero: none.
    """

    member: Member
    sequence: int


class Registry:
    """See the module.

    Args:
        hub_urn: URN of this hub.
        store: where everything lasts.
        mirror: members and feed in memory.
        checks: how documents are held against their grammar.
        challenge_seconds: time to open the challenges.
        clock: the time, UTC.
        random_bytes: the source of ids and challenges.
    """

    def __init__(
        self,
        *,
        hub_urn: str,
        store: Store,
        mirror: StoreMirror,
        checks: DocumentChecks,
        challenge_seconds: int,
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.members = mirror.members
        self._hub_urn = hub_urn
        self._store = store
        self._mirror = mirror
        self._checks = checks
        self._challenge_life = timedelta(seconds=challenge_seconds)
        self._clock = clock
        self._random_bytes = random_bytes
        self._verifying = asyncio.Semaphore(MAX_VERIFYING)

    async def enrol(
        self, statement: str, proofs: Sequence[str], schemes: Sequence[str], policy: str
    ) -> Enrolled:
        """Take an enrolment in.

        Raises:
            TrustError: STATEMENT_INVALID, KEY_MALFORMED, POSSESSION_NOT_PROVEN.
            RegistryError: SCHEME_INVALID, POLICY_INVALID, AUTHORITY_EXISTS,
                PREFIX_TAKEN, KEY_MALFORMED, POSSESSION_NOT_PROVEN, OVERLOADED.
            StoreError: the store failed; nothing was acknowledged.
        """
        now = self._now()
        async with self._verifying:
            admission = await asyncio.to_thread(
                verify_admission,
                statement,
                proofs,
                schemes,
                policy,
                hub_urn=self._hub_urn,
                checks=self._checks,
                now=now,
            )
        challenges = make_challenges(
            admission.body, hub_urn=self._hub_urn, random_bytes=self._random_bytes
        )
        return await self._mirror.run(self._enrol(admission, challenges, now))

    async def prove(self, enrolment_id: str, opened: Mapping[str, bytes]) -> MemberState:
        """Take opened challenges in.

        Args:
            enrolment_id: from :meth:`enrol`.
            opened: plaintexts by key id.

        Returns:
            Where the member stands now. Proving again what is proven changes nothing.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE, POSSESSION_NOT_PROVEN, KEY_MALFORMED.
            StoreError: the store failed; nothing was acknowledged.
        """
        _check_name(enrolment_id)
        return await self._mirror.run(self._prove(enrolment_id, dict(opened)))

    async def enrolled(self, enrolment_id: str) -> Member:
        """Return the member of an enrolment.

        Raises:
            RegistryError: NOT_FOUND.
        """
        _check_name(enrolment_id)
        enrolment = await self._store.enrolment(enrolment_id)
        member = None if enrolment is None else self.members.get(enrolment.urn)
        if member is None or member.row.enrolment_id != enrolment_id:
            raise RegistryError("no such enrolment", code="NOT_FOUND")
        return member

    async def approve(self, urn: str) -> Changed:
        """Make a pending or suspended member active and publish it.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE, PREFIX_TAKEN.
            StoreError: the store failed; nothing was acknowledged.
        """
        _check_name(urn)
        return await self._mirror.run(self._approve(urn))

    async def suspend(self, urn: str, *, by: str) -> Changed:
        """Stop a member at once and publish it; reject one that was never approved.

        Args:
            urn: the member.
            by: the operator, who cannot lock itself out.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE.
            StoreError: the store failed; nothing was acknowledged.
        """
        if urn == by:
            raise RegistryError("an operator does not suspend itself", code="WRONG_STATE")
        _check_name(urn)
        return await self._mirror.run(self._suspend(urn))

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
                verify_published, token, member.body, checks=self._checks, now=now
            )
        return await self._mirror.run(self._publish(statement, now))

    async def admit_operator(self, row: MemberRow) -> None:
        """Make the first operator active, from the machine the hub runs on.

        Raises:
            RegistryError: AUTHORITY_EXISTS.
        """
        async with self._mirror.change() as change:
            if await change.member(row.urn) is not None:
                raise RegistryError("the operator exists already", code="AUTHORITY_EXISTS")
            member = parse_member(await change.put_member(row))
            await change.hold_keys(row.urn, [key.key_id for key in member.body.keys])
        await self._mirror.refresh()

    async def _enrol(
        self, admission: Admission, challenges: tuple[Challenge, ...], now: datetime
    ) -> Enrolled:
        body, statement = admission.body, admission.statement
        enrolment = EnrolmentRow(
            enrolment_id=base64url.encode(self._random_bytes(ENROLMENT_ID_BYTES)),
            urn=body.urn,
            statement=statement.token,
            statement_key_id=statement.key_id,
            created_at=now,
            expires_at=now + self._challenge_life,
            challenges=tuple(challenge.row for challenge in challenges),
        )
        state = MemberState.CHALLENGED if challenges else MemberState.PENDING
        row = MemberRow(
            urn=body.urn,
            kind=body.kind.name,
            state=state.name,
            display_name=body.name_zh or body.name_en,
            record=body.to_body(),
            enrolment_id=enrolment.enrolment_id,
            changed_at=now,
        )
        async with self._mirror.change() as change:
            if self.members.waiting >= MAX_WAITING and self.members.get(row.urn) is None:
                raise RegistryError("too many enrolments wait already", code="OVERLOADED")
            await _check_name_is_free(change, row.urn, statement.key_id, now)
            await _check_prefixes_are_free(change, row.urn, body.prefixes)
            await _check_keys_are_free(change, row.urn, [key.key_id for key in body.keys])
            for proof in admission.proofs:
                if not await change.spend_proof(
                    f"{row.urn}#{proof.key_id}", proof.token_id, expires_at=proof.expires_at
                ):
                    raise RegistryError("a key proof was used before", code="POSSESSION_NOT_PROVEN")
            await change.remove_enrolments(row.urn)
            await change.put_member(row)
            await change.add_enrolment(enrolment)
            await change.hold_keys(row.urn, [] if challenges else [key.key_id for key in body.keys])
            for published in admission.published:
                await change.put_statement(statement_row(published, now=now))
        await self._mirror.refresh()
        return Enrolled(enrolment.enrolment_id, state, challenges, enrolment.expires_at)

    async def _prove(self, enrolment_id: str, opened: dict[str, bytes]) -> MemberState:
        async with self._mirror.change() as change:
            enrolment = await change.enrolment(enrolment_id)
            row = None if enrolment is None else await change.member(enrolment.urn)
            if enrolment is None or row is None or row.enrolment_id != enrolment_id:
                raise RegistryError("no such enrolment", code="NOT_FOUND")
            expected = {challenge.key_id: challenge.digest for challenge in enrolment.challenges}
            if opened.keys() != expected.keys() or not all(
                hmac.compare_digest(hashlib.sha256(plaintext).digest(), expected[key_id])
                for key_id, plaintext in opened.items()
            ):
                raise RegistryError(
                    "the opened challenges are not those that were sealed",
                    code="POSSESSION_NOT_PROVEN",
                )
            if MemberState[row.state] is MemberState.PENDING:
                return MemberState.PENDING
            if MemberState[row.state] is not MemberState.CHALLENGED:
                raise RegistryError("the enrolment waits for no proof", code="WRONG_STATE")
            now = self._now()
            if now > enrolment.expires_at:
                raise RegistryError(
                    "the challenges have lapsed; enrol again", code="POSSESSION_NOT_PROVEN"
                )
            key_ids = [key.key_id for key in parse_member(row).body.keys]
            await _check_keys_are_free(change, row.urn, key_ids)
            await change.mark_proven(enrolment_id)
            await change.hold_keys(row.urn, key_ids)
            await change.put_member(replace(row, state=MemberState.PENDING.name, changed_at=now))
        await self._mirror.refresh()
        return MemberState.PENDING

    async def _approve(self, urn: str) -> Changed:
        async with self._mirror.change() as change:
            row = await change.member(urn)
            if row is None:
                raise RegistryError("no such member", code="NOT_FOUND")
            if MemberState[row.state] not in {MemberState.PENDING, MemberState.SUSPENDED}:
                raise RegistryError(
                    f"the member is {row.state.lower()}, not pending or suspended",
                    code="WRONG_STATE",
                )
            if row.approved_at is None:
                await _check_is_proven(change, row)
            member = parse_member(row)
            await _check_prefixes_are_free(change, urn, member.body.prefixes)
            await change.hold_prefixes(urn, member.body.prefixes)
            waiting = await change.statements(urn, published=False)
            changes: list[Change] = []
            if member.body.kind is MemberKind.REGION:
                changes.append(authority_change(member.body.authority()))
                changes += [
                    statement_change(unverified_statement(item.token, [StatementKind(item.kind)]))
                    for item in waiting
                ]
            sequences = await self._mirror.append(change, changes)
            for item, sequence in zip(waiting, sequences[1:], strict=True):
                await change.put_statement(replace(item, sequence=sequence))
            now = self._now()
            put = await change.put_member(
                replace(
                    row,
                    state=MemberState.ACTIVE.name,
                    changed_at=now,
                    approved_at=row.approved_at or now,
                )
            )
        await self._mirror.refresh()
        return Changed(parse_member(put), sequences[-1] if sequences else 0)

    async def _suspend(self, urn: str) -> Changed:
        async with self._mirror.change() as change:
            row = await change.member(urn)
            if row is None:
                raise RegistryError("no such member", code="NOT_FOUND")
            if MemberState[row.state] is MemberState.SUSPENDED:
                raise RegistryError("the member is suspended already", code="WRONG_STATE")
            member = parse_member(row)
            changes: list[Change] = []
            if member.body.kind is MemberKind.REGION and row.approved_at is not None:
                record = member.body.authority(state=MemberState.SUSPENDED)
                changes.append(authority_change(record))
            sequences = await self._mirror.append(change, changes)
            put = await change.put_member(
                replace(row, state=MemberState.SUSPENDED.name, changed_at=self._now())
            )
        await self._mirror.refresh()
        return Changed(parse_member(put), sequences[-1] if sequences else 0)

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
        await self._mirror.refresh()
        return sequence

    def _now(self) -> datetime:
        return from_seconds(to_seconds(self._clock()))


async def _check_name_is_free(
    change: WriteTransaction, urn: str, statement_key_id: str, now: datetime
) -> None:
    row = await change.member(urn)
    if row is None:
        return
    state = MemberState[row.state]
    if row.approved_at is None:
        enrolment = await change.enrolment(row.enrolment_id)
        if state is MemberState.SUSPENDED or enrolment is None:
            return
        if enrolment.statement_key_id == statement_key_id:
            return
        if state is MemberState.CHALLENGED and now > enrolment.expires_at:
            return
    raise RegistryError("a member of this name exists", code="AUTHORITY_EXISTS")


async def _check_prefixes_are_free(
    change: WriteTransaction, urn: str, prefixes: Sequence[str]
) -> None:
    holders = await change.prefix_holders(prefixes)
    if any(holder != urn for holder in holders.values()):
        raise RegistryError("another authority holds a prefix", code="PREFIX_TAKEN")


async def _check_keys_are_free(change: WriteTransaction, urn: str, key_ids: Sequence[str]) -> None:
    holders = await change.key_holders(key_ids)
    if any(holder != urn for holder in holders.values()):
        raise RegistryError("a key belongs to another member", code="KEY_MALFORMED")


async def _check_is_proven(change: WriteTransaction, row: MemberRow) -> None:
    enrolment = await change.enrolment(row.enrolment_id)
    if enrolment is None or not all(challenge.proven for challenge in enrolment.challenges):
        raise RegistryError("possession of its keys was never proven", code="WRONG_STATE")


def _check_name(name: str) -> None:
    if "\0" in name:
        # PostgreSQL takes no text with a zero, which would look like its failure.
        raise RegistryError("nothing has this name", code="NOT_FOUND")
