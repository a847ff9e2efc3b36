from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from gateway.attestation.keys import (
    Algorithm,
    SigningKey,
    generate_signing_key,
    public_jwk,
    signing_key_to_jwk,
    verification_key_from_jwk,
)
from gateway.attestation.signing import sign_bytes
from gateway.trust import jws

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.attestation.keys import VerificationKey

TYP = "hutong-test+jwt"
KEY = generate_signing_key()
OTHER = generate_signing_key()
ED = generate_signing_key("Ed25519")
CLAIMS = {"iss": "urn:hutong:hub:000000", "text": "未见异常", "n": 7}


def public(key: SigningKey) -> VerificationKey:
    return verification_key_from_jwk(
        public_jwk(key),
        issuer="urn:hutong:hub:000000",
        prefixes=(),
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
    )


def read(token: str, key: SigningKey = KEY) -> dict[str, Any]:
    parsed = jws.take_apart(token, typ=TYP, max_bytes=8192)
    parsed.check_signature(public(key))
    return parsed.claims()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: bytes, payload: bytes, key: SigningKey = KEY) -> str:
    """Signs any bytes with the independent library."""
    signer = JWS(payload)
    jwk = JWK(**{k: v for k, v in signing_key_to_jwk(key).items() if k != "alg"})
    # jwcrypto signs the header's text as it is given.
    signer.allowed_algs = ["ES256", "Ed25519"]
    signer.add_signature(jwk, alg=None, protected=header.decode())
    return str(signer.serialize(compact=True))


def header(**changes: Any) -> bytes:
    members = {"alg": KEY.algorithm, "kid": KEY.key_id, "typ": TYP} | changes
    return json.dumps({k: v for k, v in members.items() if v is not ...}).encode()


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_what_is_signed_reads_back(algorithm: Algorithm) -> None:
    key = generate_signing_key(algorithm)
    assert read(jws.sign(CLAIMS, key, typ=TYP), key) == CLAIMS


def test_an_independent_library_accepts_what_we_sign() -> None:
    token = jws.sign(CLAIMS, KEY, typ=TYP)
    oracle = JWS()
    oracle.deserialize(token, JWK(**public_jwk(KEY)))
    assert json.loads(oracle.payload) == CLAIMS
    assert oracle.jose_header == {"alg": "ES256", "kid": KEY.key_id, "typ": TYP}


def test_what_an_independent_library_signs_is_accepted() -> None:
    assert read(by_hand(header(), json.dumps(CLAIMS).encode())) == CLAIMS


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("typ of another token", header(typ="hutong-other+jwt")),
        ("no typ", header(typ=...)),
        ("no kid", header(kid=...)),
        ("kid that is no thumbprint", header(kid="k1")),
        ("kid outside the alphabet", header(kid="/" * 43)),
        ("an unknown member", header(cty="JWT")),
        ("crit", header(crit=["b64"])),
        ("a key of its own", header(jwk={"kty": "EC"})),
        ("a member that stands twice", header()[:-1] + b',"alg":"ES256"}'),
        ("a kid that is no text", header(kid=["a"])),
    ],
)
def test_a_header_other_than_the_three_members_is_refused(name: str, changed: bytes) -> None:
    raw = f"{b64(changed)}.{b64(json.dumps(CLAIMS).encode())}"
    signature = jws.sign(CLAIMS, KEY, typ=TYP).rpartition(".")[2]
    with pytest.raises(jws.MalformedError):
        jws.take_apart(f"{raw}.{signature}", typ=TYP, max_bytes=8192)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "RS256", "ES384", ""])
def test_an_algorithm_outside_the_profile_is_refused(algorithm: str) -> None:
    parts = jws.sign(CLAIMS, KEY, typ=TYP).split(".")
    parts[0] = b64(header(alg=algorithm))
    with pytest.raises(jws.MalformedError):
        jws.take_apart(".".join(parts), typ=TYP, max_bytes=8192)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"[1]",
        b'"text"',
        b"null",
        b"",
        b'{"a":1} ',
        b'{"a":1}{"b":2}',
        b'{"a":1,}',
        b'{"a":' * 3000,
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_payload_that_is_not_one_object_with_one_reading_is_refused(payload: bytes) -> None:
    # A trailing space is fine JSON; it stands here to show that only it is.
    parsed = jws.CompactJws("ES256", KEY.key_id, payload, b"", b"")
    if payload == b'{"a":1} ':
        assert parsed.claims() == {"a": 1}
        return
    with pytest.raises(jws.MalformedError):
        parsed.claims()


def test_a_whole_surrogate_pair_is_text() -> None:
    assert jws.read_json_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "😀"}


def test_another_key_with_the_right_name_does_not_verify() -> None:
    parts = jws.sign(CLAIMS, OTHER, typ=TYP).split(".")
    parts[0] = b64(header())
    with pytest.raises(jws.SignatureError):
        read(".".join(parts))


def test_a_token_that_names_another_key_is_refused_before_any_arithmetic() -> None:
    with pytest.raises(jws.SignatureError):
        read(jws.sign(CLAIMS, OTHER, typ=TYP), KEY)


def test_the_algorithm_is_the_keys_and_not_the_tokens() -> None:
    payload = b64(json.dumps(CLAIMS).encode())
    for algorithm, is_its_own in (("Ed25519", True), ("ES256", False)):
        signing_input = f"{b64(header(alg=algorithm, kid=ED.key_id))}.{payload}"
        token = f"{signing_input}.{b64(sign_bytes(signing_input.encode(), ED))}"
        if is_its_own:
            assert read(token, ED) == CLAIMS
        else:
            with pytest.raises(jws.SignatureError):
                read(token, ED)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + "=",
        lambda token: token + ".",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.replace(".", "..", 1),
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token[:-1],
        lambda token: token[:-4],
        lambda token: token.replace("e", "é", 1),
        lambda token: token[:0],
        lambda token: token[:0] + "..",
    ],
)
def test_a_token_in_another_spelling_is_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(jws.MalformedError):
        jws.take_apart(change(jws.sign(CLAIMS, KEY, typ=TYP)), typ=TYP, max_bytes=8192)


def test_trailing_bits_of_a_signature_are_part_of_its_one_spelling() -> None:
    token = jws.sign(CLAIMS, KEY, typ=TYP)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(token[-1]) + 1]
    with pytest.raises(jws.MalformedError):
        jws.take_apart(token[:-1] + other, typ=TYP, max_bytes=8192)


def test_the_size_limit_is_inclusive() -> None:
    token = jws.sign(CLAIMS, KEY, typ=TYP)
    jws.take_apart(token, typ=TYP, max_bytes=len(token))
    with pytest.raises(jws.MalformedError):
        jws.take_apart(token, typ=TYP, max_bytes=len(token) - 1)


@given(st.data())
def test_no_single_changed_character_verifies(data: st.DataObject) -> None:
    token = jws.sign(CLAIMS, KEY, typ=TYP)
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters().filter(lambda c: c != token[place]))
    with pytest.raises((jws.MalformedError, jws.SignatureError)):
        read(token[:place] + character + token[place + 1 :])


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(jws.MalformedError):
        jws.take_apart(text, typ=TYP, max_bytes=8192)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    with contextlib.suppress(jws.MalformedError):
        assert isinstance(jws.read_json_object(data), dict)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), json_values, max_size=5))
def test_every_object_survives_the_round_trip(claims: dict[str, Any]) -> None:
    token = jws.sign(claims, KEY, typ=TYP)
    assert jws.take_apart(token, typ=TYP, max_bytes=100_000).claims() == claims


def test_the_digest_is_that_of_the_tokens_bytes() -> None:
    # SHA-256("abc"), FIPS 180-4 example.
    assert jws.digest("abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"


def test_nothing_secret_or_long_stands_in_a_repr() -> None:
    parsed = jws.take_apart(jws.sign(CLAIMS, KEY, typ=TYP), typ=TYP, max_bytes=8192)
    assert "未见异常" not in repr(parsed)
    assert len(repr(parsed)) < 120
