"""Keys of members: one key, one use, one id, bound to its holder and a time.

A member key travels as an object ``{"use", "jwk", "not_before", "not_after"?}``.
``jwk`` is public, names its ``kid``, and ``kid`` is its RFC 7638 thumbprint.

===============  ==========================================  ===========================
use              what the holder does with it                types
===============  ==========================================  ===========================
``attest``       signs attestations                          EC P-256 (ES256), Ed25519
``state``        signs statements                            EC P-256 (ES256), Ed25519
``authenticate`` signs client assertions (private_key_jwt)   EC P-256 (ES256), Ed25519
``seal``         opens what is sealed to it                  AKP (HPKE), EC P-256 (JWE)
===============  ==========================================  ===========================

Reading has two depths. At the door (enrolment) a key is decoded, so that a point
off the curve never gets in. From the feed, whose hub has done that, a key is
checked by shape and thumbprint and decoded at first use; a bad one fails there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.keys import (
    COORDINATE_BYTES,
    VerificationKey,
    check_members,
    public_jwk,
    read_member,
    thumbprint,
    verification_key_from_jwk,
)
from gateway.attestation.sealing_keys import (
    HPKE_ALGORITHM,
    JWE_ALGORITHM,
    sealing_public_key_from_jwk,
)
from gateway.trust.points import check_ed25519_point
from gateway.trust.times import Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.attestation.sealing_keys import SealingPublicKey

MAX_KEYS: Final = 16
"""Keys of one member: four uses, each with a past, a present and a next one, and some air."""

_SIGNING_TYPES: Final = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "Ed25519"}
_SEALING_TYPES: Final = {
    ("AKP", HPKE_ALGORITHM): HPKE_ALGORITHM,
    ("EC", JWE_ALGORITHM): JWE_ALGORITHM,
}
_MEMBERS: Final = {
    "EC": frozenset({"kty", "crv", "x", "y"}),
    "OKP": frozenset({"kty", "crv", "x"}),
    "AKP": frozenset({"kty", "alg", "pub"}),
}


class KeyUse(StrEnum):
    """What a key may be used for. One key has one use."""

    ATTEST = "attest"
    STATE = "state"
    SEAL = "seal"
    AUTHENTICATE = "authenticate"


@dataclass(frozen=True, slots=True)
class MemberKey:
    """One public key of a member.

    Attributes:
        key_id: RFC 7638 thumbprint.
        use: the one thing it may be used for.
        algorithm: ``ES256``, ``Ed25519``, or the sealing algorithm of the key.
        jwk: the public JWK.
        not_before: first moment of use, inclusive, whole seconds, UTC. A key may be
            published before, and must be, so that nobody meets it unprepared.
        not_after: end of use, exclusive; None: open.
    """

    key_id: str
    use: KeyUse
    algorithm: str
    jwk: Mapping[str, Any] = field(repr=False)
    not_before: datetime
    not_after: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key may be used at that moment."""
        return self.not_before <= now and (self.not_after is None or now < self.not_after)

    def verification_key(
        self,
        *,
        issuer: str,
        prefixes: tuple[str, ...] = (),
        max_lifetime_seconds: int | None = None,
    ) -> VerificationKey:
        """Decodes a signing key and binds it to its holder.

        Raises:
            KeyMaterialError: a sealing key, or a point off the curve.
        """
        if self.use is KeyUse.SEAL:
            raise KeyMaterialError("a sealing key verifies nothing")
        return verification_key_from_jwk(
            self.jwk,
            issuer=issuer,
            prefixes=prefixes,
            not_before=self.not_before,
            not_after=self.not_after,
            max_lifetime_seconds=max_lifetime_seconds,
        )

    def sealing_key(self) -> SealingPublicKey:
        """Decodes a sealing key.

        Raises:
            KeyMaterialError: a signing key, or a malformed one.
        """
        if self.use is not KeyUse.SEAL:
            raise KeyMaterialError("a signing key seals nothing")
        return sealing_public_key_from_jwk(self.jwk)

    def to_body(self) -> dict[str, Any]:
        """Returns the object that statements and feed entries carry."""
        body: dict[str, Any] = {
            "use": self.use.value,
            "jwk": dict(self.jwk),
            "not_before": to_seconds(self.not_before),
        }
        if self.not_after is not None:
            body["not_after"] = to_seconds(self.not_after)
        return body


class _KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    use: KeyUse
    jwk: dict[str, Any]
    not_before: Seconds
    not_after: Seconds | msgspec.UnsetType = msgspec.UNSET


def signing_member_key(
    key: SigningKey, use: KeyUse, *, not_before: datetime, not_after: datetime | None = None
) -> MemberKey:
    """Makes the public record of a signing key.

    Raises:
        KeyMaterialError: the use is to seal, or the bounds are no interval.
    """
    if use is KeyUse.SEAL:
        raise KeyMaterialError("a signing key seals nothing")
    return _member_key(use, public_jwk(key), not_before, not_after)


def sealing_member_key(
    jwk: Mapping[str, Any], *, not_before: datetime, not_after: datetime | None = None
) -> MemberKey:
    """Makes the public record of a sealing key from its public JWK.

    Raises:
        KeyMaterialError: the JWK is malformed, or the bounds are no interval.
    """
    key = _member_key(KeyUse.SEAL, jwk, not_before, not_after)
    key.sealing_key()
    return key


def parse_member_key(value: object, *, decode: bool = True) -> MemberKey:
    """Reads one key object.

    Args:
        value: parsed JSON.
        decode: also decode the key itself; False where the hub has done so.

    Raises:
        KeyMaterialError: see the module's contract.
    """
    try:
        body = msgspec.convert(value, _KeyBody)
    except msgspec.ValidationError:
        raise KeyMaterialError("a key has exactly use, jwk, not_before and not_after") from None
    key = _member_key(
        body.use,
        body.jwk,
        from_seconds(body.not_before),
        None if body.not_after is msgspec.UNSET else from_seconds(body.not_after),
    )
    if decode:
        if key.use is KeyUse.SEAL:
            key.sealing_key()
        else:
            key.verification_key(issuer="")
            if key.algorithm == "Ed25519":
                check_ed25519_point(read_member(key.jwk, "x", COORDINATE_BYTES))
    return key


def parse_member_keys(values: object, *, decode: bool = True) -> tuple[MemberKey, ...]:
    """Reads the keys of one member.

    Raises:
        KeyMaterialError: one does not hold, there are too many, or one stands twice.
    """
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_KEYS:
        raise KeyMaterialError(f"a member has 1 to {MAX_KEYS} keys")
    keys = tuple(parse_member_key(value, decode=decode) for value in values)
    check_distinct(keys)
    return keys


def check_distinct(keys: Iterable[MemberKey]) -> None:
    """Refuses a key that stands twice, be it for the same use or for another.

    Raises:
        KeyMaterialError: one key id occurs more than once.
    """
    seen: set[str] = set()
    for key in keys:
        if key.key_id in seen:
            raise KeyMaterialError("a key stands twice; one key has one use")
        seen.add(key.key_id)


def _member_key(
    use: KeyUse, jwk: Mapping[str, Any], not_before: datetime, not_after: datetime | None
) -> MemberKey:
    not_before = from_seconds(to_seconds(not_before))
    not_after = None if not_after is None else from_seconds(to_seconds(not_after))
    if not_after is not None and not_after <= not_before:
        raise KeyMaterialError("not_after lies after not_before")
    key_id = thumbprint(jwk)
    # Private members would be refused here: nothing but these may stand in the key.
    check_members(jwk, _MEMBERS[jwk["kty"]])
    if jwk.get("kid") != key_id:
        raise KeyMaterialError("kid is not the RFC 7638 thumbprint")
    if use is KeyUse.SEAL:
        algorithm = _SEALING_TYPES.get((jwk["kty"], str(jwk.get("alg"))))
    else:
        algorithm = _SIGNING_TYPES.get((jwk["kty"], str(jwk.get("crv"))))
    if algorithm is None:
        raise KeyMaterialError("the key is not of a type that its use allows")
    return MemberKey(key_id, use, algorithm, jwk, not_before, not_after)
