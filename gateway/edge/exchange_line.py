"""One stream to the hub: how it is opened, when it is tried again, how it is closed.

What travels on it is the client's (:mod:`gateway.edge.client`). After a failure the next
attempt waits a little, longer each time and spread at random, so that a hub that comes
back is not met by a storm.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import grpc

from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from hutong.v1 import exchange_service_pb2
    from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    from gateway.edge.envelopes import Envelope

CONNECT_SECONDS: Final = 5.0
"""Token and stream together; a hub that needs longer is as good as down."""

PAUSE_SECONDS: Final = (0.05, 1.0)
"""First and longest pause after a failed line, doubled each time, jittered."""

SCOPE: Final = "exchange.query"
"""What ExchangeService asks of a token."""


class TokenSource(Protocol):
    """Where access tokens come from."""

    async def token(self, scope: str) -> str:
        """Return a token that is still valid for a while; raises TokenError."""

    def forget(self, scope: str) -> None:
        """Drop the token at hand: the hub does not take it."""


@dataclass(slots=True, eq=False)
class ExchangeLine:
    """One stream.

    Attributes:
        call: the stream.
        envelopes: whose answers are out on it, by id.
        is_open: whether new questions may take it.
        is_retired: closed from this side; what is out on it may still be answered.
    """

    call: grpc.aio.StreamStreamCall[
        exchange_service_pb2.ExchangeServiceQueryStreamRequest,
        exchange_service_pb2.ExchangeServiceQueryStreamResponse,
    ]
    envelopes: dict[int, Envelope] = field(default_factory=dict)
    is_open: bool = True
    is_retired: bool = False

    async def half_close(self) -> None:
        """Ask nothing more on it."""
        # A line that broke meanwhile needs no closing.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.done_writing()


async def connect(stub: ExchangeServiceStub, tokens: TokenSource) -> ExchangeLine:
    """Open a stream.

    Raises:
        RpcFailure: the hub refuses it, or does not answer in time.
        TokenError: there is no token to be had.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            token = await tokens.token(SCOPE)
            call = stub.QueryStream(metadata=(("authorization", f"Bearer {token}"),))
            await call.wait_for_connection()
    except grpc.aio.AioRpcError as error:
        raise failure_from_rpc_error(error) from None
    except TimeoutError:
        raise RpcFailure("PEER_UNREACHABLE", "the hub does not answer") from None
    return ExchangeLine(call)


class Pauses:
    """When the next attempt may be made. One event loop."""

    def __init__(self) -> None:
        self._failures_in_a_row = 0
        self._not_before = 0.0

    async def wait(self) -> None:
        """Wait until an attempt may be made."""
        await asyncio.sleep(max(0.0, self._not_before - asyncio.get_running_loop().time()))

    def failed(self) -> None:
        """Push the next attempt away, a little further each time."""
        first, longest = PAUSE_SECONDS
        pause = min(longest, first * 2**self._failures_in_a_row)
        self._failures_in_a_row = min(self._failures_in_a_row + 1, 16)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads edges, keeps no secret
        self._not_before = asyncio.get_running_loop().time() + pause * jitter

    def heard(self) -> None:
        """The hub answers: the next failure is the first."""
        self._failures_in_a_row = 0
