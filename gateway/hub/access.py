"""Who may ask: access tokens in, caller grants out.

In: an access token (RFC 9068, ``at+jwt``) that this hub's token endpoint
signed, in the metadata entry ``authorization: Bearer …``. Its verification is
cached by the SHA-256 of the whole token; its expiry, and that the member is
active, still has the scope and still stands by the key that fetched the token, are
checked on **every** call, so that a suspension, a key that is taken back or a member
that enrolled anew counts at once and not when the token runs out.

Out: a grant (``hutong-grant+jwt``) that tells one adapter who asks, where the
caller stands, what it may ask and for which purposes. A grant is for that
adapter alone, so an adapter cannot use it elsewhere. It is kept until 80 % of
its life and minted anew when the member changes; an adapter therefore never
sees one that is about to expire, and a query costs no signature. A grant for
another hub, and every grant after that, names the hubs passed so far in ``via``.

No text here repeats a token or a claim of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation.keys import SigningKey, VerificationKey
from gateway.hub.keys import key_source
from gateway.trust import jws, names
from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import (
    ACCESS_TOKEN_TYPE,
    CLIENT_KEY,
    EXCHANGE_SCOPE,
    GRANT_TYPE,
    MAX_CACHED,
    Bounded,
    ClaimError,
    HubTokenVerifier,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import grpc

    from gateway.hub.directory import CallerRecord, MemberDirectory
    from gateway.hub.keys import KeySource

GRANT_LIFETIME_SECONDS: Final = 600
"""As long as an access token: a suspended caller's grant dies as soon as its token."""

_RENEW_AT: Final = 0.8
"""Share of its life after which a grant is minted anew."""

_BEARER: Final = "bearer "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Access:
    """What a verified access token says.

    Attributes:
        caller: URN of the member.
        scopes: scopes the token carries.
        expires_at: Unix seconds, exclusive.
        client_key: id of the key that fetched it.
    """

    caller: str
    scopes: frozenset[str]
    expires_at: int
    client_key: str = ""


def hub_verification_key(key: SigningKey, hub_urn: str) -> VerificationKey:
    """Bind the hub's own token key to the hub, for verifying what it signed."""
    return VerificationKey(
        key_id=key.key_id,
        issuer=hub_urn,
        algorithm=key.algorithm,
        public_key=key.public_key,
        prefixes=(),
        not_before=_EPOCH,
    )


class AccessControl:
    """Verifies access tokens and holds callers against the directory.

    Args:
        hub_urn: issuer and audience of every token.
        keys: the hub's token keys, the retired ones that still verify included; a
            mapping by id may change while it is used.
        directory: the members.
        clock: now, in UTC.
        max_cached: tokens whose verification is kept.
    """

    def __init__(
        self,
        hub_urn: str,
        keys: Iterable[VerificationKey] | Mapping[str, VerificationKey],
        directory: MemberDirectory,
        *,
        clock: Callable[[], datetime],
        max_cached: int = MAX_CACHED,
    ) -> None:
        self._directory = directory
        self._tokens = HubTokenVerifier(
            ACCESS_TOKEN_TYPE,
            named="access token",
            issuer=hub_urn,
            audience=hub_urn,
            keys=keys if isinstance(keys, Mapping) else {key.key_id: key for key in keys},
            read=_read_access,
            refuse=RpcFailure,
            clock=clock,
            max_cached=max_cached,
        )

    def require(
        self, context: grpc.aio.ServicerContext[Any, Any], scope: str
    ) -> tuple[Access, CallerRecord]:
        """Authenticate and authorise a call from its metadata.

        Raises:
            RpcFailure: ``TOKEN_MISSING``, or as :meth:`authenticate` and :meth:`authorise`.
        """
        access = self.authenticate(bearer_token(context))
        return access, self.authorise(access, scope)

    def authenticate(self, token: str) -> Access:
        """Verify an access token.

        Raises:
            RpcFailure: ``TOKEN_INVALID`` or ``TOKEN_EXPIRED``.
        """
        return self._tokens.verify(token)

    def check_expiry(self, access: Access) -> None:
        """Hold a token's end against the clock.

        Raises:
            RpcFailure: ``TOKEN_EXPIRED``.
        """
        self._tokens.check_expiry(access)

    def authorise(self, access: Access, scope: str) -> CallerRecord:
        """Hold a caller against the directory as it is now.

        Raises:
            RpcFailure: ``CALLER_SUSPENDED`` (also for a member that is no more),
                ``TOKEN_INVALID`` (fetched by a key that was taken back since, or by
                the member of this name before) or ``SCOPE_MISSING``.
        """
        record = self._directory.caller(access.caller)
        if record is None or not record.active:
            raise RpcFailure("CALLER_SUSPENDED", "the caller is not an active member")
        if record.client_keys is not None and access.client_key not in record.client_keys:
            raise RpcFailure("TOKEN_INVALID", "the key that fetched the token is not the caller's")
        if scope not in access.scopes or scope not in record.scopes:
            raise RpcFailure("SCOPE_MISSING", f"the method needs the scope {scope}")
        return record


def _read_access(claims: dict[str, Any]) -> Access:
    subject, scope, key_id = claims.get("sub"), claims.get("scope"), claims.get(CLIENT_KEY, "")
    if not (
        isinstance(subject, str)
        and subject
        and claims.get("client_id") == subject
        and isinstance(scope, str)
        and isinstance(key_id, str)
    ):
        raise ClaimError
    return Access(subject, frozenset(scope.split()), claims["exp"], key_id)


def bearer_token(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the token of a call's metadata.

    Raises:
        RpcFailure: ``TOKEN_MISSING``: there is none, or more than one.
    """
    found = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(found) != 1 or not isinstance(found[0], str) or not found[0].lower().startswith(_BEARER):
        raise RpcFailure("TOKEN_MISSING", "one bearer token is needed")
    return found[0][len(_BEARER) :].strip()


@dataclass(frozen=True, slots=True)
class Grant:
    """A minted grant.

    Attributes:
        text: the JWT.
        renew_at: Unix seconds from when a new one is needed.
    """

    text: str
    renew_at: float


class GrantMinter:
    """Mints caller grants, one for each caller and adapter, and keeps them.

    Args:
        hub_urn: issuer.
        key: the hub's token key, or what says which one signs; ES256, because every
            adapter must read it. What a key signed that has given way is not handed out.
        clock: now, in UTC.
        lifetime_seconds: life of a grant.
        max_cached: grants kept.
    """

    def __init__(
        self,
        hub_urn: str,
        key: SigningKey | KeySource,
        *,
        clock: Callable[[], datetime],
        lifetime_seconds: int = GRANT_LIFETIME_SECONDS,
        max_cached: int = MAX_CACHED,
    ) -> None:
        self._hub_urn = hub_urn
        self._key = key_source(key)
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        self._cache: Bounded[tuple[CallerRecord, str, Grant]] = Bounded(max_cached)

    def grant(self, caller: CallerRecord, adapter: str) -> Grant:
        """Return a grant with at least a fifth of its life left.

        Args:
            caller: who asks, as the directory has it now.
            adapter: URN of the authority whose adapter reads it.
        """
        moment = self._clock()
        now = moment.timestamp()
        # By the same moment as `iat`, or a grant could be older than its key.
        signs = self._key(moment)
        key = (caller.urn, adapter)
        kept = self._cache.get(key)
        if kept is not None and kept[:2] == (caller, signs.key_id) and now < kept[2].renew_at:
            return kept[2]
        grant = self._mint(caller, adapter, int(now), signs)
        self._cache.put(key, (caller, signs.key_id, grant))
        return grant

    def _mint(self, caller: CallerRecord, adapter: str, now: int, key: SigningKey) -> Grant:
        expires_at = now + self._lifetime_seconds
        renew_at = now + _RENEW_AT * self._lifetime_seconds
        if caller.grant_expires_at is not None:
            # The hub before this one renews it; nothing lives longer on the way.
            expires_at = min(expires_at, caller.grant_expires_at)
            renew_at = min(renew_at, expires_at)
        claims: dict[str, Any] = {
            "iss": self._hub_urn,
            "aud": adapter,
            "sub": caller.urn,
            "region": caller.region,
            "scope": EXCHANGE_SCOPE,
            "purposes": sorted(caller.purposes),
            "iat": now,
            "exp": expires_at,
            "jti": secrets.token_urlsafe(16),
        }
        if caller.via or names.is_hub_urn(adapter):
            claims["via"] = [*caller.via, self._hub_urn]
        return Grant(jws.sign(claims, key, typ=GRANT_TYPE), renew_at)
