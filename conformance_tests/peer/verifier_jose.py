"""Reading signed tokens strictly, for the reference verifier; every refusal has its reason."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from conformance_tests.crypto import b64, unb64

_SIGNATURE_BYTES = 64
_THUMBPRINT = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "AKP": ("alg", "kty", "pub"),
}
# SEC 2 §2.4.2, the order of P-256.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY_MEMBERS = ("kty", "crv", "x", "y")
ALGORITHMS = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "Ed25519"}


class VerifierError(Exception):
    """A reader refuses; the text is the reason."""


class DoubledError(ValueError):
    """A member of a JSON object stands twice."""


def strict_json(data: bytes, *, allow_doubled: bool = False) -> Any:
    """Read JSON without doubled members and without NaN.

    Raises:
        DoubledError: a member is doubled.
        ValueError: no JSON.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs) and not allow_doubled:
            raise DoubledError
        return found

    def refuse(_text: str) -> Any:
        raise ValueError("not JSON")

    return json.loads(data.decode(), object_pairs_hook=unique, parse_constant=refuse)


def segments(token: str, *, loose: bool = False) -> tuple[bytes, bytes, bytes]:
    """Take a compact token apart.

    Args:
        token: three segments.
        loose: also take base64url that is not canonical; for readers broken on purpose.

    Raises:
        ValueError: it is no compact token.
    """
    header, payload, signature = token.split(".")
    if loose:
        return tuple(map(_loose, (header, payload, signature)))  # type: ignore[return-value]  # three of them
    return unb64(header), unb64(payload), unb64(signature)


@functools.lru_cache(4096)
def parsed(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token of the feed, read strictly; not to be changed.

    Raises:
        ValueError: it is no compact token of JSON objects.
    """
    header, payload, _ = segments(token)
    return strict_json(header), strict_json(payload)


def thumbprint(jwk: dict[str, Any]) -> str:
    """Return the RFC 7638 thumbprint.

    Raises:
        KeyError: not a key of a known type.
    """
    return _thumbprint(tuple((name, jwk[name]) for name in _THUMBPRINT[jwk["kty"]]))


@functools.lru_cache(4096)
def _thumbprint(members: tuple[tuple[str, str], ...]) -> str:
    canonical = json.dumps(dict(members), sort_keys=True, separators=(",", ":")).encode()
    return b64(hashlib.sha256(canonical).digest())


def algorithm_of(jwk: dict[str, Any]) -> str:
    """The one algorithm of a signing key."""
    return ALGORITHMS.get((jwk["kty"], jwk.get("crv", "")), "")


def is_signed(token: str, jwk: dict[str, Any], *, der: bool = False, loose: bool = False) -> bool:
    """Tell whether the signature is that of the key; a pure function, so it is remembered."""
    return _is_signed(token, tuple(jwk.get(name, "") for name in _KEY_MEMBERS), der, loose)


@functools.lru_cache(65_536)
def _is_signed(token: str, key: tuple[str, ...], der: bool, loose: bool) -> bool:  # noqa: FBT001 - a cache takes no keywords
    members = dict(zip(_KEY_MEMBERS, key, strict=True))
    signature = segments(token, loose=loose)[2]
    signed = token.rpartition(".")[0].encode()
    try:
        if members["kty"] == "OKP":
            ed25519.Ed25519PublicKey.from_public_bytes(unb64(members["x"])).verify(
                signature, signed
            )
            return True
        if len(signature) == _SIGNATURE_BYTES:
            half = _SIGNATURE_BYTES // 2
            r, s = (int.from_bytes(each, "big") for each in (signature[:half], signature[half:]))
            signature = encode_dss_signature(r, s)
        elif not der:
            return False
        x, y = (int.from_bytes(unb64(members[name]), "big") for name in ("x", "y"))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def is_high(token: str) -> bool:
    """Whether an ES256 signature is the higher of its two spellings."""
    return int.from_bytes(unb64(token.rpartition(".")[2])[32:], "big") > P256_ORDER // 2


def _loose(text: str) -> bytes:
    import base64  # noqa: PLC0415 - of a reader broken on purpose

    bare = text.strip().rstrip("=")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
