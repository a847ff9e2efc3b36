"""What the asker of a conversion checks by itself; the whole way is in tests/paths."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import structlog
from hutong.v1 import error_pb2, exchange_pb2
from hutong.v1 import exchange_service_pb2_grpc as exchange_grpc
from hypothesis import given
from hypothesis import strategies as st

from gateway.attestation import VerifiedTokenCache
from gateway.codes import Declarations, Level, Outcome, TriState, parse_document, region_urn
from gateway.codes.conversion import ImportRefusal, LocalCode
from gateway.codes.proto import local_code_to_proto, refusal_to_proto
from gateway.edge.conversion_words import destination_reason, import_refusal_reason
from gateway.edge.convert import Converter
from gateway.edge.importing import ImportAsked, ImportClient, decode_answer, encode_import
from gateway.edge.view import TrustView
from gateway.wire.errors import STATUS_OF_REASON, RpcFailure
from tests.edge.world import GATE, GUANGZHOU, HANGZHOU, NOW, PERSON, edge_world, unified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.edge.convert import Conversion
    from tests.edge.world import World

DOCUMENT = parse_document(10, PERSON)
NO = Declarations(contact=TriState.NO, risk_area=TriState.NO, overseas=TriState.NO)
NAME = "测试甲"
CODE = LocalCode(
    scheme="gz-skm@2020-03",
    state="绿码",
    qr_text="https://synthetic.example/converted",
    valid_until=NOW + timedelta(hours=24),
    origin=HANGZHOU,
)


@pytest_asyncio.fixture
async def way(tmp_path: Path) -> AsyncIterator[tuple[World, Converter]]:
    async with edge_world(tmp_path) as world:
        world.hub.import_answer = lambda answer: answer.local_code.CopyFrom(
            local_code_to_proto(CODE)
        )
        imports = ImportClient(
            exchange_grpc.ExchangeServiceStub(world.channel),
            caller=GATE,
            tokens=world.tokens,
            keys=lambda: world.store.bundle,
            refresh_trust=world.client._refresh_trust,
            clock=world.clock,
            random_bytes=os.urandom,
        )
        cache = VerifiedTokenCache()
        converter = Converter(
            view=lambda: TrustView(world.store.bundle, HANGZHOU, cache),
            trust_age_seconds=world.store.age_seconds,
            asks=world.client,
            imports=imports,
            clock=world.clock,
            purpose=exchange_pb2.PURPOSE_HOLDER,
            max_trust_age_seconds=24 * 3600,
        )
        yield world, converter


async def convert(converter: Converter, **changes: Any) -> Conversion:
    asked: dict[str, Any] = {
        "name": NAME,
        "declarations": NO,
        "origin": HANGZHOU,
        "destination": GUANGZHOU,
        "timeout_seconds": 30,
    }
    return await converter.convert(DOCUMENT, **(asked | changes))


@pytest.mark.asyncio
async def test_both_legs_join(way: tuple[World, Converter]) -> None:
    world, converter = way
    with structlog.testing.capture_logs() as logs:
        done = await convert(converter)
        world.hub.import_failures = [error_pb2.ERROR_REASON_INTERNAL]
        await convert(converter)
    assert logs
    assert done.local_code == CODE
    assert (done.reason.code, done.origin, done.destination) == ("CONVERTED", HANGZHOU, GUANGZHOU)
    (one,) = world.hub.imports
    assert (one.name, one.document.number) == (NAME, PERSON)
    for secret in (PERSON, NAME, CODE.qr_text):
        assert secret not in repr(logs)
        assert secret not in repr(done)


@pytest.mark.asyncio
async def test_what_does_not_hold_is_not_handed_on(way: tuple[World, Converter]) -> None:
    world, converter = way
    hub = world.hub
    hub.subject = parse_document(20, "E00000000")
    done = await convert(converter)
    assert done.result is ImportRefusal.SUBJECT
    hub.subject = None

    hub.change_attestation = lambda one: replace(one, audience=region_urn(HANGZHOU))
    assert (await convert(converter)).reason.code == "AUDIENCE_MISMATCH"
    hub.change_attestation = lambda one: replace(
        one,
        issued_at=NOW - timedelta(hours=1),
        not_before=NOW - timedelta(hours=1),
        expires_at=NOW - timedelta(minutes=55),
    )
    assert (await convert(converter)).reason.code == "ATTESTATION_EXPIRED"
    hub.change_attestation = lambda one: one
    hub.change_token = lambda token: token[:-4] + "AAAA"
    assert (await convert(converter)).reason.code == "SIGNATURE_INVALID"
    hub.change_token = lambda token: token

    hub.default = Outcome.NOT_APPLIED
    done = await convert(converter)
    assert (done.reason.code, done.to_json()["outcome"]) == ("NOT_APPLIED", "NOT_APPLIED")
    hub.default = error_pb2.ERROR_REASON_INTERNAL
    assert (await convert(converter)).reason.code == "INTERNAL"
    assert hub.imports == []


@pytest.mark.asyncio
async def test_a_level_that_is_not_green_is_the_destination_s_to_refuse(
    way: tuple[World, Converter],
) -> None:
    world, converter = way
    world.hub.default = unified(Level.YELLOW)
    world.hub.import_answer = lambda answer: setattr(
        answer, "refusal", refusal_to_proto(ImportRefusal.LEVEL)
    )
    done = await convert(converter)
    assert (done.result, done.local_code) == (ImportRefusal.LEVEL, None)
    assert len(world.hub.imports) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "420000"},
        {"valid_until": NOW},
        {"valid_until": NOW - timedelta(days=1)},
    ],
)
async def test_a_code_that_cannot_be_right_is_not_shown(
    way: tuple[World, Converter], wrong: dict[str, Any]
) -> None:
    world, converter = way
    world.hub.import_answer = lambda answer: answer.local_code.CopyFrom(
        local_code_to_proto(replace(CODE, **wrong))
    )
    done = await convert(converter)
    assert (done.local_code, done.reason.code) == (None, "ADAPTER_MISBEHAVED")
    assert "destination" in done.reason.en


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", ["SHUTTING_DOWN", "TOKEN_EXPIRED", "SEALING_KEY_UNKNOWN"])
async def test_a_second_try_mends_what_can_be_mended(
    way: tuple[World, Converter], reason: str
) -> None:
    world, converter = way
    failure = error_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    world.hub.import_failures = [failure]
    assert (await convert(converter)).local_code == CODE
    assert (world.tokens.fetched == 2) == (reason == "TOKEN_EXPIRED")
    assert bool(world.refreshes) == (reason == "SEALING_KEY_UNKNOWN")
    world.hub.import_failures = [failure, failure]
    assert (await convert(converter)).reason.code == reason


@pytest.mark.asyncio
async def test_what_cannot_be_mended_is_told_at_once(way: tuple[World, Converter]) -> None:
    world, converter = way
    world.hub.import_failures = [error_pb2.ERROR_REASON_IMPORT_NOT_OFFERED]
    done = await convert(converter)
    assert (done.reason.code, done.to_json()["refused"]) == ("IMPORT_NOT_OFFERED",) * 2
    assert world.hub.imports == []


@given(plaintext=st.binary(max_size=200))
def test_whatever_comes_back_is_an_answer_or_a_failure(plaintext: bytes) -> None:
    assert isinstance(decode_answer(plaintext, bytes(16)), RpcFailure)


def answers(*results: dict[str, Any]) -> bytes:
    batch = exchange_pb2.ImportAnswerBatch(
        answers=[exchange_pb2.ImportAnswer(**one) for one in results]
    )
    return batch.SerializeToString()


@pytest.mark.parametrize(
    "plaintext",
    [
        answers(),
        answers({"nonce": bytes(16)}),
        answers({"nonce": b"x" * 16, "refusal": 1}),
        answers({"nonce": bytes(16), "refusal": 1}, {"nonce": bytes(16), "refusal": 1}),
        answers({"nonce": bytes(16), "refusal": 0}),
        answers({"nonce": bytes(16), "refusal": 99}),
        answers({"nonce": bytes(16), "local_code": exchange_pb2.LocalCode(qr_text="x")}),
    ],
)
def test_an_answer_of_another_shape_is_misbehaviour(plaintext: bytes) -> None:
    found = decode_answer(plaintext, bytes(16))
    assert isinstance(found, RpcFailure)
    assert found.code == "ADAPTER_MISBEHAVED"


def test_an_import_has_one_length_whoever_it_is_about() -> None:
    def length(name: str, number: str, token: str) -> int:
        asked = ImportAsked(
            nonce=bytes(16),
            token=token,
            document=parse_document(20, number),
            name=name,
            declarations=NO,
        )
        return len(encode_import(asked, reply_key=bytes(32), asked_at=NOW))

    assert (
        length("甲", "E00000000", "x" * 900) == length("甲" * 20, "EA0000000", "x" * 1400) == 2048
    )


def test_every_end_has_words_in_both_languages() -> None:
    for refusal in ImportRefusal:
        reason = import_refusal_reason(refusal)
        assert reason.code == f"IMPORT_REFUSAL_{refusal.name}"
        assert any("\u4e00" <= character <= "\u9fff" for character in reason.zh)
        assert reason.en.isascii()
    for code in STATUS_OF_REASON:
        assert destination_reason(code).code == code
        assert "origin" not in destination_reason(code).en
