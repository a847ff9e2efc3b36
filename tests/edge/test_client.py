"""The exchange client: coalescing, deadlines, withdrawal, mending, bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from hutong.v1 import error_pb2, exchange_pb2

from gateway.attestation.sealing import Profile
from gateway.codes import Outcome
from gateway.edge.decide import ONLINE
from gateway.edge.presentation import LocalCode
from gateway.edge.questions import AttestedAnswer, OutcomeAnswer
from gateway.errors import TrustError
from gateway.wire.errors import RpcFailure
from tests.edge.world import HANGZHOU, edge_world, hangzhou_qr, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.edge.questions import Answered
    from tests.edge.world import World

pytestmark = pytest.mark.asyncio

CHECKPOINT = exchange_pb2.PURPOSE_CHECKPOINT


async def ask(
    world: World, number: int = 0, *, region: str = HANGZHOU, seconds: float = 5
) -> Answered:
    return await world.client.ask(
        region,
        LocalCode(hangzhou_qr(number)),
        purpose=CHECKPOINT,
        use=ONLINE,
        timeout_seconds=seconds,
    )


async def settled(condition: object) -> None:
    """Give the loop turns until a condition holds; the test's own limit bounds it."""
    while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - the hub has no event
        await asyncio.sleep(0)


async def test_a_single_question_leaves_at_once_and_is_answered(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        answer = await ask(world)
        assert isinstance(answer, AttestedAnswer)
        assert [message.envelopes for message in world.hub.messages] == [1]
        assert 0 < world.hub.messages[0].timeouts[0] <= 5000
        assert world.client.in_flight == 0


async def test_the_other_profile_seals_and_opens_too(tmp_path: Path) -> None:
    async with edge_world(tmp_path, profile=Profile.JWE) as world:
        answers = await asyncio.gather(*(ask(world, number) for number in range(70)))
        assert all(isinstance(answer, AttestedAnswer) for answer in answers)


async def test_concurrent_questions_share_envelopes_and_messages(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        for number in range(500):
            world.hub.people[hangzhou_qr(number)] = list(Outcome)[number % len(Outcome)]
        answers = await asyncio.gather(*(ask(world, number) for number in range(500)))
        for number, answer in enumerate(answers):
            assert isinstance(answer, OutcomeAnswer)
            assert answer.outcome is list(Outcome)[number % len(Outcome)]
            assert answer.retry_after_seconds == 1.5
        assert sum(message.envelopes for message in world.hub.messages) == 8
        assert len(world.hub.messages) == 1


async def test_what_is_asked_while_a_batch_is_out_leaves_as_the_next(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.gate.clear()
        first = asyncio.ensure_future(ask(world))
        await settled(lambda: world.hub.messages)
        later = [asyncio.ensure_future(ask(world, number)) for number in range(1, 30)]
        await asyncio.sleep(0.05)
        world.hub.gate.set()
        await asyncio.gather(first, *later)
        assert [message.envelopes for message in world.hub.messages] == [1, 1]


async def test_regions_and_purposes_do_not_share_an_envelope(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.default = Outcome.NOT_FOUND
        await asyncio.gather(
            *(ask(world, region=region) for region in ("330100", "440100") for _ in range(3)),
            world.client.ask(
                HANGZHOU,
                LocalCode("x"),
                purpose=exchange_pb2.PURPOSE_HOLDER,
                use=ONLINE,
                timeout_seconds=30,
            ),
        )
        assert [message.envelopes for message in world.hub.messages] == [3]


async def test_the_largest_questions_fit_their_envelopes(tmp_path: Path) -> None:
    async with edge_world(tmp_path, profile=Profile.JWE) as world:
        world.hub.default = Outcome.NOT_FOUND
        largest = LocalCode("健" * 2048)
        answers = await asyncio.gather(
            *(
                world.client.ask(
                    HANGZHOU, largest, purpose=CHECKPOINT, use=ONLINE, timeout_seconds=30
                )
                for _ in range(64)
            )
        )
        assert len(answers) == 64
        assert sum(message.envelopes for message in world.hub.messages) > 10


async def test_each_question_has_its_own_deadline(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.gate.clear()
        short = asyncio.ensure_future(ask(world, 1, seconds=0.1))
        long = asyncio.ensure_future(ask(world, 2, seconds=30))
        with pytest.raises(RpcFailure) as caught:
            await short
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert not long.done()
        world.hub.gate.set()
        assert isinstance(await long, AttestedAnswer)
        # The other question of the envelope still waited: nothing was withdrawn.
        assert [message.cancelled for message in world.hub.messages] == [[]]


async def test_an_envelope_nobody_waits_for_is_withdrawn(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.gate.clear()
        asking = [asyncio.ensure_future(ask(world, number)) for number in range(3)]
        await settled(lambda: world.hub.messages)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        world.hub.gate.set()
        await settled(lambda: len(world.hub.messages) > 1)
        assert world.hub.messages[1].cancelled == world.hub.messages[0].questions
        assert isinstance(await ask(world, 9), AttestedAnswer)
        assert world.client.in_flight == 0


async def test_a_question_whose_asker_left_before_it_was_sent_is_not_sent(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        task = asyncio.ensure_future(ask(world))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ask(world, 1)
        assert [len(message.questions) for message in world.hub.messages if message.questions] in (
            [1],
            [1, 1],
        )


async def test_above_the_bound_a_question_is_refused_at_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path, max_in_flight=10) as world:
        world.hub.gate.clear()
        asking = [asyncio.ensure_future(ask(world, number)) for number in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(RpcFailure) as caught:
            await ask(world, 11)
        assert caught.value.code == "OVERLOADED"
        assert caught.value.retry_after_seconds
        world.hub.gate.set()
        assert len(await asyncio.gather(*asking)) == 10
        assert isinstance(await ask(world, 11), AttestedAnswer)


async def test_one_refused_envelope_fails_no_other(tmp_path: Path) -> None:
    async with edge_world(tmp_path, questions_per_envelope=1) as world:
        world.hub.item_errors = [error_pb2.ERROR_REASON_ADAPTER_UNREACHABLE]
        results = await asyncio.gather(
            *(ask(world, number) for number in range(4)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, RpcFailure)]
        assert [failure.code for failure in refused] == ["ADAPTER_UNREACHABLE"]


async def test_an_unknown_reason_is_a_refusal(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.item_errors = [4711]  # type: ignore[list-item]  # wrong on purpose
        with pytest.raises(RpcFailure) as caught:
            await ask(world)
        assert caught.value.code == "REASON_4711"


async def test_an_unknown_region_is_refused_here(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with pytest.raises(TrustError) as caught:
            await ask(world, region="510100")
        assert caught.value.code == "UNKNOWN_REGION"
        assert world.hub.messages == []
        world.federation.suspend(HANGZHOU)
        world.give_trust()
        with pytest.raises(TrustError) as caught:
            await ask(world)
        assert caught.value.code == "AUTHORITY_SUSPENDED"


async def test_an_unknown_sealing_key_is_mended_by_the_feed_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.item_errors = [error_pb2.ERROR_REASON_SEALING_KEY_UNKNOWN]
        answers = await asyncio.gather(*(ask(world, number) for number in range(5)))
        assert all(isinstance(answer, AttestedAnswer) for answer in answers)
        assert len(world.refreshes) == 1
        world.hub.item_errors = [error_pb2.ERROR_REASON_SEALING_KEY_UNKNOWN] * 2
        with pytest.raises(RpcFailure) as caught:
            await ask(world)
        assert caught.value.code == "SEALING_KEY_UNKNOWN"


async def test_an_expired_token_is_mended_on_a_new_line(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        await ask(world)
        world.hub.item_errors = [error_pb2.ERROR_REASON_TOKEN_EXPIRED]
        assert isinstance(await ask(world, 1), AttestedAnswer)
        assert world.hub.tokens == ["token-1", "token-2"]


async def test_a_refused_line_is_a_reason_not_a_hang(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.refuse_streams_with = (grpc.StatusCode.PERMISSION_DENIED, "no")
        with pytest.raises(RpcFailure) as caught:
            await ask(world)
        assert caught.value.code == "SCOPE_MISSING"


async def test_a_lost_line_is_mended_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.drop_stream_after = 1
        answers = await asyncio.gather(*(ask(world, number) for number in range(100)))
        assert all(isinstance(answer, AttestedAnswer) for answer in answers)
        assert world.hub.streams == 2
        first, second = world.hub.messages
        assert not set(first.questions) & set(second.questions)


async def test_a_hub_that_went_and_came_back_is_found_again(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        await ask(world)
        await world.server.stop(None)
        with pytest.raises(RpcFailure) as caught:
            await ask(world, 1)
        assert caught.value.code == "PEER_UNREACHABLE"
        world.server, _ = await serve(world.hub, world.port)
        codes = set()
        while True:
            try:
                answer = await ask(world, 2)
            except RpcFailure as failure:
                codes.add(failure.code)
            else:
                break
        assert isinstance(answer, AttestedAnswer)
        assert codes <= {"PEER_UNREACHABLE"}


def _garbage(_: exchange_pb2.AnswerBatch) -> bytes:
    return b"\xff\xff not a message"


def _unanswered(_: exchange_pb2.AnswerBatch) -> bytes:
    return b"\x7a\x00"  # a batch with nothing but a field of a later version


def _twice(batch: exchange_pb2.AnswerBatch) -> bytes:
    batch.answers.append(batch.answers[0])
    return batch.SerializeToString()


def _other_nonce(batch: exchange_pb2.AnswerBatch) -> bytes:
    batch.answers[0].nonce = bytes(16)
    return batch.SerializeToString()


def _unknown_outcome(batch: exchange_pb2.AnswerBatch) -> bytes:
    batch.answers[0].outcome.outcome = 999  # type: ignore[assignment]  # wrong on purpose, or a number for the enum
    return batch.SerializeToString()


def _long(batch: exchange_pb2.AnswerBatch) -> bytes:
    batch.answers[0].attestation = "x" * 9000
    return batch.SerializeToString()


def _empty(batch: exchange_pb2.AnswerBatch) -> bytes:
    batch.answers[0].ClearField("attestation")
    return batch.SerializeToString()


@pytest.mark.parametrize(
    "change",
    [_garbage, _unanswered, _twice, _other_nonce, _unknown_outcome, _long, _empty],
)
async def test_an_answer_that_does_not_fit_is_the_adapters_fault(
    tmp_path: Path, change: Callable[[exchange_pb2.AnswerBatch], bytes]
) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.change_answers = change
        with pytest.raises(RpcFailure) as caught:
            await ask(world)
        assert caught.value.code == "ADAPTER_MISBEHAVED"


async def test_an_answer_changed_on_the_way_is_not_used(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.change_envelope = lambda envelope: envelope[:-1] + bytes([envelope[-1] ^ 1])
        with pytest.raises(RpcFailure) as caught:
            await ask(world)
        assert caught.value.code == "ADAPTER_MISBEHAVED"


async def test_closing_settles_whoever_waits(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.gate.clear()
        asking = [asyncio.ensure_future(ask(world, number)) for number in range(3)]
        await settled(lambda: world.hub.messages)
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [getattr(result, "code", None) for result in results] == ["SHUTTING_DOWN"] * 3


async def test_a_line_lost_between_sealing_and_sending_loses_nobody(tmp_path: Path) -> None:
    async with edge_world(tmp_path, questions_per_envelope=1) as world:
        await ask(world)
        asking = [asyncio.ensure_future(ask(world, number)) for number in range(200)]
        await asyncio.sleep(0)
        [line] = world.client._lines
        line.call.cancel()  # while the writer seals, a few envelopes a turn
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert all(
            isinstance(result, AttestedAnswer)
            or (isinstance(result, RpcFailure) and result.code != "DEADLINE_EXCEEDED")
            for result in results
        )
        assert world.client.in_flight == 0
