"""A region that publishes status lists, and a reader that trusts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway.attestation import KeyMaterialError, generate_signing_key, verification_key_from_jwk
from gateway.attestation.keys import SigningKey, VerificationKey, public_jwk

REGION = "urn:hutong:region:330100"
OTHER_REGION = "urn:hutong:region:440100"
URI = "urn:hutong:status:330100:p1-a"
NOW = datetime(2020, 3, 1, 4, 0, tzinfo=UTC)
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Trust:
    """Keys by issuer and key id; implements `KeySource`."""

    keys: dict[tuple[str, str], VerificationKey]

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        try:
            return self.keys[issuer, key_id]
        except KeyError:
            raise KeyMaterialError("unknown", code="KEY_UNKNOWN") from None


def trusting(key: SigningKey, issuer: str = REGION, **changes: Any) -> Trust:
    made = verification_key_from_jwk(
        public_jwk(key), issuer=issuer, prefixes=(issuer[-6:-2],), not_before=SINCE
    )
    return Trust({(issuer, key.key_id): replace(made, **changes)})


KEY = generate_signing_key()
TRUST = trusting(KEY)
