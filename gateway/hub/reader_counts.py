"""How many readers each hub has, and what came of a rehearsal there: hub by hub.

A rehearsal travels in the feed of its hub, and every reader of the country that
follows that feed tries it and tells its own hub. Whoever rehearses asks its hub, and
that one asks the hubs around it, each of which asks on
(:class:`~gateway.hub.hubs_around.HubsAround`). What comes back is sums and reasons: the
name of a reader does not leave its own hub. A hub that could not be asked is named,
because silence would look like consent.

What another hub says of its readers is signed by nobody and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import feed_service_pb2, readers_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.hub.hubs_around import NEXT_SHARE
from gateway.hub.readers import reason_word
from gateway.trust import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime

    from gateway.hub.hubs_around import HubAsk, HubsAround
    from gateway.store import Store
    from gateway.trust import TrustBundle

READERS_SECONDS: Final = 3.0
"""Longest that the other hubs are waited for: whoever rotates a key asks every second."""

RECENT: Final = timedelta(days=1)
"""Callers of a day, as the schema says."""

MAX_REASONS: Final = 64
"""As ``hutong.v1.HubReaders.failing``."""

_MAX_COUNT: Final = 2**32 - 1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReaderCount:
    """What the readers of one hub come to.

    Attributes:
        hub: URN of the hub.
        connected: readers that follow its feed; of a rehearsal those that were there.
        verified: of a rehearsal: readers that would verify the new key.
        failing: of a rehearsal: readers that would not, by reason.
        silent: of a rehearsal: readers that have not answered.
        callers: members that asked an authority's divisions within a day.
    """

    hub: str
    connected: int
    verified: int = 0
    failing: Mapping[str, int] = field(default_factory=dict)
    silent: int = 0
    callers: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What hubs said.

    Attributes:
        hubs: each by its own word.
        unknown: those that could not be asked, by URN.
    """

    hubs: tuple[ReaderCount, ...] = ()
    unknown: tuple[str, ...] = ()


class ReaderCounts:
    """See the module.

    Args:
        own: counts this hub's own readers, given a rehearsal and an issuer, each or
            neither; raises StoreError.
        around: the other hubs; None: there are none.
    """

    def __init__(
        self, own: Callable[[str, str], Awaitable[ReaderCount]], around: HubsAround | None
    ) -> None:
        self._own = own
        self._around = around

    async def answer(self, ask: HubAsk, *, rehearsal: str, issuer: str, seconds: float) -> Counted:
        """Count for another hub: this hub's own readers first, then those behind it.

        Raises:
            StoreError: the own readers cannot be counted.
        """
        own, others = await asyncio.gather(
            self._own(rehearsal, issuer), self._ask_on(ask, rehearsal, issuer, seconds)
        )
        return Counted((own, *others.hubs), others.unknown)

    async def elsewhere(
        self, *, rehearsal: str = "", issuer: str = "", only_below: bool = False
    ) -> Counted:
        """Count the readers of all other hubs, for this one.

        Args:
            rehearsal: also tell what came of it; empty: of none.
            issuer: also count who asked its divisions; empty: nobody's.
            only_below: ask the hubs below only.
        """
        if self._around is None:
            return Counted()
        ask = self._around.grants.own
        return await self._ask_on(ask, rehearsal, issuer, READERS_SECONDS, only_below=only_below)

    async def _ask_on(
        self, ask: HubAsk, rehearsal: str, issuer: str, seconds: float, *, only_below: bool = False
    ) -> Counted:
        around = self._around
        if around is None:
            return Counted()
        onward = around.onward(ask)
        # A hub that is suspended is not asked, and still has readers.
        next_to = {*onward, *around.neighbours.suspended}
        if only_below:
            onward = tuple(hub for hub in onward if hub != around.neighbours.above)
            next_to.discard(around.neighbours.above or "")
        expected = {behind for hub in next_to for behind in around.behind(hub)}
        request = feed_service_pb2.CountReadersRequest(rehearsal=rehearsal, issuer=issuer)
        answers = await asyncio.gather(
            *(self._ask(around, ask, hub, request, seconds * NEXT_SHARE) for hub in onward)
        )
        hubs: dict[str, ReaderCount] = {}
        unknown: set[str] = set()
        for answer in answers:
            for message in answer.hubs:
                if names.is_hub_urn(message.hub) and message.hub != around.hub_urn:
                    hubs.setdefault(message.hub, count_from_proto(message))
            unknown.update(filter(names.is_hub_urn, answer.unknown))
        missing = (expected | unknown) - hubs.keys() - {around.hub_urn, *ask.record.via}
        return Counted(tuple(hubs[urn] for urn in sorted(hubs)), tuple(sorted(missing)))

    async def _ask(
        self,
        around: HubsAround,
        ask: HubAsk,
        hub: str,
        request: feed_service_pb2.CountReadersRequest,
        seconds: float,
    ) -> feed_service_pb2.CountReadersResponse:
        channel = around.neighbours.channel(hub)
        if channel is None:
            return feed_service_pb2.CountReadersResponse()
        try:
            return await FeedServiceStub(channel).CountReaders(
                request, timeout=seconds, metadata=around.grants.metadata(ask, hub)
            )
        except (grpc.aio.AioRpcError, OSError) as error:
            _log.info("readers_not_counted", hub=hub, error=type(error).__name__)
            return feed_service_pb2.CountReadersResponse()


async def recent_callers(
    store: Store, bundles: Iterable[TrustBundle], issuer: str, now: datetime
) -> set[str]:
    """Return who asked an authority's divisions here within a day, by URN.

    Args:
        store: holds the usage.
        bundles: where the authority may be named.
        issuer: its URN.
        now: the clock.

    Raises:
        StoreError: the store cannot be read.
    """
    prefixes = next(
        (
            authority.prefixes
            for bundle in bundles
            for authority in (*bundle.authorities(), *bundle.all_hubs())
            if authority.urn == issuer
        ),
        (),
    )
    if not prefixes:
        return set()
    since = (now - RECENT).replace(minute=0, second=0, microsecond=0)
    rows = await store.usage(since=since)
    return {row.caller for row in rows if row.caller and names.covers(prefixes, row.region)}


def failing_by_reason(reasons: Iterable[str]) -> dict[str, int]:
    """Sum up the reasons of readers that would not verify, the commonest first."""
    return dict(Counter(filter(None, reasons)).most_common(MAX_REASONS))


def count_to_proto(count: ReaderCount) -> readers_pb2.HubReaders:
    """A count on its way out."""
    return readers_pb2.HubReaders(
        hub=count.hub,
        connected=min(count.connected, _MAX_COUNT),
        verified=count.verified,
        failing=[
            readers_pb2.ReadersFailing(reason=reason, readers=readers)
            for reason, readers in count.failing.items()
        ],
        silent=count.silent,
        callers=count.callers,
    )


def count_from_proto(message: readers_pb2.HubReaders) -> ReaderCount:
    """A count as another hub told it; of its reasons only words."""
    failing: Counter[str] = Counter()
    for item in message.failing[:MAX_REASONS]:
        failing[reason_word(item.reason)] += item.readers
    return ReaderCount(
        hub=message.hub,
        connected=message.connected,
        verified=message.verified,
        failing=dict(failing),
        silent=message.silent,
        callers=message.callers,
    )
