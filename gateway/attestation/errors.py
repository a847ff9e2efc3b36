"""What may be wrong with something signed, sealed or carried.

All are trust errors of ``gateway.errors``. One class covers the leaves of one
subject and takes its stable code per instance::

    TrustError
    ├── KeyMaterialError    KEY_MALFORMED
    ├── AttestationError    the codes of AttestationFault
    ├── SubjectError        SUBJECT_MISMATCH
    ├── SealingError        ENVELOPE_UNREADABLE
    └── ArmourError         ARMOUR_INVALID

Messages name members and limits, never a value of the token: a token is about
a person.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.errors import TrustError


class AttestationFault(StrEnum):
    """Every reason for which a reader refuses an attestation."""

    ATTESTATION_MALFORMED = "ATTESTATION_MALFORMED"
    """Not three canonical base64url segments that hold JSON objects."""
    ATTESTATION_TOO_LARGE = "ATTESTATION_TOO_LARGE"
    """Longer than a reader accepts."""
    ATTESTATION_HEADER = "ATTESTATION_HEADER"
    """The header is not exactly ``alg``, ``kid`` and the right ``typ``."""
    ATTESTATION_ALGORITHM = "ATTESTATION_ALGORITHM"
    """An algorithm outside the profile, or not the one of the key."""
    KEY_UNKNOWN = "KEY_UNKNOWN"
    """The trust bundle holds no such key of this issuer."""
    KEY_NOT_VALID_NOW = "KEY_NOT_VALID_NOW"
    """The key is known, but not at this time."""
    KEY_TAINTED = "KEY_TAINTED"
    """The key is not believed from an instant on, and it signed after it."""
    KEY_REVOKED = "KEY_REVOKED"
    """Nothing that the key signed is believed."""
    ATTESTATION_DISTRUSTED = "ATTESTATION_DISTRUSTED"
    """A distrust in the feed is about it."""
    CONSTRAINT_EXCEEDED = "CONSTRAINT_EXCEEDED"
    """The signer went beyond what a superior allows it."""
    ATTESTATION_REVOKED = "ATTESTATION_REVOKED"
    """Its issuer has revoked it."""
    ATTESTATION_ON_HOLD = "ATTESTATION_ON_HOLD"
    """Its issuer has put it on hold."""
    STATUS_UNKNOWN = "STATUS_UNKNOWN"
    """It names a status list that the reader does not have."""
    STATUS_LIST_INVALID = "STATUS_LIST_INVALID"
    """The status list does not hold, or has no entry of that number."""
    DISCLOSURE_INVALID = "DISCLOSURE_INVALID"
    """A disclosure is malformed, doubled, or has no place in what was signed."""
    ISSUER_NOT_ALLOWED = "ISSUER_NOT_ALLOWED"
    """The issuer or one of the reports lies outside the key's divisions."""
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    """The signature does not verify."""
    ATTESTATION_EXPIRED = "ATTESTATION_EXPIRED"
    """``exp`` has passed."""
    ATTESTATION_NOT_YET_VALID = "ATTESTATION_NOT_YET_VALID"
    """``nbf`` or ``iat`` lies ahead."""
    AUDIENCE_MISMATCH = "AUDIENCE_MISMATCH"
    """Made for another region."""
    ATTESTATION_REPLAYED = "ATTESTATION_REPLAYED"
    """An online attestation without its question, or one of another use than is read."""
    CLAIMS_INVALID = "CLAIMS_INVALID"
    """A claim is missing, unknown, doubled, of a wrong type or out of bounds."""
    LIFETIME_TOO_LONG = "LIFETIME_TOO_LONG"
    """``exp`` lies further from ``iat`` than the use or the key allows."""


class AttestationError(TrustError):
    """An attestation does not hold; ``code`` is one of ``AttestationFault``."""

    default_code = AttestationFault.ATTESTATION_MALFORMED.value

    def __init__(self, message: str, *, code: AttestationFault) -> None:
        super().__init__(message, code=code.value)


class KeyMaterialError(TrustError):
    """A key is malformed, of a wrong type, or not what it says it is."""

    default_code = "KEY_MALFORMED"


class SubjectError(TrustError):
    """An attestation holds, and is not about the document that is shown with it."""

    default_code = "SUBJECT_MISMATCH"


class SealingError(TrustError):
    """An envelope does not open; which step failed is not told."""

    default_code = "ENVELOPE_UNREADABLE"


class ArmourError(TrustError):
    """A text is not an armoured attestation."""

    default_code = "ARMOUR_INVALID"
