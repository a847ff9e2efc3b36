"""Each refusal: a token that is good but for one thing, signed again where it must be."""

from __future__ import annotations

import dataclasses
from datetime import timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    MAX_TOKEN_BYTES,
    AttestationError,
    AttestationUse,
    AttestationVerifier,
    SigningKey,
    base64url,
    generate_signing_key,
    sign_attestation,
)
from gateway.attestation.verifying import MAX_LEEWAY_SECONDS
from gateway.errors import CallerError, InternalError, TrustError
from gateway.trust.jws import twin
from tests.attestation.samples import (
    CODE,
    ED25519_KEY,
    ES256_KEY,
    GUANGZHOU,
    ISSUER,
    KEYS,
    NONCE,
    NOW,
    SECONDS,
    TRUST,
    Trust,
    attestation,
    claims,
    code_claim,
    compact,
    header,
    sign,
    verification_key,
    verify,
)

ONLINE = AttestationUse.ONLINE
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

both = pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))


def refused(code: str, token: str | bytes, **how: Any) -> str:
    with pytest.raises(TrustError) as caught:
        verify(token, **how)
    assert caught.value.code == code
    return str(caught.value)


@both
def test_a_good_token_reads_as_what_was_signed(key: SigningKey) -> None:
    carried, online = attestation(), attestation(ONLINE)
    assert verify(sign_attestation(carried, key)) == carried
    assert verify(sign_attestation(carried, key).encode()) == carried
    assert verify(sign_attestation(online, key), nonce=NONCE) == online


@both
def test_a_token_made_by_hand_reads_too(key: SigningKey) -> None:
    token = sign(header(key), claims(), key)
    assert verify(token).issuer == ISSUER
    reordered = dict(reversed(header(key).items()))
    assert verify(sign(reordered, claims(), key)).issuer == ISSUER


# --- the frame ---------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:0],
        lambda token: token[:0] + ".",
        lambda token: token[:0] + "..",
        lambda token: token.replace(".", "", 1),
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + "." + token.split(".")[2],
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.replace(".", "=.", 1),
        lambda token: token.replace(".", ".\u200b", 1),
        lambda token: token[:-1],
    ],
)
def test_what_is_not_three_canonical_segments_is_refused(spoil: Any) -> None:
    token = sign_attestation(attestation(), ES256_KEY)
    refused("ATTESTATION_MALFORMED", spoil(token))
    reader = AttestationVerifier(TRUST)
    reader.verify(token, audience=GUANGZHOU, now=NOW)
    # And likewise where the header is known already.
    with pytest.raises(AttestationError) as caught:
        reader.verify(spoil(token), audience=GUANGZHOU, now=NOW)
    assert caught.value.code == "ATTESTATION_MALFORMED"


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    token = sign_attestation(attestation(), ES256_KEY)
    last = token[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes end in two characters of which the last carries two bits.
    twin = alphabet[alphabet.index(last) ^ 1]
    refused("ATTESTATION_MALFORMED", token[:-1] + twin)


def test_a_token_is_at_most_8_kib() -> None:
    room = MAX_TOKEN_BYTES - len(sign(header(), compact(claims()), ES256_KEY)) - 8
    largest = compact(claims()) + b" " * (room * 3 // 4)
    token = sign(header(), largest)
    assert MAX_TOKEN_BYTES - 16 < len(token) <= MAX_TOKEN_BYTES
    verify(token)
    refused("ATTESTATION_TOO_LARGE", sign(header(), largest + b" " * 24))


@pytest.mark.parametrize("payload", [b"", b"not json", b"\xff", compact(claims()) + b"{}"])
def test_a_payload_that_is_no_json_is_malformed(payload: bytes) -> None:
    refused("ATTESTATION_MALFORMED", sign(header(), payload))


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_bytes_from_anywhere_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        verify(data)


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(draw: st.DataObject) -> None:
    token = SIGNED
    at = draw.draw(st.integers(0, len(token) - 1))
    other = draw.draw(st.characters(codec="utf-8").filter(lambda found: found != token[at]))
    with pytest.raises(TrustError):
        verify(token[:at] + other + token[at + 1 :])


SIGNED = sign_attestation(attestation(), ES256_KEY)


# --- the header --------------------------------------------------------------

HEADERS: list[tuple[str, Any]] = [
    ("ATTESTATION_HEADER", {"typ": "JWT"}),
    ("ATTESTATION_HEADER", {"typ": "HUTONG-attestation+jwt"}),
    ("ATTESTATION_HEADER", {"typ": "hutong-statement+jwt"}),
    ("ATTESTATION_HEADER", {"typ": None}),
    ("ATTESTATION_HEADER", {"kid": None}),
    ("ATTESTATION_HEADER", {"alg": None}),
    ("ATTESTATION_HEADER", {"kid": 7}),
    ("ATTESTATION_HEADER", {"kid": "../../keys/any"}),
    ("ATTESTATION_HEADER", {"kid": ES256_KEY.key_id + "="}),
    ("ATTESTATION_HEADER", {"typ": ["hutong-attestation+jwt"]}),
    ("ATTESTATION_HEADER", {"crit": ["exp"]}),
    ("ATTESTATION_HEADER", {"crit": []}),
    ("ATTESTATION_HEADER", {"b64": False, "crit": ["b64"]}),
    ("ATTESTATION_HEADER", {"jku": "https://example.invalid/jwks"}),
    ("ATTESTATION_HEADER", {"x5u": "https://example.invalid/cert"}),
    ("ATTESTATION_HEADER", {"x5c": ["MII"]}),
    ("ATTESTATION_HEADER", {"jwk": {"kty": "EC"}}),
    ("ATTESTATION_HEADER", {"cty": "json"}),
    ("ATTESTATION_HEADER", {"zip": "DEF"}),
    ("ATTESTATION_ALGORITHM", {"alg": "none"}),
    ("ATTESTATION_ALGORITHM", {"alg": "HS256"}),
    ("ATTESTATION_ALGORITHM", {"alg": "es256"}),
    ("ATTESTATION_ALGORITHM", {"alg": "ES384"}),
    ("ATTESTATION_ALGORITHM", {"alg": "EdDSA"}),
    ("ATTESTATION_ALGORITHM", {"alg": 256}),
    ("ATTESTATION_ALGORITHM", {"alg": "Ed25519"}),  # of the profile, but not of the key
]


@pytest.mark.parametrize(("code", "change"), HEADERS)
def test_a_header_that_is_wrong_in_one_thing_is_refused(code: str, change: dict[str, Any]) -> None:
    verify(sign(header(), claims()))
    refused(code, sign(header(**change), claims()))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ATTESTATION_MALFORMED", b""),
        ("ATTESTATION_MALFORMED", b"not json"),
        ("ATTESTATION_MALFORMED", compact(header()).decode().encode("utf-16")),
        ("ATTESTATION_MALFORMED", b"\xef\xbb\xbf" + compact(header())),
        ("ATTESTATION_MALFORMED", compact(header()) + b"{}"),
        ("ATTESTATION_HEADER", b"[]"),
        ("ATTESTATION_HEADER", b'"ES256"'),
        ("ATTESTATION_HEADER", b"{" + b" " * 600 + compact(header())[1:]),
        ("ATTESTATION_HEADER", b'{"alg":"none",' + compact(header())[1:]),
        ("ATTESTATION_HEADER", b'{"\\u0061lg":"ES256",' + compact(header())[1:]),
    ],
)
def test_a_header_that_is_no_plain_object_is_refused(code: str, text: bytes) -> None:
    refused(code, sign(text, claims()))


def test_a_token_without_a_signature_is_refused() -> None:
    unsigned = sign(header(), claims()).rpartition(".")[0] + "."
    refused("SIGNATURE_INVALID", unsigned)
    none = f"{base64url.encode(compact(header(alg='none')))}.{SIGNED.split('.')[1]}."
    refused("ATTESTATION_ALGORITHM", none)


def test_a_header_is_remembered_only_after_its_token_verified() -> None:
    verifier = AttestationVerifier(TRUST)
    forged = SIGNED[:-4] + ("AAAA" if not SIGNED.endswith("AAAA") else "BBBA")
    with pytest.raises(AttestationError):
        verifier.verify(forged, audience=GUANGZHOU, now=NOW)
    assert not verifier._headers
    verifier.verify(SIGNED, audience=GUANGZHOU, now=NOW)
    assert len(verifier._headers) == 1


def test_remembered_headers_are_bounded() -> None:
    headers = AttestationVerifier(TRUST)._headers
    for spaces in range(1100):
        headers.remember("x" * spaces, "ES256", ES256_KEY.key_id)
    assert 0 < len(headers) <= 1024


# --- the signature -----------------------------------------------------------


@both
def test_a_signature_of_another_key_is_refused(key: SigningKey) -> None:
    other = generate_signing_key(key.algorithm)
    refused("SIGNATURE_INVALID", sign(header(key), claims(), other))


@both
@pytest.mark.parametrize("change", [{"aud": "urn:hutong:region:44"}, {"jti": "another-id-of-16c"}])
def test_claims_changed_after_signing_are_refused(key: SigningKey, change: dict[str, Any]) -> None:
    head, _, signature = sign(header(key), claims(), key).split(".")
    forged = f"{head}.{base64url.encode(compact(claims(**change)))}.{signature}"
    refused("SIGNATURE_INVALID", forged)


@both
def test_a_header_changed_after_signing_is_refused(key: SigningKey) -> None:
    _, payload, signature = sign(header(key), claims(), key).split(".")
    spaced = compact(header(key)).replace(b":", b": ", 1)
    refused("SIGNATURE_INVALID", f"{base64url.encode(spaced)}.{payload}.{signature}")


def _with_signature(raw: bytes, token: str = SIGNED) -> str:
    return f"{token.rpartition('.')[0]}.{base64url.encode(raw)}"


def _r_and_s() -> tuple[int, int]:
    raw = base64url.decode(SIGNED.rpartition(".")[2].encode())
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")


def test_an_ecdsa_signature_is_raw_and_both_numbers_are_in_range() -> None:
    r, s = _r_and_s()
    width = 32
    verify(_with_signature(r.to_bytes(width, "big") + s.to_bytes(width, "big")))
    refused("SIGNATURE_INVALID", _with_signature(encode_dss_signature(r, s)))
    for pair in ((0, s), (r, 0), (P256_ORDER, s), (r, P256_ORDER), (2**256 - 1, s), (0, 0)):
        raw = b"".join(number.to_bytes(width, "big") for number in pair)
        refused("SIGNATURE_INVALID", _with_signature(raw))
    raw = r.to_bytes(width, "big") + s.to_bytes(width, "big")
    refused("SIGNATURE_INVALID", _with_signature(raw + b"\0"))
    refused("SIGNATURE_INVALID", _with_signature(b"\0" + raw))
    refused("SIGNATURE_INVALID", _with_signature(raw[1:]))


# --- the key -----------------------------------------------------------------


def test_a_key_is_looked_up_by_issuer_and_id_together() -> None:
    ningbo = "urn:hutong:region:330200"
    trust = Trust.of(
        verification_key(issuer=ningbo, prefixes=("3302",)),
        verification_key(ED25519_KEY),
    )
    refused("KEY_UNKNOWN", SIGNED, trust=trust)
    refused("KEY_UNKNOWN", sign(header(), claims(iss=ningbo)))


def test_why_trust_does_not_believe_an_issuer_passes_through() -> None:
    class Suspended(Trust):
        def attestation_key(self, issuer: str, key_id: str) -> Any:
            raise TrustError("suspended", code="AUTHORITY_SUSPENDED")

    refused("AUTHORITY_SUSPENDED", SIGNED, trust=Suspended())


@both
def test_both_spellings_of_a_signature_are_one_attestation(key: SigningKey) -> None:
    token = sign_attestation(attestation(), key)
    other = twin(token)
    assert (other is None) is (key.algorithm == "Ed25519")
    if other is not None:
        assert verify(other).token_id == verify(token).token_id


@both
def test_the_algorithm_is_that_of_the_key(key: SigningKey) -> None:
    other = "ES256" if key.algorithm == "Ed25519" else "Ed25519"
    refused("ATTESTATION_ALGORITHM", sign(header(key, alg=other), claims(), key))


def test_a_key_holds_from_its_first_moment_to_before_its_last() -> None:
    second = timedelta(seconds=1)
    minute = timedelta(seconds=60)
    verify(SIGNED, trust=Trust.of(verification_key(not_before=NOW + minute)))
    verify(SIGNED, trust=Trust.of(verification_key(not_after=None)))
    verify(SIGNED, trust=Trust.of(verification_key(not_after=NOW - minute + second)))
    for key in (
        verification_key(not_before=NOW + minute + second),
        verification_key(not_after=NOW - minute),
    ):
        refused("KEY_NOT_VALID_NOW", SIGNED, trust=Trust.of(key))


@pytest.mark.parametrize("prefixes", [("33",), ("3301",), ("330100",), ("44", "3301")])
def test_divisions_that_contain_issuer_and_report_are_enough(prefixes: tuple[str, ...]) -> None:
    verify(SIGNED, trust=Trust.of(verification_key(prefixes=prefixes)))


@pytest.mark.parametrize("prefixes", [(), ("44",), ("3302",), ("330106",)])
def test_an_issuer_outside_the_divisions_of_its_key_is_refused(prefixes: tuple[str, ...]) -> None:
    refused("ISSUER_NOT_ALLOWED", SIGNED, trust=Trust.of(verification_key(prefixes=prefixes)))


def test_a_report_of_another_division_is_refused_first_or_beside() -> None:
    inside = sign(header(), claims(code=code_claim(also=[code_claim(issued_by="330106")])))
    verify(inside)
    for code in (
        code_claim(issued_by="330200"),
        code_claim(also=[code_claim(), code_claim(issued_by="440100")]),
    ):
        refused("ISSUER_NOT_ALLOWED", sign(header(), claims(code=code)))


def test_the_life_that_a_superior_grants_is_held() -> None:
    for granted, token in ((600, SIGNED), (601, SIGNED)):
        verify(token, trust=Trust.of(verification_key(max_lifetime_seconds=granted)))
    refused("LIFETIME_TOO_LONG", SIGNED, trust=Trust.of(verification_key(max_lifetime_seconds=599)))


# --- the times ---------------------------------------------------------------


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_validity_is_exact_to_the_second_of_its_leeway(leeway: int) -> None:
    ends, instant = timedelta(seconds=600 + leeway), timedelta(microseconds=1)
    verify(SIGNED, now=NOW - timedelta(seconds=leeway), leeway_seconds=leeway)
    verify(SIGNED, now=NOW + ends - instant, leeway_seconds=leeway)
    refused("ATTESTATION_EXPIRED", SIGNED, now=NOW + ends, leeway_seconds=leeway)
    early = NOW - timedelta(seconds=leeway) - instant
    refused("ATTESTATION_NOT_YET_VALID", SIGNED, now=early, leeway_seconds=leeway)


def test_a_later_beginning_is_held() -> None:
    token = sign(header(), claims(nbf=SECONDS + 300))
    verify(token, now=NOW + timedelta(seconds=240))
    refused("ATTESTATION_NOT_YET_VALID", token, now=NOW + timedelta(seconds=239))


def test_the_clock_may_be_of_any_zone_but_needs_one() -> None:
    verify(SIGNED, now=NOW.astimezone(timezone(timedelta(hours=8), "Asia/Shanghai")))
    with pytest.raises(CallerError):
        verify(SIGNED, now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("leeway", [-1, MAX_LEEWAY_SECONDS + 1])
def test_a_leeway_out_of_bounds_is_our_own_fault(leeway: int) -> None:
    with pytest.raises(InternalError):
        AttestationVerifier(TRUST, leeway_seconds=leeway)


# --- the audience and the question -------------------------------------------


@pytest.mark.parametrize(
    ("stated", "region", "is_meant"),
    [
        ("440100", "440100", True),
        ("4401", "440100", True),
        ("44", "440100", True),
        ("440000", "440100", True),
        ("440100", "440106", True),
        ("440100", "440000", False),
        ("440106", "440100", False),
        ("440300", "440100", False),
        ("4403", "440100", False),
        ("33", "440100", False),
    ],
)
def test_an_audience_holds_for_what_it_contains(stated: str, region: str, is_meant: bool) -> None:
    token = sign(header(), claims(aud=f"urn:hutong:region:{stated}"))
    audience = f"urn:hutong:region:{region}"
    if is_meant:
        verify(token, audience=audience)
    else:
        refused("AUDIENCE_MISMATCH", token, audience=audience)


@pytest.mark.parametrize(
    "audience", ["", "440100", "urn:hutong:region:44", "urn:hutong:hub:000000"]
)
def test_a_reader_that_is_no_region_is_the_callers_fault(audience: str) -> None:
    with pytest.raises(CallerError):
        verify(SIGNED, audience=audience)


def test_an_online_attestation_answers_its_own_question_only() -> None:
    online = sign_attestation(attestation(ONLINE), ES256_KEY)
    verify(online, nonce=NONCE)
    refused("ATTESTATION_REPLAYED", online, nonce=bytes(16))
    refused("ATTESTATION_REPLAYED", online, nonce=NONCE[:-1])
    refused("ATTESTATION_REPLAYED", online, nonce=b"")
    refused("ATTESTATION_REPLAYED", online)


def test_a_carried_attestation_answers_no_question() -> None:
    refused("ATTESTATION_REPLAYED", SIGNED, nonce=NONCE)


def test_several_reports_read_in_order() -> None:
    code = dataclasses.replace(CODE, also=(CODE, dataclasses.replace(CODE, state="绿色")))
    stated = attestation(code=code)
    assert verify(sign_attestation(stated, ES256_KEY)).code.reports == stated.code.reports


def test_no_error_shows_a_value_of_the_token() -> None:
    said = [
        refused("CLAIMS_INVALID", sign(header(), claims(sub="SYNTHETIC0000001"))),
        refused("AUDIENCE_MISMATCH", SIGNED, audience="urn:hutong:region:310000"),
        refused("ATTESTATION_HEADER", sign(header(typ="SYNTHETIC"), claims())),
        refused("KEY_UNKNOWN", sign(header(), claims(iss="urn:hutong:region:310000"))),
        refused("SIGNATURE_INVALID", SIGNED[:-8] + "AAAAAAAA"[:7] + "A"),
    ]
    assert not any("SYNTHETIC" in text or "3100" in text for text in said)
