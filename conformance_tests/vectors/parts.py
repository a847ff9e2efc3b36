"""An attestation of which its holder shows a part (docs/spec/disclosure.md)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64
from conformance_tests.vectors.keys import digest, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance_tests.vectors.keys import VectorKey

TYPE = "hutong-attestation+sd-jwt"
VCT = "urn:hutong:vct:code"
MEMBERS = (
    *("level", "scheme", "state", "assessed_at", "source_at", "issued_by", "basis"),
    *("valid_until", "declared_at", "declaration_valid_until", "release", "area"),
    *("declarations", "rule", "negative_test_at", "also"),
)
_FRAME = ("iss", "aud", "iat", "nbf", "exp", "jti", "use", "nonce", "status", "serial")


def disclosure(name: str, value: Any) -> str:
    """One member as it travels; its salt comes from its name."""
    salt = b64(hashlib.sha256(b"salt of " + name.encode()).digest()[:16])
    return b64(to_json([salt, name, value]))


def in_part(claims: dict[str, Any], key: VectorKey, shown: Sequence[str], defect: str) -> str:
    """Write an attestation that can be disclosed, and disclose some of it.

    Args:
        claims: of the whole attestation.
        key: signs it.
        shown: members of the code, and ``sub``.
        defect: what is wrong; empty for nothing.
    """
    made = {name: disclosure(name, claims["code"].get(name)) for name in MEMBERS}
    subject = disclosure("sub", claims["sub"])
    signed: dict[str, Any] = {name: claims[name] for name in _FRAME if name in claims}
    signed |= {
        "vct": "urn:hutong:vct:other" if defect == "vct" else VCT,
        "_sd_alg": "sha-512" if defect == "hash" else "sha-256",
        "code": {"_sd": sorted(map(digest, made.values()))},
        "_sd": [digest(subject)],
    }
    if defect == "in-sight":
        signed["code"]["level"] = claims["code"]["level"]
    given = [{**made, "sub": subject}[name] for name in shown]
    if defect == "forged":
        given[0] = disclosure(shown[0], "GREEN" if claims["code"]["level"] != "GREEN" else "RED")
    if defect == "twice":
        given.append(given[0])
    end = "e30.e30.e30" if defect == "key-binding" else ""
    return "~".join((key.sign(signed, TYPE), *given, end))
