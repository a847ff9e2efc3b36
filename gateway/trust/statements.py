"""Statements: what a member says about itself, signed with its own statement key.

A statement is a compact JWS of type ``hutong-statement+jwt`` with the claims
``iss`` (URN of the member), ``iat``, optional ``exp``, ``kind`` and ``body``.
Five kinds exist: ``enrolment`` (a member introduces itself and its keys),
``scheme`` (a local code system), ``policy`` (what a region recognises), ``keys`` (a
change of the member's keys, ``lifecycle``) and ``rehearsal`` (a key to come, with
something that it signed, ``entries``). The hub puts schemes, policies and rehearsals
into the feed unchanged, so that it can withhold them but not invent them
(docs/adr/0010).

``exp`` bounds when a statement may be *accepted*; one that stands in the feed
stays until another supersedes it. A region that signs an older ``iat`` than the
one in force cannot roll itself, or be rolled, back.

What stands in the body of a scheme or a policy is for ``gateway.codes`` and
``gateway.recognition`` to read. Here only that is read which says whom it
speaks for: a scheme's ``family``, ``authority`` and ``prefixes``, a policy's
``region``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from gateway.trust import jws, names
from gateway.trust.errors import StatementError
from gateway.trust.times import LEEWAY, Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta

    from gateway.attestation.keys import SigningKey, VerificationKey
    from gateway.trust.keys import MemberKey

STATEMENT_TYPE: Final = "hutong-statement+jwt"

MAX_ENROLMENT_BYTES: Final = 65_536
"""As ``hutong.v1.EnrolRequest.statement``, ``ChangeKeysRequest`` and ``RehearseRequest``."""
MAX_STATEMENT_BYTES: Final = 262_144
"""As ``hutong.v1.PublishStatementRequest.statement``."""

_FAMILY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_Urn = Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]


class StatementKind(StrEnum):
    """What a statement is about."""

    ENROLMENT = "enrolment"
    SCHEME = "scheme"
    POLICY = "policy"
    KEYS = "keys"
    REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True)
class Statement:
    """A verified statement.

    Attributes:
        kind: what it is about.
        issuer: URN of the member that signed.
        issued_at: when, by the member's clock.
        expires_at: not to be accepted from then on; None: no such bound.
        body: the document; its grammar is that of its kind.
        key_id: thumbprint of the statement key.
        token: the statement as signed.
    """

    kind: StatementKind
    issuer: str
    issued_at: datetime
    expires_at: datetime | None
    body: dict[str, Any]
    key_id: str
    token: str

    @property
    def subject(self) -> str:
        """What a later statement supersedes: the member, its scheme family, its policy's region.

        The issuer is part of it, so that nobody supersedes another's.

        Raises:
            StatementError: the body does not name it.
        """
        if self.kind is StatementKind.SCHEME:
            family = self.body.get("family")
            if not (isinstance(family, str) and _FAMILY.fullmatch(family)):
                raise StatementError("a scheme names its family")
            return f"{self.issuer}#{family}"
        if self.kind is StatementKind.POLICY:
            return f"{self.issuer}#{_policy_region(self.body)}"
        return self.issuer


class _StatementClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: _Urn
    iat: Seconds
    kind: StatementKind
    body: dict[str, Any]
    exp: Seconds | msgspec.UnsetType = msgspec.UNSET


def sign_statement(
    kind: StatementKind,
    issuer: str,
    body: dict[str, Any],
    key: SigningKey,
    *,
    now: datetime,
    ttl: timedelta | None = None,
) -> str:
    """Signs a statement.

    Args:
        kind: what it is about.
        issuer: URN of the member.
        body: the document, JSON-able.
        key: the member's statement key.
        now: becomes ``iat``.
        ttl: how long it may be accepted; None: without bound.

    Raises:
        StatementError: too large to be accepted anywhere.
    """
    kind = StatementKind(kind)
    claims: dict[str, Any] = {
        "iss": issuer,
        "iat": to_seconds(now),
        "kind": kind.value,
        "body": body,
    }
    if ttl is not None:
        claims["exp"] = to_seconds(now + ttl)
    token = jws.sign(claims, key, typ=STATEMENT_TYPE)
    if len(token) > _max_bytes(kind):
        raise StatementError(f"the statement is longer than {_max_bytes(kind)} bytes")
    return token


def verify_statement(
    token: str,
    key_lookup: Callable[[str, str], VerificationKey],
    *,
    now: datetime,
    kinds: Collection[StatementKind],
) -> Statement:
    """Verifies a statement that is to be accepted now.

    Args:
        token: the compact JWS.
        key_lookup: gives the statement key of (issuer, key id); may raise a
            TrustError, which passes through.
        now: the moment of acceptance. For one inside a feed entry: when the hub
            issued the entry.
        kinds: the kinds to accept.

    Raises:
        StatementError: malformed, of another kind, expired, issued more than 60
            seconds ahead, or its key is not valid when it was issued and now.
        TrustError: the key is not known.
    """
    parsed, statement = _parse(token, kinds)
    key = key_lookup(statement.issuer, statement.key_id)
    if key.issuer != statement.issuer:
        raise StatementError("the key is another member's")
    try:
        parsed.check_signature(key)
    except jws.SignatureError:
        raise StatementError("the signature does not verify") from None
    _check_times(statement, key, now)
    return statement


def unverified_statement(token: str, kinds: Collection[StatementKind]) -> Statement:
    """Reads a statement without its signature; only to find the key in it.

    Raises:
        StatementError: malformed or of another kind.
    """
    return _parse(token, kinds)[1]


def served_prefixes(statement: Statement) -> tuple[str, ...]:
    """Returns the divisions that a scheme or policy speaks for, as shortest prefixes.

    Raises:
        StatementError: it does not say, or says it in another's name.
    """
    if statement.kind is StatementKind.SCHEME:
        served = statement.body.get("prefixes")
        if not isinstance(served, list) or not served:
            raise StatementError("a scheme names the prefixes it serves")
        if f"urn:hutong:region:{statement.body.get('authority')}" != statement.issuer:
            raise StatementError("a scheme names the region that signs it as its authority")
    elif statement.kind is StatementKind.POLICY:
        served = [_policy_region(statement.body)]
    else:
        raise StatementError("only schemes and policies speak for divisions")
    prefixes = []
    for item in served:
        prefix = names.shortest(item) if isinstance(item, str) else ""
        if not names.is_prefix(prefix):
            raise StatementError("a division prefix has 2, 4 or 6 digits")
        prefixes.append(prefix)
    return tuple(prefixes)


def check_scope(statement: Statement, prefixes: Collection[str]) -> None:
    """Refuses a scheme or policy that speaks for divisions outside the prefixes.

    Args:
        statement: a verified scheme or policy.
        prefixes: those of the authority that issued it.

    Raises:
        StatementError: it speaks for another's divisions, or does not say for whose.
    """
    if not all(names.covers(prefixes, served) for served in served_prefixes(statement)):
        raise StatementError("the statement speaks for a division of another authority")


def statement_digest(token: str) -> str:
    """Returns the base64url SHA-256 of a statement, as key proofs name it."""
    return jws.digest(token)


def _parse(token: str, kinds: Collection[StatementKind]) -> tuple[jws.CompactJws, Statement]:
    try:
        parsed = jws.take_apart(token, typ=STATEMENT_TYPE, max_bytes=MAX_STATEMENT_BYTES)
        claims = msgspec.convert(parsed.claims(), _StatementClaims)
    except jws.MalformedError as error:
        raise StatementError(f"the statement is malformed: {error}") from None
    except msgspec.ValidationError:
        raise StatementError("a claim is missing, unknown or out of bounds") from None
    if claims.kind not in kinds:
        raise StatementError("the statement is of another kind")
    if len(token) > _max_bytes(claims.kind):
        raise StatementError(f"the statement is longer than {_max_bytes(claims.kind)} bytes")
    expires_at = None if claims.exp is msgspec.UNSET else from_seconds(claims.exp)
    return parsed, Statement(
        kind=claims.kind,
        issuer=claims.iss,
        issued_at=from_seconds(claims.iat),
        expires_at=expires_at,
        body=claims.body,
        key_id=parsed.key_id,
        token=token,
    )


def check_key_times(
    key: VerificationKey | MemberKey, *, issued_at: datetime, accepted_at: datetime
) -> None:
    """Refuses a statement that was not signed in the life of its key, or taken after it.

    The second, because a key that has lapsed must not sign with an old date.

    Raises:
        StatementError: the key is too young or too old.
    """
    if issued_at < key.not_before:
        raise StatementError("the statement key is not valid yet at that time")
    end = key.not_after
    if end is not None and (issued_at >= end or accepted_at - LEEWAY >= end):
        raise StatementError("the statement key is no longer valid at that time")


def _check_times(statement: Statement, key: VerificationKey, now: datetime) -> None:
    if statement.issued_at > now + LEEWAY:
        raise StatementError("the statement is issued ahead of its time")
    if statement.expires_at is not None and statement.expires_at <= now - LEEWAY:
        raise StatementError("the statement has expired")
    check_key_times(key, issued_at=statement.issued_at, accepted_at=now)
    if to_seconds(statement.issued_at) >= key.believed_until_second:
        raise StatementError("the statement key is tainted or revoked at that time")


def _policy_region(body: dict[str, Any]) -> str:
    region = body.get("region")
    if not (isinstance(region, str) and names.is_division(region)):
        raise StatementError("a policy names its region in six digits")
    return region


def _max_bytes(kind: StatementKind) -> int:
    is_long = kind in (StatementKind.SCHEME, StatementKind.POLICY)
    return MAX_STATEMENT_BYTES if is_long else MAX_ENROLMENT_BYTES
