from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import grpc
import pytest
from hutong.v1 import exchange_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.hub.exchange_service import ExchangeLimits
from gateway.hub.link_line import LinkSettings
from gateway.trust import jws
from gateway.wire.errors import failure_from_item, failure_from_rpc_error
from gateway.wire.fragments import varint
from tests.hub.exchange_world import (
    GATE,
    HANGZHOU,
    OTHER_GATE,
    ZHEJIANG,
    Edge,
    MemoryAdapter,
    edge_of,
    gate,
    hub_with_adapter,
    question,
    reason_of_item,
    running_hub,
    serve_adapter,
)

pytestmark = pytest.mark.asyncio


async def ended_with(edge: Edge) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await edge.answers(1_000)
    return failure_from_rpc_error(caught.value).code


async def test_a_question_goes_to_the_adapter_of_its_region_and_its_answer_comes_back() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        await edge.send(question(7, envelope=b"sealed"))
        answer = await edge.answer()
        assert (answer.id, answer.envelope) == (7, b"SEALED")
        seen = await adapter.got.get()
        assert (seen.region, seen.envelope, seen.caller) == ("330100", b"sealed", 1)


async def test_the_longest_prefix_wins_over_the_province() -> None:
    city, province = MemoryAdapter(), MemoryAdapter()
    city_server, province_server = await serve_adapter(city), await serve_adapter(province)
    async with running_hub() as hub, edge_of(hub) as edge:
        hub.add_adapter(city_server, HANGZHOU, ("3301",))
        hub.add_adapter(province_server, ZHEJIANG, ("33",))
        await edge.send(question(1, region="330106"), question(2, region="330200"))
        await edge.answers(2)
        assert [(await city.got.get()).region, city.got.qsize()] == ["330106", 0]
        assert [(await province.got.get()).region, province.got.qsize()] == ["330200", 0]
    await city_server.stop()
    await province_server.stop()


async def test_one_bad_item_never_fails_its_batch() -> None:
    bad: dict[str, exchange_pb2.SealedQuestion] = {
        "UNKNOWN_REGION": question(1, region="650000"),
        "PURPOSE_NOT_ALLOWED": question(2, purpose=exchange_pb2.PURPOSE_TRANSPORT),
        "OVERLOADED": question(3, envelope=b"refuse"),
    }
    broken = [
        question(10, region="33010"),
        question(11, region="3301xx"),
        question(12, region="３３０１００"),  # digits, but not ASCII
        question(13, purpose=exchange_pb2.PURPOSE_UNSPECIFIED),
        question(14, purpose=99),
        question(15, timeout_ms=0),
        question(16, timeout_ms=60_001),
        question(17, key_id="short"),
        question(18, envelope=b""),
        question(19, envelope=b"x" * 65_537),
    ]
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        await edge.send(question(100), *bad.values(), *broken, question(101))
        answers = await edge.answers(2 + len(bad) + len(broken))
    assert answers[100].envelope == answers[101].envelope == b"SEALED"
    for reason, item in bad.items():
        assert reason_of_item(answers[item.id]) == reason
    for item in broken:
        assert reason_of_item(answers[item.id]) == "INVALID_REQUEST"


async def test_bounds_of_an_item_are_inclusive() -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        await edge.send(
            question(1, envelope=b"x" * 65_536), question(2, timeout_ms=60_000, envelope=b"y")
        )
        answers = await edge.answers(2)
    assert answers[1].envelope == b"X" * 65_536
    assert answers[2].envelope == b"Y"


async def test_an_id_in_flight_is_refused_and_the_first_question_stands() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(question(5, envelope=b"first"), question(5, envelope=b"twin"))
        assert reason_of_item(await edge.answer()) == "DUPLICATE_ID"
        await adapter.got.get()
        await edge.send(question(5, envelope=b"late twin"))
        assert reason_of_item(await edge.answer()) == "DUPLICATE_ID"
        adapter.release()
        assert (await edge.answer()).envelope == b"FIRST"
        await edge.send(question(5, envelope=b"again"))
        assert (await edge.answer()).envelope == b"AGAIN"


async def test_ids_of_different_edges_never_meet() -> None:
    async with (
        hub_with_adapter() as (hub, _),
        edge_of(hub) as one,
        edge_of(hub, urn=OTHER_GATE) as other,
    ):
        await one.send(question(1, envelope=b"one"))
        await other.send(question(1, envelope=b"other"))
        assert (await one.answer()).envelope == b"ONE"
        assert (await other.answer()).envelope == b"OTHER"


async def test_an_item_whose_time_runs_out_is_refused_and_cancelled_at_the_adapter() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(question(1, timeout_ms=100), question(2, timeout_ms=30_000))
        first, _ = [await adapter.got.get() for _ in range(2)]
        answer = await edge.answer()
        assert (answer.id, reason_of_item(answer)) == (1, "DEADLINE_EXCEEDED")
        assert await adapter.got_cancel.get() == first.id
        adapter.release()
        assert (await edge.answer()).id == 2


async def test_a_withdrawn_item_is_cancelled_at_the_adapter_and_never_answered() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(question(1), question(2))
        first, _ = [await adapter.got.get() for _ in range(2)]
        await edge.send(cancelled=[1, 999])
        assert await adapter.got_cancel.get() == first.id
        adapter.release()
        assert (await edge.answer()).id == 2
        assert hub.routes.link("330100").in_flight == 0


async def test_an_edge_that_leaves_cancels_everything_it_asked() -> None:
    async with hub_with_adapter() as (hub, adapter):
        adapter.hold = True
        async with edge_of(hub) as edge:
            await edge.send(question(1), question(2), question(3))
            asked = {(await adapter.got.get()).id for _ in range(3)}
        assert {await adapter.got_cancel.get() for _ in range(3)} == asked
        assert hub.routes.link("330100").in_flight == 0


async def test_half_close_drains_what_is_in_flight_and_ends_well() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(question(1), question(2))
        await edge.call.done_writing()
        for _ in range(2):
            await adapter.got.get()
        adapter.release()
        assert set(await edge.answers(2)) == {1, 2}
        with pytest.raises(EOFError):
            await edge.answer()
        assert await edge.call.code() is grpc.StatusCode.OK


async def test_what_exceeds_a_callers_share_is_refused_at_once_with_a_hint() -> None:
    limits = ExchangeLimits(max_in_flight_per_caller=3)
    async with (
        hub_with_adapter(limits=limits) as (hub, adapter),
        edge_of(hub) as edge,
        edge_of(hub, urn=OTHER_GATE) as other,
    ):
        adapter.hold = True
        await edge.send(*(question(item) for item in range(1, 6)))
        refused = await edge.answers(2)
        assert set(refused) == {4, 5}
        for answer in refused.values():
            failure = failure_from_item(answer.error)
            assert failure.code == "OVERLOADED"
            assert failure.retry_after_seconds
        await other.send(question(1))
        for _ in range(4):
            await adapter.got.get()
        adapter.release()
        assert set(await edge.answers(3)) == {1, 2, 3}
        assert (await other.answer()).id == 1
        await edge.send(question(9))
        assert (await edge.answer()).envelope


async def test_what_exceeds_an_adapters_room_is_refused_at_once() -> None:
    link = LinkSettings(max_in_flight=2)
    async with hub_with_adapter(link=link) as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(*(question(item) for item in range(1, 4)))
        answer = await edge.answer()
        assert (answer.id, reason_of_item(answer)) == (3, "OVERLOADED")


async def test_bytes_that_wait_for_a_stuck_adapter_are_bounded() -> None:
    link = LinkSettings(max_queued_bytes=100_000)
    # It takes connections and says nothing on them.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with hub_with_adapter(link=link) as (hub, _), edge_of(hub) as edge:
            endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
            record = hub.directory.authorities[HANGZHOU]
            hub.directory.set_adapter(replace(record, endpoint=endpoint))
            await edge.send(*(question(i, envelope=b"x" * 60_000) for i in range(1, 3)))
            await edge.send(question(3))
            answer = await edge.answer()
            assert (answer.id, reason_of_item(answer)) == (3, "OVERLOADED")


async def test_a_slow_edge_stops_being_read_and_loses_nothing() -> None:
    limits = ExchangeLimits(max_unread_answers=1, max_in_flight_per_caller=100_000)
    count, size = 60, 60_000
    async with hub_with_adapter(limits=limits) as (hub, _), edge_of(hub) as edge:
        writer = asyncio.create_task(_send_each(edge, count, size))
        answers = await edge.answers(count)
        await writer
    assert set(answers) == set(range(1, count + 1))


async def _send_each(edge: Edge, count: int, size: int) -> None:
    for item in range(1, count + 1):
        await edge.send(question(item, envelope=b"x" * size))


async def test_a_batch_with_too_many_items_ends_the_stream() -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        await edge.send(*(question(item) for item in range(1, 1026)))
        assert await ended_with(edge) == "INVALID_REQUEST"


async def test_bytes_that_do_not_parse_end_the_stream() -> None:
    async with hub_with_adapter() as (hub, _), hub.channel() as channel:
        call: Any = channel.stream_stream("/hutong.v1.ExchangeService/QueryStream")(
            metadata=hub.metadata()
        )
        await call.write(b"\x0a\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert failure_from_rpc_error(caught.value).code == "INVALID_REQUEST"


@pytest.mark.parametrize("megabytes", [5, 9], ids=["read to say why", "cut by the transport"])
async def test_a_message_beyond_the_limit_ends_the_stream(megabytes: int) -> None:
    async with (
        hub_with_adapter() as (hub, _),
        grpc.aio.insecure_channel(
            f"127.0.0.1:{hub.server.port}", options=[("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        call: Any = channel.stream_stream("/hutong.v1.ExchangeService/QueryStream")(
            metadata=hub.metadata()
        )
        # One unknown field: valid but for its size.
        size = megabytes << 20
        await call.write(b"\x7a" + varint(size) + bytes(size))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert failure_from_rpc_error(caught.value).code == "MESSAGE_TOO_LARGE"


async def test_answers_of_an_adapter_are_held_against_its_questions() -> None:
    class Confused(MemoryAdapter):
        def answer(self, question: exchange_pb2.SealedQuestion) -> exchange_pb2.SealedAnswer:
            if question.envelope == b"empty":
                return exchange_pb2.SealedAnswer(id=question.id)
            if question.envelope == b"huge":
                return exchange_pb2.SealedAnswer(id=question.id, envelope=b"x" * 524_289)
            if question.envelope == b"other":
                return exchange_pb2.SealedAnswer(id=question.id + 1_000_000, envelope=b"stray")
            return super().answer(question)

    async with hub_with_adapter(Confused()) as (hub, _), edge_of(hub) as edge:
        await edge.send(
            question(1, envelope=b"empty"),
            question(2, envelope=b"huge"),
            question(3, envelope=b"other", timeout_ms=200),
            question(4),
        )
        answers = await edge.answers(4)
        assert hub.routes.link("330100").unknown_answers == 1
    assert reason_of_item(answers[1]) == "ADAPTER_MISBEHAVED"
    assert reason_of_item(answers[2]) == "ADAPTER_MISBEHAVED"
    assert reason_of_item(answers[3]) == "DEADLINE_EXCEEDED"
    assert answers[4].envelope == b"SEALED"


async def test_a_token_that_expires_refuses_items_and_ends_the_stream() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        adapter.hold = True
        await edge.send(question(1))
        await adapter.got.get()
        hub.clock.advance(600)
        await edge.send(question(2))
        answer = await edge.answer()
        assert (answer.id, reason_of_item(answer)) == (2, "TOKEN_EXPIRED")
        adapter.release()
        assert (await edge.answer()).id == 1
        assert await ended_with(edge) == "TOKEN_EXPIRED"


async def test_a_suspended_caller_is_stopped_at_once() -> None:
    async with (
        hub_with_adapter() as (hub, adapter),
        edge_of(hub) as edge,
        edge_of(hub, urn=OTHER_GATE) as other,
    ):
        adapter.hold = True
        await edge.send(question(1))
        asked = await adapter.got.get()
        await other.send(question(1))
        await adapter.got.get()
        hub.directory.suspend_caller(GATE)
        assert await ended_with(edge) == "CALLER_SUSPENDED"
        assert await adapter.got_cancel.get() == asked.id
        adapter.release()
        assert (await other.answer()).envelope


async def test_a_suspended_region_is_refused_and_never_falls_through_to_its_province() -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        record = hub.directory.authorities[HANGZHOU]
        hub.directory.set_adapter(replace(record, authority=ZHEJIANG, prefixes=("33",)))
        await edge.send(question(1))
        assert (await edge.answer()).envelope
        hub.directory.set_adapter(replace(record, active=False))
        await edge.send(question(2), question(3, region="330200"))
        answers = await edge.answers(2)
        assert reason_of_item(answers[2]) == "REGION_SUSPENDED"
        assert answers[3].envelope


async def test_a_purpose_taken_from_a_caller_is_refused_from_the_next_batch_on() -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        await edge.send(question(1))
        assert (await edge.answer()).envelope
        hub.directory.callers[GATE] = gate(purposes=frozenset({"VENUE"}))
        hub.directory.changed()
        await edge.send(question(2))
        assert reason_of_item(await edge.answer()) == "PURPOSE_NOT_ALLOWED"


async def test_a_drain_finishes_what_is_in_flight_and_refuses_new_streams() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge, hub.channel() as channel:
        adapter.hold = True
        await edge.send(question(1))
        await adapter.got.get()
        await channel.channel_ready()
        stopping = asyncio.create_task(hub.server.stop())
        await asyncio.sleep(0)
        late = Edge(channel, hub.metadata())
        assert await ended_with(late) == "SHUTTING_DOWN"
        adapter.release()
        assert (await edge.answer()).id == 1
        assert await ended_with(edge) == "SHUTTING_DOWN"
        await stopping


async def test_a_caller_is_introduced_once_and_again_when_its_grant_is_renewed() -> None:
    async with hub_with_adapter() as (hub, adapter), edge_of(hub) as edge:
        for item in range(1, 4):
            await edge.send(question(item))
            await edge.answer()
        introductions = [caller for batch in adapter.batches for caller in batch.callers]
        assert [caller.handle for caller in introductions] == [1]
        parts = jws.take_apart(introductions[0].grant, typ="hutong-grant+jwt", max_bytes=4096)
        claims = parts.claims()
        assert (claims["sub"], claims["aud"], claims["region"]) == (GATE, HANGZHOU, "440100")
        assert (claims["scope"], claims["purposes"]) == ("exchange.query", ["CHECKPOINT"])
        hub.clock.advance(500)
        await edge.send(question(9))
        await edge.answer()
        introductions = [caller for batch in adapter.batches for caller in batch.callers]
        assert [caller.handle for caller in introductions] == [1, 1]
        assert introductions[0].grant != introductions[1].grant


async def test_counts_add_up_per_caller_region_and_purpose() -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        await edge.send(question(1), question(2), question(3, region="650000"))
        await edge.answers(3)
        await edge.send(question(4, region="330106"))
        await edge.answer()
        await hub.accounting.flush()
        await hub.accounting.flush()
        counted = {(row.caller, row.region): row for row in hub.usage.rows}
        assert {key: row.envelopes for key, row in counted.items()} == {
            (GATE, "330100"): 2,
            (GATE, "330106"): 1,
        }
        # Six sealed bytes each way.
        assert all(row.bytes == 12 * row.envelopes for row in hub.usage.rows)


@given(
    items=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.sampled_from(["330100", "330106", "650000", "33", ""]),
            st.sampled_from([0, 1, 2]),
            st.sampled_from([b"", b"a", b"refuse"]),
            st.sampled_from([0, 5_000, 60_001]),
        ),
        max_size=30,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_every_item_gets_exactly_one_outcome(
    items: list[tuple[int, str, int, bytes, int]],
) -> None:
    async with hub_with_adapter() as (hub, _), edge_of(hub) as edge:
        questions = [
            question(item, region=region, purpose=purpose, envelope=envelope, timeout_ms=timeout)
            for item, region, purpose, envelope, timeout in items
        ]
        await edge.send(*questions)
        await edge.call.done_writing()
        got = [(await edge.answer()) for _ in questions]
        assert sorted(answer.id for answer in got) == sorted(item[0] for item in items)
        assert all(answer.WhichOneof("result") for answer in got)
        with pytest.raises(EOFError):
            await edge.answer()
        assert hub.routes.link("330100").in_flight == 0
