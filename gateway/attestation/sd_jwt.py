"""An attestation whose holder shows a part of it: SD-JWT (RFC 9901), no key binding.

What is signed holds digests in place of the members of ``code`` and of ``sub``; each
member travels beside it as a disclosure, base64url of the JSON array ``[salt, name,
value]``, and is believed because its SHA-256 stands among the signed digests::

    <JWT>~<disclosure>~…~<disclosure>~

``iss aud iat nbf exp jti use``, and where they are there ``nonce status serial``, stay
in sight. Two ways to issue:

* ``MINIMAL``: only the level, the end of the code and the region can ever be told. No
  digest of anything else is signed, ``sub`` neither, so there is nothing to reveal;
* ``SELECTIVE``: every member of a code has a digest, whether this code has it or not
  (an absent one is disclosed as null), so that their number tells nothing and a holder
  who shows all of them proves that nothing is held back.

Digests are sorted and salts are random: neither place nor value of what is withheld can
be found. An issuer may add decoys; a reader cannot tell them from what is withheld.

The reader is stricter than the RFC: a closed claim set, each member at most once and
only in its place, every disclosure used, ``_sd_alg`` SHA-256 and nothing else, and
level and region always disclosed: without them a gate has nothing to decide on. A token
with a key binding is refused; docs/adr/0018 says why there is none.

Nothing here checks a signature; ``AttestationVerifier.verify_disclosed`` does, and holds
such a token to everything that a whole one is held to.
"""

from __future__ import annotations

import hashlib
import typing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.attestation import base64url, strict_json
from gateway.attestation.claims import (
    MAX_SERIAL,
    AttestationUse,
    Claims,
    StatusClaim,
    StatusReference,
)
from gateway.attestation.claims import _check_frame as check_frame
from gateway.attestation.code_claim import CodeClaim, Seconds, check_code, read_code
from gateway.attestation.disclosed import (
    CODE_MEMBERS,
    CodePart,
    DisclosedAttestation,
    DisclosedCode,
)
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.signing import sign_payload
from gateway.codes.levels import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from gateway.attestation.keys import SigningKey

SD_TOKEN_TYPE: Final = "hutong-attestation+sd-jwt"  # noqa: S105 - a media type
"""``typ`` of such an attestation (RFC 9901 §9.11: explicit typing)."""
VCT: Final = "urn:hutong:vct:code"
"""``vct``, the type of the credential (draft-ietf-oauth-sd-jwt-vc §3.2.2.1)."""
HASH_ALGORITHM: Final = "sha-256"
"""``_sd_alg``: the one hash that is used and accepted."""
SALT_BYTES: Final = 16
"""RFC 9901 §9.3: at least 128 random bits."""
DIGEST_LENGTH: Final = 43
"""Characters of a SHA-256 in base64url."""
MAX_DIGESTS: Final = 64
"""Of one object: four times what a code has, so that an issuer may add decoys."""
MINIMAL_MEMBERS: Final = ("level", "valid_until", "issued_by")
"""All that a gate needs to know: the level, its end, the region."""
REQUIRED_MEMBERS: Final = frozenset({"level", "issued_by"})
"""Without these there is nothing to decide on."""

_SEPARATOR: Final = b"~"
_SUBJECT: Final = "sub"
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


class Disclosure(StrEnum):
    """How much of a code can be told; the words of ``hutong.v1.Disclosure``."""

    MINIMAL = "MINIMAL"
    SELECTIVE = "SELECTIVE"


class Draft(NamedTuple):
    """What is to be signed, and what travels beside it.

    Attributes:
        payload: of the JWT.
        disclosures: encoded, in the order of the members; none: a whole attestation.
    """

    payload: bytes
    disclosures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without what it says about the person."""
        return f"Draft({len(self.disclosures)} disclosures)"


class _Digests(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename={"sd": "_sd"}):
    sd: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_DIGESTS)]


class _Payload(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={"sd": "_sd", "sd_alg": "_sd_alg"},
):
    """The signed claim set: the frame of ``Claims``, and digests."""

    iss: str
    aud: str
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    jti: str
    use: AttestationUse
    vct: str
    sd_alg: str
    code: _Digests
    sd: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_DIGESTS)] | UnsetType = UNSET
    nonce: str | UnsetType = UNSET
    status: StatusClaim | UnsetType = UNSET
    serial: Annotated[int, Meta(ge=0, le=MAX_SERIAL)] | UnsetType = UNSET


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
_read_array: Final = msgspec.json.Decoder(tuple[str, str, msgspec.Raw]).decode


def is_sd_jwt(token: str) -> bool:
    """Tells such a token from a whole one, by its separators alone."""
    return "~" in token


# --- issuing -----------------------------------------------------------------


def draft_disclosed(
    payload: bytes,
    disclosure: Disclosure,
    random_bytes: Callable[[int], bytes],
    *,
    decoys: int = 0,
) -> Draft:
    """Turns the claims of a whole attestation into digests and disclosures.

    Args:
        payload: as ``claims_to_json`` wrote and checked it; not for an import.
        disclosure: how much can be told.
        random_bytes: source of the salts; the operating system's.
        decoys: digests of nothing to add to those of the code.

    Raises:
        AttestationError: ``CLAIMS_INVALID``: an import is read whole or not at all.
    """
    claims = msgspec.json.decode(payload)
    if claims["use"] == AttestationUse.IMPORT:
        raise AttestationError(
            "an import is not disclosed in part", code=AttestationFault.CLAIMS_INVALID
        )
    code, subject = claims.pop("code"), claims.pop(_SUBJECT)
    names = MINIMAL_MEMBERS if disclosure is Disclosure.MINIMAL else CODE_MEMBERS
    told = [_disclose(name, code.get(name), random_bytes) for name in names]
    digests = [digest(text) for text in told]
    digests += [digest(base64url.encode(random_bytes(32))) for _ in range(decoys)]
    claims |= {"vct": VCT, "_sd_alg": HASH_ALGORITHM, "code": {"_sd": sorted(digests)}}
    if disclosure is Disclosure.SELECTIVE:
        told.append(_disclose(_SUBJECT, subject, random_bytes))
        claims["_sd"] = [digest(told[-1])]
    return Draft(_encode(claims), tuple(told))


def sign_disclosed(draft: Draft, key: SigningKey) -> str:
    """Signs a draft; returns the token with every disclosure."""
    return join(sign_payload(draft.payload, key, SD_TOKEN_TYPE), draft.disclosures)


def digest(disclosure: str) -> str:
    """The digest of an encoded disclosure (RFC 9901 §4.2.3)."""
    return base64url.encode(hashlib.sha256(disclosure.encode("ascii")).digest())


def _disclose(name: str, value: Any, random_bytes: Callable[[int], bytes]) -> str:
    salt = base64url.encode(random_bytes(SALT_BYTES))
    return base64url.encode(_encode((salt, name, value)))


# --- holding -----------------------------------------------------------------


def join(signed: str, disclosures: Iterable[str]) -> str:
    """Puts a signed part and disclosures together."""
    return "~".join((signed, *disclosures, ""))


def disclosed_names(token: str) -> tuple[str, ...]:
    """Names of the members that a token discloses, in its order; nothing is verified.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED`` or ``DISCLOSURE_INVALID``.
    """
    _, disclosures = split(token.encode())
    return tuple(_open(text)[0] for text in disclosures)


def keep(token: str, names: Collection[str]) -> str:
    """Strips a token of every disclosure but those of ``names``.

    The level and the region stay in any case: a gate refuses a token without them.
    What a token does not disclose is not asked for.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED`` or ``DISCLOSURE_INVALID``.
    """
    signed, disclosures = split(token.encode())
    wanted = REQUIRED_MEMBERS.union(names)
    kept = [text.decode() for text in disclosures if _open(text)[0] in wanted]
    return join(signed.decode(), kept)


# --- reading -----------------------------------------------------------------


def split(token: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Splits a token into its signed part and its encoded disclosures.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED``: no separator at its end (a key
            binding, or a whole attestation), or too many disclosures.
    """
    signed, *disclosures = token.split(_SEPARATOR)
    if not disclosures or disclosures.pop() or len(disclosures) > len(CODE_MEMBERS) + 1:
        raise AttestationError(
            "not a signed part and disclosures, each with its separator",
            code=AttestationFault.ATTESTATION_MALFORMED,
        )
    return signed, tuple(disclosures)


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
    subject = members.pop(_SUBJECT, UNSET)
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
        name, raw = _open(text)
        known = digest(text.decode())
        if name in members:
            raise _invalid("a member is disclosed twice")
        if name == _SUBJECT and known in in_top:
            members[name] = _value(_SUBJECT_DECODER, raw)
        elif name in _VALUES and known in in_code:
            is_absent = raw == b"null" and name not in _MANDATORY
            members[name] = None if is_absent else _value(_VALUES[name], raw)
        else:
            raise _invalid("a disclosure has no place in what was signed")
    return members


def _open(text: bytes) -> tuple[str, bytes]:
    """Name and value, as JSON, of one encoded disclosure."""
    try:
        array = base64url.decode(text)
        _, name, raw = _read_array(array)
        strict_json.loads(array)
    except ValueError:
        raise _invalid("a disclosure is not salt, name and value") from None
    return name, bytes(raw)


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
