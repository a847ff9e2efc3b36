"""Other people's libraries as oracles: they take what we sign, we take what they sign."""

from __future__ import annotations

import json

import jwcrypto.jwk
import jwcrypto.jws
import jwt as pyjwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt

from gateway.attestation import (
    AttestationUse,
    SigningKey,
    claims_to_json,
    public_jwk,
    sign_attestation,
    signing_key_to_jwk,
)
from tests.attestation.samples import KEYS, NONCE, NOW, SECONDS, attestation, header, verify

both = pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
STATED = attestation(AttestationUse.ONLINE)


@both
def test_jwcrypto_takes_what_we_sign(key: SigningKey) -> None:
    token = jwcrypto.jws.JWS()
    token.allowed_algs = [key.algorithm]
    token.deserialize(sign_attestation(STATED, key), jwcrypto.jwk.JWK(**public_jwk(key)))
    assert token.payload == claims_to_json(STATED)
    assert token.jose_header == header(key)


@both
def test_we_take_what_jwcrypto_signs(key: SigningKey) -> None:
    token = jwcrypto.jws.JWS(claims_to_json(STATED))
    token.allowed_algs = [key.algorithm]
    private = jwcrypto.jwk.JWK(**signing_key_to_jwk(key))
    token.add_signature(private, protected=json.dumps(header(key)))
    assert verify(token.serialize(compact=True), nonce=NONCE) == STATED


@both
def test_joserfc_takes_what_we_sign(key: SigningKey) -> None:
    public = joserfc_jwk.import_key({**public_jwk(key)})
    token = joserfc_jwt.decode(sign_attestation(STATED, key), public, algorithms=[key.algorithm])
    joserfc_jwt.JWTClaimsRegistry(now=SECONDS).validate(token.claims)
    assert token.header == header(key)
    assert token.claims == json.loads(claims_to_json(STATED))


@both
def test_we_take_what_joserfc_signs(key: SigningKey) -> None:
    private = joserfc_jwk.import_key({**signing_key_to_jwk(key)})
    token = joserfc_jws.serialize_compact(
        header(key), claims_to_json(STATED), private, algorithms=[key.algorithm]
    )
    assert verify(token, nonce=NONCE) == STATED


def test_pyjwt_takes_what_we_sign_and_we_what_it_signs() -> None:
    key = KEYS["ES256"]
    claims = pyjwt.decode(
        sign_attestation(STATED, key),
        key.public_key,
        algorithms=["ES256"],
        audience=STATED.audience,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["iat"] == int(NOW.timestamp())
    theirs = pyjwt.encode(claims, key.private, algorithm="ES256", headers=header(key))
    assert verify(theirs, nonce=NONCE) == STATED
