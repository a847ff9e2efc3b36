"""A grpc.aio server as every process of Hutong runs it.

TLS, the guard of ``gateway.wire.interceptors`` outermost, the standard health
service, reflection only on request, and a drain in two steps: first health
turns NOT_SERVING and new calls are refused with ``SHUTTING_DOWN`` while those
in flight finish; then, after ``drain_seconds`` at the latest, whatever is left
is cancelled.

    server = HutongServer(settings)
    server.add("hutong.v1.FeedService", add_FeedServiceServicer_to_server, servicer)
    await server.start()
    await server.run_until_signal()
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog
from grpc_health.v1 import (  # type: ignore[import-untyped]  # untyped
    health,
    health_pb2,
    health_pb2_grpc,
)

from gateway.errors import InternalError
from gateway.wire.channel import DEFAULT_MAX_MESSAGE_BYTES
from gateway.wire.interceptors import CallGate, CallLimits, GuardInterceptor
from gateway.wire.loop import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MAX_METADATA_BYTES = 16 * 1024
"""An access token (at most 4 KiB) and room for tracing entries."""

_MIN_PING_MS = 10_000
"""Pings more often than this are abuse; our own clients send one in 30 s."""

_KEEPALIVE_MS = 60_000
"""Silence after which a client is asked whether it is still there."""

_KEEPALIVE_TIMEOUT_MS = 20_000
"""Silence after that question that means it is gone."""

_log = structlog.get_logger(__name__)


class ServerError(InternalError):
    """The server cannot be started as it is configured."""

    default_code = "SERVER_SETTINGS"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens and what it accepts.

    Attributes:
        host: address to listen on.
        port: port; zero lets the system choose one.
        tls_certificate: PEM file with the certificate chain.
        tls_key: PEM file with the private key.
        tls_client_ca: PEM file with roots for client certificates; None: none
            are asked for.
        unsafe_insecure: listen without TLS; for tests and benchmarks only.
        max_message_bytes: largest request message, in bytes.
        max_unary_seconds: longest a unary call may take, in seconds.
        max_concurrent_calls: calls in flight, streams included.
        drain_seconds: longest a drain waits for calls in flight, in seconds.
        reflection: serve gRPC reflection; off in production.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    unsafe_insecure: bool = False
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    max_unary_seconds: float = 60.0
    max_concurrent_calls: int = 10_000
    drain_seconds: float = 20.0
    reflection: bool = False


class HutongServer:
    """One server: add servicers, start, run until a signal, drain.

    Args:
        settings: see :class:`ServerSettings`.
        items_validated_by_servicer: full method names
            (``/hutong.v1.ExchangeService/QueryStream``) whose messages carry
            items with outcomes of their own.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        items_validated_by_servicer: Sequence[str] = (),
    ) -> None:
        self._settings: Final = settings
        self._gate = CallGate(settings.max_concurrent_calls)
        self._limits = CallLimits(
            max_message_bytes=settings.max_message_bytes,
            max_unary_seconds=settings.max_unary_seconds,
            max_concurrent_calls=settings.max_concurrent_calls,
            items_validated_by_servicer=frozenset(items_validated_by_servicer),
        )
        self._adders: list[Callable[[grpc.aio.Server], None]] = []
        self._services: list[str] = []
        self._drain_callbacks: list[Callable[[], None]] = []
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._stopped = asyncio.Event()
        self.port = 0

    def add(
        self, service: str, add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object
    ) -> None:
        """Add a servicer before the start.

        Args:
            service: full name, for example ``hutong.v1.FeedService``; health
                answers for it.
            add_to_server: the generated ``add_…Servicer_to_server``.
            servicer: what serves it.
        """
        self._services.append(service)
        self._adders.append(lambda server: add_to_server(servicer, server))

    def add_handler(self, service: str, handler: grpc.GenericRpcHandler) -> None:
        """Add a handler made by hand, for a service whose bytes are not parsed."""
        self._services.append(service)
        self._adders.append(lambda server: server.add_generic_rpc_handlers((handler,)))

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the drain begins, to end streams that would go on for ever."""
        self._drain_callbacks.append(callback)

    @property
    def calls_in_flight(self) -> int:
        """Calls being served, health and reflection aside."""
        return self._gate.in_flight

    async def start(self) -> int:
        """Bind and serve.

        Returns:
            The port bound.

        Raises:
            ServerError: the TLS files cannot be read, TLS is neither configured
                nor switched off by name, or the address cannot be bound.
        """
        settings = self._settings
        server = grpc.aio.server(
            interceptors=[GuardInterceptor(self._limits, self._gate)], options=self._options()
        )
        for add in self._adders:
            add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            _enable_reflection([*self._services, health.SERVICE_NAME], server)
        address = f"{settings.host}:{settings.port}"
        try:
            if settings.unsafe_insecure:
                _log.warning("insecure_server", address=address)
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, self._credentials())
        except RuntimeError as error:
            raise ServerError(f"cannot listen on {address}") from error
        self._server = server
        await server.start()
        for service in self._services:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return self.port

    async def stop(self) -> None:
        """Drain, then stop. A second call waits for the first."""
        server, self._server = self._server, None
        if server is None:
            await self._stopped.wait()
            return
        self._gate.draining = True
        await self._health.enter_graceful_shutdown()
        for callback in self._drain_callbacks:
            callback()
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._gate.wait_empty()
        except TimeoutError:
            _log.warning("drain_cut_short", calls_in_flight=self._gate.in_flight)
        await server.stop(0)
        self._stopped.set()

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and stop."""
        asked = asyncio.Event()
        restore = stop_on_signals(asked.set)
        try:
            await asked.wait()
        finally:
            restore()
            await self.stop()

    def _options(self) -> Sequence[tuple[str, int]]:
        return [
            # The guard refuses what exceeds the limit with its reason; up to
            # twice the limit is read for that, and more is cut by the transport.
            ("grpc.max_receive_message_length", 2 * self._settings.max_message_bytes),
            ("grpc.max_send_message_length", 2 * self._settings.max_message_bytes),
            ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", _MIN_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            # A gate that lost its power says no goodbye; its streams end all the same.
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
            ("grpc.so_reuseport", 0),
        ]

    def _credentials(self) -> grpc.ServerCredentials:
        settings = self._settings
        if settings.tls_certificate is None or settings.tls_key is None:
            raise ServerError("TLS needs a certificate and a key")
        try:
            pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
            roots = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
        except OSError as error:
            raise ServerError("the TLS files cannot be read") from error
        return grpc.ssl_server_credentials(
            [pair], root_certificates=roots, require_client_auth=roots is not None
        )


def _enable_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415  off in production

    reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server)
