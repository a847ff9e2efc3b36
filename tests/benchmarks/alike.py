"""How long an answer takes about somebody whom a platform knows, and about somebody unknown.

A hub that measured time could tell the two apart as far as they differ here; so could it
tell an outcome from a level. Asked over loopback, one question at a time, at a real adapter
whose platform answers from memory: online, and to be carried, which writes to disk. The
noise beside it is the same comparison of two people who are both known and green.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.sdk.issued import StatusSettings
from gateway.codes import Outcome
from gateway.codes.proto import outcome_from_proto
from gateway.wire.logging import configure_logging
from tests.adapters.sdk.adapter_world import OTHER_PERSON, PERSON, by_document, record, world
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from tests.adapters.sdk.adapter_world import World

ROUNDS = 400
CARRIED_ROUNDS = 200
"""Fewer: each waits for the disk."""
KNOWN_TOO, EXPIRED, UNCLEAR = (
    "330106199001010053",
    "330106199001010037",
    "330106199001010045",
)
"""Asked about by nobody else; synthetic as all of them."""

OUTCOMES = {
    OTHER_PERSON: Outcome.NOT_FOUND,
    EXPIRED: Outcome.CODE_EXPIRED,
    UNCLEAR: Outcome.CANNOT_DETERMINE,
}
WORDS = {
    OTHER_PERSON: "somebody unknown",
    EXPIRED: "a code that has expired",
    UNCLEAR: "a state that says nothing",
}


def measure(*, rounds: int = ROUNDS, carried_rounds: int = CARRIED_ROUNDS) -> list[Figure]:
    """Measures everything; some fifteen seconds with the default rounds."""
    configure_logging()
    return [
        *asyncio.run(_measure(rounds, carried=False)),
        *asyncio.run(_measure(carried_rounds, carried=True)),
    ]


async def _seconds(place: World, number: str, *, carried: bool) -> float:
    question = by_document(number, carried=carried)
    started = time.perf_counter()
    (answer,) = await place.asker.query(question, seconds=60)
    taken = time.perf_counter() - started
    got = None if answer.attestation else outcome_from_proto(answer.outcome.outcome)
    if got is not OUTCOMES.get(number):
        raise RuntimeError(f"not what is measured: {got}")
    return taken


async def _measure(rounds: int, *, carried: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        status = StatusSettings(path=Path(folder) / "issued.db") if carried else None
        async with world(status=status) as place:
            place.platform.records = {
                PERSON: [record()],
                KNOWN_TOO: [record()],
                EXPIRED: [record(at="20200101080000")],
                UNCLEAR: [record("紫码")],
            }
            times: dict[str, list[float]] = {
                number: [] for number in (PERSON, KNOWN_TOO, *OUTCOMES)
            }
            order = list(times)
            shuffle = random.Random(0).shuffle  # noqa: S311 - an order, no secret
            for _ in range(rounds):
                # Between the rounds, so that it falls on nobody more than on another.
                gc.collect(0)
                for number in order:
                    times[number].append(await _seconds(place, number, carried=carried))
                # Nobody always comes after the same neighbour.
                shuffle(order)

    def ratio(number: str) -> float:
        pairs = zip(times[number], times[PERSON], strict=True)
        return statistics.median(own / other for own, other in pairs)

    way = "carried" if carried else "online"
    noise = f"two people who are both known: {ratio(KNOWN_TOO):.3f}"
    return [
        Figure(
            f"an answer ({way}) about {WORDS[number]} / about somebody known",
            1e6 * statistics.median(times[number]),
            "us",
            baseline=1e6 * statistics.median(times[PERSON]),
            ratio=ratio(number),
            note=noise,
        )
        for number in OUTCOMES
    ]
