"""Pseudonyms: the ``sub`` of an attestation.

One person has one pseudonym towards one audience of one issuer, and two
audiences cannot tell that theirs are the same person: a pseudonym is an
HMAC-SHA-256 under the issuer's secret (RFC 2104, and the way RFC 6973 §6.1.1
asks for pseudonyms that do not correlate). Without the secret nobody can try
the numbers of a city against it, which a bare hash would allow.

The input is a label and then each part with its length, so no two triples of
audience, type and number share one.
"""

from __future__ import annotations

import hmac
from typing import Final

from gateway.attestation import base64url
from gateway.errors import InternalError

MIN_SECRET_BYTES: Final = 32
"""As long as the output of the hash (RFC 2104 §3)."""

_LABEL: Final = b"hutong/v1/pseudonym\0"


def pseudonym(secret: bytes, audience: str, document_type: int, number: str) -> str:
    """Derives the pseudonym of a person towards an audience.

    Args:
        secret: the issuer's own, at least 32 random bytes, for pseudonyms alone.
        audience: the ``aud`` of the attestation.
        document_type: number of the document type (``hutong.v1.DocumentType``).
        number: document number in its normal form (upper case, no spaces).

    Returns:
        43 characters of base64url.

    Raises:
        InternalError: the secret is too short.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise InternalError(f"a pseudonym secret has at least {MIN_SECRET_BYTES} bytes")
    parts = (audience.encode(), str(int(document_type)).encode(), number.encode())
    message = _LABEL + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return base64url.encode(hmac.digest(secret, message, "sha256"))
