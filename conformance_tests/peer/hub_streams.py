"""One stream of questions at the reference hub, each item on its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import error_pb2, exchange_pb2

from conformance_tests.peer.common import RefusedError
from conformance_tests.peer.hub_book import DENIED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from conformance_tests.peer.hub_book import Book, PeerMember

_SECONDS = 10.0
_MOST_IN_FLIGHT = 64
"""Of one stream; the reference hub does not forget what was answered."""
_End = RefusedError | None


@dataclass(slots=True)
class ReferenceStream:
    """Carries the questions of one caller.

    Attributes:
        fault: the deliberate fault; empty for none.
        book: tells when the caller is stopped.
        caller: whose stream it is.
        forward: hands a question on.
    """

    fault: str
    book: Book
    caller: PeerMember
    forward: Callable[..., Awaitable[bytes]]
    _answers: asyncio.Queue[exchange_pb2.SealedAnswer | tuple[_End]] = field(
        default_factory=asyncio.Queue
    )
    _taken_back: set[int] = field(default_factory=set)
    _running: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def carry(self, requests: Any) -> AsyncIterator[exchange_pb2.SealedAnswer]:
        """Answer every question of a stream.

        Raises:
            RefusedError: what the stream ends with.
        """
        reading = asyncio.create_task(self._read(requests))
        self.book.listeners.append(self._stopped)
        try:
            while True:
                answer = await self._answers.get()
                if isinstance(answer, tuple):
                    if answer[0] is not None:
                        raise answer[0]
                    return
                yield answer
        finally:
            self.book.listeners.remove(self._stopped)
            for task in (reading, *self._running.values()):
                task.cancel()

    def _stopped(self) -> None:
        if self.caller.state == "active":
            return
        silent = self.fault == "suspended-stream-ends-silently"
        end = None if silent else RefusedError(DENIED, "CALLER_SUSPENDED")
        self._answers.put_nowait((end,))

    async def _read(self, requests: Any) -> None:
        in_flight: set[int] = set()
        async for request in requests:
            for question in request.questions:
                if question.id in in_flight and self.fault != "duplicate-accepted":
                    invalid = grpc.StatusCode.INVALID_ARGUMENT
                    self._refuse(question.id, RefusedError(invalid, "DUPLICATE_ID"))
                    continue
                full = len(self._running) >= _MOST_IN_FLIGHT
                if full and self.fault != "questions-unbounded":
                    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
                    self._refuse(
                        question.id, RefusedError(exhausted, "OVERLOADED", retry_seconds=1)
                    )
                    continue
                in_flight.add(question.id)
                self._running[question.id] = asyncio.create_task(self._item(question))
            for number in request.cancelled:
                if number in self._running and self.fault != "cancelled-item-kept":
                    self._taken_back.add(number)
                    self._running[number].cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._answers.put_nowait((None,))

    async def _item(self, question: exchange_pb2.SealedQuestion) -> None:
        seconds = question.timeout_ms / 1000 or _SECONDS
        asking = asyncio.ensure_future(self.forward(question, self.caller, seconds))
        try:
            envelope = await asyncio.shield(asking)
        except RefusedError as error:
            if self.fault != "item-dropped" or error.reason != "UNKNOWN_REGION":
                self._refuse(question.id, error)
            return
        except asyncio.CancelledError:
            if question.id in self._taken_back or self.fault != "cancelled-stream-kept":
                asking.cancel()
            # Nobody looks at what comes of it.
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        if self.fault == "envelope-altered":
            envelope = envelope[:-1] + bytes([envelope[-1] ^ 1])
        self._answers.put_nowait(exchange_pb2.SealedAnswer(id=question.id, envelope=envelope))

    def _refuse(self, number: int, error: RefusedError) -> None:
        reason = error_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
        item = error_pb2.ItemError(reason=reason, retry_after_ms=error.retry_seconds * 1000)
        self._answers.put_nowait(exchange_pb2.SealedAnswer(id=number, error=item))
