"""The feed's three tokens, and the chain that the hub appends to (docs/spec/feed.md).

* An *entry*, type ``hutong-feed-entry+jwt``: ``{iss, seq, prev, iat, kind, subject,
  body}``. ``seq`` goes up by one from 1; ``prev`` is the base64url SHA-256 of the
  entry before, as its token stands, and of 32 zero bytes for the first.
* A *head*, type ``hutong-feed-head+jwt``: ``{iss, seq, digest, iat}``. The newest
  entry's number and digest; 0 and zero bytes while there is none.
* A *manifest*, type ``hutong-feed-manifest+jwt``: a head with ``count`` and
  ``entries``, the number of live entries and the base64url SHA-256 over their
  digests (32 bytes each) in order of their numbers; ``floor``, the oldest number that
  a reader can still continue after; and ``tombstones``, a like digest over the
  tombstones that are listed.

An entry is *live* until a later one has the same kind and subject; a *tombstone*
(``kinds``) is never live. A snapshot lists what is live, and the tombstones above the
floor with the newest entry where it is one: so what it fixes as live is what a reader
of the whole chain holds. The bodies (``entries`` reads those below the line):

==============  ===============================  =========================================
kind            subject                          body
==============  ===============================  =========================================
``authority``   URN of the authority             :meth:`gateway.trust.authority.Authority.to_body`
``scheme``      issuer's URN, ``#``, family      ``{"statement": …}`` signed by the region
``policy``      issuer's URN, ``#``, six digits  ``{"statement": …}`` signed by the region
``distrust``    id of the distrust               ``{"rule": …, "reason": …, "decided_at": …}``
``status``      URI of the list                  ``{"statement": …}`` type ``hutong-status+jwt``
``rehearsal``   id of the rehearsal              ``{"statement": …}`` kind ``rehearsal``
``notice``      URN, ``#``, topic                ``{"topic": …, "at": …}`` and what it likes
``superior``    URN of the superior hub          ``{"hub": …, "keys": …}``
==============  ===============================  =========================================

Verifying here means: one token, its signature and its shape. What follows what is
``replica``'s to judge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from gateway.attestation import base64url
from gateway.trust import jws, names
from gateway.trust.errors import FeedError, FeedFault, TrustLookupError
from gateway.trust.kinds import FeedKind as FeedKind
from gateway.trust.kinds import is_withdrawal, withdrawal
from gateway.trust.times import Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.authority import Authority
    from gateway.trust.statements import Statement

ENTRY_TYPE: Final = "hutong-feed-entry+jwt"
HEAD_TYPE: Final = "hutong-feed-head+jwt"
MANIFEST_TYPE: Final = "hutong-feed-manifest+jwt"

ZERO_DIGEST: Final = base64url.encode(bytes(32))
"""Stands before the first entry."""
EMPTY_DIGEST: Final = base64url.encode(hashlib.sha256(b"").digest())
"""Over the digests of no entries."""
MAX_TOMBSTONES: Final = 16_384
"""Tombstones that one snapshot lists; a hub compacts before it has more."""
MAX_ENTRY_BYTES: Final = 393_216
"""The longest statement (262 144 bytes), encoded once more, with its frame."""
MAX_MARK_BYTES: Final = 4_096
"""A head or a manifest has half a dozen short claims."""
MAX_LIVE_ENTRIES: Final = 16_384
"""Some 3 200 divisions to county level, with an authority, two schemes and a policy each."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A verified entry.

    Attributes:
        sequence: its number, from 1.
        previous: digest of the entry before.
        issued_at: when the hub signed it.
        kind: what it changes.
        subject: what it is about.
        body: the new state of the subject, in full.
        token: the entry as signed.
        digest: of ``token``.
    """

    sequence: int
    previous: str
    issued_at: datetime
    kind: FeedKind
    subject: str
    body: dict[str, Any] = field(repr=False)
    token: str = field(repr=False)
    digest: str

    @property
    def is_tombstone(self) -> bool:
        """Whether it only withdraws what was live under its kind and subject."""
        return is_withdrawal(self.body)


@dataclass(frozen=True, slots=True)
class FeedHead:
    """A verified head.

    Attributes:
        sequence: number of the newest entry; 0: none yet.
        digest: of the newest entry.
        issued_at: when the hub said so.
        token: the head as signed.
    """

    sequence: int
    digest: str
    issued_at: datetime
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FeedManifest:
    """A verified manifest.

    Attributes:
        sequence: number of the newest entry; 0: none yet.
        digest: of the newest entry.
        issued_at: when the hub said so.
        count: live entries.
        entries: digest over the digests of the live entries.
        token: the manifest as signed.
        floor: the oldest number that a reader can continue after.
        tombstones: digest over the digests of the listed tombstones.
    """

    sequence: int
    digest: str
    issued_at: datetime
    count: int
    entries: str
    token: str = field(repr=False)
    floor: int = 0
    tombstones: str = EMPTY_DIGEST


_Digest = Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
# 2**53 - 1: the largest integer that every JSON reader holds (RFC 8259 §6).
_Sequence = Annotated[int, msgspec.Meta(ge=0, le=9_007_199_254_740_991)]
_Urn = Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]
_Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_LIVE_ENTRIES)]


class _EntryClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: _Urn
    seq: Annotated[int, msgspec.Meta(ge=1, le=9_007_199_254_740_991)]
    prev: _Digest
    iat: Seconds
    kind: str
    subject: _Subject
    body: dict[str, Any]


class _HeadClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: _Urn
    seq: _Sequence
    digest: _Digest
    iat: Seconds


class _ManifestClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: _Urn
    seq: _Sequence
    digest: _Digest
    iat: Seconds
    count: _Count
    entries: _Digest
    floor: _Sequence = 0
    tombstones: _Digest = EMPTY_DIGEST


def entry_digest(token: str) -> str:
    """Returns the digest by which the next entry names this one."""
    return jws.digest(token)


def entries_digest(digests: Iterable[str]) -> str:
    """Returns the digest over the digests of live entries, in order of their numbers."""
    over = hashlib.sha256()
    for item in digests:
        over.update(base64url.decode(item.encode("ascii")))
    return base64url.encode(over.digest())


def authority_change(authority: Authority) -> tuple[FeedKind, str, dict[str, Any]]:
    """Returns kind, subject and body of the entry that publishes an authority."""
    return FeedKind.AUTHORITY, authority.urn, authority.to_body()


def statement_change(statement: Statement) -> tuple[FeedKind, str, dict[str, Any]]:
    """Returns kind, subject and body of the entry that publishes a scheme or a policy.

    Raises:
        ValueError: an enrolment or a change of keys, which are never published, or a
            rehearsal, whose subject the hub gives.
        StatementError: the statement does not name its subject.
    """
    if statement.kind.value not in ("scheme", "policy"):
        raise ValueError("only schemes and policies are published under their own subject")
    return FeedKind(statement.kind.value), statement.subject, {"statement": statement.token}


def withdrawal_change(
    kind: FeedKind, subject: str, reason: str
) -> tuple[FeedKind, str, dict[str, Any]]:
    """Returns kind, subject and body of the entry that withdraws what is live."""
    return kind, subject, withdrawal(reason)


def sign_entry(
    key: SigningKey,
    *,
    hub: str,
    sequence: int,
    previous: str,
    issued_at: datetime,
    kind: FeedKind,
    subject: str,
    body: dict[str, Any],
) -> str:
    """Signs an entry with a feed key of the hub. Most callers want :class:`FeedLog`."""
    claims = {
        "iss": hub,
        "seq": sequence,
        "prev": previous,
        "iat": to_seconds(issued_at),
        "kind": kind.value,
        "subject": subject,
        "body": body,
    }
    return jws.sign(claims, key, typ=ENTRY_TYPE)


def sign_head(key: SigningKey, *, hub: str, sequence: int, digest: str, issued_at: datetime) -> str:
    """Signs a head with a feed key of the hub. Most callers want :class:`FeedLog`."""
    claims = {"iss": hub, "seq": sequence, "digest": digest, "iat": to_seconds(issued_at)}
    return jws.sign(claims, key, typ=HEAD_TYPE)


def sign_manifest(
    key: SigningKey,
    *,
    hub: str,
    sequence: int,
    digest: str,
    issued_at: datetime,
    live: Iterable[str],
    floor: int = 0,
    tombstones: Iterable[str] = (),
) -> str:
    """Signs a manifest with a feed key of the hub. Most callers want :class:`FeedLog`.

    Args:
        key: a feed key.
        hub: URN of the hub.
        sequence: number of the newest entry.
        digest: of the newest entry.
        issued_at: now.
        live: digests of the live entries in order of their numbers.
        floor: the oldest number that a reader can continue after.
        tombstones: digests of the listed tombstones in order of their numbers.
    """
    digests = list(live)
    claims = {
        "iss": hub,
        "seq": sequence,
        "digest": digest,
        "iat": to_seconds(issued_at),
        "count": len(digests),
        "entries": entries_digest(digests),
        "floor": floor,
        "tombstones": entries_digest(tombstones),
    }
    return jws.sign(claims, key, typ=MANIFEST_TYPE)


def verify_entry(token: str, anchor: TrustAnchor) -> FeedEntry:
    """Verifies one entry by itself.

    Raises:
        FeedError: FEED_MALFORMED, or FEED_SIGNATURE when it is not the hub's.
    """
    claims = _verify(token, anchor, ENTRY_TYPE, MAX_ENTRY_BYTES, _EntryClaims)
    try:
        kind = FeedKind(claims.kind)
    except ValueError:
        raise FeedError("a kind is 1 to 32 lower-case letters, digits and hyphens") from None
    return FeedEntry(
        sequence=claims.seq,
        previous=claims.prev,
        issued_at=from_seconds(claims.iat),
        kind=kind,
        subject=claims.subject,
        body=claims.body,
        token=token,
        digest=entry_digest(token),
    )


def verify_head(token: str, anchor: TrustAnchor) -> FeedHead:
    """Verifies one head by itself.

    Raises:
        FeedError: FEED_MALFORMED, or FEED_SIGNATURE when it is not the hub's.
    """
    claims = _verify(token, anchor, HEAD_TYPE, MAX_MARK_BYTES, _HeadClaims)
    return FeedHead(claims.seq, claims.digest, from_seconds(claims.iat), token)


def verify_manifest(token: str, anchor: TrustAnchor) -> FeedManifest:
    """Verifies one manifest by itself.

    Raises:
        FeedError: FEED_MALFORMED, or FEED_SIGNATURE when it is not the hub's.
    """
    claims = _verify(token, anchor, MANIFEST_TYPE, MAX_MARK_BYTES, _ManifestClaims)
    issued_at = from_seconds(claims.iat)
    return FeedManifest(
        claims.seq,
        claims.digest,
        issued_at,
        claims.count,
        claims.entries,
        token,
        claims.floor,
        claims.tombstones,
    )


@dataclass(frozen=True, slots=True)
class FeedLog:
    """Where the hub's chain ends; pure, one writer at a time.

    Appending gives the entry and the log after it. The hub makes the entry durable
    and only then takes the new log in place of the old, so a failed write leaves
    nothing behind::

        entry, after = log.append(key, *authority_change(authority), now=now)
        await store.add(entry)
        log = after

    Attributes:
        hub: URN of the hub.
        sequence: number of the newest entry; 0: none yet.
        digest: of the newest entry.
        issued_at: when the newest entry was signed; None: none yet.
    """

    hub: str
    sequence: int = 0
    digest: str = ZERO_DIGEST
    issued_at: datetime | None = None

    def append(
        self,
        key: SigningKey,
        kind: FeedKind,
        subject: str,
        body: dict[str, Any],
        *,
        now: datetime,
    ) -> tuple[FeedEntry, FeedLog]:
        """Signs the next entry.

        A clock that was set back does not make entries go back: ``iat`` never
        falls below that of the entry before.
        """
        issued_at = from_seconds(to_seconds(now))
        if self.issued_at is not None:
            issued_at = max(issued_at, self.issued_at)
        token = sign_entry(
            key,
            hub=self.hub,
            sequence=self.sequence + 1,
            previous=self.digest,
            issued_at=issued_at,
            kind=kind,
            subject=subject,
            body=body,
        )
        if len(token) > MAX_ENTRY_BYTES:
            raise FeedError(f"the entry is longer than {MAX_ENTRY_BYTES} bytes")
        entry = FeedEntry(
            sequence=self.sequence + 1,
            previous=self.digest,
            issued_at=issued_at,
            kind=kind,
            subject=subject,
            body=body,
            token=token,
            digest=entry_digest(token),
        )
        return entry, self.after(entry)

    def after(self, entry: FeedEntry) -> FeedLog:
        """Returns the log that ends with this entry, read back from the store.

        Raises:
            FeedError: FEED_GAP or FEED_FORK, it does not follow.
        """
        if entry.sequence != self.sequence + 1:
            raise FeedError("the entry is not the next one", code=FeedFault.FEED_GAP)
        if entry.previous != self.digest:
            raise FeedError("the entry follows another one", code=FeedFault.FEED_FORK)
        return FeedLog(self.hub, entry.sequence, entry.digest, entry.issued_at)

    def head(self, key: SigningKey, *, now: datetime) -> str:
        """Signs where the chain ends now."""
        return sign_head(
            key,
            hub=self.hub,
            sequence=self.sequence,
            digest=self.digest,
            issued_at=self._not_before_newest(now),
        )

    def manifest(
        self,
        key: SigningKey,
        live: Iterable[str],
        *,
        now: datetime,
        floor: int = 0,
        tombstones: Iterable[str] = (),
    ) -> str:
        """Signs where the chain ends and which entries are live.

        Args:
            key: a feed key.
            live: digests of the live entries in order of their numbers.
            now: the moment of signing.
            floor: the oldest number that a reader can continue after.
            tombstones: digests of the listed tombstones in order of their numbers.
        """
        return sign_manifest(
            key,
            hub=self.hub,
            sequence=self.sequence,
            digest=self.digest,
            issued_at=self._not_before_newest(now),
            live=live,
            floor=floor,
            tombstones=tombstones,
        )

    def _not_before_newest(self, now: datetime) -> datetime:
        return now if self.issued_at is None else max(now, self.issued_at)


_Claims = TypeVar("_Claims", _EntryClaims, _HeadClaims, _ManifestClaims)


def _verify(
    token: str, anchor: TrustAnchor, typ: str, max_bytes: int, claims_type: type[_Claims]
) -> _Claims:
    try:
        parsed = jws.take_apart(token, typ=typ, max_bytes=max_bytes)
        # Signature first: nothing of the payload is read before it is the hub's.
        key = anchor.feed_key(parsed.key_id)
        parsed.check_signature(key)
        claims = msgspec.convert(parsed.claims(), claims_type)
    except jws.MalformedError as error:
        raise FeedError(f"not a token of the feed: {error}") from None
    except (jws.SignatureError, TrustLookupError):
        raise FeedError(
            "not signed by a feed key of this hub", code=FeedFault.FEED_SIGNATURE
        ) from None
    except msgspec.ValidationError:
        raise FeedError("a claim is missing, unknown or out of bounds") from None
    if claims.iss != anchor.hub:
        raise FeedError("issued in another hub's name", code=FeedFault.FEED_SIGNATURE)
    if claims.iat >= key.believed_until_second:
        raise FeedError(
            "signed by a feed key that is tainted or revoked", code=FeedFault.FEED_SIGNATURE
        )
    return claims
