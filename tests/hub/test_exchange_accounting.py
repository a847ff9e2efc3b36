from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.hub import accounting as module
from gateway.hub.accounting import Accounting, UsageRow

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.asyncio


class Store:
    def __init__(self) -> None:
        self.rows: list[UsageRow] = []
        self.is_down = False

    async def add_usage(self, rows: Sequence[UsageRow]) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise ConnectionError
        self.rows += rows


def count(accounting: Accounting, caller: str, envelopes: int = 1, size: int = 10) -> None:
    tally = accounting.tally(caller, "330100", 1)
    tally.envelopes += envelopes
    tally.bytes += size


async def test_sums_of_a_period_are_handed_over_once() -> None:
    store = Store()
    accounting = Accounting(store)
    count(accounting, "a")
    count(accounting, "a", 2, 5)
    count(accounting, "b")
    await accounting.flush()
    await accounting.flush()
    assert sorted(store.rows, key=lambda row: row.caller) == [
        UsageRow("a", "330100", 1, 3, 15),
        UsageRow("b", "330100", 1, 1, 10),
    ]


async def test_a_failed_flush_loses_nothing_and_doubles_nothing() -> None:
    store = Store()
    accounting = Accounting(store)
    count(accounting, "a")
    store.is_down = True
    with pytest.raises(ConnectionError):
        await accounting.flush()
    count(accounting, "a")
    store.is_down = False
    await accounting.flush()
    assert store.rows == [UsageRow("a", "330100", 1, 2, 20)]


async def test_what_is_added_during_a_flush_goes_with_the_next() -> None:
    store = Store()
    accounting = Accounting(store)
    tally = accounting.tally("a", "330100", 1)
    tally.envelopes += 1
    flushing = asyncio.create_task(accounting.flush())
    await asyncio.sleep(0)
    tally.bytes += 7
    await flushing
    await accounting.flush()
    assert store.rows == [UsageRow("a", "330100", 1, 1, 0), UsageRow("a", "330100", 1, 0, 7)]


async def test_an_idle_tally_is_dropped_only_after_any_question_that_holds_it() -> None:
    accounting = Accounting(Store())
    held = accounting.tally("a", "330100", 1)
    held.envelopes += 1
    longest_life_seconds = 60
    flushes = int(longest_life_seconds / module.MIN_FLUSH_SECONDS) + 1
    for _ in range(flushes):
        await accounting.flush()
    assert accounting.tally("a", "330100", 1) is held
    for _ in range(flushes):
        await accounting.flush()
    assert accounting.tally("a", "330100", 1) is not held


async def test_past_the_bound_totals_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TALLIES", 2)
    store = Store()
    accounting = Accounting(store)
    for caller in ("a", "b", "c", "d"):
        count(accounting, caller)
    await accounting.flush()
    assert {row.caller: row.envelopes for row in store.rows} == {"a": 1, "b": 1, "": 2}


async def test_the_last_period_is_flushed_when_the_hub_stops() -> None:
    store = Store()
    accounting = Accounting(store)
    running = asyncio.create_task(accounting.run())
    await asyncio.sleep(0)
    count(accounting, "a")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [row.caller for row in store.rows] == ["a"]
