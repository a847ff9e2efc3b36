"""Prometheus metrics: one registry a process, few series, no personal label.

The registry is passed in, never global, so that two servers in one process (a
test, the demo) do not share their counters. Labels are closed sets: methods,
reasons, division prefixes; never a caller's text.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Content type of :func:`render_metrics`, for the HTTP door."""


def new_registry() -> CollectorRegistry:
    """Make a registry that already shows the process: memory, time, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def render_metrics(registry: CollectorRegistry) -> bytes:
    """Render every series in Prometheus' text format."""
    return generate_latest(registry)
