"""The plaintext of envelopes: QuestionBatch out, AnswerBatch in.

Pure. An answer batch comes from a party that holds the reply key, which makes
it the adapter's word and nothing more: its shape is checked here, item by item,
and the attestation inside is checked by ``decide``. Whatever does not fit the
questions is ADAPTER_MISBEHAVED for exactly the questions it leaves unanswered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from hutong.v1 import exchange_pb2

from gateway.attestation import QUESTION_BUCKET_BYTES, pad
from gateway.codes import (
    Document,
    Itinerary,
    ItineraryError,
    Outcome,
    UnifiedCodeError,
    document_to_proto,
    itinerary_from_proto,
    outcome_from_proto,
)
from gateway.edge.presentation import LocalCode
from gateway.wire.errors import RpcFailure, failure_from_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gateway.attestation.sd_jwt import Disclosure

ENVELOPE_PLAINTEXT_BYTES: Final = 46 * 1024
"""The question envelope holds 64 KiB; base64 of the JWE profile makes 4 of 3."""

NONCE_BYTES: Final = 16
"""hutong.v1.Question.nonce."""

REPLY_KEY_BYTES: Final = 32
"""hutong.v1.QuestionBatch.reply_key: AES-256."""

MAX_ATTESTATION_CHARACTERS: Final = 8192
"""hutong.v1.Answer.attestation."""

MAX_STATE_CHARACTERS: Final = 64
"""hutong.v1.OutcomeReport.state and .scheme."""

MAX_RETRY_SECONDS: Final = 3600.0
"""A wish to be asked again later than this is read as this; no edge waits longer."""

Askable = LocalCode | Document
"""What may be sent to an origin; a carried attestation never leaves the edge."""

AttestationUse = exchange_pb2.AttestationUse


@dataclass(frozen=True, slots=True)
class Asked:
    """One question inside an envelope.

    Attributes:
        nonce: 16 random bytes.
        presentation: what the traveller shows.
        use: how the attestation will be used.
        disclosure: that it be disclosed in part, and how; None: the whole code.
    """

    nonce: bytes
    presentation: Askable = field(repr=False)
    use: exchange_pb2.AttestationUse.ValueType
    disclosure: Disclosure | None = None


@dataclass(frozen=True, slots=True)
class AttestedAnswer:
    """The origin attests a code; not verified yet.

    Attributes:
        token: the compact JWT.
        nonce: of the question it answers.
    """

    token: str = field(repr=False)
    nonce: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutcomeAnswer:
    """The origin answers with something that is not a level.

    Attributes:
        outcome: which.
        retry_after_seconds: when asking again may help; None: no statement.
        scheme: dated scheme applied; empty: none was.
        state: raw local state, only where it could not be determined.
        itinerary: places, only with EVIDENCE_ONLY; None: the origin tells none.
    """

    outcome: Outcome
    retry_after_seconds: float | None = None
    scheme: str = ""
    state: str = field(default="", repr=False)
    itinerary: Itinerary | None = None


Answered = AttestedAnswer | OutcomeAnswer


def question_bytes(presentation: Askable) -> int:
    """Upper bound of what one question adds to a batch."""
    text = presentation.text if isinstance(presentation, LocalCode) else presentation.number
    # Nonce, use, tags and lengths take less than 40 bytes; a character at most 4.
    return 40 + (len(text) if text.isascii() else 4 * len(text))


def encode_questions(
    asked: Sequence[Asked], *, reply_key: bytes, asked_at: datetime, audience: str
) -> bytes:
    """Write the plaintext of a question envelope, padded.

    Args:
        asked: 1 to 256 questions, nonces distinct.
        reply_key: fresh AES-256 key.
        asked_at: the clock when sealing.
        audience: region URN the attestations are for.
    """
    batch = exchange_pb2.QuestionBatch(reply_key=reply_key, audience=audience)
    batch.asked_at.FromDatetime(asked_at)
    for one in asked:
        question = batch.questions.add(nonce=one.nonce, use=one.use)
        if one.disclosure is not None:
            question.disclosure = exchange_pb2.Disclosure.Value(f"DISCLOSURE_{one.disclosure}")
        if isinstance(one.presentation, LocalCode):
            question.qr_text = one.presentation.text
        else:
            question.document.CopyFrom(document_to_proto(one.presentation))
    bucket_bytes = QUESTION_BUCKET_BYTES * len(asked)
    return pad(batch.SerializeToString(), bucket_bytes, max_bytes=ENVELOPE_PLAINTEXT_BYTES)


def decode_answers(plaintext: bytes, nonces: Sequence[bytes]) -> list[Answered | RpcFailure]:
    """Read the plaintext of an answer envelope.

    Args:
        plaintext: opened under the reply key.
        nonces: of the questions, in the order they were asked.

    Returns:
        One result a question, in their order; a question without a usable
        answer has an ADAPTER_MISBEHAVED.
    """
    try:
        batch = exchange_pb2.AnswerBatch.FromString(plaintext)
    except DecodeError:
        return [_misbehaved("the answer does not parse") for _ in nonces]
    if len(batch.answers) > len(nonces):
        return [_misbehaved("more answers than questions") for _ in nonces]
    by_nonce: Mapping[bytes, exchange_pb2.Answer] = {a.nonce: a for a in batch.answers}
    if len(by_nonce) != len(batch.answers):
        return [_misbehaved("two answers to one question") for _ in nonces]
    return [_answered(by_nonce.get(nonce)) for nonce in nonces]


def _answered(answer: exchange_pb2.Answer | None) -> Answered | RpcFailure:
    if answer is None:
        return _misbehaved("no answer to this question")
    kind = answer.WhichOneof("result")
    if kind == "attestation":
        if not 0 < len(answer.attestation) <= MAX_ATTESTATION_CHARACTERS:
            return _misbehaved("an attestation out of bounds")
        return AttestedAnswer(answer.attestation, answer.nonce)
    if kind == "outcome":
        return _outcome(answer.outcome)
    if kind == "error" and answer.error.reason:
        return failure_from_item(answer.error)
    return _misbehaved("an empty answer")


def _outcome(report: exchange_pb2.OutcomeReport) -> Answered | RpcFailure:
    if max(len(report.scheme), len(report.state)) > MAX_STATE_CHARACTERS:
        return _misbehaved("an outcome out of bounds")
    try:
        outcome = outcome_from_proto(report.outcome)
    except UnifiedCodeError:
        return _misbehaved("an outcome this version does not know")
    itinerary: Itinerary | None = None
    if report.HasField("itinerary"):
        if outcome is not Outcome.EVIDENCE_ONLY:
            return _misbehaved("places beside an outcome that has none")
        try:
            itinerary = itinerary_from_proto(report.itinerary)
        except ItineraryError:
            return _misbehaved("an itinerary out of bounds")
    retry_after = min(report.retry_after_ms / 1000, MAX_RETRY_SECONDS) or None
    return OutcomeAnswer(outcome, retry_after, report.scheme, report.state, itinerary)


def _misbehaved(message: str) -> RpcFailure:
    return RpcFailure("ADAPTER_MISBEHAVED", message)
