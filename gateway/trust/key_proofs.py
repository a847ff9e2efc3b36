"""Key proofs: that a member holds a further signing key.

A JWS of type ``hutong-key-proof+jwt`` by that key over the digest of the enrolment
statement, or of the change of keys, that names it; for one hub, for ten minutes, once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway.attestation import base64url
from gateway.trust import jws, names
from gateway.trust.errors import PossessionError
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.attestation.keys import SigningKey, VerificationKey

KEY_PROOF_TYPE: Final = "hutong-key-proof+jwt"

MAX_KEY_PROOF_BYTES: Final = 4_096
"""As ``hutong.v1.EnrolRequest.key_proofs``."""
MAX_KEY_PROOF_SECONDS: Final = 600
"""Ten minutes: long enough to type, short enough to remember every ``jti`` seen."""
TOKEN_ID_BYTES: Final = 16
"""128 random bits never meet (HT-ATT-11)."""

_Urn = Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]
_Digest = Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
_TokenId = Annotated[str, msgspec.Meta(min_length=16, max_length=64)]


@dataclass(frozen=True, slots=True)
class KeyProof:
    """A verified proof of possession.

    Attributes:
        key_id: the key whose possession is proven.
        token_id: accept it once, until ``expires_at``.
        expires_at: from then on the proof is void.
    """

    key_id: str
    token_id: str
    expires_at: datetime


class _KeyProofClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: _Urn
    aud: _Urn
    iat: Seconds
    exp: Seconds
    jti: _TokenId
    digest: _Digest


def key_proof(
    key: SigningKey,
    digest: str,
    *,
    issuer: str,
    audience: str,
    now: datetime,
    ttl_seconds: int = MAX_KEY_PROOF_SECONDS,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """Signs a proof of possession.

    Args:
        key: the key to prove.
        digest: of the enrolment statement that names it.
        issuer: URN of the member.
        audience: URN of the hub.
        now: becomes ``iat``.
        ttl_seconds: at most 600.
        random_bytes: the source of ``jti``.
    """
    issued_at = to_seconds(now)
    claims = {
        "iss": issuer,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + ttl_seconds,
        "jti": base64url.encode(random_bytes(TOKEN_ID_BYTES)),
        "digest": digest,
    }
    return jws.sign(claims, key, typ=KEY_PROOF_TYPE)


def verify_key_proof(
    token: str,
    key: VerificationKey,
    *,
    audience: str,
    digest: str,
    now: datetime,
) -> KeyProof:
    """Verifies a proof of possession. The caller refuses a ``token_id`` seen before.

    Args:
        token: the compact JWS.
        key: the key it must be by; its issuer must be the proof's.
        audience: URN of the hub that asks.
        digest: of the enrolment statement.
        now: the moment of checking.

    Raises:
        PossessionError: it does not prove that this member holds this key now.
    """
    try:
        parsed = jws.take_apart(token, typ=KEY_PROOF_TYPE, max_bytes=MAX_KEY_PROOF_BYTES)
        parsed.check_signature(key)
        claims = msgspec.convert(parsed.claims(), _KeyProofClaims)
    except (jws.MalformedError, jws.SignatureError, msgspec.ValidationError):
        raise PossessionError("not a key proof of this key") from None
    if claims.iss != key.issuer or claims.aud != audience or claims.digest != digest:
        raise PossessionError("the proof is for another member, hub or statement")
    if not 0 < claims.exp - claims.iat <= MAX_KEY_PROOF_SECONDS:
        raise PossessionError(f"the proof lives longer than {MAX_KEY_PROOF_SECONDS} seconds")
    if from_seconds(claims.iat) > now + LEEWAY or from_seconds(claims.exp) <= now - LEEWAY:
        raise PossessionError("the proof is not valid now")
    return KeyProof(key.key_id, claims.jti, from_seconds(claims.exp))


def key_proof_key_id(token: str) -> str:
    """Returns which key a proof says it is by, unverified, to look the key up.

    Raises:
        PossessionError: not a key proof at all.
    """
    try:
        return jws.take_apart(token, typ=KEY_PROOF_TYPE, max_bytes=MAX_KEY_PROOF_BYTES).key_id
    except jws.MalformedError:
        raise PossessionError("not a key proof") from None
