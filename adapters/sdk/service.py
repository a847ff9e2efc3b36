"""AdapterService over gRPC: Describe, Query, Import, QueryStream, WatchChanges, CountLive.

On a stream every item is answered on its own, in any order, under its id: sealed
bytes, or the reason of its refusal. What is ready while a batch of answers is on
its way leaves as the next batch (:mod:`gateway.wire.coalesce`). Items in flight
are bounded over all streams; what is beyond is refused at once with OVERLOADED.
The stream ends with OK once the hub has half-closed and the last answer has left;
when the server drains, reading stops, what is in flight is answered, and the
stream ends the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc, exchange_pb2

from adapters.sdk.errors import QuestionError
from adapters.sdk.issued import FEWEST_COUNTED
from adapters.sdk.reports import Deadline
from adapters.sdk.rules import read_rule
from adapters.sdk.status_board import StatusBoard
from gateway.codes.scheme_model import SchemeError
from gateway.trust.errors import DistrustError
from gateway.wire.coalesce import BatchWriter, CoalescerClosedError
from gateway.wire.errors import RpcFailure, item_error
from gateway.wire.hub_tokens import GRANT_METADATA_KEY
from gateway.wire.interceptors import report_incident
from gateway.wire.validation import is_valid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
    from datetime import datetime

    import grpc

    from adapters.sdk.grants import CallerContext, GrantVerifier
    from adapters.sdk.importing import ImportPipeline
    from adapters.sdk.issued import IssuedLedger
    from adapters.sdk.pipeline import AnswerPipeline
    from gateway.codes.scheme_model import Scheme

SERVICE: Final = "hutong.v1.AdapterService"
STREAM_METHOD: Final = f"/{SERVICE}/QueryStream"
"""Its items are held against their rules here, one by one."""

MAX_IN_FLIGHT: Final = 4096
"""Envelopes being answered: at 64 KiB each a quarter of a gigabyte at worst."""

MAX_CALLERS: Final = 16_384
"""Grants introduced on one stream; a hub has fewer callers connected at once."""

_RETRY_SECONDS: Final = 0.5
"""Hint to a hub whose items were too many: most envelopes are answered within it."""


class AdapterServicer(adapter_service_pb2_grpc.AdapterServiceServicer):
    """Serves one authority.

    Args:
        authority: URN.
        prefixes: divisions it answers for.
        scheme: the city's scheme.
        sealing_key_ids: the preferred one first; read at every call.
        pipeline: answers envelopes.
        grants: verifies who asks.
        clock: now, aware, UTC.
        imports: converts codes of other regions; None: this platform takes none.
        max_in_flight: envelopes being answered at once, over all calls.
        ledger: the status lists; None: nothing is revoked.
    """

    def __init__(
        self,
        *,
        authority: str,
        prefixes: Sequence[str],
        scheme: Scheme,
        sealing_key_ids: Collection[str],
        pipeline: AnswerPipeline,
        grants: GrantVerifier,
        clock: Callable[[], datetime],
        imports: ImportPipeline | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        ledger: IssuedLedger | None = None,
    ) -> None:
        self._authority = authority
        self._prefixes = tuple(prefixes)
        self._scheme = scheme
        self._sealing_key_ids = sealing_key_ids
        self._pipeline = pipeline
        self._imports = imports
        self._grants = grants
        self._clock = clock
        self._room = _Room(max_in_flight)
        self._ledger = ledger
        # Whoever watches an adapter without lists hears that it lives, and no more.
        self._board = StatusBoard(clock) if ledger is None else ledger.board
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Stop reading from streams; they end when what is in flight is answered."""
        self._draining.set()

    async def Describe(  # noqa: N802 - the schema's name
        self,
        request: adapter_service_pb2.DescribeRequest,  # noqa: ARG002 - it is empty
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - open to any hub
    ) -> adapter_service_pb2.DescribeResponse:
        """Say what this adapter is."""
        now = self._clock()
        try:
            schemes = [self._scheme.version_at(now).id]
        except SchemeError:
            schemes = []
        response = adapter_service_pb2.DescribeResponse(
            authority=self._authority,
            prefixes=self._prefixes,
            schemes=schemes,
            sealing_key_ids=self._sealing_key_ids,
            software_version=_software_version(),
            imports=self._imports is not None and self._imports.is_offered(),
            watches=self._ledger is not None,
        )
        response.now.FromDatetime(now)
        return response

    async def Query(  # noqa: N802 - the schema's name
        self,
        request: adapter_service_pb2.AdapterServiceQueryRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> adapter_service_pb2.AdapterServiceQueryResponse:
        """Answer one envelope within the call's deadline."""
        caller = self._grants.verify(_grant_of(context))
        with self._room.taken():
            envelope = await self._pipeline.answer(
                request.question, caller, Deadline.after(context.time_remaining())
            )
        return adapter_service_pb2.AdapterServiceQueryResponse(envelope=envelope)

    async def Import(  # noqa: N802 - the schema's name
        self,
        request: adapter_service_pb2.ImportRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> adapter_service_pb2.ImportResponse:
        """Turn attestations of other regions into local codes, within the call's deadline."""
        caller = self._grants.verify(_grant_of(context))
        if self._imports is None:
            raise RpcFailure("IMPORT_NOT_OFFERED", "this platform takes no code of another region")
        with self._room.taken():
            envelope = await self._imports.convert(
                request.sealed, caller, Deadline.after(context.time_remaining())
            )
        return adapter_service_pb2.ImportResponse(envelope=envelope)

    # As of QueryStream: a coroutine that writes through its context.
    async def WatchChanges(  # type: ignore[override]  # noqa: N802 - the schema's name
        self,
        request: adapter_service_pb2.WatchChangesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Push what is revoked, from what holds now on, until the caller goes or we stop."""
        if self._ledger is not None:
            # A hub that watches has admitted us: a list is open, and with every checkpoint,
            # before the first attestation names it.
            await self._ledger.prepare(1)
        frames = self._board.watch(request.heartbeat_seconds, self._draining)
        async with contextlib.aclosing(frames):
            async for frame in frames:
                await context.write(frame)

    async def CountLive(  # noqa: N802 - the schema's name
        self,
        request: adapter_service_pb2.CountLiveRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - open to any hub
    ) -> adapter_service_pb2.CountLiveResponse:
        """Count what a rule would touch."""
        rule = read_rule(request.rule)
        if rule.issuer != self._authority:
            raise DistrustError("the rule is about another issuer")
        counted = FEWEST_COUNTED
        if self._ledger is not None:
            counted = await self._ledger.count_live(rule)
        return adapter_service_pb2.CountLiveResponse(attestations=counted)

    # grpc.aio takes a coroutine that writes through its context; the stub types only
    # the generator form.
    async def QueryStream(  # type: ignore[override]  # noqa: N802 - the schema's name
        self,
        request_iterator: AsyncIterator[adapter_service_pb2.AdapterServiceQueryStreamRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Answer envelopes as they come, until the hub half-closes."""
        stream = _Stream(self._pipeline, self._grants, self._room)
        async with (
            BatchWriter[exchange_pb2.SealedAnswer](
                lambda batch: context.write(
                    adapter_service_pb2.AdapterServiceQueryStreamResponse(answers=batch)
                ),
                size=exchange_pb2.SealedAnswer.ByteSize,
            ) as writer,
            stream.open(writer),
        ):
            async for request in _until(request_iterator, self._draining):
                stream.take(request)


class _Room:
    """Counts what is in flight."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def enter(self) -> None:
        if self._left <= 0:
            raise RpcFailure(
                "OVERLOADED", "too much is in flight", retry_after_seconds=_RETRY_SECONDS
            )
        self._left -= 1

    def leave(self) -> None:
        self._left += 1

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        self.enter()
        try:
            yield
        finally:
            self.leave()


class _Stream:
    """One hub's stream: its callers and its items in flight."""

    def __init__(self, pipeline: AnswerPipeline, grants: GrantVerifier, room: _Room) -> None:
        self._pipeline = pipeline
        self._grants = grants
        self._room = room
        self._callers: dict[int, CallerContext | str] = {}
        self._tasks: dict[int, asyncio.Task[exchange_pb2.SealedAnswer]] = {}
        self._writer: BatchWriter[exchange_pb2.SealedAnswer] | None = None

    @contextlib.asynccontextmanager
    async def open(self, writer: BatchWriter[exchange_pb2.SealedAnswer]) -> AsyncIterator[None]:
        """Answer everything taken before leaving; cancel it all when the stream breaks."""
        self._writer = writer
        try:
            yield
            while self._tasks:
                await asyncio.wait(self._tasks.values())
        finally:
            left = list(self._tasks.values())
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def take(self, request: adapter_service_pb2.AdapterServiceQueryStreamRequest) -> None:
        """Take one batch: callers first, then questions, then what is cancelled."""
        for grant in request.callers:
            self._introduce(grant)
        for question in request.questions:
            try:
                caller = self._admit(question)
                self._room.enter()
            except (QuestionError, RpcFailure) as error:
                self._send(exchange_pb2.SealedAnswer(id=question.id, error=item_error(error)))
                continue
            deadline = Deadline.after(question.timeout_ms / 1000)
            task = asyncio.create_task(self._answer(question, caller, deadline))
            self._tasks[question.id] = task
            # A task that is cancelled before its first step never runs its body.
            task.add_done_callback(functools.partial(self._settle, question.id))
        for cancelled in request.cancelled:
            item = self._tasks.get(cancelled)
            if item is not None:
                item.cancel()

    def _introduce(self, grant: exchange_pb2.CallerGrant) -> None:
        if grant.handle not in self._callers and len(self._callers) >= MAX_CALLERS:
            # The oldest introduction goes; a hub that still uses it introduces it again.
            del self._callers[next(iter(self._callers))]
        try:
            self._callers[grant.handle] = self._grants.verify(grant.grant)
        except QuestionError as error:
            self._callers[grant.handle] = error.code

    def _admit(self, question: exchange_pb2.SealedQuestion) -> CallerContext:
        if question.id in self._tasks:
            raise RpcFailure("DUPLICATE_ID", "the id is in flight on this stream")
        if not is_valid(question) or not question.timeout_ms:
            raise RpcFailure("INVALID_REQUEST", "a field breaks its rule")
        caller = self._callers.get(question.caller)
        if caller is None:
            raise RpcFailure("TOKEN_MISSING", "no caller was introduced under this handle")
        if isinstance(caller, str):
            raise QuestionError("the grant does not hold", code=caller)
        self._grants.check_expiry(caller)
        return caller

    async def _answer(
        self, question: exchange_pb2.SealedQuestion, caller: CallerContext, deadline: Deadline
    ) -> exchange_pb2.SealedAnswer:
        try:
            envelope = await self._pipeline.answer(question, caller, deadline)
        except QuestionError as error:
            return exchange_pb2.SealedAnswer(id=question.id, error=item_error(error))
        except Exception as error:  # noqa: BLE001 - a defect costs its own item only
            failure = report_incident(error, step="stream")
            return exchange_pb2.SealedAnswer(id=question.id, error=item_error(failure))
        return exchange_pb2.SealedAnswer(id=question.id, envelope=envelope)

    def _settle(self, item: int, task: asyncio.Task[exchange_pb2.SealedAnswer]) -> None:
        self._room.leave()
        del self._tasks[item]
        if task.cancelled():
            withdrawn = RpcFailure("CANCELLED", "the hub withdrew it")
            self._send(exchange_pb2.SealedAnswer(id=item, error=item_error(withdrawn)))
        else:
            self._send(task.result())

    def _send(self, answer: exchange_pb2.SealedAnswer) -> None:
        # Bounded by what is in flight, so it need not wait for room.
        if self._writer is not None:
            with contextlib.suppress(CoalescerClosedError):  # the hub is gone
                self._writer.push([answer])


async def _until(
    requests: AsyncIterator[adapter_service_pb2.AdapterServiceQueryStreamRequest],
    draining: asyncio.Event,
) -> AsyncIterator[adapter_service_pb2.AdapterServiceQueryStreamRequest]:
    """Yield requests until they end or the server drains, whichever is first."""
    drained = asyncio.create_task(draining.wait())
    try:
        while True:
            coming = asyncio.ensure_future(anext(requests, None))
            await asyncio.wait({coming, drained}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                return
            request = coming.result()
            if request is None:
                return
            yield request
    finally:
        drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)


def _grant_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    found = [
        value for key, value in context.invocation_metadata() or () if key == GRANT_METADATA_KEY
    ]
    if len(found) != 1 or not isinstance(found[0], str):
        raise QuestionError("one grant is needed", code="TOKEN_MISSING")
    return found[0]


def _software_version() -> str:
    try:
        return f"hutong-adapter/{version('hutong')}"
    except PackageNotFoundError:
        return "hutong-adapter"
