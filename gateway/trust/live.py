"""The live entries of a feed, and what has to hold among them.

A live set is what a chain of entries, or a snapshot of it, amounts to. Both ways
must lead to the same set, so every rule is one about the set, not about the way:

* an authority's record has its own URN as its subject;
* no two active authorities hold the same prefix, and no two authorities one key;
* a scheme, policy or rehearsal is signed by a statement key, and a status by an
  attestation key, that its region's *present* record holds and that was valid when it
  was signed and when it was published;
* it is of a kind that the region may sign, and speaks only for the region's own
  prefixes, under its own subject;
* it is not older than the one it supersedes;
* a hub stands below one other hub at most;
* its sets of its own keys are numbered without a gap, each is said once, and none goes.

The third rule is also one for the hub: before it drops a key or narrows prefixes or
kinds, it publishes what rests on them anew (promise 6: a key stays until nothing lives
that it signed). Tainting or revoking a key breaks no rule, because it cannot wait: what
the key signed stays in the set, and the bundle does not believe it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gateway.attestation.status_change import verify_status_change
from gateway.errors import TrustError
from gateway.trust.authority import parse_authority
from gateway.trust.entries import (
    LiveEntry,
    StatusEntry,
    live_entry,
    parse_distrust,
    parse_notice,
    parse_silence,
    parse_superior,
)
from gateway.trust.errors import FeedError, FeedFault, Missing, StatementError, TrustLookupError
from gateway.trust.feed import MAX_LIVE_ENTRIES, FeedEntry, FeedKind
from gateway.trust.hub_keys import HubKeySet, parse_hub_keys
from gateway.trust.keys import KeyUse
from gateway.trust.live_rules import (
    LiveAuthority,
    Published,
    Signed,
    check_not_older,
    check_not_older_status,
    check_still_holds,
    signed_of,
)
from gateway.trust.rehearsals import Rehearsal, parse_hub_rehearsal, parse_rehearsal
from gateway.trust.statements import (
    StatementKind,
    served_prefixes,
    verify_statement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.attestation.keys import VerificationKey
    from gateway.trust.entries import Extra
    from gateway.trust.statements import Statement

Place: TypeAlias = tuple[FeedKind, str]
"""Kind and subject: what a later entry supersedes."""

_PUBLISHED: Final = (FeedKind.SCHEME, FeedKind.POLICY)


class LiveSet:
    """What is in force. Changed only on a copy that nobody else sees yet.

    Attributes:
        authorities: by URN.
        published: schemes and policies.
        extras: entries of the younger kinds with what they say; None: of a kind that
            is not known here.
        tombstones: what was withdrawn, and not put anew since.
    """

    def __init__(self) -> None:
        self.authorities: dict[str, LiveAuthority] = {}
        self.published: dict[Place, Published] = {}
        self.extras: dict[Place, tuple[LiveEntry, Extra | None]] = {}
        self.tombstones: dict[Place, LiveEntry] = {}
        self._prefix_holders: dict[str, str] = {}
        self._key_holders: dict[str, str] = {}

    def copy(self) -> LiveSet:
        """Returns a set to change."""
        other = LiveSet()
        other.authorities = self.authorities.copy()
        other.published = self.published.copy()
        other.extras = self.extras.copy()
        other.tombstones = self.tombstones.copy()
        other._prefix_holders = self._prefix_holders.copy()
        other._key_holders = self._key_holders.copy()
        return other

    def entries(self) -> list[LiveEntry]:
        """Returns the live entries in order of their numbers."""
        return sorted(self, key=lambda entry: entry.sequence)

    def __iter__(self) -> Iterator[LiveEntry]:
        for live in self.authorities.values():
            yield live.entry
        for published in self.published.values():
            yield published.entry
        for entry, _ in self.extras.values():
            yield entry

    def hub_keys(self) -> tuple[HubKeySet, ...]:
        """Returns the hub's sets of its own keys, the newest last."""
        found = [extra for _, extra in self.extras.values() if isinstance(extra, HubKeySet)]
        return tuple(sorted(found, key=lambda keys: keys.number))

    def __len__(self) -> int:
        return len(self.authorities) + len(self.published) + len(self.extras)

    def forget(self, floor: int) -> None:
        """Drops the tombstones up to a number."""
        self.tombstones = {
            place: entry for place, entry in self.tombstones.items() if entry.sequence > floor
        }

    def respell(self, held: LiveEntry, other: LiveEntry) -> None:
        """Puts the same entry in another spelling of its signature into its place."""
        place = held.place
        if place in self.tombstones:
            self.tombstones[place] = other
        elif place in self.published:
            self.published[place] = replace(self.published[place], entry=other)
        elif place in self.extras:
            _, extra = self.extras[place]
            self.extras[place] = (other, None if extra is None else replace(extra, entry=other))
        else:
            live = self.authorities[held.subject]
            self.authorities[held.subject] = replace(live, entry=other)

    def put(self, entry: FeedEntry) -> None:
        """Takes a verified entry in, superseding what has its kind and subject.

        Raises:
            FeedError: FEED_MALFORMED, the set would break one of its rules,
                FEED_ROLLED_BACK, the statement is older than the one in force, or
                FEED_UNSUPPORTED, a kind not known here that must be.
                The set is then of no further use.
        """
        try:
            if entry.is_tombstone:
                self._bury(entry)
            else:
                self._put(entry)
                self.tombstones.pop((entry.kind, entry.subject), None)
        except FeedError:
            raise
        except TrustError as error:
            raise FeedError(f"entry {entry.sequence}: {error}") from None
        if len(self) > MAX_LIVE_ENTRIES:
            raise FeedError(f"the feed holds more than {MAX_LIVE_ENTRIES} live entries")

    def put_all(self, entries: Iterable[FeedEntry]) -> None:
        """Takes the entries of a snapshot in, authorities first, else by their numbers.

        What superseded an authority's record may be younger than its schemes.

        Raises:
            FeedError: as :meth:`put`.
        """
        ordered = sorted(
            entries, key=lambda entry: (entry.kind is not FeedKind.AUTHORITY, entry.sequence)
        )
        for entry in ordered:
            self.put(entry)

    def _put(self, entry: FeedEntry) -> None:
        kind = entry.kind
        if kind is FeedKind.AUTHORITY:
            self._put_authority(entry)
        elif kind in _PUBLISHED:
            self._put_published(entry)
        elif kind is FeedKind.STATUS:
            self._put_status(entry)
        else:
            self._put_extra(entry)

    def _bury(self, entry: FeedEntry) -> None:
        if entry.kind is FeedKind.HUB_KEYS:
            raise StatementError("a set of the hub's keys is not withdrawn; the next one is said")
        live = live_entry(entry)
        if entry.kind is FeedKind.AUTHORITY:
            if any(signed.issuer == entry.subject for signed in self._signed()):
                raise StatementError("an authority does not go before what it signed")
            self._release(entry.subject)
            self.authorities.pop(entry.subject, None)
        self.published.pop(live.place, None)
        self.extras.pop(live.place, None)
        self.tombstones[live.place] = live

    def _put_authority(self, entry: FeedEntry) -> None:
        authority = parse_authority(entry.body)
        if authority.urn != entry.subject:
            raise StatementError("the subject is not the authority")
        self._release(authority.urn)
        if authority.is_active:
            for prefix in authority.prefixes:
                if prefix in self._prefix_holders:
                    raise StatementError("another active authority holds the prefix")
                self._prefix_holders[prefix] = authority.urn
        for key in authority.keys:
            if self._key_holders.setdefault(key.key_id, authority.urn) != authority.urn:
                raise StatementError("another authority holds one of the keys")
        for signed in self._signed():
            if signed.issuer == authority.urn:
                check_still_holds(signed, authority)
        self.authorities[authority.urn] = LiveAuthority(live_entry(entry), authority)

    def _release(self, urn: str) -> None:
        before = self.authorities.get(urn)
        if before is None:
            return
        for key in before.authority.keys:
            del self._key_holders[key.key_id]
        if before.authority.is_active:
            for prefix in before.authority.prefixes:
                del self._prefix_holders[prefix]

    def _put_published(self, entry: FeedEntry) -> None:
        statement = self._verified(entry, StatementKind(entry.kind.value))
        if statement.subject != entry.subject:
            raise StatementError("the subject is not that of the statement")
        published = Published(
            entry=live_entry(entry),
            authority=statement.issuer,
            signed_at=statement.issued_at,
            key_id=statement.key_id,
            serves=served_prefixes(statement),
        )
        check_still_holds(signed_of(published), self.authorities[statement.issuer].authority)
        before = self.published.get(published.entry.place)
        if before is not None:
            check_not_older(published, before)
        self.published[published.entry.place] = published

    def _put_status(self, entry: FeedEntry) -> None:
        change = verify_status_change(
            _inner(entry), _AttestationKeys(self), now=entry.issued_at, uri=entry.subject
        )
        status = StatusEntry(
            entry=live_entry(entry),
            issuer=change.issuer,
            key_id=change.key_id,
            issued_at=change.issued_at,
            number=change.sequence,
            base_digest=change.base.digest,
            size=change.base.size,
            bits=change.base.bits,
        )
        check_still_holds(signed_of(status), self.authorities[change.issuer].authority)
        _, before = self.extras.get(status.entry.place, (None, None))
        if isinstance(before, StatusEntry):
            check_not_older_status(status, before)
        self.extras[status.entry.place] = (status.entry, status)

    def _put_extra(self, entry: FeedEntry) -> None:
        live = live_entry(entry)
        extra: Extra | None = None
        if entry.kind is FeedKind.DISTRUST:
            extra = parse_distrust(live, entry.body)
        elif entry.kind is FeedKind.REHEARSAL:
            extra = self._rehearsal(entry)
        elif entry.kind is FeedKind.HUB_REHEARSAL:
            extra = parse_hub_rehearsal(live, entry.body)
        elif entry.kind is FeedKind.HUB_KEYS:
            extra = self._hub_keys(live, entry.body)
        elif entry.kind is FeedKind.NOTICE:
            extra = parse_notice(live, entry.body)
        elif entry.kind is FeedKind.SILENCE:
            extra = parse_silence(live, entry.body)
        elif entry.kind is FeedKind.SUPERIOR:
            if any(k is FeedKind.SUPERIOR and s != entry.subject for k, s in self.extras):
                raise StatementError("a hub stands below one other hub")
            extra = parse_superior(live, entry.body)
        elif entry.body.get("critical") is True:
            raise FeedError(
                "an entry of a kind not known here says that it must be understood",
                code=FeedFault.FEED_UNSUPPORTED,
            )
        self.extras[live.place] = (live, extra)

    def _hub_keys(self, live: LiveEntry, body: dict[str, Any]) -> HubKeySet:
        keys, held = parse_hub_keys(live, body), self.hub_keys()
        if held and held[0].hub != keys.hub:
            raise StatementError("a hub says only its own keys")
        if keys.number <= len(held):
            raise FeedError(
                "the set of keys is older than the one in force", code=FeedFault.FEED_ROLLED_BACK
            )
        if keys.number != len(held) + 1:
            raise FeedError("sets of keys are missing before this one", code=FeedFault.FEED_GAP)
        return keys

    def _rehearsal(self, entry: FeedEntry) -> Rehearsal:
        statement = self._verified(entry, StatementKind.REHEARSAL)
        key, sample = parse_rehearsal(statement.body)
        return Rehearsal(
            entry=live_entry(entry),
            issuer=statement.issuer,
            issued_at=statement.issued_at,
            signed_by=statement.key_id,
            key=key,
            sample=sample,
        )

    def _verified(self, entry: FeedEntry, kind: StatementKind) -> Statement:
        # At the time of the entry, not of the reader: what was accepted stays
        # accepted, whatever lapses later.
        return verify_statement(
            _inner(entry), self._statement_key, now=entry.issued_at, kinds=(kind,)
        )

    def _statement_key(self, issuer: str, key_id: str) -> VerificationKey:
        return self._key(issuer, key_id, KeyUse.STATE)

    def _key(self, issuer: str, key_id: str, use: KeyUse) -> VerificationKey:
        live = self.authorities.get(issuer)
        if live is None:
            raise TrustLookupError("the feed names no such authority", code=Missing.KEY_UNKNOWN)
        key = live.authority.verification_key(key_id, use)
        if key.is_revoked or key.tainted_from is not None:
            # Whether it is believed is the bundle's to say, by the present record.
            key = replace(key, is_revoked=False, tainted_from=None)
        return key

    def _signed(self) -> Iterator[Signed]:
        for published in self.published.values():
            yield signed_of(published)
        for _, extra in self.extras.values():
            is_hub = isinstance(extra, Rehearsal) and not extra.signed_by
            if isinstance(extra, StatusEntry | Rehearsal) and not is_hub:
                yield signed_of(extra)


class _AttestationKeys:
    """The set as a source of keys for status statements."""

    def __init__(self, live: LiveSet) -> None:
        self._live = live

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        return self._live._key(issuer, key_id, KeyUse.ATTEST)  # noqa: SLF001 - of this module


def _inner(entry: FeedEntry) -> str:
    token = entry.body.get("statement")
    if not isinstance(token, str) or len(entry.body) != 1:
        raise StatementError("the body is exactly one statement")
    return token
