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
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from gateway.attestation import base64url, strict_json
from gateway.attestation.claim_set import AttestationUse
from gateway.attestation.disclosed import CODE_MEMBERS
from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.signing import sign_payload

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
MAX_DIGESTS: Final = 64
"""Of one object: four times what a code has, so that an issuer may add decoys."""
MINIMAL_MEMBERS: Final = ("level", "valid_until", "issued_by")
"""All that a gate needs to know: the level, its end, the region."""
REQUIRED_MEMBERS: Final = frozenset({"level", "issued_by"})
"""Without these there is nothing to decide on."""
SUBJECT: Final = "sub"
"""The one member outside the code that is disclosed or withheld."""

_SEPARATOR: Final = b"~"


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


_encode: Final = msgspec.json.Encoder().encode
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
    code, subject = claims.pop("code"), claims.pop(SUBJECT)
    names = MINIMAL_MEMBERS if disclosure is Disclosure.MINIMAL else CODE_MEMBERS
    told = [_disclose(name, code.get(name), random_bytes) for name in names]
    digests = [digest(text) for text in told]
    digests += [digest(base64url.encode(random_bytes(32))) for _ in range(decoys)]
    claims |= {"vct": VCT, "_sd_alg": HASH_ALGORITHM, "code": {"_sd": sorted(digests)}}
    if disclosure is Disclosure.SELECTIVE:
        told.append(_disclose(SUBJECT, subject, random_bytes))
        claims["_sd"] = [digest(told[-1])]
    return Draft(_encode(claims), tuple(told))


def sign_disclosed(draft: Draft, key: SigningKey) -> str:
    """Signs a draft; returns the token with every disclosure."""
    return join(sign_payload(draft.payload, key, SD_TOKEN_TYPE), draft.disclosures)


def digest(disclosure: str) -> str:
    """The digest of an encoded disclosure (RFC 9901 §4.2.3)."""
    return digest_of(disclosure.encode("ascii"))


def digest_of(disclosure: bytes) -> str:
    """The digest of an encoded disclosure, as it stands in a token."""
    return base64url.encode(hashlib.sha256(disclosure).digest())


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
    _, disclosures = split(_ascii(token))
    return tuple(open_disclosure(text)[0] for text in disclosures)


def keep(token: str, names: Collection[str]) -> str:
    """Strips a token of every disclosure but those of ``names``.

    The level and the region stay in any case: a gate refuses a token without them.
    What a token does not disclose is not asked for.

    Raises:
        AttestationError: ``ATTESTATION_MALFORMED`` or ``DISCLOSURE_INVALID``.
    """
    signed, disclosures = split(_ascii(token))
    wanted = REQUIRED_MEMBERS.union(names)
    kept = [text.decode() for text in disclosures if open_disclosure(text)[0] in wanted]
    return join(signed.decode(), kept)


# --- both --------------------------------------------------------------------


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


def _ascii(token: str) -> bytes:
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        raise AttestationError(
            "a character is not of a token", code=AttestationFault.ATTESTATION_MALFORMED
        ) from None


def open_disclosure(text: bytes) -> tuple[str, bytes]:
    """Name and value, as JSON, of one encoded disclosure."""
    try:
        array = base64url.decode(text)
        _, name, raw = _read_array(array)
        # Only an object can double a member.
        if b"{" in array:
            strict_json.loads(array)
    except ValueError:
        raise AttestationError(
            "a disclosure is not salt, name and value", code=AttestationFault.DISCLOSURE_INVALID
        ) from None
    return name, bytes(raw)
