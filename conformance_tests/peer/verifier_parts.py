"""The reference verifier's reading of an attestation in part (docs/spec/disclosure.md)."""

from __future__ import annotations

from typing import Any

from conformance_tests.crypto import unb64
from conformance_tests.peer.verifier_jose import VerifierError, strict_json
from conformance_tests.vectors.keys import digest
from conformance_tests.vectors.parts import MEMBERS, VCT

_NEEDED = {"level", "issued_by"}
_STAND_INS: dict[str, Any] = {"scheme": "-", "state": "-", "assessed_at": 0, "source_at": 0}


def take_apart(token: str, fault: str) -> tuple[str, list[str]]:
    """Split what was signed from what is disclosed.

    Raises:
        VerifierError: something stands behind the last separator.
    """
    signed, *disclosures = token.split("~")
    if disclosures and disclosures.pop() and fault != "key-binding-ignored":
        raise VerifierError("ATTESTATION_MALFORMED")
    return signed, disclosures


def put_together(
    claims: dict[str, Any], disclosures: list[str], fault: str
) -> tuple[dict[str, Any], set[str]]:
    """Make the claims of a whole attestation of what is disclosed.

    Returns:
        The claims, with stand-ins where they need them, and what is withheld.

    Raises:
        VerifierError: CLAIMS_INVALID or DISCLOSURE_INVALID.
    """
    typed = claims.pop("vct", "") == VCT or fault == "vct-ignored"
    hashed = claims.pop("_sd_alg", "") == "sha-256" or fault == "hash-ignored"
    hidden = claims.get("code")
    sealed = isinstance(hidden, dict) and (set(hidden) == {"_sd"} or fault == "in-sight-accepted")
    if not (typed and hashed and sealed) or "sub" in claims:
        raise VerifierError("CLAIMS_INVALID")
    places = {"code": list(claims["code"]["_sd"]), "": list(claims.pop("_sd", []))}
    told: dict[str, Any] = {}
    for text in disclosures:
        _, name, value = strict_list(text)
        place = "" if name == "sub" else "code"
        known = digest(text) in places[place] or fault == "disclosure-unsigned"
        if not known or name not in {*MEMBERS, "sub"}:
            raise VerifierError("DISCLOSURE_INVALID")
        if name in told and fault != "disclosure-doubled":
            raise VerifierError("DISCLOSURE_INVALID")
        told[name] = value
    needed = {"issued_by"} if fault == "level-withheld" else _NEEDED
    if not needed <= set(told):
        raise VerifierError("DISCLOSURE_INVALID")
    subject = told.pop("sub", "-")
    code = {name: value for name, value in told.items() if value is not None}
    stand_ins = {"level": "GREEN", **_STAND_INS}
    claims |= {"sub": subject, "code": {**stand_ins, **code}}
    return claims, set(MEMBERS) - set(told)


def strict_list(text: str) -> tuple[Any, Any, Any]:
    """Read a disclosure: an array of three.

    Raises:
        VerifierError: it is none.
    """
    try:
        salt, name, value = strict_json(unb64(text))
    except (ValueError, TypeError) as error:
        raise VerifierError("DISCLOSURE_INVALID") from error
    return salt, name, value
