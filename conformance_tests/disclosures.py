"""Attestations in part as the suite reads them, from ``docs/spec/disclosure.md``.

The signature rests on jwcrypto as that of a whole attestation does; digests and
disclosures are read here, with nothing of the implementation under test.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64, read_signed, unb64

if TYPE_CHECKING:
    from jwcrypto import jwk

TYPE = "hutong-attestation+sd-jwt"
VCT = "urn:hutong:vct:code"
MEMBERS = (
    *("level", "scheme", "state", "assessed_at", "source_at", "issued_by", "basis"),
    *("valid_until", "declared_at", "declaration_valid_until", "release", "area"),
    *("declarations", "rule", "negative_test_at", "also"),
)
"""Every member that a code may have (HT-ATT-13)."""
_NEEDED = {"level", "issued_by"}  # HT-DIS-8
_STAND_INS: dict[str, Any] = {"scheme": "-", "state": "-", "assessed_at": 0, "source_at": 0}
"""In place of what a code must state and a part withholds."""
_PARTS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """An attestation with everything that it can disclose.

    Attributes:
        claims: what stands in sight.
        told: members of the code, and ``sub``, by name.
        salts: decoded, in the order of the disclosures.
        digests: signed in place of members of the code, as they stand.
        beside: signed in place of claims.
    """

    claims: dict[str, Any] = field(repr=False)
    told: dict[str, Any] = field(repr=False)
    salts: tuple[bytes, ...] = field(repr=False)
    digests: tuple[str, ...]
    beside: tuple[str, ...]

    def whole(self) -> dict[str, Any]:
        """The claims of a whole attestation that says no more than this one."""
        kept = {name: value for name, value in self.told.items() if value is not None}
        subject = kept.pop("sub", "-")
        frame = {name: value for name, value in self.claims.items() if name not in _OWN}
        return {**frame, "sub": subject, "code": {**_STAND_INS, **kept}}


_OWN = {"vct", "_sd_alg", "_sd", "code"}


def read_part(token: str, keys: dict[str, jwk.JWK]) -> Part:
    """Read an attestation in part with all its disclosures.

    Raises:
        ValueError: it is none; the text names the rule.
    """
    signed, *disclosures = token.split("~")
    if not disclosures:
        raise ValueError("answered with a whole attestation (HT-DIS-4, HT-DIS-5)")
    if disclosures.pop():
        raise ValueError("something stands behind the last separator (HT-DIS-8)")
    try:
        claims, _ = read_signed(signed, keys, TYPE)
    except ValueError as error:
        raise ValueError(f"{error} (HT-DIS-1)") from None
    if claims.get("vct") != VCT or claims.get("_sd_alg") != "sha-256":
        raise ValueError("vct or _sd_alg is another (HT-DIS-1)")
    code = claims.get("code")
    if not isinstance(code, dict) or set(code) != {"_sd"} or "sub" in claims:
        raise ValueError("a member of code, or sub, stands in sight (HT-DIS-2)")
    digests, beside = tuple(code["_sd"]), tuple(claims.get("_sd", ()))
    told: dict[str, Any] = {}
    salts = []
    for text in disclosures:
        salt, name, value = _opened(text)
        places = beside if name == "sub" else digests
        if b64(hashlib.sha256(text.encode()).digest()) not in places:
            raise ValueError("a disclosure has no digest in its place (HT-DIS-7)")
        if name in told or name not in {*MEMBERS, "sub"}:
            raise ValueError("a member is disclosed twice, or is none of a code (HT-DIS-7)")
        told[name] = value
        salts.append(unb64(salt))
    if not set(told) >= _NEEDED:
        raise ValueError("level or issued_by cannot be disclosed (HT-DIS-8)")
    return Part(claims, told, tuple(salts), digests, beside)


def _opened(text: str) -> tuple[str, str, Any]:
    try:
        disclosure = json.loads(unb64(text))
    except ValueError:
        disclosure = None
    is_one = isinstance(disclosure, list) and len(disclosure) == _PARTS
    if not is_one or not all(isinstance(each, str) for each in disclosure[:2]):
        raise ValueError("a disclosure is no array of salt, name and value (HT-DIS-7)")
    salt, name, value = disclosure
    return salt, name, value
