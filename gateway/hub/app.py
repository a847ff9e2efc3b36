"""One hub process: the gRPC door, the HTTP door, the store, and what keeps them in step.

Start-up refuses what would be worse later: a store of a newer version or one
that does not verify, keys that others may read, TLS files that do not load, a
taken port. Nothing listens before the members and the feed are in memory.

Stop is a drain: streams end with ``SHUTTING_DOWN``, calls in flight finish,
changes under way are committed, counts are flushed.

Example::

    async with running_hub(load_settings(directory), check_policy=load_policy) as hub:
        await hub.run_until_signal()
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog
from hutong.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from hutong.v1.sighting_service_pb2_grpc import add_SightingServiceServicer_to_server

from gateway.hub.access import AccessControl, GrantMinter
from gateway.hub.accounting import Accounting
from gateway.hub.admission import DocumentChecks
from gateway.hub.app_parts import (
    UsageSink,
    adapter_channel,
    background,
    forget_proofs,
    hubs_around,
    link_to,
    page_secret,
)
from gateway.hub.delegation import GrantReader, HubCallers
from gateway.hub.errors import HubSetupError
from gateway.hub.exchange_handler import exchange_handler
from gateway.hub.exchange_service import (
    EXCHANGE_SERVICE,
    ITEM_METHODS,
    ExchangeLimits,
    ExchangeService,
)
from gateway.hub.federation import Federation
from gateway.hub.federation_metrics import FederationCollector
from gateway.hub.feed_log import HubFeed
from gateway.hub.feed_service import FEED_SERVICE, FeedService, feed_handler
from gateway.hub.http_door import HttpDoor
from gateway.hub.hub_adapter import (
    ADAPTER_ITEM_METHODS,
    ADAPTER_SERVICE,
    HubAdapter,
    adapter_handler,
)
from gateway.hub.hub_metrics import HubCollector
from gateway.hub.keys import HubKeyRing
from gateway.hub.mirror import StoreMirror
from gateway.hub.oauth import TokenIssuer
from gateway.hub.packs import PackMaker
from gateway.hub.readers import Readers
from gateway.hub.registry import Registry
from gateway.hub.registry_base import Constraint
from gateway.hub.registry_service import REGISTRY_SERVICE, RegistryService
from gateway.hub.routes import RouteTable
from gateway.hub.sightings import (
    REPORT_METHOD,
    SIGHTING_SERVICE,
    Sightings,
    SightingService,
)
from gateway.hub.status_intake import StatusIntake
from gateway.hub.status_lists import StatusLists
from gateway.hub.status_metrics import StatusCollector
from gateway.hub.status_publisher import StatusPublisher
from gateway.hub.trust_parts import make_trust_parts
from gateway.store import Store, StoreError
from gateway.wire.hub_tokens import TokenKeys
from gateway.wire.loop import stop_on_signals
from gateway.wire.metrics import new_registry
from gateway.wire.server import HutongServer, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from gateway.hub.adapter_link import AdapterLink
    from gateway.hub.feed_watch import ServedFeed
    from gateway.hub.settings import HubSettings
    from gateway.store.wakeups import Wakeups

ALONE_FOLLOW_SECONDS: Final = 5.0
"""On a database of our own nothing happens behind our back; a look now and then
repairs a memory that missed a commit because the read after it failed."""

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The clock of a process."""
    return datetime.now(UTC)


class Hub:
    """A running hub; made by :func:`running_hub`.

    Attributes:
        grpc_port: port of the gRPC door.
        http_port: port of the HTTP door.
        registry: the registry, for tools in the same process.
        store: the store, likewise.
    """

    def __init__(
        self,
        settings: HubSettings,
        keys: HubKeyRing,
        store: Store,
        *,
        check_policy: Callable[[Mapping[str, Any]], object],
        clock: Callable[[], datetime],
    ) -> None:
        self.grpc_port = 0
        self.http_port = 0
        self.store = store
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._is_ready = False
        self.federation: Federation | None = None
        self.wakeups: Wakeups | None = None
        self.status_intake: StatusIntake | None = None
        self.feed = HubFeed(
            hub_urn=settings.urn,
            key=keys.feed_key,
            anchor=keys.root(),
            clock=clock,
            watcher_queue=settings.feed.watcher_queue,
            stall_seconds=settings.feed.stall_seconds,
        )
        self._token_key = keys.token_key(lambda: self.feed.anchor)
        self.feeds: dict[str, ServedFeed] = {settings.urn: self.feed}
        self.status_lists = StatusLists(store)
        self.readers = Readers(clock)
        self.sightings = Sightings()
        self.mirror = StoreMirror(
            store, self.feed, retention_entries=settings.feed.retention_entries
        )
        self.registry = Registry(
            hub_urn=settings.urn,
            store=store,
            mirror=self.mirror,
            checks=DocumentChecks(policy=check_policy),
            challenge_seconds=settings.challenge_seconds,
            clock=clock,
            approvals_needed=settings.approvals_needed,
            lead=settings.lead,
            constraints={
                urn: Constraint(
                    frozenset(item.kinds), item.max_attestation_seconds, item.path_length
                )
                for urn, item in settings.constraints.items()
            },
        )
        self._metrics = new_registry()
        self._server = HutongServer(
            ServerSettings(
                host=settings.grpc.host,
                port=settings.grpc.port,
                tls_certificate=settings.tls.certificate,
                tls_key=settings.tls.key,
                max_concurrent_calls=settings.grpc.max_concurrent_calls,
                drain_seconds=settings.grpc.drain_seconds,
                reflection=settings.grpc.reflection,
            ),
            items_validated_by_servicer=(*ITEM_METHODS, *ADAPTER_ITEM_METHODS, REPORT_METHOD),
        )
        self._door = HttpDoor(
            settings.http,
            settings.tls,
            tokens_per_minute=settings.tokens.tokens_per_minute,
            jwks=self.feed.jwks,
            snapshots=self.feed,
            status_lists=self.status_lists.get,
            is_ready=self._check_ready,
            registry=self._metrics,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Fill memory, then listen; what was begun is undone by the stack."""
        settings, keys = self._settings, self._keys
        await self._load()
        stack.push_async_callback(self.mirror.close)
        await self.registry.constrain()
        members = self.mirror.members
        access = AccessControl(
            settings.urn,
            TokenKeys(lambda: self.feed.anchor.token_keys),
            members,
            clock=self._clock,
        )
        accounting = Accounting(UsageSink(self.store, self._clock))
        await background(stack, accounting.run())
        grants = GrantMinter(settings.urn, self._token_key, clock=self._clock)
        self.federation = federation = Federation(
            settings,
            feed=self.feed,
            mirror=self.mirror,
            feeds=self.feeds,
            grants=grants,
            clock=self._clock,
        )
        stack.push_async_callback(federation.close)
        self.registry.check_hub = federation.check_no_loop
        self.status_lists.elsewhere = federation.status_list
        routes: RouteTable[AdapterLink] = RouteTable(
            members, lambda record: link_to(record, grants), federation
        )
        stack.push_async_callback(routes.close)
        reader = GrantReader(settings.urn, clock=self._clock)
        exchange = ExchangeService(
            access=access,
            directory=members,
            routes=routes,
            accounting=accounting,
            limits=ExchangeLimits(),
            hubs=HubCallers(members, reader, clock=self._clock),
        )
        around = hubs_around(settings.urn, federation, grants, members, self._clock)
        parts = make_trust_parts(self.registry, self.feed, self.store, self.readers, around)
        hub_adapter = HubAdapter(
            settings.urn,
            exchange,
            superior=lambda: federation.superior,
            superiors=federation.superiors,
            reader=reader,
            grants=around.grants,
            live=parts.live,
            clock=self._clock,
        )
        stack.push_async_callback(parts.sharing.close)
        await background(stack, parts.sharing.run())
        registry_service = RegistryService(
            self.registry,
            access,
            parts,
            page_secret=page_secret(keys.token.oldest()),
            enrolments_per_minute=settings.grpc.enrolments_per_minute,
        )
        registry_service.packs = PackMaker(self.feed, self.store, self.status_lists)
        server = self._server
        server.add_handler(EXCHANGE_SERVICE, exchange_handler(exchange))
        server.add_handler(ADAPTER_SERVICE, adapter_handler(hub_adapter))
        server.add(REGISTRY_SERVICE, add_RegistryServiceServicer_to_server, registry_service)
        server.add_handler(
            FEED_SERVICE,
            feed_handler(
                FeedService(
                    settings.urn,
                    self.feeds,
                    status_lists=self.status_lists,
                    access=access,
                    readers=self.readers,
                    sharing=parts.sharing,
                    counts=parts.reader_counts,
                    grants=around.grants,
                )
            ),
        )
        server.add(
            SIGHTING_SERVICE,
            add_SightingServiceServicer_to_server,
            SightingService(access, self.sightings, self._clock),
        )
        server.on_drain(exchange.drain)
        server.on_drain(self.feed.close)
        server.on_drain(federation.drain)
        server.on_drain(self._begin_drain)
        self._metrics.register(FederationCollector(settings.urn, self.feeds, self._clock))
        self._metrics.register(HubCollector(members, self.feed, exchange, server, self._clock))
        self.http_port = await self._door.bind()
        stack.push_async_callback(self._door.close)
        self.grpc_port = await server.start()
        stack.push_async_callback(server.stop)
        self._door.open(
            TokenIssuer(
                hub_urn=settings.urn,
                key=self._token_key,
                clients=members,
                ledger=self.store,
                lifetime_seconds=settings.tokens.lifetime_seconds,
                issuer_urls=self._issuer_urls(),
                clock=self._clock,
            )
        )
        await federation.start()
        await background(stack, federation.run())
        await self._follow_store(stack)
        await self._follow_status(stack)
        await background(stack, forget_proofs(self.store, self._clock))
        await background(stack, parts.notices.run())
        self._is_ready = True
        _log.info(
            "hub_listening",
            hub=settings.urn,
            grpc=f"{settings.grpc.host}:{self.grpc_port}",
            http=self.http_url,
            sequence=self.feed.sequence,
        )

    async def _load(self) -> None:
        await self.mirror.load()
        self._keys.check(self.feed.anchor, self._clock())

    @property
    def http_url(self) -> str:
        """Where clients reach the HTTP door."""
        return self._issuer_urls()[0]

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT; leaving the context drains."""
        asked = asyncio.Event()
        restore = stop_on_signals(asked.set)
        try:
            await asked.wait()
        finally:
            restore()

    def _issuer_urls(self) -> tuple[str, ...]:
        if self._settings.http.public_url is not None:
            return (self._settings.http.public_url,)
        # A hub without a public address is one on this machine.
        hosts = dict.fromkeys(("localhost", "127.0.0.1", self._settings.http.host))
        return tuple(f"https://{host}:{self.http_port}" for host in hosts)

    async def _follow_store(self, stack: AsyncExitStack) -> None:
        self.wakeups = self.store.wakeups()
        if self.wakeups is None:
            await background(stack, self.mirror.follow(ALONE_FOLLOW_SECONDS))
            return
        await background(stack, self.wakeups.run())
        seconds = self._settings.feed.follow_seconds
        await background(stack, self.mirror.follow(seconds, self.wakeups))

    async def _follow_status(self, stack: AsyncExitStack) -> None:
        publisher = StatusPublisher(self.feed, self.mirror)
        self.status_intake = StatusIntake(
            self.mirror.members,
            self.feed,
            publisher,
            self.store,
            self.store.turn(),
            open_channel=adapter_channel,
            clock=self._clock,
            jitter=random.random,
        )
        self._metrics.register(
            StatusCollector(self.status_intake, publisher, self.feed, self.sightings, self._clock)
        )
        await background(stack, publisher.run())
        await background(stack, self.status_intake.run())

    def _begin_drain(self) -> None:
        self._is_ready = False
        _log.info("hub_draining", hub=self._settings.urn)

    async def _check_ready(self) -> bool:
        if not self._is_ready or self.mirror.is_lost:
            return False
        try:
            self._keys.check(self.feed.anchor, self._clock())
            await self.store.ping()
        except (HubSetupError, StoreError):
            return False
        return True


@asynccontextmanager
async def running_hub(
    settings: HubSettings,
    *,
    check_policy: Callable[[Mapping[str, Any]], object],
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Hub]:
    """Start a hub and drain it at the end.

    Args:
        settings: with resolved paths, see :func:`gateway.hub.settings.load_settings`.
        check_policy: raises a HutongError where a policy document does not load;
            handed in because the hub itself must not know policies.
        clock: the time, UTC.

    Raises:
        HubSetupError: keys, TLS files or an address cannot be used.
        StoreError: the store cannot be opened, or does not verify.
        ServerError: the gRPC door cannot be opened.
    """
    keys = HubKeyRing(settings)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(await Store.open(settings.store))
        hub = Hub(settings, keys, store, check_policy=check_policy, clock=clock)
        await hub.start(stack)
        yield hub
