"""How long an answer takes about somebody whom a platform knows, and about somebody unknown.

A hub that measured time could tell the two apart as far as they differ here. Asked over
loopback, one question at a time, at a real adapter whose platform answers from memory. The
noise beside it is the same comparison of two people who are both known.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

from gateway.wire.logging import configure_logging
from tests.adapters.sdk.adapter_world import OTHER_PERSON, PERSON, by_document, record, world
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from tests.adapters.sdk.adapter_world import World

ROUNDS = 300
KNOWN_TOO = "330106199001010053"
"""Asked about by nobody else; synthetic as all of them."""


def measure(*, rounds: int = ROUNDS) -> list[Figure]:
    """Measures everything; some five seconds with the default rounds."""
    configure_logging()
    return asyncio.run(_measure(rounds))


async def _seconds(place: World, number: str) -> float:
    question = by_document(number)
    started = time.perf_counter()
    await place.asker.query(question, seconds=60)
    return time.perf_counter() - started


async def _measure(rounds: int) -> list[Figure]:
    async with world() as place:
        place.platform.records = {PERSON: [record()], KNOWN_TOO: [record()]}
        times: dict[str, list[float]] = {PERSON: [], KNOWN_TOO: [], OTHER_PERSON: []}
        order = list(times)
        for _ in range(rounds):
            for number in order:
                times[number].append(await _seconds(place, number))
            # Nobody always comes after the same neighbour.
            order.append(order.pop(0))

    def ratio(number: str) -> float:
        pairs = zip(times[number], times[PERSON], strict=True)
        return statistics.median(own / other for own, other in pairs)

    return [
        Figure(
            "an answer about somebody unknown / about somebody known",
            1e6 * statistics.median(times[OTHER_PERSON]),
            "us",
            baseline=1e6 * statistics.median(times[PERSON]),
            ratio=ratio(OTHER_PERSON),
            note=f"two people who are both known: {ratio(KNOWN_TOO):.2f}",
        )
    ]
