"""QR armour of the suite's own: Base45 (RFC 9285) of raw deflate with a fixed dictionary.

``HUTONG1:`` holds a whole attestation, ``HUTONG2:`` one that is shown in part.

Deflate leaves a writer a choice, so another writer's text may differ; what it unpacks
to may not.
"""

from __future__ import annotations

import zlib
from typing import Final

from conformance_tests.crypto import b64, unb64

PREFIX: Final = "HUTONG1:"
PART_PREFIX: Final = "HUTONG2:"
MAX_PACKED_BYTES: Final = 6 * 1024
"""What a token of 8 KiB decodes to."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_SIGNATURE_BYTES: Final = 64
_LENGTH_BYTES: Final = 2
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
# docs/spec/disclosure.md: likewise.
PART_DICTIONARY: Final = (
    '"Ed25519","RESTRICTED","YELLOW","RED","ADMINISTRATIVE","TEST","SPACE","TIME","C'
    'ONTACT""online","nonce":","status":{"status_list":{"idx":,"uri":"https://"}},"se'
    'rial":["","also",null]["","rule",null]["","negative_test_at",null]["","area",nul'
    'l]["","declarations",{"contact":"NO","risk_area":"NO","overseas":"NO"}]["","rele'
    'ase",{"days_done":,"days_needed":14}]["","declared_at",158]["","declaration_vali'
    'd_until",158]["","basis",["DECLARATION"]]["","sub",""]["","source_at",158]["","a'
    'ssessed_at",158]["","scheme","-jkm@2020-0"]["","state","绿码"]["","valid_until",n'
    'ull]{"alg":"ES256","kid":"","typ":"hutong-attestation+sd-jwt"}{"iss":"urn:hutong'
    ':region:330100","aud":"urn:hutong:region:440000","iat":158,"nbf":158,"exp":158,"'
    'jti":"","use":"carried","vct":"urn:hutong:vct:code","_sd_alg":"sha-256","code":{'
    '"_sd":["","",""]},"_sd":[""]}["","level","GREEN"]["","valid_until",158]["","issu'
    'ed_by","0100"]'
).encode()
_DICTIONARIES: Final = {PREFIX: DICTIONARY, PART_PREFIX: PART_DICTIONARY}


def to_armour(token: str, *, after: bytes = b"", packed_more: bytes = b"") -> str:
    """Write a token as QR text.

    Args:
        token: compact JWS, or one with disclosures behind it.
        after: bytes behind the stream, which no honest writer puts there.
        packed_more: bytes at the end of what is packed, likewise.
    """
    signed, *disclosures = token.split("~")
    prefix = PART_PREFIX if disclosures else PREFIX
    header, payload, signature = map(unb64, signed.split("."))
    packed = _framed(header) + _framed(payload) + signature
    packed += b"".join(_framed(unb64(text)) for text in disclosures[:-1])
    stream = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARIES[prefix])
    data = stream.compress(packed + packed_more) + stream.flush()
    return prefix + base45(data + after)


def from_armour(text: str, *, bounded: bool = True, whole: bool = True) -> str:
    """Read a QR text back into a token, of which nothing is verified.

    Args:
        text: what was scanned.
        bounded: refuse what unpacks to more than a token holds.
        whole: refuse what stands after the stream or at the end of what is packed.

    Raises:
        ValueError: it is none.
    """
    prefix = next((each for each in _DICTIONARIES if text.startswith(each)), "")
    if not prefix:
        raise ValueError("not armour")
    stream = zlib.decompressobj(-15, zdict=_DICTIONARIES[prefix])
    try:
        data = stream.decompress(unbase45(text[len(prefix) :]), MAX_PACKED_BYTES if bounded else 0)
    except zlib.error as error:
        raise ValueError("does not unpack") from error
    header, data = _taken(data)
    payload, data = _taken(data)
    signature, data = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    disclosures = []
    while prefix == PART_PREFIX and len(data) >= _LENGTH_BYTES:
        disclosure, data = _taken(data)
        disclosures.append(b64(disclosure))
    ends = stream.eof and not stream.unused_data and not data
    if len(signature) < _SIGNATURE_BYTES or (whole and not ends):
        raise ValueError("cut short, too large, or followed by something")
    signed = ".".join(map(b64, (header, payload, signature)))
    return signed if prefix == PREFIX else "~".join((signed, *disclosures, ""))


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH_BYTES, "big") + part


def _taken(data: bytes) -> tuple[bytes, bytes]:
    """Split off what stands behind its length."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    return data[_LENGTH_BYTES:end], data[end:]


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
