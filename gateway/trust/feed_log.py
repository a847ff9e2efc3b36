"""What a hub appends to its feed: entries to come, their signing, and where the chain ends.

The other half of ``feed``: what is signed here is verified there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.trust import jws
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.feed import (
    ENTRY_TYPE,
    HEAD_TYPE,
    MANIFEST_TYPE,
    MAX_ENTRY_BYTES,
    ZERO_DIGEST,
    FeedEntry,
    FeedKind,
    entries_digest,
    entry_digest,
)
from gateway.trust.kinds import withdrawal
from gateway.trust.times import from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.authority import Authority
    from gateway.trust.statements import Statement


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
        issued_at = self.stamp(now)
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
            issued_at=self.stamp(now),
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
            issued_at=self.stamp(now),
            live=live,
            floor=floor,
            tombstones=tombstones,
        )

    def stamp(self, now: datetime) -> datetime:
        """Returns the time that what is signed now bears, which says by which key it is.

        Whole seconds, and never below those of the newest entry.
        """
        now = from_seconds(to_seconds(now))
        return now if self.issued_at is None else max(now, self.issued_at)
