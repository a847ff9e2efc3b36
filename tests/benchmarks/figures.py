"""What a benchmark reports, and how two things are measured fairly.

Absolute figures move with the machine and with whatever else it does; ratios
hold. So everything is measured in turns with what it is compared to: slices of
a few milliseconds, in rotating order, and the ratio is the median of the ratios
within each round. A capacity probe stands beside the figures and tells what the
machine gave while they were taken.
"""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table and one object of ``build/bench.json``.

    Attributes:
        name: what was measured.
        value: the measurement, in ``unit``.
        unit: for example ``/s``, ``us``, ``MB``.
        baseline: the bare counterpart in the same unit and run; None: there is none.
        ratio: what the goal is about; None: there is none.
        goal: bound of the ratio; or of the value, where there is no ratio or the figure
            was made by `within`.
        met: whether the goal holds; None: there is no goal.
        note: what one must know to read the figure.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    goal: float | None = None
    met: bool | None = None
    note: str = ""


def at_least(
    name: str,
    value: float,
    unit: str,
    *,
    baseline: float,
    ratio: float,
    goal: float,
    note: str = "",
) -> Figure:
    """A figure whose ratio must reach the goal."""
    return Figure(name, value, unit, baseline, ratio, goal, ratio >= goal, note)


def at_most(
    name: str,
    value: float,
    unit: str,
    *,
    baseline: float,
    ratio: float,
    goal: float,
    note: str = "",
) -> Figure:
    """A figure whose ratio must not pass the goal."""
    return Figure(name, value, unit, baseline, ratio, goal, ratio <= goal, note)


def within(
    name: str,
    value: float,
    unit: str,
    *,
    baseline: float,
    ratio: float,
    goal: float,
    note: str = "",
) -> Figure:
    """A figure whose value must stay under the goal; the ratio beside it has none."""
    return Figure(name, value, unit, baseline, ratio, goal, value < goal, note)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Seconds per call of several callables, round by round.

    Attributes:
        rounds: for each name, one measurement a round; same index, same round.
    """

    rounds: Mapping[str, list[float]]

    def seconds(self, name: str) -> float:
        """The median time of one call."""
        return statistics.median(self.rounds[name])

    def rate(self, name: str) -> float:
        """Calls a second, from the median time."""
        return 1 / self.seconds(name)

    def speed_ratio(self, name: str, beside: str) -> float:
        """How many times as fast as ``beside``: the median of the rounds' ratios."""
        pairs = zip(self.rounds[beside], self.rounds[name], strict=True)
        return statistics.median(other / own for other, own in pairs)


def interleave(
    callables: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 40,
    slice_seconds: float = 0.005,
    clock: Callable[[], float] = time.thread_time,
) -> Interleaved:
    """Runs the callables in turns, each for about one slice a round.

    Args:
        callables: what to measure; each is called once to warm up.
        rounds: how often each gets a slice.
        slice_seconds: how long a slice lasts: long beside the clock's resolution,
            short beside the time in which a busy machine changes its mood.
        clock: the processor time of this thread by default, which a neighbour on the
            machine does not lengthen; ``time.perf_counter`` for what waits or spreads
            over threads.
    """
    calls = {name: _calls_per_slice(run, slice_seconds, clock) for name, run in callables.items()}
    measured: dict[str, list[float]] = {name: [] for name in callables}
    order = list(callables)
    for _ in range(rounds):
        for name in order:
            measured[name].append(_seconds_per_call(callables[name], calls[name], clock))
        # Nobody always runs after the same neighbour.
        order.append(order.pop(0))
    return Interleaved(measured)


def capacity(*, slice_seconds: float = 0.2) -> list[Figure]:
    """Probes what one core and two cores give now, hashing without the interpreter lock."""
    one = _hash_rate(1, slice_seconds)
    two = _hash_rate(2, slice_seconds)
    return [
        Figure("capacity: SHA-256, one thread", one, "MB/s"),
        Figure(
            "capacity: SHA-256, two threads",
            two,
            "MB/s",
            baseline=one,
            ratio=two / one,
            note="below 1.8 the machine was busy with something else",
        ),
    ]


def _calls_per_slice(
    run: Callable[[], object], slice_seconds: float, clock: Callable[[], float]
) -> int:
    run()
    calls = 1
    while (elapsed := _seconds_per_call(run, calls, clock) * calls) < slice_seconds / 4:
        calls *= 2
    return max(1, round(calls * slice_seconds / elapsed))


def _seconds_per_call(run: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    turns = range(calls)
    started = clock()
    for _ in turns:
        run()
    return (clock() - started) / calls


def _hash_rate(threads: int, seconds: float) -> float:
    block = bytes(1 << 20)
    done = [0] * threads
    end = time.perf_counter() + seconds

    def work(index: int) -> None:
        while time.perf_counter() < end:
            hashlib.sha256(block).digest()
            done[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / seconds
