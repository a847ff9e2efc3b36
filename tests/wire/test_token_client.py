from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.attestation.keys import public_jwk
from gateway.wire.certificates import issue_certificate, make_authority
from gateway.wire.token_client import ASSERTION_TYPE, TokenClient, TokenError
from tests.hub.hub_world import GATE, Clock, signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

KEY = signing_key("oauth/gate")


class Endpoint:
    """A token endpoint that answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.ca_pem = b""
        self.forms: list[dict[str, str]] = []
        self.answer: Any = None
        self.clock = Clock()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.forms.append({k: str(v) for k, v in (await request.post()).items()})
        if self.answer is not None:
            answer: web.StreamResponse = self.answer()
            return answer
        token = f"token-{len(self.forms)}"
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 600})

    def client(self, **options: Any) -> TokenClient:
        return TokenClient(self.url, GATE, KEY, self.ca_pem, self.clock, **options)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    now = datetime.now(UTC)
    authority = make_authority("synthetic", now=now)
    issued = issue_certificate(authority, ["localhost"], now=now)
    (folder / "cert.pem").write_bytes(issued.certificate_pem)
    (folder / "key.pem").write_bytes(issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    app = web.Application()
    app.router.add_post("/oauth2/token", endpoint.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    endpoint.url = f"https://localhost:{runner.addresses[0][1]}/oauth2/token"
    endpoint.ca_pem = authority.certificate_pem
    try:
        yield endpoint
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with serving(tmp_path) as endpoint:
        yield endpoint


async def test_the_request_is_private_key_jwt(endpoint: Endpoint) -> None:
    async with endpoint.client() as client:
        assert await client.token("exchange.query") == "token-1"
    (form,) = endpoint.forms
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "exchange.query"
    assert form["client_assertion_type"] == ASSERTION_TYPE
    read = jwt.decode(
        form["client_assertion"], ECKey.import_key(dict(public_jwk(KEY))), algorithms=["ES256"]
    )
    assert read.header == {"alg": "ES256", "kid": KEY.key_id, "typ": "JWT"}
    now = int(endpoint.clock().timestamp())
    assert read.claims["iss"] == read.claims["sub"] == GATE
    assert read.claims["aud"] == endpoint.url
    assert (read.claims["iat"], read.claims["exp"]) == (now, now + 60)


async def test_a_token_is_kept_until_four_fifths_of_its_life(endpoint: Endpoint) -> None:
    async with endpoint.client() as client:
        assert await client.token("a") == "token-1"
        endpoint.clock.advance(479)
        assert await client.token("a") == "token-1"
        endpoint.clock.advance(1)
        assert await client.token("a") == "token-2"
        client.forget("a")
        assert await client.token("a") == "token-3"
    first, second, _ = (form["client_assertion"] for form in endpoint.forms)
    assert first != second


async def test_those_who_ask_at_once_share_one_fetch_and_scopes_do_not_mix(
    endpoint: Endpoint,
) -> None:
    async with endpoint.client() as client:
        tokens = await asyncio.gather(*(client.token("a") for _ in range(10)), client.token("b"))
    assert len(set(tokens[:10])) == 1
    assert tokens[10] != tokens[0]
    assert len(endpoint.forms) == 2


ANSWERS = {
    "refused": (
        lambda: web.json_response({"error": "invalid_client"}, status=401),
        "TOKEN_REFUSED",
    ),
    "busy": (
        lambda: web.json_response({"error": "x"}, status=429, headers={"Retry-After": "7"}),
        "OVERLOADED",
    ),
    "not json": (lambda: web.Response(text="<html>"), "TOKEN_ENDPOINT_MISBEHAVED"),
    "no object": (lambda: web.json_response([1]), "TOKEN_ENDPOINT_MISBEHAVED"),
    "no token": (lambda: web.json_response({"expires_in": 5}), "TOKEN_ENDPOINT_MISBEHAVED"),
    "no life": (lambda: web.json_response({"access_token": "x"}), "TOKEN_ENDPOINT_MISBEHAVED"),
    "negative life": (
        lambda: web.json_response({"access_token": "x", "expires_in": -1}),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
    "a truth for a life": (
        lambda: web.json_response({"access_token": "x", "expires_in": True}),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
    "a token with a line break": (
        lambda: web.json_response({"access_token": "x\r\ny", "expires_in": 600}),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
    "too large": (
        lambda: web.json_response({"access_token": "x" * 20_000, "expires_in": 600}),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
    "a redirect": (
        lambda: web.Response(status=302, headers={"Location": "https://elsewhere.invalid/"}),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
    "a server error": (
        lambda: web.json_response({"error": "INTERNAL"}, status=500),
        "TOKEN_ENDPOINT_MISBEHAVED",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_bad_answer_is_an_error_and_keeps_nothing(
    endpoint: Endpoint, name: str
) -> None:
    answer, code = ANSWERS[name]
    endpoint.answer = answer
    async with endpoint.client() as client:
        with pytest.raises(TokenError) as caught:
            await client.token("a")
        assert caught.value.code == code
        if name == "refused":
            assert caught.value.oauth_error == "invalid_client"
        if name == "busy":
            assert caught.value.retry_after_seconds == 7
        endpoint.answer = None
        assert await client.token("a") == "token-2"


async def test_an_endpoint_that_is_not_there_is_unreachable(endpoint: Endpoint) -> None:
    client = TokenClient(
        "https://localhost:1/oauth2/token", GATE, KEY, endpoint.ca_pem, endpoint.clock
    )
    async with client:
        with pytest.raises(TokenError) as caught:
            await client.token("a")
    assert caught.value.code == "TOKEN_ENDPOINT_UNREACHABLE"


async def test_an_endpoint_with_a_foreign_certificate_is_unreachable(endpoint: Endpoint) -> None:
    endpoint.ca_pem = make_authority("other", now=endpoint.clock()).certificate_pem
    async with endpoint.client() as client:
        with pytest.raises(TokenError) as caught:
            await client.token("a")
    assert caught.value.code == "TOKEN_ENDPOINT_UNREACHABLE"
    assert endpoint.forms == []


async def test_an_endpoint_that_does_not_answer_is_given_up(endpoint: Endpoint) -> None:
    never = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    silent = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    client = TokenClient(
        f"https://localhost:{port}/",
        GATE,
        KEY,
        endpoint.ca_pem,
        endpoint.clock,
        timeout_seconds=0.2,
    )
    async with client:
        with pytest.raises(TokenError) as caught:
            await client.token("a")
    assert caught.value.code == "TOKEN_ENDPOINT_UNREACHABLE"
    never.set()
    silent.close()
    await silent.wait_closed()


async def test_nothing_secret_is_shown(endpoint: Endpoint) -> None:
    async with endpoint.client() as client:
        await client.token("a")
        assert "token-1" not in repr(vars(client))
        assert json.dumps(endpoint.forms[0]["client_assertion"]) not in repr(vars(client))
