"""What a hub tells Prometheus about the other hubs: which it reaches, how old their word is.

The label is the six digits of a hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from prometheus_client.core import Metric

    from gateway.hub.feed_watch import ServedFeed


class FederationCollector(Collector):
    """Reads the state of every line at every scrape.

    Args:
        own: URN of this hub.
        feeds: the feeds it serves.
        clock: the time, UTC.
    """

    def __init__(
        self, own: str, feeds: Mapping[str, ServedFeed], clock: Callable[[], datetime]
    ) -> None:
        self._own = own
        self._feeds = feeds
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Make the families anew."""
        connected = GaugeMetricFamily(
            "hutong_hub_connected", "Whether another hub is reached now.", labels=["hub"]
        )
        age = GaugeMetricFamily(
            "hutong_hub_word_age_seconds", "Age of another hub's newest word.", labels=["hub"]
        )
        now = self._clock()
        for urn, feed in sorted(self._feeds.items()):
            if urn != self._own:
                connected.add_metric([urn[-6:]], float(feed.connected))
                if feed.as_of is not None:
                    age.add_metric([urn[-6:]], max(0.0, (now - feed.as_of).total_seconds()))
        yield connected
        yield age
