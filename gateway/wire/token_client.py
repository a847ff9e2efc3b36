"""Fetching access tokens: the client's half of ``private_key_jwt``.

RFC 7523 §2.2 over the client credentials grant of RFC 6749 §4.4. A token is
kept until 80 % of its life have passed, so that a stream or a call that begins
now has time left; callers that need one at the same moment share one fetch.

Example::

    async with TokenClient(token_url, urn, key, ca_pem, clock) as tokens:
        metadata = [("authorization", f"Bearer {await tokens.token('exchange.query')}")]
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from gateway.errors import PeerError
from gateway.trust import jws

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from gateway.attestation.keys import SigningKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
ASSERTION_SECONDS: Final = 60
"""Life of an assertion: one request, and clocks that differ a little."""
RENEW_AFTER: Final = 0.8
"""Share of a token's life after which it is not handed out any more."""
MAX_RESPONSE_BYTES: Final = 16 * 1024
"""A token response takes about 1 KiB."""
DEFAULT_TIMEOUT_SECONDS: Final = 10.0

_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


class TokenError(PeerError):
    """No token could be had.

    Codes: ``TOKEN_ENDPOINT_UNREACHABLE``, ``TOKEN_ENDPOINT_MISBEHAVED``,
    ``TOKEN_REFUSED``, ``OVERLOADED``.

    Attributes:
        oauth_error: ``error`` of RFC 6749 §5.2, with ``TOKEN_REFUSED`` only.
        retry_after_seconds: when a retry may help; None: no statement.
    """

    default_code = "TOKEN_ENDPOINT_UNREACHABLE"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        oauth_error: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.oauth_error = oauth_error
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    renew_at: datetime


class TokenClient:
    """One member's access tokens from one hub.

    Args:
        token_url: the hub's token endpoint, ``https://…/oauth2/token``.
        client_urn: URN of the member.
        key: its private key for the use ``authenticate``.
        ca_pem: the only roots to trust, PEM; None: the system's.
        clock: the time, UTC.
        timeout_seconds: longest a fetch may take.
        random_token: the source of assertion ids.
    """

    def __init__(
        self,
        token_url: str,
        client_urn: str,
        key: SigningKey,
        ca_pem: bytes | None,
        clock: Callable[[], datetime],
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        random_token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._url = token_url
        self._urn = client_urn
        self._key = key
        self._ca_pem = ca_pem
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._random_token = random_token
        self._session: aiohttp.ClientSession | None = None
        self._kept: dict[str, _Kept] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and forget every token."""
        self._kept.clear()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def forget(self, scope: str) -> None:
        """Drop the token of a scope, for one that was just refused."""
        self._kept.pop(scope, None)

    async def token(self, scope: str) -> str:
        """Return an access token with at least a fifth of its life left.

        Args:
            scope: scopes, separated by spaces.

        Raises:
            TokenError: the endpoint cannot be reached, refuses, or misbehaves.
        """
        async with self._fetching.setdefault(scope, asyncio.Lock()):
            kept = self._kept.get(scope)
            if kept is None or self._clock() >= kept.renew_at:
                kept = self._kept[scope] = await self._fetch(scope)
            return kept.token

    async def _fetch(self, scope: str) -> _Kept:
        asked_at = self._clock()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_context(self._ca_pem)), timeout=self._timeout
            )
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(asked_at),
        }
        try:
            async with self._session.post(self._url, data=form, allow_redirects=False) as response:
                data = await response.content.read(MAX_RESPONSE_BYTES + 1)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TokenError(
                f"the token endpoint cannot be reached ({type(error).__name__})"
            ) from error
        body = _parse(data)
        if status != 200:  # noqa: PLR2004  RFC 6749 §5.1
            raise _refusal(status, body, retry_after)
        token, life = body.get("access_token"), body.get("expires_in")
        if (
            not isinstance(token, str)
            # RFC 6750 §2.1; anything else would break the header it goes into.
            or not _B64TOKEN.fullmatch(token)
            or type(life) is not int
            or life <= 0
        ):
            raise TokenError("the token response is incomplete", code="TOKEN_ENDPOINT_MISBEHAVED")
        return _Kept(token, asked_at + timedelta(seconds=RENEW_AFTER * life))

    def _assertion(self, now: datetime) -> str:
        issued_at = int(now.timestamp())
        return jws.sign(
            {
                "iss": self._urn,
                "sub": self._urn,
                "aud": self._url,
                "iat": issued_at,
                "exp": issued_at + ASSERTION_SECONDS,
                "jti": self._random_token(),
            },
            self._key,
            typ="JWT",
        )


def _context(ca_pem: bytes | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii") if ca_pem else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _parse(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data) if len(data) <= MAX_RESPONSE_BYTES else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise TokenError(
            "the token endpoint answered with something else than JSON",
            code="TOKEN_ENDPOINT_MISBEHAVED",
        )
    return body


def _refusal(status: int, body: dict[str, Any], retry_after: str | None) -> TokenError:
    if status in {429, 503}:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        return TokenError(
            "the token endpoint is busy", code="OVERLOADED", retry_after_seconds=seconds
        )
    if status not in {400, 401}:  # RFC 6749 §5.2
        return TokenError(f"the token endpoint answered {status}", code="TOKEN_ENDPOINT_MISBEHAVED")
    error = body.get("error")
    known = error if isinstance(error, str) and error.isascii() and error.isprintable() else "?"
    return TokenError(
        f"the hub gives no token: {known[:64]}", code="TOKEN_REFUSED", oauth_error=known[:64]
    )
