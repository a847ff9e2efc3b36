from __future__ import annotations

import dataclasses
import json
from typing import Any

import jwcrypto.jwk
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.attestation import (
    KeyMaterialError,
    SigningKey,
    VerificationKey,
    generate_signing_key,
    public_jwk,
    public_key_from_jwk,
    signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
    thumbprint,
    verification_key_from_jwk,
)
from tests.attestation.samples import ED25519_KEY, ES256_KEY, ISSUER, KEYS, NOW, verification_key

# RFC 8037 appendix A.1 and A.3.
RFC8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
# RFC 7515 appendix A.3.1.
RFC7515_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}

both = pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))


def test_the_examples_of_the_rfcs_read() -> None:
    assert signing_key_from_jwk(RFC8037_KEY).key_id == RFC8037_THUMBPRINT
    assert signing_key_from_jwk(RFC7515_KEY).algorithm == "ES256"


@both
def test_a_key_survives_its_jwk(key: SigningKey) -> None:
    again = signing_key_from_jwk(json.loads(json.dumps(signing_key_to_jwk(key))))
    assert (again.key_id, again.algorithm) == (key.key_id, key.algorithm)
    assert again.public_key == key.public_key


@both
def test_another_library_reads_our_jwk_and_agrees_on_the_thumbprint(key: SigningKey) -> None:
    theirs = jwcrypto.jwk.JWK(**signing_key_to_jwk(key))
    assert theirs.thumbprint() == key.key_id == thumbprint(public_jwk(key))


@both
def test_a_public_jwk_holds_nothing_private_and_names_the_key(key: SigningKey) -> None:
    jwk = public_jwk(key)
    assert "d" not in jwk
    assert jwk["kid"] == key.key_id
    assert public_key_from_jwk(jwk) == (key.key_id, key.algorithm, key.public_key)


def test_no_repr_shows_a_private_key() -> None:
    secret = signing_key_to_jwk(ES256_KEY)["d"]
    assert secret not in repr(ES256_KEY)
    assert "private" not in repr(ES256_KEY)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("unknown type", {"kty": "RSA"}),
    ("type that is no text", {"kty": ["EC"]}),
    ("unknown curve", {"crv": "P-384"}),
    ("missing coordinate", {"x": None}),
    ("short coordinate", {"x": public_jwk(ES256_KEY)["x"][:-4]}),
    ("padded coordinate", {"x": public_jwk(ES256_KEY)["x"] + "="}),
    ("coordinate with a trailing bit", {"x": public_jwk(ES256_KEY)["x"][:-1] + "9"}),
    ("coordinate that is no text", {"x": 7}),
    ("coordinate outside ASCII", {"x": "é" * 43}),
    ("point off the curve", {"y": public_jwk(ES256_KEY)["x"]}),
    ("private member", {"d": signing_key_to_jwk(ES256_KEY)["d"]}),
    ("key URL", {"x5u": "https://example.invalid/key"}),
    ("certificate", {"x5c": ["MII"]}),
    ("foreign kid", {"kid": ED25519_KEY.key_id}),
    ("foreign algorithm", {"alg": "ES384"}),
    ("deprecated algorithm", {"alg": "EdDSA"}),
    ("use for encryption", {"use": "enc"}),
    ("foreign operation", {"key_ops": ["verify", "sign"]}),
    ("operations that are no list", {"key_ops": "verify"}),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[n for n, _ in CHANGES])
def test_a_public_jwk_that_is_wrong_in_one_thing_is_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {**public_jwk(ES256_KEY), "key_ops": ["verify"]}
    public_key_from_jwk(good)
    changed = {name: value for name, value in {**good, **change}.items() if value is not None}
    with pytest.raises(KeyMaterialError) as caught:
        public_key_from_jwk(changed)
    assert caught.value.code == "KEY_MALFORMED"
    assert good["x"] not in str(caught.value)


@both
def test_a_private_jwk_whose_halves_differ_is_refused(key: SigningKey) -> None:
    other = signing_key_to_jwk(generate_signing_key(key.algorithm))
    with pytest.raises(KeyMaterialError):
        signing_key_from_jwk({**signing_key_to_jwk(key), "d": other["d"]})


@pytest.mark.parametrize("d", ["A" * 43, "_" * 42 + "8", None, "AAAA"])
def test_a_private_scalar_out_of_range_is_refused(d: str | None) -> None:
    jwk = {**signing_key_to_jwk(ES256_KEY), "d": d}
    with pytest.raises(KeyMaterialError):
        signing_key_from_jwk({name: value for name, value in jwk.items() if value is not None})


@pytest.mark.parametrize(
    "private",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_only_the_two_kinds_of_key_are_taken(private: Any) -> None:
    with pytest.raises(KeyMaterialError):
        signing_key(private)


def test_only_the_two_algorithms_are_made() -> None:
    with pytest.raises(KeyMaterialError):
        generate_signing_key("EdDSA")  # type: ignore[arg-type]  # wrong on purpose, or built loosely


@pytest.mark.parametrize("prefix", ["", "3", "330", "33010", "3301060", "33a1", "３３"])
def test_a_prefix_that_is_no_division_is_refused(prefix: str) -> None:
    with pytest.raises(KeyMaterialError):
        verification_key(prefixes=("3301", prefix))


def test_a_key_is_bound_to_its_own_algorithm_and_to_times_with_a_zone() -> None:
    good = verification_key()
    with pytest.raises(KeyMaterialError):
        dataclasses.replace(good, algorithm="Ed25519")
    with pytest.raises(KeyMaterialError):
        dataclasses.replace(good, not_before=NOW.replace(tzinfo=None))
    with pytest.raises(KeyMaterialError):
        dataclasses.replace(good, not_after=NOW.replace(tzinfo=None))


def test_a_verification_key_is_made_from_a_jwk() -> None:
    key = verification_key_from_jwk(
        public_jwk(ED25519_KEY), issuer=ISSUER, prefixes=("33", "440106"), not_before=NOW
    )
    assert isinstance(key, VerificationKey)
    assert key.public_key == ED25519_KEY.public_key


@pytest.mark.parametrize("jwk", [{}, {"kty": "EC", "crv": "P-256", "x": "A"}, {"kty": "oct"}])
def test_a_thumbprint_needs_the_members_that_make_the_key(jwk: dict[str, Any]) -> None:
    with pytest.raises(KeyMaterialError):
        thumbprint(jwk)
