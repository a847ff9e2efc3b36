"""Access tokens: OAuth 2.0 client credentials with ``private_key_jwt``.

RFC 6749 §4.4 with the client authentication of RFC 7523 §2.2, on Authlib's
:class:`AuthorizationServer`; what comes out is an RFC 9068 ``at+jwt``. Stricter
than the general framework:

* the only client authentication is ``private_key_jwt``, ES256 or Ed25519, by a
  key the member enrolled for ``authenticate`` and that is valid now;
* ``aud`` is one value: the token endpoint, the issuer, or the hub's URN;
* ``exp`` lies at most five minutes ahead, ``iat`` not in the future, ``jti`` is
  spent in the store before the token leaves (HT-REG-6);
* an unknown client, a suspended one and a wrong signature get the same answer.

``iss`` and ``aud`` of a token are the hub's URN: the hub is both the issuer and
the only resource, and its address may change while its name does not. The
``issuer`` of the metadata (RFC 8414) is the address, as that RFC demands.

Authlib is synchronous; everything it asks is answered from memory. The one
thing that needs the store, spending the ``jti``, happens after it and before
the response.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidScopeError, OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey
from joserfc.jwt import decode

from gateway.attestation import base64url, strict_json
from gateway.attestation.jwk import thumbprint
from gateway.hub.keys import key_source
from gateway.trust import jws
from gateway.trust.times import LEEWAY, from_seconds
from gateway.wire.hub_tokens import CLIENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.attestation.keys import SigningKey
    from gateway.hub.directory import CallerKind
    from gateway.hub.keys import KeySource

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105  a path
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  RFC 9068 §2.1
MAX_ASSERTION_BYTES: Final = 4096
"""A client assertion takes about 500 bytes."""
MAX_ASSERTION_LIFE: Final = timedelta(minutes=5)
"""How far ahead ``exp`` may lie; also how long a spent ``jti`` is remembered."""
MAX_PROOF_ID_LENGTH: Final = 128
TOKEN_ID_BYTES: Final = 16

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "REGION": frozenset({"exchange.query", "registry.publish"}),
    "CHECKPOINT": frozenset({"exchange.query"}),
    "OPERATOR": frozenset({"registry.read", "registry.approve"}),
    "HUB": frozenset({"exchange.query", "registry.publish"}),
}
"""What a token may carry, by kind of member."""

_METHOD: Final = "client_assertion_jwt"
_GRANT_TYPE: Final = "client_credentials"
_REFUSED: Final = "client authentication failed"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A member as the token endpoint sees it; Authlib's client.

    Attributes:
        urn: also its ``client_id``.
        kind: what it is.
        scopes: scopes its tokens may carry.
        jwks: public keys, valid now, that authenticate it.
        authenticated_by: id of the one of them that did; empty: none yet.
    """

    urn: str
    kind: CallerKind
    scopes: frozenset[str]
    jwks: Sequence[Mapping[str, Any]] = field(repr=False)
    authenticated_by: str = ""

    def get_client_id(self) -> str:
        """The member's URN."""
        return self.urn

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes granted: all of the member's, or those asked for.

        Raises:
            InvalidScopeError: one asked for is not the member's.
        """
        asked = frozenset(scope.split()) if scope else self.scopes
        if not asked <= self.scopes:
            raise InvalidScopeError("the client may not have this scope")
        return " ".join(sorted(asked))

    def check_grant_type(self, grant_type: str) -> bool:
        """Client credentials only."""
        return grant_type == _GRANT_TYPE

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """``private_key_jwt`` at the token endpoint only."""
        return endpoint == "token" and method == _METHOD


class ClientSource(Protocol):
    """Where the token endpoint finds its clients; the registry implements it."""

    def oauth_client(self, urn: str, now: datetime) -> OAuthClient | None:
        """Return an active member with a key to authenticate; None: there is none."""
        ...


class ProofLedger(Protocol):
    """What remembers spent ids; the store implements it."""

    async def spend_proof(self, client: str, proof_id: str, *, expires_at: datetime) -> bool:
        """Use an id up; False when it was used before."""
        ...


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """What goes back over HTTP.

    Attributes:
        status: HTTP status code.
        body: JSON object.
        client: the authenticated client; None where authentication failed.
    """

    status: int
    body: Mapping[str, Any] = field(repr=False)
    client: str | None = None


@dataclass(frozen=True, slots=True)
class _Proof:
    client: str
    proof_id: str
    expires_at: datetime


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib is untyped
    def __init__(self, uri: str, form: Mapping[str, str]) -> None:
        super().__init__("POST", uri)
        self.payload = BasicOAuth2Payload(form)
        self.proof: _Proof | None = None
        self._form = form

    @property
    def form(self) -> Mapping[str, str]:
        return self._form


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib is untyped
    """RFC 7523 §3, stricter; leaves the proof to spend on the request."""

    def __init__(self, audiences: frozenset[str], clock: Callable[[], datetime]) -> None:
        super().__init__(validate_jti=False)
        self._audiences = audiences
        self._clock = clock

    def __call__(self, query_client: Callable[[str], OAuthClient | None], request: _Request) -> Any:
        assertion = request.form.get("client_assertion", "")
        if request.form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE:
            return None
        if not assertion or len(assertion) > MAX_ASSERTION_BYTES:
            raise InvalidClientError(description=_REFUSED)
        try:
            for part in assertion.split(".")[:2]:
                # joserfc lets a member stand twice; here that has no reading.
                strict_json.loads(base64url.decode(part.encode("ascii")))
            _, unverified = self.extract_assertion(assertion)
            urn = unverified.get("sub")
            named = request.form.get("client_id", urn)
            client = query_client(urn) if isinstance(urn, str) and named == urn else None
            if client is None:
                raise InvalidClientError(description=_REFUSED)
            token = decode(assertion, _key_set(client.jwks), algorithms=["ES256", "Ed25519"])
            request.proof = self._check(client.urn, token.claims)
            # Without a `kid` there was but one key to try.
            key_id = token.header.get("kid") or thumbprint(client.jwks[0])
        except (OAuth2Error, JoseError, ValueError, TypeError):
            raise InvalidClientError(description=_REFUSED) from None
        request.client = replace(client, authenticated_by=key_id)
        return request.client

    def _check(self, urn: str, claims: Mapping[str, Any]) -> _Proof:
        now = self._clock()
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            # RFC 7519 §4.1.3 allows the array; several audiences would let one of
            # them use the assertion at another.
            audience = audience[0]
        expires_at = _moment(claims.get("exp"))
        proof_id = claims.get("jti")
        issued_at = _moment(claims["iat"]) if "iat" in claims else now
        not_before = _moment(claims["nbf"]) if "nbf" in claims else now
        if not (
            claims.get("iss") == claims.get("sub") == urn
            and isinstance(audience, str)
            and audience in self._audiences
            and now - LEEWAY < expires_at <= now + MAX_ASSERTION_LIFE + LEEWAY
            and max(issued_at, not_before) <= now + LEEWAY
            and isinstance(proof_id, str)
            and 0 < len(proof_id) <= MAX_PROOF_ID_LENGTH
            # Half a character has no bytes to take a digest of.
            and proof_id.isprintable()
        ):
            raise InvalidClientError(description=_REFUSED)
        return _Proof(urn, proof_id, expires_at + LEEWAY)


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib is untyped
    TOKEN_ENDPOINT_AUTH_METHODS = (_METHOD,)


class _Server(AuthorizationServer):  # type: ignore[misc]  # Authlib is untyped
    """Authlib's server on plain values: a request in, (status, body) out."""

    def __init__(self, find: Callable[[str], OAuthClient | None]) -> None:
        super().__init__(scopes_supported=sorted(frozenset().union(*SCOPES.values())))
        self._find = find

    def query_client(self, client_id: str) -> OAuthClient | None:
        return self._find(client_id)

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        """Tokens are self-contained; nothing is kept."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """No signals."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: object) -> tuple[int, Any]:
        del headers
        return status, body


class TokenIssuer:
    """The token endpoint without HTTP.

    Args:
        hub_urn: issuer and audience of every token.
        key: the hub's token key, or what says which one signs.
        clients: who may ask.
        ledger: where spent ids are remembered.
        lifetime_seconds: life of a token.
        issuer_urls: addresses under which this hub is reached, without a slash at
            the end; the first is the one it publishes.
        clock: the time, UTC.
        random_bytes: the source of token ids.
    """

    def __init__(
        self,
        *,
        hub_urn: str,
        key: SigningKey | KeySource,
        clients: ClientSource,
        ledger: ProofLedger,
        lifetime_seconds: int,
        issuer_urls: Sequence[str],
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._hub_urn = hub_urn
        self._key = key_source(key)
        self._ledger = ledger
        self._lifetime = lifetime_seconds
        self._issuer_url = issuer_urls[0]
        self._clock = clock
        self._random_bytes = random_bytes
        audiences = {hub_urn}
        for url in issuer_urls:
            audiences |= {url, url + TOKEN_PATH}
        self._server = _Server(lambda urn: clients.oauth_client(urn, clock()))
        self._server.register_client_auth_method(_METHOD, _Assertion(frozenset(audiences), clock))
        self._server.register_grant(_Grant)
        self._server.register_token_generator("default", self._generate)

    def metadata(self) -> dict[str, Any]:
        """The authorization server metadata (RFC 8414 §2)."""
        return {
            "issuer": self._issuer_url,
            "token_endpoint": self._issuer_url + TOKEN_PATH,
            "jwks_uri": self._issuer_url + "/.well-known/jwks.json",
            "scopes_supported": self._server.scopes_supported,
            "response_types_supported": [],
            "grant_types_supported": [_GRANT_TYPE],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "Ed25519"],
            "hutong_hub": self._hub_urn,
        }

    async def respond(self, form: Mapping[str, str]) -> TokenResponse:
        """Answer one token request.

        Args:
            form: the form, each member once.

        Raises:
            StoreError: the spent id could not be recorded; nothing was issued.
        """
        request = _Request(self._issuer_url + TOKEN_PATH, form)
        status, body = self._server.create_token_response(request)
        proof = request.proof
        if proof is None:
            return TokenResponse(status, body)
        # Spent also when the scope was refused: the assertion has been used.
        if not await self._ledger.spend_proof(
            proof.client, proof.proof_id, expires_at=proof.expires_at
        ):
            refused: OAuth2Error = InvalidClientError(description=_REFUSED)
            return TokenResponse(refused.status_code, dict(refused.get_body()))
        return TokenResponse(status, body, proof.client)

    def _generate(
        self, *, client: OAuthClient, scope: str | None = None, **ignored: object
    ) -> dict[str, Any]:
        del ignored
        granted = client.get_allowed_scope(scope)
        # One moment for the claims and the key, or a token could be older than its key.
        moment = self._clock()
        now = int(moment.timestamp())
        claims = {
            "iss": self._hub_urn,
            "aud": self._hub_urn,
            "sub": client.urn,
            "client_id": client.urn,
            CLIENT_KEY: client.authenticated_by,
            "scope": granted,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": base64url.encode(self._random_bytes(TOKEN_ID_BYTES)),
        }
        return {
            "access_token": jws.sign(claims, self._key(moment), typ=TOKEN_TYPE),
            "token_type": "Bearer",
            "expires_in": self._lifetime,
            "scope": granted,
        }


def _key_set(jwks: Sequence[Mapping[str, Any]]) -> KeySet:
    return KeySet(
        [
            ECKey.import_key(dict(jwk)) if jwk["kty"] == "EC" else OKPKey.import_key(dict(jwk))
            for jwk in jwks
        ]
    )


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClientError(description=_REFUSED)
    try:
        return from_seconds(int(value))
    except (OverflowError, OSError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
