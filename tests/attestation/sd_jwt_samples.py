"""An attestation in part as tests make one: issued, signed over anything, read, refused."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import (
    AttestationError,
    SigningKey,
    base64url,
    claims_to_json,
)
from gateway.attestation.disclosed import CODE_MEMBERS, DisclosedAttestation
from gateway.attestation.sd_jwt import (
    SD_TOKEN_TYPE,
    Disclosure,
    digest,
    draft_disclosed,
    join,
    sign_disclosed,
)
from gateway.attestation.verifying import AttestationVerifier
from gateway.codes.levels import Level
from tests.attestation.samples import (
    CODE,
    ES256_KEY,
    GUANGZHOU,
    NOW,
    TRUST,
    Trust,
    attestation,
    compact,
    header,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = frozenset({*CODE_MEMBERS, "sub"})
OTHER = replace(CODE, state="黄码", level=Level.GREEN, rule="synthetic-rule-2")
WHOLE = attestation(code=replace(CODE, also=(OTHER,)))


def drawn(seed: int = 1) -> Callable[[int], bytes]:
    """Random bytes that a test can draw again."""
    return random.Random(seed).randbytes  # noqa: S311 - a test draws it again


def issue(
    disclosure: Disclosure = Disclosure.SELECTIVE,
    of: Any = WHOLE,
    key: SigningKey = ES256_KEY,
    decoys: int = 0,
) -> str:
    draft = draft_disclosed(claims_to_json(of), disclosure, drawn(), decoys=decoys)
    return sign_disclosed(draft, key)


def read(
    token: str, *, trust: Trust = TRUST, nonce: bytes | None = None, **changes: Any
) -> DisclosedAttestation:
    arguments = {"audience": GUANGZHOU, "now": NOW, "nonce": nonce, **changes}
    return AttestationVerifier(trust).verify_disclosed(token, **arguments)


def disclose(name: str, value: Any, salt: str = "AAAAAAAAAAAAAAAAAAAAAA") -> str:
    return base64url.encode(compact([salt, name, value]))


def signed(
    *disclosures: str, top: tuple[str, ...] = (), typ: str = SD_TOKEN_TYPE, **changes: Any
) -> str:
    """A token signed over these disclosures, with claims changed or (``...``) left out."""
    members = {
        "iss": WHOLE.issuer,
        "aud": GUANGZHOU,
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
        "jti": "synthetic-token-id-0001",
        "use": "carried",
        "vct": "urn:hutong:vct:code",
        "_sd_alg": "sha-256",
        "code": {"_sd": sorted(digest(text) for text in disclosures)},
        **({"_sd": [digest(text) for text in top]} if top else {}),
        **changes,
    }
    payload = {name: value for name, value in members.items() if value is not ...}
    return join(sign(header(typ=typ), payload), (*disclosures, *top))


LEVEL = disclose("level", "GREEN")
REGION = disclose("issued_by", "330100")
GOOD = signed(LEVEL, REGION)


def refused(token: str, code: str, **arguments: Any) -> None:
    with pytest.raises(AttestationError) as caught:
        read(token, **arguments)
    assert caught.value.code == code
    assert "GREEN" not in str(caught.value)
