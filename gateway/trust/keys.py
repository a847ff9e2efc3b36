"""Keys of members: one key, one use, one id, bound to its holder and a time.

A member key travels as an object ``{"use", "jwk", "not_before", "not_after"?}``.
``jwk`` is public, names its ``kid``, and ``kid`` is its RFC 7638 thumbprint. In the
hub's record of a member the object also holds what the hub says of the key:
``published_at``, ``tainted_from``, ``revoked_at``, ``reason``.

===============  ==========================================  ===========================
use              what the holder does with it                types
===============  ==========================================  ===========================
``attest``       signs attestations                          EC P-256 (ES256), Ed25519
``state``        signs statements                            EC P-256 (ES256), Ed25519
``authenticate`` signs client assertions (private_key_jwt)   EC P-256 (ES256), Ed25519
``seal``         opens what is sealed to it                  AKP (HPKE), EC P-256 (JWE)
``feed``         signs a hub's feed                          EC P-256 (ES256), Ed25519
``token``        signs a hub's tokens and grants             EC P-256 (ES256), Ed25519
===============  ==========================================  ===========================

The states of a key (``lifecycle`` says how it goes from one to another)::

    prepared → published → active → retired
         ╰──────────┴─────────┴────────┴──→ tainted ⇄ …      → revoked, for good

Reading has two depths. At the door (enrolment) a key is decoded, so that a point
off the curve never gets in. From the feed, whose hub has done that, a key is
checked by shape and thumbprint and decoded at first use; a bad one fails there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.attestation.errors import KeyMaterialError
from gateway.attestation.jwk import COORDINATE_BYTES, check_members, read_member, thumbprint
from gateway.attestation.keys import VerificationKey, public_jwk, verification_key_from_jwk
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

MAX_KEYS: Final = 64
"""Keys of one member, history included: four uses, changed monthly for more than a year."""
MAX_REASON_LENGTH: Final = 256
"""As ``hutong.v1.KeyStanding.reason``."""

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
    FEED = "feed"
    """Of a hub only."""
    TOKEN = "token"  # noqa: S105 - a use, not a secret
    """Of a hub only."""


class KeyState(StrEnum):
    """Where a key stands; the names are those of ``hutong.v1.KeyState``."""

    PREPARED = "prepared"
    """The hub holds it; nobody else has seen it."""
    PUBLISHED = "published"
    """In the feed, not yet used."""
    ACTIVE = "active"
    """In use."""
    RETIRED = "retired"
    """No longer used; what it signed still verifies."""
    TAINTED = "tainted"
    """Not believed from an instant on; what it signed before still verifies."""
    REVOKED = "revoked"
    """Nothing it signed verifies."""


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
        published_at: when the hub put it into the feed; None: before hubs said so,
            or not yet.
        tainted_from: what it signed from then on is not believed; None: no such
            instant.
        revoked_at: when it was revoked: nothing that it signed is believed, whenever
            it did; None: it is not.
        reason: why it was retired, tainted or revoked; None: nobody said.
    """

    key_id: str
    use: KeyUse
    algorithm: str
    jwk: Mapping[str, Any] = field(repr=False)
    not_before: datetime
    not_after: datetime | None = None
    published_at: datetime | None = None
    tainted_from: datetime | None = None
    revoked_at: datetime | None = None
    reason: str | None = None

    @property
    def has_history(self) -> bool:
        """Whether it carries anything that the hub says of it."""
        said = (self.published_at, self.tainted_from, self.revoked_at, self.reason)
        return any(value is not None for value in said)

    def is_valid(self, now: datetime) -> bool:
        """Whether the key may be used at that moment: begun, not ended, and believed."""
        return (
            self.not_before <= now
            and (self.not_after is None or now < self.not_after)
            and self.is_believed(now)
        )

    def is_believed(self, signed_at: datetime) -> bool:
        """Whether what it signed at that moment is neither tainted nor revoked."""
        return self.revoked_at is None and (
            self.tainted_from is None or signed_at < self.tainted_from
        )

    def state(self, now: datetime) -> KeyState:
        """Where the key stands at that moment."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.tainted_from is not None and self.tainted_from <= now:
            return KeyState.TAINTED
        if self.not_after is not None and self.not_after <= now:
            return KeyState.RETIRED
        if self.not_before <= now:
            return KeyState.ACTIVE
        return KeyState.PREPARED if self.published_at is None else KeyState.PUBLISHED

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
            tainted_from=self.tainted_from,
            is_revoked=self.revoked_at is not None,
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
        for name, moment in (
            ("not_after", self.not_after),
            ("published_at", self.published_at),
            ("tainted_from", self.tainted_from),
            ("revoked_at", self.revoked_at),
        ):
            if moment is not None:
                body[name] = to_seconds(moment)
        if self.reason is not None:
            body["reason"] = self.reason
        return body


class _KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    use: KeyUse
    jwk: dict[str, Any]
    not_before: Seconds
    not_after: Seconds | msgspec.UnsetType = msgspec.UNSET
    published_at: Seconds | msgspec.UnsetType = msgspec.UNSET
    tainted_from: Seconds | msgspec.UnsetType = msgspec.UNSET
    revoked_at: Seconds | msgspec.UnsetType = msgspec.UNSET
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


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
        raise KeyMaterialError(
            "a key has use, jwk, not_before, perhaps not_after and what the hub says of it"
        ) from None
    key = _member_key(
        body.use,
        body.jwk,
        from_seconds(body.not_before),
        _moment(body.not_after),
        _moment(body.published_at),
        _moment(body.tainted_from),
        _moment(body.revoked_at),
        None if body.reason is msgspec.UNSET else body.reason,
    )
    if key.reason is not None and not key.reason.isprintable():
        raise KeyMaterialError("a reason holds a character that cannot be shown")
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


def _moment(seconds: int | msgspec.UnsetType) -> datetime | None:
    return None if seconds is msgspec.UNSET else from_seconds(seconds)


def _member_key(
    use: KeyUse,
    jwk: Mapping[str, Any],
    not_before: datetime,
    not_after: datetime | None,
    *history: Any,
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
    return MemberKey(key_id, use, algorithm, jwk, not_before, not_after, *history)
