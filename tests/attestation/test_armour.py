from __future__ import annotations

import hashlib
import zlib
from datetime import timedelta

import pytest
import segno
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import (
    ArmourError,
    SigningKey,
    base64url,
    from_armour,
    is_armour,
    sign_attestation,
    to_armour,
)
from gateway.attestation.armour import (
    _DICTIONARY,
    _RAW_DEFLATE,
    MAX_ARMOUR_CHARACTERS,
    PREFIX,
    base45_decode,
    base45_encode,
)
from tests.attestation.samples import ES256_KEY, KEYS, NOW, attestation, header, sign, verify

SEGMENTS = st.binary(max_size=400)
TOKENS = st.builds(
    lambda head, payload, signature: ".".join(map(base64url.encode, (head, payload, signature))),
    SEGMENTS,
    SEGMENTS,
    st.binary(min_size=64, max_size=64),
)
CARRIED = attestation(expires_at=NOW + timedelta(hours=6))
TOKEN = sign_attestation(CARRIED, ES256_KEY)
QR_ALPHANUMERIC = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


def packed(data: bytes, *, tail: bytes = b"", level: int = 9) -> str:
    """A text with any bytes in it."""
    stream = zlib.compressobj(level, zlib.DEFLATED, _RAW_DEFLATE, zdict=_DICTIONARY)
    return PREFIX + base45_encode(stream.compress(data) + stream.flush() + tail)


def laid_out(head: bytes, payload: bytes, signature: bytes) -> bytes:
    parts = (len(head).to_bytes(2, "big"), head, len(payload).to_bytes(2, "big"), payload)
    return b"".join((*parts, signature))


def refused(text: str) -> None:
    with pytest.raises(ArmourError) as caught:
        from_armour(text)
    assert caught.value.code == "ARMOUR_INVALID"


@pytest.mark.parametrize(
    ("data", "text"),
    # RFC 9285 §4.3 and §4.4.
    [
        (b"AB", "BB8"),
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),
    ],
)
def test_the_examples_of_the_rfc_hold(data: bytes, text: str) -> None:
    assert base45_encode(data) == text
    assert base45_decode(text) == data


@given(st.binary(max_size=200))
def test_base45_reads_back_and_stays_within_the_alphanumeric_set(data: bytes) -> None:
    text = base45_encode(data)
    assert base45_decode(text) == data
    assert set(text) <= QR_ALPHANUMERIC


@given(st.text(st.sampled_from(sorted(QR_ALPHANUMERIC)), max_size=12))
def test_base45_has_one_spelling(text: str) -> None:
    try:
        data = base45_decode(text)
    except ValueError:
        return
    assert base45_encode(data) == text


@pytest.mark.parametrize("text", ["A", "AAAA", ":::", "GGW", "::", "aaa", "A_A", "０AA"])
def test_what_is_not_base45_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Base45|impossible|too much"):
        base45_decode(text)


@given(TOKENS)
def test_a_token_survives_its_armour_and_has_one_text(token: str) -> None:
    text = to_armour(token)
    assert is_armour(text)
    assert set(text) <= QR_ALPHANUMERIC
    assert from_armour(text) == token
    assert to_armour(from_armour(text)) == text


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_a_real_qr_code_reads_back_to_the_token_and_it_verifies(key: SigningKey) -> None:
    text = to_armour(sign_attestation(CARRIED, key))
    symbol = segno.make_qr(text, error="m")
    rows = [bytes(0 if dark else 255 for dark in row) for row in symbol.matrix_iter(4, 4)]
    image = memoryview(b"".join(rows)).cast("B", (len(rows), len(rows[0])))
    found = zxingcpp.read_barcodes(image, text_mode=zxingcpp.TextMode.Plain)
    assert [barcode.text for barcode in found] == [text]
    assert verify(from_armour(found[0].text)) == CARRIED


def test_a_carried_attestation_fits_a_code_that_a_phone_screen_shows_well() -> None:
    # Version 16-M is 81 modules a side: half a millimetre each on a 45 mm square.
    symbol = segno.make_qr(to_armour(TOKEN), error="m")
    assert symbol.mode == "alphanumeric"
    assert int(symbol.version) <= 16


def test_another_compression_of_the_same_bytes_reads_to_the_same_token() -> None:
    parts = [base64url.decode(segment.encode()) for segment in TOKEN.split(".")]
    for level in (0, 1, 6):
        assert from_armour(packed(laid_out(*parts), level=level)) == TOKEN


def test_a_stranger_text_is_no_armour() -> None:
    assert not is_armour("https://example.invalid/code")
    assert not is_armour("hutong1:")
    assert not is_armour("")
    for text in ("", "HUTONG1", "HUTONG3:" + to_armour(TOKEN)[8:], to_armour(TOKEN).lower()):
        refused(text)


def test_what_follows_or_is_missing_is_refused() -> None:
    text = to_armour(TOKEN)
    for spoiled in (text[:-1], text[:-3], text + "0", text + "000", text + " ", text[:30], PREFIX):
        refused(spoiled)
    parts = [base64url.decode(segment.encode()) for segment in TOKEN.split(".")]
    good = laid_out(*parts)
    assert from_armour(packed(good)) == TOKEN
    refused(packed(good, tail=b"\0"))
    refused(packed(good, tail=b"\x03\0"))
    for spoiled_bytes in (good + b"\0", good[:-1], good[1:], b"", b"\0", b"\xff\xff" + good):
        refused(packed(spoiled_bytes))


@given(st.data())
def test_one_character_changed_gives_no_other_good_token(draw: st.DataObject) -> None:
    text = to_armour(TOKEN)
    at = draw.draw(st.integers(len(PREFIX), len(text) - 1))
    other = draw.draw(st.sampled_from(sorted(QR_ALPHANUMERIC)))
    try:
        token = from_armour(text[:at] + other + text[at + 1 :])
    except ArmourError:
        return
    # Unused bits at the end of a deflate stream are nobody's; the token counts.
    assert token == TOKEN or token.count(".") == 2


@given(st.text(max_size=40) | st.text(st.sampled_from(sorted(QR_ALPHANUMERIC)), max_size=60))
def test_any_text_is_refused_or_read_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(ArmourError):
        from_armour(text)
    try:
        token = from_armour(PREFIX + text)
    except ArmourError:
        return
    assert token.count(".") == 2


def test_a_bomb_is_not_unpacked() -> None:
    bomb = packed(bytes(4_000_000))
    assert len(bomb) > MAX_ARMOUR_CHARACTERS
    refused(bomb)
    small = packed(bytes(1_000_000))
    assert len(small) < MAX_ARMOUR_CHARACTERS
    refused(small)


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "!.!.!", TOKEN + ".x", TOKEN[:-2], TOKEN + "=", "é" + TOKEN],
    ids=lambda token: token[:8],
)
def test_what_is_no_token_is_not_armoured(token: str) -> None:
    with pytest.raises(ArmourError):
        to_armour(token)


def test_a_token_too_large_for_any_code_is_not_armoured() -> None:
    noise = base64url.encode(bytes(range(256)) * 22)
    with pytest.raises(ArmourError):
        to_armour(sign(header(), {"noise": noise}))
    # Within the bound of what is unpacked, but beyond what any symbol holds.
    incompressible = hashlib.shake_256(b"synthetic").digest(4000)
    with pytest.raises(ArmourError):
        to_armour(sign(header(), incompressible))
