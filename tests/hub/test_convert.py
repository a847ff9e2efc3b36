from __future__ import annotations

from typing import Any

import grpc
import pytest
from hutong.v1 import exchange_pb2, exchange_service_pb2, exchange_service_pb2_grpc

from gateway.hub.exchange_service import ExchangeLimits
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from tests.hub.exchange_world import GATE, Hub, gate, hub_with_adapter, question

pytestmark = pytest.mark.asyncio

HOLDER = exchange_pb2.PURPOSE_HOLDER


async def convert(hub: Hub, *, metadata: Any = None, seconds: float = 5.0, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"purpose": HOLDER, "timeout_ms": 0}
    async with hub.channel() as channel:
        stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        response = await stub.Convert(
            exchange_service_pb2.ConvertRequest(sealed=question(**(fields | changes))),
            timeout=seconds,
            metadata=hub.metadata() if metadata is None else metadata,
        )
        return bytes(response.envelope)


async def refusal(hub: Hub, **arguments: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await convert(hub, **arguments)
    return caught.value.code(), failure_from_rpc_error(caught.value).code


def let_convert(hub: Hub) -> None:
    hub.directory.callers[GATE] = gate(purposes=frozenset({"HOLDER", "CHECKPOINT"}))


async def test_an_import_reaches_the_destination_with_the_callers_grant_and_comes_back() -> None:
    async with hub_with_adapter() as (hub, adapter):
        let_convert(hub)
        assert await convert(hub, envelope=b"sealed import") == b"SEALED IMPORT"
        [(sealed, grant)] = adapter.imports
    assert (sealed.region, sealed.envelope) == ("330100", b"sealed import")
    assert grant.count(".") == 2


async def test_a_conversion_works_beside_questions_on_the_same_link() -> None:
    async with hub_with_adapter() as (hub, adapter), hub.channel() as channel:
        let_convert(hub)
        stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        await stub.Query(
            exchange_service_pb2.ExchangeServiceQueryRequest(question=question(timeout_ms=0)),
            timeout=5,
            metadata=hub.metadata(),
        )
        await convert(hub)
        assert (adapter.streams, len(adapter.imports)) == (1, 1)


async def test_only_a_holder_or_a_platform_converts() -> None:
    async with hub_with_adapter() as (hub, adapter):
        denied = (grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_NOT_ALLOWED")
        assert await refusal(hub) == denied
        let_convert(hub)
        assert await refusal(hub, purpose=exchange_pb2.PURPOSE_CHECKPOINT) == denied
        assert await refusal(hub, purpose=exchange_pb2.PURPOSE_PLATFORM) == denied
        assert adapter.imports == []


async def test_a_region_nobody_serves_is_unknown() -> None:
    async with hub_with_adapter() as (hub, _):
        let_convert(hub)
        found = await refusal(hub, region="530000")
    assert found == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_REGION")


async def test_a_broken_field_is_refused_before_anybody_is_asked() -> None:
    async with hub_with_adapter() as (hub, adapter):
        let_convert(hub)
        found = await refusal(hub, key_id="short")
        assert adapter.imports == []
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("IMPORT_NOT_OFFERED", grpc.StatusCode.FAILED_PRECONDITION),
        ("QUESTION_REPLAYED", grpc.StatusCode.ALREADY_EXISTS),
        ("OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_the_destination_refuses_keeps_its_reason_and_loses_its_words(
    reason: str, status: grpc.StatusCode
) -> None:
    async with hub_with_adapter() as (hub, adapter):
        let_convert(hub)
        adapter.import_failure = RpcFailure(reason, "words of the adapter")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await convert(hub)
    assert caught.value.code() is status
    assert failure_from_rpc_error(caught.value).code == reason
    assert "words of the adapter" not in (caught.value.details() or "")


async def test_an_adapter_that_is_gone_is_unreachable() -> None:
    async with hub_with_adapter() as (hub, _):
        let_convert(hub)
        record = hub.directory.authorities["urn:hutong:region:330100"]
        hub.directory.set_adapter(
            type(record)(
                authority=record.authority,
                prefixes=record.prefixes,
                endpoint="127.0.0.1:1",
                tls_ca_pem=None,
                active=True,
            )
        )
        found = await refusal(hub, seconds=10.0)
    assert found == (grpc.StatusCode.UNAVAILABLE, "ADAPTER_UNREACHABLE")


async def test_a_caller_with_too_much_in_flight_is_refused() -> None:
    async with hub_with_adapter(limits=ExchangeLimits(max_in_flight_per_caller=0)) as (hub, _):
        let_convert(hub)
        found = await refusal(hub)
    assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")


async def test_a_conversion_is_accounted_by_region_and_purpose_alone() -> None:
    async with hub_with_adapter() as (hub, _):
        let_convert(hub)
        await convert(hub, envelope=b"12345")
        await hub.accounting.flush()
    [row] = hub.usage.rows
    assert (row.region, row.envelopes, row.bytes) == ("330100", 1, 10)
