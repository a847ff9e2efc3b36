"""Answers to questions as messages, and what gives way where they do not fit.

An outcome carries its raw state only where it says something that no level could
(CANNOT_DETERMINE, EVIDENCE_ONLY), and places only with the latter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from adapters.sdk.errors import QuestionError
from adapters.sdk.reports import OutcomeReport
from gateway.codes.levels import Outcome
from gateway.codes.proto import itinerary_to_proto, outcome_to_proto
from gateway.errors import HutongError
from gateway.wire.errors import item_error

if TYPE_CHECKING:
    from collections.abc import Sequence

Done = OutcomeReport | HutongError
"""An answer that no later step changes."""

_WITH_STATE: Final = (Outcome.CANNOT_DETERMINE, Outcome.EVIDENCE_ONLY)
_MAX_STATE: Final = 64  # OutcomeReport.state
_MAX_RETRY_MS: Final = 3_600_000
"""An hour: a platform that asks for more has no say in when a person asks again."""


def serialise_answers(
    nonces: Sequence[bytes], results: Sequence[str | Done], *, max_bytes: int
) -> bytes:
    """Return an answer batch, one answer a nonce.

    Answers that do not fit give way to an error, the largest first.
    """
    answers = [_answer(nonce, result) for nonce, result in zip(nonces, results, strict=True)]
    plaintext = exchange_pb2.AnswerBatch(answers=answers).SerializeToString()
    if len(plaintext) > max_bytes:
        _trim(answers, len(plaintext), max_bytes)
        plaintext = exchange_pb2.AnswerBatch(answers=answers).SerializeToString()
    return plaintext


def _trim(answers: list[exchange_pb2.Answer], size: int, max_bytes: int) -> None:
    """Replace answers by a refusal, the largest first, until all fit."""
    too_large = item_error(QuestionError("the answers are too large", code="MESSAGE_TOO_LARGE"))
    for answer in sorted(answers, key=exchange_pb2.Answer.ByteSize, reverse=True):
        if size <= max_bytes:
            return
        size -= answer.ByteSize()
        answer.error.CopyFrom(too_large)
        size += answer.ByteSize()


def _answer(nonce: bytes, result: str | Done) -> exchange_pb2.Answer:
    if isinstance(result, str):
        return exchange_pb2.Answer(nonce=nonce, attestation=result)
    if isinstance(result, HutongError):
        return exchange_pb2.Answer(nonce=nonce, error=item_error(result))
    answer = exchange_pb2.Answer(nonce=nonce)
    outcome = answer.outcome
    outcome.outcome = outcome_to_proto(result.outcome)
    if result.retry_after_seconds is not None:
        milliseconds = round(result.retry_after_seconds * 1000)
        outcome.retry_after_ms = max(1, min(_MAX_RETRY_MS, milliseconds))
    if result.scheme is not None:
        outcome.scheme = result.scheme
    if result.state is not None and result.outcome in _WITH_STATE:
        outcome.state = result.state[:_MAX_STATE]
    if result.itinerary is not None and result.outcome is Outcome.EVIDENCE_ONLY:
        outcome.itinerary.CopyFrom(itinerary_to_proto(result.itinerary))
    return answer
