"""What the exchange refuses with, the same wherever it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc

from gateway.wire.coalesce import MAX_BATCH_ITEMS
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from hutong.v1 import exchange_service_pb2

RETRY_SECONDS: Final = 0.5
"""Hint with OVERLOADED: a few round trips to a city platform."""


def draining() -> RpcFailure:
    """Refuse because the hub is stopping."""
    return RpcFailure("SHUTTING_DOWN", "the hub is draining", retry_after_seconds=RETRY_SECONDS)


def import_failure(error: grpc.aio.AioRpcError, unreachable: str) -> RpcFailure:
    """What an adapter's refusal of an import means to who asked for the conversion."""
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        # An adapter made before imports were in the schema.
        return RpcFailure("IMPORT_NOT_OFFERED", "this region takes no code of another")
    failure = failure_from_rpc_error(error)
    if failure.code == "PEER_UNREACHABLE":
        return RpcFailure(
            unreachable, "who answers cannot be reached", retry_after_seconds=RETRY_SECONDS
        )
    # The reason travels, and no word the adapter wrote.
    return RpcFailure(
        failure.code, retry_after_seconds=failure.retry_after_seconds, incident=failure.incident
    )


def broken_rule() -> RpcFailure:
    """Refuse a question that the schema refuses."""
    return RpcFailure("INVALID_REQUEST", "a field of the item breaks its rule")


def overloaded() -> RpcFailure:
    """Refuse what there is no room for."""
    return RpcFailure("OVERLOADED", "too much is in flight", retry_after_seconds=RETRY_SECONDS)


def check_size(batch: exchange_service_pb2.ExchangeServiceQueryStreamRequest) -> None:
    """Refuse a batch that is too long.

    Raises:
        RpcFailure: INVALID_REQUEST.
    """
    if max(len(batch.questions), len(batch.cancelled)) > MAX_BATCH_ITEMS:
        raise RpcFailure("INVALID_REQUEST", f"more than {MAX_BATCH_ITEMS} items in a batch")
