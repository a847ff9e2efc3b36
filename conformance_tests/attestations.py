"""Attestations as the suite reads and writes them, from ``docs/spec/attestation.md``.

It reads strictly and says what is wrong. It writes those of an origin region that an
adapter under test believes, so that conversion can be tested from both ends.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

from conformance_tests.crypto import b64, read_signed, sign

if TYPE_CHECKING:
    from jwcrypto import jwk

TYPE = "hutong-attestation+jwt"
LEEWAY_SECONDS = 60  # HT-ATT-6
MAX_LIFE_SECONDS = {"online": 600, "carried": 86_400, "import": 600}  # HT-ATT-7
NONCE_BYTES = 16
_CLAIMS = {"iss", "aud", "iat", "nbf", "exp", "jti", "sub", "use", "code"}
_OPTIONAL = {"carried": {"serial", "status"}}
_OWN_CLAIM = {"online": "nonce", "import": "bound"}
LEVELS = ("RED", "RESTRICTED", "YELLOW", "GREEN")
"""The most restrictive first (HT-CODE-6)."""
_REQUIRED = {"level", "scheme", "state", "assessed_at", "source_at", "issued_by"}
_BOUND_LABEL = b"hutong/v1/bound\0"


def bound_to(nonce: bytes, kind: int, number: str) -> str:
    """The claim ``bound``: what commits an attestation to a document."""
    data = _BOUND_LABEL + nonce + kind.to_bytes(2, "big") + number.encode()
    return b64(hashlib.sha256(data).digest())


def import_claims(
    *, issuer: str, audience: str, code: dict[str, Any], bound: str | None, life_seconds: int = 600
) -> dict[str, Any]:
    """The claims of a sound attestation that is to be converted."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "nbf": now,
        "exp": now + life_seconds,
        "jti": b64(os.urandom(16)),
        "sub": b64(os.urandom(32)),
        "use": "import",
        "code": code,
    }
    return claims if bound is None else {**claims, "bound": bound}


def attest(claims: dict[str, Any], key: jwk.JWK, *, kid: str | None = None) -> str:
    """Sign claims as an attestation."""
    return sign(claims, key, TYPE, kid=kid)


def attestation_defects(
    token: str,
    keys: dict[str, jwk.JWK],
    *,
    issuer: str,
    audience: str,
    use: str = "online",
    own: str | None = None,
    now: float | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Read an attestation strictly and list what is wrong with it.

    Args:
        token: the compact JWT.
        keys: the issuer's attestation keys by key id.
        issuer: the expected ``iss``.
        audience: region URN it must be for.
        use: the use asked for.
        own: the expected claim of that use: ``nonce`` online, ``bound`` for an
            import; None: the claim must be absent.
        now: validation time, seconds; the present if None.

    Returns:
        The claims (empty when unreadable) and the defects, each naming a rule.
    """
    try:
        claims, _ = read_signed(token, keys, TYPE)
    except ValueError as error:
        return {}, [f"{error} (HT-ATT-1..3)"]
    return claims_defects(claims, issuer=issuer, audience=audience, use=use, own=own, now=now)


def claims_defects(  # noqa: C901, PLR0912 - a line a rule reads best in one place
    claims: dict[str, Any],
    *,
    issuer: str,
    audience: str,
    use: str = "online",
    own: str | None = None,
    now: float | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """List what is wrong with the claims of a whole attestation, whoever signed them.

    Arguments and result are those of ``attestation_defects``.
    """
    moment = time.time() if now is None else now
    found = []
    claim = _OWN_CLAIM.get(use, "")
    if claim == "bound" and own is not None and claim not in claims:
        return claims, ["an import does not say about whom it is (HT-ATT-16)"]
    expected = _CLAIMS if own is None else _CLAIMS | {claim}
    if not expected <= set(claims) <= expected | _OPTIONAL.get(use, {"serial"}):
        return {}, ["the claim set is not exact (HT-ATT-13)"]
    if claims["iss"] != issuer:
        found.append("iss is not the adapter's authority (HT-ATT-4)")
    region = audience.rpartition(":")[2]
    if not _contains(str(claims["aud"]), region):
        found.append("aud does not contain the audience asked for (HT-ATT-5)")
    if not all(type(claims[name]) is int for name in ("iat", "nbf", "exp")):
        return claims, [*found, "a time is not an integer (HT-ATT-6)"]
    if not claims["nbf"] - LEEWAY_SECONDS <= moment < claims["exp"] + LEEWAY_SECONDS:
        found.append("not valid now (HT-ATT-6)")
    if claims["exp"] - claims["iat"] > MAX_LIFE_SECONDS[use]:
        found.append("lives longer than its use allows (HT-ATT-7)")
    if claims["use"] != use:
        found.append("use is not the one asked for (HT-ATT-8)")
    if own is not None and claims[claim] != own:
        found.append(f"{claim} is not the question's (HT-ATT-{8 if claim == 'nonce' else 16})")
    code = claims["code"]
    if code.get("level") not in LEVELS:
        found.append("level is not one of the four (HT-CODE-1)")
    for report in (code, *code.get("also", ())):
        if claims["exp"] > report.get("valid_until", claims["exp"]):
            found.append("outlives the code it states (HT-ATT-7)")
        if not set(report) >= _REQUIRED:
            found.append("a report lacks a required member (HT-ATT-13)")
        elif not _rank(code.get("level")) <= _rank(report["level"]):
            found.append("a report in also is more restrictive than the first (HT-CODE-6)")
    return claims, found


def _rank(level: Any) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _contains(urn: str, region: str) -> bool:
    head, _, digits = urn.rpartition(":")
    while digits.endswith("00"):
        digits = digits[:-2]
    return head == "urn:hutong:region" and bool(digits) and region.startswith(digits)
