"""Who may call the issuer: clients, their roles, and the assertions they sign.

Every call carries one assertion (RFC 7523 §3 in shape): a compact JWS of
:mod:`gateway.trust.jws`, ``typ`` ``JWT``, whose ``iss`` and ``sub`` are the client,
``aud`` is the issuer's URN, ``exp`` lies at most 60 seconds after ``iat`` and ahead, and
``jti`` is used once. The key is the one that the settings list for this client.

The used ids stand in the database, so that several processes share them. A database
failure refuses the call.

What is wrong is told apart no further than TOKEN_INVALID and TOKEN_EXPIRED; an unknown
client and a wrong signature are the same.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.attestation.keys import VerificationKey
from gateway.issuer.days import to_seconds
from gateway.issuer.store.service_schema import used_assertions
from gateway.trust import jws
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import grpc

    from gateway.attestation.keys import Algorithm, PublicKey, SigningKey
    from gateway.issuer.store import IssuerStore

ASSERTION_TYPE: Final = "JWT"
ASSERTION_SECONDS: Final = 60
"""Longest life of an assertion: ``IssuerService``."""
LEEWAY_SECONDS: Final = 30
"""How far clocks of clients may differ; a choice, half of the life."""
MAX_ASSERTION_BYTES: Final = 4096
"""An assertion takes about 500 bytes."""
MAX_JTI_CHARACTERS: Final = 128

_BEARER: Final = "bearer "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Role(StrEnum):
    """What a client may do."""

    APPLICATION = "application"
    GATE = "gate"
    FEEDER = "feeder"
    REVIEWER = "reviewer"


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    Attributes:
        name: as facts record it, at most 64 characters.
        roles: what it may do.
        key: verifies its assertions.
    """

    name: str
    roles: frozenset[Role]
    key: VerificationKey = field(repr=False)


def make_client(
    name: str,
    roles: Iterable[Role],
    key: tuple[str, Algorithm, PublicKey],
) -> Client:
    """Bind a public key, as :func:`public_key_from_jwk` gives it, to a client."""
    key_id, algorithm, public_key = key
    return Client(
        name,
        frozenset(roles),
        VerificationKey(
            key_id=key_id,
            issuer=name,
            algorithm=algorithm,
            public_key=public_key,
            prefixes=(),
            not_before=_EPOCH,
        ),
    )


def make_assertion(
    client: str,
    key: SigningKey,
    audience: str,
    now: datetime,
    *,
    random_token: Callable[[], str] = secrets.token_urlsafe,
) -> str:
    """Sign the assertion of one call, as a client.

    Args:
        client: name of the client.
        key: its private key.
        audience: URN of the issuer.
        now: the clock.
        random_token: the source of its id.
    """
    issued_at = int(now.timestamp())
    claims = {
        "iss": client,
        "sub": client,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + ASSERTION_SECONDS,
        "jti": random_token(),
    }
    return jws.sign(claims, key, typ=ASSERTION_TYPE)


class AssertionLedger:
    """Remembers which assertions were used."""

    def __init__(self, store: IssuerStore) -> None:
        self._store = store

    async def spend(self, client: str, jti: str, expires_at: int) -> bool:
        """Use an id up; False when it was used before."""
        digest = hashlib.sha256(f"{len(client)}:{client}{jti}".encode()).digest()
        insert: Any = postgresql.insert if self._store.is_postgres else sqlite.insert
        async with self._store.write() as connection:
            if self._store.is_postgres:
                # What a crash of the database may lose is the last fraction of a second,
                # and every call would otherwise wait for the disk a second time.
                await connection.execute(sa.text("SET LOCAL synchronous_commit = off"))
            result = await connection.execute(
                insert(used_assertions)
                .values(digest=digest, expires_at=expires_at)
                .on_conflict_do_nothing()
            )
            return bool(result.rowcount == 1)

    async def forget(self, before: datetime) -> None:
        """Delete those that are long expired."""
        table = used_assertions
        async with self._store.write() as connection:
            await connection.execute(
                sa.delete(table).where(table.c.expires_at < to_seconds(before))
            )


class ClientDesk:
    """Authenticates calls.

    Args:
        audience: URN of the issuer.
        clients: those of the settings, by name; asked anew for each call.
        ledger: remembers what was used.
        clock: now, aware, UTC.
    """

    def __init__(
        self,
        *,
        audience: str,
        clients: Callable[[], Mapping[str, Client]],
        ledger: AssertionLedger,
        clock: Callable[[], datetime],
    ) -> None:
        self._audience = audience
        self._clients = clients
        self._ledger = ledger
        self._clock = clock

    async def require(self, context: grpc.aio.ServicerContext[Any, Any], *roles: Role) -> str:
        """Authenticate a call, and make sure that its client has one of the roles.

        Returns:
            The client's name.

        Raises:
            RpcFailure: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED or SCOPE_MISSING.
            StoreError: the database failed; the assertion is refused.
        """
        now = int(self._clock().timestamp())
        client, jti, expires_at = self._verify(_bearer(context), now)
        if not await self._ledger.spend(client.name, jti, expires_at + LEEWAY_SECONDS):
            raise _invalid()
        if client.roles.isdisjoint(roles):
            raise RpcFailure("SCOPE_MISSING", f"the call needs the role {' or '.join(roles)}")
        return client.name

    def _verify(self, token: str, now: int) -> tuple[Client, str, int]:
        try:
            parts = jws.take_apart(token, typ=ASSERTION_TYPE, max_bytes=MAX_ASSERTION_BYTES)
            claims = parts.claims()
            subject = claims.get("sub")
            client = self._clients().get(subject) if isinstance(subject, str) else None
            if client is None:
                raise _invalid()
            parts.check_signature(client.key)
        except (jws.MalformedError, jws.SignatureError):
            raise _invalid() from None
        issued_at, expires_at, jti = claims.get("iat"), claims.get("exp"), claims.get("jti")
        if not (
            claims.get("iss") == subject
            and claims.get("aud") == self._audience
            and type(issued_at) is int
            and type(expires_at) is int
            and isinstance(jti, str)
            and 0 < len(jti) <= MAX_JTI_CHARACTERS
            and jti.isprintable()
            and issued_at <= now + LEEWAY_SECONDS
            and issued_at < expires_at <= issued_at + ASSERTION_SECONDS
            and claims.get("nbf", issued_at) == issued_at
        ):
            raise _invalid()
        if expires_at <= now - LEEWAY_SECONDS:
            raise RpcFailure("TOKEN_EXPIRED", "the assertion is expired")
        return client, jti, expires_at


def _invalid() -> RpcFailure:
    return RpcFailure("TOKEN_INVALID", "the assertion does not hold")


def _bearer(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    found = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(found) != 1 or not isinstance(found[0], str) or not found[0].lower().startswith(_BEARER):
        raise RpcFailure("TOKEN_MISSING", "one bearer assertion is needed")
    return found[0][len(_BEARER) :].strip()
