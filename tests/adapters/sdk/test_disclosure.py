"""An adapter answers with as much of a code as it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hutong.v1 import error_pb2, exchange_pb2

from gateway.attestation import Attestation, AttestationVerifier
from gateway.attestation.disclosed import DisclosedAttestation
from gateway.attestation.presenting import verify_presentation
from gateway.attestation.sd_jwt import MINIMAL_MEMBERS, disclosed_names
from gateway.codes.levels import Level
from tests.adapters.sdk.adapter_world import (
    AUDIENCE,
    PERSON,
    Asker,
    by_document,
    record,
    world,
)

pytestmark = pytest.mark.asyncio


def asking(disclosure: int, *, carried: bool) -> Any:
    question = by_document(carried=carried)
    question.disclosure = disclosure
    return question


def read(asker: Asker, answer: exchange_pb2.Answer, *, carried: bool) -> Any:
    return verify_presentation(
        answer.attestation,
        AttestationVerifier(asker),
        audience=AUDIENCE,
        now=asker.now(),
        nonce=None if carried else answer.nonce,
    )


async def test_every_use_is_answered_in_the_part_that_is_asked_for() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        for carried in (True, False):
            whole, minimal, selective = await place.asker.query(
                by_document(carried=carried),
                asking(exchange_pb2.DISCLOSURE_MINIMAL, carried=carried),
                asking(exchange_pb2.DISCLOSURE_SELECTIVE, carried=carried),
            )
            assert isinstance(read(place.asker, whole, carried=carried), Attestation)
            part = read(place.asker, minimal, carried=carried)
            assert isinstance(part, DisclosedAttestation)
            assert part.code.level is Level.GREEN
            assert disclosed_names(minimal.attestation) == MINIMAL_MEMBERS
            everything = read(place.asker, selective, carried=carried)
            assert isinstance(everything, Attestation)
            assert everything.code.state == "绿码"


async def test_an_import_or_an_unknown_part_is_refused_and_costs_its_own_question_only() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        imported = asking(exchange_pb2.DISCLOSURE_MINIMAL, carried=False)
        imported.use = exchange_pb2.ATTESTATION_USE_IMPORT
        answers = await place.asker.query(imported, asking(9, carried=True), by_document())
        assert [answer.WhichOneof("result") for answer in answers] == [
            "error",
            "error",
            "attestation",
        ]
        for answer in answers[:2]:
            assert answer.error.reason == error_pb2.ERROR_REASON_INVALID_REQUEST


async def test_two_minimal_answers_about_one_person_share_nothing_but_what_they_tell() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        question = asking(exchange_pb2.DISCLOSURE_MINIMAL, carried=True)
        again = asking(exchange_pb2.DISCLOSURE_MINIMAL, carried=True)
        first, second = await place.asker.query(question, again)
        parts = [set(answer.attestation.split("~")[1:-1]) for answer in (first, second)]
        assert not parts[0] & parts[1]
        assert read(place.asker, first, carried=True).subject is None
