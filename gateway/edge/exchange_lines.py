"""The lines a checkpoint has open to its hub: one for questions, others that run out.

A line is opened when a question needs it and read until it ends. One on which nothing
more is to be asked is retired: what is out on it may still be answered. What a line was
carrying when it was lost is handed back, each envelope once, with the reason.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import exchange_pb2, exchange_service_pb2

from gateway.edge.exchange_line import ExchangeLine, Pauses, TokenSource, connect
from gateway.errors import HutongError
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    from gateway.edge.envelopes import Envelope

_BROKEN = frozenset({"CANCELLED", "INTERNAL"})
"""How a line that died looks when nobody said why."""
_CLOSING: Final = "the checkpoint is closing"

_Answers = exchange_service_pb2.ExchangeServiceQueryStreamResponse

_log = structlog.get_logger(__name__)


class ExchangeLines:
    """See the module. One event loop.

    Args:
        stub: of the hub's ExchangeService.
        tokens: access tokens.
        spawn: runs what reads a line, until the client closes.
        on_answer: takes an answer that came on a line.
        on_lost: takes an envelope that a line carried when it ended, with the reason.
    """

    def __init__(
        self,
        stub: ExchangeServiceStub,
        tokens: TokenSource,
        *,
        spawn: Callable[[Awaitable[None]], None],
        on_answer: Callable[[ExchangeLine, exchange_pb2.SealedAnswer], None],
        on_lost: Callable[[ExchangeLine, Envelope, RpcFailure], None],
    ) -> None:
        self._stub = stub
        self._tokens = tokens
        self._spawn = spawn
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._lines: list[ExchangeLine] = []
        self._pauses = Pauses()

    def __iter__(self) -> Iterator[ExchangeLine]:
        """Every line that has not ended."""
        return iter(self._lines)

    def open_one(self) -> ExchangeLine | None:
        """The line that questions take; None: there is none now."""
        return next((line for line in self._lines if line.is_open), None)

    async def connected(self) -> ExchangeLine:
        """The line that questions take; opened where there is none.

        Raises:
            RpcFailure: the hub refuses it, or does not answer in time.
            TokenError: there is no token to be had.
        """
        line = self.open_one()
        if line is not None:
            return line
        await self._pauses.wait()
        try:
            line = await connect(self._stub, self._tokens)
        except HutongError:
            self._pauses.failed()
            raise
        self._lines.append(line)
        self._spawn(self._read(line))
        return line

    async def send(
        self, line: ExchangeLine, request: exchange_service_pb2.ExchangeServiceQueryStreamRequest
    ) -> None:
        """Write a batch; a line that is lost hands back what was put on it."""
        try:
            await line.call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reader meets the same end and settles what was on the line, unless it
            # met it before these envelopes were put there.
            line.is_open = False
            if line not in self._lines:
                self._lose(line, RpcFailure("PEER_UNREACHABLE", "the line to the hub was lost"))

    def retire(self, line: ExchangeLine) -> None:
        """Ask nothing more on a line; what is out on it may still be answered."""
        if line.is_open:
            line.is_open, line.is_retired = False, True
            self._spawn(line.half_close())

    async def _read(self, line: ExchangeLine) -> None:
        failure = RpcFailure("PEER_UNREACHABLE", "the line to the hub was lost")
        try:
            while isinstance(response := await line.call.read(), _Answers):
                self._pauses.heard()
                for answer in response.answers:
                    self._on_answer(line, answer)
            failure = RpcFailure("SHUTTING_DOWN", "the hub closed the line")
        except grpc.aio.AioRpcError as error:
            failure = failure_from_rpc_error(error)
            if failure.code in _BROKEN:
                failure = RpcFailure("PEER_UNREACHABLE", "the line to the hub broke")
        except asyncio.CancelledError:
            failure = RpcFailure("SHUTTING_DOWN", _CLOSING)
            line.call.cancel()
            raise
        finally:
            line.is_open = False
            self._lines.remove(line)
            if not line.is_retired:
                self._pauses.failed()
            self._lose(line, failure)

    def _lose(self, line: ExchangeLine, failure: RpcFailure) -> None:
        lost = list(line.envelopes.values())
        line.envelopes.clear()
        for envelope in lost:
            self._on_lost(line, envelope, failure)
        _log.info("exchange_line_ended", reason=failure.code, lost=len(lost))
