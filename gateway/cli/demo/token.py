"""What an attestation's frame says, read without believing it; and what a thief writes."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.attestation import base64url, parse_claims, sign_attestation

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation import Attestation, SigningKey


def key_of(token: str) -> str:
    """Thumbprint of the key that a token says it is signed by."""
    header: dict[str, str] = json.loads(base64url.decode(token.split(".", maxsplit=1)[0].encode()))
    return header["kid"]


def claims_of(token: str) -> Attestation:
    """What a token says."""
    return parse_claims(base64url.decode(token.split(".")[1].encode()))


def forged(pattern: str, key: SigningKey, now: datetime) -> str:
    """A green for nobody in particular, signed with a stolen key after a true one's pattern."""
    true = claims_of(pattern)
    life = true.expires_at - true.not_before
    fields = {
        name: getattr(true, name)
        for name in ("issuer", "audience", "code", "use", "status", "serial")
    }
    ends = min(now + life, true.expires_at)
    return sign_attestation(
        replace(
            true,
            **fields,
            issued_at=now,
            not_before=now,
            expires_at=ends,
            token_id=base64url.encode(secrets.token_bytes(16)),
            subject=base64url.encode(secrets.token_bytes(32)),
        ),
        key,
    )
