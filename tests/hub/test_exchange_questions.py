from __future__ import annotations

from typing import Any

import pytest
from hutong.v1 import exchange_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.hub.questions import (
    ENVELOPE,
    MAX_ENVELOPE_BYTES,
    MAX_HEADINGS,
    MAX_TIMEOUT_MS,
    Headings,
    caller_field,
    id_field,
    sort_questions,
    timeout_field,
)
from gateway.wire.validation import is_valid
from tests.hub.exchange_world import KEY_ID, question


def rebuilt(encoded: bytes, item: int, timeout_ms: int, envelope: bytes, caller: int) -> Any:
    data = id_field(item) + encoded + caller_field(caller) + timeout_field(timeout_ms)
    data += ENVELOPE.frame(envelope)
    return exchange_pb2.SealedQuestion.FromString(data)


regions = st.sampled_from(["330100", "440100", "3301", "33010x", "３３０１００", ""])
purposes = st.sampled_from([0, 1, 2, 6, 7, 99])
key_ids = st.sampled_from([KEY_ID, "B" * 43, "short", "A" * 42 + "+", ""])
timeouts = st.sampled_from([0, 1, 127, 128, 60_000, 60_001])
envelopes = st.sampled_from([b"", b"x", b"y" * 127, b"z" * MAX_ENVELOPE_BYTES, b"!" * 65_537])
questions = st.builds(
    question,
    st.integers(0, 5) | st.integers(2**14 - 2, 2**14 + 2) | st.integers(2**63, 2**64 - 1),
    region=regions,
    purpose=purposes,
    key_id=key_ids,
    timeout_ms=timeouts,
    envelope=envelopes,
)


@given(st.lists(questions, max_size=12), st.sets(st.integers(0, 5), max_size=3))
@settings(max_examples=100, deadline=None)
def test_sorting_agrees_with_the_schema_and_loses_no_question(
    batch: list[exchange_pb2.SealedQuestion], taken: set[int]
) -> None:
    result = sort_questions(batch, Headings(), taken)
    valid = [each for each in batch if is_valid(each) and each.timeout_ms]
    assert sorted(result.broken) == sorted(each.id for each in batch if each not in valid)
    first: dict[int, exchange_pb2.SealedQuestion] = {}
    doubled = []
    for each in valid:
        if each.id in first or each.id in taken:
            doubled.append(each.id)
        else:
            first[each.id] = each
    assert sorted(result.doubled) == sorted(doubled)
    sorted_ids = [item for run in result.runs for item in run.items]
    assert sorted(sorted_ids) == sorted(first)
    for run in result.runs:
        for item, (timeout_ms, envelope) in run.items.items():
            expected = exchange_pb2.SealedQuestion()
            expected.CopyFrom(first[item])
            expected.caller = 7
            assert rebuilt(run.heading.encoded, item, timeout_ms, envelope, 7) == expected
            assert (run.heading.region, run.heading.purpose) == (expected.region, expected.purpose)


@given(st.integers(0, 2**64 - 1))
def test_an_id_reads_back_as_itself(item: int) -> None:
    assert exchange_pb2.SealedQuestion.FromString(id_field(item)).id == item
    assert exchange_pb2.SealedAnswer.FromString(id_field(item)).id == item


@given(st.integers(1, MAX_TIMEOUT_MS), st.integers(1, 2**32 - 1))
def test_time_and_caller_read_back_as_themselves(timeout_ms: int, handle: int) -> None:
    data = timeout_field(timeout_ms) + caller_field(handle)
    read = exchange_pb2.SealedQuestion.FromString(data)
    assert (read.timeout_ms, read.caller) == (timeout_ms, handle)


def test_questions_of_one_heading_make_one_run_wherever_they_stand() -> None:
    batch = [question(item, region=("330100", "440100")[item % 2]) for item in range(1, 9)]
    runs = sort_questions(batch, Headings(), ()).runs
    assert [list(run.items) for run in runs] == [[1, 3, 5, 7], [2, 4, 6, 8]]


def test_fields_the_hub_does_not_know_do_not_travel_on() -> None:
    data = question(1).SerializeToString() + b"\xfa\x07\x03abc"
    known = exchange_pb2.SealedQuestion.FromString(data)
    (run,) = sort_questions([known], Headings(), ()).runs
    ((item, (timeout_ms, envelope)),) = run.items.items()
    assert (
        b"abc"
        not in rebuilt(run.heading.encoded, item, timeout_ms, envelope, 1).SerializeToString()
    )


def test_headings_are_bounded() -> None:
    headings = Headings()
    for number in range(MAX_HEADINGS + 10):
        assert headings.of(question(1, region=f"{number:06}"))
    assert len(headings._known) <= MAX_HEADINGS


@pytest.mark.parametrize("field", ["region", "purpose", "key_id"])
def test_a_heading_that_breaks_a_rule_is_never_kept(field: str) -> None:
    headings = Headings()
    broken: dict[str, Any] = {"region": "", "purpose": 0, "key_id": ""}
    for _ in range(2):
        assert headings.of(question(1, **{field: broken[field]})) is None
    assert headings._known == {}
