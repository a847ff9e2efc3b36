"""Synthetic attestations: one good one, and ways to change one thing and sign again.

Every person, number and key here is made up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.attestation import (
    Attestation,
    AttestationUse,
    AttestationVerifier,
    SigningKey,
    VerificationKey,
    VerifiedTokenCache,
    base64url,
    generate_signing_key,
    pseudonym,
    public_jwk,
    verification_key_from_jwk,
)
from gateway.attestation.signing import TOKEN_TYPE, sign_bytes
from gateway.codes.levels import Basis, Level, TriState
from gateway.codes.unified import Declarations, Release, UnifiedCode
from gateway.errors import TrustError

NOW = datetime(2020, 3, 2, 8, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "urn:hutong:region:330100"
GUANGZHOU = "urn:hutong:region:440100"
NONCE = bytes(range(16))
SUBJECT = pseudonym(b"synthetic secret of thirty-two b", GUANGZHOU, 10, "SYNTHETIC0000001")

ES256_KEY = generate_signing_key("ES256")
ED25519_KEY = generate_signing_key("Ed25519")
KEYS = {"ES256": ES256_KEY, "Ed25519": ED25519_KEY}

CODE = UnifiedCode(
    level=Level.GREEN,
    scheme="hz-jkm@2020-02",
    state="绿码",
    assessed_at=NOW - timedelta(hours=5),
    source_at=NOW - timedelta(minutes=5),
    issued_by="330100",
    basis=frozenset({Basis.SPACE, Basis.DECLARATION}),
    valid_until=NOW + timedelta(days=1),
    declared_at=NOW - timedelta(days=2),
    declaration_valid_until=NOW + timedelta(days=12),
    release=Release(7, 14),
    area="330106",
    declarations=Declarations(contact=TriState.NO, overseas=TriState.UNSURE),
    rule="synthetic-rule-1",
)


def attestation(use: AttestationUse = AttestationUse.CARRIED, **changes: Any) -> Attestation:
    """A good attestation, or one with some members changed."""
    is_online = use is AttestationUse.ONLINE
    members: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": GUANGZHOU,
        "issued_at": NOW,
        "not_before": NOW,
        "expires_at": NOW + timedelta(minutes=10),
        "token_id": "synthetic-token-id-0001",
        "subject": SUBJECT,
        "code": CODE,
        "use": use,
        "nonce": NONCE if is_online else None,
        **changes,
    }
    return Attestation(**members)


def header(key: SigningKey = ES256_KEY, **changes: Any) -> dict[str, Any]:
    """A good header; a member given as None is left out."""
    members = {"alg": key.algorithm, "kid": key.key_id, "typ": TOKEN_TYPE, **changes}
    return {name: value for name, value in members.items() if value is not None}


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims as JSON members; a member given as ``...`` is left out."""
    members: dict[str, Any] = {
        "iss": ISSUER,
        "aud": GUANGZHOU,
        "iat": SECONDS,
        "nbf": SECONDS,
        "exp": SECONDS + 600,
        "jti": "synthetic-token-id-0001",
        "sub": SUBJECT,
        "code": code_claim(),
        "use": "carried",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


def code_claim(**changes: Any) -> dict[str, Any]:
    """A good ``code`` claim; a member given as ``...`` is left out."""
    members: dict[str, Any] = {
        "level": "GREEN",
        "scheme": "hz-jkm@2020-02",
        "state": "绿码",
        "assessed_at": SECONDS - 3600,
        "source_at": SECONDS - 60,
        "issued_by": "330100",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


def compact(data: Any) -> bytes:
    """JSON without whitespace; bytes pass as they are."""
    if isinstance(data, bytes):
        return data
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def sign(header_: Any, payload: Any, key: SigningKey = ES256_KEY) -> str:
    """Signs any header and payload, right or wrong."""
    signing_input = f"{base64url.encode(compact(header_))}.{base64url.encode(compact(payload))}"
    signature = sign_bytes(signing_input.encode(), key)
    return f"{signing_input}.{base64url.encode(signature)}"


def verification_key(
    key: SigningKey = ES256_KEY,
    *,
    issuer: str = ISSUER,
    prefixes: tuple[str, ...] = ("3301",),
    not_before: datetime = NOW - timedelta(days=30),
    not_after: datetime | None = NOW + timedelta(days=30),
    max_lifetime_seconds: int | None = None,
) -> VerificationKey:
    return verification_key_from_jwk(
        public_jwk(key),
        issuer=issuer,
        prefixes=prefixes,
        not_before=not_before,
        not_after=not_after,
        max_lifetime_seconds=max_lifetime_seconds,
    )


@dataclass
class Trust:
    """A key source whose content a test changes at will."""

    keys: dict[tuple[str, str], VerificationKey] = field(default_factory=dict)
    asked: int = 0

    @classmethod
    def of(cls, *keys: VerificationKey) -> Trust:
        return cls({(key.issuer, key.key_id): key for key in keys})

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        self.asked += 1
        try:
            return self.keys[issuer, key_id]
        except KeyError:
            raise TrustError("no such key", code="KEY_UNKNOWN") from None


TRUST = Trust.of(verification_key(ES256_KEY), verification_key(ED25519_KEY))


def verify(
    token: str | bytes,
    *,
    trust: Trust = TRUST,
    audience: str = GUANGZHOU,
    now: datetime = NOW,
    nonce: bytes | None = None,
    leeway_seconds: int = 60,
    cache: VerifiedTokenCache | None = None,
) -> Attestation:
    verifier = AttestationVerifier(trust, leeway_seconds=leeway_seconds, cache=cache)
    return verifier.verify(token, audience=audience, now=now, nonce=nonce)
