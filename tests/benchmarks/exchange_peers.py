"""The processes of ``tests/benchmarks/exchange.py``: bare echo, in-memory adapter, hub, load.

Each is started as ``python -m tests.benchmarks.exchange_peers ROLE`` and speaks JSON
lines: it says its port when it is ready. The load process takes one command a
line and answers with one figure. No TLS on either side of a pair. Every name,
key and envelope is synthetic.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2, exchange_pb2, exchange_service_pb2

from gateway.attestation.keys import signing_key_from_jwk
from gateway.hub.access import AccessControl, GrantMinter, hub_verification_key
from gateway.hub.accounting import Accounting
from gateway.hub.adapter_link import AdapterLink
from gateway.hub.directory import AdapterRecord, CallerKind, CallerRecord
from gateway.hub.exchange_handler import exchange_handler
from gateway.hub.exchange_service import (
    EXCHANGE_SERVICE,
    ITEM_METHODS,
    ExchangeLimits,
    ExchangeService,
)
from gateway.hub.link_line import LinkSettings
from gateway.hub.routes import RouteTable
from gateway.trust import jws
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.hub_tokens import ACCESS_TOKEN_TYPE
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run
from gateway.wire.server import HutongServer, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

HUB = "urn:hutong:hub:000000"
EDGES = 1000
BATCH = 64
ENVELOPE_BYTES = 1300
"""A question for one person sealed with MLKEM768-X25519: 1 120 bytes of
encapsulated key, about 160 of plaintext, 16 of tag. The echo and the adapter
send the same bytes back, so both sides of a pair carry the same load."""

_BATCHES = 64
"""Distinct batches a stream cycles through, so that no id is reused in flight."""


def say(**members: Any) -> None:
    """Tell the parent, one JSON object a line."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def _questions(first_id: int, count: int) -> list[exchange_pb2.SealedQuestion]:
    return [
        exchange_pb2.SealedQuestion(
            id=first_id + index,
            region="330100",
            purpose=exchange_pb2.PURPOSE_CHECKPOINT,
            timeout_ms=30_000,
            key_id="A" * 43,
            envelope=bytes([index % 256]) * ENVELOPE_BYTES,
        )
        for index in range(count)
    ]


# --- bare servers


async def _serve_bare(handler: grpc.GenericRpcHandler) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 8 << 20)])
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say(port=port)
    await server.wait_for_termination()


async def _echo_stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    del context
    async for batch in requests:
        response = exchange_service_pb2.ExchangeServiceQueryStreamResponse()
        for question in batch.questions:
            response.answers.add(id=question.id, envelope=question.envelope)
        yield response


async def _echo_unary(request: Any, context: Any) -> Any:
    del context
    return exchange_service_pb2.ExchangeServiceQueryResponse(envelope=request.question.envelope)


async def echo() -> None:
    """The counterpart: what grpc.aio does when nothing but the echo is asked of it."""
    request = exchange_service_pb2.ExchangeServiceQueryRequest
    response = exchange_service_pb2.ExchangeServiceQueryResponse
    batch = exchange_service_pb2.ExchangeServiceQueryStreamRequest
    answers = exchange_service_pb2.ExchangeServiceQueryStreamResponse
    await _serve_bare(
        grpc.method_handlers_generic_handler(
            EXCHANGE_SERVICE,
            {
                "Query": grpc.unary_unary_rpc_method_handler(
                    _echo_unary, request.FromString, response.SerializeToString
                ),
                "QueryStream": grpc.stream_stream_rpc_method_handler(
                    _echo_stream, batch.FromString, answers.SerializeToString
                ),
            },
        )
    )


async def adapter() -> None:
    """An adapter that answers from memory: the envelope it got."""
    batch = adapter_service_pb2.AdapterServiceQueryStreamRequest
    answers = adapter_service_pb2.AdapterServiceQueryStreamResponse
    await _serve_bare(
        grpc.method_handlers_generic_handler(
            "hutong.v1.AdapterService",
            {
                "QueryStream": grpc.stream_stream_rpc_method_handler(
                    _echo_stream, batch.FromString, answers.SerializeToString
                )
            },
        )
    )


# --- the hub


@dataclass
class _Directory:
    """Members in memory: one adapter, a thousand gates."""

    callers: dict[str, CallerRecord]
    records: list[AdapterRecord]

    def caller(self, client_urn: str) -> CallerRecord | None:
        return self.callers.get(client_urn)

    def adapters(self) -> Sequence[AdapterRecord]:
        return self.records

    def subscribe(self, callback: Callable[[], None]) -> None:
        del callback


class _NoStore:
    async def add_usage(self, rows: Sequence[Any]) -> None:
        del rows


async def hub(adapter_port: int) -> None:
    """The hub's real server, servicer, routes, links and accounting.

    Takes one line of settings: the private token key.
    """
    key = signing_key_from_jwk(json.loads(sys.stdin.readline())["token_key"])

    def clock() -> datetime:
        return datetime.now(UTC)

    urns = [f"urn:hutong:checkpoint:440100:gate-{number}" for number in range(EDGES)]
    directory = _Directory(
        {
            urn: CallerRecord(
                urn=urn,
                kind=CallerKind.CHECKPOINT,
                region="440100",
                scopes=frozenset({"exchange.query"}),
                purposes=frozenset({"CHECKPOINT"}),
                active=True,
            )
            for urn in urns
        },
        [
            AdapterRecord(
                authority="urn:hutong:region:330100",
                prefixes=("3301",),
                endpoint=f"127.0.0.1:{adapter_port}",
                tls_ca_pem=None,
                active=True,
            )
        ],
    )
    grants = GrantMinter(HUB, key, clock=clock)
    accounting = Accounting(_NoStore())
    service = ExchangeService(
        access=AccessControl(HUB, [hub_verification_key(key, HUB)], directory, clock=clock),
        directory=directory,
        routes=RouteTable(
            directory,
            lambda record: AdapterLink(
                record.authority,
                lambda: unsafe_open_insecure_channel(record.endpoint),
                grants,
                settings=LinkSettings(),
                jitter=random.random,
            ),
        ),
        accounting=accounting,
        limits=ExchangeLimits(),
    )
    server = HutongServer(
        ServerSettings(unsafe_insecure=True), items_validated_by_servicer=ITEM_METHODS
    )
    server.add_handler(EXCHANGE_SERVICE, exchange_handler(service))
    await server.start()
    now = int(time.time())
    tokens = [
        jws.sign(
            {
                "iss": HUB,
                "aud": HUB,
                "sub": urn,
                "client_id": urn,
                "scope": "exchange.query",
                "iat": now,
                "exp": now + 3600,
                "jti": urn,
            },
            key,
            typ=ACCESS_TOKEN_TYPE,
        )
        for urn in urns
    ]
    say(port=server.port, tokens=tokens, callers=urns)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(accounting.run())
        tasks.create_task(server.run_until_signal())


# --- the load


class _Load:
    """Long-lived load generator: opens its streams once a target and keeps them."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self._channels = [
            grpc.aio.insecure_channel(
                f"127.0.0.1:{port}",
                options=[
                    ("grpc.use_local_subchannel_pool", 1),
                    ("grpc.max_receive_message_length", 8 << 20),
                ],
            )
            for _ in range(8)
        ]
        self._tokens = tokens
        self._batches = [
            exchange_service_pb2.ExchangeServiceQueryStreamRequest(
                questions=_questions(1 + number * BATCH, BATCH)
            ).SerializeToString()
            for number in range(_BATCHES)
        ]
        self._single = exchange_service_pb2.ExchangeServiceQueryStreamRequest(
            questions=_questions(1, 1)
        ).SerializeToString()
        self._unary = exchange_service_pb2.ExchangeServiceQueryRequest(
            question=_questions(1, 1)[0]
        ).SerializeToString()

    def _metadata(self, number: int) -> list[tuple[str, str]]:
        if not self._tokens:
            return []
        return [("authorization", f"Bearer {self._tokens[number % len(self._tokens)]}")]

    def _stream(self, number: int) -> Any:
        method = self._channels[number % len(self._channels)].stream_stream(
            f"/{EXCHANGE_SERVICE}/QueryStream"
        )
        return method(metadata=self._metadata(number))

    async def batches(self, seconds: float, streams: int, window: int) -> dict[str, float]:
        """``streams`` streams with ``window`` batches of 64 in flight each."""
        counts = [0] * streams
        stop_at = time.perf_counter() + seconds

        async def work(number: int) -> None:
            call = self._stream(number)
            in_flight = sent = 0
            while time.perf_counter() < stop_at or in_flight:
                while in_flight <= (window - 1) * BATCH and time.perf_counter() < stop_at:
                    await call.write(self._batches[sent % _BATCHES])
                    sent += 1
                    in_flight += BATCH
                got = _count(await call.read())
                in_flight -= got
                counts[number] += got
            await call.done_writing()
            call.cancel()

        await asyncio.gather(*(work(number) for number in range(streams)))
        return {"items": sum(counts)}

    async def singles(self, seconds: float, edges: int) -> dict[str, float]:
        """``edges`` streams with one question each in flight, all the time."""
        counts = [0] * edges
        calls = [self._stream(number) for number in range(edges)]

        async def once(number: int) -> None:
            await calls[number].write(self._single)
            counts[number] += _count(await calls[number].read())

        # Streams open and callers are introduced before the clock starts.
        await asyncio.gather(*(once(number) for number in range(edges)))
        counts = [0] * edges
        say(ready=True)
        sys.stdin.readline()
        stop_at = time.perf_counter() + seconds

        async def work(number: int) -> None:
            while time.perf_counter() < stop_at:
                await once(number)

        await asyncio.gather(*(work(number) for number in range(edges)))
        say(done=True)
        sys.stdin.readline()
        for call in calls:
            call.cancel()
        return {"items": sum(counts)}

    async def unary(self, calls: int) -> dict[str, float]:
        """Unary calls, one after the other; the median of their times."""
        method: Any = self._channels[0].unary_unary(f"/{EXCHANGE_SERVICE}/Query")
        times = []
        for _ in range(calls):
            start = time.perf_counter()
            await method(self._unary, timeout=10, metadata=self._metadata(0))
            times.append(time.perf_counter() - start)
        times.sort()
        return {"p50_seconds": times[len(times) // 2]}


def _count(message: Any) -> int:
    if not isinstance(message, bytes):
        raise TypeError("the stream ended")
    answers = exchange_service_pb2.ExchangeServiceQueryStreamResponse.FromString(message).answers
    if not answers[0].envelope:
        raise ValueError(f"refused: {answers[0]}")
    return len(answers)


async def load() -> None:
    """Take commands, one a line."""
    targets: dict[int, _Load] = {}
    say(ready=True)
    while line := sys.stdin.readline():
        command = json.loads(line)
        port = command.pop("port")
        tokens = command.pop("tokens", None)
        if tokens is not None or port not in targets:
            targets[port] = _Load(port, tokens or [])
        kind = command.pop("kind", None)
        say(**(await getattr(targets[port], kind)(**command) if kind else {}))


if __name__ == "__main__":
    configure_logging()
    role, *arguments = sys.argv[1:]
    roles: dict[str, Any] = {"echo": echo, "adapter": adapter, "hub": hub, "load": load}
    run(roles[role](*map(int, arguments)))
