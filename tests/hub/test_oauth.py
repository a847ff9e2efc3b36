from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from gateway.attestation import base64url
from gateway.attestation.keys import generate_signing_key, public_jwk, signing_key_to_jwk
from gateway.hub.access import AccessControl, hub_verification_key
from gateway.hub.directory import CallerKind, CallerRecord
from gateway.hub.oauth import SCOPES, OAuthClient, TokenIssuer, TokenResponse
from gateway.trust import jws
from gateway.wire.token_client import ASSERTION_TYPE
from tests.hub.hub_world import GATE, HUB, START, Clock, signing_key

if TYPE_CHECKING:
    from datetime import datetime

pytestmark = pytest.mark.asyncio

URL = "https://hub.invalid:7480"
TOKEN_URL = f"{URL}/oauth2/token"
KEY = signing_key("oauth/gate")
HUB_KEY = signing_key("hub/token")
NOW = int(START.timestamp())


class Clients:
    """One checkpoint; ``active`` may be switched off."""

    def __init__(self) -> None:
        self.active = True
        self.key = KEY

    def oauth_client(self, urn: str, now: datetime) -> OAuthClient | None:
        if urn != GATE or not self.active:
            return None
        return OAuthClient(
            urn=GATE,
            kind=CallerKind.CHECKPOINT,
            scopes=SCOPES["CHECKPOINT"],
            jwks=[public_jwk(self.key)],
        )


class Ledger:
    """Spent ids in memory."""

    def __init__(self) -> None:
        self.spent: dict[tuple[str, str], datetime] = {}

    async def spend_proof(self, client: str, proof_id: str, *, expires_at: datetime) -> bool:
        is_new = (client, proof_id) not in self.spent
        self.spent.setdefault((client, proof_id), expires_at)
        return is_new


class World:
    def __init__(self) -> None:
        self.clock, self.clients, self.ledger = Clock(), Clients(), Ledger()
        self.issuer = TokenIssuer(
            hub_urn=HUB,
            key=HUB_KEY,
            clients=self.clients,
            ledger=self.ledger,
            lifetime_seconds=600,
            issuer_urls=[URL, "https://127.0.0.1:7480"],
            clock=self.clock,
        )

    async def ask(self, assertion: str, **changes: str | None) -> TokenResponse:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        } | changes
        return await self.issuer.respond({k: v for k, v in form.items() if v is not None})


@pytest.fixture
def world() -> World:
    return World()


def claims(**changes: Any) -> dict[str, Any]:
    good = {
        "iss": GATE,
        "sub": GATE,
        "aud": TOKEN_URL,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "synthetic-1",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def assertion(key: Any = KEY, **changes: Any) -> str:
    return jws.sign(claims(**changes), key, typ="JWT")


async def test_a_good_assertion_gets_a_token_that_the_hub_itself_accepts(world: World) -> None:
    response = await world.ask(assertion())
    assert response.status == 200
    assert response.client == GATE
    body = response.body
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 600
    assert body["scope"] == "exchange.query"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    control = AccessControl(
        HUB, [hub_verification_key(HUB_KEY, HUB)], Directory(), clock=world.clock
    )
    access = control.authenticate(body["access_token"])
    assert access.caller == GATE
    assert access.scopes == {"exchange.query"}
    assert access.expires_at == NOW + 600


class Directory:
    def caller(self, client_urn: str) -> CallerRecord | None:
        return None

    def adapters(self) -> list[Any]:
        return []

    def subscribe(self, callback: Any) -> None:
        del callback


async def test_the_token_is_an_rfc_9068_token_an_independent_reader_verifies(world: World) -> None:
    token = (await world.ask(assertion())).body["access_token"]
    read = jwt.decode(token, ECKey.import_key(dict(public_jwk(HUB_KEY))), algorithms=["ES256"])
    assert read.header["typ"] == "at+jwt"
    assert read.header["kid"] == HUB_KEY.key_id
    members = {"iss", "aud", "sub", "client_id", "client_key", "scope", "iat", "exp", "jti"}
    assert set(read.claims) == members
    assert read.claims["iss"] == read.claims["aud"] == HUB
    assert read.claims["sub"] == read.claims["client_id"] == GATE
    assert read.claims["client_key"] == KEY.key_id


@pytest.mark.parametrize(
    "audience",
    [TOKEN_URL, URL, HUB, [TOKEN_URL], "https://127.0.0.1:7480/oauth2/token"],
    ids=["endpoint", "issuer", "urn", "list of one", "other address"],
)
async def test_every_name_of_this_hub_is_an_audience(world: World, audience: Any) -> None:
    assert (await world.ask(assertion(aud=audience))).status == 200


BAD_CLAIMS = {
    "no iss": {"iss": None},
    "another iss": {"iss": "urn:hutong:checkpoint:440100:south-gate"},
    "another sub": {"sub": "urn:hutong:checkpoint:440100:south-gate"},
    "no sub": {"sub": None},
    "sub no text": {"sub": 1},
    "no aud": {"aud": None},
    "another aud": {"aud": "https://elsewhere.invalid/oauth2/token"},
    "several auds": {"aud": [TOKEN_URL, "https://elsewhere.invalid"]},
    "no auds": {"aud": []},
    "aud no text": {"aud": 1},
    "no exp": {"exp": None},
    "expired": {"exp": NOW - 61},
    "too long a life": {"exp": NOW + 361},
    "exp no number": {"exp": "soon"},
    "exp a truth": {"exp": True},
    "exp beyond time": {"exp": 10**15},
    "from the future": {"iat": NOW + 61},
    "not yet valid": {"nbf": NOW + 61},
    "no jti": {"jti": None},
    "empty jti": {"jti": ""},
    "jti no text": {"jti": 7},
    "long jti": {"jti": "x" * 129},
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
async def test_a_bad_claim_is_refused_and_spends_nothing(world: World, name: str) -> None:
    response = await world.ask(assertion(**BAD_CLAIMS[name]))
    assert response.status in {400, 401}
    assert response.body == {
        "error": "invalid_client",
        "error_description": "client authentication failed",
    }
    assert response.client is None
    assert world.ledger.spent == {}


def _with_header(**changes: Any) -> str:
    header = {"alg": "ES256", "kid": KEY.key_id, "typ": "JWT"} | changes
    good = assertion()
    encoded = base64url.encode(json.dumps(header).encode())
    return f"{encoded}.{good.split('.')[1]}.{good.split('.')[2]}"


def _hmac_with_public_key() -> str:
    secret = OctKey.import_key(json.dumps(public_jwk(KEY)))
    return jwt.encode({"alg": "HS256"}, claims(), secret, algorithms=["HS256"])


def _unsigned() -> str:
    header = base64url.encode(b'{"alg":"none"}')
    return f"{header}.{base64url.encode(json.dumps(claims()).encode())}."


def _resigned() -> str:
    other = generate_signing_key()
    private = ECKey.import_key({k: v for k, v in signing_key_to_jwk(other).items() if k != "kid"})
    return jwt.encode({"alg": "ES256", "kid": KEY.key_id}, claims(), private)


BAD_ASSERTIONS = {
    "empty": lambda: "",
    "not a token": lambda: "x",
    "no json": lambda: "e30.eA.eA",
    "an array": lambda: "e30.W10.eA",
    "too long": lambda: assertion(pad="x" * 5000),
    "another key": lambda: assertion(generate_signing_key()),
    "another key under the known name": _resigned,
    "unsigned": _unsigned,
    "hmac with the public key": _hmac_with_public_key,
    "another algorithm named": lambda: _with_header(alg="HS256"),
    "a critical extension": lambda: _with_header(crit=["exp"]),
    "not ascii": lambda: "é.é.é",
}


@pytest.mark.parametrize("name", BAD_ASSERTIONS)
async def test_a_bad_assertion_is_refused_like_any_other(world: World, name: str) -> None:
    response = await world.ask(BAD_ASSERTIONS[name]())
    assert response.body == {
        "error": "invalid_client",
        "error_description": "client authentication failed",
    }
    assert world.ledger.spent == {}


async def test_an_unknown_and_a_suspended_client_get_the_same_answer(world: World) -> None:
    stranger = "urn:hutong:checkpoint:440100:south-gate"
    unknown = await world.ask(assertion(iss=stranger, sub=stranger))
    world.clients.active = False
    suspended = await world.ask(assertion())
    wrong = await world.ask(assertion(generate_signing_key()))
    assert unknown.body == suspended.body == wrong.body
    assert unknown.status == suspended.status == wrong.status


async def test_an_assertion_is_accepted_once_also_when_its_scope_was_refused(
    world: World,
) -> None:
    token = assertion()
    refused = await world.ask(token, scope="registry.approve")
    assert refused.status == 400
    assert refused.body["error"] == "invalid_scope"
    again = await world.ask(token)
    assert again.body["error"] == "invalid_client"
    assert "access_token" not in again.body


async def test_a_spent_id_is_remembered_until_its_assertion_is_void(world: World) -> None:
    await world.ask(assertion(exp=NOW + 300))
    (expires_at,) = world.ledger.spent.values()
    assert expires_at.timestamp() >= NOW + 300 + 60


@pytest.mark.parametrize("scope", ["exchange.query", "exchange.query exchange.query", None, ""])
async def test_the_scopes_granted_are_those_asked_for(world: World, scope: str | None) -> None:
    response = await world.ask(assertion(), scope=scope)
    assert response.body["scope"] == "exchange.query"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"client_assertion_type": None}, "invalid_client"),
        ({"client_assertion_type": "other"}, "invalid_client"),
        ({"client_assertion": None}, "invalid_client"),
        ({"client_id": "urn:hutong:checkpoint:440100:south-gate"}, "invalid_client"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"scope": "registry.publish"}, "invalid_scope"),
    ],
)
async def test_bad_requests_get_the_errors_of_rfc_6749(
    world: World, changes: dict[str, str | None], error: str
) -> None:
    response = await world.ask(assertion(), **changes)
    assert response.status in {400, 401}
    assert response.body["error"] == error
    assert "access_token" not in response.body


async def test_an_ed25519_key_authenticates_too(world: World) -> None:
    world.clients.key = generate_signing_key("Ed25519")
    assert (await world.ask(assertion(world.clients.key))).status == 200


async def test_a_client_id_beside_the_assertion_may_stand_if_it_is_the_same(world: World) -> None:
    assert (await world.ask(assertion(), client_id=GATE)).status == 200


async def test_the_metadata_is_complete(world: World) -> None:
    metadata = world.issuer.metadata()
    assert metadata["issuer"] == URL
    assert metadata["token_endpoint"] == TOKEN_URL
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "none" not in metadata["token_endpoint_auth_signing_alg_values_supported"]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["grant_type", "client_assertion_type", "client_assertion", "scope", "client_id"]
        ),
        st.text(max_size=40) | st.just("client_credentials") | st.just(ASSERTION_TYPE),
    )
)
async def test_no_form_without_an_assertion_gets_a_token(form: dict[str, str]) -> None:
    world = World()
    response = await world.issuer.respond(form)
    assert response.status in {400, 401}
    assert "access_token" not in response.body
    assert str(response.body["error"]).isascii()
