"""Canonical base64url (RFC 4648 §5, RFC 7515 §2): one text for one byte string.

The decoder refuses padding, whitespace, the characters of plain base64 and
non-zero trailing bits. A decoder that lets those pass gives one signed token
several spellings, and whatever keys on the text (a cache, a replay list) can
then be walked around.

The work is done by msgspec, whose reader of base64 strings is strict about
alphabet and padding and twice as fast as ``binascii``; what it leaves open (the
trailing bits, JSON escapes) is closed here and held by property tests.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Padding, the two characters of plain base64 and what means something inside a
# JSON string become one that the strict decoder refuses; "-" and "_" become what
# it expects.
_TO_PLAIN: Final = bytes.maketrans(b'-_+/="\\', b"+/*****")
_FROM_PLAIN: Final = bytes.maketrans(b"+/", b"-_")
_CLOSING: Final = (b'"', b"", b'=="', b'="')
# Last characters whose unused bits are zero: four bits unused when two
# characters remain, two bits when three remain; one can never remain.
_LAST: Final[tuple[frozenset[int], ...]] = (
    frozenset(),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)
_encode_quoted: Final = msgspec.json.Encoder().encode
_decode_quoted: Final = msgspec.json.Decoder(bytes).decode


def encode(data: bytes) -> str:
    """Returns the base64url text of ``data``, without padding."""
    return encode_bytes(data).decode()


def encode_bytes(data: bytes) -> bytes:
    """Returns the base64url text of ``data`` as ASCII bytes."""
    return _encode_quoted(data).translate(_FROM_PLAIN, b'"=')


def decode(text: bytes) -> bytes:
    """Reads canonical base64url.

    Args:
        text: ASCII bytes, may be empty.

    Raises:
        ValueError: a character outside the alphabet, an impossible length, or
            trailing bits that are not zero. The message holds no input.
    """
    remainder = len(text) & 3
    if remainder and text[-1] not in _LAST[remainder]:
        raise ValueError("not canonical base64url")
    try:
        return _decode_quoted(b'"' + text.translate(_TO_PLAIN) + _CLOSING[remainder])
    except ValueError:
        raise ValueError("not canonical base64url") from None
