"""Reading what is shown and finding whom to ask; and the plaintext of envelopes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache

import pytest
from hutong.v1 import exchange_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.attestation import QUESTION_BUCKET_BYTES, ArmourError
from gateway.codes import Document, DocumentError, Outcome, outcome_to_proto, parse_document
from gateway.edge.errors import PresentationError
from gateway.edge.identify import SchemeIndex
from gateway.edge.presentation import CarriedAttestation, LocalCode, parse_presentation, read_text
from gateway.edge.questions import (
    Asked,
    AttestedAnswer,
    OutcomeAnswer,
    decode_answers,
    encode_questions,
    question_bytes,
)
from gateway.wire.errors import RpcFailure
from tests.edge.world import HANGZHOU, NOW, PERSON, hangzhou_qr, scheme_document


@cache
def index() -> SchemeIndex:
    return SchemeIndex.from_documents([scheme_document("hangzhou"), scheme_document("guangzhou")])


texts = st.text(max_size=120) | st.from_regex(r"https://hzjkm\.example/.{0,60}")


@settings(max_examples=100, deadline=None)
@given(texts)
def test_any_text_is_read_or_refused_without_being_repeated(text: str) -> None:
    said = ""
    try:
        presentation = parse_presentation(text)
    except (PresentationError, ArmourError) as error:
        said = str(error)
    else:
        said = repr(presentation)
        assert isinstance(presentation, (LocalCode, CarriedAttestation))
    assert len(text.strip()) < 8 or text.strip() not in said


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    code = "PRESENTATION_MALFORMED"
    try:
        read_text(data)
    except PresentationError as error:
        code = error.code
    assert code == "PRESENTATION_MALFORMED"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**10 - 1))
def test_every_code_of_hangzhou_is_asked_in_hangzhou(number: int) -> None:
    shown = LocalCode(hangzhou_qr(number))
    for origin in (None, HANGZHOU, "330000", "330106"):
        found = index().identify(shown, origin=origin, now=NOW)
        assert found.region == HANGZHOU
        assert found.presentation == shown
    assert index().identify(shown, origin="440100", now=NOW).region == "440100"


@settings(max_examples=100, deadline=None)
@given(texts.filter(bool))
def test_any_other_code_is_recognised_by_nobody_or_asked_where_it_was_said_to_be_from(
    text: str,
) -> None:
    shown = LocalCode(text)
    assert index().identify(shown, origin="510100", now=NOW).region == "510100"
    with pytest.raises(PresentationError) as caught:
        index().identify(shown, origin=None, now=NOW)
    assert caught.value.code == "PRESENTATION_UNRECOGNISED"


def test_a_scheme_not_in_force_recognises_nothing() -> None:
    before = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(PresentationError):
        index().identify(LocalCode(hangzhou_qr()), origin=None, now=before)


def test_a_scheme_that_does_not_load_hinders_no_other() -> None:
    documents = [{"hutong": "scheme/9", "family": "future"}, {}, scheme_document("hangzhou")]
    found = SchemeIndex.from_documents(documents).identify(
        LocalCode(hangzhou_qr()), origin=None, now=NOW
    )
    assert found.region == HANGZHOU


def test_a_code_that_stands_for_a_document_is_sent_as_the_document() -> None:
    text = json.dumps(scheme_document("hangzhou"), ensure_ascii=False)
    document = json.loads(text)
    document["versions"][-1]["qr"] = [
        {
            "pattern": "^id:(?P<number>[0-9]{17}[0-9X])$",
            "region": HANGZHOU,
            "presentation": "document",
            "document_type": 10,
            "examples": [f"id:{PERSON}"],
        }
    ]
    schemes = SchemeIndex.from_documents([document])
    found = schemes.identify(LocalCode(f"id:{PERSON}"), origin=None, now=NOW)
    assert found.presentation == parse_document(10, PERSON)
    wrong = PERSON[:-1] + str((int(PERSON[-1]) + 1) % 10)
    with pytest.raises(DocumentError):
        schemes.identify(LocalCode(f"id:{wrong}"), origin=None, now=NOW)


# --- plaintext of envelopes ---------------------------------------------------------

askable = st.builds(LocalCode, st.text(min_size=1, max_size=200)) | st.just(
    parse_document(10, PERSON)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(askable, min_size=1, max_size=8))
def test_questions_are_written_as_the_schema_says(shown: list[LocalCode | Document]) -> None:
    nonces = [os.urandom(16) for _ in shown]
    use = exchange_pb2.ATTESTATION_USE_ONLINE
    plaintext = encode_questions(
        [Asked(nonce, one, use) for nonce, one in zip(nonces, shown, strict=True)],
        reply_key=bytes(32),
        asked_at=NOW,
        audience="urn:hutong:region:440100",
    )
    batch = exchange_pb2.QuestionBatch.FromString(plaintext)
    assert [question.nonce for question in batch.questions] == nonces
    assert batch.asked_at.ToDatetime(UTC) == NOW
    for question, one in zip(batch.questions, shown, strict=True):
        assert question.use == use
        if isinstance(one, LocalCode):
            assert question.qr_text == one.text
        else:
            assert question.document.number == one.number
    assert len(plaintext) % (QUESTION_BUCKET_BYTES * len(shown)) == 0
    batch.ClearField("padding")
    assert batch.ByteSize() <= 100 + sum(question_bytes(one) for one in shown)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 4))
def test_any_bytes_are_answers_or_the_adapters_fault(data: bytes, number: int) -> None:
    nonces = [bytes([n]) * 16 for n in range(number)]
    results = decode_answers(data, nonces)
    assert len(results) == number
    assert all(isinstance(one, (RpcFailure, AttestedAnswer, OutcomeAnswer)) for one in results)


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_answers_find_their_questions_in_any_order(order: list[int], missing: set[int]) -> None:
    nonces = [bytes([n]) * 16 for n in range(6)]
    batch = exchange_pb2.AnswerBatch()
    for n in order:
        if n not in missing:
            batch.answers.add(nonce=nonces[n], attestation=f"token-{n}")
    results = decode_answers(batch.SerializeToString(), nonces)
    for n, result in enumerate(results):
        if n in missing:
            assert isinstance(result, RpcFailure)
            assert result.code == "ADAPTER_MISBEHAVED"
        else:
            assert result == AttestedAnswer(f"token-{n}", nonces[n])


def test_a_wish_to_be_asked_again_is_bounded() -> None:
    batch = exchange_pb2.AnswerBatch()
    report = batch.answers.add(nonce=bytes(16)).outcome
    report.outcome = outcome_to_proto(Outcome.SOURCE_BUSY)
    report.retry_after_ms = 4_000_000_000
    [answer] = decode_answers(batch.SerializeToString(), [bytes(16)])
    assert isinstance(answer, OutcomeAnswer)
    assert answer.retry_after_seconds == 3600
    assert answer.outcome is Outcome.SOURCE_BUSY
