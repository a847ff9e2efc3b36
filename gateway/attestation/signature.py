"""A signature of the profile, held against a key: raw ``r || s`` on P-256, or Ed25519.

RFC 7518 §3.4 and RFC 8037 §3.1. The library reads the numbers of ES256 as DER, whose one
spelling is written here; what is out of their range is refused before it is asked.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature

from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.jwk import COORDINATE_BYTES
from gateway.attestation.signing import ES256

if TYPE_CHECKING:
    from gateway.attestation.keys import VerificationKey

# SEC 2 §2.4.2: the order of P-256, below which r and s lie.
_P256_ORDER: Final = bytes.fromhex(
    "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"
)
_ZERO: Final = bytes(COORDINATE_BYTES)


def check_signature(key: VerificationKey, signature: bytes, signing_input: bytes) -> None:
    """Verifies a JWS signature under the key's own algorithm.

    Args:
        key: trusted.
        signature: raw ``r || s``, or that of Ed25519.
        signing_input: the bytes of header and payload with the dot between.

    Raises:
        AttestationError: SIGNATURE_INVALID.
    """
    if len(signature) != 2 * COORDINATE_BYTES:
        raise _bad_signature()
    # A key is of its algorithm's type (`VerificationKey`); asking its abstract class
    # again costs half a microsecond.
    public: Any = key.public_key
    try:
        if key.algorithm == "ES256":
            public.verify(der_of(signature), sha256(signing_input).digest(), ES256)
        else:
            public.verify(signature, signing_input)
    except InvalidSignature:
        raise _bad_signature() from None


def der_of(signature: bytes) -> bytes:
    """Writes ``r || s`` as the DER sequence that the library reads.

    Raises:
        AttestationError: a number is zero, or not below the order of the curve.
    """
    r_first, s_first = signature[0], signature[COORDINATE_BYTES]
    # The order begins with FF: in all but a hundredth of all signatures the first bytes
    # say that the numbers lie between zero and it, and that they have all their bytes.
    if 0 < r_first < 0xFF and 0 < s_first < 0xFF:  # noqa: PLR2004 - as just said
        head, middle = _DER_FRAMES[r_first >> 7][s_first >> 7]
        return head + signature[:COORDINATE_BYTES] + middle + signature[COORDINATE_BYTES:]
    r, s = signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]
    # Bytes of one length compare as the numbers they are.
    if not (_ZERO < r < _P256_ORDER and _ZERO < s < _P256_ORDER):
        raise _bad_signature()
    # DER has no leading zeros, but one in front of a number whose first bit is set.
    r, s = r.lstrip(b"\0"), s.lstrip(b"\0")
    r = b"\0" + r if r[0] & 0x80 else r
    s = b"\0" + s if s[0] & 0x80 else s
    return b"\x30%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _der_frame(r_sign: int, s_sign: int) -> tuple[bytes, bytes]:
    """What stands before and between two numbers of 32 bytes, by their first bits."""
    r_length, s_length = COORDINATE_BYTES + r_sign, COORDINATE_BYTES + s_sign
    head = bytes([0x30, r_length + s_length + 4, 0x02, r_length, *bytes(r_sign)])
    return head, bytes([0x02, s_length, *bytes(s_sign)])


_DER_FRAMES: Final = tuple(tuple(_der_frame(r, s) for s in (0, 1)) for r in (0, 1))


def _bad_signature() -> AttestationError:
    return AttestationError(
        "the signature does not verify", code=AttestationFault.SIGNATURE_INVALID
    )
