"""The hubs of ``tests/benchmarks/three_hubs.py``: one chain, each hub a process.

``python -m tests.benchmarks.three_hubs_peers ROLE`` takes one line of settings and
says when it is ready. The hubs are the real exchange, grants, links and streams,
without registry, store and TLS; adapter and edge are those of ``exchange_sealed``.
Every key and person is synthetic.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hutong.v1 import exchange_pb2, exchange_service_pb2_grpc

from adapters.sdk import AdapterParts, AdapterServer, generate_keys, load_city
from gateway.attestation import public_sealing_jwk, sealing_public_key_from_jwk
from gateway.attestation.keys import SigningKey, generate_signing_key, signing_key_from_jwk
from gateway.codes import parse_document
from gateway.edge.client import ExchangeClient
from gateway.edge.questions import AttestedAnswer
from gateway.hub.access import AccessControl, GrantMinter, hub_verification_key
from gateway.hub.accounting import Accounting
from gateway.hub.adapter_link import AdapterLink
from gateway.hub.delegation import GrantReader, HubCallers
from gateway.hub.directory import AdapterRecord, CallerKind, CallerRecord, HubRecord
from gateway.hub.exchange_handler import exchange_handler
from gateway.hub.exchange_service import (
    EXCHANGE_SERVICE,
    ITEM_METHODS,
    ExchangeLimits,
    ExchangeService,
)
from gateway.hub.hub_adapter import (
    ADAPTER_ITEM_METHODS,
    ADAPTER_SERVICE,
    HubAdapter,
    adapter_handler,
)
from gateway.hub.hubs_around import HubGrants
from gateway.hub.link_line import LinkSettings
from gateway.hub.link_service import TO_ADAPTER, TO_HUB_ABOVE, TO_HUB_BELOW
from gateway.hub.live_counts import LiveCounts
from gateway.hub.routes import RouteTable
from gateway.trust import jws
from gateway.trust.anchor import make_anchor
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.hub_tokens import ACCESS_TOKEN_TYPE
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run
from gateway.wire.server import HutongServer, ServerSettings
from tests.benchmarks.exchange_peers import say
from tests.benchmarks.exchange_sealed import (
    AUDIENCE,
    DOCUMENT,
    REGION,
    MemoryConnector,
)
from tests.benchmarks.exchange_sealed import (
    _Keys as Keys,
)
from tests.benchmarks.exchange_sealed import (
    _no_news as no_news,
)
from tests.benchmarks.exchange_sealed import (
    _Token as Token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NATION = "urn:hutong:hub:000000"
ZHEJIANG = "urn:hutong:hub:330000"
GUANGDONG = "urn:hutong:hub:440000"
HANGZHOU = "urn:hutong:region:330100"
GATE = "urn:hutong:checkpoint:440100:gate-1"


@dataclass
class _Directory:
    callers: Mapping[str, CallerRecord]
    records: Sequence[AdapterRecord]
    below: Mapping[str, HubRecord]

    def caller(self, client_urn: str) -> CallerRecord | None:
        return self.callers.get(client_urn)

    def adapters(self) -> Sequence[AdapterRecord]:
        return self.records

    def hub(self, urn: str) -> HubRecord | None:
        return self.below.get(urn)

    def subscribe(self, callback: Callable[[], None]) -> None:
        del callback


class _NoStore:
    async def add_usage(self, rows: Sequence[Any]) -> None:
        del rows


class _Upward:
    """Everything that is not answered here goes up."""

    def __init__(self, link: AdapterLink | None) -> None:
        self._link = link

    def link(self, region: str, via: Sequence[str]) -> AdapterLink | None:
        del region, via
        return self._link


def _clock() -> datetime:
    return datetime.now(UTC)


def _caller(urn: str, kind: CallerKind, purposes: Sequence[str]) -> CallerRecord:
    region = "440100" if kind is CallerKind.CHECKPOINT else urn[-6:]
    scopes = frozenset({"exchange.query"})
    return CallerRecord(urn, kind, region, scopes, frozenset(purposes), active=True)


def _token(urn: str, hub: str, key: SigningKey) -> str:
    now = int(time.time())
    return jws.sign(
        {
            "iss": hub,
            "aud": hub,
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


async def hub(urn: str, below: str, target: str) -> None:
    """Serve one hub of the chain.

    Args:
        urn: of this hub.
        below: port of who answers for Zhejiang, below this hub; ``0``: nobody.
        target: port of the hub above; ``0``: none.
    """
    keys = {
        name: signing_key_from_jwk(jwk) for name, jwk in json.loads(sys.stdin.readline()).items()
    }
    key = keys[urn]
    records = []
    if below != "0":
        authority = HANGZHOU if urn == ZHEJIANG else ZHEJIANG
        records.append(
            AdapterRecord(
                authority=authority,
                prefixes=("33",),
                endpoint=f"127.0.0.1:{below}",
                tls_ca_pem=None,
                active=True,
                is_hub=authority == ZHEJIANG,
            )
        )
    guangdong_keys = {keys[GUANGDONG].key_id: hub_verification_key(keys[GUANGDONG], GUANGDONG)}
    directory = _Directory(
        {
            GATE: _caller(GATE, CallerKind.CHECKPOINT, ["CHECKPOINT"]),
            GUANGDONG: _caller(GUANGDONG, CallerKind.HUB, []),
        },
        records,
        {GUANGDONG: HubRecord(GUANGDONG, ("44",), guangdong_keys, active=True)},
    )
    grants = GrantMinter(urn, key, clock=_clock)

    def link(authority: str, port: str, **changes: Any) -> AdapterLink:
        return AdapterLink(
            authority,
            lambda: unsafe_open_insecure_channel(f"127.0.0.1:{port}"),
            grants,
            settings=LinkSettings(),
            jitter=random.random,
            **changes,
        )

    async def credentials() -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {_token(urn, NATION, keys[NATION])}"),)

    up = None
    if target != "0":
        up = link(NATION, target, service=TO_HUB_ABOVE, credentials=credentials)
    accounting = Accounting(_NoStore())
    reader = GrantReader(urn, clock=_clock)
    service = ExchangeService(
        access=AccessControl(urn, [hub_verification_key(key, urn)], directory, clock=_clock),
        directory=directory,
        routes=RouteTable(
            directory,
            lambda record: link(
                record.authority,
                record.endpoint.rpartition(":")[2],
                service=TO_HUB_BELOW if record.is_hub else TO_ADAPTER,
            ),
            _Upward(up),
        ),
        accounting=accounting,
        limits=ExchangeLimits(),
        hubs=HubCallers(directory, reader, clock=_clock),
    )
    nation_keys = {keys[NATION].key_id: hub_verification_key(keys[NATION], NATION)}
    above: Any = SimpleNamespace(
        urn=NATION, prefixes=("33",), anchor=SimpleNamespace(token_keys=nation_keys)
    )
    adapter = HubAdapter(
        urn,
        service,
        superior=lambda: above,
        superiors=lambda: (urn, NATION),
        reader=reader,
        grants=HubGrants(
            urn, grants, GrantReader(urn, clock=_clock, of_hubs=True), directory, lambda: above
        ),
        live=LiveCounts(directory, None),
        clock=_clock,
    )
    server = HutongServer(
        ServerSettings(unsafe_insecure=True),
        items_validated_by_servicer=(*ITEM_METHODS, *ADAPTER_ITEM_METHODS),
    )
    server.add_handler(EXCHANGE_SERVICE, exchange_handler(service))
    server.add_handler(ADAPTER_SERVICE, adapter_handler(adapter))
    await server.start()
    say(port=server.port, tokens=[_token(GATE, urn, key)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(accounting.run())
        tasks.create_task(server.run_until_signal())


async def adapter(settings: dict[str, Any]) -> None:
    """Serve the SDK's adapter of Hangzhou, below Zhejiang's hub; its platform is in memory."""
    keys = generate_keys()
    token_key = signing_key_from_jwk(settings[ZHEJIANG])
    server = AdapterServer(
        AdapterParts(
            scheme=load_city(Path(__file__).parents[2] / "adapters" / "schemes" / "hangzhou"),
            connector=MemoryConnector(),
            keys=keys,
            anchor=make_anchor(
                ZHEJIANG, feed_keys=[generate_signing_key()], token_keys=[token_key]
            ),
            server=ServerSettings(unsafe_insecure=True, drain_seconds=0.0),
        )
    )
    say(port=await server.start(), sealing_key=public_sealing_jwk(keys.seal[0]))
    await server.run_until_signal()


async def edge(settings: dict[str, Any]) -> None:
    """Ask one question at a time, at the hub that each command names."""
    document = parse_document(10, DOCUMENT)
    keys = Keys(sealing_public_key_from_jwk(settings["sealing_key"]))
    async with AsyncExitStack() as stack:
        clients = {}
        for name, at in settings["hubs"].items():
            channel = await stack.enter_async_context(
                unsafe_open_insecure_channel(f"127.0.0.1:{at['port']}")
            )
            clients[name] = await stack.enter_async_context(
                ExchangeClient(
                    exchange_service_pb2_grpc.ExchangeServiceStub(channel),
                    caller=GATE,
                    audience=AUDIENCE,
                    tokens=Token(at["tokens"][0]),
                    keys=lambda: keys,
                    refresh_trust=no_news,
                    clock=_clock,
                    random_bytes=os.urandom,
                )
            )
        say(ready=True)
        while line := sys.stdin.readline():
            command = json.loads(line)
            times = []
            for _ in range(command["calls"]):
                started = time.perf_counter()
                answer = await clients[command["hub"]].ask(
                    REGION,
                    document,
                    purpose=exchange_pb2.PURPOSE_CHECKPOINT,
                    use=exchange_pb2.ATTESTATION_USE_ONLINE,
                    timeout_seconds=10,
                )
                times.append(time.perf_counter() - started)
                if not isinstance(answer, AttestedAnswer):
                    raise SystemExit("the adapter did not attest; the figure would be wrong")
            say(p50_seconds=statistics.median(times))


if __name__ == "__main__":
    configure_logging()
    role, *arguments = sys.argv[1:]
    if role == "hub":
        run(hub(*arguments))
    else:
        roles: dict[str, Any] = {"adapter": adapter, "edge": edge}
        run(roles[role](json.loads(sys.stdin.readline())))
