"""Encryption keys of both sealing profiles and their JWK form.

``HPKE``: the post-quantum hybrid MLKEM768-X25519 (also known as X-Wing; KEM id
0x647a of draft-ietf-hpke-pq). The private key is its 32-byte seed, expanded by
SHAKE256 as that draft says, so any library that speaks the KEM can hold it. As
a JWK it is of type ``AKP`` with ``pub`` (1216 bytes: ML-KEM key, then X25519
key) and ``priv`` (the seed). No registered ``alg`` names this suite, so the
name here is our own.

``JWE``: a P-256 key for ECDH-ES (RFC 7518 §4.6), an ordinary ``EC`` JWK.

A key id is the RFC 7638 thumbprint. Reading is as strict as that of signing keys
(``keys``); ``repr`` shows id and profile only.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from jwcrypto import jwk as jwcrypto_jwk

from gateway.attestation import base64url
from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.jwk import (
    COORDINATE_BYTES,
    check_description,
    check_members,
    p256_coordinates,
    p256_point,
    read_member,
    thumbprint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Profile(StrEnum):
    """How an envelope is sealed; the encryption key in the feed says which."""

    HPKE = "HPKE"
    """RFC 9180 with the post-quantum hybrid; the default."""
    JWE = "JWE"
    """RFC 7516 compact, ECDH-ES and A256GCM, for languages without HPKE."""


HPKE_ALGORITHM: Final = "HUTONG-HPKE-MLKEM768-X25519-SHA256-A256GCM"
"""``alg`` of an HPKE key: KEM, KDF and AEAD in one name."""
JWE_ALGORITHM: Final = "ECDH-ES"

SEED_BYTES: Final = 32
_MLKEM_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184
_HYBRID_PUBLIC_BYTES: Final = _MLKEM_PUBLIC_BYTES + COORDINATE_BYTES


@dataclass(frozen=True, slots=True)
class SealingPublicKey:
    """What a question is sealed to.

    Attributes:
        key_id: RFC 7638 thumbprint.
        profile: how to seal to it.
        native: the key as the profile's library holds it.
        members: the members of its JWK that make the key.
    """

    key_id: str
    profile: Profile
    native: Any = field(repr=False, compare=False)
    members: Mapping[str, str] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """What opens a question.

    Attributes:
        public: the public half.
        native: the private key as the profile's library holds it.
        secret: HPKE: the seed; JWE: the private scalar. 32 bytes.
    """

    public: SealingPublicKey
    native: Any = field(repr=False, compare=False)
    secret: bytes = field(repr=False, compare=False)

    @property
    def key_id(self) -> str:
        """RFC 7638 thumbprint of the public half."""
        return self.public.key_id

    @property
    def profile(self) -> Profile:
        """The profile of the key."""
        return self.public.profile


def generate_sealing_key(profile: Profile = Profile.HPKE) -> SealingKey:
    """Makes a fresh key from the operating system's randomness."""
    if profile is Profile.HPKE:
        return _hpke_key(os.urandom(SEED_BYTES))
    scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return _jwe_key(scalar.to_bytes(COORDINATE_BYTES, "big"))


def public_sealing_jwk(key: SealingKey | SealingPublicKey) -> dict[str, str]:
    """Returns the public JWK with ``kid``, ``alg`` and ``use``."""
    public = key.public if isinstance(key, SealingKey) else key
    algorithm = HPKE_ALGORITHM if public.profile is Profile.HPKE else JWE_ALGORITHM
    return {**public.members, "kid": public.key_id, "alg": algorithm, "use": "enc"}


def sealing_public_key_from_jwk(jwk: Mapping[str, Any]) -> SealingPublicKey:
    """Reads a public encryption key strictly.

    Raises:
        KeyMaterialError: another type, a missing, unknown or private member, a
            value of a wrong length, a point that is none, or a ``kid``, ``alg``,
            ``use`` or ``key_ops`` that does not fit the key.
    """
    return _read_public(jwk, frozenset())


def sealing_key_to_jwk(key: SealingKey) -> dict[str, str]:
    """Returns the private JWK. The caller keeps it secret."""
    name = "priv" if key.profile is Profile.HPKE else "d"
    return {**public_sealing_jwk(key), name: base64url.encode(key.secret)}


def sealing_key_from_jwk(jwk: Mapping[str, Any]) -> SealingKey:
    """Reads a private encryption key strictly.

    Raises:
        KeyMaterialError: as for a public one, or the halves do not belong together.
    """
    name, build = ("priv", _hpke_key) if jwk.get("kty") == "AKP" else ("d", _jwe_key)
    public = _read_public(jwk, frozenset({name}))
    key = build(read_member(jwk, name, SEED_BYTES))
    if key.key_id != public.key_id:
        raise KeyMaterialError("the private and the public half do not belong together")
    return key


def _read_public(jwk: Mapping[str, Any], private_members: frozenset[str]) -> SealingPublicKey:
    if jwk.get("kty") == "AKP" and jwk.get("alg") == HPKE_ALGORITHM:
        check_members(jwk, frozenset({"kty", "alg", "pub"}) | private_members)
        public = _hpke_public(read_member(jwk, "pub", _HYBRID_PUBLIC_BYTES))
        algorithm = HPKE_ALGORITHM
    elif jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        check_members(jwk, frozenset({"kty", "crv", "x", "y"}) | private_members)
        public = _jwe_public(p256_point(jwk))
        algorithm = JWE_ALGORITHM
    else:
        raise KeyMaterialError("the key is of neither sealing profile")
    check_description(jwk, algorithm=algorithm, use="enc", operations=_KEY_OPERATIONS)
    return public


# RFC 7517 §4.3, for key agreement.
_KEY_OPERATIONS: Final = frozenset({"deriveKey", "deriveBits"})


def _hpke_key(seed: bytes) -> SealingKey:
    expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + COORDINATE_BYTES)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
    raw = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return SealingKey(_hpke_public(raw), MLKEM768X25519PrivateKey(lattice, curve), seed)


def _hpke_public(raw: bytes) -> SealingPublicKey:
    curve = x25519.X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:])
    try:
        lattice = mlkem.MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
        # A point of low order gives an all-zero secret (RFC 7748 §6.1); found here
        # rather than at the first question.
        x25519.X25519PrivateKey.generate().exchange(curve)
    except ValueError:
        raise KeyMaterialError("member pub is not a key of the hybrid") from None
    members = {"kty": "AKP", "alg": HPKE_ALGORITHM, "pub": base64url.encode(raw)}
    native = MLKEM768X25519PublicKey(lattice, curve)
    return SealingPublicKey(thumbprint(members), Profile.HPKE, native, members)


def _jwe_key(scalar: bytes) -> SealingKey:
    try:
        private = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    except ValueError:
        raise KeyMaterialError("member d is out of range") from None
    public = _jwe_public(private.public_key())
    native = jwcrypto_jwk.JWK(**public.members, d=base64url.encode(scalar))
    return SealingKey(public, native, scalar)


def _jwe_public(point: ec.EllipticCurvePublicKey) -> SealingPublicKey:
    members = p256_coordinates(point)
    native = jwcrypto_jwk.JWK(**members)
    return SealingPublicKey(thumbprint(members), Profile.JWE, native, members)
