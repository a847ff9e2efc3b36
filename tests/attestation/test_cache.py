from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.attestation import (
    Attestation,
    AttestationUse,
    AttestationVerifier,
    VerifiedToken,
    VerifiedTokenCache,
    sign_attestation,
)
from gateway.attestation.claim_set import read_claims
from gateway.attestation.claims import attestation_of
from gateway.errors import InternalError, TrustError
from gateway.trust.distrust import DistrustRule
from tests.attestation.samples import (
    ED25519_KEY,
    ES256_KEY,
    GUANGZHOU,
    ISSUER,
    NONCE,
    NOW,
    SECONDS,
    Trust,
    attestation,
    claims,
    compact,
    verification_key,
)

TOKEN = sign_attestation(attestation(), ES256_KEY)
ONLINE = sign_attestation(attestation(AttestationUse.ONLINE), ES256_KEY)


class Reader:
    """A verifier with a cache, and a way to tell a hit from a verification."""

    def __init__(self, **key: Any) -> None:
        self.trust = Trust.of(verification_key(**key))
        self.cache = VerifiedTokenCache(10)
        self.verifier = AttestationVerifier(self.trust, cache=self.cache)

    def read(self, token: str = TOKEN, **how: Any) -> Attestation:
        return self.verifier.verify(token, **{"audience": GUANGZHOU, "now": NOW, **how})

    def refusal(self, token: str = TOKEN, **how: Any) -> str:
        with pytest.raises(TrustError) as caught:
            self.read(token, **how)
        return caught.value.code


def entry(exp: int = SECONDS + 600) -> VerifiedToken:
    found, nonce = read_claims(compact(claims(exp=exp)))
    return VerifiedToken(attestation_of(found, nonce), verification_key(), found)


def test_a_hit_is_the_very_same_attestation() -> None:
    reader = Reader()
    assert reader.read() is reader.read()
    assert reader.read(TOKEN) == attestation()
    assert len(reader.cache) == 1


def test_what_was_refused_is_not_remembered() -> None:
    reader = Reader()
    assert reader.refusal(TOKEN[:-8] + "AAAAAAAA") == "SIGNATURE_INVALID"
    assert len(reader.cache) == 0


def test_every_hit_is_judged_anew_for_its_reader_and_its_question() -> None:
    reader = Reader()
    reader.read()
    assert reader.refusal(audience="urn:hutong:region:310000") == "AUDIENCE_MISMATCH"
    assert reader.refusal(nonce=NONCE) == "ATTESTATION_REPLAYED"
    reader.read(ONLINE, nonce=NONCE)
    assert reader.refusal(ONLINE, nonce=bytes(16)) == "ATTESTATION_REPLAYED"
    assert reader.refusal(ONLINE) == "ATTESTATION_REPLAYED"


def test_every_hit_is_judged_anew_for_the_clock() -> None:
    reader = Reader()
    reader.read()
    early = NOW - timedelta(seconds=61)
    assert reader.refusal(now=early) == "ATTESTATION_NOT_YET_VALID"
    assert reader.refusal(now=NOW + timedelta(hours=1)) == "ATTESTATION_EXPIRED"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tainted_from": NOW}, "KEY_TAINTED"),
        ({"is_revoked": True}, "KEY_REVOKED"),
        ({"not_after": NOW - timedelta(seconds=60)}, "KEY_NOT_VALID_NOW"),
        ({"distrusts": (DistrustRule(ISSUER, NOW),)}, "ATTESTATION_DISTRUSTED"),
    ],
)
def test_nothing_that_is_remembered_outlives_what_trust_says_of_its_key(
    change: dict[str, Any], code: str
) -> None:
    reader = Reader()
    reader.read()
    key = verification_key()
    reader.trust.keys[ISSUER, key.key_id] = dataclasses.replace(key, **change)
    assert reader.refusal() == code
    reader.trust.keys[ISSUER, key.key_id] = verification_key()
    assert reader.read() == attestation()


def test_nothing_is_answered_from_memory_after_expiry_even_within_leeway() -> None:
    reader = Reader()
    first = reader.read()
    late = NOW + timedelta(seconds=600)
    again = reader.read(now=late)  # within leeway, so it still verifies
    assert again == first
    assert again is not first
    assert reader.refusal(now=late + timedelta(seconds=60)) == "ATTESTATION_EXPIRED"


def test_a_hit_asks_trust_for_the_key_again() -> None:
    reader = Reader()
    reader.read()
    asked = reader.trust.asked
    reader.read()
    assert reader.trust.asked == asked + 1
    reader.trust.keys.clear()
    assert reader.refusal() == "KEY_UNKNOWN"


def test_a_key_that_trust_now_binds_otherwise_is_judged_anew() -> None:
    reader = Reader()
    reader.read()
    narrower = verification_key(prefixes=("44",))
    reader.trust.keys[narrower.issuer, narrower.key_id] = narrower
    assert reader.refusal() == "ISSUER_NOT_ALLOWED"
    shorter = verification_key(max_lifetime_seconds=60)
    reader.trust.keys[shorter.issuer, shorter.key_id] = shorter
    assert reader.refusal() == "LIFETIME_TOO_LONG"


def test_the_same_key_said_again_is_still_a_hit() -> None:
    reader = Reader()
    first = reader.read()
    same = verification_key()
    reader.trust.keys[same.issuer, same.key_id] = same
    assert reader.read() is first


def test_two_tokens_that_say_the_same_are_two_entries() -> None:
    reader = Reader()
    reader.read(TOKEN)
    reader.read(sign_attestation(attestation(), ES256_KEY))
    assert len(reader.cache) == 2


def test_after_a_change_of_trust_nothing_is_known() -> None:
    reader = Reader()
    first = reader.read()
    reader.cache.clear()
    assert len(reader.cache) == 0
    assert reader.read() is not first


def test_a_verification_that_began_before_a_change_of_trust_is_not_remembered() -> None:
    cache = VerifiedTokenCache()
    before = cache.generation
    cache.clear()
    cache.put(b"d" * 32, entry(), before)
    assert cache.get(b"d" * 32, SECONDS) is None
    cache.put(b"d" * 32, entry(), cache.generation)
    assert cache.get(b"d" * 32, SECONDS) is not None


def test_one_cache_serves_verifiers_of_different_trust_without_mixing_them() -> None:
    cache = VerifiedTokenCache()
    known = AttestationVerifier(Trust.of(verification_key()), cache=cache)
    stranger = AttestationVerifier(Trust.of(verification_key(ED25519_KEY)), cache=cache)
    known.verify(TOKEN, audience=GUANGZHOU, now=NOW)
    with pytest.raises(TrustError) as caught:
        stranger.verify(TOKEN, audience=GUANGZHOU, now=NOW)
    assert caught.value.code == "KEY_UNKNOWN"


def test_a_cache_holds_at_least_one_entry() -> None:
    with pytest.raises(InternalError):
        VerifiedTokenCache(0)


def test_no_repr_shows_the_person() -> None:
    assert "subject" not in repr(entry())
    assert "GREEN" not in repr(entry())


class CacheMachine(RuleBasedStateMachine):
    """The cache beside the plainest thing that could be right."""

    digests = st.integers(0, 7).map(lambda number: bytes([number]) * 32)

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.size = size
        self.cache = VerifiedTokenCache(size)
        self.model: dict[bytes, VerifiedToken] = {}
        self.now = SECONDS
        self.old_generation: int | None = None

    @rule(digest=digests, life=st.integers(1, 20))
    def put(self, digest: bytes, life: int) -> None:
        found = entry(min(self.now + life, SECONDS + 86_400))
        self.cache.put(digest, found, self.cache.generation)
        self.model.pop(digest, None)
        self.model[digest] = found
        if len(self.model) > self.size:
            del self.model[next(iter(self.model))]

    @rule(digest=digests)
    def get(self, digest: bytes) -> None:
        expected = self.model.pop(digest, None)
        if expected is not None and self.now < expected.claims.exp:
            self.model[digest] = expected
        else:
            expected = None
        assert self.cache.get(digest, self.now) is expected

    @rule(seconds=st.integers(0, 10))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def clear(self) -> None:
        self.old_generation = self.cache.generation
        self.cache.clear()
        self.model.clear()

    @precondition(lambda self: self.old_generation is not None)
    @rule(digest=digests)
    def put_late(self, digest: bytes) -> None:
        assert self.old_generation is not None
        self.cache.put(digest, entry(), self.old_generation)

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.cache) == len(self.model) <= self.size


CacheMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestCache = CacheMachine.TestCase
