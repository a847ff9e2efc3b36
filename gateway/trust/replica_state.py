"""What a replica holds between two changes, and how it comes to be from listed entries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.trust import jws
from gateway.trust.feed import ZERO_DIGEST
from gateway.trust.history import end_of, read_listed
from gateway.trust.hub_walk import walked
from gateway.trust.live import LiveSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.feed import FeedEntry, FeedHead, FeedManifest


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What the replica holds; replaced as a whole, never changed."""

    # The keys of the hub as the newest set says them.
    anchor: TrustAnchor
    sequence: int = 0
    digest: str = ZERO_DIGEST
    # When the newest entry was signed: nothing that follows is dated before.
    newest_at: datetime | None = None
    live: LiveSet = field(default_factory=LiveSet)
    as_of: datetime | None = None
    # The newest head or manifest, kept as evidence of `as_of` across a restart.
    mark: FeedHead | FeedManifest | None = None
    # Tombstones up to this number are not held any more, but for the newest entry.
    floor: int = 0


def listed_state(
    anchor: TrustAnchor, tokens: Sequence[str], now: datetime, floor: int
) -> tuple[ReplicaState, list[FeedEntry]]:
    """Verifies listed entries under the newest of their sets of keys; returns them too.

    Raises:
        FeedError: any of ``FeedFault``.
    """
    anchor = walked(anchor, tokens)
    live, read = read_listed(anchor, tokens, now)
    sequence, digest = end_of(read)
    newest_at = read[-1].issued_at if read else None
    state = ReplicaState(
        anchor, sequence, digest, newest_at, live, newest_at, floor=min(floor, sequence)
    )
    return state, read


def newer(held: datetime | None, other: datetime) -> datetime:
    """Returns the later of two moments."""
    return other if held is None else max(held, other)


def is_newer(held: FeedHead | FeedManifest | None, other: FeedManifest) -> bool:
    """Whether the mark that is held is newer than a manifest."""
    return held is not None and held.issued_at > other.issued_at


def named_by(read: Sequence[FeedEntry], sequence: int) -> str:
    """Returns the digest by which a snapshot names the entry of this number, if it does."""
    for entry in read:
        if entry.sequence == sequence:
            return entry.digest
        if entry.sequence == sequence + 1:
            return entry.previous
    return ""


def spelled(state: ReplicaState, digest: str) -> ReplicaState:
    """Returns the state with the newest entry in the spelling that has this digest, if any."""
    if digest == state.digest:
        return state
    held = (*state.live, *state.live.tombstones.values())
    newest = next((entry for entry in held if entry.sequence == state.sequence), None)
    twin = None if newest is None else jws.twin(newest.token)
    if newest is None or twin is None or jws.digest(twin) != digest:
        return state
    live = state.live.copy()
    live.respell(newest, replace(newest, token=twin, digest=digest))
    return replace(state, live=live, digest=digest)
