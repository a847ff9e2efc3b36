"""A level changes in a city: how long until a thousand connected edges refuse the old green.

From the adapter's ``WatchChanges`` frame to the moment an edge's own check says
ATTESTATION_REVOKED: the adapter's process pushes, the hub's verifies, writes to its store,
signs and fans out, the edges' process reads a thousand streams over twenty TLS connections,
proves what came and looks the old green up. Three processes share the machine.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.benchmarks.exchange import _started
from tests.benchmarks.figures import Figure
from tests.benchmarks.propagation_peers import CHANNELS, EDGES, LIST_ENTRIES

if TYPE_CHECKING:
    from tests.benchmarks.exchange import Peer

ROUNDS: Final = 20
"""Twenty thousand moments of refusal."""

_WARM: Final = 2
"""Rounds before those that count: the first use of everything."""

_GOAL_MS: Final = 1000.0
_PEERS: Final = "tests.benchmarks.propagation_peers"


def measure() -> list[Figure]:
    """Measure the way of a change, in about half a minute."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="hutong-bench-"))
        stack.enter_context(_started(_PEERS, "prepare", directory))
        adapter = stack.enter_context(_started(_PEERS, "adapter", directory))
        hub = stack.enter_context(_started(_PEERS, "hub", directory, adapter.ready["port"]))
        edges = stack.enter_context(_started(_PEERS, "edges", directory, hub.ready["port"]))
        for number in range(_WARM):
            _round(adapter, edges, number)
        cpu = hub.cpu_seconds()
        rounds = [_round(adapter, edges, _WARM + number) for number in range(ROUNDS)]
        cpu = hub.cpu_seconds() - cpu
        memory = hub.resident_megabytes()
    times = sorted(time for each, _, _ in rounds for time in each)
    last = sorted(each[-1] for each, _, _ in rounds)
    sent = statistics.median(size for _, size, _ in rounds)
    how = f"{EDGES} streams in one process, proved once a connection ({CHANNELS})"
    return [
        Figure("change to refused, p50", _quantile(times, 0.5), "ms", note=how),
        Figure(
            "change to refused, p99",
            _quantile(times, 0.99),
            "ms",
            goal=_GOAL_MS,
            met=_quantile(times, 0.99) < _GOAL_MS,
            note=f"{ROUNDS} changes, {LIST_ENTRIES} entries in the list",
        ),
        Figure("change to refused at the last edge, p50", _quantile(last, 0.5), "ms"),
        Figure("hub CPU, one change to all", 1000 * cpu / ROUNDS, "ms", note="user and system"),
        Figure("sent to one edge, one change", sent / EDGES, "B", note="the entry, without frames"),
        Figure("sent to all edges, one change", sent / 1000, "kB"),
        Figure("edge: proving one entry", rounds[-1][2], "ms", note="what each real edge pays"),
        Figure("hub memory with all edges", memory, "MB"),
    ]


def _round(adapter: Peer, edges: Peer, index: int) -> tuple[list[float], int, float]:
    """One revocation: milliseconds to each refusal, bytes of entries, cost of one proof."""
    edges.ask(index=index)
    begun: int = adapter.ask(index=index)["at"]
    answer = edges.receive()
    times = [(moment - begun) / 1e6 for moment in answer["refused"]]
    return times, answer["bytes"], answer["prove_ms"]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
