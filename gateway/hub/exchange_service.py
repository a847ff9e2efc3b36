"""The hub's exchange: authenticate → authorise → route → forward → account.

``QueryStream`` is the fast path: a batch is read, each question is routed on
its own and goes into the stream of its adapter, and the answers gather for the
edge while its previous message is on the way. ``Query`` is one question through
the same links.

The hub is blind. It reads the fields that stand in clear (id, region, purpose,
time, key id, size) and copies the envelope; it does no public-key work and
writes no log entry for a question.

A stream lives longer than a token and than a membership:

* a token that has expired refuses the batch it comes with (``TOKEN_EXPIRED``
  per item), lets what is in flight finish, and ends the stream UNAUTHENTICATED;
* a caller that is suspended is stopped at once: its questions are cancelled at
  the adapters and its streams end PERMISSION_DENIED;
* a stream that a hub below opened carries callers of its own, each introduced by
  a grant (:mod:`gateway.hub.delegation`);
* a drain ends every stream with ``SHUTTING_DOWN`` after its last answer; what
  the hub had not read, the edge asks elsewhere.

``Convert`` carries one sealed import to the destination's adapter, as one unary
call beside that adapter's stream: conversions are rare and long, questions are
many and short.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import grpc
from hutong.v1 import adapter_service_pb2, exchange_pb2, exchange_service_pb2

from gateway.hub.askers import Caller, EdgeStream, UnaryAsker
from gateway.hub.delegation import MemberAdmission, grant_of
from gateway.hub.directory import CallerKind
from gateway.hub.exchange_refusals import (
    broken_rule,
    check_size,
    draining,
    import_failure,
    overloaded,
)
from gateway.hub.questions import (
    MAX_ENVELOPE_BYTES,
    MAX_TIMEOUT_MS,
    Headings,
    QuestionRun,
    sort_questions,
)
from gateway.wire.coalesce import MAX_BATCH_ITEMS
from gateway.wire.errors import RpcFailure, failure_from_item
from gateway.wire.fragments import join_runs
from gateway.wire.hub_tokens import EXCHANGE_SCOPE
from gateway.wire.validation import check_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from hutong.v1.exchange_pb2 import SealedQuestion

    from gateway.hub.access import Access, AccessControl
    from gateway.hub.accounting import Accounting
    from gateway.hub.adapter_link import AdapterLink
    from gateway.hub.delegation import Admission, HubCallers
    from gateway.hub.directory import CallerRecord, MemberDirectory
    from gateway.hub.routes import RouteTable

    Context = grpc.aio.ServicerContext[Any, Any]

EXCHANGE_SERVICE: Final = "hutong.v1.ExchangeService"
"""Full name, for health and registration."""

QUERY_STREAM_METHOD: Final = f"/{EXCHANGE_SERVICE}/QueryStream"
"""The method that carries batches."""

ITEM_METHODS: Final = (f"/{EXCHANGE_SERVICE}/Query", QUERY_STREAM_METHOD)
"""Methods that hold their items against the schema's rules themselves: the
stream because one bad item must not fail its batch, both because the shapes seen
before need no second look; see ``gateway.wire.interceptors``."""

_PURPOSE_NAMES: Final[dict[int, str]] = {
    number: name.removeprefix("PURPOSE_") for name, number in exchange_pb2.Purpose.items() if number
}

CONVERSION_PURPOSES: Final = frozenset({"HOLDER", "PLATFORM"})
"""Who may convert: the holder, or a platform on the holder's behalf (exchange.proto)."""


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """Bounds of the exchange.

    Attributes:
        max_in_flight_per_caller: questions of one member in flight, over all
            its streams.
        max_in_flight_per_hub: the same for a hub, which speaks for many.
        max_unread_answers: answers that wait for one stream's edge to read
            them before the hub stops reading that stream.
    """

    max_in_flight_per_caller: int = 16_384
    max_in_flight_per_hub: int = 65_536
    max_unread_answers: int = 4 * MAX_BATCH_ITEMS


class ExchangeService:
    """Serves ``hutong.v1.ExchangeService``; :mod:`gateway.hub.exchange_handler` registers it.

    Args:
        access: verifies tokens and holds callers against the directory.
        directory: the members; the streams of a suspended one are stopped.
        routes: the live table.
        accounting: counts what is carried.
        limits: bounds.
        hubs: admits what hubs below ask; None: there are none.
    """

    def __init__(
        self,
        *,
        access: AccessControl,
        directory: MemberDirectory,
        routes: RouteTable[AdapterLink],
        accounting: Accounting,
        limits: ExchangeLimits,
        hubs: HubCallers | None = None,
    ) -> None:
        self._access = access
        self._hubs = hubs
        self._routes = routes
        self._accounting = accounting
        self._limits = limits
        self._streams: set[EdgeStream] = set()
        # Only members get in, so the table is bounded by the registry.
        self._callers: dict[str, Caller] = {}
        self._headings = Headings()
        self._draining = False
        directory.subscribe(self._stop_suspended)

    # --- the two calls

    async def query(
        self, request: exchange_service_pb2.ExchangeServiceQueryRequest, context: Context
    ) -> exchange_service_pb2.ExchangeServiceQueryResponse:
        """Serve ``Query``."""
        access, record = self._require(context)
        if not request.HasField("question"):
            check_message(request)
        envelope = await self.ask_once(request.question, record, access.caller, context)
        return exchange_service_pb2.ExchangeServiceQueryResponse(envelope=envelope)

    async def ask_once(
        self, question: SealedQuestion, record: CallerRecord, member: str, context: Context
    ) -> bytes:
        """Forward one question within the call's deadline.

        Args:
            question: as it came; its id and timeout are ignored.
            record: who asks.
            member: URN of the member or hub that called.
            context: of the call.

        Raises:
            RpcFailure: why there is no answer.
        """
        heading = self._headings.of(question)
        envelope = question.envelope
        if (
            heading is None
            or not 0 < len(envelope) <= MAX_ENVELOPE_BYTES
            or question.timeout_ms > MAX_TIMEOUT_MS
        ):
            check_message(exchange_service_pb2.ExchangeServiceQueryRequest(question=question))
            raise broken_rule()
        remaining_ms = max(1, min(int(context.time_remaining() * 1000), MAX_TIMEOUT_MS))
        run = QuestionRun(heading, {1: (remaining_ms, envelope)})
        asker = UnaryAsker(self._caller(member))
        try:
            if not self._ask(asker, record, run, asyncio.get_running_loop().time()):
                raise overloaded()
            answers = await asker.answer
        finally:
            asker.withdraw_all()
        batch = exchange_service_pb2.ExchangeServiceQueryStreamResponse.FromString(answers)
        answer = batch.answers[0]
        if answer.WhichOneof("result") == "error":
            raise failure_from_item(answer.error)
        return answer.envelope

    async def query_stream(
        self,
        requests: AsyncIterator[exchange_service_pb2.ExchangeServiceQueryStreamRequest],
        context: Context,
    ) -> AsyncIterator[bytes]:
        """Serve ``QueryStream``; yields serialised responses."""
        access, record = self._access.require(context, EXCHANGE_SCOPE)
        admission: Admission = MemberAdmission(self._access, access)
        if record.kind is CallerKind.HUB and self._hubs is not None:
            admission = self._hubs.admission(self._access, access)
        async for answers in self.carry(admission, requests):
            yield answers

    async def carry(
        self, admission: Admission, requests: AsyncIterator[Any]
    ) -> AsyncIterator[bytes]:
        """Carry one stream of batches, an edge's or a hub's.

        Args:
            admission: says who asks on it.
            requests: batches, each with ``questions``, ``cancelled`` and ``callers``.

        Yields:
            Serialised answers; field 1 of every stream's response.

        Raises:
            RpcFailure: what the stream ends with.
        """
        if self._draining:
            raise draining()
        caller = self._caller(admission.member)
        stream = EdgeStream(admission, caller, self._limits.max_unread_answers)
        stream.reader = asyncio.get_running_loop().create_task(self._read(stream, requests))
        self._streams.add(stream)
        answers = stream.answers
        try:
            while batch := await answers.take():
                yield join_runs(batch)
            if stream.failure is not None:
                raise stream.failure
        finally:
            self._streams.discard(stream)
            stream.withdraw_all()
            answers.abort()
            stream.reader.cancel()

    async def convert(
        self, request: exchange_service_pb2.ConvertRequest, context: Context
    ) -> exchange_service_pb2.ConvertResponse:
        """Serve ``Convert``."""
        access, record = self._require(context)
        envelope = await self.convert_once(request.sealed, record, access.caller, context)
        return exchange_service_pb2.ConvertResponse(envelope=envelope)

    async def convert_once(
        self, sealed: SealedQuestion, record: CallerRecord, member: str, context: Context
    ) -> bytes:
        """Forward one sealed import; arguments and errors as :meth:`ask_once`."""
        purpose = _PURPOSE_NAMES[sealed.purpose]
        if purpose not in CONVERSION_PURPOSES or purpose not in record.purposes:
            raise RpcFailure("PURPOSE_NOT_ALLOWED", "the caller may not convert for this purpose")
        caller = self._caller(member)
        if self._room(record, caller) <= 0:
            raise overloaded()
        link = self._route(record, sealed.region)
        channel, metadata = await link.beside(record)
        tally = self._accounting.tally(record.accounted_as, sealed.region, sealed.purpose)
        tally.envelopes += 1
        tally.bytes += len(sealed.envelope)
        # Sealed alike in both requests and answered alike: one message serves both.
        ask = channel.unary_unary(
            link.import_method,
            request_serializer=adapter_service_pb2.ImportRequest.SerializeToString,
            response_deserializer=adapter_service_pb2.ImportResponse.FromString,
        )
        caller.in_flight += 1
        try:
            response = await ask(
                adapter_service_pb2.ImportRequest(sealed=sealed),
                timeout=context.time_remaining(),
                metadata=metadata,
            )
        except grpc.aio.AioRpcError as error:
            raise import_failure(error, link.unreachable) from None
        finally:
            caller.in_flight -= 1
        tally.bytes += len(response.envelope)
        return response.envelope

    # --- life of the service

    def drain(self) -> None:
        """End every stream after its last answer; see ``HutongServer.on_drain``."""
        self._draining = True
        for stream in list(self._streams):
            stream.end(draining())

    @property
    def open_streams(self) -> int:
        """Streams being served, for the metrics."""
        return len(self._streams)

    def _stop_suspended(self) -> None:
        for stream in list(self._streams):
            try:
                stream.admission.check()
            except RpcFailure as failure:
                stream.stop(failure)

    # --- questions

    async def _read(
        self,
        stream: EdgeStream,
        requests: AsyncIterator[Any],
    ) -> None:
        try:
            async for batch in requests:
                check_size(batch)
                try:
                    groups = stream.admission.admit(batch)
                except RpcFailure as failure:
                    stream.refuse([question.id for question in batch.questions], failure)
                    stream.end(failure)
                    return
                for record, questions in groups:
                    if isinstance(record, RpcFailure):
                        stream.refuse([question.id for question in questions], record)
                    else:
                        self._take_batch(stream, questions, record)
                if batch.cancelled:
                    stream.withdraw(batch.cancelled)
                await stream.answers.wait_room()
        except Exception as error:  # noqa: BLE001  raised again where the stream ends
            stream.end(error)
            return
        stream.end()

    def _take_batch(
        self, stream: EdgeStream, questions: Iterable[SealedQuestion], record: CallerRecord
    ) -> None:
        """Send a batch on; each question that cannot go is refused on its own."""
        now = asyncio.get_running_loop().time()
        batch = sort_questions(questions, self._headings, stream.in_flight)
        if batch.broken:
            stream.refuse(batch.broken, broken_rule())
        if batch.doubled:
            stream.refuse(batch.doubled, RpcFailure("DUPLICATE_ID", "this id is in flight"))
        for run in batch.runs:
            try:
                taken = self._ask(stream, record, run, now)
            except RpcFailure as failure:
                stream.refuse(list(run.items), failure)
                continue
            if taken < len(run.items):
                stream.refuse(list(islice(run.items, taken, None)), overloaded())

    def _ask(
        self, asker: EdgeStream | UnaryAsker, record: CallerRecord, run: QuestionRun, now: float
    ) -> int:
        """Authorise, route and forward questions of one heading; return how many found room.

        Raises:
            RpcFailure: the reason, the same for each of them.
        """
        heading, caller = run.heading, asker.caller
        if _PURPOSE_NAMES[heading.purpose] not in record.purposes:
            raise RpcFailure("PURPOSE_NOT_ALLOWED", "the caller may not ask for this purpose")
        link = self._route(record, heading.region)
        taken = link.ask(
            asker,
            run,
            room=self._room(record, caller),
            handle=link.introduce(record),
            now=now,
            tally=self._accounting.tally(record.accounted_as, heading.region, heading.purpose),
        )
        caller.in_flight += taken
        return taken

    def _route(self, record: CallerRecord, region: str) -> AdapterLink:
        link = self._routes.link(region, record.via)
        if link.authority in record.via:
            raise RpcFailure("ROUTE_LOOP", "the question would pass a hub twice")
        return link

    def _room(self, record: CallerRecord, caller: Caller) -> int:
        limits = self._limits
        limit = limits.max_in_flight_per_hub if record.via else limits.max_in_flight_per_caller
        return limit - caller.in_flight

    def _require(self, context: Context) -> tuple[Access, CallerRecord]:
        """Say who asks in a unary call: the member, or the caller its grant names."""
        access, record = self._access.require(context, EXCHANGE_SCOPE)
        if record.kind is CallerKind.HUB and self._hubs is not None:
            record = self._hubs.read(access.caller, grant_of(context))
        return access, record

    def _caller(self, urn: str) -> Caller:
        caller = self._callers.get(urn)
        if caller is None:
            caller = self._callers[urn] = Caller()
        return caller
