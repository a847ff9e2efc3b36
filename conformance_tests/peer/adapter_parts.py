"""Attestations in part as the reference adapter gives them (docs/spec/disclosure.md)."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from conformance_tests import crypto
from conformance_tests.disclosures import MEMBERS, TYPE, VCT
from conformance_tests.vectors.keys import digest

if TYPE_CHECKING:
    from jwcrypto import jwk

MINIMUM = ("level", "valid_until", "issued_by")
_SALT_BYTES = 16
_SHORT_BYTES = 8


def in_part(claims: dict[str, Any], key: jwk.JWK, *, minimal: bool, fault: str) -> str:
    """Sign an attestation of which parts can be shown, with every disclosure behind it.

    Args:
        claims: of the whole attestation.
        key: signs it.
        minimal: only the minimum can ever be disclosed.
        fault: name in ``faults.yaml``; empty for none.
    """
    if fault == "part-in-whole":
        return crypto.sign(claims, key, "hutong-attestation+jwt")
    code = claims["code"]
    names: tuple[str, ...] = MINIMUM if minimal else MEMBERS
    if minimal and fault == "minimum-tells-more":
        names = (*names, "state")
    if not minimal and fault == "absent-member-left-out":
        names = tuple(name for name in names if name in code)
    told = [_disclosure(name, code.get(name), fault) for name in names]
    digests = sorted(map(digest, told))
    if fault == "digests-in-order-of-members":
        digests.reverse()
    frame = {name: value for name, value in claims.items() if name not in {"code", "sub"}}
    hidden: dict[str, Any] = {"_sd": digests}
    if fault == "level-in-sight":
        hidden["level"] = code["level"]
    signed = {**frame, "vct": VCT, "_sd_alg": "sha-256", "code": hidden}
    subject = _disclosure("sub", claims["sub"], fault)
    if not minimal and fault != "sub-never-told":
        told.append(subject)
        signed["_sd"] = [digest(subject)]
    if minimal and fault == "minimum-hides-more":
        signed["_sd"] = [digest(subject)]
    return "~".join((crypto.sign(signed, key, TYPE), *told, ""))


def _disclosure(name: str, value: Any, fault: str) -> str:
    salt = os.urandom(_SHORT_BYTES if fault == "salt-short" else _SALT_BYTES)
    if fault == "salt-of-the-name":
        salt = hashlib.sha256(name.encode()).digest()[:_SALT_BYTES]
    array = json.dumps([crypto.b64(salt), name, value], ensure_ascii=False)
    return crypto.b64(array.encode())
