"""What the hub's calls on living trust are served from, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.hub.distrusting import Distrusting
from gateway.hub.notices import Notices
from gateway.hub.reader_sharing import ReaderSharing
from gateway.hub.rehearsals import Rehearsals
from gateway.hub.standing import Standings

if TYPE_CHECKING:
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.readers import Readers
    from gateway.hub.registry import Registry
    from gateway.store import Store


@dataclass(frozen=True, slots=True)
class TrustParts:
    """See the module.

    Attributes:
        distrusting: previews, publishes and takes back distrusts.
        rehearsals: rehearsals and what readers say of them.
        standings: how members stand, and the linter.
        notices: tells of expiries ahead of them; to be run in the background.
        sharing: what readers told the other processes; to be run in the background.
        store: the audit.
        feed: the feed in memory.
    """

    distrusting: Distrusting
    rehearsals: Rehearsals
    standings: Standings
    notices: Notices
    sharing: ReaderSharing
    store: Store
    feed: HubFeed


def make_trust_parts(
    registry: Registry, feed: HubFeed, store: Store, readers: Readers
) -> TrustParts:
    """Put the parts of one hub process together."""
    # An answer may come to a process that the rehearsal was not begun at.
    readers.is_live = lambda rehearsal: any(
        held.rehearsal_id == rehearsal for held in feed.bundle.rehearsals()
    )
    sharing = ReaderSharing(readers, store, lambda: feed.watchers, registry.now)
    rehearsals = Rehearsals(registry, feed, readers)
    return TrustParts(
        distrusting=Distrusting(registry, feed, store),
        rehearsals=rehearsals,
        standings=Standings(registry, feed, store, readers),
        notices=Notices(registry, feed, rehearsals),
        sharing=sharing,
        store=store,
        feed=feed,
    )
