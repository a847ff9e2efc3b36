"""A reader's verified copy of the feed (docs/spec/feed.md, HT-FEED-5, -7, -8).

Takes bytes and a clock, raises, and never touches disk or network::

    replica = FeedReplica(anchor)
    replica.load_snapshot(manifest, entries, now)
    replica.apply_entry(entry, now)        # as they come
    replica.apply_head(head, now)          # while nothing changes
    disk.write(replica.to_bytes())
    replica = FeedReplica.from_bytes(anchor, disk.read(), now)

Invariants:

* A refused input changes nothing: a change is made on a copy, which takes the
  place of the old state in one assignment.
* Sequence numbers only go up. What the replica holds is what an honest reader of
  the whole chain up to ``sequence`` holds (``live`` has the rules).
* Two histories never mix. A snapshot has to agree with everything held: an entry
  held is in it or superseded by a newer one, and it brings nothing older that was
  not held. Only a replica that is older than the manifest's ``floor`` accepts that
  something it held is gone without a trace: it was withdrawn, and the tombstone is
  forgotten. That is the explicit resync.
* An ES256 signature has two spellings, and whoever passes an entry on can change one
  into the other. Until the hub names the newest entry by its digest, either is taken;
  then the replica holds the one that was named.
* The anchor that was handed over is where it begins. Every set of the hub's own keys
  (``hub_keys``) is verified under the one before it, in the chain as it comes and in a
  snapshot before its manifest; ``anchor`` is the newest. A set once held stays held.
* Time goes one way: an entry is not dated before the one it follows. So whoever finds
  a feed key of the past can add nothing to what was signed since.
* Snapshot and deltas add up: the live entries after either are the same, and so are
  their digests.
* Nothing expires. ``age`` tells how long ago the hub last vouched for this state;
  what is too old is for the reader's policy to say.

On disk stands what is live, as signed, with the newest head or manifest; reading it
back checks every signature again. A plain checksum finds what the disk damaged.
Whoever can write the file can put an older one in its place; the next head of the
hub shows that the replica is behind, and it catches up. A file of version 1, from
before tombstones, is read as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.trust.bundle import TrustBundle
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.feed import (
    MAX_TOMBSTONES,
    FeedEntry,
    FeedHead,
    FeedManifest,
    verify_entry,
    verify_head,
    verify_manifest,
)
from gateway.trust.history import (
    end_of,
    read_listed,
    refuse_another_list,
    refuse_foreign_mark,
    refuse_future,
    refuse_other_history,
)
from gateway.trust.hub_keys import after_set
from gateway.trust.hub_walk import walked
from gateway.trust.kinds import FeedKind
from gateway.trust.replica_file import MAX_REPLICA_BYTES as MAX_REPLICA_BYTES
from gateway.trust.replica_file import read_file, read_mark, write_file
from gateway.trust.replica_state import (
    ReplicaState,
    is_newer,
    listed_state,
    named_by,
    newer,
    spelled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.entries import LiveEntry
    from gateway.trust.live import LiveSet


@dataclass(frozen=True, slots=True)
class Listing:
    """What a snapshot carries, and what its manifest fixes.

    Attributes:
        tokens: the live entries and the listed tombstones, in order of their numbers.
        live: digests of the live ones.
        tombstones: digests of the tombstones.
    """

    tokens: tuple[str, ...]
    live: tuple[str, ...]
    tombstones: tuple[str, ...]


class FeedReplica:
    """A verified copy of one hub's feed."""

    def __init__(self, anchor: TrustAnchor) -> None:
        self._state = ReplicaState(anchor)
        self._bundle: TrustBundle | None = None

    @property
    def anchor(self) -> TrustAnchor:
        """The hub that this replica follows, with its keys as of the newest entry."""
        return self._state.anchor

    @property
    def sequence(self) -> int:
        """Number of the newest entry; 0: none yet."""
        return self._state.sequence

    @property
    def digest(self) -> str:
        """Digest of the newest entry; of zero bytes: none yet."""
        return self._state.digest

    @property
    def as_of(self) -> datetime | None:
        """When the hub last vouched for this state, by its clock; None: never."""
        return self._state.as_of

    @property
    def live(self) -> LiveSet:
        """What is in force; not to be changed."""
        return self._state.live

    @property
    def bundle(self) -> TrustBundle:
        """The answers that the present state gives; a new object after every change."""
        if self._bundle is None:
            self._bundle = TrustBundle(self._state.live, self._state.sequence)
        return self._bundle

    def age(self, now: datetime) -> timedelta:
        """Returns how long ago the hub vouched for this state.

        Never negative, though clocks differ. ``timedelta.max`` when it never did, so
        that a limit refuses an empty replica too.
        """
        if self._state.as_of is None:
            return timedelta.max
        return max(now - self._state.as_of, timedelta())

    @property
    def floor(self) -> int:
        """Tombstones up to this number are not held any more."""
        return self._state.floor

    def listing(self, floor: int = 0) -> Listing:
        """Returns what a snapshot carries whose manifest names this floor.

        Args:
            floor: the oldest number that a reader can continue after; not below
                :attr:`floor`.
        """
        live, buried = self._state.live, self._tombstones(floor)
        listed = sorted((*live, *buried), key=lambda entry: entry.sequence)
        return Listing(
            tuple(entry.token for entry in listed),
            self.live_digests(),
            tuple(entry.digest for entry in buried),
        )

    def forget(self, floor: int) -> None:
        """Drops the tombstones up to a number; the newest entry stays, whatever it is."""
        state = self._state
        if floor > state.floor:
            live = state.live.copy()
            live.forget(min(floor, state.sequence - 1))
            self._state = replace(state, live=live, floor=floor)

    def _tombstones(self, floor: int) -> list[LiveEntry]:
        return sorted(
            (
                entry
                for entry in self._state.live.tombstones.values()
                if entry.sequence > floor or entry.sequence == self._state.sequence
            ),
            key=lambda entry: entry.sequence,
        )

    def live_tokens(self) -> tuple[str, ...]:
        """Returns the live entries as signed, in order, without tombstones."""
        return tuple(entry.token for entry in self._state.live.entries())

    def live_digests(self) -> tuple[str, ...]:
        """Returns their digests in the same order: what a manifest fixes as live."""
        return tuple(entry.digest for entry in self._state.live.entries())

    def copy(self) -> FeedReplica:
        """Returns an independent replica in the same state, at next to no cost.

        A hub tries an entry on a copy before it makes the entry durable.
        """
        other = FeedReplica(self._state.anchor)
        other._state = self._state
        other._bundle = self._bundle
        return other

    def apply_entry(self, token: str, now: datetime) -> FeedEntry:
        """Takes the next entry in. The newest entry once more is accepted and does nothing.

        Returns:
            The entry, so that a follower knows what changed.

        Raises:
            FeedError: any of ``FeedFault``.
        """
        state = self._state
        entry = verify_entry(token, state.anchor)
        refuse_future(entry.issued_at, now)
        if entry.sequence <= state.sequence:
            self._refuse_if_not_held(entry)
            return entry
        if entry.sequence > state.sequence + 1:
            raise FeedError("entries are missing before this one", code=FeedFault.FEED_GAP)
        state = spelled(state, entry.previous)
        if entry.previous != state.digest:
            raise FeedError("the entry follows another history", code=FeedFault.FEED_FORK)
        if state.newest_at is not None and entry.issued_at < state.newest_at:
            raise FeedError("the entry is dated before the one it follows")
        live = state.live.copy()
        live.put(entry)
        anchor, floor = state.anchor, state.floor
        if entry.kind is FeedKind.HUB_KEYS:
            anchor = after_set(anchor, live)
        if len(live.tombstones) > MAX_TOMBSTONES:
            # A reader needs none but the newest entry; a hub compacts before this.
            numbers = sorted(item.sequence for item in live.tombstones.values())
            floor = max(floor, numbers[len(numbers) // 2])
            live.forget(floor)
        as_of = newer(state.as_of, entry.issued_at)
        self._take(
            ReplicaState(
                anchor,
                entry.sequence,
                entry.digest,
                entry.issued_at,
                live,
                as_of,
                state.mark,
                floor,
            )
        )
        return entry

    def apply_head(self, token: str, now: datetime) -> FeedHead:
        """Takes in that nothing has changed, as of the head's time.

        Raises:
            FeedError: any of ``FeedFault``; FEED_GAP says that there are newer entries.
        """
        state = self._state
        head = verify_head(token, state.anchor)
        refuse_future(head.issued_at, now)
        if head.sequence < state.sequence:
            raise FeedError("the head is older than the state", code=FeedFault.FEED_ROLLED_BACK)
        if head.sequence > state.sequence:
            raise FeedError("entries are missing before this head", code=FeedFault.FEED_GAP)
        state = spelled(state, head.digest)
        if head.digest != state.digest:
            raise FeedError("the head is of another history", code=FeedFault.FEED_FORK)
        if state.as_of is None or head.issued_at > state.as_of:
            state = replace(state, as_of=head.issued_at, mark=head)
        self._state = state
        return head

    def load_snapshot(self, manifest: str, entries: Sequence[str], now: datetime) -> FeedManifest:
        """Takes a snapshot in the place of what is held.

        Args:
            manifest: the signed manifest.
            entries: the live entries and the tombstones, in order.
            now: the moment of loading.

        Raises:
            FeedError: any of ``FeedFault``.
        """
        held = self._state
        anchor = walked(held.anchor, entries)
        fixed = verify_manifest(manifest, anchor)
        refuse_future(fixed.issued_at, now)
        if fixed.sequence < held.sequence:
            raise FeedError("the snapshot is older than the state", code=FeedFault.FEED_ROLLED_BACK)
        if fixed.floor > fixed.sequence:
            raise FeedError("the floor of the manifest lies above its newest entry")
        # Hashing is cheap and signatures are not: the list first.
        refuse_another_list(fixed, entries)
        live, read = read_listed(anchor, entries, now)
        if (fixed.sequence, fixed.digest) != end_of(read):
            raise FeedError("the newest entry is not the one of the manifest")
        held = spelled(held, named_by(read, held.sequence))
        refuse_other_history(held, live, read, fixed.floor)
        self._take(
            ReplicaState(
                anchor,
                fixed.sequence,
                fixed.digest,
                read[-1].issued_at if read else None,
                live,
                newer(held.as_of, fixed.issued_at),
                held.mark if is_newer(held.mark, fixed) else fixed,
                fixed.floor,
            )
        )
        return fixed

    def to_bytes(self) -> bytes:
        """Returns the file. Its size is bounded by what is live, not by history."""
        state = self._state
        return write_file(state.floor, state.mark, self.listing(state.floor).tokens)

    @classmethod
    def from_bytes(cls, anchor: TrustAnchor, data: bytes, now: datetime) -> FeedReplica:
        """Reads a file back and verifies all of it again.

        Raises:
            FeedError: FEED_MALFORMED for a file of another format, version or hub, or
                a damaged one, and any other of ``FeedFault`` for what is in it.
        """
        floor, mark_line, tokens = read_file(data)
        state, read = listed_state(anchor, tokens, now, floor)
        mark = read_mark(state.anchor, mark_line, now)
        if mark is not None:
            refuse_foreign_mark(mark, read, floor)
            state = replace(state, as_of=newer(state.as_of, mark.issued_at), mark=mark)
        replica = cls(anchor)
        replica._state = state
        return replica

    @classmethod
    def from_listed(
        cls, anchor: TrustAnchor, tokens: Sequence[str], now: datetime, floor: int
    ) -> FeedReplica:
        """Makes a replica of what the hub itself keeps: entries without a mark.

        Args:
            anchor: any of the hub's, from before the newest entry or not.
            tokens: the live entries and the tombstones above the floor, in order.
            now: the moment of loading.
            floor: tombstones up to it are not among them.

        Raises:
            FeedError: any of ``FeedFault``.
        """
        replica = cls(anchor)
        replica._state = listed_state(anchor, tokens, now, floor)[0]
        return replica

    def _take(self, state: ReplicaState) -> None:
        self._state = state
        self._bundle = None

    def _refuse_if_not_held(self, entry: FeedEntry) -> None:
        """Judges an entry whose number is not above the replica's own."""
        state = self._state
        if entry.sequence == state.sequence:
            if spelled(state, entry.digest).digest != entry.digest:
                raise FeedError("a second entry for one number", code=FeedFault.FEED_FORK)
            return
        for live in (*state.live, *state.live.tombstones.values()):
            if live.sequence == entry.sequence and live.digest != entry.digest:
                raise FeedError("a second entry for one number", code=FeedFault.FEED_FORK)
        raise FeedError("the entry is older than the state", code=FeedFault.FEED_ROLLED_BACK)
