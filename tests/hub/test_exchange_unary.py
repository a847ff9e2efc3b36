from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from hutong.v1 import exchange_pb2, exchange_service_pb2, exchange_service_pb2_grpc

from gateway.hub.exchange_service import ExchangeLimits
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from tests.hub.exchange_world import (
    GATE,
    Hub,
    gate,
    hub_with_adapter,
    question,
)

pytestmark = pytest.mark.asyncio


async def ask(
    hub: Hub, *, seconds: float | None = 5.0, metadata: Any = None, **changes: Any
) -> bytes:
    async with hub.channel() as channel:
        stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        response = await stub.Query(
            exchange_service_pb2.ExchangeServiceQueryRequest(question=question(**changes)),
            timeout=seconds,
            metadata=hub.metadata() if metadata is None else metadata,
        )
        return bytes(response.envelope)


async def refusal(hub: Hub, **arguments: Any) -> tuple[grpc.StatusCode, RpcFailure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(hub, **arguments)
    return caught.value.code(), failure_from_rpc_error(caught.value)


async def test_a_question_is_answered_through_the_link() -> None:
    async with hub_with_adapter() as (hub, adapter):
        assert await ask(hub, envelope=b"sealed", timeout_ms=0) == b"SEALED"
        seen = await adapter.got.get()
        # The transport rounds a deadline up a little.
        assert 4_000 < seen.timeout_ms <= 5_100
        assert seen.caller == 1


async def test_a_missing_deadline_is_refused() -> None:
    async with hub_with_adapter() as (hub, _):
        status, failure = await refusal(hub, seconds=None)
    assert (status, failure.code) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"region": "3301"}, "question.region"),
        ({"region": "3301xx"}, "question.region"),
        ({"purpose": 0}, "question.purpose"),
        ({"purpose": 77}, "question.purpose"),
        ({"key_id": "short"}, "question.key_id"),
        ({"envelope": b""}, "question.envelope"),
        ({"envelope": b"x" * 65_537}, "question.envelope"),
        ({"timeout_ms": 60_001}, "question.timeout_ms"),
    ],
)
@pytest.mark.parametrize("known", [False, True], ids=["first", "after its key id was seen"])
async def test_a_broken_field_is_named(changes: dict[str, Any], field: str, known: bool) -> None:
    async with hub_with_adapter() as (hub, _):
        if known:
            await ask(hub)
        status, failure = await refusal(hub, **changes)
    assert (status, failure.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [fault.field for fault in failure.fields] == [field]


async def test_a_request_without_a_question_is_refused() -> None:
    async with hub_with_adapter() as (hub, _), hub.channel() as channel:
        stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Query(
                exchange_service_pb2.ExchangeServiceQueryRequest(),
                timeout=5,
                metadata=hub.metadata(),
            )
    failure = failure_from_rpc_error(caught.value)
    assert failure.code == "INVALID_REQUEST"
    assert [fault.field for fault in failure.fields] == ["question"]


async def test_what_the_token_or_the_directory_refuses() -> None:
    async with hub_with_adapter() as (hub, adapter):
        cases: list[tuple[Any, grpc.StatusCode, str]] = [
            ((), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
            (
                (("authorization", "Bearer nonsense"),),
                grpc.StatusCode.UNAUTHENTICATED,
                "TOKEN_INVALID",
            ),
            (
                hub.metadata(scope="registry.read"),
                grpc.StatusCode.PERMISSION_DENIED,
                "SCOPE_MISSING",
            ),
            (
                hub.metadata(urn="urn:hutong:checkpoint:440100:unknown"),
                grpc.StatusCode.PERMISSION_DENIED,
                "CALLER_SUSPENDED",
            ),
        ]
        for metadata, status, reason in cases:
            got, failure = await refusal(hub, metadata=metadata)
            assert (got, failure.code) == (status, reason)
        metadata = hub.metadata()
        assert await ask(hub, metadata=metadata)
        hub.directory.callers[GATE] = gate(purposes=frozenset({"VENUE"}))
        assert (await refusal(hub, metadata=metadata))[1].code == "PURPOSE_NOT_ALLOWED"
        hub.directory.callers[GATE] = gate(scopes=frozenset({"registry.read"}))
        assert (await refusal(hub, metadata=metadata))[1].code == "SCOPE_MISSING"
        hub.directory.suspend_caller(GATE)
        assert (await refusal(hub, metadata=metadata))[1].code == "CALLER_SUSPENDED"
        assert adapter.got.qsize() == 1


async def test_an_unknown_region_is_not_found() -> None:
    async with hub_with_adapter() as (hub, _):
        status, failure = await refusal(hub, region="650000")
    assert (status, failure.code) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_REGION")


async def test_what_the_adapter_refuses_reaches_the_caller_with_its_hint() -> None:
    async with hub_with_adapter() as (hub, _):
        status, failure = await refusal(hub, envelope=b"refuse")
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (failure.code, failure.retry_after_seconds) == ("OVERLOADED", 0.25)


async def test_a_caller_with_too_much_in_flight_is_refused_at_once() -> None:
    limits = ExchangeLimits(max_in_flight_per_caller=0)
    async with hub_with_adapter(limits=limits) as (hub, _):
        status, failure = await refusal(hub)
    assert (status, failure.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failure.retry_after_seconds


async def test_a_call_that_runs_out_of_time_is_cancelled_at_the_adapter() -> None:
    async with hub_with_adapter() as (hub, adapter):
        adapter.hold = True
        status, failure = await refusal(hub, seconds=0.3)
        assert (status, failure.code) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        asked: exchange_pb2.SealedQuestion = await adapter.got.get()
        assert await adapter.got_cancel.get() == asked.id
        assert hub.routes.link("330100").in_flight == 0


async def test_a_call_withdrawn_by_its_caller_is_cancelled_at_the_adapter() -> None:
    async with hub_with_adapter() as (hub, adapter):
        adapter.hold = True
        call = asyncio.create_task(ask(hub))
        asked = await adapter.got.get()
        call.cancel()
        assert await adapter.got_cancel.get() == asked.id
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_every_method_of_the_schema_is_served() -> None:
    service = exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"]
    async with hub_with_adapter() as (hub, _), hub.channel() as channel:
        for method in service.methods:
            call: Any = channel.unary_unary(f"/{service.full_name}/{method.name}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", timeout=5)
            assert caught.value.code() is not grpc.StatusCode.UNIMPLEMENTED
