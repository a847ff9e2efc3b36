"""Who may call the reference issuer: the suite's clients, one key each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from conformance_tests import crypto
from conformance_tests.peer.common import RefusedError, metadata
from conformance_tests.roles.issuing import ROLES

if TYPE_CHECKING:
    from jwcrypto import jwk

    from conformance_tests.peer.issuer_book import Book

ISSUER = "urn:hutong:region:100000"
_Context = grpc.aio.ServicerContext[Any, Any]
_UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
_DENIED = grpc.StatusCode.PERMISSION_DENIED


@dataclass(slots=True)
class Clients:
    """Checks assertions: the suite's clients, one key each."""

    fault: str
    book: Book
    keys: dict[str, jwk.JWK] = field(
        default_factory=lambda: {role: crypto.new_signing_key() for role in ROLES}
    )
    _used: set[str] = field(default_factory=set)

    def require(self, context: _Context, *roles: str) -> str:
        """Return the client of a call that has one of the roles.

        Raises:
            RefusedError: as the specification says.
        """
        token = metadata(context, "authorization").removeprefix("Bearer ")
        if not token:
            if self.fault == "assertion-not-needed":
                return roles[0]
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_MISSING")
        try:
            claims, _ = crypto.read_signed(
                token, {key["kid"]: key for key in self.keys.values()}, "JWT"
            )
        except ValueError as error:
            if self.fault != "assertion-signature-ignored":
                raise RefusedError(_UNAUTHENTICATED, "TOKEN_INVALID") from error
            claims = crypto.unsafe_claims(token)
        if claims["aud"] != ISSUER and self.fault != "assertion-audience-ignored":
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_INVALID")
        if claims["exp"] <= self.book.now and self.fault != "assertion-expiry-ignored":
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_EXPIRED")
        if claims["jti"] in self._used and self.fault != "assertion-replay-accepted":
            raise RefusedError(_UNAUTHENTICATED, "TOKEN_INVALID")
        self._used.add(claims["jti"])
        client = str(claims["sub"])
        if client.removeprefix("other-") not in roles and self.fault != "role-ignored":
            raise RefusedError(_DENIED, "SCOPE_MISSING")
        return client
