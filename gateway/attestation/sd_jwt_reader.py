"""Reading an attestation in part: the strict reader of ``sd_jwt``.

Stricter than the RFC: a closed claim set, each member at most once and only in its
place, every disclosure used, ``_sd_alg`` SHA-256 and nothing else, and level and region
always disclosed: without them a gate has nothing to decide on.

The signature, the key and the times are the verifier's (``verify_disclosed``), which is
given the frame in the very form in which it takes that of a whole attestation.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.attestation import strict_json
from gateway.attestation.claim_set import (
    MAX_SERIAL,
    AttestationUse,
    Claims,
    StatusClaim,
    check_frame,
)
from gateway.attestation.claims import StatusReference
from gateway.attestation.code_claim import CodeClaim, Seconds, check_code, read_code
from gateway.attestation.disclosed import (
    CODE_MEMBERS,
    CodePart,
    DisclosedAttestation,
    DisclosedCode,
)
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.sd_jwt import (
    HASH_ALGORITHM,
    MAX_DIGESTS,
    REQUIRED_MEMBERS,
    SUBJECT,
    VCT,
    digest_of,
    open_disclosure,
)
from gateway.codes.levels import Level

# Level, scheme, state, two moments and the region: what every code has.
_MANDATORY: Final = frozenset(
    info.name for info in msgspec.structs.fields(CodeClaim) if info.required
)
# Stand in for what is withheld while the rest is held against its rules, and are thrown
# away with the copy that was checked. RED, so that no other report is more restrictive.
_STAND_INS: Final[dict[str, Any]] = {
    "level": Level.RED,
    "scheme": "xx@0",
    "state": "-",
    "assessed_at": 0,
    "source_at": 0,
    "issued_by": "000000",
}
_HIDDEN_SUBJECT: Final = "-" * 43


class _Digests(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename={"sd": "_sd"}):
    sd: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_DIGESTS)]


class _Payload(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    kw_only=True,
    rename={"sd": "_sd", "sd_alg": "_sd_alg"},
):
    """The signed claim set: the frame of ``Claims``, and digests; in the writer's order."""

    iss: str
    aud: str
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    jti: str
    use: AttestationUse
    nonce: str | UnsetType = UNSET
    status: StatusClaim | UnsetType = UNSET
    serial: Annotated[int, Meta(ge=0, le=MAX_SERIAL)] | UnsetType = UNSET
    vct: str
    sd_alg: str
    code: _Digests
    sd: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_DIGESTS)] | UnsetType = UNSET


def _value_decoder(declared: Any) -> msgspec.json.Decoder[Any]:
    """Reads a member as it would be read in the claim; a disclosed one is never unset."""
    kinds = [kind for kind in typing.get_args(declared) if kind is not UnsetType]
    if UnsetType not in typing.get_args(declared):
        return msgspec.json.Decoder(declared)
    return msgspec.json.Decoder(typing.Union[tuple(kinds)])  # noqa: UP007 - made of parts


_VALUES: Final = {
    info.name: _value_decoder(info.type) for info in msgspec.structs.fields(CodeClaim)
}
_encode: Final = msgspec.json.Encoder().encode
_read_payload: Final = msgspec.json.Decoder(_Payload).decode
_SUBJECT_DECODER: Final = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class ReadDisclosures:
    """What was read beside the frame.

    Attributes:
        code: the disclosed members.
        subject: the pseudonym; None: not disclosed.
        nonce: exactly when the use is online.
    """

    code: DisclosedCode = field(repr=False)
    subject: str | None = field(repr=False)
    nonce: bytes | None = field(repr=False)


def read_disclosed(
    payload: bytes, disclosures: tuple[bytes, ...]
) -> tuple[Claims, ReadDisclosures]:
    """Reads a payload and its disclosures strictly.

    Returns:
        The frame, as the checks of any attestation take it: its code holds the
        disclosed members and ``UNSET`` for every other; and what was disclosed.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED``, ``CLAIMS_INVALID``,
            ``LIFETIME_TOO_LONG``, or ``DISCLOSURE_INVALID`` for a disclosure.
    """
    try:
        read = _read_payload(payload)
        # What reads back as the very same bytes has no doubled member (`claims`).
        if _encode(read) != payload:
            strict_json.loads(payload)
    except msgspec.ValidationError:
        raise _claims_invalid("a claim is missing, unknown or of a wrong type") from None
    except strict_json.DoubledMemberError:
        raise _claims_invalid("a member is doubled") from None
    except ValueError:
        raise AttestationError(
            "the payload is not JSON", code=AttestationFault.ATTESTATION_MALFORMED
        ) from None
    if read.vct != VCT or read.sd_alg != HASH_ALGORITHM:
        raise _claims_invalid("vct or _sd_alg is not that of the profile")
    code_digests, top_digests = read.code.sd, () if read.sd is UNSET else read.sd
    members = _match(disclosures, code_digests, top_digests)
    subject = members.pop(SUBJECT, UNSET)
    if not members.keys() >= REQUIRED_MEMBERS:
        raise _invalid("level and region are not disclosed")
    known = {name: value for name, value in members.items() if value is not None}
    claims = _frame(
        read, subject, {**dict.fromkeys(CODE_MEMBERS, UNSET), **known, "told": frozenset(members)}
    )
    nonce = check_frame(claims)
    checked = CodeClaim(**{**_STAND_INS, **known})
    check_code(checked, claims.exp)
    code = read_code(checked)
    values = {name: getattr(code, name) for name in known}
    shown = DisclosedCode(disclosed=frozenset(members), **values)
    return claims, ReadDisclosures(shown, None if subject is UNSET else subject, nonce)


def disclosed_of(claims: Claims, read: ReadDisclosures) -> DisclosedAttestation:
    """Makes the value of what ``read_disclosed`` returned."""
    status, serial = claims.status, claims.serial
    return DisclosedAttestation(
        claims.iss,
        claims.aud,
        datetime.fromtimestamp(claims.iat, UTC),
        datetime.fromtimestamp(claims.nbf, UTC),
        datetime.fromtimestamp(claims.exp, UTC),
        claims.jti,
        claims.use,
        read.code,
        read.subject,
        read.nonce,
        None
        if status is UNSET
        else StatusReference(status.status_list.uri, status.status_list.idx),
        None if serial is UNSET else serial,
    )


def _match(
    disclosures: tuple[bytes, ...], code_digests: tuple[str, ...], top_digests: tuple[str, ...]
) -> dict[str, Any]:
    """Finds the place of every disclosure; returns values by name, null as None."""
    in_code, in_top = frozenset(code_digests), frozenset(top_digests)
    if len(in_code | in_top) != len(code_digests) + len(top_digests):
        raise _invalid("a digest is doubled")
    members: dict[str, Any] = {}
    for text in disclosures:
        name, raw = open_disclosure(text)
        known = digest_of(text)
        if name in members:
            raise _invalid("a member is disclosed twice")
        if name == SUBJECT and known in in_top:
            members[name] = _value(_SUBJECT_DECODER, raw)
        elif name in _VALUES and known in in_code:
            is_absent = raw == b"null" and name not in _MANDATORY
            members[name] = None if is_absent else _value(_VALUES[name], raw)
        else:
            raise _invalid("a disclosure has no place in what was signed")
    return members


def _value(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except ValueError:
        raise _claims_invalid("a disclosed member is of a wrong type") from None


def _frame(read: _Payload, subject: str | UnsetType, code: dict[str, Any]) -> Claims:
    """The claims, as the checks of every attestation take them."""
    return Claims(
        iss=read.iss,
        aud=read.aud,
        iat=read.iat,
        nbf=read.nbf,
        exp=read.exp,
        jti=read.jti,
        sub=_HIDDEN_SUBJECT if subject is UNSET else subject,
        # A struct is not checked when it is made: what is withheld is unset in it.
        code=CodePart(**code),
        use=read.use,
        nonce=read.nonce,
        status=read.status,
        serial=read.serial,
    )


def _claims_invalid(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.CLAIMS_INVALID)


def _invalid(message: str) -> AttestationError:
    return AttestationError(message, code=AttestationFault.DISCLOSURE_INVALID)
