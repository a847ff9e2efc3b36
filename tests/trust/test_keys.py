from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import base64url
from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.jwk import thumbprint
from gateway.attestation.keys import generate_signing_key, public_jwk, signing_key_to_jwk
from gateway.attestation.sealing_keys import (
    Profile,
    generate_sealing_key,
    public_sealing_jwk,
    sealing_key_to_jwk,
)
from gateway.trust.keys import (
    MAX_KEYS,
    KeyUse,
    MemberKey,
    parse_member_key,
    parse_member_keys,
    sealing_member_key,
    signing_member_key,
)
from gateway.trust.points import SMALL_ORDER_Y, check_ed25519_point

NOW = datetime(2020, 4, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
EC = generate_signing_key()
ED = generate_signing_key("Ed25519")
HPKE = generate_sealing_key(Profile.HPKE)
JWE = generate_sealing_key(Profile.JWE)


def body(jwk: dict[str, Any], use: str = "attest", **changes: Any) -> dict[str, Any]:
    return {"use": use, "jwk": jwk, "not_before": SECONDS} | changes


def with_kid(jwk: dict[str, Any]) -> dict[str, Any]:
    """The JWK under its true thumbprint, so that only the other property is wrong."""
    return jwk | {"kid": thumbprint(jwk)}


@pytest.mark.parametrize(
    "key",
    [
        signing_member_key(EC, KeyUse.ATTEST, not_before=NOW),
        signing_member_key(ED, KeyUse.STATE, not_before=NOW, not_after=NOW + timedelta(days=1)),
        signing_member_key(EC, KeyUse.AUTHENTICATE, not_before=NOW),
        sealing_member_key(public_sealing_jwk(HPKE), not_before=NOW),
        sealing_member_key(public_sealing_jwk(JWE), not_before=NOW),
    ],
    ids=["attest", "state", "authenticate", "hpke", "jwe"],
)
@pytest.mark.parametrize("decode", [True, False])
def test_every_kind_of_key_reads_back(key: MemberKey, decode: bool) -> None:
    assert parse_member_key(key.to_body(), decode=decode) == key


def test_a_key_decodes_bound_to_its_holder_and_time() -> None:
    end = NOW + timedelta(days=1)
    key = signing_member_key(EC, KeyUse.ATTEST, not_before=NOW, not_after=end)
    bound = key.verification_key(
        issuer="urn:hutong:region:330100", prefixes=("3301",), max_lifetime_seconds=600
    )
    assert bound.key_id == EC.key_id
    assert bound.issuer == "urn:hutong:region:330100"
    assert bound.prefixes == ("3301",)
    assert (bound.not_before, bound.not_after) == (NOW, end)
    assert bound.max_lifetime_seconds == 600


def test_the_end_of_a_key_is_exclusive_and_its_beginning_is_not() -> None:
    end = NOW + timedelta(seconds=10)
    key = signing_member_key(EC, KeyUse.ATTEST, not_before=NOW, not_after=end)
    assert not key.is_valid(NOW - timedelta(microseconds=1))
    assert key.is_valid(NOW)
    assert key.is_valid(end - timedelta(microseconds=1))
    assert not key.is_valid(end)


def _off_the_curve() -> dict[str, Any]:
    jwk = public_jwk(EC)
    y = bytearray(base64url.decode(jwk["y"].encode()))
    y[-1] ^= 1
    return with_kid(jwk | {"y": base64url.encode(bytes(y))})


def _without(jwk: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in jwk.items() if member != name}


SHALLOW = {
    "a private signing key": body(signing_key_to_jwk(EC)),
    "a private Ed25519 key": body(signing_key_to_jwk(ED)),
    "a private HPKE key": body(sealing_key_to_jwk(HPKE), "seal"),
    "a private JWE key": body(sealing_key_to_jwk(JWE), "seal"),
    "kid of another key": body(public_jwk(EC) | {"kid": ED.key_id}),
    "no kid": body(_without(public_jwk(EC), "kid")),
    "a key URL": body(public_jwk(EC) | {"x5u": "https://example.invalid/key"}),
    "a sealing key that signs": body(public_sealing_jwk(HPKE), "attest"),
    "a signing key that seals": body(public_jwk(ED), "seal"),
    "a P-256 signing key that seals": body(public_jwk(EC), "seal"),
    "another curve": body(with_kid({"kty": "OKP", "crv": "X25519", "x": public_jwk(ED)["x"]})),
    "a symmetric key": body({"kty": "oct", "k": "AAAA", "kid": EC.key_id}),
    "an RSA key": body({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": EC.key_id}),
    "an unknown use": body(public_jwk(EC), "sign"),
    "no use": _without(body(public_jwk(EC)), "use"),
    "no beginning": _without(body(public_jwk(EC)), "not_before"),
    "a beginning that is text": body(public_jwk(EC), not_before=str(SECONDS)),
    "a beginning that is true": body(public_jwk(EC), not_before=True),
    "a beginning before the epoch": body(public_jwk(EC), not_before=-1),
    "an end at the beginning": body(public_jwk(EC), not_after=SECONDS),
    "an end that is null": body(public_jwk(EC), not_after=None),
    "an unknown member": body(public_jwk(EC), revoked=False),
    "a coordinate that is a list": body(public_jwk(EC) | {"x": ["A"]}),
    "an algorithm that is a list": body(public_sealing_jwk(JWE) | {"alg": ["ECDH-ES"]}, "seal"),
    "not an object": [body(public_jwk(EC))],
}
DEEP = {
    "a point off the curve": body(_off_the_curve()),
    "a short coordinate": body(with_kid(public_jwk(EC) | {"x": "AAAA"})),
    "a coordinate with padding": body(with_kid(public_jwk(EC) | {"x": public_jwk(EC)["x"] + "="})),
    "the algorithm of another key": body(public_jwk(EC) | {"alg": "Ed25519"}),
    "the use of another key": body(public_jwk(EC) | {"use": "enc"}),
    "a short hybrid key": body(
        with_kid(public_sealing_jwk(HPKE) | {"pub": public_sealing_jwk(HPKE)["pub"][:-4]}), "seal"
    ),
    "a small point": body(
        with_kid(
            {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode((1).to_bytes(32, "little"))}
        )
    ),
}


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("value", SHALLOW.values(), ids=SHALLOW.keys())
def test_a_key_of_a_wrong_shape_is_refused_at_either_depth(
    value: Any,
    decode: bool,
) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        parse_member_key(value, decode=decode)
    assert caught.value.code == "KEY_MALFORMED"


@pytest.mark.parametrize("value", DEEP.values(), ids=DEEP.keys())
def test_a_key_that_does_not_decode_is_refused_at_the_door(value: dict[str, Any]) -> None:
    with pytest.raises(KeyMaterialError):
        parse_member_key(value)


def test_a_key_that_does_not_decode_fails_at_first_use_when_it_came_by_the_feed() -> None:
    key = parse_member_key(DEEP["a point off the curve"], decode=False)
    with pytest.raises(KeyMaterialError):
        key.verification_key(issuer="urn:hutong:region:330100")


def test_a_key_stands_once_whatever_its_use() -> None:
    twice = [body(public_jwk(EC), "attest"), body(public_jwk(EC), "state")]
    with pytest.raises(KeyMaterialError, match="one key has one use"):
        parse_member_keys(twice)


def test_one_point_does_not_both_sign_and_open() -> None:
    jwk = public_jwk(EC)
    sealing = {name: jwk[name] for name in ("kty", "crv", "x", "y", "kid")} | {"alg": "ECDH-ES"}
    with pytest.raises(KeyMaterialError, match="one key has one use"):
        parse_member_keys([body(jwk, "attest"), body(sealing, "seal")])


@pytest.mark.parametrize("values", [[], None, {}, "keys", [body(public_jwk(EC))] * (MAX_KEYS + 1)])
def test_a_member_has_one_to_sixteen_keys(values: Any) -> None:
    with pytest.raises(KeyMaterialError):
        parse_member_keys(values)


def test_a_use_that_does_not_fit_the_key_is_refused() -> None:
    with pytest.raises(KeyMaterialError):
        signing_member_key(EC, KeyUse.SEAL, not_before=NOW)
    with pytest.raises(KeyMaterialError):
        signing_member_key(EC, KeyUse.ATTEST, not_before=NOW).sealing_key()
    with pytest.raises(KeyMaterialError):
        sealing_member_key(public_sealing_jwk(HPKE), not_before=NOW).verification_key(issuer="")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        signing_member_key(EC, KeyUse.ATTEST, not_before=NOW.replace(tzinfo=None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(["use", "jwk", "not_before", "not_after"]),
    json_values,
    st.booleans(),
)
def test_any_value_in_any_member_is_read_or_refused(member: str, value: Any, decode: bool) -> None:
    try:
        key = parse_member_key(body(public_jwk(EC)) | {member: value}, decode=decode)
    except KeyMaterialError:
        return
    assert key.key_id == EC.key_id


@given(st.sampled_from(["kty", "crv", "x", "y", "kid", "alg", "use", "d"]), json_values)
def test_any_value_in_any_member_of_the_jwk_is_read_or_refused(member: str, value: Any) -> None:
    try:
        key = parse_member_key(body(public_jwk(EC) | {member: value}))
    except KeyMaterialError:
        return
    assert key.key_id == EC.key_id


# --- Ed25519 points, against arithmetic written out from RFC 8032 §5.1.4 ---------------

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493


def _x(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for candidate in (root, root * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == square:
            return candidate
    return None


def _add(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    product = D * one[0] * two[0] * one[1] * two[1]
    return (
        (one[0] * two[1] + two[0] * one[1]) * pow(1 + product, -1, P) % P,
        (one[1] * two[1] + one[0] * two[0]) * pow(1 - product, -1, P) % P,
    )


def _times(factor: int, point: tuple[int, int]) -> tuple[int, int]:
    total = (0, 1)
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def test_the_points_of_small_order_are_exactly_those_refused() -> None:
    for y in range(3, 100):
        x = _x(y)
        if x is None:
            continue
        torsion = _times(ORDER, (x, y))
        if _times(4, torsion) != (0, 1):
            break
    else:
        pytest.fail("no point of order eight found")
    assert {_times(factor, torsion)[1] for factor in range(8)} == SMALL_ORDER_Y


@given(st.integers(2, 1000))
def test_a_point_is_accepted_exactly_when_it_is_on_the_curve(y: int) -> None:
    encoded = y.to_bytes(32, "little")
    if _x(y) is None:
        with pytest.raises(KeyMaterialError):
            check_ed25519_point(encoded)
    else:
        check_ed25519_point(encoded)


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1])
def test_a_point_has_one_encoding(y: int) -> None:
    with pytest.raises(KeyMaterialError, match="canonically"):
        check_ed25519_point(y.to_bytes(32, "little"))


def test_every_key_that_a_library_makes_passes() -> None:
    for _ in range(50):
        raw = base64url.decode(public_jwk(generate_signing_key("Ed25519"))["x"].encode())
        check_ed25519_point(raw)
