"""A member comes in: its enrolment, its proofs, how far it is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url
from gateway.hub.admission import (
    Admission,
    Challenge,
    make_challenges,
    statement_row,
    verify_admission,
)
from gateway.hub.errors import RegistryError
from gateway.hub.members import parse_member
from gateway.hub.registry_base import (
    ENROLMENT_ID_BYTES,
    RegistryBase,
    check_keys_are_free,
    check_name,
    check_prefixes_are_free,
)
from gateway.store import EnrolmentRow, MemberRow
from gateway.trust import MemberState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from gateway.hub.members import Member
    from gateway.store import WriteTransaction

MAX_WAITING: Final = 10_000
"""Members nobody has approved yet. Anybody may enrol: this bounds what strangers can
fill the store and the memory with (about 50 MB), far above any real queue."""


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


class Enrolling(RegistryBase):
    """See the module."""

    async def enrol(
        self,
        statement: str,
        proofs: Sequence[str],
        schemes: Sequence[str],
        policy: str,
        report: bytes = b"",
    ) -> Enrolled:
        """Take an enrolment in.

        Args:
            statement: the signed enrolment.
            proofs: of its further signing keys.
            schemes: signed schemes to publish on approval.
            policy: signed policy to publish on approval; may be empty.
            report: of the conformance checks, as the suite writes it; may be empty.

        Raises:
            TrustError: STATEMENT_INVALID, KEY_MALFORMED, POSSESSION_NOT_PROVEN.
            RegistryError: SCHEME_INVALID, POLICY_INVALID, AUTHORITY_EXISTS,
                PREFIX_TAKEN, KEY_MALFORMED, POSSESSION_NOT_PROVEN, OVERLOADED,
                STATEMENT_INVALID (also: the report does not read).
            StoreError: the store failed; nothing was acknowledged.
        """
        now = self._now()
        summary = read_report(report)
        async with self._verifying:
            admission = await asyncio.to_thread(
                verify_admission,
                statement,
                proofs,
                schemes,
                policy,
                hub_urn=self._hub_urn,
                checks=self.checks,
                now=now,
            )
        challenges = make_challenges(
            admission.body.urn,
            admission.body.keys,
            hub_urn=self._hub_urn,
            random_bytes=self.random_bytes,
        )
        return await self._mirror.run(self._enrol(admission, challenges, summary, now))

    async def prove(self, enrolment_id: str, opened: Mapping[str, bytes]) -> MemberState:
        """Take opened challenges in, of an enrolment or of a change of keys.

        Args:
            enrolment_id: from :meth:`enrol`, or from a change of keys.
            opened: plaintexts by key id.

        Returns:
            Where the member stands now. Proving again what is proven changes nothing.

        Raises:
            RegistryError: NOT_FOUND, WRONG_STATE, POSSESSION_NOT_PROVEN, KEY_MALFORMED;
                of a change of keys also what it is refused for.
            StoreError: the store failed; nothing was acknowledged.
        """
        check_name(enrolment_id)
        return await self._mirror.run(self._prove(enrolment_id, dict(opened)))

    async def enrolled(self, enrolment_id: str) -> Member:
        """Return the member of an enrolment.

        Raises:
            RegistryError: NOT_FOUND.
        """
        check_name(enrolment_id)
        enrolment = await self._store.enrolment(enrolment_id)
        member = None if enrolment is None else self.members.get(enrolment.urn)
        if member is None or member.row.enrolment_id != enrolment_id:
            raise RegistryError("no such enrolment", code="NOT_FOUND")
        return member

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
            await self._note(change, "admit-operator", row.urn, by="")
        await self._mirror.refresh()

    async def _enrol(
        self,
        admission: Admission,
        challenges: tuple[Challenge, ...],
        report: Mapping[str, Any] | None,
        now: datetime,
    ) -> Enrolled:
        body, statement = admission.body, admission.statement
        enrolment = EnrolmentRow(
            enrolment_id=base64url.encode(self.random_bytes(ENROLMENT_ID_BYTES)),
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
            report=report,
        )
        async with self._mirror.change() as change:
            if self.members.waiting >= MAX_WAITING and self.members.get(row.urn) is None:
                raise RegistryError("too many enrolments wait already", code="OVERLOADED")
            await _check_name_is_free(change, row.urn, statement.key_id, now)
            await check_prefixes_are_free(change, row.urn, body.prefixes)
            await check_keys_are_free(change, row.urn, [key.key_id for key in body.keys])
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
            if enrolment is None or row is None:
                raise RegistryError("no such enrolment", code="NOT_FOUND")
            is_change = enrolment.kind == "keys"
            if not is_change and row.enrolment_id != enrolment_id:
                raise RegistryError("no such enrolment", code="NOT_FOUND")
            check_opened(enrolment, opened)
            now = self._now()
            if is_change:
                state = await self._prove_change(change, enrolment, row, now)
            else:
                state = await _prove_enrolment(change, enrolment, row, now)
        await self._mirror.refresh()
        return state

    async def _prove_change(
        self, change: WriteTransaction, enrolment: EnrolmentRow, row: MemberRow, now: datetime
    ) -> MemberState:
        """Apply a change of keys whose sealing keys are proven; see ``key_changes``."""
        raise NotImplementedError


async def _prove_enrolment(
    change: WriteTransaction, enrolment: EnrolmentRow, row: MemberRow, now: datetime
) -> MemberState:
    if MemberState[row.state] is MemberState.PENDING:
        return MemberState.PENDING
    if MemberState[row.state] is not MemberState.CHALLENGED:
        raise RegistryError("the enrolment waits for no proof", code="WRONG_STATE")
    check_not_lapsed(enrolment, now)
    key_ids = [key.key_id for key in parse_member(row).body.keys]
    await check_keys_are_free(change, row.urn, key_ids)
    await change.mark_proven(enrolment.enrolment_id)
    await change.hold_keys(row.urn, key_ids)
    await change.put_member(replace(row, state=MemberState.PENDING.name, changed_at=now))
    return MemberState.PENDING


def check_opened(enrolment: EnrolmentRow, opened: Mapping[str, bytes]) -> None:
    """Hold opened challenges against what was sealed.

    Raises:
        RegistryError: POSSESSION_NOT_PROVEN.
    """
    expected = {challenge.key_id: challenge.digest for challenge in enrolment.challenges}
    if opened.keys() != expected.keys() or not all(
        hmac.compare_digest(hashlib.sha256(plaintext).digest(), expected[key_id])
        for key_id, plaintext in opened.items()
    ):
        raise RegistryError(
            "the opened challenges are not those that were sealed", code="POSSESSION_NOT_PROVEN"
        )


def check_not_lapsed(enrolment: EnrolmentRow, now: datetime) -> None:
    """Refuse a proof that comes too late.

    Raises:
        RegistryError: POSSESSION_NOT_PROVEN.
    """
    if now > enrolment.expires_at:
        raise RegistryError("the challenges have lapsed; begin again", code="POSSESSION_NOT_PROVEN")


def read_report(report: bytes) -> dict[str, Any] | None:
    """Digest and counts of a conformance report; believed by nobody.

    Raises:
        RegistryError: STATEMENT_INVALID: it is no report of the suite.
    """
    if not report:
        return None
    try:
        counts = json.loads(report)["counts"]
        numbers = {word: int(number) for word, number in counts.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise RegistryError(
            "the report is not one of the conformance suite", code="STATEMENT_INVALID"
        ) from None
    passed = numbers.get("pass", 0)
    failed = sum(numbers.get(word, 0) for word in ("fail", "untestable", "void"))
    if not all(0 <= number < 2**31 for number in (passed, failed)):
        raise RegistryError("the report counts strangely", code="STATEMENT_INVALID")
    digest = base64url.encode(hashlib.sha256(report).digest())
    return {"digest": digest, "passed": passed, "failed": failed}


async def _check_name_is_free(
    change: WriteTransaction, urn: str, statement_key_id: str, now: datetime
) -> None:
    row = await change.member(urn)
    if row is None:
        return
    state = MemberState[row.state]
    if state is MemberState.WITHDRAWN:
        return
    if row.approved_at is None:
        enrolment = await change.enrolment(row.enrolment_id)
        if state is MemberState.SUSPENDED or enrolment is None:
            return
        if enrolment.statement_key_id == statement_key_id:
            return
        if state is MemberState.CHALLENGED and now > enrolment.expires_at:
            return
    raise RegistryError("a member of this name exists", code="AUTHORITY_EXISTS")
