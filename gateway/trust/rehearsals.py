"""Rehearsals: a key that is to be used, shown with something that it signed.

A region's stands in a statement of its own (kind ``rehearsal``), a hub's in the hub's entry
(kind ``hub-rehearsal``). Readers verify the sample as they would what the key signs later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.trust import jws, names
from gateway.trust.errors import StatementError
from gateway.trust.keys import KeyUse, MemberKey, parse_member_key
from gateway.trust.times import Seconds, to_seconds

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.entries import LiveEntry

REHEARSAL_TYPE: Final = "hutong-rehearsal+jwt"
MAX_SAMPLE_BYTES: Final = 4_096
"""A sample has two short claims."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A key that is to be used, with something that it signed.

    Attributes:
        entry: the hub's entry; its subject names the rehearsal.
        issuer: URN of the region that rehearses, or of the hub itself.
        issued_at: when it signed the statement.
        signed_by: the statement key by which it did; empty: the hub, by its entry.
        key: the key to come.
        sample: compact JWS by that key, type ``hutong-rehearsal+jwt``.
    """

    entry: LiveEntry
    issuer: str
    issued_at: datetime
    signed_by: str
    key: MemberKey
    sample: str = field(repr=False)

    @property
    def rehearsal_id(self) -> str:
        """Names it."""
        return self.entry.subject

    def check(self) -> None:
        """Verifies the sample as the reader would what the key signs later.

        Raises:
            StatementError: it does not verify.
            KeyMaterialError: the key does not decode here.
        """
        check_sample(self.issuer, self.key, self.sample)


def rehearsal_body(key: MemberKey, private: SigningKey, *, issuer: str, now: datetime) -> Any:
    """Returns the body of a statement of kind ``rehearsal``.

    Args:
        key: the key to come, as it will be published.
        private: the same key.
        issuer: URN of the member.
        now: the moment of signing.
    """
    sample = jws.sign({"iss": issuer, "iat": to_seconds(now)}, private, typ=REHEARSAL_TYPE)
    return {"key": key.to_body(), "sample": sample}


def parse_rehearsal(body: object) -> tuple[MemberKey, str]:
    """Reads the body of a statement of kind ``rehearsal``: the key and its sample.

    Raises:
        StatementError: a member is missing, unknown or malformed.
        KeyMaterialError: the key does not hold, or signs nothing.
    """
    try:
        read = msgspec.convert(body, _Rehearsal)
    except msgspec.ValidationError:
        raise StatementError("a rehearsal has exactly a key and a sample") from None
    key = parse_member_key(read.key)
    if key.use is KeyUse.SEAL:
        raise StatementError("a sealing key signs nothing, so it cannot be rehearsed")
    return key, read.sample


def check_sample(issuer: str, key: MemberKey, sample: str) -> None:
    """Verifies a rehearsal's sample.

    Raises:
        StatementError: it does not verify under the key.
        KeyMaterialError: the key does not decode here.
    """
    bound = key.verification_key(issuer=issuer)
    try:
        parsed = jws.take_apart(sample, typ=REHEARSAL_TYPE, max_bytes=MAX_SAMPLE_BYTES)
        parsed.check_signature(bound)
        claims = msgspec.convert(parsed.claims(), _Sample)
    except jws.MalformedError as error:
        raise StatementError(f"the sample is malformed: {error}") from None
    except (jws.SignatureError, msgspec.ValidationError):
        raise StatementError("the sample is not one of this key") from None
    if claims.iss != issuer:
        raise StatementError("the sample is another member's")


def hub_rehearsal_body(key: MemberKey, private: SigningKey, *, hub: str, now: datetime) -> Any:
    """Returns the body of an entry of kind ``hub-rehearsal``; its subject is the key's id.

    Args:
        key: the key to come, of use ``feed`` or ``token``.
        private: the same key.
        hub: URN of the hub.
        now: the moment of signing.
    """
    return {"hub": hub, **rehearsal_body(key, private, issuer=hub, now=now)}


def parse_hub_rehearsal(entry: LiveEntry, body: dict[str, Any]) -> Rehearsal:
    """Reads a body of kind ``hub-rehearsal``; whether the sample verifies, readers say.

    Raises:
        TrustError: it does not hold.
    """
    rest = dict(body)
    hub = rest.pop("hub", None)
    key, sample = parse_rehearsal(rest)
    if not (isinstance(hub, str) and names.is_hub_urn(hub)) or entry.subject != key.key_id:
        raise StatementError("a hub rehearses a key of its own under the key's id")
    if key.use not in (KeyUse.FEED, KeyUse.TOKEN):
        raise StatementError("a hub's own keys are of the uses feed and token")
    return Rehearsal(entry, hub, entry.issued_at, "", key, sample)


class _Rehearsal(msgspec.Struct, forbid_unknown_fields=True):
    key: dict[str, Any]
    sample: Annotated[str, msgspec.Meta(max_length=MAX_SAMPLE_BYTES)]


class _Sample(msgspec.Struct, forbid_unknown_fields=True):
    iss: str
    iat: Seconds
