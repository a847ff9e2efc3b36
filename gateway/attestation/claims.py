"""The claims of an attestation: what is said, about whom, to whom, for how long.

The claim set is closed: ``iss aud iat nbf exp jti sub use code``, online only
``nonce``, for an import, where the document is known, ``bound``, for a carried one,
where the issuer keeps a status list, ``status``, and, where the issuer numbers its
lots, ``serial``. Times are integer seconds since the epoch; what is unknown is left
out, never null. Writing is
deterministic: fixed member order, no whitespace, UTF-8 unescaped.

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

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.attestation import base64url, strict_json
from gateway.attestation.code_claim import (
    CodeClaim,
    Seconds,
    check_code,
    outlived,
    read_code,
    to_seconds,
    unchecked,
    write_code,
)
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.in_form import InForm
from gateway.attestation.regions import AUDIENCES, REGIONS

if TYPE_CHECKING:
    from gateway.codes.unified import UnifiedCode


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


class StatusReference(msgspec.Struct, frozen=True, gc=False):
    """Where an attestation stands in a status list (draft-ietf-oauth-status-list §6).

    Attributes:
        uri: names the list.
        index: of the entry, from 0.
    """

    uri: str
    index: int

    def __repr__(self) -> str:
        """Without the index, which stands for one person."""
        return f"StatusReference(uri={self.uri!r})"


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement of one region about one person, for one audience and a short time.

    Its ``repr`` shows neither the person nor the code. Fractions of a second are
    dropped when it is written.

    Attributes:
        issuer: URN of the issuing region, six digits.
        audience: URN of a region, or of a prefix of regions (2 or 4 digits).
        issued_at: when it was signed, UTC.
        not_before: first moment of validity, inclusive, UTC.
        expires_at: end of validity, exclusive, UTC.
        token_id: unguessable id, 16 to 64 characters of base64url.
        subject: pseudonym of the person towards this audience.
        code: the unified code.
        use: online, carried or import.
        nonce: the question's nonce, exactly when the use is online.
        bound: commitment to the document that was asked about, for an import only;
            None: the issuer does not say about whom it is.
        status: where it stands in a status list, for a carried one only; None: its
            issuer keeps none.
        serial: number of the lot in which it was issued; None: its issuer numbers
            none. A lot lasts an hour or longer, so it links nobody.
    """

    issuer: str
    audience: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    token_id: str = field(repr=False)
    subject: str = field(repr=False)
    code: UnifiedCode = field(repr=False)
    use: AttestationUse
    nonce: bytes | None = field(default=None, repr=False)
    bound: bytes | None = field(default=None, repr=False)
    status: StatusReference | None = None
    serial: int | None = None
    _claims: Claims | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def claims(self) -> Claims:
        """The claim set as it stands in the token, or as it would be written."""
        claims = self._claims
        return _claims_of(self) if claims is None else claims


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


def _late(slot: Any) -> property:
    """A member that is made when it is first wanted, of what was read.

    A verification is not made to wait for values that a refusal or the next rule may
    never look at. All was checked when it was read, so nothing can fail here. Only these
    members pay for it: a hook for all would be asked at every access to any.
    """
    stored = slot.__get__

    def get(attestation: Attestation) -> Any:
        try:
            return stored(attestation)
        except AttributeError:
            _fill(attestation)
            return stored(attestation)

    return property(get, slot.__set__)


def _fill(attestation: Attestation) -> None:
    claims = attestation.claims
    moment = datetime.fromtimestamp
    fill = object.__setattr__
    fill(attestation, "issued_at", moment(claims.iat, UTC))
    fill(attestation, "not_before", moment(claims.nbf, UTC))
    fill(attestation, "expires_at", moment(claims.exp, UTC))
    fill(attestation, "code", read_code(claims.code))


_LATE: Final = {
    name: Attestation.__dict__[name] for name in ("issued_at", "not_before", "expires_at", "code")
}
for _name, _slot in _LATE.items():
    setattr(Attestation, _name, _late(_slot))
_UncheckedAttestation: Final = unchecked(Attestation)

_decode = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.Encoder().encode


def claims_to_json(attestation: Attestation) -> bytes:
    """Writes the claims as the payload that is signed.

    Raises:
        AttestationError: ``CLAIMS_INVALID`` or ``LIFETIME_TOO_LONG``: a strict reader
            would refuse the result.
    """
    claims = attestation._claims  # noqa: SLF001 - of this module
    if claims is None:
        claims = _claims_of(attestation)
    code, status, serial = claims.code, claims.status, claims.serial
    # A struct is not checked when it is built, only when it is read. The code has
    # checked itself, so the frame and the ends of the reports are left.
    if claims.iat < 0:
        raise _invalid("iat lies before the epoch")
    if status is not UNSET and not 0 <= status.status_list.idx <= MAX_STATUS_INDEX:
        raise _invalid("status is out of bounds")
    if serial is not UNSET and not 0 <= serial <= MAX_SERIAL:
        raise _invalid("serial is out of bounds")
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
        raise _invalid("a text is not Unicode") from None


# As they stand in their slots: what was made, and not read, has them.
_issued_at, _not_before, _expires_at, _code = (slot.__get__ for slot in _LATE.values())


def _claims_of(attestation: Attestation) -> Claims:
    """Writes the claims of what was made, held against nothing.

    Raises:
        AttestationError: ``CLAIMS_INVALID``, a time has no zone.
    """
    issued, begins, ends = (
        _issued_at(attestation),
        _not_before(attestation),
        _expires_at(attestation),
    )
    # Without a zone the machine's own would be read into it.
    if issued.tzinfo is None or begins.tzinfo is None or ends.tzinfo is None:
        raise _invalid("every time needs a zone")
    nonce, bound = attestation.nonce, attestation.bound
    status, serial = attestation.status, attestation.serial
    iat = to_seconds(issued)
    return Claims(
        attestation.issuer,
        attestation.audience,
        iat,
        iat if begins is issued else to_seconds(begins),
        to_seconds(ends),
        attestation.token_id,
        attestation.subject,
        write_code(_code(attestation)),
        attestation.use,
        UNSET if nonce is None else base64url.encode(nonce),
        UNSET if bound is None else base64url.encode(bound),
        UNSET if status is None else StatusClaim(StatusListClaim(status.index, status.uri)),
        UNSET if serial is None else serial,
    )


def parse_claims(payload: bytes) -> Attestation:
    """Reads a payload strictly.

    Args:
        payload: the decoded second segment of the token, signature not looked at.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED`` when it is no JSON,
            ``LIFETIME_TOO_LONG``, or ``CLAIMS_INVALID`` for everything else.
    """
    return attestation_of(*read_claims(payload))


def read_claims(payload: bytes) -> tuple[Claims, bytes | None]:
    """Reads and checks a payload, short of making values of it; returns the nonce too.

    Raises:
        AttestationError: as ``parse_claims``.
    """
    try:
        claims = _decode(payload)
        # What reads back as the very same bytes has one spelling and so no doubled
        # member. Anything else may be honest (another order of members, escapes),
        # and is read once more by a parser that shows every member.
        canonical = _encode(claims) == payload
    except msgspec.ValidationError:
        raise _invalid("a claim is missing, unknown or of a wrong type") from None
    except ValueError:
        raise AttestationError(
            "the payload is not JSON", code=AttestationFault.ATTESTATION_MALFORMED
        ) from None
    if not canonical:
        _refuse_doubled_members(payload)
    nonce = check_frame(claims)
    check_code(claims.code, claims.exp)
    return claims, nonce


def attestation_of(claims: Claims, nonce: bytes | None) -> Attestation:
    """Makes the value of what ``read_claims`` returned."""
    attestation: Any = object.__new__(_UncheckedAttestation)
    attestation.issuer = claims.iss
    attestation.audience = claims.aud
    attestation.token_id = claims.jti
    attestation.subject = claims.sub
    attestation.use = claims.use
    attestation.nonce = nonce
    bound = claims.bound
    attestation.bound = None if bound is UNSET else base64url.decode_text(bound)
    status, serial = claims.status, claims.serial
    if status is UNSET:
        attestation.status = None
    else:
        listed = status.status_list
        attestation.status = StatusReference(listed.uri, listed.idx)
    attestation.serial = None if serial is UNSET else serial
    attestation._claims = claims  # noqa: SLF001 - of this module
    attestation.__class__ = Attestation
    return attestation  # type: ignore[no-any-return]  # given its class above


def _refuse_doubled_members(payload: bytes) -> None:
    try:
        strict_json.loads(payload)
    except ValueError:
        raise _invalid("a member is doubled") from None


def _invalid(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.CLAIMS_INVALID)


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
        raise _invalid("jti or sub is not in its form")
    issued, expires, use = claims.iat, claims.exp, claims.use
    if not issued <= claims.nbf < expires:
        raise _invalid("iat, nbf and exp are out of order")
    if expires - issued > _LIFE_SECONDS[use]:
        raise AttestationError(
            "exp lies too far from iat for this use", code=AttestationFault.LIFETIME_TOO_LONG
        )
    nonce = claims.nonce
    if (nonce is not UNSET) is not (use is _ONLINE):
        raise _invalid("nonce goes with online use and with no other")
    if claims.bound is not UNSET:
        if use is not _IMPORT:
            raise _invalid("bound goes with an import and with no other use")
        _read_bytes(claims.bound, BOUND_BYTES, "bound")
    if claims.status is not UNSET:
        _check_status(claims.status, use)
    return None if nonce is UNSET else _read_bytes(nonce, NONCE_BYTES, "nonce")


def _learn_regions(issuer: str, audience: str) -> None:
    try:
        REGIONS.learn(issuer)
        AUDIENCES.learn(audience)
    except ValueError:
        raise _invalid("iss or aud is not the URN of a region") from None


def _check_status(status: StatusClaim, use: AttestationUse) -> None:
    if use is not _CARRIED:
        raise _invalid("status goes with carried use and with no other")
    uri = status.status_list.uri
    if uri not in _STATUS_URIS:
        try:
            _STATUS_URIS.learn(uri)
        except ValueError:
            raise _invalid("status names a list by a URI") from None


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
        raise _invalid(f"{name} is not {length} bytes of base64url")
    return data
