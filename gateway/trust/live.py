"""The live entries of a feed, and what has to hold among them.

A live set is what a chain of entries, or a snapshot of it, amounts to. Both ways
must lead to the same set, so every rule is one about the set, not about the way:

* an authority's record has its own URN as its subject;
* no two active authorities hold the same prefix;
* a scheme or policy is signed by a statement key that its region's *present*
  record holds and that was valid when it was signed and when it was published;
* it speaks only for the region's own prefixes, under its own subject;
* it is not older than the one it supersedes.

The third rule is also one for the hub: before it drops a statement key or narrows
prefixes, it publishes what rests on them anew (promise 6: a key stays until nothing
lives that it signed).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.attestation import base64url
from gateway.errors import TrustError
from gateway.trust import names
from gateway.trust.authority import Authority, parse_authority
from gateway.trust.errors import FeedError, FeedFault, Missing, StatementError, TrustLookupError
from gateway.trust.feed import MAX_LIVE_ENTRIES, FeedEntry, FeedKind
from gateway.trust.keys import KeyUse
from gateway.trust.statements import (
    StatementKind,
    check_key_times,
    served_prefixes,
    verify_statement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """An entry in force, without its parsed body.

    Attributes:
        sequence: its number.
        digest: of its token.
        token: as signed by the hub.
        issued_at: when the hub published it.
        kind: what it changes.
        subject: what it is about.
    """

    sequence: int
    digest: str
    token: str = field(repr=False)
    issued_at: datetime
    kind: FeedKind
    subject: str

    @property
    def place(self) -> tuple[FeedKind, str]:
        """What a later entry supersedes."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class LiveAuthority:
    """An authority in force."""

    entry: LiveEntry
    authority: Authority


@dataclass(frozen=True, slots=True)
class Published:
    """A scheme or policy in force.

    The document is not kept parsed: there are hundreds, and each is wanted once a
    change. ``entry.digest`` tells whether it is still the one seen before.

    Attributes:
        entry: the hub's entry.
        authority: URN of the region that signed it.
        signed_at: when the region did, by its own clock.
        key_id: of the statement key.
        serves: divisions it speaks for, as shortest prefixes.
    """

    entry: LiveEntry
    authority: str
    signed_at: datetime
    key_id: str
    serves: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Returns a fresh copy of the document."""
        statement: str = _payload(self.entry.token)["body"]["statement"]
        document: dict[str, Any] = _payload(statement)["body"]
        return document


class LiveSet:
    """What is in force. Changed only on a copy that nobody else sees yet."""

    def __init__(self) -> None:
        self.authorities: dict[str, LiveAuthority] = {}
        self.published: dict[tuple[FeedKind, str], Published] = {}
        self._holders: dict[str, str] = {}

    def copy(self) -> LiveSet:
        """Returns a set to change."""
        other = LiveSet()
        other.authorities = self.authorities.copy()
        other.published = self.published.copy()
        other._holders = self._holders.copy()
        return other

    def entries(self) -> list[LiveEntry]:
        """Returns the entries in order of their numbers."""
        return sorted(self, key=lambda entry: entry.sequence)

    def __iter__(self) -> Iterator[LiveEntry]:
        for live in self.authorities.values():
            yield live.entry
        for published in self.published.values():
            yield published.entry

    def __len__(self) -> int:
        return len(self.authorities) + len(self.published)

    def put(self, entry: FeedEntry) -> None:
        """Takes a verified entry in, superseding what has its kind and subject.

        Raises:
            FeedError: FEED_MALFORMED, the set would break one of its rules, or
                FEED_ROLLED_BACK, the statement is older than the one in force.
                The set is then of no further use.
        """
        try:
            if entry.kind is FeedKind.AUTHORITY:
                self._put_authority(entry)
            else:
                self._put_published(entry)
        except FeedError:
            raise
        except TrustError as error:
            raise FeedError(f"entry {entry.sequence}: {error}") from None
        if len(self) > MAX_LIVE_ENTRIES:
            raise FeedError(f"the feed holds more than {MAX_LIVE_ENTRIES} live entries")

    def put_all(self, entries: Iterable[FeedEntry]) -> None:
        """Takes the entries of a snapshot in, authorities first.

        What superseded an authority's record may be younger than its schemes.

        Raises:
            FeedError: as :meth:`put`.
        """
        ordered = sorted(entries, key=lambda entry: entry.kind is not FeedKind.AUTHORITY)
        for entry in ordered:
            self.put(entry)

    def _put_authority(self, entry: FeedEntry) -> None:
        authority = parse_authority(entry.body)
        if authority.urn != entry.subject:
            raise StatementError("the subject is not the authority")
        before = self.authorities.get(authority.urn)
        if before is not None and before.authority.is_active:
            for prefix in before.authority.prefixes:
                del self._holders[prefix]
        if authority.is_active:
            for prefix in authority.prefixes:
                if prefix in self._holders:
                    raise StatementError("another active authority holds the prefix")
                self._holders[prefix] = authority.urn
        for published in self.published.values():
            if published.authority == authority.urn:
                _check_still_holds(published, authority)
        self.authorities[authority.urn] = LiveAuthority(_live(entry), authority)

    def _put_published(self, entry: FeedEntry) -> None:
        token = entry.body.get("statement")
        if not isinstance(token, str) or len(entry.body) != 1:
            raise StatementError("the body is exactly one statement")
        # At the time of the entry, not of the reader: what was accepted stays
        # accepted, whatever lapses later.
        statement = verify_statement(
            token,
            self._statement_key,
            now=entry.issued_at,
            kinds=(StatementKind(entry.kind.value),),
        )
        if statement.subject != entry.subject:
            raise StatementError("the subject is not that of the statement")
        published = Published(
            entry=_live(entry),
            authority=statement.issuer,
            signed_at=statement.issued_at,
            key_id=statement.key_id,
            serves=served_prefixes(statement),
        )
        _check_still_holds(published, self.authorities[statement.issuer].authority)
        before = self.published.get(published.entry.place)
        if before is not None:
            check_not_older(published, before)
        self.published[published.entry.place] = published

    def _statement_key(self, issuer: str, key_id: str) -> VerificationKey:
        live = self.authorities.get(issuer)
        if live is None:
            raise TrustLookupError("the feed names no such authority", code=Missing.KEY_UNKNOWN)
        return live.authority.verification_key(key_id, KeyUse.STATE)


def check_not_older(published: Published, before: Published) -> None:
    """Refuses a statement that its region signed before the one in force.

    Raises:
        FeedError: FEED_ROLLED_BACK; the hub, or a thief of its key, plays back an
            old statement.
    """
    if published.signed_at < before.signed_at:
        raise FeedError(
            "the statement is older than the one it supersedes", code=FeedFault.FEED_ROLLED_BACK
        )


def _check_still_holds(published: Published, authority: Authority) -> None:
    key = authority.member_key(published.key_id, KeyUse.STATE)
    check_key_times(key, issued_at=published.signed_at, accepted_at=published.entry.issued_at)
    if not all(names.covers(authority.prefixes, served) for served in published.serves):
        raise StatementError("a statement speaks for a division of another authority")


def _live(entry: FeedEntry) -> LiveEntry:
    return LiveEntry(
        entry.sequence, entry.digest, entry.token, entry.issued_at, entry.kind, entry.subject
    )


def _payload(token: str) -> Any:
    # Verified when it was put in; read here for its content alone.
    return json.loads(base64url.decode(token.split(".")[1].encode("ascii")))
