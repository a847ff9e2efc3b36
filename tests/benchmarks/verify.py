"""Attestations and envelopes: what they cost beside bare signatures and other libraries.

The same tokens go to everyone, each fresh: a ring of distinct tokens, so that
nothing is remembered between two readings except where that is what is measured.
The libraries are handed the one right key and do what a careful user asks of them:
the algorithm pinned, issuer, audience and times checked. The strict reader also
finds the key and does the rest of its contract (``gateway.attestation.verifying``).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt as pyjwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.attestation import (
    Attestation,
    AttestationUse,
    AttestationVerifier,
    Binding,
    Profile,
    VerificationKey,
    VerifiedTokenCache,
    base64url,
    generate_sealing_key,
    generate_signing_key,
    open_answer,
    open_question,
    pseudonym,
    public_jwk,
    seal_answer,
    seal_question,
    sign_attestation,
    verification_key_from_jwk,
)
from gateway.codes import Basis, Declarations, Level, TriState, UnifiedCode
from tests.benchmarks.figures import Figure, Interleaved, at_least, capacity, interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.attestation import SigningKey

ISSUER = "urn:hutong:region:330100"
AUDIENCE = "urn:hutong:region:440100"
# More than a branch predictor remembers, few enough to be signed in a blink.
TOKENS = 64
# A question about one traveller, and its answer, as serialised batches.
QUESTION_BYTES = 160
ANSWER_BYTES = 1000
_ES256 = ec.ECDSA(hashes.SHA256())


class _OneKey:
    """Trust that holds one key."""

    def __init__(self, key: VerificationKey) -> None:
        self._keys = {(key.issuer, key.key_id): key}

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """Returns the key to whoever names it."""
        return self._keys[issuer, key_id]


def synthetic_attestation(now: datetime) -> Attestation:
    """An attestation about nobody, of the size a real one has."""
    moment = now.replace(microsecond=0)
    return Attestation(
        issuer=ISSUER,
        audience=AUDIENCE,
        issued_at=moment,
        not_before=moment,
        expires_at=moment + timedelta(hours=6),
        token_id=base64url.encode(os.urandom(16)),
        subject=pseudonym(bytes(32), AUDIENCE, 10, os.urandom(9).hex()),
        code=UnifiedCode(
            level=Level.GREEN,
            scheme="hz-jkm@2020-02",
            state="绿码",
            assessed_at=moment - timedelta(hours=5),
            source_at=moment - timedelta(minutes=5),
            issued_by="330100",
            basis=frozenset({Basis.SPACE, Basis.DECLARATION}),
            valid_until=moment + timedelta(days=1),
            declared_at=moment - timedelta(days=2),
            declaration_valid_until=moment + timedelta(days=12),
            area="330106",
            declarations=Declarations(TriState.NO, TriState.NO, TriState.NO),
        ),
        use=AttestationUse.CARRIED,
    )


def measure(*, rounds: int = 60) -> list[Figure]:
    """Measures everything; some five seconds with the default rounds."""
    return [*_verifying(rounds), *_signing(rounds), *_sealing(max(10, rounds // 3))]


def _verifying(rounds: int) -> list[Figure]:
    now = datetime.now(UTC)
    key = generate_signing_key()
    tokens = [sign_attestation(synthetic_attestation(now), key) for _ in range(TOKENS)]
    run = interleave(_readers(tokens, key, now), rounds=rounds)
    figures = [
        at_least(
            "strict verify / bare signature check",
            run.rate("strict"),
            "/s",
            baseline=run.rate("bare"),
            ratio=run.speed_ratio("strict", "bare"),
            goal=0.80,
            note="ES256, key and policy loaded, every token new; stretch 0.88",
        )
    ]
    figures += [
        at_least(
            f"strict verify / {library} decode with claim checks",
            run.rate("strict"),
            "/s",
            baseline=run.rate(library),
            ratio=run.speed_ratio("strict", library),
            goal=goal,
        )
        for library, goal in (("joserfc", 1.4), ("PyJWT", 1.7), ("jwcrypto", 2.0))
    ]
    note = "audience, times, question and key are judged on every hit"
    figures.append(
        _beside(run, "verified-token cache hit / strict verify", "cached", "strict", note)
    )
    return figures


def _readers(tokens: list[str], key: SigningKey, now: datetime) -> dict[str, Callable[[], object]]:
    trusted = verification_key_from_jwk(
        public_jwk(key), issuer=ISSUER, prefixes=("3301",), not_before=now - timedelta(days=1)
    )
    trust = _OneKey(trusted)
    strict = AttestationVerifier(trust)
    cached = AttestationVerifier(trust, cache=VerifiedTokenCache())
    public = key.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)

    def bare() -> None:
        signature, signed = next(parts)
        public.verify(signature, signed, _ES256)

    def strictly() -> Attestation:
        return strict.verify(next(ring), audience=AUDIENCE, now=now)

    def from_cache() -> Attestation:
        return cached.verify(next(ring), audience=AUDIENCE, now=now)

    joserfc_key = joserfc.jwk.ECKey.import_key({**public_jwk(key)})
    registry = joserfc.jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=60,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        nbf={"essential": True},
        iat={"essential": True},
    )

    def by_joserfc() -> Any:
        token = joserfc.jwt.decode(next(ring), joserfc_key, algorithms=["ES256"])
        registry.validate(token.claims)
        return token.claims

    def by_pyjwt() -> Any:
        return pyjwt.decode(
            next(ring),
            public,
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=60,
            options={"require": ["iss", "aud", "exp", "nbf", "iat"]},
        )

    jwcrypto_key = jwcrypto.jwk.JWK(**public_jwk(key))
    expected = {"iss": ISSUER, "aud": AUDIENCE, "exp": None, "nbf": None, "iat": None}

    def by_jwcrypto() -> Any:
        token = jwcrypto.jwt.JWT(
            jwt=next(ring), key=jwcrypto_key, algs=["ES256"], check_claims=expected
        )
        return token.claims

    ring = itertools.cycle(tokens)
    parts = itertools.cycle([_signature_and_input(token) for token in tokens])
    for _ in tokens:
        from_cache()
    return {
        "bare": bare,
        "strict": strictly,
        "cached": from_cache,
        "joserfc": by_joserfc,
        "PyJWT": by_pyjwt,
        "jwcrypto": by_jwcrypto,
    }


def _signing(rounds: int) -> list[Figure]:
    now = datetime.now(UTC)
    key = generate_signing_key()
    attestations = [synthetic_attestation(now) for _ in range(TOKENS)]
    inputs = [
        _signature_and_input(sign_attestation(attestation, key))[1] for attestation in attestations
    ]
    ring, bare_ring = itertools.cycle(attestations), itertools.cycle(inputs)
    private = key.private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    run = interleave(
        {
            "signed": lambda: sign_attestation(next(ring), key),
            "bare": lambda: private.sign(next(bare_ring), _ES256),
        },
        rounds=rounds,
    )
    return [
        at_least(
            "sign an attestation / bare sign",
            run.rate("signed"),
            "/s",
            baseline=run.rate("bare"),
            ratio=run.speed_ratio("signed", "bare"),
            goal=0.75,
            note="ES256, claims checked before signing; stretch 0.85",
        ),
    ]


def _sealing(rounds: int) -> list[Figure]:
    binding = Binding(ISSUER, "urn:hutong:checkpoint:440100:north-gate", "CHECKPOINT")
    question, answer = os.urandom(QUESTION_BYTES), os.urandom(ANSWER_BYTES)
    reply_key = os.urandom(32)
    steps: dict[str, Callable[[], object]] = {}
    for profile in Profile:
        key = generate_sealing_key(profile)
        asked = seal_question(key.public, question, binding)
        answered = seal_answer(reply_key, answer, binding, profile)
        steps |= {
            f"{profile} seal question": partial(seal_question, key.public, question, binding),
            f"{profile} open question": partial(open_question, key, asked, binding),
            f"{profile} seal answer": partial(seal_answer, reply_key, answer, binding, profile),
            f"{profile} open answer": partial(open_answer, reply_key, answered, binding, profile),
        }
    run = interleave(steps, rounds=rounds)
    return [
        Figure(
            name,
            run.seconds(name) * 1e6,
            "us",
            note=f"{QUESTION_BYTES} bytes" if "question" in name else f"{ANSWER_BYTES} bytes",
        )
        for name in steps
    ]


def _beside(run: Interleaved, name: str, own: str, other: str, note: str = "") -> Figure:
    """A figure without a goal."""
    ratio = run.speed_ratio(own, other)
    return Figure(name, run.rate(own), "/s", run.rate(other), ratio, note=note)


def _signature_and_input(token: str) -> tuple[bytes, bytes]:
    signing_input, _, signature = token.encode().rpartition(b".")
    raw = base64url.decode(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return encode_dss_signature(r, s), signing_input


def main() -> None:
    """Prints the figures of this part between two probes of capacity."""
    started = time.perf_counter()
    for figure in (*capacity(), *measure(), *capacity()):
        print(dataclasses.asdict(figure))
    print(f"{time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
