"""What the hub tells Prometheus about revocations and repeats: totals, no person in them.

Labels are the six digits of a region and the codes of refusals. Nothing is counted by
list, by entry, by tag or by who reported it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.hub.status_publisher import held_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from prometheus_client.core import Metric

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.sightings import Sightings
    from gateway.hub.status_intake import StatusIntake
    from gateway.hub.status_publisher import StatusPublisher


class StatusCollector(Collector):
    """Reads the counts of one process at every scrape.

    Of several processes on one database one follows the adapters: the others tell zero.

    Args:
        intake: follows the adapters.
        publisher: writes what they say.
        feed: what is held.
        sightings: what checkpoints reported.
        clock: the time, UTC.
    """

    def __init__(
        self,
        intake: StatusIntake,
        publisher: StatusPublisher,
        feed: HubFeed,
        sightings: Sightings,
        clock: Callable[[], datetime],
    ) -> None:
        self._intake = intake
        self._publisher = publisher
        self._feed = feed
        self._sightings = sightings
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield every series."""
        yield GaugeMetricFamily(
            "hutong_status_adapters",
            "Adapters whose changes stream in now.",
            value=len(self._intake.connected),
        )
        yield GaugeMetricFamily(
            "hutong_status_lists", "Status lists in the feed.", value=len(held_lists(self._feed))
        )
        yield CounterMetricFamily(
            "hutong_status_changes",
            "Changes of status lists written into the feed.",
            value=self._publisher.written,
        )
        refused = CounterMetricFamily(
            "hutong_status_refused", "What adapters said and did not hold.", labels=["reason"]
        )
        for code, count in sorted(self._publisher.refused.items()):
            refused.add_metric([code], count)
        yield refused
        age = GaugeMetricFamily(
            "hutong_status_word_age_seconds",
            "Since a region's adapter last spoke, or its platform was last heard there.",
            labels=["region"],
        )
        now = self._clock()
        for authority, heard_at in sorted(self._intake.heard_at.items()):
            age.add_metric([authority[-6:]], max(0.0, (now - heard_at).total_seconds()))
        yield age
        silent = GaugeMetricFamily(
            "hutong_status_silent_seconds",
            "Since a region was last heard, of those that the feed tells not to be heard.",
            labels=["region"],
        )
        silences = self._feed.bundle.silences()
        for silence in silences:
            silent.add_metric([silence.urn[-6:]], max(0.0, (now - silence.since).total_seconds()))
        yield silent
        yield GaugeMetricFamily(
            "hutong_status_silent_regions",
            "Regions that the feed tells not to be heard.",
            value=len(silences),
        )
        seen = self._sightings
        yield GaugeMetricFamily("hutong_sighting_tags", "Sightings held now.", value=len(seen))
        yield CounterMetricFamily(
            "hutong_sightings", "Sightings that checkpoints reported.", value=seen.reported
        )
        yield CounterMetricFamily(
            "hutong_sightings_elsewhere", "Of these, seen elsewhere before.", value=seen.elsewhere
        )
        yield CounterMetricFamily(
            "hutong_sightings_refused", "Sightings above a caller's bound.", value=seen.refused
        )
        yield CounterMetricFamily(
            "hutong_sightings_displaced",
            "Sightings forgotten before their span ended, to make room.",
            value=seen.displaced,
        )
