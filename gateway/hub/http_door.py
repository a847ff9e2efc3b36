"""The HTTP door: tokens, well-known documents, the public snapshot, probes, metrics.

=========================================  ==========================================
``POST /oauth2/token``                     RFC 6749 token endpoint, see ``oauth``
``GET /.well-known/oauth-authorization-server``  RFC 8414 metadata
``GET /.well-known/jwks.json``             keys that verify tokens and grants
``GET /v1/feed/snapshot``                  signed manifest and live entries, as JSON
``GET /status/{digest}``                   a region's base status list, as signed
``GET /healthz``                           the process runs
``GET /readyz``                            the store answers and nothing drains
``GET /metrics``                           Prometheus text; counts only
=========================================  ==========================================

Every answer is JSON but the metrics. An error is ``{"error", "error_description"}``
in the words of RFC 6749 at the token endpoint and with our own upper-snake code
elsewhere. No answer holds the text of an exception; an unexpected one becomes a
500 with an incident id.
"""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import Counter

from gateway.hub.errors import HubSetupError
from gateway.hub.oauth import TOKEN_PATH
from gateway.wire.interceptors import report_incident
from gateway.wire.metrics import METRICS_CONTENT_TYPE, render_metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from prometheus_client import CollectorRegistry

    from gateway.hub.oauth import TokenIssuer
    from gateway.hub.settings import HttpSettings, TlsSettings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES: Final = 16 * 1024
"""A token request with the largest assertion takes a third of this."""

READ_SECONDS: Final = 10.0
"""Longest a client may take to send its body: a slow one holds a connection, not us."""

STATUS_PATH: Final = "/status/{digest:[A-Za-z0-9_-]{43}}"
"""Where base status lists are; the digest names the very bytes."""

STATUS_TYPE: Final = "application/statuslist+jwt"
"""As the Token Status List draft registers it."""

_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 §5.1
_FORM_TYPE: Final = "application/x-www-form-urlencoded"

_log = structlog.get_logger(__name__)


class SnapshotSource(Protocol):
    """Where the signed snapshot comes from; the feed log implements it."""

    def snapshot_json(self) -> bytes:
        """Return the snapshot as one JSON document."""
        ...


class HttpDoor:
    """The door; see the module.

    Args:
        settings: where to listen and how much to accept.
        tls: certificate and key.
        tokens_per_minute: tokens one client may fetch.
        jwks: gives the published key set, those to come and those of the past included.
        snapshots: the feed.
        status_lists: gives a base status list by its digest, or None.
        is_ready: whether the hub may get traffic; must not raise.
        registry: metrics to show, and where the door counts its own.
    """

    def __init__(
        self,
        settings: HttpSettings,
        tls: TlsSettings,
        *,
        tokens_per_minute: int,
        jwks: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        snapshots: SnapshotSource,
        status_lists: Callable[[str], Awaitable[bytes | None]],
        is_ready: Callable[[], Awaitable[bool]],
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._jwks = jwks if callable(jwks) else lambda: jwks
        self._snapshots = snapshots
        self._status_lists = status_lists
        self._is_ready = is_ready
        self._registry = registry
        self._issuer: TokenIssuer | None = None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_address = RateLimitItemPerMinute(settings.requests_per_minute)
        self._per_client = RateLimitItemPerMinute(tokens_per_minute)
        self._answers = Counter(
            "hutong_http_responses",
            "Answers of the HTTP door.",
            ["route", "status"],
            registry=registry,
        )
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def bind(self) -> int:
        """Bind the address; token requests are answered once :meth:`open` was called.

        Returns:
            The port bound.

        Raises:
            HubSetupError: the TLS files do not load or the address is taken.
        """
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        app.router.add_post(TOKEN_PATH, self._token)
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.router.add_get("/.well-known/jwks.json", self._key_set)
        app.router.add_get("/v1/feed/snapshot", self._snapshot)
        app.router.add_get(STATUS_PATH, self._status_list)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        address = f"{self._settings.host}:{self._settings.port}"
        server = runner.server
        if server is None:
            raise RuntimeError("the runner was not set up")
        server.request_handler = _refuse_as_json(server.request_handler)
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                # None is what switches the log of accesses off; its type does not say so.
                functools.partial(_Protocol, server, loop=loop, access_log=cast("Any", None)),
                self._settings.host,
                self._settings.port,
                ssl=self._context(),
            )
        except OSError as error:
            await runner.cleanup()
            raise HubSetupError(
                f"the HTTP door cannot listen on {address}",
                fix="stop what listens there, or set [http] port in hub.toml",
            ) from error
        self._runner, self._listener = runner, listener
        self.port = listener.sockets[0].getsockname()[1]
        return self.port

    def open(self, issuer: TokenIssuer) -> None:
        """Begin to issue tokens."""
        self._issuer = issuer

    async def close(self) -> None:
        """Finish what is being answered and stop listening."""
        runner, self._runner = self._runner, None
        if self._listener is not None:
            self._listener.close()
        if runner is not None:
            await runner.cleanup()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._tls.certificate, self._tls.key)
        except (OSError, ssl.SSLError) as error:
            raise HubSetupError(
                f"the TLS files {self._tls.certificate} and {self._tls.key} do not load",
                fix="name a PEM chain and its private key under [tls] in hub.toml",
            ) from error
        return context

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.resource
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _error(
                error.status, _CODES.get(error.status, "INVALID_REQUEST"), error.reason
            )
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        except Exception as error:  # noqa: BLE001  outermost: nothing may pass
            failure = report_incident(error, door="http")
            response = _error(500, "INTERNAL", f"incident {failure.incident}")
        # The pattern, never the path asked for: a path is a caller's text.
        self._answers.labels(route.canonical if route else "none", str(response.status)).inc()
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    async def _token(self, request: web.Request) -> web.Response:
        address = request.remote or ""
        if not await self._limiter.hit(self._per_address, "address", address):
            return _slow_down()
        if self._issuer is None:
            return _error(503, "temporarily_unavailable", "the hub is starting", no_store=True)
        try:
            members = await _read_form(request)
        except _FormError as error:
            return _error(error.status, "invalid_request", str(error), no_store=True)
        response = await self._issuer.respond(members)
        if response.client is not None and not await self._limiter.hit(
            self._per_client, "client", response.client
        ):
            return _slow_down()
        return _json(dict(response.body), status=response.status, no_store=True)

    async def _metadata(self, request: web.Request) -> web.Response:
        del request
        if self._issuer is None:
            return _error(503, "SHUTTING_DOWN", "the hub is starting")
        return _json(self._issuer.metadata())

    async def _key_set(self, request: web.Request) -> web.Response:
        del request
        return _json(dict(self._jwks()))

    async def _snapshot(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=self._snapshots.snapshot_json(), content_type="application/json")

    async def _status_list(self, request: web.Request) -> web.Response:
        found = await self._status_lists(request.match_info["digest"])
        if found is None:
            return _error(404, "NOT_FOUND", "no such status list is kept here")
        # Immutable under its digest: any cache on the way may keep it.
        return web.Response(
            body=found,
            headers={"Content-Type": STATUS_TYPE, "Cache-Control": "public, max-age=86400"},
        )

    async def _healthz(self, request: web.Request) -> web.Response:
        del request
        return _json({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        del request
        ready = self._issuer is not None and await self._is_ready()
        return _json({"status": "ready" if ready else "not ready"}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        return web.Response(
            body=render_metrics(self._registry), headers={"Content-Type": METRICS_CONTENT_TYPE}
        )


class _Protocol(web.RequestHandler):
    """Speaks HTTP. The library would quote the bytes that it choked on."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a head or a body that is no HTTP, and close the connection."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        if status < 500:  # noqa: PLR2004  the caller's fault
            response = _error(status, "INVALID_REQUEST", "the request does not parse")
        else:
            failure = report_incident(exc or RuntimeError(), door="http")
            response = _error(status, "INTERNAL", f"incident {failure.incident}")
        response.force_close()
        return response


def _refuse_as_json(handle: Any) -> Any:
    """Wrap what stands outside every middleware: an expectation nobody can meet."""

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handle(request)
        except web.HTTPException as error:
            response = _error(error.status, "INVALID_REQUEST", error.reason)
        return response

    return handled


class _FormError(Exception):
    """A token request whose body is no form."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def _read_form(request: web.Request) -> dict[str, str]:
    if request.content_type != _FORM_TYPE:
        raise _FormError(f"send {_FORM_TYPE}")
    try:
        async with asyncio.timeout(READ_SECONDS):
            form = await request.post()
    except TimeoutError:
        raise _FormError("the body did not arrive in time", status=408) from None
    except (HttpProcessingError, web.RequestPayloadError, ValueError, LookupError):
        # RequestPayloadError: packed otherwise than it says. LookupError: a charset
        # nobody knows.
        raise _FormError("the form does not parse") from None
    members: dict[str, str] = {}
    for name, value in form.items():
        if not isinstance(value, str) or name in members:
            # RFC 6749 §3.2: parameters must not be included more than once.
            raise _FormError("a parameter stands twice")
        members[name] = value
    return members


_CODES: Final = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "MESSAGE_TOO_LARGE",
}


def _json(body: dict[str, Any], *, status: int = 200, no_store: bool = False) -> web.Response:
    return web.Response(
        text=json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/json",
        headers=_NO_STORE if no_store else None,
    )


def _error(
    status: int, code: str, description: str | None, *, no_store: bool = False
) -> web.Response:
    return _json(
        {"error": code, "error_description": description or code}, status=status, no_store=no_store
    )


def _slow_down() -> web.Response:
    response = _error(429, "temporarily_unavailable", "too many token requests", no_store=True)
    response.headers["Retry-After"] = "60"
    return response
