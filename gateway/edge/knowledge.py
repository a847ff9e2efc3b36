"""What this checkpoint knows: the feed it follows, or the packs it was given.

Both are the same knowledge by different roads, so the one that reaches further stands:
the packs where their sequence number is the higher one, else the replica of the feed.
Where both end at the same entry, the younger word of the hub counts for the age. A pack
that ends before what is held is refused as a roll-back, on whichever road that came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

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
        """
        road = self.road
        if road is None:
            raise ReplicaError("this machine has never synchronised with its hub")
        return self._packs.bundle if road == PACK else self._replica.bundle

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
            raise FeedError("the pack is older than what is held", code=FeedFault.FEED_ROLLED_BACK)
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
