"""The token endpoint of a hub under test, as its members use it (docs/spec/registry.md)."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from conformance_tests import crypto
from conformance_tests.model import UntestableError
from conformance_tests.profile import ProfileError
from conformance_tests.roles import calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jwcrypto import jwk

    from conformance_tests.profile import Profile

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523
OK = 200
"""HTTP: here is the token."""
Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class TokenDoor:
    """Fetches access tokens, one for each client key and scope, and keeps them."""

    url: str
    http: aiohttp.ClientSession
    _kept: dict[tuple[str, str, str], str] = field(default_factory=dict, repr=False)

    def assertion(self, urn: str, key: jwk.JWK) -> str:
        """Sign a client assertion of this moment."""
        now = int(time.time())
        claims = {
            "iss": urn,
            "sub": urn,
            "aud": self.url,
            "iat": now,
            "exp": now + 60,
            "jti": crypto.b64(os.urandom(16)),
        }
        return crypto.sign(claims, key, "JWT")

    async def ask(self, urn: str, assertion: str, scope: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token; return status and body.

        Raises:
            ProfileError: nothing answers there.
        """
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_id": urn,
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion,
        }
        try:
            async with self.http.post(self.url, data=form) as response:
                return response.status, json.loads(await response.read())
        except (aiohttp.ClientError, ValueError) as error:
            raise ProfileError("the token endpoint does not answer; check token_url") from error

    async def token(self, urn: str, key: jwk.JWK, scope: str) -> str:
        """Return a token, fetched once a run.

        Raises:
            UntestableError: there is none to be had.
        """
        place = (urn, str(key["kid"]), scope)
        if place not in self._kept:
            status, body = await self.ask(urn, self.assertion(urn, key), scope)
            if status != OK:
                raise UntestableError(f"no access token: {status} {body.get('error', '')}")
            self._kept[place] = str(body["access_token"])
        return self._kept[place]


@contextlib.asynccontextmanager
async def token_door(profile: Profile) -> AsyncIterator[TokenDoor]:
    """Open the door that the profile names."""
    context: ssl.SSLContext | bool = True
    if "http_ca" in profile.entries:
        roots = profile.read(str(profile.entries["http_ca"])).decode()
        context = ssl.create_default_context(cadata=roots)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=calls.CALL_SECONDS),
    ) as http:
        yield TokenDoor(str(profile.need("token_url")), http)


def bearer(token: str) -> Metadata:
    """The metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"),)
