"""One issuer process: IssuerService, IssuerDeskService and, under a hub, AdapterService.

All on one port. The adapter's side is that of every city (``adapters.sdk``) over the
issuer's own database; it is served from the start on where the hub's trust anchor lies
in place, so an issuer works alone first and enrols later.

Start-up refuses keys that others may read, an identity key that the database was not made
with, a database of a newer version, a scheme whose vectors do not come out. Stop is a
drain: calls in flight finish; a run of the schedule stops between two spans and is taken
up by whoever is next.

Example::

    async with running_issuer(load_settings(directory)) as running:
        await running.run_until_signal()
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from hutong.v1.issuer_desk_service_pb2_grpc import add_IssuerDeskServiceServicer_to_server
from hutong.v1.issuer_service_pb2_grpc import add_IssuerServiceServicer_to_server

from adapters.sdk.city import load_city
from adapters.sdk.issued import StatusSettings
from adapters.sdk.keys import load_keys
from adapters.sdk.server import AdapterParts, AdapterServer
from gateway.codes import region_urn
from gateway.errors import HutongError
from gateway.issuer.calls import Calls
from gateway.issuer.changes import IssuerChanges
from gateway.issuer.clients import AssertionLedger, ClientDesk
from gateway.issuer.connector import AUTHORITY, IssuerConnector
from gateway.issuer.core import Issuer, open_issuer
from gateway.issuer.desk import SERVICE as DESK_SERVICE
from gateway.issuer.desk import IssuerDeskServicer
from gateway.issuer.people import load_identity_box
from gateway.issuer.qr import ShownCodes
from gateway.issuer.schedule import Daily
from gateway.issuer.service import SERVICE, IssuerServicer
from gateway.issuer.service_errors import IssuerSetupError
from gateway.issuer.settings import FILE_NAME, load_settings
from gateway.trust.anchor import parse_anchor
from gateway.wire.files import read_bounded, refused_as
from gateway.wire.interceptors import report_incident
from gateway.wire.loop import stop_on_signals
from gateway.wire.server import HutongServer, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    import grpc

    from adapters.sdk.keys import AdapterKeys
    from gateway.issuer.clients import Client
    from gateway.issuer.settings import IssuerSettings

ISSUER_URN: Final = region_urn(AUTHORITY)
"""``aud`` of every assertion, and ``iss`` of every attestation."""

TICK_SECONDS: Final = 60.0
"""How often a process looks for what is due: lists are published by the minute."""

RELOAD_SECONDS: Final = 2.0
"""How often it looks whether the list of clients has changed: a removed one is out soon."""

MAX_PROCESSES: Final = 16
"""Over one database and one folder; each keeps what it issued in a file of its own."""

MAX_ANCHOR_BYTES: Final = 64 * 1024

_PAGE_LABEL: Final = b"hutong/v1/issuer/page-token"
_HOLDER_BYTES: Final = 16

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The clock of a process."""
    return datetime.now(UTC)


class _Server(Protocol):
    """What both kinds of server offer."""

    def add(
        self, service: str, add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object
    ) -> None: ...

    async def start(self) -> int: ...

    async def stop(self) -> None: ...


class RunningIssuer:
    """A running issuer; made by :func:`running_issuer`.

    Attributes:
        port: port bound.
        answers_hubs: whether AdapterService is served.
        issuer: the heart, for tools in the same process.
        daily: the daily run.
    """

    def __init__(
        self,
        settings: IssuerSettings,
        issuer: Issuer,
        keys: AdapterKeys,
        *,
        clock: Callable[[], datetime],
        directory: Path | None,
    ) -> None:
        self.issuer = issuer
        self.port = 0
        self._settings = settings
        self._clock = clock
        self._directory = directory
        self._changed_at = self._stamp()
        self._clients: Mapping[str, Client] = settings.clients_by_name()
        self._ledger = AssertionLedger(issuer.store)
        codes = settings.codes
        self._calls = Calls(issuer.store, os.urandom, life_seconds=codes.call_seconds)
        self._codes = ShownCodes(
            issuer.store,
            os.urandom,
            phone_seconds=codes.phone_seconds,
            paper_days=codes.paper_days,
        )
        self.daily = Daily(
            store=issuer.store,
            recompute=issuer.recompute,
            clock=clock,
            at_seconds=settings.daily.seconds,
            holder=os.urandom(_HOLDER_BYTES).hex(),
        )
        self.answers_hubs = settings.adapter.anchor.exists()
        self._server = self._make_server(keys)

    def _make_server(self, keys: AdapterKeys) -> _Server:
        settings, clock = self._settings, self._clock
        listening = _listening(settings)
        server: _Server
        if self.answers_hubs:
            with refused_as(IssuerSetupError):
                anchor = read_bounded(settings.adapter.anchor, MAX_ANCHOR_BYTES, "trust anchor")
            server = AdapterServer(
                AdapterParts(
                    scheme=load_city(settings.adapter.scheme),
                    connector=IssuerConnector(self.issuer, self._codes),
                    keys=keys,
                    anchor=parse_anchor(anchor),
                    anchor_file=settings.adapter.anchor,
                    server=listening,
                    status=StatusSettings(
                        path=settings.adapter.keys.parent / "issued.db", processes=MAX_PROCESSES
                    ),
                    changes=IssuerChanges(self.issuer, clock=clock),
                    clock=clock,
                )
            )
        else:
            server = HutongServer(listening)
        clients = ClientDesk(
            audience=ISSUER_URN,
            clients=lambda: self._clients,
            ledger=self._ledger,
            clock=clock,
        )
        server.add(
            SERVICE,
            add_IssuerServiceServicer_to_server,
            IssuerServicer(
                issuer=self.issuer,
                clients=clients,
                calls=self._calls,
                codes=self._codes,
                clock=clock,
                paper=settings.codes.paper_size,
            ),
        )
        server.add(
            DESK_SERVICE,
            add_IssuerDeskServiceServicer_to_server,
            IssuerDeskServicer(
                issuer=self.issuer,
                clients=clients,
                page_secret=hmac.digest(keys.pseudonym_secret, _PAGE_LABEL, hashlib.sha256),
                clock=clock,
            ),
        )
        return server

    async def start(self, stack: AsyncExitStack) -> None:
        """Listen, and begin what is done by itself; undone by the stack."""
        self.port = await self._server.start()
        stack.push_async_callback(self._server.stop)
        await _background(stack, _every(TICK_SECONDS, self.tick))
        # By itself: a list that becomes due does not wait for a run over everybody.
        if self._settings.daily.is_on:
            await _background(stack, _every(TICK_SECONDS, self.run_daily))
        await _background(stack, _every(RELOAD_SECONDS, self.reload_clients))
        _log.info(
            "issuer_listening",
            issuer=ISSUER_URN,
            grpc=f"{self._settings.grpc.host}:{self.port}",
            answers_hubs=self.answers_hubs,
            clients=len(self._clients),
        )

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT; leaving the context drains."""
        asked = asyncio.Event()
        restore = stop_on_signals(asked.set)
        try:
            await asked.wait()
        finally:
            restore()

    async def tick(self) -> None:
        """Do what is due beside the daily run: lists, tidying up.

        Raises:
            StoreError: the database failed; the next tick goes on.
        """
        now = self._clock()
        assessed = await self.issuer.areas.assess_due(self._clock)
        if assessed.people:
            _log.info("areas_assessed", people=assessed.people, changed=assessed.changed)
        await self._ledger.forget(now - timedelta(minutes=1))
        await self._calls.forget(now)
        await self._codes.forget(now)

    async def run_daily(self) -> None:
        """Do the daily run where it is due here.

        Raises:
            StoreError: the database failed; the next turn takes it up.
        """
        await self.daily.run_if_due()

    async def reload_clients(self) -> None:
        """Take the clients anew where the settings file has changed.

        A file that does not load leaves the clients as they were.
        """
        stamp = self._stamp()
        if self._directory is None or stamp == self._changed_at:
            return
        self._changed_at = stamp
        try:
            self._clients = load_settings(self._directory).clients_by_name()
        except HutongError as error:
            _log.error("clients_not_reloaded", code=error.code)
            return
        _log.info("clients_reloaded", clients=len(self._clients))

    def _stamp(self) -> int | None:
        if self._directory is None:
            return None
        with suppress(OSError):
            return (self._directory / FILE_NAME).stat().st_mtime_ns
        return None


@asynccontextmanager
async def running_issuer(
    settings: IssuerSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    directory: Path | None = None,
) -> AsyncIterator[RunningIssuer]:
    """Start an issuer and drain it at the end.

    Args:
        settings: with resolved paths, see :func:`gateway.issuer.settings.load_settings`.
        clock: the time, UTC.
        directory: where ``issuer.toml`` stands, to follow its clients; None: they stay.

    Raises:
        IssuerSetupError: keys or the trust anchor cannot be used.
        IdentityError: the database was made with another identity key.
        StoreError: the database cannot be opened.
        SchemeError: the scheme does not load, or a vector fails.
        ServerError: the address cannot be bound or the TLS files not be read.
    """
    with refused_as(IssuerSetupError):
        box = load_identity_box(settings.identity_key, os.urandom)
    keys = load_keys(settings.adapter.keys)
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(await open_issuer(settings.store, box))
        await issuer.people.check_key()
        running = RunningIssuer(settings, issuer, keys, clock=clock, directory=directory)
        await running.start(stack)
        yield running


def _listening(settings: IssuerSettings) -> ServerSettings:
    grpc_settings = settings.grpc
    return ServerSettings(
        host=grpc_settings.host,
        port=grpc_settings.port,
        tls_certificate=grpc_settings.certificate,
        tls_key=grpc_settings.key,
        max_unary_seconds=grpc_settings.max_unary_seconds,
        max_concurrent_calls=grpc_settings.max_concurrent_calls,
        drain_seconds=grpc_settings.drain_seconds,
        reflection=grpc_settings.reflection,
    )


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something now and again and again; no failure of it ends the process."""
    while True:
        try:
            await work()
        except HutongError as error:
            _log.error("background_failed", code=error.code, work=work.__name__)
        except Exception as error:  # noqa: BLE001  a defect costs one turn only
            report_incident(error, step=work.__name__)
        await asyncio.sleep(seconds)


async def _background(stack: AsyncExitStack, work: Any) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)
