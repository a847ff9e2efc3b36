from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import jwcrypto.jwe
import jwcrypto.jwk
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    MAX_ANSWER_ENVELOPE_BYTES,
    MAX_QUESTION_ENVELOPE_BYTES,
    Binding,
    KeyMaterialError,
    Profile,
    SealingError,
    SealingKey,
    base64url,
    generate_sealing_key,
    open_answer,
    open_question,
    public_jwk,
    public_sealing_jwk,
    seal_answer,
    seal_question,
    sealing_key_from_jwk,
    sealing_key_to_jwk,
    sealing_public_key_from_jwk,
    thumbprint,
)
from gateway.attestation.sealing_keys import _hpke_key
from tests.attestation.samples import ES256_KEY, compact

BINDING = Binding(
    "urn:hutong:region:330100", "urn:hutong:checkpoint:440100:north-gate", "CHECKPOINT"
)
KEYS = {profile: generate_sealing_key(profile) for profile in Profile}
REPLY_KEY = bytes(range(32))
QUESTION = b"a synthetic question"

profiles = pytest.mark.parametrize("profile", Profile)
PLAINTEXTS = st.binary(min_size=1, max_size=300)
PARTS = st.text(max_size=20)
BINDINGS = st.builds(Binding, PARTS, PARTS, PARTS)


def unreadable_question(key: SealingKey, envelope: bytes, binding: Binding = BINDING) -> None:
    with pytest.raises(SealingError) as caught:
        open_question(key, envelope, binding)
    assert caught.value.code == "ENVELOPE_UNREADABLE"
    assert str(caught.value) == "the envelope does not open"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def unreadable_answer(
    envelope: bytes, profile: Profile, binding: Binding = BINDING, key: bytes = REPLY_KEY
) -> None:
    with pytest.raises(SealingError) as caught:
        open_answer(key, envelope, binding, profile)
    assert caught.value.code == "ENVELOPE_UNREADABLE"
    assert str(caught.value) == "the envelope does not open"


@given(PLAINTEXTS, BINDINGS, st.sampled_from(Profile))
def test_what_is_sealed_opens(plaintext: bytes, binding: Binding, profile: Profile) -> None:
    asked = seal_question(KEYS[profile].public, plaintext, binding)
    assert open_question(KEYS[profile], asked, binding) == plaintext
    answered = seal_answer(REPLY_KEY, plaintext, binding, profile)
    assert open_answer(REPLY_KEY, answered, binding, profile) == plaintext
    if len(plaintext) > 8:
        assert plaintext not in asked
        assert plaintext not in answered


@profiles
@pytest.mark.parametrize(
    "change",
    [
        {"origin": "urn:hutong:region:330200"},
        {"caller": "urn:hutong:checkpoint:440100:south-gate"},
        {"purpose": "WORKPLACE"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_envelope_moved_to_another_binding_does_not_open(
    profile: Profile, change: dict[str, str]
) -> None:
    other = dataclasses.replace(BINDING, **change)
    asked = seal_question(KEYS[profile].public, QUESTION, BINDING)
    answered = seal_answer(REPLY_KEY, QUESTION, BINDING, profile)
    assert open_question(KEYS[profile], asked, BINDING) == QUESTION
    assert open_answer(REPLY_KEY, answered, BINDING, profile) == QUESTION
    unreadable_question(KEYS[profile], asked, other)
    unreadable_answer(answered, profile, other)


@given(BINDINGS, BINDINGS, st.sampled_from(Profile))
def test_no_two_bindings_are_taken_for_one_another(
    one: Binding, other: Binding, profile: Profile
) -> None:
    answered = seal_answer(REPLY_KEY, QUESTION, one, profile)
    if one == other:
        assert open_answer(REPLY_KEY, answered, other, profile) == QUESTION
    else:
        unreadable_answer(answered, profile, other)


@profiles
def test_parts_of_a_binding_cannot_be_shifted_into_each_other(profile: Profile) -> None:
    asked = seal_question(KEYS[profile].public, QUESTION, Binding("ab", "c", "d"))
    for other in (Binding("a", "bc", "d"), Binding("ab", "", "cd"), Binding("abc", "d", "")):
        unreadable_question(KEYS[profile], asked, other)


@profiles
def test_another_key_does_not_open(profile: Profile) -> None:
    asked = seal_question(KEYS[profile].public, QUESTION, BINDING)
    unreadable_question(generate_sealing_key(profile), asked)
    unreadable_question(KEYS[next(other for other in Profile if other is not profile)], asked)
    answered = seal_answer(REPLY_KEY, QUESTION, BINDING, profile)
    unreadable_answer(answered, profile, key=bytes(32))
    unreadable_answer(answered, profile, key=REPLY_KEY[:16])
    unreadable_answer(answered, next(other for other in Profile if other is not profile))


@given(st.sampled_from(Profile), st.data())
def test_one_byte_changed_or_missing_or_added_does_not_open(
    profile: Profile, draw: st.DataObject
) -> None:
    envelope = draw.draw(st.sampled_from([ASKED, ANSWERED]))[profile]
    at = draw.draw(st.integers(0, len(envelope) - 1))
    byte = draw.draw(st.integers(0, 255).filter(lambda found: found != envelope[at]))
    changed = draw.draw(
        st.sampled_from(
            [
                envelope[:at] + bytes([byte]) + envelope[at + 1 :],
                envelope[:at] + envelope[at + 1 :],
                envelope[:at],
                envelope + bytes([byte]),
            ]
        )
    )
    unreadable_question(KEYS[profile], changed)
    unreadable_answer(changed, profile)


ASKED = {profile: seal_question(key.public, QUESTION, BINDING) for profile, key in KEYS.items()}
ANSWERED = {profile: seal_answer(REPLY_KEY, QUESTION, BINDING, profile) for profile in Profile}


@profiles
def test_a_question_is_no_answer_and_the_other_way_round(profile: Profile) -> None:
    unreadable_question(KEYS[profile], ANSWERED[profile])
    unreadable_answer(ASKED[profile], profile)


@given(st.binary(max_size=80), st.sampled_from(Profile))
def test_bytes_from_anywhere_do_not_open(data: bytes, profile: Profile) -> None:
    unreadable_question(KEYS[profile], data)
    unreadable_answer(data, profile)


@profiles
def test_two_envelopes_of_the_same_words_share_nothing(profile: Profile) -> None:
    assert seal_question(KEYS[profile].public, QUESTION, BINDING) != ASKED[profile]
    assert seal_answer(REPLY_KEY, QUESTION, BINDING, profile) != ANSWERED[profile]


@profiles
def test_envelopes_are_bounded_both_ways(profile: Profile) -> None:
    key = KEYS[profile]
    with pytest.raises(SealingError) as caught:
        seal_question(key.public, bytes(MAX_QUESTION_ENVELOPE_BYTES), BINDING)
    assert caught.value.code == "MESSAGE_TOO_LARGE"
    with pytest.raises(SealingError) as caught:
        seal_answer(REPLY_KEY, bytes(MAX_ANSWER_ENVELOPE_BYTES), BINDING, profile)
    assert caught.value.code == "MESSAGE_TOO_LARGE"
    unreadable_question(key, bytes(MAX_QUESTION_ENVELOPE_BYTES + 1))
    unreadable_answer(bytes(MAX_ANSWER_ENVELOPE_BYTES + 1), profile)
    with pytest.raises(SealingError) as caught:
        seal_question(key.public, QUESTION, Binding("x" * 0x10000, "", ""))
    assert caught.value.code == "MESSAGE_TOO_LARGE"


@profiles
def test_nothing_is_not_sealed_and_a_reply_key_has_32_bytes(profile: Profile) -> None:
    with pytest.raises(SealingError):
        seal_question(KEYS[profile].public, b"", BINDING)
    with pytest.raises(SealingError):
        seal_answer(REPLY_KEY, b"", BINDING, profile)
    with pytest.raises(SealingError):
        seal_answer(REPLY_KEY[:31], QUESTION, BINDING, profile)


# --- HPKE, opened by hand ----------------------------------------------------


def test_an_hpke_envelope_is_what_rfc_9180_says() -> None:
    """Opens one step by step: KEM of draft-ietf-hpke-pq, key schedule of RFC 9180 §5.1."""
    key = KEYS[Profile.HPKE]
    envelope = ASKED[Profile.HPKE]
    encapsulated, ciphertext = envelope[:1120], envelope[1120:]
    expanded = hashlib.shake_256(key.secret).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    ephemeral = x25519.X25519PublicKey.from_public_bytes(encapsulated[1088:])
    shared = hashlib.sha3_256(
        lattice.decapsulate(encapsulated[:1088])
        + curve.exchange(ephemeral)
        + encapsulated[1088:]
        + curve.public_key().public_bytes_raw()
        + bytes.fromhex("5c2e2f2f5e5c")
    ).digest()

    suite = b"HPKE" + bytes.fromhex("647a00010002")

    def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
        mac.update(b"HPKE-v1" + suite + label + material)
        return mac.finalize()

    def expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return HKDFExpand(hashes.SHA256(), length, info).derive(secret)

    info = b"hutong/v1/question\0"
    for part in (BINDING.origin, BINDING.caller, BINDING.purpose):
        info += len(part).to_bytes(2, "big") + part.encode()
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    aead = AESGCM(expand(secret, b"key", context, 32))
    assert aead.decrypt(expand(secret, b"base_nonce", context, 12), ciphertext, b"") == QUESTION


def test_an_hpke_answer_is_a_nonce_and_a_ciphertext_bound_by_its_associated_data() -> None:
    aad = b"hutong/v1/answer\0"
    for part in (BINDING.origin, BINDING.caller, BINDING.purpose):
        aad += len(part).to_bytes(2, "big") + part.encode()
    envelope = ANSWERED[Profile.HPKE]
    assert AESGCM(REPLY_KEY).decrypt(envelope[:12], envelope[12:], aad) == QUESTION


# --- JWE, by another hand ----------------------------------------------------


def jwe_header(**changes: Any) -> dict[str, Any]:
    """The header of a good question; a member given as None is left out."""
    segment = ASKED[Profile.JWE].split(b".")[0]
    members = {**json.loads(base64url.decode(segment)), **changes}
    members.pop("epk")  # made anew
    return {name: value for name, value in members.items() if value is not None}


def sealed_by_hand(members: dict[str, Any], key: Any = None) -> bytes:
    recipient = key or KEYS[Profile.JWE].public.native
    algorithms = [*jwcrypto.jwe.default_allowed_algs]
    token = jwcrypto.jwe.JWE(QUESTION, json.dumps(members), recipient=recipient, algs=algorithms)
    return str(token.serialize(compact=True)).encode()


def test_a_jwe_made_by_another_hand_in_the_same_shape_opens() -> None:
    assert open_question(KEYS[Profile.JWE], sealed_by_hand(jwe_header()), BINDING) == QUESTION


def test_the_header_of_a_jwe_question_is_exactly_its_profile() -> None:
    members = jwe_header()
    assert set(members) == {"alg", "enc", "kid", "typ", "apu", "apv"}
    assert members["alg"] == "ECDH-ES"
    assert members["enc"] == "A256GCM"
    assert (
        members["kid"] == KEYS[Profile.JWE].key_id == thumbprint(KEYS[Profile.JWE].public.members)
    )
    caller, purpose = BINDING.caller.encode(), BINDING.purpose.encode()
    apu = b"hutong/v1/question\0" + b"".join(
        len(part).to_bytes(2, "big") + part for part in (caller, purpose)
    )
    assert base64url.decode(members["apu"].encode()) == apu


@pytest.mark.parametrize(
    "change",
    [
        {"zip": "DEF"},
        {"kid": "another"},
        {"kid": None},
        {"typ": "JWE"},
        {"typ": None},
        {"apu": None},
        {"apv": None},
        {"apu": "AAAA"},
        {"enc": "A128GCM"},
        {"enc": "A256CBC-HS512"},
        {"alg": "ECDH-ES+A256KW"},
        {"cty": "hutong"},
        {"jku": "https://example.invalid/jwks"},
    ],
)
def test_a_jwe_whose_header_differs_in_one_thing_does_not_open(change: dict[str, Any]) -> None:
    unreadable_question(KEYS[Profile.JWE], sealed_by_hand(jwe_header(**change)))


def spelled(members: Any) -> bytes:
    """The good envelope under another header; its tag does not matter any more."""
    rest = ASKED[Profile.JWE].split(b".", 1)[1]
    return base64url.encode(compact(members)).encode() + b"." + rest


def test_an_ephemeral_key_is_a_bare_point_on_the_curve() -> None:
    good = json.loads(base64url.decode(ASKED[Profile.JWE].split(b".")[0]))
    point = good["epk"]
    for epk in (
        None,
        "point",
        {**point, "d": point["x"]},
        {**point, "kid": "x"},
        {**point, "alg": "ECDH-ES"},
        {**point, "y": point["x"]},
        {**point, "crv": "P-384"},
        {"kty": "OKP", "crv": "X25519", "x": point["x"]},
    ):
        unreadable_question(KEYS[Profile.JWE], spelled({**good, "epk": epk}))
    doubled = b'{"alg":"dir",' + compact(good)[1:]
    headers: list[Any] = [[], "x", b"{", doubled, {**good, "crit": ["alg"]}]
    for header in headers:
        unreadable_question(KEYS[Profile.JWE], spelled(header))


def test_a_jwe_has_five_canonical_segments_the_second_empty() -> None:
    header, _, nonce, ciphertext, tag = ASKED[Profile.JWE].split(b".")
    for segments in (
        (header, b"AA", nonce, ciphertext, tag),
        (header, b"", nonce, ciphertext),
        (header, b"", nonce, ciphertext, tag, b""),
        (header + b"=", b"", nonce, ciphertext, tag),
        (header, b"", nonce, ciphertext, tag + b"\n"),
        (header, b"", b"", ciphertext, tag),
        (header, b"", nonce, ciphertext, tag[:-4]),
        (base64url.encode(b" " * 5000).encode(), b"", nonce, ciphertext, tag),
    ):
        unreadable_question(KEYS[Profile.JWE], b".".join(segments))


def test_an_answer_made_by_another_hand_opens_and_one_with_another_algorithm_does_not() -> None:
    segment = ANSWERED[Profile.JWE].split(b".")[0]
    members = json.loads(base64url.decode(segment))
    assert members["alg"] == "dir"
    key = jwcrypto.jwk.JWK(kty="oct", k=base64url.encode(REPLY_KEY))
    good = sealed_by_hand(members, key)
    assert open_answer(REPLY_KEY, good, BINDING, Profile.JWE) == QUESTION
    for change in ({"zip": "DEF"}, {"alg": "A256KW"}, {"alg": "A256GCMKW"}, {"kid": "x"}):
        unreadable_answer(sealed_by_hand({**members, **change}, key), Profile.JWE)


# --- keys --------------------------------------------------------------------


@profiles
def test_a_sealing_key_survives_its_jwk(profile: Profile) -> None:
    key = KEYS[profile]
    again = sealing_key_from_jwk(json.loads(json.dumps(sealing_key_to_jwk(key))))
    assert again == key
    assert open_question(again, ASKED[profile], BINDING) == QUESTION
    public = sealing_public_key_from_jwk(json.loads(json.dumps(public_sealing_jwk(key))))
    assert public == key.public
    envelope = seal_question(public, QUESTION, BINDING)
    assert open_question(key, envelope, BINDING) == QUESTION
    assert thumbprint(public_sealing_jwk(key)) == key.key_id


@profiles
def test_no_repr_shows_the_secret(profile: Profile) -> None:
    key = KEYS[profile]
    secret = sealing_key_to_jwk(key)["priv" if profile is Profile.HPKE else "d"]
    assert secret not in repr(key)
    assert repr(key.secret) not in repr(key)


def test_an_hpke_key_is_the_seed_of_the_draft() -> None:
    key = _hpke_key(bytes(32))
    assert len(base64url.decode(key.public.members["pub"].encode())) == 1216
    assert sealing_key_to_jwk(key)["priv"] == base64url.encode(bytes(32))


@profiles
@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"kid": ES256_KEY.key_id},
        {"alg": "HS256"},
        {"use": "sig"},
        {"key_ops": ["sign"]},
        {"x5u": "https://example.invalid/key"},
        {"pub": None, "x": None},
        {"pub": "AAAA", "x": "AAAA"},
        {"pub": "/" * 1622, "x": "/" * 43},
    ],
)
def test_a_public_sealing_jwk_that_is_wrong_in_one_thing_is_refused(
    profile: Profile, change: dict[str, Any]
) -> None:
    good: dict[str, Any] = {**public_sealing_jwk(KEYS[profile]), "key_ops": ["deriveBits"]}
    sealing_public_key_from_jwk(good)
    changed = {
        name: value
        for name, value in {**good, **change}.items()
        if value is not None and (name in good or name not in {"pub", "x"})
    }
    with pytest.raises(KeyMaterialError):
        sealing_public_key_from_jwk(changed)


@profiles
def test_a_private_jwk_is_not_taken_for_a_public_one_nor_with_another_secret(
    profile: Profile,
) -> None:
    private = sealing_key_to_jwk(KEYS[profile])
    with pytest.raises(KeyMaterialError):
        sealing_public_key_from_jwk(private)
    name = "priv" if profile is Profile.HPKE else "d"
    with pytest.raises(KeyMaterialError):
        sealing_key_from_jwk({**private, name: base64url.encode(bytes(31) + b"\x07")})
    with pytest.raises(KeyMaterialError):
        sealing_key_from_jwk({**private, name: base64url.encode(bytes(16))})
    with pytest.raises(KeyMaterialError):
        sealing_key_from_jwk(public_sealing_jwk(KEYS[profile]))


def test_a_hybrid_key_with_a_broken_half_is_refused() -> None:
    good = public_sealing_jwk(KEYS[Profile.HPKE])
    raw = base64url.decode(good["pub"].encode())
    low_order = raw[:1184] + bytes(32)
    out_of_range = b"\xff" * 1184 + raw[1184:]
    for broken in (low_order, out_of_range):
        jwk = {"kty": "AKP", "alg": good["alg"], "pub": base64url.encode(broken)}
        with pytest.raises(KeyMaterialError):
            sealing_public_key_from_jwk(jwk)


def test_a_scalar_out_of_range_is_refused() -> None:
    private = sealing_key_to_jwk(KEYS[Profile.JWE])
    for scalar in (bytes(32), b"\xff" * 32):
        with pytest.raises(KeyMaterialError):
            sealing_key_from_jwk({**private, "d": base64url.encode(scalar)})


def test_a_signing_key_is_no_sealing_key() -> None:
    with pytest.raises(KeyMaterialError):
        sealing_public_key_from_jwk(public_jwk(ES256_KEY))
