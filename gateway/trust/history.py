"""Rules by which a replica tells one history of a feed from another.

What a snapshot lists, what its manifest fixes, and whether both agree with what a
replica holds already. Nothing here changes the replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
)
from gateway.trust.hub_keys import after_set
from gateway.trust.kinds import looks_withdrawn
from gateway.trust.live import LiveSet
from gateway.trust.live_rules import check_not_older, check_not_older_status
from gateway.trust.times import LEEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor

    class Held(Protocol):
        """What a replica holds."""

        @property
        def sequence(self) -> int:
            """Number of the newest entry."""

        @property
        def digest(self) -> str:
            """Of the newest entry."""

        @property
        def live(self) -> LiveSet:
            """What is in force."""

        @property
        def floor(self) -> int:
            """Tombstones up to this number are not held any more."""


def refuse_another_list(fixed: FeedManifest, tokens: Sequence[str]) -> None:
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


def read_listed(
    anchor: TrustAnchor, tokens: Sequence[str], now: datetime
) -> tuple[LiveSet, list[FeedEntry]]:
    """Verifies listed entries in order of their numbers and puts them into a set."""
    if len(tokens) > MAX_LIVE_ENTRIES + MAX_TOMBSTONES:
        raise FeedError(f"more than {MAX_LIVE_ENTRIES} live entries, or too many tombstones")
    read: list[FeedEntry] = []
    for token in tokens:
        entry = verify_entry(token, anchor)
        refuse_future(entry.issued_at, now)
        if read:
            before = read[-1]
            if entry.sequence <= before.sequence:
                raise FeedError("the entries are not in order of their numbers")
            if entry.sequence == before.sequence + 1 and entry.previous != before.digest:
                raise FeedError("an entry follows another history", code=FeedFault.FEED_FORK)
            if entry.issued_at < before.issued_at:
                raise FeedError("an entry is dated before an older one")
        read.append(entry)
    live = LiveSet()
    live.put_all(read)
    if len(live.hub_keys()) > anchor.number:
        raise FeedError("a set of the hub's keys is spelled so that it cannot be found")
    after_set(anchor, live)
    if len(live) + len(live.tombstones) != len(read):
        raise FeedError("two entries have the same kind and subject")
    return live, read


def refuse_other_history(held: Held, live: LiveSet, read: Iterable[FeedEntry], floor: int) -> None:
    """Refuses a snapshot that contradicts what is held.

    Raises:
        FeedError: FEED_FORK, or FEED_ROLLED_BACK for a statement older than one held.
    """
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
    if len(live.hub_keys()) < len(held.live.hub_keys()):
        raise FeedError("the snapshot knows older keys", code=FeedFault.FEED_ROLLED_BACK)
    for place, before in held.live.published.items():
        after = live.published.get(place)
        if after is not None:
            check_not_older(after, before)
    for place, (_, status) in held.live.extras.items():
        _, now_said = live.extras.get(place, (None, None))
        if isinstance(status, StatusEntry) and isinstance(now_said, StatusEntry):
            check_not_older_status(now_said, status)


def refuse_foreign_mark(
    mark: FeedHead | FeedManifest, read: Sequence[FeedEntry], floor: int
) -> None:
    """Holds the mark of a file against its entries, as far as it speaks of them."""
    sequence, digest = end_of(read)
    fits = mark.sequence < sequence or (mark.sequence, mark.digest) == (sequence, digest)
    if fits and isinstance(mark, FeedManifest) and mark.sequence == sequence:
        live = [entry.digest for entry in read if not entry.is_tombstone]
        buried = [entry.digest for entry in read if entry.is_tombstone]
        fits = mark.entries == entries_digest(live)
        if mark.floor == floor:
            fits = fits and mark.tombstones == entries_digest(buried)
    if not fits:
        raise FeedError("the mark in the file is not of its entries")


def refuse_future(issued_at: datetime, now: datetime) -> None:
    """Refuses what the hub will have signed.

    Raises:
        FeedError: FEED_FROM_FUTURE.
    """
    if issued_at > now + LEEWAY:
        raise FeedError(
            "issued more than 60 seconds ahead of the clock", code=FeedFault.FEED_FROM_FUTURE
        )


def end_of(read: Sequence[FeedEntry]) -> tuple[int, str]:
    """Returns number and digest of the newest of listed entries."""
    return (read[-1].sequence, read[-1].digest) if read else (0, ZERO_DIGEST)
