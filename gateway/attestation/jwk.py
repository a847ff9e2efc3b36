"""JSON Web Keys (RFC 7517), member by member: strict reading, and thumbprints (RFC 7638).

What a key *is for* stands in ``keys`` (signing) and ``sealing_keys``; here is what they
share. A JWK is read strictly: only the members of its type and description (``kid``,
``alg``, ``use``, ``key_ops``), the described ones consistent with the key, coordinates
of full length and on the curve.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.attestation import base64url
from gateway.attestation.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_ID_LENGTH: Final = 43
"""Characters of a SHA-256 in base64url."""
COORDINATE_BYTES: Final = 32
"""P-256 coordinates and scalars (RFC 7518 §6.2.1.2), Ed25519 keys (RFC 8037 §2)."""

# RFC 7638 §3.2, RFC 8037 §2, and for AKP the JOSE registration of ML-DSA keys:
# the members that make the key, and so its thumbprint.
_THUMBPRINT_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "AKP": ("alg", "kty", "pub"),
}
_DESCRIPTIVE_MEMBERS: Final = frozenset({"kid", "alg", "use", "key_ops"})
# Of every well-formed value; the members above stand in the order of their names.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Returns the RFC 7638 thumbprint of a public or private JWK.

    Args:
        jwk: a key of type ``EC``, ``OKP`` or ``AKP``.

    Raises:
        KeyMaterialError: another type, or a member of the key is missing.
    """
    kty = jwk.get("kty")
    members = _THUMBPRINT_MEMBERS.get(kty) if isinstance(kty, str) else None
    if members is None:
        raise KeyMaterialError("the key type is not supported")
    required: dict[str, str] = {}
    for name in members:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise KeyMaterialError("a member that makes the key is missing or not text")
        required[name] = value
    if all(map(_PLAIN.fullmatch, required.values())):
        # What canonical JSON is of names in order and texts without escapes; a feed
        # has thousands of keys.
        text = ",".join(f'"{name}":"{value}"' for name, value in required.items())
        return base64url.encode(hashlib.sha256(f"{{{text}}}".encode()).digest())
    return base64url.encode(hashlib.sha256(rfc8785.dumps(required)).digest())


def read_member(jwk: Mapping[str, Any], name: str, length: int) -> bytes:
    """Reads one base64url member of a known length in bytes.

    Raises:
        KeyMaterialError: missing, not canonical base64url, or of another length.
    """
    value = jwk.get(name)
    try:
        data = base64url.decode(value.encode("ascii")) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if len(data) != length:
        raise KeyMaterialError(f"member {name} is not {length} bytes of canonical base64url")
    return data


def check_members(jwk: Mapping[str, Any], expected: frozenset[str]) -> None:
    """Refuses a JWK with other members than those of the key and its description.

    Raises:
        KeyMaterialError: a member is missing or unknown.
    """
    names = frozenset(jwk)
    if not expected <= names:
        raise KeyMaterialError("a member that makes the key is missing")
    if names - expected - _DESCRIPTIVE_MEMBERS:
        raise KeyMaterialError("the key holds a member that it must not have")


def check_description(
    jwk: Mapping[str, Any], *, algorithm: str, use: str, operations: frozenset[str]
) -> str:
    """Holds ``kid``, ``alg``, ``use`` and ``key_ops`` against the key; returns its thumbprint.

    Raises:
        KeyMaterialError: one of them is present and says something else.
    """
    key_id = thumbprint(jwk)
    if jwk.get("kid", key_id) != key_id:
        raise KeyMaterialError("kid is not the RFC 7638 thumbprint")
    if jwk.get("alg", algorithm) != algorithm:
        raise KeyMaterialError("alg is not the algorithm of the key")
    if jwk.get("use", use) != use:
        raise KeyMaterialError("use is not that of the key")
    named = jwk.get("key_ops", [])
    if not isinstance(named, list) or not all(
        isinstance(name, str) and name in operations for name in named
    ):
        raise KeyMaterialError("key_ops names a foreign operation")
    return key_id


def p256_point(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """Reads ``x`` and ``y`` as a point on P-256.

    Raises:
        KeyMaterialError: a coordinate is malformed or the point is not on the curve.
    """
    x = int.from_bytes(read_member(jwk, "x", COORDINATE_BYTES), "big")
    y = int.from_bytes(read_member(jwk, "y", COORDINATE_BYTES), "big")
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise KeyMaterialError("the point is not on the curve") from None


def p256_coordinates(public: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Returns ``kty``, ``crv``, ``x`` and ``y`` of a point on P-256."""
    numbers = public.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(COORDINATE_BYTES, "big")),
        "y": base64url.encode(numbers.y.to_bytes(COORDINATE_BYTES, "big")),
    }
