"""A small service over real gRPC for the tests of this room: it echoes, or fails as told.

The method names and messages are those of ``ExchangeService``; nothing here is
personal and every value is synthetic.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hutong.v1 import exchange_pb2, exchange_service_pb2, exchange_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SERVICE = "hutong.v1.ExchangeService"
STREAM = f"/{SERVICE}/QueryStream"
KEY_ID = "A" * 43


def question(item: int = 1, **changes: Any) -> exchange_pb2.SealedQuestion:
    fields: dict[str, Any] = {
        "id": item,
        "region": "330100",
        "purpose": exchange_pb2.PURPOSE_CHECKPOINT,
        "timeout_ms": 5_000,
        "key_id": KEY_ID,
        "envelope": b"sealed",
    }
    return exchange_pb2.SealedQuestion(**(fields | changes))


def query(**changes: Any) -> exchange_service_pb2.ExchangeServiceQueryRequest:
    return exchange_service_pb2.ExchangeServiceQueryRequest(question=question(**changes))


class EchoService(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Echoes envelopes; ``before`` runs first and may raise or wait."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self._before = before or (lambda: None)
        self.release = asyncio.Event()
        self.entered = asyncio.Event()
        self.release.set()

    async def Query(self, request: Any, context: Any) -> Any:
        self.entered.set()
        self._before()
        await self.release.wait()
        return exchange_service_pb2.ExchangeServiceQueryResponse(envelope=request.question.envelope)

    async def QueryStream(self, requests: AsyncIterator[Any], context: Any) -> Any:
        async for batch in requests:
            self.entered.set()
            self._before()
            await self.release.wait()
            yield exchange_service_pb2.ExchangeServiceQueryStreamResponse(
                answers=[
                    exchange_pb2.SealedAnswer(id=q.id, envelope=q.envelope) for q in batch.questions
                ]
            )
