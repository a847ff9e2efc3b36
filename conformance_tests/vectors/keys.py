"""Keys and signatures that are the same at every run.

A private key is the SHA-256 of its name: it is a secret of nobody. ES256 signatures are
deterministic (RFC 6979), those of Ed25519 are by themselves. Tokens are written from
bytes, so that a world can also hold what no honest writer makes.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from conformance_tests.crypto import b64, unb64

_LABEL = b"hutong conformance vectors: "
# SEC 2 §2.4.2, the order of P-256.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class VectorKey:
    """A signing key with a name.

    Attributes:
        name: what it comes from.
        alg: ``ES256`` or ``Ed25519``.
        public: the public JWK with its thumbprint as ``kid``.
        secret: the member ``d`` of the private JWK.
    """

    name: str
    alg: str
    public: dict[str, str]
    secret: str
    _private: Any = field(repr=False, default=None)

    @property
    def kid(self) -> str:
        """The key id."""
        return self.public["kid"]

    def signature(self, data: bytes) -> bytes:
        """Sign bytes; 64 bytes come back."""
        if self.alg == "Ed25519":
            return bytes(self._private.sign(data))
        der = self._private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        # Of the two spellings of a signature the lower (HT-FEED-21).
        s = min(s, P256_ORDER - s)
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Sign claims as a compact JWS with exactly ``alg``, ``kid`` and ``typ``."""
        return self.sign_bytes({"alg": self.alg, "kid": self.kid, "typ": typ}, to_json(claims))

    def sign_bytes(self, header: dict[str, Any] | bytes, payload: bytes) -> str:
        """Sign any header and any payload."""
        head = header if isinstance(header, bytes) else to_json(header)
        signing_input = f"{b64(head)}.{b64(payload)}"
        return f"{signing_input}.{b64(self.signature(signing_input.encode()))}"


@functools.cache
def vector_key(name: str, alg: str = "ES256") -> VectorKey:
    """Return the key of a name."""
    secret = hashlib.sha256(_LABEL + name.encode()).digest()
    private: Any
    if alg == "Ed25519":
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
        members = {
            "crv": "Ed25519",
            "kty": "OKP",
            "x": b64(private.public_key().public_bytes_raw()),
        }
    else:
        number = int.from_bytes(secret, "big") % P256_ORDER
        private = ec.derive_private_key(number, ec.SECP256R1())
        secret = number.to_bytes(_COORDINATE_BYTES, "big")
        point = private.public_key().public_numbers()
        x, y = (n.to_bytes(_COORDINATE_BYTES, "big") for n in (point.x, point.y))
        members = {"crv": "P-256", "kty": "EC", "x": b64(x), "y": b64(y)}
    kid = b64(hashlib.sha256(to_json(members)).digest())
    return VectorKey(name, alg, {**members, "kid": kid}, b64(secret), private)


def to_json(value: Any) -> bytes:
    """Write JSON without whitespace, texts unescaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def digest(text: str) -> str:
    """Return the base64url SHA-256 of a token."""
    return b64(hashlib.sha256(text.encode()).digest())


def respelt(token: str) -> str:
    """The same ES256 token with its signature in the other spelling (HT-FEED-21)."""
    start, _, end = token.rpartition(".")
    raw = unb64(end)
    other = P256_ORDER - int.from_bytes(raw[_COORDINATE_BYTES:], "big")
    return f"{start}.{b64(raw[:_COORDINATE_BYTES] + other.to_bytes(_COORDINATE_BYTES, 'big'))}"
