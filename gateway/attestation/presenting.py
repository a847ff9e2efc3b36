"""What a holder carries, of either kind and in armour or without, to a verified value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.attestation.armour import from_armour, is_armour
from gateway.attestation.sd_jwt import is_sd_jwt

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.attestation.verifying import AttestationVerifier


def verify_presentation(
    text: str,
    verifier: AttestationVerifier,
    *,
    audience: str,
    now: datetime,
    nonce: bytes | None = None,
) -> Attestation | DisclosedAttestation:
    """Verifies a carried attestation, whole or in part.

    Args:
        text: armoured text, or a bare token; white space around it does not count.
        verifier: holds the trust.
        audience: as ``AttestationVerifier.verify``.
        now: likewise.
        nonce: likewise.

    Returns:
        The whole attestation, also where one that can be disclosed in part shows
        everything; else the part.

    Raises:
        ArmourError: the text says it is armour and is not.
        AttestationError: it does not hold.
        TrustError: trust knows no such key, or does not believe the issuer.
    """
    text = text.strip()
    token = from_armour(text) if is_armour(text) else text
    if not is_sd_jwt(token):
        return verifier.verify(token, audience=audience, now=now, nonce=nonce)
    shown = verifier.verify_disclosed(token, audience=audience, now=now, nonce=nonce)
    return shown.whole() or shown
