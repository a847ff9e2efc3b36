"""Raw signatures and their DER, number by number."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import AttestationError, base64url, public_key_from_jwk
from gateway.attestation.signature import check_signature, der_of
from gateway.attestation.signing import _raw
from tests.attestation.samples import verification_key

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@given(st.integers(1, P256_ORDER - 1), st.integers(1, P256_ORDER - 1))
def test_the_der_of_a_signature_is_that_of_the_library(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert der_of(raw) == encode_dss_signature(r, s)
    assert _raw(der_of(raw)) == raw


NUMBERS = (
    st.integers(0, 2**256 - 1)
    | st.integers(P256_ORDER - 2, P256_ORDER + 2)
    | st.integers(0xFE << 248, 2**256 - 1)
    | st.integers(0, 2**248)
    | st.just(0)
)


@given(NUMBERS, NUMBERS)
def test_a_number_out_of_range_has_no_der(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if 0 < r < P256_ORDER and 0 < s < P256_ORDER:
        assert der_of(raw) == encode_dss_signature(r, s)
    else:
        with pytest.raises(AttestationError) as caught:
            der_of(raw)
        assert caught.value.code == "SIGNATURE_INVALID"


@pytest.mark.parametrize("small", [1, 0x7F, 0x80, 0xFF, 0x100, 2**247, 2**248 - 1, 2**255 - 1])
def test_the_der_of_small_numbers_is_that_of_the_library(small: int) -> None:
    raw = small.to_bytes(32, "big") + (P256_ORDER - 1).to_bytes(32, "big")
    assert der_of(raw) == encode_dss_signature(small, P256_ORDER - 1)
    assert _raw(der_of(raw)) == raw


def test_the_example_of_rfc_7515_verifies() -> None:
    # Appendix A.3; its claims are not ours, so the signature alone.
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    signing_input, _, signature = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
        b"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        b"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
        b"pmWQxfKTUJqPP3-Kg6NU1Q"
    ).rpartition(b".")
    key = dataclasses.replace(
        verification_key(), public_key=public_key_from_jwk(jwk)[2], key_id="unused here"
    )
    check_signature(key, base64url.decode(signature), signing_input)
