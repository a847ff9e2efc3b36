"""The feed's three tokens (docs/spec/feed.md).

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
``hub-keys``    the hub's URN, ``#``, number     :mod:`gateway.trust.hub_keys`
==============  ===============================  =========================================

The younger ones (``silence``, ``hub-rehearsal``) are described where they are read,
in ``entries``.

Verifying here means: one token, its signature and its shape. What follows what is
``replica``'s to judge; signing is ``feed_log``'s.
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
from gateway.trust.kinds import is_withdrawal
from gateway.trust.times import Seconds, from_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor

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
    if not key.first_second <= claims.iat < key.end_second:
        raise FeedError("signed by a feed key outside of its time", code=FeedFault.FEED_SIGNATURE)
    if claims.iat >= key.believed_until_second:
        raise FeedError(
            "signed by a feed key that is tainted or revoked", code=FeedFault.FEED_SIGNATURE
        )
    return claims
