from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import base64url, pseudonym
from gateway.codes.documents import DocumentType
from gateway.errors import InternalError

SECRET = bytes(range(32))
GUANGZHOU = "urn:hutong:region:440100"
NUMBER = "SYNTHETIC0000001"
TRIPLES = st.tuples(st.text(max_size=30), st.integers(0, 99), st.text(max_size=20))


def test_it_is_an_hmac_over_a_label_and_parts_with_their_lengths() -> None:
    message = b"hutong/v1/pseudonym\0"
    for part in (GUANGZHOU.encode(), b"10", NUMBER.encode()):
        message += len(part).to_bytes(4, "big") + part
    expected = hmac.new(SECRET, message, hashlib.sha256).digest()
    assert pseudonym(SECRET, GUANGZHOU, 10, NUMBER) == base64url.encode(expected)


def test_the_document_type_may_be_given_as_itself() -> None:
    typed = pseudonym(SECRET, GUANGZHOU, DocumentType.RESIDENT_IDENTITY_CARD, NUMBER)
    assert typed == pseudonym(SECRET, GUANGZHOU, 10, NUMBER)


@given(TRIPLES, TRIPLES)
def test_two_people_or_two_audiences_never_share_one(
    one: tuple[str, int, str], other: tuple[str, int, str]
) -> None:
    assert (pseudonym(SECRET, *one) == pseudonym(SECRET, *other)) == (one == other)


@given(TRIPLES)
def test_it_is_43_characters_that_hold_nothing_of_the_person(one: tuple[str, int, str]) -> None:
    text = pseudonym(SECRET, *one)
    assert len(text) == 43
    assert len(base64url.decode(text.encode())) == 32


def test_another_secret_gives_another_pseudonym() -> None:
    other = bytes(reversed(SECRET))
    assert pseudonym(SECRET, GUANGZHOU, 10, NUMBER) != pseudonym(other, GUANGZHOU, 10, NUMBER)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InternalError):
        pseudonym(SECRET[:31], GUANGZHOU, 10, NUMBER)
