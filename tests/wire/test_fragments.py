from __future__ import annotations

from hutong.v1 import adapter_service_pb2, exchange_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.coalesce import Coalescer
from gateway.wire.fragments import (
    PREPARED_LENGTHS,
    FieldFraming,
    Run,
    join_runs,
    number_fragment,
    run_bytes,
    run_count,
    varint,
)

QUESTIONS = FieldFraming(2)
CALLERS = FieldFraming(1)


@given(st.integers(0, 2**64 - 1))
def test_a_number_reads_back_as_itself(number: int) -> None:
    message = exchange_pb2.SealedQuestion.FromString(b"\x08" + varint(number))
    assert message.id == number


@given(
    questions=st.lists(
        st.builds(
            exchange_pb2.SealedQuestion,
            id=st.integers(0, 2**64 - 1),
            envelope=st.binary(max_size=300),
        ),
        max_size=8,
    ),
    callers=st.lists(
        st.builds(exchange_pb2.CallerGrant, handle=st.integers(0, 2**32 - 1)), max_size=4
    ),
    cancelled=st.lists(st.integers(0, 2**64 - 1), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_fragments_in_any_order_make_the_message(
    questions: list[exchange_pb2.SealedQuestion],
    callers: list[exchange_pb2.CallerGrant],
    cancelled: list[int],
    order: object,
) -> None:
    groups = [
        [QUESTIONS.frame(question.SerializeToString()) for question in questions],
        [CALLERS.frame(caller.SerializeToString()) for caller in callers],
        [number_fragment(3, number) for number in cancelled],
    ]
    fragments: list[bytes] = []
    while any(groups):
        group = order.choice([group for group in groups if group])  # type: ignore[attr-defined]  # random.Random
        fragments.append(group.pop(0))
    message = adapter_service_pb2.AdapterServiceQueryStreamRequest.FromString(b"".join(fragments))
    assert list(message.questions) == questions
    assert list(message.callers) == callers
    assert list(message.cancelled) == cancelled


def test_lengths_around_the_prepared_ones_are_framed_alike() -> None:
    for length in (0, 1, 127, 128, PREPARED_LENGTHS - 1, PREPARED_LENGTHS, 65_536):
        question = exchange_pb2.SealedQuestion(envelope=bytes(length))
        data = QUESTIONS.frame(question.SerializeToString())
        parsed = adapter_service_pb2.AdapterServiceQueryStreamRequest.FromString(data)
        assert list(parsed.questions) == [question]


def test_runs_are_cut_by_their_items_and_never_divided() -> None:
    queue: Coalescer[Run] = Coalescer(max_items=10, size=run_bytes, count=run_count)
    for items in (4, 6, 1, 25, 2):
        queue.push_one(Run(b"x" * items, items))
    assert len(queue) == 38
    batches = []
    while batch := queue.take_ready():
        batches.append([run.items for run in batch])
        assert join_runs(batch) == b"x" * sum(run.items for run in batch)
    assert batches == [[4, 6], [1], [25], [2]]
    assert len(queue) == 0
