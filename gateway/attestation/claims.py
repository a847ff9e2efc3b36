"""Attestations: what is said, about whom, to whom, for how long.

The value, and how it is made of a claim set and written as one. The closed set itself,
its limits and its strict reader stand in ``claim_set``; what one needs of them to make a
value can be had from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from gateway.attestation import base64url
from gateway.attestation.claim_set import (
    MAX_IMPORT_SECONDS,
    NONCE_BYTES,
    AttestationUse,
    Claims,
    StatusClaim,
    StatusListClaim,
    invalid,
    read_claims,
    write_claims,
)
from gateway.attestation.code_claim import read_code, to_seconds, unchecked, write_code

if TYPE_CHECKING:
    from gateway.codes.unified import UnifiedCode

__all__ = [
    "MAX_IMPORT_SECONDS",
    "NONCE_BYTES",
    "Attestation",
    "AttestationUse",
    "StatusReference",
    "attestation_of",
    "claims_to_json",
    "parse_claims",
]


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


def claims_to_json(attestation: Attestation) -> bytes:
    """Writes the claims as the payload that is signed.

    Raises:
        AttestationError: ``CLAIMS_INVALID`` or ``LIFETIME_TOO_LONG``: a strict reader
            would refuse the result.
    """
    claims = attestation._claims  # noqa: SLF001 - of this module
    if claims is None:
        claims = _claims_of(attestation)
    return write_claims(claims)


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
        raise invalid("every time needs a zone")
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
