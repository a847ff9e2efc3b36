"""What is sealed has few lengths, and reads as what it was."""

from __future__ import annotations

import pytest
from hutong.v1 import code_pb2, exchange_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation.padding import ANSWER_BUCKET_BYTES, QUESTION_BUCKET_BYTES, pad

_PLENTY = 1 << 20


@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=20),
    bucket=st.sampled_from([QUESTION_BUCKET_BYTES, ANSWER_BUCKET_BYTES]),
)
def test_a_padded_batch_is_a_multiple_of_its_bucket_and_reads_as_before(
    sizes: list[int], bucket: int
) -> None:
    batch = exchange_pb2.AnswerBatch()
    for size in sizes:
        batch.answers.add(nonce=bytes(16), attestation="x" * size)
    plain = batch.SerializeToString()
    padded = pad(plain, bucket * len(sizes), max_bytes=_PLENTY)
    assert len(padded) % (bucket * len(sizes)) == 0
    assert 0 < len(padded) - len(plain) < bucket * len(sizes) + 3
    read = exchange_pb2.AnswerBatch.FromString(padded)
    assert not any(read.padding)
    read.ClearField("padding")
    assert read == batch


@given(size=st.integers(0, 5000), limit=st.integers(100, 6000))
def test_padding_never_passes_the_limit_and_never_cuts(size: int, limit: int) -> None:
    plain = exchange_pb2.AnswerBatch(answers=[exchange_pb2.Answer(attestation="x" * size)])
    message = plain.SerializeToString()
    padded = pad(message, ANSWER_BUCKET_BYTES, max_bytes=limit)
    assert padded.startswith(message)
    assert len(padded) <= max(limit, len(message))


@pytest.mark.parametrize("count", [1, 7, 64, 256])
def test_all_attested_and_nobody_found_have_one_length(count: int) -> None:
    attested, unknown = exchange_pb2.AnswerBatch(), exchange_pb2.AnswerBatch()
    for number in range(count):
        attested.answers.add(nonce=bytes(16), attestation="x" * (900 + number % 300))
        unknown.answers.add(nonce=bytes(16)).outcome.outcome = code_pb2.OUTCOME_NOT_FOUND
    bucket = ANSWER_BUCKET_BYTES * count
    lengths = {
        len(pad(each.SerializeToString(), bucket, max_bytes=_PLENTY))
        for each in (attested, unknown)
    }
    assert lengths == {bucket}
