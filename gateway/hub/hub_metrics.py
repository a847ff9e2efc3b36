"""What the hub tells Prometheus about itself: counts, read when they are asked for.

Labels are kinds, states and names of series; never a member, a region asked or
anything of a question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.members import MemberTable


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
    """

    def __init__(
        self, members: MemberTable, feed: HubFeed, exchange: Streams, server: Calls
    ) -> None:
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
        yield _gauge("hutong_feed_sequence", "Number of the newest entry.", self._feed.sequence)
        yield _gauge("hutong_feed_watchers", "Readers connected now.", self._feed.watchers)
        yield _gauge("hutong_exchange_streams", "Streams open.", self._exchange.open_streams)
        yield _gauge("hutong_grpc_calls", "Calls in flight.", self._server.calls_in_flight)


def _gauge(name: str, text: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
