"""Canonical base64url (RFC 4648 §5, RFC 7515 §2): one text for one byte string.

The decoder refuses padding, whitespace, the characters of plain base64 and
non-zero trailing bits. A decoder that lets those pass gives one signed token
several spellings, and whatever keys on the text (a cache, a replay list) can
then be walked around.

The work is done by msgspec, whose reader of base64 is strict about alphabet and
padding and twice as fast as ``binascii``. It reads the plain alphabet with padding, so
what that leaves open is closed here, and held by property tests: the two characters of
plain base64, padding in the text, the trailing bits.
"""

from __future__ import annotations

from typing import Final

import msgspec

# By the number of characters that remain of the last four: what plain base64 fills
# them up with, and the last characters whose unused bits are zero. Four bits are unused
# when two characters remain, two bits when three remain; one can never remain.
_PADDING: Final = ("", "", "==", "=")
_LAST: Final = ("", "", "AQgw", "AEIMQUYcgkosw048")
_encode_quoted: Final = msgspec.json.Encoder().encode
_convert: Final = msgspec.convert


class _Pair(msgspec.Struct, array_like=True, gc=False):
    first: bytes
    second: bytes


def encode(data: bytes) -> str:
    """Returns the base64url text of ``data``, without padding."""
    return encode_bytes(data).decode()


def encode_bytes(data: bytes) -> bytes:
    """Returns the base64url text of ``data`` as ASCII bytes."""
    # Of text the two characters are rare and of a signature few, so that replacing
    # them costs a third of a translation.
    return _encode_quoted(data).strip(b'"=').replace(b"+", b"-").replace(b"/", b"_")


def decode(text: bytes) -> bytes:
    """Reads canonical base64url.

    Args:
        text: ASCII bytes, may be empty.

    Raises:
        ValueError: a character outside the alphabet, an impossible length, or
            trailing bits that are not zero. The message holds no input.
    """
    try:
        return decode_text(text.decode("ascii"))
    except ValueError:
        raise _not_canonical() from None


def decode_text(text: str) -> bytes:
    """Reads canonical base64url from text, which need not be ASCII.

    Raises:
        ValueError: as ``decode``.
    """
    length = len(text)
    remainder = length & 3
    if (remainder and text[-1] not in _LAST[remainder]) or "+" in text or "/" in text:
        raise _not_canonical()
    plain = (text + _PADDING[remainder]).replace("-", "+").replace("_", "/")
    try:
        data = _convert(plain, bytes)
    except ValueError:
        raise _not_canonical() from None
    # Fewer bytes than these characters make: the text ends in padding of its own.
    if len(data) != length * 3 >> 2:
        raise _not_canonical()
    return data


def decode_pair(first: str, second: str) -> tuple[bytes, bytes]:
    """Reads two texts at once, for a sixth less than one after the other.

    Args:
        first: what stands behind the header of a token, as ``decode_text`` takes it.
        second: what stands behind that.

    Raises:
        ValueError: as ``decode``, for either.
    """
    length, other = len(first), len(second)
    remainder, rest = length & 3, other & 3
    if (
        (remainder and first[-1] not in _LAST[remainder])
        or (rest and second[-1] not in _LAST[rest])
        or "+" in first
        or "/" in first
        or "+" in second
        or "/" in second
    ):
        raise _not_canonical()
    try:
        pair = _convert(
            (
                (first + _PADDING[remainder]).replace("-", "+").replace("_", "/"),
                (second + _PADDING[rest]).replace("-", "+").replace("_", "/"),
            ),
            _Pair,
        )
    except ValueError:
        raise _not_canonical() from None
    one, two = pair.first, pair.second
    if len(one) != length * 3 >> 2 or len(two) != other * 3 >> 2:
        raise _not_canonical()
    return one, two


def _not_canonical() -> ValueError:
    return ValueError("not canonical base64url")
