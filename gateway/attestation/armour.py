"""QR armour: a carried attestation as the text of a QR code.

``HUTONG1:`` followed by Base45 (RFC 9285) of a raw deflate stream (RFC 1951) with
the preset dictionary below. The stream holds the decoded segments of the token:
header and payload, each after its length (two bytes, big endian), then the 64
bytes of the signature. Base45 uses exactly the alphanumeric set of QR codes
(ISO/IEC 18004), so a code of a given version holds more of it than of base64 in
byte mode; and the token is taken out of base64 before it is packed. Measured against the
digits of SMART Health Cards in docs/adr/0017: this one is the smaller in every symbol.

``HUTONG2:`` is the same for an attestation that is disclosed in part (``sd_jwt``), with
a dictionary of its own; after the signature stand the disclosures, each decoded and
after its length.

One text has one meaning, and a token always gets the same text from this
implementation. Another implementation's deflate may choose other matches for
the same bytes; its text reads to the same token, and the token is what is
verified and remembered. Nothing grows beyond the size of a token, however the
text was packed, and nothing may follow the stream. Nothing is verified here:
what comes out is a token to hand to the verifier.
"""

from __future__ import annotations

import zlib
from typing import Final

from gateway.attestation import base64url
from gateway.attestation.errors import ArmourError

PREFIX: Final = "HUTONG1:"
"""Marks an armoured attestation and its version; within the QR alphanumeric set."""
SD_PREFIX: Final = "HUTONG2:"
"""Marks one that is disclosed in part."""
MAX_ARMOUR_CHARACTERS: Final = 4296
"""Alphanumeric capacity of the largest QR code, version 40-L (ISO/IEC 18004)."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_BASE: Final = 45
# A token of 8 KiB is 6 KiB of bytes; nothing honest unpacks to more.
_MAX_PACKED_BYTES: Final = 6 * 1024
_SEGMENTS: Final = 3
_LENGTH_BYTES: Final = 2
_SIGNATURE_BYTES: Final = 64
# Raw deflate with its full window: the wrapper's checksum would repeat what the
# signature already does.
_RAW_DEFLATE: Final = -15
_BEST: Final = 9

# Part of the format HUTONG1 and so fixed for ever: another dictionary needs
# another prefix. What is likeliest stands last, where deflate reaches it cheapest.
_DICTIONARY: Final = (
    '"Ed25519","RESTRICTED","YELLOW","RED","UNSURE","NO","YES","rule":"","area":"'
    '"also":[{"level":"online","nonce":"ADMINISTRATIVE","TEST","SPACE","TIME","CONTACT"'
    '"basis":["DECLARATION"],"declarations":{"contact":"NO","risk_area":"NO","overseas":"NO"}'
    ',"release":{"days_done":,"days_needed":14},"declared_at":158'
    ',"declaration_valid_until":158'
    '{"alg":"ES256","kid":"","typ":"hutong-attestation+jwt"}'
    '{"iss":"urn:hutong:region:330100","aud":"urn:hutong:region:440000","iat":158'
    ',"nbf":158,"exp":158,"jti":"","sub":"","use":"carried","code":{"level":"GREEN"'
    ',"scheme":"-jkm@2020-0","state":"绿码","assessed_at":158,"valid_until":158'
    ',"source_at":158,"issued_by":"0100"}}'
).encode()

# Likewise part of the format, of HUTONG2.
_SD_DICTIONARY: Final = (
    '"Ed25519","RESTRICTED","YELLOW","RED","ADMINISTRATIVE","TEST","SPACE","TIME","CONTACT"'
    '"online","nonce":","status":{"status_list":{"idx":,"uri":"https://"}},"serial":'
    '["","also",null]["","rule",null]["","negative_test_at",null]["","area",null]'
    '["","declarations",{"contact":"NO","risk_area":"NO","overseas":"NO"}]'
    '["","release",{"days_done":,"days_needed":14}]["","declared_at",158'
    ']["","declaration_valid_until",158]["","basis",["DECLARATION"]]["","sub",""]'
    '["","source_at",158]["","assessed_at",158]["","scheme","-jkm@2020-0"]["","state","绿码"]'
    '["","valid_until",null]{"alg":"ES256","kid":"","typ":"hutong-attestation+sd-jwt"}'
    '{"iss":"urn:hutong:region:330100","aud":"urn:hutong:region:440000","iat":158'
    ',"nbf":158,"exp":158,"jti":"","use":"carried","vct":"urn:hutong:vct:code"'
    ',"_sd_alg":"sha-256","code":{"_sd":["","",""]},"_sd":[""]}'
    '["","level","GREEN"]["","valid_until",158]["","issued_by","0100"]'
).encode()


def is_armour(text: str) -> bool:
    """Tells an armoured attestation from a local QR text, by its prefix alone."""
    return text.startswith((PREFIX, SD_PREFIX))


def to_armour(token: str) -> str:
    """Writes a token as QR text.

    Raises:
        ArmourError: not three segments of canonical base64url, or too large for
            any QR code.
    """
    is_whole = "~" not in token
    signed, *parts = token.split("~")
    # Behind the last separator nothing stands.
    if parts and parts.pop():
        raise _invalid()
    segments = signed.split(".")
    if len(segments) != _SEGMENTS:
        raise _invalid()
    try:
        header, payload, signature, *disclosures = (
            base64url.decode(part.encode("ascii")) for part in (*segments, *parts)
        )
    except ValueError:
        raise _invalid() from None
    if len(signature) != _SIGNATURE_BYTES:
        raise _invalid()
    packed = b"".join((_framed(header), _framed(payload), signature, *map(_framed, disclosures)))
    if len(packed) > _MAX_PACKED_BYTES:
        raise _too_large()
    prefix, dictionary = _KINDS[is_whole]
    stream = zlib.compressobj(_BEST, zlib.DEFLATED, _RAW_DEFLATE, zdict=dictionary)
    text = prefix + base45_encode(stream.compress(packed) + stream.flush())
    if len(text) > MAX_ARMOUR_CHARACTERS:
        raise _too_large()
    return text


def from_armour(text: str) -> str:
    """Reads a QR text back into the token.

    Raises:
        ArmourError: another prefix, a foreign character, a broken or oversized
            packing, or something left over.
    """
    if len(text) > MAX_ARMOUR_CHARACTERS or not is_armour(text):
        raise _invalid()
    is_whole = text.startswith(PREFIX)
    prefix, dictionary = _KINDS[is_whole]
    try:
        packed = _inflate(base45_decode(text[len(prefix) :]), dictionary)
    except (ValueError, zlib.error):
        raise _invalid() from None
    header, rest = _take(packed)
    payload, rest = _take(rest)
    signature, rest = rest[:_SIGNATURE_BYTES], rest[_SIGNATURE_BYTES:]
    if len(signature) != _SIGNATURE_BYTES or (is_whole and rest):
        raise _invalid()
    signed = ".".join(base64url.encode(part) for part in (header, payload, signature))
    if is_whole:
        return signed
    disclosures = []
    while rest:
        disclosure, rest = _take(rest)
        disclosures.append(base64url.encode(disclosure))
    return "~".join((signed, *disclosures, ""))


def base45_encode(data: bytes) -> str:
    """Encodes as RFC 9285 §4 says: two bytes to three characters, one to two."""
    characters: list[str] = []
    for start in range(0, len(data) - 1, 2):
        high, low = divmod(data[start] << 8 | data[start + 1], _BASE * _BASE)
        middle, low = divmod(low, _BASE)
        characters += (_ALPHABET[low], _ALPHABET[middle], _ALPHABET[high])
    if len(data) % 2:
        high, low = divmod(data[-1], _BASE)
        characters += (_ALPHABET[low], _ALPHABET[high])
    return "".join(characters)


def base45_decode(text: str) -> bytes:
    """Decodes RFC 9285.

    Raises:
        ValueError: a foreign character, an impossible length, or a group that
            stands for more than its bytes hold.
    """
    try:
        values = [_VALUES[character] for character in text]
    except KeyError:
        raise ValueError("a character is not of Base45") from None
    if len(values) % 3 == 1:
        raise ValueError("an impossible length")
    data = bytearray()
    for start in range(0, len(values), 3):
        group = values[start : start + 3]
        number = sum(value * _BASE**place for place, value in enumerate(group))
        length = len(group) - 1
        if number >> 8 * length:
            raise ValueError("a group stands for too much")
        data += number.to_bytes(length, "big")
    return bytes(data)


_KINDS: Final = {True: (PREFIX, _DICTIONARY), False: (SD_PREFIX, _SD_DICTIONARY)}
"""Prefix and dictionary, by whether the attestation is whole."""


def _inflate(data: bytes, dictionary: bytes) -> bytes:
    stream = zlib.decompressobj(_RAW_DEFLATE, zdict=dictionary)
    packed = stream.decompress(data, _MAX_PACKED_BYTES)
    if not stream.eof or stream.unused_data:
        raise ValueError("cut short, too large, or followed by something")
    return packed


def _framed(part: bytes) -> bytes:
    """Puts the length of a part in front of it."""
    if len(part) > _MAX_PACKED_BYTES:
        raise _too_large()
    return len(part).to_bytes(_LENGTH_BYTES, "big") + part


def _take(packed: bytes) -> tuple[bytes, bytes]:
    """Splits off one part with its length in front."""
    end = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES], "big")
    if len(packed) < end:
        raise _invalid()
    return packed[_LENGTH_BYTES:end], packed[end:]


def _too_large() -> ArmourError:
    return ArmourError("the token is too large for a QR code")


def _invalid() -> ArmourError:
    return ArmourError("the text is not an armoured attestation")
