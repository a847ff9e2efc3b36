"""The exchange of a disposable hub, with adapters behind it that the suite plays.

What a hub hands on, to whom, how long it leaves, what it takes back, and what it says
when the other end is gone.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import error_pb2, exchange_pb2, exchange_service_pb2

from conformance_tests import crypto
from conformance_tests.model import CheckFailedError, Observed, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.hub_desk import QUERY, WAIT_SECONDS
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conformance_tests.roles.hub_desk import Desk
    from conformance_tests.roles.hub_members import SuiteMember
    from conformance_tests.roles.hub_played import Asked, PlayedAdapter

SOUND = Observed(kind="answer")
_ENVELOPE_BYTES = 600
_PATIENCE_SECONDS = 8.0
"""How long the suite's questions may take where that is what is looked at."""
_ROUNDING_SECONDS = 0.5
"""gRPC rounds deadlines up on the wire."""
_Stream = exchange_service_pb2.ExchangeServiceQueryStreamRequest
_BATCH = 1024
"""As exchange_service.proto says."""
_MOST_IN_FLIGHT = 65_536
"""More than one gate ever asks at once: a hub that still takes them has no bound."""
_ERROR_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class AskPlan(Plan):
    """A checkpoint asks a region.

    Attributes:
        suspended: the checkpoint, after it was given its token.
        around: whether the province around the region answers too.
        region: ``active`` or ``suspended``.
    """

    suspended: bool = False
    around: bool = False
    region: str = "active"


@dataclass(frozen=True, slots=True)
class ConvertPlan(Plan):
    """A checkpoint converts: for a ``purpose``, where the adapter ``offered`` to."""

    purpose: str = "HOLDER"
    offered: bool = True


class Behind:
    """Plays the acts and scenarios of the exchange.

    Args:
        desk: at the hub.
        adapter: behind it.
    """

    def __init__(self, desk: Desk, adapter: PlayedAdapter) -> None:
        self._desk = desk
        self._adapter = adapter
        self.acts = {
            "ask": (AskPlan(), self._ask),
            "convert": (ConvertPlan(), self._convert),
        }
        self.scenarios = {
            "longest_prefix": self._longest_prefix,
            "handed_on": self._handed_on,
            "converted": self._converted,
            "granted": self._granted,
            "time_travels": self._time_travels,
            "stream_suspended": self._stream_suspended,
            "adapter_lost": self._adapter_lost,
            "beyond_capacity": self._beyond_capacity,
            "item_cancelled": self._item_cancelled,
            "stream_cancelled": self._stream_cancelled,
        }

    async def _region(self, division: str = "") -> SuiteMember:
        adapter = self._adapter
        here = division or self._desk.cities()[0]
        adapter.authority, adapter.watches = f"urn:hutong:region:{here}", False
        adapter.holds, adapter.deaf, adapter.offers_import = False, False, True
        return await self._desk.region(here, endpoint=adapter.endpoint, ca_pem=adapter.ca_pem)

    def _question(self, region: str, purpose: str = "CHECKPOINT", item: int = 0) -> Any:
        return exchange_pb2.SealedQuestion(
            id=item,
            region=region,
            purpose=exchange_pb2.Purpose.Value(f"PURPOSE_{purpose}"),
            timeout_ms=int(calls.CALL_SECONDS * 1000) if item else 0,
            key_id=crypto.b64(os.urandom(32)),
            envelope=os.urandom(_ENVELOPE_BYTES),
        )

    async def _query(
        self, who: SuiteMember, question: Any, seconds: float = calls.CALL_SECONDS
    ) -> bytes:
        request = exchange_service_pb2.ExchangeServiceQueryRequest(question=question)
        metadata = await self._desk.metadata(who, QUERY)
        response = await self._desk.exchange.Query(request, metadata=metadata, timeout=seconds)
        return bytes(response.envelope)

    async def _answered(self, who: SuiteMember, question: Any) -> Asked:
        """Ask, and return what the adapter saw of it.

        Raises:
            CheckFailedError: it saw nothing, or its answer did not come back.
        """
        try:
            envelope = await self._query(who, question)
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            raise CheckFailedError(f"a sound question brought {seen.code} {seen.reason}") from None
        if not self._adapter.asked or self._adapter.answers.get(question.envelope) != envelope:
            raise CheckFailedError("the envelope was not handed on as it came (HT-EXC-2)")
        return self._adapter.asked[-1]

    # -- acts ---------------------------------------------------------------------

    async def _ask(self, plan: AskPlan) -> Observed:
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        await self._desk.metadata(checkpoint, QUERY)
        if plan.around:
            await self._region(self._desk.province)
        if plan.suspended:
            await self._desk.suspend(checkpoint.urn)
        if plan.region == "suspended":
            await self._desk.suspend(region.urn)
        await self._query(checkpoint, self._question(region.division))
        return SOUND

    async def _convert(self, plan: ConvertPlan) -> Observed:
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        self._adapter.offers_import = plan.offered
        await self._convert_one(checkpoint, self._question(region.division, plan.purpose))
        return SOUND

    async def _convert_one(self, who: SuiteMember, sealed: Any) -> bytes:
        request = exchange_service_pb2.ConvertRequest(sealed=sealed)
        response = await self._desk.call(self._desk.exchange.Convert, request, who, QUERY)
        return bytes(response.envelope)

    # -- what is handed on --------------------------------------------------------

    async def _longest_prefix(self) -> Observed:
        """A city inside a province answers for itself; the province for the rest."""
        here, there = self._desk.cities()
        province, city = self._desk.province, await self._region(here)
        around = await self._region(province)
        checkpoint = await self._desk.checkpoint()
        for division, wanted in ((here, city), (there, around)):
            asked = await self._answered(checkpoint, self._question(division))
            if crypto.unsafe_claims(asked.grant).get("aud") != wanted.urn:
                raise CheckFailedError("not the longest prefix answers (HT-EXC-1)")
        return SOUND

    async def _handed_on(self) -> Observed:
        """Envelope, region, purpose and key id reach the adapter as they came."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        question = self._question(region.division, "WORKPLACE")
        asked = await self._answered(checkpoint, question)
        seen = (asked.envelope, asked.region, asked.purpose, asked.key_id)
        if seen != (question.envelope, question.region, question.purpose, question.key_id):
            raise CheckFailedError("a question changed on the way (HT-EXC-2)")
        return SOUND

    async def _converted(self) -> Observed:
        """A conversion reaches the adapter with a grant, and its answer comes back."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        sealed = self._question(region.division, "HOLDER")
        envelope = await self._convert_one(checkpoint, sealed)
        if self._adapter.answers.get(sealed.envelope) != envelope:
            raise CheckFailedError("an import was not handed on as it came (HT-EXC-14)")
        self._check_grant(self._adapter.asked[-1], region, checkpoint)
        return SOUND

    async def _granted(self) -> Observed:
        """The adapter is told who asks, by the hub, for itself alone, and no token."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        asked = await self._answered(checkpoint, self._question(region.division))
        self._check_grant(asked, region, checkpoint)
        return SOUND

    def _check_grant(self, asked: Asked, region: SuiteMember, checkpoint: SuiteMember) -> None:
        if "authorization" in asked.metadata:
            raise CheckFailedError("the caller's access token went on (HT-EXC-5)")
        try:
            claims, _ = crypto.read_signed(asked.grant, self._desk.token_keys, "hutong-grant+jwt")
        except ValueError as error:
            raise CheckFailedError(f"the grant: {error} (HT-EXC-5)") from None
        wanted = {
            "iss": self._desk.hub,
            "aud": region.urn,
            "sub": checkpoint.urn,
            "region": checkpoint.division,
        }
        for name, value in wanted.items():
            if claims.get(name) != value:
                raise CheckFailedError(f"{name} of the grant is another's (HT-EXC-5)")
        now = time.time()
        if not claims["iat"] - 60 <= now < claims["exp"]:
            raise CheckFailedError("the grant is not of now (HT-EXC-5)")

    async def _time_travels(self) -> Observed:
        """The adapter is told how long it has: no longer than the caller waits."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        await self._query(checkpoint, self._question(region.division), _PATIENCE_SECONDS)
        if not 0 < self._adapter.asked[-1].seconds <= _PATIENCE_SECONDS + _ROUNDING_SECONDS:
            raise CheckFailedError("the deadline did not travel to the adapter (HT-EXC-6)")
        return SOUND

    # -- what is taken back -------------------------------------------------------

    async def _open_stream(
        self, who: SuiteMember, question: Any
    ) -> tuple[Any, AsyncIterator[exchange_pb2.SealedAnswer]]:
        """A stream with one question on it that the adapter holds."""
        self._adapter.holds = True
        call = self._desk.exchange.QueryStream(metadata=await self._desk.metadata(who, QUERY))
        await call.write(_Stream(questions=[question]))
        envelope = question.envelope
        there = await self._adapter.until(
            lambda: any(asked.envelope == envelope for asked in self._adapter.asked), WAIT_SECONDS
        )
        if not there:
            call.cancel()
            raise VoidError("a sound question did not reach the adapter")

        async def answers() -> AsyncIterator[exchange_pb2.SealedAnswer]:
            async for response in call:
                for answer in response.answers:
                    yield answer

        return call, answers()

    async def _stream_suspended(self) -> Observed:
        """An open stream of a caller that is suspended ends at once."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        question = self._question(region.division, item=1)
        _, answers = await self._open_stream(checkpoint, question)
        await self._desk.suspend(checkpoint.urn)
        try:
            async with asyncio.timeout(calls.CALL_SECONDS / 2):
                async for answer in answers:
                    if answer.HasField("envelope"):
                        raise CheckFailedError("a suspended caller was answered (HT-EXC-4)")
        except TimeoutError:
            raise CheckFailedError("the stream of a suspended caller stays (HT-EXC-4)") from None
        except grpc.aio.AioRpcError as error:
            return calls.refusal(error)
        raise CheckFailedError("ended as if nothing had been left (HT-EXC-4)")

    async def _adapter_lost(self) -> Observed:
        """What is in flight when an adapter goes is answered, and says why."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        question = self._question(region.division, item=1)
        call, answers = await self._open_stream(checkpoint, question)
        self._adapter.drop()
        try:
            async with asyncio.timeout(calls.CALL_SECONDS / 2):
                answer = await anext(answers)
        except (TimeoutError, StopAsyncIteration):
            raise CheckFailedError("left without an answer when the adapter went") from None
        finally:
            call.cancel()
        name = error_pb2.ErrorReason.Name(answer.error.reason).removeprefix(_ERROR_PREFIX)
        if name != "ADAPTER_UNREACHABLE":
            raise CheckFailedError(f"answered {name}, not ADAPTER_UNREACHABLE (HT-EXC-10)")
        return SOUND

    async def _beyond_capacity(self) -> Observed:
        """What a hub has no room for is refused at once, and says when to come again."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        self._adapter.deaf = self._adapter.holds = True
        metadata = await self._desk.metadata(checkpoint, QUERY)
        call = self._desk.exchange.QueryStream(metadata=metadata)
        most = int(self._desk.entry("in_flight", _MOST_IN_FLIGHT))
        refused: list[error_pb2.ItemError] = []
        over = asyncio.Event()

        async def read() -> None:
            async for response in call:
                for answer in response.answers:
                    if answer.id > most or answer.HasField("error"):
                        refused.append(answer.error)
                        over.set()

        reading = asyncio.create_task(read())
        try:
            for first in range(1, most + 1, _BATCH):
                numbers = range(first, min(first + _BATCH, most + 1))
                batch = [self._question(region.division, item=number) for number in numbers]
                await call.write(_Stream(questions=batch))
                if over.is_set():
                    break
            # For nobody's region: what had no room was refused before this one.
            await call.write(_Stream(questions=[self._question("990000", item=most + 1)]))
            async with asyncio.timeout(calls.CALL_SECONDS):
                await over.wait()
        except TimeoutError:
            raise CheckFailedError("left hanging beyond capacity (HT-EXC-9)") from None
        finally:
            call.cancel()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if refused[0].reason != error_pb2.ERROR_REASON_OVERLOADED:
            raise CheckFailedError("as many questions as anybody likes are taken (HT-EXC-9)")
        if not refused[0].retry_after_ms:
            raise CheckFailedError("refused for load, nothing says for how long (HT-EXC-9)")
        return SOUND

    async def _item_cancelled(self) -> Observed:
        """A question that is taken back is taken back at the adapter too."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        question = self._question(region.division, item=1)
        call, _ = await self._open_stream(checkpoint, question)
        await call.write(_Stream(cancelled=[1]))
        return await self._taken_back(call, question, "an item")

    async def _stream_cancelled(self) -> Observed:
        """So is one whose stream ends."""
        region, checkpoint = await self._region(), await self._desk.checkpoint()
        question = self._question(region.division, item=1)
        call, _ = await self._open_stream(checkpoint, question)
        call.cancel()
        return await self._taken_back(call, question, "a stream")

    async def _taken_back(self, call: Any, question: Any, what: str) -> Observed:
        envelope = question.envelope
        told = await self._adapter.until(
            lambda: envelope in self._adapter.cancelled, calls.CALL_SECONDS / 2
        )
        call.cancel()
        if not told:
            raise CheckFailedError(f"{what} was not cancelled towards the adapter (HT-EXC-11)")
        return SOUND
