"""Tokens and sealing for the suite, resting on jwcrypto and cryptography alone.

Written from ``docs/spec`` and not from the gateway: a second reading of the same
text. What attestations say is read in ``attestations``.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from jwcrypto import jwe, jwk, jws
from jwcrypto.common import JWException

HPKE_ALGORITHM = "HUTONG-HPKE-MLKEM768-X25519-SHA256-A256GCM"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_BYTES = 1184  # FIPS 203, ML-KEM-768 encapsulation key
_IV_BYTES = 12  # NIST SP 800-38D
QUESTION = "hutong/v1/question"
ANSWER = "hutong/v1/answer"
IMPORT = "hutong/v1/import"
IMPORT_ANSWER = "hutong/v1/import-answer"


class OpenFailedError(Exception):
    """An envelope does not open."""


def b64(data: bytes) -> str:
    """Encode base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Decode canonical base64url without padding.

    Raises:
        ValueError: not canonical.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(data) != text:
        raise ValueError("not canonical base64url")
    return data


# -- keys and tokens ---------------------------------------------------------


def new_signing_key() -> jwk.JWK:
    """Make an ES256 key whose ``kid`` is its thumbprint."""
    key = jwk.JWK.generate(kty="EC", crv="P-256")
    return with_kid(key)


def with_kid(key: jwk.JWK) -> jwk.JWK:
    """Return the key with its thumbprint as ``kid``."""
    members = json.loads(key.export(private_key=key.has_private))
    return jwk.JWK(**{**members, "kid": key.thumbprint()})


def load_key(members: dict[str, Any]) -> jwk.JWK:
    """Read a JWK, private or public."""
    kept = {"kty", "crv", "x", "y", "d"}
    return with_kid(jwk.JWK(**{name: members[name] for name in members.keys() & kept}))


def public_members(key: jwk.JWK) -> dict[str, Any]:
    """Return the public JWK as a mapping."""
    members: dict[str, Any] = json.loads(key.export_public())
    return members


def sign(claims: dict[str, Any], key: jwk.JWK, typ: str, *, kid: str | None = None) -> str:
    """Sign claims as a compact JWS with exactly ``alg``, ``kid`` and ``typ``."""
    token = jws.JWS(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())
    header = {"alg": "ES256", "kid": kid or key["kid"], "typ": typ}
    token.add_signature(key, alg="ES256", protected=json.dumps(header, separators=(",", ":")))
    text: str = token.serialize(compact=True)
    return text


def read_signed(token: str, keys: dict[str, jwk.JWK], typ: str) -> tuple[dict[str, Any], str]:
    """Verify a compact JWS and return its claims and key id.

    Raises:
        ValueError: header, key, signature or payload is wrong; the text says which.
    """
    segments = token.split(".")
    if len(segments) != 3:  # noqa: PLR2004 - compact serialisation
        raise ValueError("not three segments")
    header = _strict_json(unb64(segments[0]))
    if set(header) != {"alg", "kid", "typ"}:
        raise ValueError("the header is not exactly alg, kid and typ")
    if header["typ"] != typ:
        raise ValueError("the type is not the expected one")
    if header["alg"] not in {"ES256", "Ed25519"}:
        raise ValueError("the algorithm is not allowed")
    key = keys.get(header["kid"])
    if key is None:
        raise ValueError("the key is unknown")
    verifier = jws.JWS()
    verifier.allowed_algs = ["ES256", "EdDSA", "Ed25519"]
    try:
        verifier.deserialize(token)
        verifier.verify(key)
    except JWException as error:
        raise ValueError("the signature does not verify") from error
    return _strict_json(unb64(segments[1])), header["kid"]


def unsafe_claims(token: str) -> dict[str, Any]:
    """Read claims without verifying anything: for peers that are broken on purpose."""
    return _strict_json(unb64(token.split(".")[1]))


def random_text() -> str:
    """128 random bits as text."""
    return b64(os.urandom(16))


def _strict_json(data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a member is doubled")
        return dict(pairs)

    value = json.loads(data, object_pairs_hook=unique)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one family for the caller
    return value


# -- sealing -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binding:
    """What an envelope is bound to."""

    origin: str
    caller: str
    purpose: str


def _encode(label: str, *parts: str) -> bytes:
    encoded = label.encode() + b"\0"
    for part in parts:
        raw = part.encode()
        encoded += len(raw).to_bytes(2, "big") + raw
    return encoded


@dataclass(frozen=True, slots=True)
class SealKey:
    """An encryption key of either profile; ``private`` only on the adapter's side."""

    kid: str
    profile: str
    public: Any = field(repr=False)
    private: Any = field(repr=False, default=None)
    members: dict[str, str] = field(repr=False, default_factory=dict)


def new_seal_key() -> SealKey:
    """Make an HPKE key."""
    lattice = mlkem.MLKEM768PrivateKey.generate()
    curve = x25519.X25519PrivateKey.generate()
    raw = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    key = load_seal_key({"kty": "AKP", "alg": HPKE_ALGORITHM, "pub": b64(raw)})
    return SealKey(
        key.kid, key.profile, key.public, MLKEM768X25519PrivateKey(lattice, curve), key.members
    )


def load_seal_key(members: dict[str, Any]) -> SealKey:
    """Read a public encryption key.

    Raises:
        ValueError: of neither profile.
    """
    if members.get("kty") == "AKP" and members.get("alg") == HPKE_ALGORITHM:
        raw = unb64(members["pub"])
        public = MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_BYTES]),
            x25519.X25519PublicKey.from_public_bytes(raw[_MLKEM_BYTES:]),
        )
        named = {"alg": members["alg"], "kty": "AKP", "pub": members["pub"]}
        return SealKey(_thumbprint(named), "HPKE", public, members=named)
    if members.get("kty") == "EC" and members.get("crv") == "P-256":
        key = jwk.JWK(**{name: members[name] for name in ("kty", "crv", "x", "y")})
        return SealKey(key.thumbprint(), "JWE", key, members=public_members(key))
    raise ValueError("the encryption key is of neither profile")


def _thumbprint(members: dict[str, str]) -> str:
    from hashlib import sha256  # noqa: PLC0415 - one use

    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return b64(sha256(canonical).digest())


def pad(batch: Any, bucket: int) -> None:
    """Fill the ``padding`` of a batch until its length is a multiple of the bucket."""
    batch.ClearField("padding")
    room = bucket - batch.ByteSize() % bucket
    # Tag and length take two bytes, or three from 128 zeros on, which may not come out.
    while True:
        for frame in (2, 3):
            batch.padding = bytes(max(1, room - frame))
            if batch.ByteSize() % bucket == 0:
                return
        room += bucket


def seal_question(key: SealKey, plaintext: bytes, binding: Binding, label: str = QUESTION) -> bytes:
    """Seal a question, or with another label an import, in the profile of the key."""
    if key.profile == "HPKE":
        info = _encode(label, binding.origin, binding.caller, binding.purpose)
        return bytes(_SUITE.encrypt(plaintext, key.public, info))
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": key.kid,
        "typ": f"hutong-{label.rpartition('/')[2]}+jwe",
        "apu": b64(_encode(label, binding.caller, binding.purpose)),
        "apv": b64(_encode(label, binding.origin)),
    }
    token = jwe.JWE(plaintext, json.dumps(header), recipient=key.public)
    return str(token.serialize(compact=True)).encode()


def open_question(key: SealKey, envelope: bytes, binding: Binding, label: str = QUESTION) -> bytes:
    """Open a question or an import of profile HPKE; the reference peer speaks no other.

    Raises:
        OpenFailedError: it does not open.
    """
    info = _encode(label, binding.origin, binding.caller, binding.purpose)
    try:
        return bytes(_SUITE.decrypt(envelope, key.private, info))
    except (InvalidTag, ValueError) as error:
        raise OpenFailedError from error


def seal_answer(reply_key: bytes, plaintext: bytes, binding: Binding, label: str = ANSWER) -> bytes:
    """Seal an answer of profile HPKE."""
    iv = os.urandom(_IV_BYTES)
    aad = _encode(label, binding.origin, binding.caller, binding.purpose)
    return iv + AESGCM(reply_key).encrypt(iv, plaintext, aad)


def open_answer(
    reply_key: bytes, envelope: bytes, binding: Binding, profile: str, label: str = ANSWER
) -> bytes:
    """Open an answer.

    Raises:
        OpenFailedError: it does not open.
    """
    if profile == "HPKE":
        aad = _encode(label, binding.origin, binding.caller, binding.purpose)
        try:
            return AESGCM(reply_key).decrypt(envelope[:_IV_BYTES], envelope[_IV_BYTES:], aad)
        except (InvalidTag, ValueError) as error:
            raise OpenFailedError from error
    token = jwe.JWE(algs=["dir", "A256GCM"])
    try:
        token.deserialize(envelope.decode(), jwk.JWK(kty="oct", k=b64(reply_key)))
    except (JWException, ValueError) as error:
        raise OpenFailedError from error
    header = token.jose_header
    parties = (_encode(label, binding.caller, binding.purpose), _encode(label, binding.origin))
    if (header.get("apu"), header.get("apv")) != tuple(map(b64, parties)):
        raise OpenFailedError
    return bytes(token.payload)
