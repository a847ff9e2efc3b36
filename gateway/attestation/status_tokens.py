"""What lists and change statements share: a compact JWS in the one form readers accept.

Header exactly ``alg``, ``kid`` and ``typ``; canonical base64url; one JSON text without
doubled members; the claim set of its kind and nothing else; signed by an attestation key
of ``iss`` that was in force at ``iat`` (docs/spec/status.md). What is wrong with the token
is STATUS_LIST_INVALID; what trust says about the key passes through.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.attestation import base64url, strict_json
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.jwk import COORDINATE_BYTES, KEY_ID_LENGTH
from gateway.attestation.keys import ALGORITHMS
from gateway.attestation.signing import sign_payload
from gateway.errors import CallerError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.keys import SigningKey, VerificationKey
    from gateway.attestation.verifying import KeySource

LEEWAY_SECONDS: Final = 60
"""What two clocks may differ, as of attestations (HT-ATT-6)."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since the epoch, until the end of the year 9999."""

_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_MAX_HEADER_SEGMENT: Final = 512
_DOTS: Final = 2


class _Signed(Protocol):
    iss: str
    iat: int


_C = TypeVar("_C", bound=_Signed)

_encode: Final = msgspec.json.Encoder().encode


def whole_seconds(moment: datetime) -> int:
    """Return the seconds since the epoch, fractions dropped.

    Raises:
        CallerError: the time has no zone.
    """
    if moment.tzinfo is None:
        raise CallerError("the time needs a zone")
    return int(moment.timestamp())


def token_digest(token: bytes) -> str:
    """Return the base64url SHA-256 of a token's bytes, 43 characters."""
    return base64url.encode(hashlib.sha256(token).digest())


def signer_of(token: str) -> str | None:
    """Return the key id that a token names; nothing is verified. None: it names none."""
    try:
        header = strict_json.loads(base64url.decode(token.partition(".")[0].encode("ascii")))
    except ValueError:
        return None
    found = header.get("kid") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def sign_claims(claims: msgspec.Struct, key: SigningKey, typ: str) -> str:
    """Sign a claim set in the order of its members."""
    return sign_payload(_encode(claims), key, typ)


def read_signed(
    token: str | bytes,
    kind: type[_C],
    keys: KeySource,
    *,
    typ: str,
    max_bytes: int,
    now: datetime,
) -> tuple[_C, str, bytes]:
    """Read and verify a token.

    Args:
        token: the compact token.
        kind: its claim set.
        keys: trust.
        typ: the only one accepted.
        max_bytes: longest token, inclusive.
        now: the reader's clock, aware.

    Returns:
        The claims, the key id and the token as bytes.

    Raises:
        AttestationError: STATUS_LIST_INVALID, or the word on its key.
        TrustError: trust knows no such key, or does not believe the issuer.
    """
    now_seconds = whole_seconds(now)
    if len(token) > max_bytes:
        raise _invalid(f"longer than {max_bytes} bytes")
    try:
        data = token if isinstance(token, bytes) else token.encode("ascii")
    except UnicodeEncodeError:
        raise _invalid("a character outside ASCII") from None
    if data.count(b".") != _DOTS:
        raise _invalid("not three segments")
    signing_input, _, signature = data.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    algorithm, key_id = _read_header(header, typ)
    claims = _read_claims(_decode(payload), kind)
    if claims.iat > now_seconds + LEEWAY_SECONDS:
        raise _invalid("signed ahead of now")
    key = keys.attestation_key(claims.iss, key_id)
    if key.algorithm != algorithm:
        raise _invalid("alg is not the algorithm of the key")
    _check_key_at(key, claims.iat)
    _check_signature(key, _decode(signature), signing_input)
    if not claims.iss[-6:].startswith(key.prefixes):
        raise _invalid("iss lies outside the divisions of its key")
    return claims, key_id, data


def _check_key_at(key: VerificationKey, signed: int) -> None:
    """Hold a key against the second in which it signed; a retired one still verifies."""
    if key.is_revoked:
        raise AttestationError("the key is revoked", code=AttestationFault.KEY_REVOKED)
    if signed >= key.believed_until_second:
        raise AttestationError("the key was tainted", code=AttestationFault.KEY_TAINTED)
    if not key.first_second - LEEWAY_SECONDS <= signed < key.end_second + LEEWAY_SECONDS:
        raise AttestationError(
            "the key was not in use when it signed", code=AttestationFault.KEY_NOT_VALID_NOW
        )


def _check_signature(key: VerificationKey, signature: bytes, data: bytes) -> None:
    public: Any = key.public_key
    if len(signature) != 2 * COORDINATE_BYTES:
        raise _invalid("the signature does not verify")
    try:
        if key.algorithm == "ES256":
            r = int.from_bytes(signature[:COORDINATE_BYTES], "big")
            s = int.from_bytes(signature[COORDINATE_BYTES:], "big")
            public.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        else:
            public.verify(signature, data)
    except InvalidSignature:
        raise _invalid("the signature does not verify") from None


def _read_header(segment: bytes, typ: str) -> tuple[str, str]:
    if len(segment) > _MAX_HEADER_SEGMENT:
        raise _invalid("the header is too long")
    header = _json(_decode(segment))
    if not isinstance(header, dict) or header.keys() != _HEADER_MEMBERS:
        raise _invalid("the header is not exactly alg, kid and typ")
    algorithm, key_id = header["alg"], header["kid"]
    if header["typ"] != typ:
        raise _invalid("typ is another one")
    if not (isinstance(key_id, str) and len(key_id) == KEY_ID_LENGTH):
        raise _invalid("kid is no thumbprint")
    if not (isinstance(algorithm, str) and algorithm in ALGORITHMS):
        raise _invalid("alg is none of the profile")
    return algorithm, key_id


def _read_claims(payload: bytes, kind: type[_C]) -> _C:
    try:
        claims = msgspec.json.decode(payload, type=kind)
        canonical = _encode(claims) == payload
    except ValueError:
        raise _invalid("a claim is missing, unknown or of a wrong type") from None
    if not canonical:
        # Another order of members or an escape is honest; a doubled member is not.
        _json(payload)
    return claims


def _json(data: bytes) -> Any:
    try:
        return strict_json.loads(data)
    except ValueError:
        raise _invalid("not one JSON text without doubled members") from None


def _decode(segment: bytes) -> bytes:
    try:
        return base64url.decode(segment)
    except ValueError:
        raise _invalid("not canonical base64url") from None


def _invalid(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.STATUS_LIST_INVALID)
