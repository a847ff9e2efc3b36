"""Client channels: TLS, keepalive, bounds.

Connections are dear (about nine calls' worth of server time each, measured),
so a process opens one channel a peer and keeps it. Proxies of the environment
are ignored: a channel goes where its settings say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""A batch is cut at about 1 MiB; one largest item (256 KiB) and framing fit on top."""

_KEEPALIVE_MS = 30_000
"""Below the idle timeout of common NATs and load balancers (60 s and up)."""

_KEEPALIVE_TIMEOUT_MS = 10_000
"""Silence after a ping that means the peer is gone."""

_RECONNECT_MS = (200, 10_000)
"""First and longest pause between connection attempts; gRPC adds its jitter."""

_CONNECT_MS = 5_000
"""Time one connection attempt gets, TLS included, before it counts as failed."""

_log = structlog.get_logger(__name__)


def open_channel(
    target: str,
    *,
    ca_pem: bytes | None = None,
    server_name: str | None = None,
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
) -> grpc.aio.Channel:
    """Open a TLS channel; must be called in a running loop.

    Args:
        target: ``host:port``.
        ca_pem: the only roots to trust; None: the roots gRPC brings.
        server_name: name to expect in the certificate instead of the host, for
            a peer reached by address.
        max_message_bytes: largest message in either direction.
    """
    options = channel_options(max_message_bytes)
    if server_name is not None:
        options = [*options, ("grpc.ssl_target_name_override", server_name)]
    credentials = grpc.ssl_channel_credentials(root_certificates=ca_pem)
    return grpc.aio.secure_channel(target, credentials, options=options)


def unsafe_open_insecure_channel(
    target: str, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
) -> grpc.aio.Channel:
    """Open a channel without TLS: for tests and benchmarks on one machine only."""
    _log.warning("insecure_channel", target=target)
    return grpc.aio.insecure_channel(target, options=channel_options(max_message_bytes))


def channel_options(max_message_bytes: int) -> Sequence[tuple[str, int | str]]:
    """Return the options every channel of ours has."""
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS[0]),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS[1]),
        ("grpc.enable_http_proxy", 0),
        # Two channels of one process to one peer share nothing: not the
        # connection, and not the other's reconnection pause.
        ("grpc.use_local_subchannel_pool", 1),
    ]
