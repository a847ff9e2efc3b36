"""What the hub's calls on living trust are served from, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.hub.distrusting import Distrusting
from gateway.hub.live_counts import LiveCounts
from gateway.hub.notices import Notices
from gateway.hub.reader_counts import ReaderCount, ReaderCounts, recent_callers
from gateway.hub.reader_sharing import ReaderSharing
from gateway.hub.rehearsals import Rehearsals
from gateway.hub.standing import Standings
from gateway.trust.names import is_hub_urn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.hubs_around import HubsAround
    from gateway.hub.readers import Readers
    from gateway.hub.registry import Registry
    from gateway.store import Store
    from gateway.trust import Rehearsal, TrustBundle


@dataclass(frozen=True, slots=True)
class TrustParts:
    """See the module.

    Attributes:
        distrusting: previews, publishes and takes back distrusts.
        rehearsals: rehearsals and what readers say of them.
        live: counts live attestations, also for other hubs.
        reader_counts: counts readers, also for other hubs.
        around: the other hubs; None: there are none.
        standings: how members stand, and the linter.
        notices: tells of expiries ahead of them; to be run in the background.
        sharing: what readers told the other processes; to be run in the background.
        store: the audit.
        feed: the feed in memory.
    """

    distrusting: Distrusting
    rehearsals: Rehearsals
    live: LiveCounts
    reader_counts: ReaderCounts
    around: HubsAround | None
    standings: Standings
    notices: Notices
    sharing: ReaderSharing
    store: Store
    feed: HubFeed


def make_trust_parts(
    registry: Registry,
    feed: HubFeed,
    store: Store,
    readers: Readers,
    around: HubsAround | None = None,
) -> TrustParts:
    """Put the parts of one hub process together.

    Args:
        registry: makes the changes.
        feed: the feed in memory.
        store: where everything lasts.
        readers: what readers say.
        around: the other hubs; None: there are none.
    """

    def bundles() -> Iterator[TrustBundle]:
        yield feed.bundle
        if around is not None:
            yield from around.bundles()

    def held(rehearsal: str) -> Rehearsal | None:
        found = (
            item
            for bundle in bundles()
            for item in bundle.rehearsals()
            if item.rehearsal_id == rehearsal
        )
        return next(found, None)

    async def own_readers(rehearsal: str, issuer: str) -> ReaderCount:
        known = held(rehearsal) if rehearsal else None
        await sharing.refresh(rehearsal if known is not None else "")
        callers = await recent_callers(store, bundles(), issuer, registry.now()) if issuer else ()
        if rehearsal:
            count = rehearsals.tally(rehearsal, known)
        else:
            count = ReaderCount(feed.hub, sharing.watchers)
        # Who stands behind a hub is counted there.
        return replace(count, callers=sum(not is_hub_urn(urn) for urn in callers))

    # An answer may come to a process that the rehearsal was not begun at.
    readers.is_live = lambda rehearsal: held(rehearsal) is not None
    readers.is_own = lambda rehearsal: any(
        item.rehearsal_id == rehearsal for item in feed.bundle.rehearsals()
    )
    sharing = ReaderSharing(readers, store, lambda: feed.watchers, registry.now)
    rehearsals = Rehearsals(registry, feed, readers)
    live = LiveCounts(registry.members, around)
    reader_counts = ReaderCounts(own_readers, around)
    return TrustParts(
        distrusting=Distrusting(
            registry, feed, store, live=live, readers=reader_counts, around=around
        ),
        rehearsals=rehearsals,
        live=live,
        reader_counts=reader_counts,
        around=around,
        standings=Standings(registry, feed, store, readers),
        notices=Notices(registry, feed, rehearsals),
        sharing=sharing,
        store=store,
        feed=feed,
    )
