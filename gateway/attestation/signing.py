"""Signing an attestation: a compact JWS (RFC 7515 §7.1) in the one form readers accept.

The header is exactly ``alg``, ``kid`` and ``typ``. An ES256 signature is the raw
``r || s`` of RFC 7518 §3.4, in whichever of its two spellings it comes: an attestation
is known by its issuer and ``jti``, never by its bytes (docs/adr/0016). The claims are
checked before the key is touched.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from gateway.attestation import base64url
from gateway.attestation.claims import Attestation, claims_to_json
from gateway.attestation.jwk import COORDINATE_BYTES

if TYPE_CHECKING:
    from gateway.attestation.keys import Algorithm, SigningKey

TOKEN_TYPE: Final = "hutong-attestation+jwt"  # noqa: S105 - a media type
"""``typ`` of an attestation (RFC 8725 §3.11: explicit typing)."""

ES256: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
"""ES256 over a digest that is already made: `hashlib` makes it in less time."""


# SEC 2 §2.4.2: the order of P-256.
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HALF_ORDER: Final = (_P256_ORDER >> 1).to_bytes(COORDINATE_BYTES, "big")


def sign_attestation(attestation: Attestation, key: SigningKey) -> str:
    """Signs and returns the compact token.

    Raises:
        AttestationError: a strict reader would refuse the claims.
    """
    return sign_payload(claims_to_json(attestation), key, TOKEN_TYPE)


def sign_payload(payload: bytes, key: SigningKey, token_type: str) -> str:
    """Signs any payload under a header of exactly ``alg``, ``kid`` and ``typ``.

    The payload is not looked at: whoever calls this answers for what it says.
    """
    header = _header(key.algorithm, key.key_id, token_type)
    signing_input = header + base64url.encode_bytes(payload)
    signature = base64url.encode_bytes(sign_bytes(signing_input, key))
    return (signing_input + b"." + signature).decode()


def sign_bytes(data: bytes, key: SigningKey) -> bytes:
    """Returns the JWS signature of ``data``: raw ``r || s``, or that of Ed25519."""
    # A key is of its algorithm's type; asking its abstract class would cost more than
    # the frame of the token.
    private: Any = key.private
    if key.algorithm == "Ed25519":
        signature: bytes = private.sign(data)
        return signature
    return _raw(private.sign(sha256(data).digest(), ES256))


def _raw(der: bytes) -> bytes:
    """Takes ``r || s`` out of a DER sequence, as our own library writes it.

    Below 128 bytes in all, so two bytes of frame, then tag, length and number twice.
    A number has a zero in front when its first bit is set, and lacks the zeros that
    it would begin with.
    """
    length = der[3]
    split = 4 + length
    if length >= COORDINATE_BYTES and len(der) - split - 2 >= COORDINATE_BYTES:
        # All but a hundredth of all signatures: no number lacks a byte.
        return der[split - COORDINATE_BYTES : split] + der[-COORDINATE_BYTES:]
    r, s = der[4:split].lstrip(b"\0"), der[split + 2 :].lstrip(b"\0")
    return r.rjust(COORDINATE_BYTES, b"\0") + s.rjust(COORDINATE_BYTES, b"\0")


def low_s(signature: bytes) -> bytes:
    """Returns the spelling of a raw ES256 signature whose ``s`` is in the lower half."""
    # Bytes of one length compare as the numbers they are.
    return other_s(signature) if signature[COORDINATE_BYTES:] > _HALF_ORDER else signature


def other_s(signature: bytes) -> bytes:
    """Returns the other spelling, ``(r, n - s)``, which verifies whenever this one does."""
    s = _P256_ORDER - int.from_bytes(signature[COORDINATE_BYTES:], "big")
    return signature[:COORDINATE_BYTES] + s.to_bytes(COORDINATE_BYTES, "big")


@lru_cache(256)
def _header(algorithm: Algorithm, key_id: str, token_type: str) -> bytes:
    text = f'{{"alg":"{algorithm}","kid":"{key_id}","typ":"{token_type}"}}'
    return base64url.encode_bytes(text.encode()) + b"."
