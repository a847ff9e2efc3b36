"""QR armour of the suite's own: Base45 (RFC 9285) of raw deflate with the fixed dictionary.

Deflate leaves a writer a choice, so another writer's text may differ; what it unpacks
to may not.
"""

from __future__ import annotations

import zlib
from typing import Final

from conformance_tests.crypto import b64, unb64

PREFIX: Final = "HUTONG1:"
MAX_PACKED_BYTES: Final = 6 * 1024
"""What a token of 8 KiB decodes to."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_SIGNATURE_BYTES: Final = 64
# docs/spec/attestation.md: part of the format, fixed for ever.
DICTIONARY: Final = (
    '"Ed25519","RESTRICTED","YELLOW","RED","UNSURE","NO","YES","rule":"","area":""als'
    'o":[{"level":"online","nonce":"ADMINISTRATIVE","TEST","SPACE","TIME","CONTACT""b'
    'asis":["DECLARATION"],"declarations":{"contact":"NO","risk_area":"NO","overseas"'
    ':"NO"},"release":{"days_done":,"days_needed":14},"declared_at":158,"declaration_'
    'valid_until":158{"alg":"ES256","kid":"","typ":"hutong-attestation+jwt"}{"iss":"u'
    'rn:hutong:region:330100","aud":"urn:hutong:region:440000","iat":158,"nbf":158,"e'
    'xp":158,"jti":"","sub":"","use":"carried","code":{"level":"GREEN","scheme":"-jkm'
    '@2020-0","state":"绿码","assessed_at":158,"valid_until":158,"source_at":158,"issue'
    'd_by":"0100"}}'
).encode()


def to_armour(token: str, *, after: bytes = b"", packed_more: bytes = b"") -> str:
    """Write a token as QR text.

    Args:
        token: compact JWS.
        after: bytes behind the stream, which no honest writer puts there.
        packed_more: bytes at the end of what is packed, likewise.
    """
    header, payload, signature = map(unb64, token.split("."))
    packed = b"".join(len(part).to_bytes(2, "big") + part for part in (header, payload))
    stream = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
    data = stream.compress(packed + signature + packed_more) + stream.flush()
    return PREFIX + base45(data + after)


def from_armour(text: str, *, bounded: bool = True, whole: bool = True) -> str:
    """Read a QR text back into a token, of which nothing is verified.

    Args:
        text: what was scanned.
        bounded: refuse what unpacks to more than a token holds.
        whole: refuse what stands after the stream or after the signature.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith(PREFIX):
        raise ValueError("not armour")
    stream = zlib.decompressobj(-15, zdict=DICTIONARY)
    try:
        data = stream.decompress(unbase45(text[len(PREFIX) :]), MAX_PACKED_BYTES if bounded else 0)
    except zlib.error as error:
        raise ValueError("does not unpack") from error
    parts = []
    for _ in range(2):
        length = int.from_bytes(data[:2], "big")
        parts.append(data[2 : 2 + length])
        data = data[2 + length :]
    ends = stream.eof and not stream.unused_data and len(data) == _SIGNATURE_BYTES
    if len(data) < _SIGNATURE_BYTES or (whole and not ends):
        raise ValueError("cut short, too large, or followed by something")
    return ".".join(map(b64, (*parts, data[:_SIGNATURE_BYTES])))


def base45(data: bytes) -> str:
    """Encode as RFC 9285 section 4 says."""
    text = ""
    for start in range(0, len(data), 2):
        group = data[start : start + 2]
        number = int.from_bytes(group, "big")
        for _ in range(len(group) + 1):
            number, value = divmod(number, 45)
            text += _ALPHABET[value]
    return text


def unbase45(text: str) -> bytes:
    """Decode RFC 9285.

    Raises:
        ValueError: a foreign character, an impossible length, or a group too large.
    """
    data = b""
    for start in range(0, len(text), 3):
        group = [_ALPHABET.index(character) for character in text[start : start + 3]]
        number = sum(value * 45**place for place, value in enumerate(group))
        if len(group) == 1 or number >= 1 << 8 * (len(group) - 1):
            raise ValueError("not Base45")
        data += number.to_bytes(len(group) - 1, "big")
    return data
