"""What the hub checks of an enrolment before anything is written.

Pure but for the validators handed in: signatures, proofs and documents, on top
of :mod:`gateway.trust.enrolment`. What needs the store (is the name free, was a
proof seen before) is the registry's.

A challenge for a sealing key is 32 random bytes, sealed as a question is, bound
to the member, to this hub and to the word ``ENROLMENT``; only the digest is kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation.sealing import seal_question
from gateway.store import ChallengeRow, StatementRow
from gateway.trust import (
    EnrolmentBody,
    KeyProof,
    KeyUse,
    MemberKind,
    Statement,
    StatementKind,
    check_scope,
    statement_digest,
    verify_enrolment,
    verify_enrolment_proofs,
    verify_statement,
)
from gateway.trust.errors import StatementError
from gateway.trust.linter import lint_document, lint_statement, refuse_errors
from gateway.wire.enrolment import CHALLENGE_BYTES, challenge_binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.trust import MemberKey

PUBLISHABLE: Final = (StatementKind.SCHEME, StatementKind.POLICY)
"""Kinds of statement that go into the feed."""

MAX_STATEMENTS: Final = 64
"""Schemes and policies one region has in force: a province names each of at most 21
prefectures in a policy of its own, with air; the feed has room for them all."""

PolicyCheck = "Callable[[Mapping[str, Any]], None]"
"""Raises a HutongError where a policy document does not load."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A verified enrolment.

    Attributes:
        statement: the enrolment statement.
        body: what it says.
        proofs: of its further signing keys; each may be used once.
        published: its schemes and policy, to be published on approval.
    """

    statement: Statement
    body: EnrolmentBody
    proofs: tuple[KeyProof, ...]
    published: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge on its way out.

    Attributes:
        key_id: the sealing key it is sealed to.
        envelope: the sealed bytes.
        row: what is kept of it.
    """

    key_id: str
    envelope: bytes = field(repr=False)
    row: ChallengeRow = field(repr=False)


@dataclass(frozen=True, slots=True)
class DocumentChecks:
    """How documents are held against their grammar.

    The hub must not read policies (it is blind to what they decide), so the
    check of their grammar is handed in from outside.

    Attributes:
        policy: raises a HutongError where a policy document does not load.
    """

    policy: Callable[[Mapping[str, Any]], object]

    def check(self, statement: Statement, now: datetime) -> None:
        """Refuse a document in which the linter finds an error.

        Raises:
            LintError: SCHEME_INVALID or POLICY_INVALID.
        """
        refuse_errors(lint_document(statement, now=now, check_policy=self.policy))


def verify_admission(
    statement: str,
    proofs: Sequence[str],
    schemes: Sequence[str],
    policy: str,
    *,
    hub_urn: str,
    checks: DocumentChecks,
    now: datetime,
) -> Admission:
    """Verify everything an enrolling member handed in.

    Raises:
        TrustError: STATEMENT_INVALID, KEY_MALFORMED, POSSESSION_NOT_PROVEN.
            SCHEME_INVALID, POLICY_INVALID; each names what the linter found.
    """
    refuse_errors(lint_statement(statement, now=now))
    verified, body = verify_enrolment(statement, now=now)
    proven = verify_enrolment_proofs(verified, body, proofs, audience=hub_urn, now=now)
    tokens = [*schemes, *([policy] if policy else [])]
    if tokens and body.kind is not MemberKind.REGION:
        raise StatementError("only a region publishes schemes and policies")
    published = tuple(verify_published(token, body, checks=checks, now=now) for token in tokens)
    if len({(item.kind, item.subject) for item in published}) != len(published):
        raise StatementError("two statements are about the same subject")
    return Admission(verified, body, proven, published)


def verify_published(
    token: str, body: EnrolmentBody, *, checks: DocumentChecks, now: datetime
) -> Statement:
    """Verify a scheme or policy of a member, by a statement key of that member.

    Raises:
        TrustError: STATEMENT_INVALID: not this member's, outside its prefixes, or
            out of time; SCHEME_INVALID, POLICY_INVALID: the linter found an error.
    """

    def own_key(issuer: str, key_id: str) -> VerificationKey:
        for key in body.keys:
            is_own = issuer == body.urn and key.key_id == key_id and key.use is KeyUse.STATE
            if is_own and key.is_believed(now):
                return key.verification_key(issuer=issuer, prefixes=body.prefixes)
        raise StatementError("not signed by a statement key of this member")

    statement = verify_statement(token, own_key, now=now, kinds=PUBLISHABLE)
    check_scope(statement, body.prefixes)
    checks.check(statement, now)
    return statement


def make_challenges(
    urn: str, keys: Iterable[MemberKey], *, hub_urn: str, random_bytes: Callable[[int], bytes]
) -> tuple[Challenge, ...]:
    """Seal a challenge to each sealing key among the keys of a member."""
    made = []
    for key in keys:
        if key.use is KeyUse.SEAL:
            secret = random_bytes(CHALLENGE_BYTES)
            envelope = seal_question(key.sealing_key(), secret, challenge_binding(urn, hub_urn))
            row = ChallengeRow(key.key_id, hashlib.sha256(secret).digest())
            made.append(Challenge(key.key_id, envelope, row))
    return tuple(made)


def statement_row(statement: Statement, *, now: datetime) -> StatementRow:
    """What the store keeps of a scheme or policy that is not published yet."""
    return StatementRow(
        digest=statement_digest(statement.token),
        urn=statement.issuer,
        kind=statement.kind.value,
        name=statement.subject,
        token=statement.token,
        received_at=now,
    )
