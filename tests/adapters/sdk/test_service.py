from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import grpc
import pytest
from hutong.v1 import adapter_service_pb2, code_pb2, error_pb2, exchange_pb2

from adapters.sdk import LocalReport, Reports
from gateway.attestation import Binding, generate_signing_key
from gateway.codes.levels import Basis, Level
from gateway.wire.errors import failure_from_rpc_error
from tests.adapters.sdk.adapter_world import (
    AUTHORITY,
    CALLER,
    OTHER_PERSON,
    PERSON,
    by_document,
    by_qr,
    record,
    world,
)

pytestmark = pytest.mark.asyncio

QR = "https://code.example/?id=0123456789abcdef0123456789abcdef"


async def refusal(call: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # wrong on purpose, or loosely typed
    return failure_from_rpc_error(caught.value).code


def reason(answer: exchange_pb2.Answer | exchange_pb2.SealedAnswer) -> str:
    return error_pb2.ErrorReason.Name(answer.error.reason).removeprefix("ERROR_REASON_")


def outcome(answer: exchange_pb2.Answer) -> str:
    assert answer.WhichOneof("result") == "outcome"
    return code_pb2.Outcome.Name(answer.outcome.outcome).removeprefix("OUTCOME_")


async def test_a_green_person_is_attested_green_for_the_question_that_asked() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        question = by_document()
        (answer,) = await place.asker.query(question)
        attestation = place.asker.verify(answer)
        assert answer.nonce == question.nonce == attestation.nonce
        assert attestation.code.level is Level.GREEN
        assert attestation.code.state == "绿码"
        assert attestation.code.scheme == "ex-jkm@2020-02"
        assert attestation.issuer == AUTHORITY
        assert attestation.expires_at - attestation.issued_at == timedelta(minutes=5)


async def test_a_carried_attestation_lives_as_long_as_the_scheme_says_and_no_clock_longer() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        (answer,) = await place.asker.query(by_document(carried=True))
        attestation = place.asker.verify(answer, carried=True)
        assert attestation.expires_at - attestation.issued_at == timedelta(hours=6)
        place.offset = timedelta(hours=18)  # two hours before the code's own end
        (answer,) = await place.asker.query(by_document(carried=True))
        attestation = place.asker.verify(answer, carried=True)
        assert attestation.expires_at == attestation.code.valid_until
        assert attestation.expires_at - attestation.issued_at == timedelta(hours=2)


async def test_two_records_that_disagree_are_both_stated_the_more_restrictive_first() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码"), {**record("黄码"), "why": "密接"}]
        (answer,) = await place.asker.query(by_document())
        code = place.asker.verify(answer).code
        assert [report.level for report in code.reports] == [Level.YELLOW, Level.GREEN]
        assert code.basis == {Basis.SPACE, Basis.CONTACT}


async def test_a_record_of_a_region_the_authority_does_not_speak_for_is_never_left_out() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码"), record("红码", city="绍兴市")]
        (answer,) = await place.asker.query(by_document())
        assert outcome(answer) == "CANNOT_DETERMINE"


async def test_a_qr_text_is_asked_as_it_was_scanned() -> None:
    async with world() as place:
        place.platform.records[QR] = record("红码")
        (answer,) = await place.asker.query(by_qr(QR))
        assert place.asker.verify(answer).code.level is Level.RED


async def test_a_qr_text_of_another_scheme_is_wrong_region_and_not_asked() -> None:
    async with world() as place:
        (answer,) = await place.asker.query(by_qr("https://other.example/?id=1"))
        assert outcome(answer) == "WRONG_REGION"
        assert place.platform.asked == 0


async def test_pseudonyms_differ_between_people_and_stay_for_one_person() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record()]
        place.platform.records[OTHER_PERSON] = [record()]
        answers = await place.asker.query(by_document(), by_document(OTHER_PERSON), by_document())
        first, other, again = (place.asker.verify(answer).subject for answer in answers)
        assert first == again != other


@pytest.mark.parametrize(
    ("state", "expected"), [("未申领", "NOT_APPLIED"), ("紫码", "CANNOT_DETERMINE")]
)
async def test_a_state_that_is_no_level_is_its_outcome(state: str, expected: str) -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record(state)]
        (answer,) = await place.asker.query(by_document())
        assert outcome(answer) == expected
        assert answer.outcome.state == ("紫码" if expected == "CANNOT_DETERMINE" else "")
        assert answer.outcome.scheme == "ex-jkm@2020-02"


async def test_a_batch_is_answered_in_order_and_a_bad_question_costs_only_itself() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        good, again = by_document(), by_document()
        bad_number = by_document("33010219900101005Z")
        short_nonce = by_document()
        short_nonce.nonce = b"short"
        no_presentation = exchange_pb2.Question(
            nonce=os.urandom(16), use=exchange_pb2.ATTESTATION_USE_ONLINE
        )
        no_use = by_document()
        no_use.use = exchange_pb2.ATTESTATION_USE_UNSPECIFIED
        doubled = by_document(nonce=good.nonce)
        asked = [good, bad_number, short_nonce, no_presentation, no_use, doubled, again]
        answers = await place.asker.query(*asked)
        assert [answer.nonce for answer in answers] == [question.nonce for question in asked]
        assert [answer.WhichOneof("result") for answer in answers] == [
            "attestation", "error", "error", "error", "error", "error", "attestation",
        ]  # fmt: skip
        assert [reason(answer) for answer in answers[1:6]] == [
            *["INVALID_REQUEST"] * 4,
            "QUESTION_REPLAYED",
        ]


async def test_an_envelope_is_answered_once() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record()]
        sealed, opener = place.asker.seal(by_document())
        request = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed)
        metadata = (("hutong-grant", place.asker.grant()),)
        reply = await place.asker.stub.Query(request, metadata=metadata, timeout=5)
        assert len(opener(reply.envelope)) == 1
        again = place.asker.stub.Query(request, metadata=metadata, timeout=5)
        assert await refusal(again) == "QUESTION_REPLAYED"
        assert place.platform.asked == 1


async def test_a_nonce_seen_in_another_envelope_is_a_replay() -> None:
    async with world() as place:
        question = by_document()
        await place.asker.query(question)
        assert await refusal(place.asker.query(question, by_document())) == "QUESTION_REPLAYED"


@pytest.mark.parametrize("seconds", [-61, 61])
async def test_a_question_of_another_time_is_stale(seconds: int) -> None:
    async with world() as place:
        asked_at = place.now() + timedelta(seconds=seconds)
        assert await refusal(place.asker.query(by_document(), asked_at=asked_at)) == (
            "QUESTION_STALE"
        )


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_a_clock_a_minute_apart_is_accepted(seconds: int) -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record()]
        asked_at = place.now() + timedelta(seconds=seconds)
        (answer,) = await place.asker.query(by_document(), asked_at=asked_at)
        assert answer.attestation


async def test_what_binds_the_envelope_must_be_what_it_came_with() -> None:
    async with world() as place:
        moved = Binding(AUTHORITY, "urn:hutong:checkpoint:440100:south-gate", "CHECKPOINT")
        code = await refusal(place.asker.query(by_document(), binding=moved))
        assert code == "ENVELOPE_UNREADABLE"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"region": "440100"}, "UNKNOWN_REGION"),
        ({"purpose": "VENUE"}, "PURPOSE_NOT_ALLOWED"),
        ({"audience": "urn:hutong:region:330100"}, "AUDIENCE_NOT_ALLOWED"),
        ({"audience": "urn:hutong:region:440106"}, "AUDIENCE_NOT_ALLOWED"),
        ({"audience": "urn:hutong:region:000000"}, "AUDIENCE_NOT_ALLOWED"),
        ({"audience": "urn:hutong:region:44010０"}, "AUDIENCE_NOT_ALLOWED"),
    ],
)
async def test_what_the_grant_does_not_allow_is_refused(
    change: dict[str, str], expected: str
) -> None:
    async with world() as place:
        assert await refusal(place.asker.query(by_document(), **change)) == expected
        assert place.platform.asked == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"aud": "urn:hutong:region:330200"}, "TOKEN_INVALID"),
        ({"iss": "urn:hutong:hub:330000"}, "TOKEN_INVALID"),
        ({"scope": "registry.read"}, "SCOPE_MISSING"),
        ({"exp": 0, "iat": -600}, "TOKEN_EXPIRED"),
        ({"iat": 4102444800, "exp": 4102445400}, "TOKEN_INVALID"),
        ({"region": "4401"}, "TOKEN_INVALID"),
    ],
)
async def test_a_grant_that_does_not_hold_is_refused(
    change: dict[str, object], expected: str
) -> None:
    async with world() as place:
        grant = place.asker.grant(**change)
        assert await refusal(place.asker.query(by_document(), grant=grant)) == expected


async def test_a_grant_by_a_stranger_is_refused_and_none_at_all_too() -> None:
    async with world() as place:
        forged = place.asker.grant(key=generate_signing_key())
        assert await refusal(place.asker.query(by_document(), grant=forged)) == "TOKEN_INVALID"
        assert await refusal(place.asker.query(by_document(), grant="x.y")) == "TOKEN_INVALID"
        sealed, _ = place.asker.seal(by_document())
        request = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed)
        assert await refusal(place.asker.stub.Query(request, timeout=5)) == "TOKEN_MISSING"


async def test_a_grant_expires_although_its_verification_is_remembered() -> None:
    async with world() as place:
        grant = place.asker.grant()
        await place.asker.query(by_document(), grant=grant)
        place.offset = timedelta(seconds=600)
        assert await refusal(place.asker.query(by_document(), grant=grant)) == "TOKEN_EXPIRED"


async def test_a_connector_that_raises_costs_its_question_and_tells_nothing() -> None:
    class Broken:
        async def fetch(self, presentation: object, deadline: object) -> Reports:
            raise RuntimeError(f"synthetic secret {PERSON}")

        async def close(self) -> None:
            pass

    async with world(connector=Broken()) as place:
        (answer,) = await place.asker.query(by_document())
        assert reason(answer) == "INTERNAL"
        assert answer.error.incident
        assert PERSON.encode() not in answer.SerializeToString()


async def test_describe_names_authority_schemes_and_sealing_keys() -> None:
    async with world() as place:
        described = await place.asker.stub.Describe(
            adapter_service_pb2.DescribeRequest(), timeout=5
        )
        assert described.authority == AUTHORITY
        assert list(described.prefixes) == ["3301"]
        assert list(described.schemes) == ["ex-jkm@2020-02"]
        assert list(described.sealing_key_ids) == [place.asker.keys.seal[0].key_id]


# -- the stream --------------------------------------------------------------------


class Stream:
    """A hub's stream to the adapter; collects answers by id."""

    def __init__(self, place: object) -> None:
        self.call = place.asker.stub.QueryStream()  # type: ignore[attr-defined]  # looks inside
        self.answers: dict[int, exchange_pb2.SealedAnswer] = {}

    async def send(
        self, *questions: object, grants: dict[int, str] | None = None, **more: object
    ) -> None:
        await self.call.write(
            adapter_service_pb2.AdapterServiceQueryStreamRequest(
                callers=[
                    exchange_pb2.CallerGrant(handle=handle, grant=grant)
                    for handle, grant in (grants or {}).items()
                ],
                questions=questions,
                **more,
            )
        )

    async def until(self, count: int) -> None:
        while len(self.answers) < count:
            batch = await self.call.read()
            assert batch is not grpc.aio.EOF
            for answer in batch.answers:
                assert answer.id not in self.answers
                self.answers[answer.id] = answer

    async def finish(self) -> grpc.StatusCode:
        await self.call.done_writing()
        while (batch := await self.call.read()) is not grpc.aio.EOF:
            for answer in batch.answers:
                self.answers[answer.id] = answer
        return await self.call.code()


async def test_a_stream_answers_every_item_under_its_id_and_ends_well() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        stream = Stream(place)
        sealed = [place.asker.seal(by_document(), item=item) for item in range(1, 40)]
        await stream.send(*[s for s, _ in sealed], grants={1: place.asker.grant()})
        assert await stream.finish() is grpc.StatusCode.OK
        assert sorted(stream.answers) == list(range(1, 40))
        for item, (_, opener) in enumerate(sealed, start=1):
            (answer,) = opener(stream.answers[item].envelope)
            assert place.asker.verify(answer).code.level is Level.GREEN


async def test_a_bad_item_of_a_stream_costs_only_itself() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        stream = Stream(place)
        good, opener = place.asker.seal(by_document(), item=1)
        no_time, _ = place.asker.seal(by_document(), item=2, timeout_ms=0)
        no_caller, _ = place.asker.seal(by_document(), item=3, caller=7)
        bad_caller, _ = place.asker.seal(by_document(), item=4, caller=2)
        changed, _ = place.asker.seal(by_document(), item=5)
        changed.envelope = changed.envelope[:-1] + bytes([changed.envelope[-1] ^ 1])
        other_key, _ = place.asker.seal(by_document(), item=6)
        other_key.key_id = "A" * 43
        no_region, _ = place.asker.seal(by_document(), item=7)
        no_region.region = "33"
        await stream.send(
            good, no_time, no_caller, bad_caller, changed, other_key, no_region,
            grants={1: place.asker.grant(), 2: place.asker.grant(aud="urn:hutong:region:330200")},
        )  # fmt: skip
        assert await stream.finish() is grpc.StatusCode.OK
        assert place.asker.verify(opener(stream.answers[1].envelope)[0])
        assert {item: reason(stream.answers[item]) for item in range(2, 8)} == {
            2: "INVALID_REQUEST",
            3: "TOKEN_MISSING",
            4: "TOKEN_INVALID",
            5: "ENVELOPE_UNREADABLE",
            6: "SEALING_KEY_UNKNOWN",
            7: "INVALID_REQUEST",
        }


async def test_a_later_grant_under_the_same_handle_replaces_the_earlier() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record()]
        stream = Stream(place)
        first, _ = place.asker.seal(by_document(), item=1)
        second, _ = place.asker.seal(by_document(), item=2)
        await stream.send(first, grants={1: place.asker.grant(purposes=["VENUE"])})
        await stream.until(1)
        await stream.send(second, grants={1: place.asker.grant()})
        await stream.until(2)
        assert reason(stream.answers[1]) == "PURPOSE_NOT_ALLOWED"
        assert stream.answers[2].envelope
        await stream.finish()


async def test_an_id_in_flight_is_refused_and_a_cancelled_one_is_let_go() -> None:
    async with world() as place:
        place.platform.hold = asyncio.Event()
        stream = Stream(place)
        held, _ = place.asker.seal(by_document(), item=1, timeout_ms=60_000)
        twin, _ = place.asker.seal(by_document(), item=1, timeout_ms=60_000)
        await stream.send(held, grants={1: place.asker.grant()})
        await stream.send(twin)
        await stream.until(1)
        assert reason(stream.answers.pop(1)) == "DUPLICATE_ID"
        await stream.send(cancelled=[1, 99])
        await stream.until(1)
        assert reason(stream.answers[1]) == "CANCELLED"
        assert await stream.finish() is grpc.StatusCode.OK


async def test_what_is_beyond_the_room_is_refused_at_once_with_a_time_to_return() -> None:
    async with world(max_in_flight=2) as place:
        place.platform.hold = asyncio.Event()
        stream = Stream(place)
        sealed = [place.asker.seal(by_document(), item=item)[0] for item in (1, 2, 3)]
        await stream.send(*sealed, grants={1: place.asker.grant()})
        await stream.until(1)
        assert reason(stream.answers[3]) == "OVERLOADED"
        assert stream.answers[3].error.retry_after_ms > 0
        place.platform.hold.set()
        await stream.until(3)
        again, _ = place.asker.seal(by_document(), item=4)
        await stream.send(again)
        await stream.until(4)
        assert stream.answers[4].envelope
        await stream.finish()


async def test_an_item_gets_its_outcome_within_its_own_time() -> None:
    async with world() as place:
        place.platform.hold = asyncio.Event()
        stream = Stream(place)
        sealed, opener = place.asker.seal(by_document(), by_document(), item=1, timeout_ms=200)
        await stream.send(sealed, grants={1: place.asker.grant()})
        await stream.until(1)
        answers = opener(stream.answers[1].envelope)
        assert [outcome(answer) for answer in answers] == ["SOURCE_TIMED_OUT"] * 2
        await stream.finish()


async def test_a_stream_that_breaks_takes_its_items_with_it() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    class Waiting:
        async def fetch(self, presentation: object, deadline: object) -> Reports:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return Reports(())

        async def close(self) -> None:
            pass

    async with world(connector=Waiting()) as place:
        stream = Stream(place)
        sealed, _ = place.asker.seal(by_document(), item=1, timeout_ms=60_000)
        await stream.send(sealed, grants={1: place.asker.grant()})
        await started.wait()
        stream.call.cancel()
        await ended.wait()


async def test_a_drain_answers_what_is_in_flight_and_ends_the_stream_well() -> None:
    async with world() as place:
        place.platform.hold = asyncio.Event()
        place.platform.records[PERSON] = [record()]
        stream = Stream(place)
        sealed, opener = place.asker.seal(by_document(), item=1)
        await stream.send(sealed, grants={1: place.asker.grant()})
        await place.platform.called.wait()
        stopping = asyncio.create_task(place.adapter.stop())
        await asyncio.sleep(0)
        place.platform.hold.set()
        await stream.until(1)
        assert place.asker.verify(opener(stream.answers[1].envelope)[0])
        assert await stream.call.read() is grpc.aio.EOF
        assert await stream.call.code() is grpc.StatusCode.OK
        await stopping


async def test_the_largest_batch_is_answered_whole_even_where_its_answers_do_not_fit() -> None:
    class Many:
        async def fetch(self, presentation: object, deadline: object) -> Reports:
            at = place.now()
            one = LocalReport(
                state="绿码", issued_by="330100", assessed_at=at, source_at=at, declared_at=at
            )
            return Reports((one,) * 8)

        async def close(self) -> None:
            pass

    async with world(connector=Many()) as place:
        answers = await place.asker.query(*[by_document() for _ in range(256)], seconds=30)
        kinds = [answer.WhichOneof("result") for answer in answers]
        assert len(kinds) == 256
        assert 0 < kinds.count("error") < 256
        assert {reason(a) for a in answers if a.WhichOneof("result") == "error"} == {
            "MESSAGE_TOO_LARGE"
        }


async def test_the_caller_is_the_one_of_the_grant() -> None:
    async with world() as place:
        other = place.asker.grant(sub="urn:hutong:checkpoint:440100:south-gate")
        assert CALLER not in other
        code = await refusal(place.asker.query(by_document(), grant=other))
        assert code == "ENVELOPE_UNREADABLE"
