from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.coalesce import BatchWriter, Coalescer, CoalescerClosedError

pytestmark = pytest.mark.asyncio


class SlowLine:
    """A line whose writes end only when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.permits = asyncio.Semaphore(0)

    async def write(self, batch: list[Any]) -> None:
        self.batches.append(batch)
        await self.permits.acquire()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_line_sends_one_item_at_once() -> None:
    line = SlowLine()
    async with BatchWriter(line.write) as writer:
        await writer.put("a")
        await turns()
        assert line.batches == [["a"]]
        line.permits.release()


async def test_what_comes_while_a_write_is_in_flight_leaves_as_one_batch() -> None:
    line = SlowLine()
    async with BatchWriter(line.write) as writer:
        await writer.put(0)
        await turns()
        for item in range(1, 100):
            await writer.put(item)
        await turns()
        assert line.batches == [[0]]
        line.permits.release()
        await turns()
        assert line.batches == [[0], list(range(1, 100))]
        line.permits.release()


async def test_producers_ready_in_the_same_turn_share_the_first_batch() -> None:
    line = SlowLine()
    async with BatchWriter(line.write) as writer:
        await turns()
        await asyncio.gather(*(writer.put(item) for item in range(8)))
        await turns()
        assert line.batches == [list(range(8))]
        line.permits.release()


async def test_put_waits_while_the_queue_is_full_and_resumes_in_order() -> None:
    queue: Coalescer[int] = Coalescer(capacity=2, max_items=1)
    await queue.put(1)
    await queue.put(2)
    waiting = [asyncio.create_task(queue.put(item)) for item in (3, 4)]
    await turns()
    assert [task.done() for task in waiting] == [False, False]
    assert not queue.offer(9)
    assert queue.room == 0
    taken = [await queue.take() for _ in range(4)]
    assert taken == [[1], [2], [3], [4]]
    await asyncio.gather(*waiting)


async def test_a_newcomer_never_overtakes_a_waiting_producer() -> None:
    queue: Coalescer[int] = Coalescer(capacity=1, max_items=1)
    await queue.put(1)
    waiting = asyncio.create_task(queue.put(2))
    await turns()
    assert queue.take_ready() == [1]
    assert not queue.offer(3)
    await waiting
    assert queue.take_ready() == [2]


async def test_a_cancelled_put_leaves_nothing_behind() -> None:
    queue: Coalescer[str] = Coalescer(capacity=1)
    await queue.put("first")
    waiting = asyncio.create_task(queue.put("withdrawn"))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await queue.take() == ["first"]
    assert queue.take_ready() == []


async def test_a_put_cancelled_in_the_turn_it_is_admitted_leaves_nothing_behind() -> None:
    queue: Coalescer[str] = Coalescer(capacity=1)
    await queue.put("first")
    waiting = asyncio.create_task(queue.put("withdrawn"))
    await turns()
    assert queue.take_ready() == ["first"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert queue.take_ready() == []


async def test_a_cancelled_take_has_taken_nothing() -> None:
    queue: Coalescer[int] = Coalescer()
    taker = asyncio.create_task(queue.take())
    await turns()
    queue.offer(1)
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert await queue.take() == [1]


async def test_discard_takes_back_what_has_not_left() -> None:
    queue: Coalescer[list[int]] = Coalescer()
    first, second, twin = [1], [2], [2]
    queue.push([first, second, twin])
    assert queue.discard(twin)
    assert not queue.discard(twin)
    assert await queue.take() == [first, second]
    assert not queue.discard(first)


async def test_a_batch_is_cut_by_bytes_and_an_oversized_item_travels_alone() -> None:
    queue: Coalescer[bytes] = Coalescer(max_bytes=10, size=len)
    queue.push([b"4444", b"4444", b"4444", b"x" * 50, b"1"])
    assert [await queue.take() for _ in range(4)] == [
        [b"4444", b"4444"],
        [b"4444"],
        [b"x" * 50],
        [b"1"],
    ]


async def test_close_drains_what_waits_and_refuses_the_rest() -> None:
    queue: Coalescer[int] = Coalescer(capacity=1)
    await queue.put(1)
    waiting = asyncio.create_task(queue.put(2))
    await turns()
    queue.close()
    with pytest.raises(CoalescerClosedError):
        await waiting
    with pytest.raises(CoalescerClosedError):
        await queue.put(3)
    with pytest.raises(CoalescerClosedError):
        queue.push([3])
    assert await queue.take() == [1]
    assert await queue.take() == []


async def test_close_wakes_a_waiting_consumer() -> None:
    queue: Coalescer[int] = Coalescer()
    taker = asyncio.create_task(queue.take())
    await turns()
    queue.close()
    assert await taker == []


async def test_leaving_the_block_writes_everything_accepted() -> None:
    written: list[int] = []

    async def write(batch: list[int]) -> None:
        await asyncio.sleep(0)
        written.extend(batch)

    async with BatchWriter(write, max_items=3) as writer:
        for item in range(20):
            await writer.put(item)
    assert written == list(range(20))


async def test_a_failed_write_names_every_item_not_known_to_have_left() -> None:
    failures: list[Exception] = []

    async def write(batch: list[int]) -> None:
        if 2 in batch:
            raise ConnectionError

    writer: BatchWriter[int] = BatchWriter(write, max_items=1, on_failure=failures.append)
    writer.start()
    writer.push([1, 2, 3])
    await writer.close()
    assert writer.unsent == [2, 3]
    assert isinstance(writer.failure, ConnectionError)
    assert failures == [writer.failure]
    with pytest.raises(CoalescerClosedError):
        await writer.put(4)


async def test_abort_cancels_the_write_in_flight_and_keeps_what_was_not_sent() -> None:
    line = SlowLine()
    writer: BatchWriter[int] = BatchWriter(line.write, max_items=1)
    writer.start()
    writer.push([1, 2])
    await turns()
    await writer.abort()
    assert line.batches == [[1]]
    assert writer.unsent == [1, 2]


async def test_a_failing_block_does_not_wait_for_a_stuck_line() -> None:
    line = SlowLine()
    writer: BatchWriter[int] = BatchWriter(line.write)

    async def block() -> None:
        async with writer:
            await writer.put(1)
            await turns()
            raise RuntimeError("the block fails")

    with pytest.raises(RuntimeError, match="the block fails"):
        await block()
    assert writer.unsent == [1]


@pytest.mark.parametrize("bound", ["max_items", "max_bytes", "capacity"])
async def test_bounds_below_one_are_refused(bound: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Coalescer(**{bound: 0})


@given(
    producers=st.lists(
        st.lists(st.integers(min_value=0, max_value=40), max_size=25), min_size=1, max_size=6
    ),
    max_items=st.integers(1, 9),
    max_bytes=st.integers(1, 60),
    capacity=st.integers(1, 12),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    cancelled=st.sets(st.integers(0, 5), max_size=2),
)
@settings(max_examples=100, deadline=None)
async def test_nothing_is_lost_nothing_doubled_order_kept_bounds_hold(
    producers: list[list[int]],
    max_items: int,
    max_bytes: int,
    capacity: int,
    pauses: list[int],
    cancelled: set[int],
) -> None:
    """Items are (producer, index, size); some producers are cancelled midway."""
    written: list[tuple[int, int, int]] = []
    accepted: dict[int, int] = dict.fromkeys(range(len(producers)), 0)

    async def write(batch: list[tuple[int, int, int]]) -> None:
        assert 1 <= len(batch) <= max_items
        assert len(batch) == 1 or sum(size for _, _, size in batch) <= max_bytes
        await turns(pauses[len(written) % len(pauses)])
        written.extend(batch)

    async def produce(number: int, sizes: list[int]) -> None:
        for index, size in enumerate(sizes):
            await writer.put((number, index, size))
            accepted[number] = index + 1
            assert len(writer) <= capacity
            await turns(pauses[index % len(pauses)])

    writer: BatchWriter[tuple[int, int, int]] = BatchWriter(
        write, max_items=max_items, max_bytes=max_bytes, capacity=capacity, size=lambda i: i[2]
    )
    async with writer:
        tasks = [asyncio.create_task(produce(n, sizes)) for n, sizes in enumerate(producers)]
        await turns(4)
        for number in cancelled & set(range(len(tasks))):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(written) == len(set(written))
    for number, sizes in enumerate(producers):
        indexes = [index for who, index, _ in written if who == number]
        # A cancelled put may have left already: at most that one goes beyond.
        assert indexes == list(range(len(indexes)))
        extra = 1 if number in cancelled else 0
        assert accepted[number] <= len(indexes) <= min(len(sizes), accepted[number] + extra)
