"""The one way in which connectors call a city platform over HTTP.

One aiohttp session per platform, connections reused. Every call ends by the
item's deadline and by the platform's own time-out, whichever is earlier; answers
are bounded in size; redirects are not followed; cookies are not kept; proxies of
the environment are not used. A retry happens only where it cannot do harm: on an
idempotent call that failed to connect or came back 502 or 503, within the retry
budget and the deadline, once.

Whatever goes wrong is an :class:`~adapters.sdk.reports.OutcomeReport`, never an
exception and never a level:

=====================================  ====================
connection refused, reset, TLS, DNS    ``SOURCE_BUSY``
breaker open, 429, 502, 503            ``SOURCE_BUSY`` with a time to retry after
time-out, 408, 504                     ``SOURCE_TIMED_OUT``
any other status, a body too large     ``SOURCE_UNPARSABLE``
=====================================  ====================
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import structlog

from adapters.sdk.breaker import Breaker, RetryBudget
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.reports import OutcomeReport
from gateway.codes.levels import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from adapters.sdk.reports import Deadline

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_RETRIABLE: Final = frozenset({502, 503})
_BUSY: Final = frozenset({429, 502, 503})
_TIMED_OUT: Final = frozenset({408, 504})
_SERVER_FAULT: Final = 500
_MAX_RETRY_AFTER_SECONDS: Final = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """How a platform is called.

    Attributes:
        url: its base, ``https://…``; plain http only on loopback.
        timeout_seconds: longest a call may take. 3 is what deployed terminals
            allowed their verification service.
        connect_timeout_seconds: longest a connection may take.
        max_response_bytes: longest body accepted, after decompression.
        max_connections: most connections at once.
        breaker_failures: failures in a row after which it is left alone.
        breaker_open_seconds: for how long.
        ca_pem: certificates to trust instead of the system's; None: the system's.
        unsafe_plain_http: allow http to a host that is not loopback.
    """

    url: str
    timeout_seconds: float = 3.0
    connect_timeout_seconds: float = 1.5
    max_response_bytes: int = 256 * 1024
    max_connections: int = 128
    breaker_failures: int = 5
    breaker_open_seconds: float = 5.0
    ca_pem: str | None = field(default=None, repr=False)
    unsafe_plain_http: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A complete answer of the platform."""

    status: int
    body: bytes = field(repr=False)


class _Health(Enum):
    """What one call told about the platform."""

    WELL = auto()
    ILL = auto()
    ILL_AT_ONCE = auto()
    """Ill, and asking once more may help."""
    UNKNOWN = auto()
    """The caller left, or had too little time to tell."""


class Upstream:
    """Calls one platform.

    Args:
        settings: how.
        breaker: replaces the one made from the settings, for another clock.

    Raises:
        AdapterConfigError: the URL is none, or is plain http to another host.
    """

    def __init__(self, settings: UpstreamSettings, *, breaker: Breaker | None = None) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AdapterConfigError("platform.url is not an http(s) address")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            if not settings.unsafe_plain_http:
                raise AdapterConfigError(
                    "platform.url is plain http to another host: use https, or set "
                    "platform.unsafe_plain_http"
                )
            _log.warning("insecure_platform", reason="plain http to another host")
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._breaker = breaker or Breaker(
            failures=settings.breaker_failures, open_seconds=settings.breaker_open_seconds
        )
        self._budget = RetryBudget()
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
        accept: Collection[int] = (),
    ) -> UpstreamReply | OutcomeReport:
        """Make one call.

        Args:
            method: HTTP method.
            path: begins with ``/``; follows the base URL.
            deadline: of the item.
            params: query parameters.
            form: form fields.
            json: a JSON body.
            data: a body as bytes.
            headers: further headers.
            idempotent: whether doing it twice equals doing it once; allows a retry.
            accept: statuses beside 2xx whose bodies the connector wants to read.
        """
        refusal = self._breaker.refusal_seconds()
        if refusal is not None:
            return OutcomeReport(Outcome.SOURCE_BUSY, retry_after_seconds=refusal)
        self._budget.deposit()
        arguments: dict[str, Any] = {
            "params": params,
            "data": form if form is not None else data,
            "json": json,
            "headers": headers,
        }
        health = _Health.UNKNOWN
        try:
            result, health = await self._once(method, path, arguments, deadline, accept)
            if health is _Health.ILL_AT_ONCE and idempotent and self._budget.withdraw():
                result, health = await self._once(method, path, arguments, deadline, accept)
        finally:
            if health is _Health.UNKNOWN:
                self._breaker.abandoned()
            elif health is _Health.WELL:
                self._breaker.succeeded()
            else:
                self._breaker.failed()
        return result

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(
        self,
        method: str,
        path: str,
        arguments: dict[str, Any],
        deadline: Deadline,
        accept: Collection[int],
    ) -> tuple[UpstreamReply | OutcomeReport, _Health]:
        left = deadline.remaining_seconds()
        if left <= 0:
            return OutcomeReport(Outcome.SOURCE_TIMED_OUT), _Health.UNKNOWN
        try:
            async with asyncio.timeout(min(left, self._settings.timeout_seconds)):
                return await self._exchange(method, path, arguments, accept)
        except aiohttp.ServerTimeoutError:
            failure = Outcome.SOURCE_TIMED_OUT, _Health.ILL
        except TimeoutError:
            # A caller in a hurry must not be able to open the breaker for the others.
            hurried = left < self._settings.timeout_seconds
            failure = Outcome.SOURCE_TIMED_OUT, _Health.UNKNOWN if hurried else _Health.ILL
        except aiohttp.ClientConnectionError:
            failure = Outcome.SOURCE_BUSY, _Health.ILL_AT_ONCE
        except (aiohttp.ClientError, ValueError):
            # ValueError: a header or an encoding that aiohttp cannot make sense of
            failure = Outcome.SOURCE_UNPARSABLE, _Health.ILL
        return OutcomeReport(failure[0]), failure[1]

    async def _exchange(
        self, method: str, path: str, arguments: dict[str, Any], accept: Collection[int]
    ) -> tuple[UpstreamReply | OutcomeReport, _Health]:
        async with self._open_session().request(
            method, self._base + path, allow_redirects=False, **arguments
        ) as response:
            status = response.status
            if not (200 <= status < 300 or status in accept):  # noqa: PLR2004 - the 2xx
                return _refusal(status, response.headers.get("Retry-After")), _health(status)
            body = await self._read(response)
            if body is None:
                return OutcomeReport(Outcome.SOURCE_UNPARSABLE), _health(status)
            return UpstreamReply(status, body), _health(status)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Return the body; None when it is too long."""
        limit = self._settings.max_response_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                response.close()
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            context: ssl.SSLContext | bool = True
            if self._settings.ca_pem is not None:
                context = ssl.create_default_context(cadata=self._settings.ca_pem)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.max_connections, ssl=context),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._settings.connect_timeout_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "hutong-adapter"},
            )
        return self._session


def _health(status: int) -> _Health:
    if status in _RETRIABLE:
        return _Health.ILL_AT_ONCE
    return _Health.ILL if status >= _SERVER_FAULT else _Health.WELL


def _refusal(status: int, retry_after: str | None) -> OutcomeReport:
    if status in _BUSY:
        return OutcomeReport(Outcome.SOURCE_BUSY, retry_after_seconds=_seconds(retry_after))
    if status in _TIMED_OUT:
        return OutcomeReport(Outcome.SOURCE_TIMED_OUT)
    _log.warning("platform_refused", status=status)
    return OutcomeReport(Outcome.SOURCE_UNPARSABLE)


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header; its date form is not looked at."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 6:  # noqa: PLR2004 - seconds below two weeks
        return None
    return min(float(text), _MAX_RETRY_AFTER_SECONDS)
