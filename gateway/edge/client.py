"""The fast path: many concurrent questions, few envelopes, one stream.

``ask()`` is called once a traveller, by as many tasks as there are travellers.
What is asked while a batch is being sealed or written leaves as the next batch:
questions to one region for one purpose become one envelope, sealed once; all
envelopes of a batch travel in one stream message. Nothing waits when the line is
idle, and there is no timer (``gateway.wire.coalesce``).

Promises, each tested:

* every question has its own deadline and its own outcome;
* a question whose asker left is not sent, or is withdrawn from the hub when it
  was the last of its envelope;
* at most ``max_in_flight`` questions live at once, the next is refused at once
  (OVERLOADED);
* a lost line, an expired token and a sealing key that the origin no longer holds
  are mended once per question, with a fresh nonce and within its deadline; what
  fails twice is refused;
* an answer is opened only under its own question's reply key and binding, and an
  answer nobody waits for is dropped.

The line is opened when a question needs it (:mod:`gateway.edge.exchange_lines`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import structlog
from hutong.v1 import exchange_pb2, exchange_service_pb2

from gateway.edge.envelopes import (
    MAX_TIMEOUT_SECONDS,
    QUESTIONS_PER_ENVELOPE,
    Asking,
    Envelope,
    Sealer,
    SealingKeys,
    groups,
)
from gateway.edge.exchange_line import SCOPE, ExchangeLine, TokenSource
from gateway.edge.exchange_lines import ExchangeLines
from gateway.edge.questions import Answered, Askable, question_bytes
from gateway.errors import HutongError
from gateway.wire.coalesce import Coalescer
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from types import TracebackType

    from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    from gateway.attestation.sd_jwt import Disclosure

OVERLOADED_RETRY_SECONDS: Final = 0.5
"""A hint: a full line turns over several times in this time."""

_SEALS_A_TURN: Final = 32
"""Envelopes sealed (0.1 ms each) before other tasks get a turn."""

_NEW_LINE = frozenset({"PEER_UNREACHABLE", "SHUTTING_DOWN"})
_NEW_TOKEN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"})
_NEW_TRUST = frozenset({"SEALING_KEY_UNKNOWN"})

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Withdrawn:
    """An envelope nobody waits for any more."""

    line: ExchangeLine
    id: int


class ExchangeClient:
    """Asks the hub. One event loop; use as an async context manager.

    Args:
        stub: of the hub's ExchangeService.
        caller: URN under which this checkpoint is enrolled.
        audience: URN of the region the attestations are for.
        tokens: access tokens.
        keys: gives the trust bundle of the moment.
        refresh_trust: fetches what is new in the feed, at most once at a time.
        clock: now, UTC.
        random_bytes: for nonces and reply keys.
        max_in_flight: questions that may live at once.
        questions_per_envelope: 1 to 256.
    """

    def __init__(
        self,
        stub: ExchangeServiceStub,
        *,
        caller: str,
        audience: str,
        tokens: TokenSource,
        keys: Callable[[], SealingKeys],
        refresh_trust: Callable[[], Awaitable[None]],
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        max_in_flight: int = 8192,
        questions_per_envelope: int = QUESTIONS_PER_ENVELOPE,
    ) -> None:
        self._tokens = tokens
        self._refresh_trust = refresh_trust
        self._sealer = Sealer(
            caller=caller, audience=audience, keys=keys, clock=clock, random_bytes=random_bytes
        )
        self._max_in_flight = max_in_flight
        self._per_envelope = questions_per_envelope
        self._in_flight = 0
        self._queue: Coalescer[Asking | _Withdrawn] = Coalescer(size=_size)
        self._lines = ExchangeLines(
            stub,
            tokens,
            spawn=self._spawn,
            on_answer=self._take_answer,
            on_lost=self._refused,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the writer; no line is opened before the first question."""
        self._spawn(self._write())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Refuse what still waits and close every line."""
        dropped = self._queue.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        shut = RpcFailure("SHUTTING_DOWN", "the checkpoint is closing")
        for item in dropped:
            if isinstance(item, Asking):
                item.settle(shut)

    @property
    def in_flight(self) -> int:
        """Questions that wait for their answers."""
        return self._in_flight

    async def ask(
        self,
        region: str,
        presentation: Askable,
        *,
        purpose: exchange_pb2.Purpose.ValueType,
        use: exchange_pb2.AttestationUse.ValueType,
        timeout_seconds: float,
        audience: str | None = None,
        disclosure: Disclosure | None = None,
    ) -> Answered:
        """Ask one origin about one traveller.

        Args:
            region: six digits of the origin.
            presentation: what the traveller shows.
            purpose: why this checkpoint asks.
            use: how the attestation will be used.
            timeout_seconds: until when the answer is worth anything, at most 60.
            audience: URN of the region the attestation is for; None: this checkpoint's.
            disclosure: that it be disclosed in part, and how; None: the whole code.

        Returns:
            An attestation, not verified yet, or an outcome.

        Raises:
            RpcFailure: the question was refused; ``code`` is a reason of the
                wire, OVERLOADED and DEADLINE_EXCEEDED also from here.
            TrustError: the feed knows no authority or key for the region.
        """
        if self._queue.closed:
            raise RpcFailure("SHUTTING_DOWN", "the checkpoint is closing")
        if self._in_flight >= self._max_in_flight:
            raise RpcFailure(
                "OVERLOADED",
                f"{self._max_in_flight} questions are in flight already",
                retry_after_seconds=OVERLOADED_RETRY_SECONDS,
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(timeout_seconds, MAX_TIMEOUT_SECONDS)
        asking = Asking(
            region,
            purpose,
            presentation,
            use,
            deadline,
            loop.create_future(),
            audience,
            disclosure,
        )
        self._in_flight += 1
        try:
            self._queue.push((asking,))
            async with asyncio.timeout_at(deadline):
                result = await asking.future
        except TimeoutError:
            raise RpcFailure("DEADLINE_EXCEEDED", "no answer within the time given") from None
        finally:
            self._in_flight -= 1
            self._withdraw(asking)
        if isinstance(result, RpcFailure):
            # A copy: one failure may settle many askers, and a traceback belongs to one.
            raise RpcFailure(
                result.code, str(result), retry_after_seconds=result.retry_after_seconds
            )
        if isinstance(result, HutongError):
            raise result.with_traceback(None)
        return result

    # --- writing -------------------------------------------------------------

    async def _write(self) -> None:
        while batch := await self._queue.take():
            askings = [item for item in batch if isinstance(item, Asking)]
            askings = [asking for asking in askings if not asking.future.done()]
            gone = [item for item in batch if isinstance(item, _Withdrawn)]
            try:
                await self._write_batch(askings, gone)
            except HutongError as error:
                _settle_unsent(askings, error)
            except asyncio.CancelledError:
                _settle_unsent(askings, RpcFailure("SHUTTING_DOWN", "the checkpoint is closing"))
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours costs one batch, not the gate
                _settle_unsent(askings, RpcFailure("INTERNAL", "this checkpoint failed to ask"))
                _log.exception("exchange_write_failed", error=type(error).__name__)

    async def _write_batch(self, askings: list[Asking], gone: list[_Withdrawn]) -> None:
        line = await self._lines.connected() if askings else self._lines.open_one()
        if line is None:
            return
        request = exchange_service_pb2.ExchangeServiceQueryStreamRequest(
            cancelled=[item.id for item in gone if item.line is line]
        )
        for turn, group in enumerate(groups(askings, self._per_envelope), start=1):
            self._seal_onto(request, line, group)
            if turn % _SEALS_A_TURN == 0:
                await asyncio.sleep(0)
        if request.questions or request.cancelled:
            await self._lines.send(line, request)

    def _seal_onto(
        self,
        request: exchange_service_pb2.ExchangeServiceQueryStreamRequest,
        line: ExchangeLine,
        askings: list[Asking],
    ) -> None:
        askings = [asking for asking in askings if not asking.future.done()]
        if not askings:
            return
        now_seconds = asyncio.get_running_loop().time()
        try:
            envelope, question = self._sealer.seal(askings, now_seconds=now_seconds)
        except HutongError as error:
            for asking in askings:
                asking.settle(error)
            return
        line.envelopes[envelope.id] = envelope
        for asking in askings:
            asking.envelope = envelope
        request.questions.append(question)

    def _withdraw(self, asking: Asking) -> None:
        """An asker left, with or without its answer."""
        envelope, asking.envelope = asking.envelope, None
        if envelope is None:
            return
        envelope.waiting -= 1
        if envelope.waiting:
            return
        for line in self._lines:
            if line.envelopes.pop(envelope.id, None) is not None and line.is_open:
                self._queue.push((_Withdrawn(line, envelope.id),))

    # --- answers -------------------------------------------------------------

    def _take_answer(self, line: ExchangeLine, answer: exchange_pb2.SealedAnswer) -> None:
        envelope = line.envelopes.pop(answer.id, None)
        if envelope is None:
            return
        results = envelope.open(answer)
        if isinstance(results, RpcFailure):
            self._refused(line, envelope, results)
            return
        for asking, result in zip(envelope.askings, results, strict=True):
            asking.envelope = None
            if not (isinstance(result, RpcFailure) and self._asks_again(asking, result)):
                asking.settle(result)

    def _refused(self, line: ExchangeLine, envelope: Envelope, failure: RpcFailure) -> None:
        """No answer for a whole envelope: mend what can be mended, settle the rest."""
        if failure.code in _NEW_TOKEN:
            self._tokens.forget(SCOPE)
        if failure.code in _NEW_TOKEN | _NEW_LINE:
            self._lines.retire(line)
        for asking in envelope.askings:
            asking.envelope = None
            if not self._asks_again(asking, failure):
                asking.settle(failure)

    def _asks_again(self, asking: Asking, failure: RpcFailure) -> bool:
        mendable = failure.code in _NEW_LINE | _NEW_TOKEN | _NEW_TRUST
        if not mendable or asking.is_asked_again or asking.future.done() or self._queue.closed:
            return False
        asking.is_asked_again = True
        if failure.code in _NEW_TRUST:
            self._spawn(self._ask_with_new_trust(asking, failure))
        else:
            self._queue.push((asking,))
        return True

    async def _ask_with_new_trust(self, asking: Asking, failure: RpcFailure) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh_trust())
        try:
            await asyncio.shield(self._refreshing)
        except HutongError:
            asking.settle(failure)
            return
        if not self._queue.closed:
            self._queue.push((asking,))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settle_unsent(askings: list[Asking], failure: HutongError) -> None:
    for asking in askings:
        if asking.envelope is None:
            asking.settle(failure)


def _size(item: Asking | _Withdrawn) -> int:
    return question_bytes(item.presentation) if isinstance(item, Asking) else 8
