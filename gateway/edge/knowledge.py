"""What this checkpoint knows: the feed it follows, or the packs it was given.

Both are the same knowledge by different roads, so the one that reaches further stands:
the packs where their sequence number is the higher one, else the replica of the feed.
Where both end at the same entry, the younger word of the hub counts for the age. A pack
that ends before what is held is refused as a roll-back, on whichever road that came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from gateway.edge.pack_refusals import ClockBehindError
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.pack import read_manifest
from gateway.wire.replica_store import ReplicaError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.edge.packs import PackStore, Taken
    from gateway.edge.revocation import StatusFolder
    from gateway.trust import TrustAnchor, TrustBundle
    from gateway.wire.replica_store import ReplicaStore

Road = Literal["feed", "pack"]

FEED: Final = "feed"
PACK: Final = "pack"


class Knowledge:
    """See the module.

    Args:
        anchor: of the hub.
        replica: of its feed.
        packs: that were loaded here.
        lists: where the base status lists of a pack go.
    """

    def __init__(
        self,
        anchor: TrustAnchor,
        replica: ReplicaStore,
        packs: PackStore,
        lists: StatusFolder,
    ) -> None:
        self._anchor = anchor
        self._replica = replica
        self._packs = packs
        self._lists = lists
        self._opened_at: datetime | None = None

    @property
    def road(self) -> Road | None:
        """By which road what is used came; None: there is nothing."""
        if self._replica.is_usable:
            return PACK if self._packs.sequence > self._replica.sequence else FEED
        return None if self._packs.held is None else PACK

    @property
    def is_usable(self) -> bool:
        """Whether there was ever a word of the hub."""
        return self.road is not None

    @property
    def sequence(self) -> int:
        """Number of the newest entry known of; zero: none."""
        return self._packs.sequence if self.road == PACK else self._replica.sequence

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Divisions it speaks of; empty: all."""
        held = self._packs.held
        return held.prefixes if self.road == PACK and held is not None else ()

    @property
    def bundle(self) -> TrustBundle:
        """What the hub says.

        Raises:
            ReplicaError: REPLICA_MISSING, this machine never had a word of it.
            ClockBehindError: FEED_FROM_FUTURE, all that it has lies ahead of its clock.
        """
        road = self.road
        if road is None:
            ahead = self._ahead()
            if ahead is not None and self._opened_at is not None:
                raise ClockBehindError(ahead - self._opened_at)
            raise ReplicaError("this machine has never synchronised with its hub")
        return self._packs.bundle if road == PACK else self._replica.bundle

    def open(self, now: datetime) -> None:
        """Take up what the disk holds, of both roads.

        Raises:
            FileError: a file is there and cannot be read.
        """
        self._opened_at = now
        self._replica.load(now)
        self._packs.open(now)

    @property
    def behind_seconds(self) -> int | None:
        """How far the clock was behind what the disk holds, on opening; None: it was not."""
        ahead = self._ahead()
        if ahead is None or self._opened_at is None:
            return None
        return int((ahead - self._opened_at).total_seconds())

    def _ahead(self) -> datetime | None:
        moments = (None if self._replica.is_usable else self._replica.ahead, self._packs.ahead)
        return max((moment for moment in moments if moment is not None), default=None)

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since the newest word of the hub; None: there is none."""
        road = self.road
        if road is None:
            return None
        if road == PACK:
            return self._packs.age_seconds(now)
        age = self._replica.age_seconds(now)
        held = self._packs.held
        if held is not None and held.digest == self._replica.digest:
            packed = self._packs.age_seconds(now)
            known = [one for one in (age, packed) if one is not None]
            return min(known, default=None)
        return age

    def take_pack(self, data: bytes, now: datetime) -> Taken:
        """Take a pack in, its status lists too.

        Raises:
            PackError: it does not hold; nothing changed.
            FeedError: likewise; FEED_ROLLED_BACK, it ends before what is known.
            OSError: it cannot be written.
        """
        manifest = read_manifest(self._anchor, data)
        if self._replica.is_usable and manifest.sequence < self._replica.sequence:
            raise FeedError(
                f"the pack ends at {manifest.sequence}, and the feed was followed to "
                f"{self._replica.sequence} here",
                code=FeedFault.FEED_ROLLED_BACK,
                fix="fetch a pack that was made later; if the hub has none, tell its operator",
            )
        taken = self._packs.take(data, now)
        self.spread_lists()
        return taken

    def spread_lists(self) -> None:
        """Put the base status lists of the packs where those of the feed are."""
        held = self._packs.held
        lists = {} if held is None else held.lists
        for digest, token in lists.items():
            if not self._lists.has(digest):
                self._lists.put(digest, token)
