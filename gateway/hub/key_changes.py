"""A member changes its keys: asked for, proven, published; nothing in between.

A change is a signed statement of kind ``keys`` (:mod:`gateway.trust.lifecycle`).
New signing keys come with a proof each; new sealing keys are challenged, and the
change waits in the store for the opened challenges. Until they come nothing of it
takes effect: the old keys work on, whoever dies or never answers in between. The
newest change that waits replaces an older one. Lead times count from publication,
so a change that waited too long is refused then, and asked for anew.

A schedule of keys never breaks what stands in the feed: schemes and policies that a
tainted or revoked key signed from then on are withdrawn with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url
from gateway.hub.admission import Challenge, make_challenges
from gateway.hub.enrolling import Enrolling, check_not_lapsed
from gateway.hub.errors import RegistryError
from gateway.hub.members import parse_member
from gateway.hub.registry_base import (
    ENROLMENT_ID_BYTES,
    IN_FEED,
    check_keys_are_free,
    member_row,
    withdrawal,
)
from gateway.store import EnrolmentRow
from gateway.trust import (
    FeedKind,
    KeyUse,
    MemberState,
    Statement,
    StatementKind,
    statement_digest,
    verify_statement,
)
from gateway.trust.errors import PossessionError, StatementError
from gateway.trust.key_proofs import key_proof_key_id, verify_key_proof
from gateway.trust.keys import KeyState
from gateway.trust.lifecycle import KeyChange, apply_key_change, parse_key_change
from gateway.trust.linter import lint_key_change, refuse_errors
from gateway.trust.statements import unverified_statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.hub.members import Member
    from gateway.store import MemberRow, WriteTransaction
    from gateway.trust import EnrolmentBody, KeyProof, MemberKey

MAX_STATEMENT_AGE: Final = timedelta(hours=1)
"""A change is handed in when it is signed; one that was found somewhere is not taken."""

CHANGE_KIND: Final = "keys"
"""``EnrolmentRow.kind`` of a change of keys."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """An accepted change of keys.

    Attributes:
        enrolment_id: names it while challenges are open; empty: published.
        challenges: one a new sealing key.
        expires_at: after when the challenges are void; None: there are none.
        sequence: of the feed entry; zero while challenges are open.
    """

    enrolment_id: str
    challenges: tuple[Challenge, ...]
    expires_at: datetime | None
    sequence: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """A verified change."""

    statement: Statement
    change: KeyChange
    proofs: tuple[KeyProof, ...]


class KeyChanges(Enrolling):
    """See the module."""

    async def change_keys(self, urn: str, token: str, proofs: Sequence[str]) -> KeysChanged:
        """Take a change of keys in.

        Args:
            urn: the member that asks.
            token: its signed statement.
            proofs: one for each new signing key.

        Raises:
            TrustError: STATEMENT_INVALID, KEY_MALFORMED, LEAD_TIME_TOO_SHORT,
                WRONG_STATE, NOT_FOUND, POSSESSION_NOT_PROVEN.
            RegistryError: KEY_MALFORMED, POSSESSION_NOT_PROVEN, STATEMENT_INVALID.
            StoreError: the store failed; nothing was acknowledged.
        """
        now = self._now()
        member = self._publisher(urn)
        async with self._verifying:
            asked = await asyncio.to_thread(
                verify_change, token, proofs, member.body, hub_urn=self._hub_urn, now=now
            )
        apply_key_change(member.body, asked.change, now, lead=self.lead)
        challenges = make_challenges(
            urn, asked.change.add, hub_urn=self._hub_urn, random_bytes=self.random_bytes
        )
        return await self._mirror.run(self._change_keys(asked, challenges, now))

    def _publisher(self, urn: str) -> Member:
        member = self.members.get(urn)
        if member is None or not member.is_active or member.body.kind not in IN_FEED:
            raise StatementError("only an active region or hub changes its keys")
        return member

    async def _change_keys(
        self, asked: _Asked, challenges: tuple[Challenge, ...], now: datetime
    ) -> KeysChanged:
        urn = asked.statement.issuer
        waiting = EnrolmentRow(
            enrolment_id=base64url.encode(self.random_bytes(ENROLMENT_ID_BYTES)),
            urn=urn,
            statement=asked.statement.token,
            statement_key_id=asked.statement.key_id,
            created_at=now,
            expires_at=now + self._challenge_life,
            challenges=tuple(challenge.row for challenge in challenges),
            kind=CHANGE_KIND,
        )
        async with self._mirror.change() as change:
            row = await self._active_row(change, urn)
            await _check_is_news(change, asked.statement)
            await check_keys_are_free(change, urn, [key.key_id for key in asked.change.add])
            for proof in asked.proofs:
                if not await change.spend_proof(
                    f"{urn}#{proof.key_id}", proof.token_id, expires_at=proof.expires_at
                ):
                    raise RegistryError("a key proof was used before", code="POSSESSION_NOT_PROVEN")
            await change.remove_key_changes(urn)
            await change.add_enrolment(waiting)
            sequence = 0
            if challenges:
                await self._note(change, "prepare-keys", urn, by=urn)
            else:
                sequence = await self._apply(change, row, asked.change, now)
        await self._mirror.refresh()
        if not challenges:
            return KeysChanged("", (), None, sequence)
        return KeysChanged(waiting.enrolment_id, challenges, waiting.expires_at, 0)

    async def _prove_change(
        self, change: WriteTransaction, enrolment: EnrolmentRow, row: MemberRow, now: datetime
    ) -> MemberState:
        if all(challenge.proven for challenge in enrolment.challenges):
            return MemberState[row.state]
        check_not_lapsed(enrolment, now)
        row = await self._active_row(change, row.urn)
        statement = unverified_statement(enrolment.statement, [StatementKind.KEYS])
        # Its key may have ended since: what it wants is then not its wish any more.
        own_statement_key(parse_member(row).body, statement.key_id, now)
        asked = parse_key_change(statement.body)
        await check_keys_are_free(change, row.urn, [key.key_id for key in asked.add])
        await change.mark_proven(enrolment.enrolment_id)
        await self._apply(change, row, asked, now)
        return MemberState[row.state]

    async def _active_row(self, change: WriteTransaction, urn: str) -> MemberRow:
        row = await member_row(change, urn)
        if MemberState[row.state] is not MemberState.ACTIVE:
            raise RegistryError("the member is not active", code="WRONG_STATE")
        return row

    async def _apply(
        self, change: WriteTransaction, row: MemberRow, asked: KeyChange, now: datetime
    ) -> int:
        urn = row.urn
        before = parse_member(row).body
        body = apply_key_change(before, asked, now, lead=self.lead)
        published = await change.statements(urn, published=True)
        broken = [
            statement
            for statement in (
                unverified_statement(item.token, [StatementKind(item.kind)]) for item in published
            )
            if not _stands(body, statement)
        ]
        # Of a subject only the newest stands in the feed.
        newest = {(item.kind, item.name): item.digest for item in published}
        gone = [item for item in broken if _is_newest(item, newest)]
        changes = [
            withdrawal(FeedKind(item.kind.value), item.subject, "the key that signed it has ended")
            for item in gone
        ]
        after = parse_member(replace(row, record=body.to_body()))
        changes += self._authority_change(after, MemberState.ACTIVE)
        sequences = await self._mirror.append(change, changes)
        await change.remove_statements([statement_digest(item.token) for item in broken])
        await change.add_keys(urn, [key.key_id for key in asked.add])
        await change.end_keys(urn, at=now, key_ids=[move.key_id for move in asked.revoke])
        await change.put_member(replace(after.row, changed_at=row.changed_at))
        for action, moves in (
            ("taint-key", asked.taint),
            ("revoke-key", asked.revoke),
            ("retire-key", asked.retire),
            ("untaint-key", asked.untaint),
        ):
            for move in moves:
                await self._note(
                    change,
                    action,
                    f"{urn}#{move.key_id}",
                    by=urn,
                    reason=move.reason,
                    sequence=sequences[-1],
                )
        for key in asked.add:
            await self._note(
                change, "add-key", f"{urn}#{key.key_id}", by=urn, sequence=sequences[-1]
            )
        for item in gone:
            await self._note(
                change,
                f"withdraw-{item.kind.value}",
                item.subject,
                by="",
                reason="the key that signed it has ended",
                sequence=sequences[-1],
            )
        return sequences[-1]


def verify_change(
    token: str, proofs: Sequence[str], body: EnrolmentBody, *, hub_urn: str, now: datetime
) -> _Asked:
    """Verify a change of keys as far as the store is not needed.

    Raises:
        TrustError: STATEMENT_INVALID, KEY_MALFORMED, POSSESSION_NOT_PROVEN.
    """

    def own_key(issuer: str, key_id: str) -> VerificationKey:
        if issuer != body.urn:
            raise StatementError("a member changes only its own keys")
        return own_statement_key(body, key_id, now)

    statement = verify_statement(token, own_key, now=now, kinds=(StatementKind.KEYS,))
    if statement.issued_at < now - MAX_STATEMENT_AGE:
        raise StatementError("the change was signed too long ago; sign it again")
    change = parse_key_change(statement.body)
    refuse_errors(lint_key_change(body, change, now=now))
    digest = statement_digest(token)
    wanted = {key.key_id: key for key in change.add if key.use is not KeyUse.SEAL}
    proven = []
    for proof in proofs:
        key = wanted.pop(key_proof_key_id(proof), None)
        if key is None:
            raise PossessionError("a proof of no key that needs one")
        bound = key.verification_key(issuer=body.urn)
        proven.append(verify_key_proof(proof, bound, audience=hub_urn, digest=digest, now=now))
    if wanted:
        raise PossessionError("a new signing key has no proof")
    return _Asked(statement, change, tuple(proven))


def own_statement_key(body: EnrolmentBody, key_id: str, now: datetime) -> VerificationKey:
    """A statement key of a member that is active now.

    Raises:
        StatementError: there is none of this id.
    """
    key = _key(body, key_id)
    if key is None or key.use is not KeyUse.STATE or key.state(now) is not KeyState.ACTIVE:
        raise StatementError("not signed by a statement key of this member that is active")
    return key.verification_key(issuer=body.urn, prefixes=body.prefixes)


def _key(body: EnrolmentBody, key_id: str) -> MemberKey | None:
    return next((key for key in body.keys if key.key_id == key_id), None)


def _stands(body: EnrolmentBody, statement: Statement) -> bool:
    key = _key(body, statement.key_id)
    return key is not None and key.is_believed(statement.issued_at)


def _is_newest(statement: Statement, newest: dict[tuple[str, str], str]) -> bool:
    place = (statement.kind.value, statement.subject)
    return newest.get(place) == statement_digest(statement.token)


async def _check_is_news(change: WriteTransaction, statement: Statement) -> None:
    """Refuse a change that was taken before, or one older than the newest that was.

    A statement is public once it was handed in: whoever holds an old one must not
    bring back what the member has since undone.
    """
    for row in await change.key_changes(statement.issuer):
        known = unverified_statement(row.statement, [StatementKind.KEYS])
        if not all(challenge.proven for challenge in row.challenges):
            continue
        if row.statement == statement.token or statement.issued_at < known.issued_at:
            raise StatementError("the change was made before, or a later one was")
