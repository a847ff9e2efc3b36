from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import base64url

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize(
    ("data", "text"),
    # RFC 4648 §10, without padding, and the two characters that differ.
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff", "-_8"),
    ],
)
def test_the_examples_of_the_rfc_hold(data: bytes, text: str) -> None:
    assert base64url.encode(data) == text
    assert base64url.decode(text.encode()) == data


@given(st.binary(max_size=100))
def test_what_is_encoded_reads_back_and_equals_the_standard_library(data: bytes) -> None:
    text = base64url.encode(data)
    assert text.encode() == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert base64url.decode(text.encode()) == data


@given(st.binary(max_size=12) | st.lists(st.sampled_from(ALPHABET), max_size=12).map(bytes))
def test_whatever_reads_is_the_one_spelling_of_its_bytes(text: bytes) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data).encode() == text


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_foreign_character_anywhere_is_refused(data: bytes, draw: st.DataObject) -> None:
    text = base64url.encode(data).encode()
    at = draw.draw(st.integers(0, len(text)))
    foreign = draw.draw(st.integers(0, 255).filter(lambda byte: byte not in ALPHABET))
    with pytest.raises(ValueError, match="canonical"):
        base64url.decode(text[:at] + bytes([foreign]) + text[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        b"Zg==",
        b"Zg=",
        b"Zm8=",
        b"Z",
        b"Zm9vY",
        b"Zh",  # a trailing bit is set
        b"Zm9",  # likewise, of two
        b"+/8",
        b"Zm 9v",
        b"Zm9v\n",
        b"\nZm9v",
        b'Zm9v"',
        b"\\u005a",
        b"Zm9v\x00",
        "Zm９v".encode(),
    ],
)
def test_any_other_spelling_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        base64url.decode(text)


FRAGMENTS = st.sampled_from(
    [b"Zg", b"Zm8", b"Zm9v", b"-_8", b"=", b"==", b'"', b'","', b"\\", b"\\/", b"\\u005a", b"\\n"]
) | st.binary(max_size=3)
TEXTS = st.lists(FRAGMENTS, max_size=5).map(b"".join)


def read(text: bytes) -> bytes | None:
    try:
        return base64url.decode(text)
    except ValueError:
        return None


@given(TEXTS)
def test_no_padding_quote_or_escape_makes_a_second_spelling(text: bytes) -> None:
    data = read(text)
    assert data is None or base64url.encode_bytes(data) == text


@given(TEXTS | st.binary(max_size=30).map(base64url.encode_bytes), TEXTS)
def test_two_texts_read_at_once_as_one_after_the_other(first: bytes, second: bytes) -> None:
    for one, two in ((first, second), (second, first)):
        expected = read(one), read(two)
        try:
            pair = base64url.decode_pair(one.decode("latin-1"), two.decode("latin-1"))
        except ValueError as error:
            assert None in expected
            assert str(error) == "not canonical base64url"  # noqa: PT017 - none of the input
        else:
            assert pair == expected


@pytest.mark.parametrize("text", ["Zm９v", "Zm\ud800v", "Zm9v\u0661", "ＺＺＺＺ"])
def test_text_that_is_not_ascii_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="canonical"):
        base64url.decode_text(text)
    with pytest.raises(ValueError, match="canonical"):
        base64url.decode_pair(text, "Zg")
    with pytest.raises(ValueError, match="canonical"):
        base64url.decode_pair("Zg", text)
