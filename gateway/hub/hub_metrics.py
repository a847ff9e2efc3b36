"""What the hub tells Prometheus about itself: counts, read when they are asked for.

Labels are kinds, states, uses of keys, the six digits of an authority whose keys end,
and names of series; never a caller, a region asked or anything of a question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.hub.registry_base import IN_FEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from prometheus_client.core import Metric

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.members import MemberTable
    from gateway.trust import MemberKey


class Streams(Protocol):
    """What the exchange tells."""

    @property
    def open_streams(self) -> int:
        """Streams being served."""
        ...


class Calls(Protocol):
    """What the server tells."""

    @property
    def calls_in_flight(self) -> int:
        """Calls being served."""
        ...


class HubCollector(Collector):
    """Reads the hub's own counts at every scrape.

    Args:
        members: the members.
        feed: the feed.
        exchange: the exchange.
        server: the gRPC server.
        clock: the time, UTC.
    """

    def __init__(
        self,
        members: MemberTable,
        feed: HubFeed,
        exchange: Streams,
        server: Calls,
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock
        self._members = members
        self._feed = feed
        self._exchange = exchange
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Yield every series."""
        members = GaugeMetricFamily(
            "hutong_members", "Members by kind and state.", labels=["kind", "state"]
        )
        for (kind, state), count in sorted(self._members.count().items()):
            members.add_metric([kind, state], count)
        yield members
        expiries = GaugeMetricFamily(
            "hutong_key_expires_seconds",
            "Seconds until an active authority is left without a key of a use.",
            labels=["region", "use"],
        )
        now = self._clock()
        for member in self._members.all():
            if member.is_active and member.body.kind in IN_FEED:
                for use, end in sorted(use_ends(member.body.keys, now).items()):
                    expiries.add_metric([member.region, use], (end - now).total_seconds())
        yield expiries
        yield _gauge("hutong_feed_sequence", "Number of the newest entry.", self._feed.sequence)
        yield GaugeMetricFamily(
            "hutong_feed_as_of_seconds",
            "Since what is served was last known to be what the store holds; readers see it.",
            value=max(0.0, (now - self._feed.as_of).total_seconds()),
        )
        yield _gauge("hutong_feed_watchers", "Readers connected now.", self._feed.watchers)
        yield _gauge("hutong_exchange_streams", "Streams open.", self._exchange.open_streams)
        yield _gauge("hutong_grpc_calls", "Calls in flight.", self._server.calls_in_flight)


def use_ends(keys: Iterable[MemberKey], now: datetime) -> dict[str, datetime]:
    """When the last believed key of each use ends; open-ended uses are left out.

    A use whose keys have all ended is in it, with a moment that has passed.
    """
    ends: dict[str, datetime | None] = {}
    for key in keys:
        if key.revoked_at is not None:
            end: datetime | None = key.revoked_at
        elif key.tainted_from is not None:
            end = min(key.tainted_from, key.not_after or key.tainted_from)
        else:
            end = key.not_after
        use = key.use.value
        before = ends.get(use, now.min.replace(tzinfo=now.tzinfo))
        ends[use] = None if end is None or before is None else max(before, end)
    return {use: end for use, end in ends.items() if end is not None}


def _gauge(name: str, text: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
