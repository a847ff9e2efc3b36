"""Rows of the feed as the store gives them back, held against signatures and chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import TrustError
from gateway.store import FeedRow, StoreCorruptError
from gateway.trust import FeedEntry, FeedLog, verify_entry

if TYPE_CHECKING:
    from gateway.trust import TrustAnchor


def verified_row(row: FeedRow, anchor: TrustAnchor) -> FeedEntry:
    """Return the entry of a row.

    Args:
        row: as it was stored.
        anchor: the hub's own keys, as of the newest entry.

    Raises:
        StoreCorruptError: it does not verify, or says something else than its row.
    """
    try:
        entry = verify_entry(row.token, anchor)
    except TrustError:
        raise StoreCorruptError(
            f"feed entry {row.sequence} is not signed by a feed key of this hub"
        ) from None
    said = (entry.sequence, entry.kind.value, entry.subject, entry.digest, entry.is_tombstone)
    if said != (row.sequence, row.kind, row.subject, row.digest, row.withdrawn):
        raise StoreCorruptError(f"feed entry {row.sequence} stands in a foreign row")
    return entry


def follow_row(log: FeedLog, entry: FeedEntry, floor: int) -> FeedLog:
    """Return the log after a stored entry; gaps are allowed up to the floor.

    Raises:
        StoreCorruptError: it does not follow.
    """
    if entry.sequence == log.sequence + 1:
        try:
            return log.after(entry)
        except TrustError:
            raise StoreCorruptError(
                f"feed entry {entry.sequence} does not follow the one before it"
            ) from None
    if log.sequence < entry.sequence <= floor + 1:
        # What lies between was compacted: order still counts, the link is gone.
        return FeedLog(log.hub, entry.sequence, entry.digest, entry.issued_at)
    raise StoreCorruptError(f"feed entry {log.sequence + 1} is missing")
