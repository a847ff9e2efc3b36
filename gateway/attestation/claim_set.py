"""The claim set of an attestation, as it stands in the token: read, written, checked.

The claim set is closed: ``iss aud iat nbf exp jti sub use code``, online only
``nonce``, for an import, where the document is known, ``bound``, for a carried one,
where the issuer keeps a status list, ``status``, and, where the issuer numbers its
lots, ``serial``. Times are integer seconds since the epoch; what is unknown is left
out, never null. Writing is deterministic: fixed member order, no whitespace, UTF-8
unescaped.

Reading is strict: no unknown, doubled or null member, no number with a fraction,
no text out of its form. The writer runs the same checks, so nothing is signed
that a reader would refuse. Both raise ``AttestationError`` whose message names
the claim and never its value.

Invariants of what was read or written:

* ``iat <= nbf < exp``, ``exp - iat`` within the life of its use, and ``exp`` not
  after ``valid_until`` of any report;
* ``nonce`` is there exactly when the use is online, ``bound`` at most for an import,
  ``status`` at most when the use is carried;
* ``sub`` has the form of a pseudonym, so no document number fits in it.

Whether the times hold *now* is the verifier's question (``verifying``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.attestation import base64url, strict_json
from gateway.attestation.code_claim import CodeClaim, Seconds, check_code, outlived
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.in_form import InForm
from gateway.attestation.regions import AUDIENCES, REGIONS


class AttestationUse(StrEnum):
    """How an attestation is used, which sets its lifetime."""

    ONLINE = "online"
    """Read at once by the asking edge; repeats the question's nonce."""
    CARRIED = "carried"
    """Carried by the holder and verified offline later; bears no nonce."""
    IMPORT = "import"
    """Handed to the destination's adapter, which makes a local code of it; bears no
    nonce, and a commitment to the document (``bound``)."""


MAX_ONLINE_SECONDS: Final = 10 * 60
"""Life of an online attestation (docs/spec/attestation.md, HT-ATT-7)."""
MAX_CARRIED_SECONDS: Final = 24 * 60 * 60
"""Life of a carried one (HT-ATT-7)."""
MAX_IMPORT_SECONDS: Final = 10 * 60
"""Life of one that is imported (HT-ATT-7): it is handed on at once."""
NONCE_BYTES: Final = 16
"""Length of a question's nonce (``hutong.v1.Question``)."""
SUBJECT_LENGTH: Final = 43
"""Characters of a pseudonym: a SHA-256 in base64url (``pseudonym``)."""

BOUND_BYTES: Final = 32
"""Length of a commitment: a SHA-256 (``bound``)."""
MAX_STATUS_URI_LENGTH: Final = 256
"""As the subject of a feed entry, which a status list is."""
MAX_STATUS_INDEX: Final = 2**31 - 1
"""No list of the profile is longer: two thousand million people."""
MAX_SERIAL: Final = 2**53 - 1
"""The largest integer that every JSON reader holds (RFC 8259 §6)."""

_LIFE_SECONDS: Final = {
    AttestationUse.ONLINE: MAX_ONLINE_SECONDS,
    AttestationUse.CARRIED: MAX_CARRIED_SECONDS,
    AttestationUse.IMPORT: MAX_IMPORT_SECONDS,
}
_TOKEN_ID_LENGTHS: Final = range(16, 65)
"""16 characters of base64url carry the 96 bits that make an id unguessable."""
# Asking the class of an enumeration for a member costs more than a check does.
_ONLINE: Final = AttestationUse.ONLINE
_CARRIED: Final = AttestationUse.CARRIED
_IMPORT: Final = AttestationUse.IMPORT


class StatusListClaim(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The reference to a token status list."""

    idx: Annotated[int, msgspec.Meta(ge=0, le=MAX_STATUS_INDEX)]
    uri: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_STATUS_URI_LENGTH)]


class StatusClaim(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The ``status`` claim; other mechanisms than the list are not of the profile."""

    status_list: StatusListClaim


class Claims(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The claim set as it stands in the token; made only by ``read_claims``."""

    iss: str
    aud: str
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    jti: str
    sub: str
    code: CodeClaim
    use: AttestationUse
    nonce: str | UnsetType = UNSET
    bound: str | UnsetType = UNSET
    status: StatusClaim | UnsetType = UNSET
    serial: Annotated[int, msgspec.Meta(ge=0, le=MAX_SERIAL)] | UnsetType = UNSET


_decode = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.Encoder().encode


def read_claims(payload: bytes) -> tuple[Claims, bytes | None]:
    """Reads and checks a payload, short of making values of it; returns the nonce too.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED`` when it is no JSON,
            ``LIFETIME_TOO_LONG``, or ``CLAIMS_INVALID`` for everything else.
    """
    try:
        claims = _decode(payload)
        # What reads back as the very same bytes has one spelling and so no doubled
        # member. Anything else may be honest (another order of members, escapes),
        # and is read once more by a parser that shows every member.
        canonical = _encode(claims) == payload
    except msgspec.ValidationError:
        raise invalid("a claim is missing, unknown or of a wrong type") from None
    except ValueError:
        raise AttestationError(
            "the payload is not JSON", code=AttestationFault.ATTESTATION_MALFORMED
        ) from None
    if not canonical:
        _refuse_doubled_members(payload)
    nonce = check_frame(claims)
    check_code(claims.code, claims.exp)
    return claims, nonce


def write_claims(claims: Claims) -> bytes:
    """Writes a set as the payload that is signed, held against what a reader asks.

    Args:
        claims: made of values; a struct is not checked when it is made, only when it
            is read. The code has checked itself, so the frame and the ends of the
            reports are left.

    Raises:
        AttestationError: ``CLAIMS_INVALID`` or ``LIFETIME_TOO_LONG``: a strict reader
            would refuse the result.
    """
    code, status, serial = claims.code, claims.status, claims.serial
    if claims.iat < 0:
        raise invalid("iat lies before the epoch")
    if status is not UNSET and not 0 <= status.status_list.idx <= MAX_STATUS_INDEX:
        raise invalid("status is out of bounds")
    if serial is not UNSET and not 0 <= serial <= MAX_SERIAL:
        raise invalid("serial is out of bounds")
    check_frame(claims)
    if code.valid_until is not UNSET and claims.exp > code.valid_until:
        raise outlived()
    if code.also is not UNSET:
        for other in code.also:
            if other.valid_until is not UNSET and claims.exp > other.valid_until:
                raise outlived()
    try:
        return _encode(claims)
    except ValueError:
        raise invalid("a text is not Unicode") from None


def check_frame(claims: Claims) -> bytes | None:
    """Checks what the types do not say of everything but the code; returns the nonce."""
    issuer, audience = claims.iss, claims.aud
    if issuer not in REGIONS or audience not in AUDIENCES:
        _learn_regions(issuer, audience)
    subject, token_id = claims.sub, claims.jti
    if (
        len(subject) != SUBJECT_LENGTH
        or len(token_id) not in _TOKEN_ID_LENGTHS
        or not (both := subject + token_id).isascii()
        # Of text, `isalnum` would look every character up in the tables of Unicode.
        or not both.encode().replace(b"-", b"a").replace(b"_", b"a").isalnum()
    ):
        raise invalid("jti or sub is not in its form")
    issued, expires, use = claims.iat, claims.exp, claims.use
    if not issued <= claims.nbf < expires:
        raise invalid("iat, nbf and exp are out of order")
    if expires - issued > _LIFE_SECONDS[use]:
        raise AttestationError(
            "exp lies too far from iat for this use", code=AttestationFault.LIFETIME_TOO_LONG
        )
    nonce = claims.nonce
    if (nonce is not UNSET) is not (use is _ONLINE):
        raise invalid("nonce goes with online use and with no other")
    if claims.bound is not UNSET:
        if use is not _IMPORT:
            raise invalid("bound goes with an import and with no other use")
        _read_bytes(claims.bound, BOUND_BYTES, "bound")
    if claims.status is not UNSET:
        _check_status(claims.status, use)
    return None if nonce is UNSET else _read_bytes(nonce, NONCE_BYTES, "nonce")


def _learn_regions(issuer: str, audience: str) -> None:
    try:
        REGIONS.learn(issuer)
        AUDIENCES.learn(audience)
    except ValueError:
        raise invalid("iss or aud is not the URN of a region") from None


def _check_status(status: StatusClaim, use: AttestationUse) -> None:
    if use is not _CARRIED:
        raise invalid("status goes with carried use and with no other")
    uri = status.status_list.uri
    if uri not in _STATUS_URIS:
        try:
            _STATUS_URIS.learn(uri)
        except ValueError:
            raise invalid("status names a list by a URI") from None


def _check_status_uri(uri: str) -> None:
    # Of ASCII, all but the controls prints.
    if (
        not 1 <= len(uri) <= MAX_STATUS_URI_LENGTH
        or not (uri.isascii() and uri.isprintable())
        or " " in uri
    ):
        raise ValueError("not a URI")


_STATUS_URIS: Final = InForm(_check_status_uri)


def _read_bytes(text: str, length: int, name: str) -> bytes:
    try:
        data = base64url.decode_text(text)
    except ValueError:
        data = b""
    if len(data) != length:
        raise invalid(f"{name} is not {length} bytes of base64url")
    return data


def _refuse_doubled_members(payload: bytes) -> None:
    try:
        strict_json.loads(payload)
    except ValueError:
        raise invalid("a member is doubled") from None


def invalid(message: str) -> AttestationError:
    """Makes the error of a claim that is not what it must be."""
    return AttestationError(message, code=AttestationFault.CLAIMS_INVALID)
