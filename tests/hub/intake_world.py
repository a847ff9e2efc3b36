"""An intake of status lists that follows one adapter, and a feed that it writes into."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import adapter_service_pb2 as pb

from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import StatusList, sign_status_list, status_uri
from gateway.hub.directory import AdapterRecord
from gateway.hub.status_intake import StatusIntake
from gateway.hub.status_publisher import StatusPublisher, held_lists
from gateway.store import Store
from gateway.trust import authority_change
from gateway.trust.jws import digest
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    START,
    RegistryWorld,
    region,
    registry_world,
    signing_key,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.trust import Silence

PATIENCE = 60
"""Seconds until a test gives up; nothing waits for them to pass."""


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - the condition belongs to other tasks
            await asyncio.sleep(0.005)


def base_list(urn: str = HANGZHOU, name: str = "a1") -> tuple[str, bytes]:
    return _base_list(urn, name)


@cache
def _base_list(urn: str, name: str) -> tuple[str, bytes]:
    uri = status_uri(urn, name)
    token = sign_status_list(
        StatusList(1, 1000),
        signing_key(f"{urn}/attest"),
        uri=uri,
        issued_at=START,
        expires_at=START + timedelta(days=1),
    )
    return uri, token.encode("ascii")


@cache
def word(number: int, *entries: int, urn: str = HANGZHOU, name: str = "a1", key: str = "") -> str:
    uri, base = base_list(urn, name)
    return sign_status_change(
        signing_key(key or f"{urn}/attest"),
        base=StatusBase(digest(base.decode("ascii")), 1000, 1),
        uri=uri,
        sequence=number,
        changes={1: entries},
        issued_at=START,
    )


def list_frame(urn: str = HANGZHOU, name: str = "a1") -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(list=pb.StatusListToken(token=base_list(urn, name)[1]))


def change_frame(token: str) -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(change=token)


class StubAdapter:
    """An adapter that pushes what a test says; every stream begins with what holds."""

    def __init__(self) -> None:
        self.watches = True
        self.source: Callable[[], AsyncIterator[pb.WatchChangesResponse]] | None = None
        self.holds: list[pb.WatchChangesResponse] = []
        self.streams: list[asyncio.Queue[pb.WatchChangesResponse | None]] = []
        self.described = 0
        self.left = 0

    def push(self, *frames: pb.WatchChangesResponse) -> None:
        for frame in frames:
            self.streams[-1].put_nowait(frame)

    async def describe(self, _request: Any, _context: Any) -> pb.DescribeResponse:
        self.described += 1
        return pb.DescribeResponse(authority=HANGZHOU, watches=self.watches)

    async def watch(self, _request: Any, _context: Any) -> AsyncIterator[pb.WatchChangesResponse]:
        if self.source is not None:
            async for frame in self.source():
                yield frame
            return
        queue: asyncio.Queue[pb.WatchChangesResponse | None] = asyncio.Queue()
        for frame in self.holds:
            queue.put_nowait(frame)
        self.streams.append(queue)
        try:
            while (next_frame := await queue.get()) is not None:
                yield next_frame
        finally:
            self.left += 1

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "hutong.v1.AdapterService",
            {
                "Describe": grpc.unary_unary_rpc_method_handler(
                    self.describe,
                    request_deserializer=pb.DescribeRequest.FromString,
                    response_serializer=pb.DescribeResponse.SerializeToString,
                ),
                "WatchChanges": grpc.unary_stream_rpc_method_handler(
                    self.watch,
                    request_deserializer=pb.WatchChangesRequest.FromString,
                    response_serializer=pb.WatchChangesResponse.SerializeToString,
                ),
            },
        )


@dataclass
class Directory:
    """One adapter, suspended at will."""

    record: AdapterRecord
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def caller(self, client_urn: str) -> None:
        return None

    def adapters(self) -> list[AdapterRecord]:
        return [self.record]

    def subscribe(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def become(self, *, active: bool) -> None:
        old = self.record
        self.record = AdapterRecord(
            old.authority, old.prefixes, old.endpoint, old.tls_ca_pem, active
        )
        for callback in self.callbacks:
            callback()


@dataclass
class Moments:
    """A clock that nobody sets; it goes on when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A feed, its store, and an intake that follows one stub."""

    registry: RegistryWorld
    adapter: StubAdapter
    directory: Directory
    publisher: StatusPublisher
    intake: StatusIntake
    moments: Moments
    following: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Follow no more, as a process that ends."""
        if self.following is not None:
            self.following.cancel()
            await asyncio.gather(self.following, return_exceptions=True)

    def pass_by(self, seconds: float) -> None:
        """Let both clocks go on, and have the intake look who is not heard."""
        self.registry.clock.advance(seconds)
        self.moments.now += seconds
        self.intake.silences.look()

    def silence(self, urn: str = HANGZHOU) -> Silence | None:
        return self.registry.feed.bundle.silence(urn)

    def number(self, name: str = "a1", urn: str = HANGZHOU) -> int | None:
        held = held_lists(self.registry.feed).get(status_uri(urn, name))
        return None if held is None else held.number


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def intake_world(dsn: str, *, endpoint: str | None = None) -> AsyncIterator[World]:
    """Yield an intake that runs.

    Args:
        dsn: of a migrated database, perhaps one that another intake wrote into.
        endpoint: of another adapter than the stub; None: the stub.
    """
    async with await Store.open(dsn) as store:
        registry = registry_world(store)
        await registry.mirror.load()
        if not registry.feed.sequence:
            async with registry.mirror.change() as change:
                records = [region(urn).body.authority() for urn in (HANGZHOU, GUANGZHOU)]
                await registry.mirror.append(change, [authority_change(one) for one in records])
            await registry.mirror.refresh()
        adapter = StubAdapter()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((adapter.handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        record = AdapterRecord(
            HANGZHOU, ("3301",), endpoint or f"127.0.0.1:{port}", None, active=True
        )
        directory = Directory(record)
        publisher = StatusPublisher(registry.feed, registry.mirror)
        moments = Moments()
        intake = StatusIntake(
            directory,
            registry.feed,
            publisher,
            store,
            store.turn(),
            open_channel=lambda each: grpc.aio.insecure_channel(each.endpoint),
            clock=registry.clock,
            jitter=lambda: 0.0,
            monotonic=moments,
        )
        world = World(registry, adapter, directory, publisher, intake, moments)
        async with running(publisher.run()):
            world.following = asyncio.create_task(intake.run())
            try:
                yield world
            finally:
                await world.stop()
        await server.stop(None)


async def connected(world: World) -> None:
    await until(lambda: world.adapter.streams)
