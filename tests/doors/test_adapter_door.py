"""The adapter's gRPC door under bad input: bytes on the wire and inside the envelope."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from hutong.v1 import adapter_service_pb2, error_pb2, exchange_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation import Binding, seal_question
from gateway.wire.errors import failure_from_rpc_error
from gateway.wire.hub_tokens import GRANT_METADATA_KEY
from tests.adapters.sdk.adapter_world import CALLER, PERSON, World, by_document, record, world
from tests.doors.hub_door import MARKER_WORD, everything_said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

QUERY = "/hutong.v1.AdapterService/Query"
STREAM = "/hutong.v1.AdapterService/QueryStream"
REASONS = {name.removeprefix("ERROR_REASON_") for name in dict(error_pb2.ErrorReason.items())}
BINDING = Binding("urn:hutong:region:330100", CALLER, "CHECKPOINT")


async def query(place: World, data: bytes) -> bytes | grpc.aio.AioRpcError:
    metadata = ((GRANT_METADATA_KEY, place.asker.grant()),)
    try:
        answer: bytes = await place.channel.unary_unary(QUERY)(data, metadata=metadata, timeout=5)
    except grpc.aio.AioRpcError as error:
        return error
    return answer


async def stream(place: World, data: bytes) -> list[bytes] | grpc.aio.AioRpcError:
    async def one() -> AsyncIterator[bytes]:
        yield data

    try:
        return [part async for part in place.channel.stream_stream(STREAM)(one(), timeout=5)]
    except grpc.aio.AioRpcError as error:
        return error


def changed(draw: st.DrawFn, message: bytes) -> bytes:
    """A message with one to three bytes lost, turned, added or cut off."""
    data = bytearray(message)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from("cdfi")):
            case "c":
                del data[at:]
            case "d":
                del data[at : at + 1]
            case "f" if data:
                data[at] ^= draw(st.integers(1, 255))
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


def run_examples(test: Any) -> Any:
    return settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )(test)


async def test_any_bytes_on_the_wire_are_refused_with_a_reason_and_ask_nobody() -> None:
    async with world() as place:
        loop = asyncio.get_running_loop()
        sealed, _ = place.asker.seal(by_document())
        unary = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed)
        batch = adapter_service_pb2.AdapterServiceQueryStreamRequest(
            callers=[exchange_pb2.CallerGrant(handle=1, grant=place.asker.grant())],
            questions=[sealed] * 2,
        )
        # Opening costs; a broken envelope is told apart before the platform is asked.
        sealed.envelope = sealed.envelope[:-1] + bytes([sealed.envelope[-1] ^ 1])
        wires = {query: unary.SerializeToString(), stream: batch.SerializeToString()}

        @st.composite
        def drawn(draw: st.DrawFn) -> tuple[Any, bytes]:
            call = draw(st.sampled_from(list(wires)))
            if draw(st.booleans()):
                return call, MARKER_WORD.encode() + draw(st.binary(max_size=60))
            return call, changed(draw, wires[call])

        with structlog.testing.capture_logs() as logs:

            @run_examples
            @given(case=drawn())
            def tried(case: tuple[Any, bytes]) -> None:
                call, data = case
                answer = asyncio.run_coroutine_threadsafe(call(place, data), loop).result(10)
                if isinstance(answer, grpc.aio.AioRpcError):
                    reason = failure_from_rpc_error(answer).code
                    assert reason in REASONS - {"INTERNAL", "UNSPECIFIED"}, data
                    assert MARKER_WORD not in everything_said(answer)

            await asyncio.to_thread(tried)
        assert not [entry for entry in logs if entry["event"] == "incident"]
        assert MARKER_WORD not in repr(logs)


async def test_any_bytes_inside_a_good_envelope_are_refused_or_answered_one_by_one() -> None:
    async with world() as place:
        loop = asyncio.get_running_loop()
        place.platform.records[PERSON] = [record()]
        batch = exchange_pb2.QuestionBatch(
            reply_key=bytes(32), audience="urn:hutong:region:440100", questions=[by_document()]
        )
        batch.asked_at.FromDatetime(place.now())
        key = place.asker.keys.seal[0]

        def wrap(plaintext: bytes) -> bytes:
            sealed = exchange_pb2.SealedQuestion(
                id=1,
                region="330100",
                purpose=exchange_pb2.PURPOSE_CHECKPOINT,
                timeout_ms=5000,
                key_id=key.key_id,
                envelope=seal_question(key.public, plaintext, BINDING),
                caller=1,
            )
            request = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed)
            return request.SerializeToString()

        @st.composite
        def drawn(draw: st.DrawFn) -> bytes:
            if draw(st.booleans()):
                return MARKER_WORD.encode() + draw(st.binary(max_size=60))
            batch.questions[0].nonce = draw(st.binary(min_size=16, max_size=16))
            return changed(draw, batch.SerializeToString()) or b"\0"

        expected = {
            "ENVELOPE_UNREADABLE", "INVALID_REQUEST", "QUESTION_STALE", "AUDIENCE_NOT_ALLOWED",
            "QUESTION_REPLAYED",
        }  # fmt: skip
        with structlog.testing.capture_logs() as logs:

            @run_examples
            @given(plaintext=drawn())
            def tried(plaintext: bytes) -> None:
                coroutine = query(place, wrap(plaintext))
                answer = asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)
                if isinstance(answer, grpc.aio.AioRpcError):
                    assert failure_from_rpc_error(answer).code in expected, plaintext
                    said = everything_said(answer)
                    assert MARKER_WORD not in said
                    assert PERSON not in said

            await asyncio.to_thread(tried)
        assert not [entry for entry in logs if entry["event"] == "incident"]
        for planted in (MARKER_WORD, PERSON, "绿码"):
            assert planted not in repr(logs)


async def test_each_fault_of_an_item_has_its_reason_and_repeats_nothing() -> None:
    async with world() as place:
        person = by_document(PERSON)
        twice, _ = place.asker.seal(person, person)
        cases: list[tuple[str, Any]] = [
            ("UNKNOWN_REGION", {"region": "440100"}),
            ("SEALING_KEY_UNKNOWN", {"key_id": "B" * 43}),
            ("ENVELOPE_UNREADABLE", {"envelope": PERSON.encode()}),
            ("ENVELOPE_UNREADABLE", {"envelope": twice.envelope[:-1]}),
            ("INVALID_REQUEST", {"envelope": b"x" * 65_537}),
            ("INVALID_REQUEST", {"purpose": 77}),
            ("INVALID_REQUEST", {"purpose": 0}),
            ("INVALID_REQUEST", {"region": "3301"}),
            ("PURPOSE_NOT_ALLOWED", {"purpose": exchange_pb2.PURPOSE_VENUE}),
        ]
        with structlog.testing.capture_logs() as logs:
            for expected, changes in cases:
                sealed, _ = place.asker.seal(by_document(PERSON))
                for name, value in changes.items():
                    setattr(sealed, name, value)
                request = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed)
                answer = await query(place, request.SerializeToString())
                assert isinstance(answer, grpc.aio.AioRpcError), expected
                assert failure_from_rpc_error(answer).code == expected
                assert PERSON not in everything_said(answer)
        assert PERSON not in repr(logs)
        assert place.platform.asked == 0
