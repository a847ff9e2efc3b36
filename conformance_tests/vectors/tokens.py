"""The attestation of a world, from its claims to its last byte."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from conformance_tests.attestations import TYPE
from conformance_tests.crypto import b64, unb64
from conformance_tests.vectors.armour import PREFIX, to_armour
from conformance_tests.vectors.keys import VectorKey, respelt, to_json, vector_key
from conformance_tests.vectors.parts import TYPE as PART_TYPE
from conformance_tests.vectors.parts import in_part
from conformance_tests.vectors.plan import CITY, DAY, NOW, SCHEME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance_tests.vectors.plan import VerifierPlan

NONCE = b64(bytes(range(16)))
OTHER_NONCE = b64(bytes(range(1, 17)))
SUBJECT = b64(bytes(range(32)))
_TOKEN_ID = b64(bytes(range(32, 48)))
_LAST_OF_TWO = {"A": "B", "Q": "R", "g": "h", "w": "x"}


@dataclass(frozen=True, slots=True)
class Stages:
    """An attestation at every step of its making."""

    header: dict[str, Any]
    claims: dict[str, Any]
    payload: bytes
    token: str


def key_of(name: str) -> VectorKey:
    """The key of a name; those whose name says so are Ed25519."""
    return vector_key(name, "Ed25519" if name.endswith("ed25519") else "ES256")


def put(value: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Put members in place; null removes one."""
    merged = {**value, **change}
    return {name: each for name, each in merged.items() if each is not None}


def attestation(plan: VerifierPlan) -> Stages:
    """Write the attestation of a plan."""
    key = key_of(plan.token_key)
    header = put(
        {
            "alg": plan.token_alg or key.alg,
            "kid": key_of(plan.token_kid or plan.token_key).kid,
            "typ": TYPE,
        },
        plan.token_header,
    )
    claims = put(_claims(plan), plan.token_claims)
    payload = to_json(claims)
    if plan.shown:
        token = in_part(claims, key, plan.shown, plan.shown_break)
        return Stages({**header, "typ": PART_TYPE}, claims, payload, token)
    return Stages(header, claims, payload, _spelt(plan, key, header, payload))


def scanned(plan: VerifierPlan, token: str) -> str:
    """The attestation as it reaches the reader: itself, or the text of a QR code."""
    if not plan.armour:
        return token
    if plan.armour == "bomb":
        header, payload, rest = token.split(".")
        return to_armour(f"{header}.{b64(unb64(payload) + b' ' * 60_000)}.{rest}")
    after = b"\0" if plan.armour == "trailing" else b""
    more = b"\0" if plan.armour == "longer" else b""
    text = to_armour(token, after=after, packed_more=more)
    return PREFIX + text[len(PREFIX) :].lower() if plan.armour == "foreign" else text


def _claims(plan: VerifierPlan) -> dict[str, Any]:
    iat = NOW + plan.token_iat
    report = {
        "level": "GREEN",
        "scheme": SCHEME,
        "state": "绿码",
        "assessed_at": iat - 600,
        "source_at": iat,
        "issued_by": "330100",
        "valid_until": NOW + 30 * DAY,
    }
    code = put(report, plan.token_code)
    if plan.token_also:
        code["also"] = [put(report, each) for each in plan.token_also]
    claims = {
        "iss": CITY,
        "aud": "urn:hutong:region:440100",
        "iat": iat,
        "nbf": iat if plan.token_nbf is None else NOW + plan.token_nbf,
        "exp": NOW + plan.token_exp,
        "jti": _TOKEN_ID,
        "sub": SUBJECT,
        "code": code,
        "use": plan.token_use,
    }
    if plan.token_use == "online":  # noqa: S105 - how, not a secret
        claims["nonce"] = NONCE
    if plan.status is not None:
        claims["status"] = {"status_list": {"idx": plan.status, "uri": plan.status_uri}}
    return claims


def _spelt(plan: VerifierPlan, key: VectorKey, header: dict[str, Any], payload: bytes) -> str:  # noqa: C901, PLR0911, PLR0912 - one spelling a branch
    spelling = plan.token_spelling
    if spelling == "claim-doubled":
        payload = payload[:-1] + b',"exp":' + str(NOW + 2 * DAY).encode() + b"}"
    if spelling == "level-doubled":
        payload = payload.replace(b'"level":"GREEN"', b'"level":"RED","level":"GREEN"')
    if spelling == "header-doubled":
        return key.sign_bytes(
            to_json(header)[:-1] + b',"kid":"' + key.kid.encode() + b'"}', payload
        )
    if spelling == "payload-not-json":
        payload = b"green"
    if spelling == "no-signature":
        return f"{b64(to_json(header))}.{b64(payload)}."
    if spelling == "hmac":
        # The oldest confusion of all: the public key taken for a shared secret.
        start = f"{b64(to_json(header))}.{b64(payload)}"
        return f"{start}.{b64(hmac.digest(to_json(key.public), start.encode(), 'sha256'))}"
    if spelling == "long":
        payload += b" " * 7000
    token = key.sign_bytes(header, payload)
    start, _, end = token.rpartition(".")
    if spelling == "padded":
        return token + "=="
    if spelling == "trailing":
        return token + "\n"
    if spelling == "two-segments":
        return start
    if spelling == "loose-bits":
        # 64 bytes end in a character of which four bits say nothing.
        return token[:-1] + _LAST_OF_TWO[token[-1]]
    if spelling == "payload-changed":
        head, _, body = start.partition(".")
        changed = unb64(body).replace(b'"sub":"A', b'"sub":"B')
        return f"{head}.{b64(changed)}.{end}"
    if spelling == "high-s":
        return respelt(token)
    if spelling == "der":
        raw = unb64(end)
        numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        return f"{start}.{b64(encode_dss_signature(*numbers))}"
    return token
