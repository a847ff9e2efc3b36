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

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url
from gateway.trust.bundle import TrustBundle
from gateway.trust.entries import StatusEntry
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.feed import (
    EMPTY_DIGEST,
    MAX_LIVE_ENTRIES,
    MAX_TOMBSTONES,
    ZERO_DIGEST,
    FeedEntry,
    FeedHead,
    FeedManifest,
    entries_digest,
    entry_digest,
    verify_entry,
    verify_head,
    verify_manifest,
)
from gateway.trust.kinds import looks_withdrawn
from gateway.trust.live import LiveSet, check_not_older, check_not_older_status
from gateway.trust.times import LEEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.entries import LiveEntry

MAX_REPLICA_BYTES: Final = 256 * 1024 * 1024
"""The most live entries at 16 KiB each, twice what a scheme of the feed takes."""

# First line of the file: name and version of the format, checksum of the rest. Then
# the floor (not in version 1), the mark, and the entries, a line each.
_FORMAT: Final = b"hutong-replica 2 "
_FORMAT_1: Final = b"hutong-replica 1 "
_FLOOR: Final = "floor "
_CHECKSUM_LENGTH: Final = 43
_NO_MARK: Final = "none"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _State:
    """What the replica holds; replaced as a whole, never changed."""

    sequence: int = 0
    digest: str = ZERO_DIGEST
    live: LiveSet = field(default_factory=LiveSet)
    as_of: datetime | None = None
    # The newest head or manifest, kept as evidence of `as_of` across a restart.
    mark: FeedHead | FeedManifest | None = None
    # Tombstones up to this number are not held any more, but for the newest entry.
    floor: int = 0


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
        self._anchor = anchor
        self._state = _State()
        self._bundle: TrustBundle | None = None

    @property
    def anchor(self) -> TrustAnchor:
        """The hub that this replica follows."""
        return self._anchor

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
        other = FeedReplica(self._anchor)
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
        entry = verify_entry(token, self._anchor)
        _refuse_future(entry.issued_at, now)
        state = self._state
        if entry.sequence <= state.sequence:
            self._refuse_if_not_held(entry)
            return entry
        if entry.sequence > state.sequence + 1:
            raise FeedError("entries are missing before this one", code=FeedFault.FEED_GAP)
        if entry.previous != state.digest:
            raise FeedError("the entry follows another history", code=FeedFault.FEED_FORK)
        live = state.live.copy()
        live.put(entry)
        floor = state.floor
        if len(live.tombstones) > MAX_TOMBSTONES:
            # A reader needs none but the newest entry; a hub compacts before this.
            numbers = sorted(item.sequence for item in live.tombstones.values())
            floor = max(floor, numbers[len(numbers) // 2])
            live.forget(floor)
        as_of = _newer(state.as_of, entry.issued_at)
        self._take(_State(entry.sequence, entry.digest, live, as_of, state.mark, floor))
        return entry

    def apply_head(self, token: str, now: datetime) -> FeedHead:
        """Takes in that nothing has changed, as of the head's time.

        Raises:
            FeedError: any of ``FeedFault``; FEED_GAP says that there are newer entries.
        """
        head = verify_head(token, self._anchor)
        _refuse_future(head.issued_at, now)
        state = self._state
        if head.sequence < state.sequence:
            raise FeedError("the head is older than the state", code=FeedFault.FEED_ROLLED_BACK)
        if head.sequence > state.sequence:
            raise FeedError("entries are missing before this head", code=FeedFault.FEED_GAP)
        if head.digest != state.digest:
            raise FeedError("the head is of another history", code=FeedFault.FEED_FORK)
        if state.as_of is None or head.issued_at > state.as_of:
            self._state = replace(state, as_of=head.issued_at, mark=head)
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
        fixed = verify_manifest(manifest, self._anchor)
        _refuse_future(fixed.issued_at, now)
        held = self._state
        if fixed.sequence < held.sequence:
            raise FeedError("the snapshot is older than the state", code=FeedFault.FEED_ROLLED_BACK)
        if fixed.floor > fixed.sequence:
            raise FeedError("the floor of the manifest lies above its newest entry")
        # Hashing is cheap and signatures are not: the list first.
        _refuse_another_list(fixed, entries)
        live, read = _read_listed(self._anchor, entries, now)
        if (fixed.sequence, fixed.digest) != _end(read):
            raise FeedError("the newest entry is not the one of the manifest")
        _refuse_other_history(held, live, read, fixed.floor)
        self._take(
            _State(
                fixed.sequence,
                fixed.digest,
                live,
                _newer(held.as_of, fixed.issued_at),
                held.mark if _is_newer(held.mark, fixed) else fixed,
                fixed.floor,
            )
        )
        return fixed

    def to_bytes(self) -> bytes:
        """Returns the file. Its size is bounded by what is live, not by history."""
        state = self._state
        mark = _NO_MARK
        if state.mark is not None:
            kind = "head" if isinstance(state.mark, FeedHead) else "manifest"
            mark = f"{kind} {state.mark.token}"
        floor = f"{_FLOOR}{state.floor}"
        tokens = self.listing(state.floor).tokens
        lines = "\n".join((floor, mark, *tokens, "")).encode("ascii")
        return _FORMAT + _checksum(lines) + b"\n" + lines

    @classmethod
    def from_bytes(cls, anchor: TrustAnchor, data: bytes, now: datetime) -> FeedReplica:
        """Reads a file back and verifies all of it again.

        Raises:
            FeedError: FEED_MALFORMED for a file of another format, version or hub, or
                a damaged one, and any other of ``FeedFault`` for what is in it.
        """
        floor, mark_line, tokens = _read_file(data)
        replica = cls(anchor)
        live, read = _read_listed(anchor, tokens, now)
        sequence, digest = _end(read)
        mark = _read_mark(anchor, mark_line, now)
        as_of = max((entry.issued_at for entry in read), default=None)
        if mark is not None:
            _refuse_foreign_mark(mark, read, floor)
            as_of = _newer(as_of, mark.issued_at)
        replica._state = _State(sequence, digest, live, as_of, mark, min(floor, sequence))
        return replica

    def _take(self, state: _State) -> None:
        self._state = state
        self._bundle = None

    def _refuse_if_not_held(self, entry: FeedEntry) -> None:
        """Judges an entry whose number is not above the replica's own."""
        state = self._state
        if entry.sequence == state.sequence:
            if entry.digest != state.digest:
                raise FeedError("a second entry for one number", code=FeedFault.FEED_FORK)
            return
        for live in (*state.live, *state.live.tombstones.values()):
            if live.sequence == entry.sequence and live.digest != entry.digest:
                raise FeedError("a second entry for one number", code=FeedFault.FEED_FORK)
        raise FeedError("the entry is older than the state", code=FeedFault.FEED_ROLLED_BACK)


def _refuse_another_list(fixed: FeedManifest, tokens: Sequence[str]) -> None:
    """Holds the list of a snapshot against its manifest, before any signature."""
    digests = [entry_digest(token) for token in tokens]
    buried: list[str] = []
    if fixed.tombstones != EMPTY_DIGEST:
        buried = [d for d, t in zip(digests, tokens, strict=True) if looks_withdrawn(t)]
        apart = set(buried)
        digests = [digest for digest in digests if digest not in apart]
    if (
        len(digests) != fixed.count
        or entries_digest(digests) != fixed.entries
        or entries_digest(buried) != fixed.tombstones
    ):
        raise FeedError("the entries are not those of the manifest")


def _read_listed(
    anchor: TrustAnchor, tokens: Sequence[str], now: datetime
) -> tuple[LiveSet, list[FeedEntry]]:
    """Verifies listed entries in order of their numbers and puts them into a set."""
    if len(tokens) > MAX_LIVE_ENTRIES + MAX_TOMBSTONES:
        raise FeedError(f"more than {MAX_LIVE_ENTRIES} live entries, or too many tombstones")
    read: list[FeedEntry] = []
    for token in tokens:
        entry = verify_entry(token, anchor)
        _refuse_future(entry.issued_at, now)
        if read:
            before = read[-1]
            if entry.sequence <= before.sequence:
                raise FeedError("the entries are not in order of their numbers")
            if entry.sequence == before.sequence + 1 and entry.previous != before.digest:
                raise FeedError("an entry follows another history", code=FeedFault.FEED_FORK)
        read.append(entry)
    live = LiveSet()
    live.put_all(read)
    if len(live) + len(live.tombstones) != len(read):
        raise FeedError("two entries have the same kind and subject")
    return live, read


def _refuse_other_history(
    held: _State, live: LiveSet, read: Iterable[FeedEntry], floor: int
) -> None:
    """Refuses a snapshot that contradicts what is held."""
    held_digests = {entry.digest for entry in (*held.live, *held.live.tombstones.values())}
    newer = set()
    for entry in read:
        if entry.sequence > held.sequence:
            newer.add((entry.kind, entry.subject))
            known = entry.sequence > held.sequence + 1 or entry.previous == held.digest
        else:
            # A tombstone may have been forgotten here and be listed there still.
            forgotten = entry.is_tombstone and entry.sequence <= held.floor
            known = forgotten or entry.digest in held_digests
        if not known:
            raise FeedError("the snapshot is of another history", code=FeedFault.FEED_FORK)
    kept = {entry.digest for entry in (*live, *live.tombstones.values())}
    gone = [entry for entry in held.live if entry.digest not in kept and entry.place not in newer]
    unlisted = [
        entry
        for entry in held.live.tombstones.values()
        if entry.digest not in kept and entry.place not in newer and entry.sequence > floor
    ]
    if (gone and held.sequence >= floor) or unlisted:
        raise FeedError("the snapshot leaves out what is in force", code=FeedFault.FEED_FORK)
    for place, before in held.live.published.items():
        after = live.published.get(place)
        if after is not None:
            check_not_older(after, before)
    for place, (_, status) in held.live.extras.items():
        _, now_said = live.extras.get(place, (None, None))
        if isinstance(status, StatusEntry) and isinstance(now_said, StatusEntry):
            check_not_older_status(now_said, status)


def _refuse_foreign_mark(
    mark: FeedHead | FeedManifest, read: Sequence[FeedEntry], floor: int
) -> None:
    """Holds the mark of a file against its entries, as far as it speaks of them."""
    sequence, digest = _end(read)
    fits = mark.sequence < sequence or (mark.sequence, mark.digest) == (sequence, digest)
    if fits and isinstance(mark, FeedManifest) and mark.sequence == sequence:
        live = [entry.digest for entry in read if not entry.is_tombstone]
        buried = [entry.digest for entry in read if entry.is_tombstone]
        fits = mark.entries == entries_digest(live)
        if mark.floor == floor:
            fits = fits and mark.tombstones == entries_digest(buried)
    if not fits:
        raise FeedError("the mark in the file is not of its entries")


def _refuse_future(issued_at: datetime, now: datetime) -> None:
    if issued_at > now + LEEWAY:
        raise FeedError(
            "issued more than 60 seconds ahead of the clock", code=FeedFault.FEED_FROM_FUTURE
        )


def _newer(held: datetime | None, other: datetime) -> datetime:
    return other if held is None else max(held, other)


def _is_newer(held: FeedHead | FeedManifest | None, other: FeedManifest) -> bool:
    return held is not None and held.issued_at > other.issued_at


def _end(read: Sequence[FeedEntry]) -> tuple[int, str]:
    return (read[-1].sequence, read[-1].digest) if read else (0, ZERO_DIGEST)


def _checksum(lines: bytes) -> bytes:
    return base64url.encode(hashlib.sha256(lines).digest()).encode("ascii")


def _read_file(data: bytes) -> tuple[int, str, list[str]]:
    """Takes the file apart into the floor, the mark's line and the tokens."""
    if len(data) > MAX_REPLICA_BYTES:
        raise FeedError(f"the file is longer than {MAX_REPLICA_BYTES} bytes")
    start = len(_FORMAT) + _CHECKSUM_LENGTH + 1
    lines = data[start:]
    checksum = _checksum(lines) + b"\n"
    is_first_version = data[:start] == _FORMAT_1 + checksum
    if not is_first_version and data[:start] != _FORMAT + checksum:
        raise FeedError("the file is damaged or of another format")
    try:
        mark, *tokens, last = lines.decode("ascii").split("\n")
    except ValueError:
        raise FeedError("the file is not lines of ASCII") from None
    if last:
        raise FeedError("the last line of the file does not end")
    if is_first_version:
        return 0, mark, tokens
    number = mark.removeprefix(_FLOOR)
    if not tokens or number == mark or not _NUMBER.fullmatch(number):
        raise FeedError("the file does not name its floor")
    return int(number), tokens[0], tokens[1:]


def _read_mark(anchor: TrustAnchor, line: str, now: datetime) -> FeedHead | FeedManifest | None:
    kind, _, token = line.partition(" ")
    mark: FeedHead | FeedManifest
    if line == _NO_MARK:
        return None
    if kind == "head":
        mark = verify_head(token, anchor)
    elif kind == "manifest":
        mark = verify_manifest(token, anchor)
    else:
        raise FeedError("the file holds an unknown kind of mark")
    _refuse_future(mark.issued_at, now)
    return mark
