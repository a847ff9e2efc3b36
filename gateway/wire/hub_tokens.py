"""Tokens that a hub signs with its token key: access tokens and caller grants.

Both are compact JWS (:mod:`gateway.trust.jws`) of one hub for one reader, with a
``typ`` of their own. A verifier holds them against the hub's token keys, issuer,
audience and life; what verified is remembered by the SHA-256 of the whole token,
and its expiry is held against the clock at every use. What the further claims
mean, and which error says that they do not hold, each room says for itself.

No text here repeats a token or a claim of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from gateway.trust import jws

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey

ACCESS_TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  a media type
"""``typ`` of an access token (RFC 9068 §2.1)."""

CLIENT_KEY: Final = "client_key"
"""Claim of an access token: id of the key that fetched it."""

GRANT_TYPE: Final = "hutong-grant+jwt"
"""``typ`` of a caller grant."""

GRANT_METADATA_KEY: Final = "hutong-grant"
"""Metadata entry that carries a grant on a unary call (``adapter_service.proto``)."""

EXCHANGE_SCOPE: Final = "exchange.query"
"""The scope that asking needs."""

MAX_VIA: Final = 16
"""Hubs that a question may pass, as ``DescribeResponse.superiors``."""

MAX_TOKEN_BYTES: Final = 4096
"""As ``hutong.v1.CallerGrant.grant``; ours take about 600 bytes."""

MAX_LIFETIME_SECONDS: Final = 3600
"""The longest life that a hub's settings allow; ten minutes is usual."""

LEEWAY_SECONDS: Final = 60
"""How far the clocks of the hub's processes, and of an adapter, may differ."""

MAX_CACHED: Final = 10_000
"""Tokens kept: about 1 kB each, one a connected caller."""


class ClaimError(Exception):
    """A claim is missing or malformed; never leaves the verifier."""


class Dated(Protocol):
    """What a token was found to say."""

    @property
    def expires_at(self) -> int:
        """Unix seconds, exclusive."""


T = TypeVar("T")
D = TypeVar("D", bound=Dated)


class HubTokenVerifier(Generic[D]):
    """Verifies one kind of token for one reader.

    Args:
        typ: the only ``typ`` to accept.
        named: what to call it in messages, for example ``access token``.
        issuer: URN of the hub.
        audience: URN of the reader.
        keys: the hub's token keys by id, the retired ones that still verify included.
            Looked up at every use, so that a mapping may change: see :class:`TokenKeys`.
        read: makes the result of the claims, ``exp`` checked; raises
            :class:`ClaimError`, or an error of the room.
        refuse: makes the error of the room, from a code and a message.
        clock: now, aware, UTC.
        max_cached: verified tokens remembered.
    """

    def __init__(
        self,
        typ: str,
        *,
        named: str,
        issuer: str,
        audience: str,
        keys: Mapping[str, VerificationKey],
        read: Callable[[dict[str, Any]], D],
        refuse: Callable[[str, str], Exception],
        clock: Callable[[], datetime],
        max_cached: int = MAX_CACHED,
    ) -> None:
        self._typ = typ
        self._named = named
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._read = read
        self._refuse = refuse
        self._clock = clock
        self._cache: Bounded[tuple[str, D]] = Bounded(max_cached)

    def verify(self, token: str) -> D:
        """Return what a token says.

        Raises:
            Exception: the room's: TOKEN_INVALID, TOKEN_EXPIRED, or what ``read`` raises.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise self._refuse("TOKEN_INVALID", f"the {self._named} is too long")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        kept = self._cache.get(digest)
        # A key that was revoked since takes what it signed with it.
        if kept is None or kept[0] not in self._keys:
            kept = self._verify(token)
            self._cache.put(digest, kept)
        self.check_expiry(kept[1])
        return kept[1]

    def check_expiry(self, verified: D) -> None:
        """Hold a token's end against the clock; done at every use.

        Raises:
            Exception: the room's: TOKEN_EXPIRED.
        """
        if self._clock().timestamp() >= verified.expires_at:
            raise self._refuse("TOKEN_EXPIRED", f"the {self._named} is past its lifetime")

    def _verify(self, token: str) -> tuple[str, D]:
        try:
            parts = jws.take_apart(token, typ=self._typ, max_bytes=MAX_TOKEN_BYTES)
            key = self._keys.get(parts.key_id)
            if key is None:
                raise self._refuse("TOKEN_INVALID", f"the {self._named} names an unknown key")
            parts.check_signature(key)
            claims = parts.claims()
        except (jws.MalformedError, jws.SignatureError):
            raise self._refuse("TOKEN_INVALID", f"the {self._named} does not verify") from None
        try:
            self._check(claims, key)
            return key.key_id, self._read(claims)
        except ClaimError:
            message = f"a claim of the {self._named} does not hold"
            raise self._refuse("TOKEN_INVALID", message) from None

    def _check(self, claims: dict[str, Any], key: VerificationKey) -> None:
        issued_at, expires_at = claims.get("iat"), claims.get("exp")
        if not (
            claims.get("iss") == self._issuer
            and claims.get("aud") == self._audience
            and type(issued_at) is int
            and type(expires_at) is int
            and 0 < expires_at - issued_at <= MAX_LIFETIME_SECONDS
            and issued_at <= self._clock().timestamp() + LEEWAY_SECONDS
            and (not key.first_second or key.first_second <= issued_at)
            and issued_at < key.end_second
        ):
            raise ClaimError


class TokenKeys(Mapping[str, "VerificationKey"]):
    """A hub's token keys as they are now, by id.

    Args:
        now: gives them; asked at every use.
    """

    def __init__(self, now: Callable[[], Mapping[str, VerificationKey]]) -> None:
        self._now = now

    def __getitem__(self, key_id: str) -> VerificationKey:
        return self._now()[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


class Bounded(Generic[T]):
    """A dictionary that forgets what came first when it is full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> T | None:
        """Return what is kept under a key."""
        return self._entries.get(key)

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value, newest."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value
