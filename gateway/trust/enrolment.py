"""What a hub checks before a member may wait for approval (docs/spec/registry.md).

Pure: the hub adds what needs its store (is the name free, was the proof seen
before) and the challenges for sealing keys, which cannot sign a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.trust.authority import lint_enrolment, parse_enrolment
from gateway.trust.errors import Missing, PossessionError, StatementError, TrustLookupError
from gateway.trust.key_proofs import KeyProof, key_proof_key_id, verify_key_proof
from gateway.trust.keys import KeyUse
from gateway.trust.statements import (
    StatementKind,
    statement_digest,
    unverified_statement,
    verify_statement,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.trust.authority import EnrolmentBody
    from gateway.trust.statements import Statement

_ENROLMENT = (StatementKind.ENROLMENT,)


def verify_enrolment(token: str, *, now: datetime) -> tuple[Statement, EnrolmentBody]:
    """Verifies an enrolment statement by the statement key that it brings itself.

    That proves possession of this one key; :func:`verify_enrolment_proofs` asks for
    the others.

    Returns:
        The statement and what it says.

    Raises:
        StatementError: malformed, badly signed, in another's name, or out of time.
        KeyMaterialError: a key does not hold.
    """
    body = parse_enrolment(unverified_statement(token, _ENROLMENT).body)

    def own_key(issuer: str, key_id: str) -> VerificationKey:
        for key in body.keys:
            if issuer == body.urn and key.key_id == key_id and key.use is KeyUse.STATE:
                return key.verification_key(issuer=issuer)
        raise TrustLookupError("not signed by a statement key in it", code=Missing.KEY_UNKNOWN)

    try:
        statement = verify_statement(token, own_key, now=now, kinds=_ENROLMENT)
    except TrustLookupError as error:
        raise StatementError(str(error)) from None
    lint_enrolment(body)
    return statement, body


def verify_enrolment_proofs(
    statement: Statement,
    body: EnrolmentBody,
    proofs: Sequence[str],
    *,
    audience: str,
    now: datetime,
) -> tuple[KeyProof, ...]:
    """Verifies one proof for every signing key beside the one that signed the statement.

    Args:
        statement: from :func:`verify_enrolment`.
        body: from :func:`verify_enrolment`.
        proofs: the compact tokens, in any order.
        audience: URN of this hub.
        now: the moment of checking.

    Returns:
        The proofs; the hub refuses a ``token_id`` that it has seen before.

    Raises:
        PossessionError: a proof is missing, is too many, or does not hold.
    """
    digest = statement_digest(statement.token)
    wanted = {
        key.key_id: key
        for key in body.keys
        if key.use is not KeyUse.SEAL and key.key_id != statement.key_id
    }
    proven = []
    for proof in proofs:
        key = wanted.pop(key_proof_key_id(proof), None)
        if key is None:
            raise PossessionError("a proof of no key that needs one")
        bound = key.verification_key(issuer=body.urn)
        proven.append(verify_key_proof(proof, bound, audience=audience, digest=digest, now=now))
    if wanted:
        raise PossessionError("a signing key has no proof")
    return tuple(proven)
