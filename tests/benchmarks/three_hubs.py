"""A question across three hubs beside the same question across one.

The checkpoint asks Guangdong's hub, which asks the nation's, which asks Zhejiang's,
which asks Hangzhou's adapter; beside it the same checkpoint asks Zhejiang's hub
itself. It is the same last hub and the same adapter: what differs are two hubs.
Every party is a process of its own, on loopback without TLS, one question at a time,
in turns in the same run. Sealed, opened, attested and signed as always; the platform
is in memory, so nothing of a city's own time makes the ratio look better.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from gateway.attestation.keys import generate_signing_key, signing_key_to_jwk
from tests.benchmarks.exchange import _started
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.three_hubs_peers import GUANGDONG, NATION, ZHEJIANG

_ROUNDS = 15
_CALLS = 60
_MUST = 2.0
"""Goal of the performance page."""

_PEERS = "tests.benchmarks.three_hubs_peers"


def measure() -> list[Figure]:
    """Measure in about half a minute."""
    hubs = (NATION, ZHEJIANG, GUANGDONG)
    keys = {urn: signing_key_to_jwk(generate_signing_key()) for urn in hubs}
    with ExitStack() as stack:
        adapter = stack.enter_context(_started(_PEERS, "adapter", settings=keys))

        def hub(urn: str, below: int, above: int) -> dict[str, object]:
            peer = _started(_PEERS, "hub", urn, below, above, settings=keys)
            return stack.enter_context(peer).ready

        zhejiang = hub(ZHEJIANG, adapter.ready["port"], 0)
        nation = hub(NATION, int(str(zhejiang["port"])), 0)
        guangdong = hub(GUANGDONG, 0, int(str(nation["port"])))
        edge = stack.enter_context(
            _started(
                _PEERS,
                "edge",
                settings={
                    "hubs": {"one": zhejiang, "three": guangdong},
                    "sealing_key": adapter.ready["sealing_key"],
                },
            )
        )

        def p50_us(name: str) -> float:
            return float(edge.ask(hub=name, calls=_CALLS)["p50_seconds"] * 1e6)

        p50_us("one")
        p50_us("three")
        pairs = [(p50_us("one"), p50_us("three")) for _ in range(_ROUNDS)]
    return [
        at_most(
            "query across three hubs, p50, one at a time",
            statistics.median(three for _, three in pairs),
            "us",
            baseline=statistics.median(one for one, _ in pairs),
            ratio=statistics.median(three / one for one, three in pairs),
            goal=_MUST,
            note="beside the same sealed query across one hub; platform in memory, no TLS",
        )
    ]
