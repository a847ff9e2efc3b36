"""A hub with its adapters and edges on loopback, for the tests of the exchange.

Everything speaks real gRPC; the adapters answer from memory and do as told. All
people, regions' keys and envelopes are synthetic.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hutong.v1 import (
    adapter_service_pb2,
    adapter_service_pb2_grpc,
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
)

from gateway.attestation.keys import SigningKey, generate_signing_key
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
from gateway.wire.errors import RpcFailure, item_error
from gateway.wire.hub_tokens import ACCESS_TOKEN_TYPE, GRANT_METADATA_KEY
from gateway.wire.server import HutongServer, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import grpc

HUB = "urn:hutong:hub:000000"
GATE = "urn:hutong:checkpoint:440100:north-gate"
OTHER_GATE = "urn:hutong:checkpoint:440100:south-gate"
HANGZHOU = "urn:hutong:region:330100"
ZHEJIANG = "urn:hutong:region:330000"
KEY_ID = "A" * 43
START = datetime(2020, 4, 1, 8, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Directory:
    """Members in memory."""

    def __init__(self) -> None:
        self.callers: dict[str, CallerRecord] = {}
        self.authorities: dict[str, AdapterRecord] = {}
        self._callbacks: list[Callable[[], None]] = []

    def caller(self, client_urn: str) -> CallerRecord | None:
        return self.callers.get(client_urn)

    def adapters(self) -> Sequence[AdapterRecord]:
        return list(self.authorities.values())

    def subscribe(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def changed(self) -> None:
        for callback in self._callbacks:
            callback()

    def suspend_caller(self, urn: str) -> None:
        self.callers[urn] = replace(self.callers[urn], active=False)
        self.changed()

    def set_adapter(self, record: AdapterRecord) -> None:
        self.authorities[record.authority] = record
        self.changed()


class Usage:
    """Keeps what accounting hands over."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    async def add_usage(self, rows: Sequence[Any]) -> None:
        self.rows += rows


def gate(urn: str = GATE, **changes: Any) -> CallerRecord:
    record = CallerRecord(
        urn=urn,
        kind=CallerKind.CHECKPOINT,
        region="440100",
        scopes=frozenset({"exchange.query"}),
        purposes=frozenset({"CHECKPOINT"}),
        active=True,
    )
    return replace(record, **changes)


class MemoryAdapter(adapter_service_pb2_grpc.AdapterServiceServicer):
    """An adapter that answers from memory: the envelope, upper-cased.

    ``hold`` keeps answers back until :meth:`release`; ``answer`` may be replaced.
    """

    def __init__(self) -> None:
        self.batches: list[adapter_service_pb2.AdapterServiceQueryStreamRequest] = []
        self.cancelled: list[int] = []
        self.grants: dict[int, str] = {}
        self.streams = 0
        self.got: asyncio.Queue[exchange_pb2.SealedQuestion] = asyncio.Queue()
        self.got_cancel: asyncio.Queue[int] = asyncio.Queue()
        self.hold = False
        self.imports: list[tuple[exchange_pb2.SealedQuestion, str]] = []
        self.import_failure: RpcFailure | None = None
        self._held: list[exchange_pb2.SealedQuestion] = []
        self._more = asyncio.Event()

    def answer(self, question: exchange_pb2.SealedQuestion) -> exchange_pb2.SealedAnswer:
        if question.envelope == b"refuse":
            failure = RpcFailure("OVERLOADED", retry_after_seconds=0.25)
            return exchange_pb2.SealedAnswer(id=question.id, error=item_error(failure))
        return exchange_pb2.SealedAnswer(id=question.id, envelope=question.envelope.upper())

    def release(self) -> None:
        self.hold = False
        self._more.set()

    async def QueryStream(self, requests: AsyncIterator[Any], context: Any) -> Any:
        self.streams += 1
        reader = asyncio.create_task(self._read(requests))
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                if not self.hold and self._held:
                    held, self._held = self._held, []
                    yield adapter_service_pb2.AdapterServiceQueryStreamResponse(
                        answers=[self.answer(question) for question in held]
                    )
                if reader.done() and not self._held:
                    return
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for batch in requests:
                self.batches.append(batch)
                for caller in batch.callers:
                    self.grants[caller.handle] = caller.grant
                for item in batch.cancelled:
                    self.cancelled.append(item)
                    self.got_cancel.put_nowait(item)
                for question in batch.questions:
                    self._held.append(question)
                    self.got.put_nowait(question)
                self._more.set()
        finally:
            self._more.set()

    async def Import(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        self.imports.append((request.sealed, metadata[GRANT_METADATA_KEY]))
        if self.import_failure is not None:
            raise self.import_failure
        return adapter_service_pb2.ImportResponse(envelope=request.sealed.envelope.upper())

    async def Query(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def Describe(self, request: Any, context: Any) -> Any:
        raise NotImplementedError


async def serve_adapter(adapter: object, *, port: int = 0) -> HutongServer:
    server = HutongServer(
        ServerSettings(port=port, unsafe_insecure=True, drain_seconds=0.2),
        items_validated_by_servicer=("/hutong.v1.AdapterService/QueryStream",),
    )
    server.add(
        "hutong.v1.AdapterService",
        adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server,
        adapter,
    )
    await server.start()
    return server


@dataclass
class Hub:
    """A hub's exchange and what the test may turn."""

    clock: Clock
    directory: Directory
    usage: Usage
    key: SigningKey
    accounting: Accounting
    routes: RouteTable[AdapterLink]
    service: ExchangeService
    server: HutongServer
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def token(self, urn: str = GATE, **changes: Any) -> str:
        now = int(self.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": HUB,
            "aud": HUB,
            "sub": urn,
            "client_id": urn,
            "scope": "exchange.query",
            "iat": now,
            "exp": now + 600,
            "jti": "synthetic",
        }
        claims |= changes
        return jws.sign(
            {key: value for key, value in claims.items() if value is not None},
            self.key,
            typ=ACCESS_TOKEN_TYPE,
        )

    def metadata(self, **changes: Any) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token(**changes)}"),)

    def channel(self) -> grpc.aio.Channel:
        return unsafe_open_insecure_channel(f"127.0.0.1:{self.server.port}")

    def add_adapter(
        self, server: HutongServer, authority: str = HANGZHOU, prefixes: tuple[str, ...] = ("3301",)
    ) -> None:
        self.directory.set_adapter(
            AdapterRecord(
                authority=authority,
                prefixes=prefixes,
                endpoint=f"127.0.0.1:{server.port}",
                tls_ca_pem=None,
                active=True,
            )
        )


@asynccontextmanager
async def running_hub(
    *,
    limits: ExchangeLimits | None = None,
    link: LinkSettings | None = None,
    server: ServerSettings | None = None,
) -> AsyncIterator[Hub]:
    clock, directory, usage = Clock(), Directory(), Usage()
    directory.callers[GATE] = gate()
    directory.callers[OTHER_GATE] = gate(OTHER_GATE)
    key = generate_signing_key()
    grants = GrantMinter(HUB, key, clock=clock)
    link_settings = link or LinkSettings(first_pause_seconds=0.05, longest_pause_seconds=0.2)

    def make_link(record: AdapterRecord) -> AdapterLink:
        return AdapterLink(
            record.authority,
            lambda: unsafe_open_insecure_channel(record.endpoint),
            grants,
            settings=link_settings,
            jitter=lambda: 0.5,
        )

    routes = RouteTable(directory, make_link)
    accounting = Accounting(usage)
    service = ExchangeService(
        access=AccessControl(HUB, [hub_verification_key(key, HUB)], directory, clock=clock),
        directory=directory,
        routes=routes,
        accounting=accounting,
        limits=limits or ExchangeLimits(),
    )
    hub_server = HutongServer(
        server or ServerSettings(unsafe_insecure=True, drain_seconds=2.0),
        items_validated_by_servicer=ITEM_METHODS,
    )
    hub_server.add_handler(EXCHANGE_SERVICE, exchange_handler(service))
    hub_server.on_drain(service.drain)
    await hub_server.start()
    hub = Hub(clock, directory, usage, key, accounting, routes, service, hub_server)
    try:
        yield hub
    finally:
        await hub_server.stop()
        await routes.close()


@asynccontextmanager
async def hub_with_adapter(adapter: Any = None, **settings: Any) -> AsyncIterator[tuple[Hub, Any]]:
    adapter = adapter or MemoryAdapter()
    adapter_server = await serve_adapter(adapter)
    try:
        async with running_hub(**settings) as hub:
            hub.add_adapter(adapter_server)
            yield hub, adapter
    finally:
        await adapter_server.stop()


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


def batch(
    *questions: exchange_pb2.SealedQuestion, cancelled: Sequence[int] = ()
) -> exchange_service_pb2.ExchangeServiceQueryStreamRequest:
    return exchange_service_pb2.ExchangeServiceQueryStreamRequest(
        questions=questions, cancelled=cancelled
    )


class Edge:
    """One open stream of an edge."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Any) -> None:
        stub = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        self.call: Any = stub.QueryStream(metadata=metadata)
        self._ready: list[exchange_pb2.SealedAnswer] = []

    async def send(
        self, *questions: exchange_pb2.SealedQuestion, cancelled: Sequence[int] = ()
    ) -> None:
        await self.call.write(batch(*questions, cancelled=cancelled))

    async def answer(self) -> exchange_pb2.SealedAnswer:
        while not self._ready:
            message = await self.call.read()
            if not hasattr(message, "answers"):
                raise EOFError
            self._ready += message.answers
        return self._ready.pop(0)

    async def answers(self, count: int) -> dict[int, exchange_pb2.SealedAnswer]:
        found = [await self.answer() for _ in range(count)]
        return {answer.id: answer for answer in found}


@asynccontextmanager
async def edge_of(hub: Hub, **token: Any) -> AsyncIterator[Edge]:
    async with hub.channel() as channel:
        edge = Edge(channel, hub.metadata(**token))
        try:
            yield edge
        finally:
            edge.call.cancel()


def reason_of_item(answer: exchange_pb2.SealedAnswer) -> str:
    from gateway.wire.errors import failure_from_item

    assert answer.WhichOneof("result") == "error"
    return failure_from_item(answer.error).code
