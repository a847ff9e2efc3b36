"""The outermost interceptor: what every call passes before and after its servicer.

On the way in: refused while the server drains or is full; a unary call needs a
deadline, and one longer than the cap is cut; a message that does not parse, is
too large or breaks its rules is refused with its reason.

On the way out: an error of ours leaves as its status; **any other exception
leaves as INTERNAL with an incident id and nothing else**. grpc.aio would send
the exception's text to the caller, and that text may quote what a traveller
presented. The log entry holds the incident id, the type and the frames.

Parsing and serialising are done here too, because grpc.aio lets the exceptions
of (de)serialisers out around every interceptor.

Methods named in ``items_validated_by_servicer`` carry batches whose items have
outcomes of their own: their messages are parsed and measured here, and the
servicer holds each item against its rules, so that one bad item never fails
its batch. Health and reflection are exempt from the deadline, from draining
and from the count of calls: probes must always get an answer.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from gateway.errors import HutongError
from gateway.wire.errors import RpcFailure, abort_with, reason_of
from gateway.wire.logging import frames_of
from gateway.wire.validation import check_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

_EXEMPT_SERVICES: Final = ("/grpc.health.v1.", "/grpc.reflection.")

_FULL_RETRY_SECONDS = 1.0
"""Hint to a caller turned away because the server is full: one reconnect later."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallLimits:
    """What the server accepts.

    Attributes:
        max_message_bytes: largest request message.
        max_unary_seconds: a longer deadline of a unary call is cut to this.
        max_concurrent_calls: further calls are refused with ``OVERLOADED``.
        items_validated_by_servicer: full names of methods whose request
            messages the servicer holds against the rules item by item.
    """

    max_message_bytes: int
    max_unary_seconds: float
    max_concurrent_calls: int
    items_validated_by_servicer: frozenset[str] = frozenset()


@dataclass(slots=True)
class CallGate:
    """Counts calls in flight and says when no more may come."""

    limit: int
    in_flight: int = 0
    draining: bool = False
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> None:
        """Count one call in.

        Raises:
            RpcFailure: ``SHUTTING_DOWN`` or ``OVERLOADED``.
        """
        if self.draining:
            raise RpcFailure(
                "SHUTTING_DOWN", "the server is draining", retry_after_seconds=_FULL_RETRY_SECONDS
            )
        if self.in_flight >= self.limit:
            raise RpcFailure(
                "OVERLOADED",
                f"more than {self.limit} calls at once",
                retry_after_seconds=_FULL_RETRY_SECONDS,
            )
        self.in_flight += 1
        self._empty.clear()

    def leave(self) -> None:
        """Count one call out."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Wait until no call is in flight."""
        if self.in_flight:
            await self._empty.wait()


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands in for a message that could not become one."""

    failure: RpcFailure


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """See the module's contract. One a server, outermost."""

    def __init__(self, limits: CallLimits, gate: CallGate) -> None:
        self._limits = limits
        self._gate = gate
        self._guarded: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler, guarded; None where there is no such method."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is not None:
            return guarded
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        # Only methods that exist get here, so the table is bounded by the schema.
        guarded = self._guarded[method] = self._guard(method, handler)
        return guarded

    def _guard(self, method: str, handler: Handler) -> Handler:
        exempt = method.startswith(_EXEMPT_SERVICES)
        parse = self._parser(handler.request_deserializer)
        guard = _Guard(method, self._limits, self._gate, exempt=exempt)
        wraps = handler.unary_unary or handler.unary_stream
        if handler.unary_unary:
            behaviour = guard.unary(handler.unary_unary, handler.response_serializer)
            return grpc.unary_unary_rpc_method_handler(behaviour, parse, None)
        if handler.stream_unary:
            behaviour = guard.streamed_in(handler.stream_unary, handler.response_serializer)
            return grpc.stream_unary_rpc_method_handler(behaviour, parse, None)
        streams_in = not wraps
        wraps = wraps or handler.stream_stream
        make = (
            grpc.stream_stream_rpc_method_handler
            if streams_in
            else grpc.unary_stream_rpc_method_handler
        )
        if inspect.isasyncgenfunction(wraps):
            serialise = handler.response_serializer
            return make(guard.generator(wraps, serialise, streams_in=streams_in), parse, None)
        # A servicer that writes through its context serialises inside its own
        # body, so the exceptions of the serialiser pass through the guard.
        behaviour = guard.writer(wraps, streams_in=streams_in)
        return make(behaviour, parse, handler.response_serializer)

    def _parser(self, parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
        limit = self._limits.max_message_bytes

        def guarded(data: bytes) -> Any:
            if len(data) > limit:
                return _Refused(RpcFailure("MESSAGE_TOO_LARGE", f"a message exceeds {limit} bytes"))
            if parse is None:
                return data
            try:
                return parse(data)
            except (DecodeError, ValueError):
                return _Refused(RpcFailure("INVALID_REQUEST", "the message does not parse"))

        return guarded


class _Guard:
    """Wraps the behaviours of one method."""

    def __init__(self, method: str, limits: CallLimits, gate: CallGate, *, exempt: bool) -> None:
        self._method = method
        self._gate = gate
        self._exempt = exempt
        self._max_seconds = limits.max_unary_seconds
        self._validates = not exempt and method not in limits.items_validated_by_servicer

    def unary(self, behaviour: Callable[..., Awaitable[Any]], serialise: Any) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            entered = False
            try:
                entered = self._enter()
                self._check(request)
                if self._exempt:
                    answer = await behaviour(request, context)
                else:
                    answer = await self._within_deadline(behaviour, request, context)
                return serialise(answer) if serialise else answer
            except Exception as error:  # noqa: BLE001  outermost: nothing may pass
                await self._refuse(context, error)
            finally:
                self._leave(entered=entered)

        return guarded

    def streamed_in(self, behaviour: Callable[..., Awaitable[Any]], serialise: Any) -> Any:
        async def guarded(requests: AsyncIterator[Any], context: Context) -> Any:
            entered = False
            try:
                entered = self._enter()
                answer = await behaviour(self._checked(requests), context)
                return serialise(answer) if serialise else answer
            except Exception as error:  # noqa: BLE001  outermost: nothing may pass
                await self._refuse(context, error)
            finally:
                self._leave(entered=entered)

        return guarded

    def generator(
        self, behaviour: Callable[..., AsyncGenerator[Any]], serialise: Any, *, streams_in: bool
    ) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            entered = False
            try:
                entered = self._enter()
                if streams_in:
                    request = self._checked(request)
                else:
                    self._check(request)
                # Closed here and now when the caller leaves, not when collected.
                async with aclosing(behaviour(request, context)) as answers:
                    async for answer in answers:
                        yield serialise(answer) if serialise else answer
            except Exception as error:  # noqa: BLE001  outermost: nothing may pass
                await self._refuse(context, error)
            finally:
                self._leave(entered=entered)

        return guarded

    def writer(self, behaviour: Any, *, streams_in: bool) -> Any:
        async def guarded(request: Any, context: Context) -> None:
            entered = False
            try:
                entered = self._enter()
                if streams_in:
                    request = self._checked(request)
                else:
                    self._check(request)
                await behaviour(request, context)
            except Exception as error:  # noqa: BLE001  outermost: nothing may pass
                await self._refuse(context, error)
            finally:
                self._leave(entered=entered)

        return guarded

    def _enter(self) -> bool:
        if self._exempt:
            return False
        self._gate.enter()
        return True

    def _leave(self, *, entered: bool) -> None:
        if entered:
            self._gate.leave()

    def _check(self, request: Any) -> None:
        if isinstance(request, _Refused):
            raise request.failure
        if self._validates and isinstance(request, Message):
            check_message(request)

    async def _checked(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self._check(request)
            yield request

    async def _within_deadline(
        self, behaviour: Callable[..., Awaitable[Any]], request: Any, context: Context
    ) -> Any:
        remaining: float | None = context.time_remaining()
        if remaining is None:
            raise RpcFailure("DEADLINE_MISSING", "a unary call needs a deadline")
        if remaining <= self._max_seconds:
            # grpc.aio cancels the handler when the caller's own deadline passes.
            return await behaviour(request, context)
        timeout = asyncio.timeout(self._max_seconds)
        try:
            async with timeout:
                return await behaviour(request, context)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise RpcFailure("DEADLINE_EXCEEDED", "the longest time of a call ran out") from error

    async def _refuse(self, context: Context, error: Exception) -> NoReturn:
        """End the call; every way out of a servicer but its answer leads here."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, NotImplementedError):
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not served here")
        if isinstance(error, HutongError) and reason_of(error) not in (None, "INTERNAL"):
            await abort_with(context, error)
        await abort_with(context, report_incident(error, method=self._method))


def report_incident(error: BaseException, **known: str) -> RpcFailure:
    """Log an unexpected exception and return what may be said about it.

    Args:
        error: its type and frames are logged, its text is not.
        known: further members of the entry; never personal values.
    """
    incident = secrets.token_hex(8)
    code = {"code": error.code} if isinstance(error, HutongError) else {}
    _log.error(
        "incident",
        incident=incident,
        exception_type=type(error).__qualname__,
        frames=frames_of(error.__traceback__),
        **code,
        **known,
    )
    return RpcFailure("INTERNAL", "an incident", incident=incident)
