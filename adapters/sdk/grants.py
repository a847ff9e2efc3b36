"""Who asks: the caller grants that a hub signs for this adapter.

A grant (``hutong-grant+jwt``, docs/adr/0005) names the caller, the region where
it stands, and the purposes it may declare. It is verified against the hub's
token keys (``hub_anchor``), is meant for this authority alone, and lives ten minutes.
What verified is remembered by the digest of the whole grant; its expiry is held
against the clock at every use. No text here repeats a grant or a claim of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from adapters.sdk.errors import QuestionError
from gateway.wire.hub_tokens import (
    EXCHANGE_SCOPE,
    GRANT_TYPE,
    MAX_CACHED,
    ClaimError,
    HubTokenVerifier,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.trust.anchor import TrustAnchor


@dataclass(frozen=True, slots=True)
class CallerContext:
    """What a verified grant says.

    Attributes:
        caller: URN of who asks.
        region: six-digit division where it stands.
        purposes: names of the purposes it may declare, for example ``CHECKPOINT``.
        expires_at: Unix seconds, exclusive.
    """

    caller: str
    region: str
    purposes: frozenset[str]
    expires_at: int


class _Claims(msgspec.Struct):
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    region: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$")]
    scope: str
    purposes: Annotated[list[str], msgspec.Meta(max_length=32)]
    exp: int


class GrantVerifier(HubTokenVerifier[CallerContext]):
    """Verifies grants; raises QuestionError: TOKEN_INVALID, TOKEN_EXPIRED or SCOPE_MISSING.

    Args:
        anchor: the hub and its token keys.
        authority: URN of the authority this adapter speaks for.
        clock: now, aware, UTC.
        keys: the hub's token keys as they are now; None: those of the anchor.
        max_cached: verified grants remembered.
    """

    def __init__(
        self,
        anchor: TrustAnchor,
        authority: str,
        *,
        clock: Callable[[], datetime],
        keys: Mapping[str, VerificationKey] | None = None,
        max_cached: int = MAX_CACHED,
    ) -> None:
        super().__init__(
            GRANT_TYPE,
            named="grant",
            issuer=anchor.hub,
            audience=authority,
            keys=anchor.token_keys if keys is None else keys,
            read=_read,
            refuse=_refused,
            clock=clock,
            max_cached=max_cached,
        )


def _read(claims: dict[str, Any]) -> CallerContext:
    try:
        said = msgspec.convert(claims, _Claims)
    except msgspec.ValidationError:
        raise ClaimError from None
    if EXCHANGE_SCOPE not in said.scope.split():
        raise QuestionError(f"the grant lacks {EXCHANGE_SCOPE}", code="SCOPE_MISSING")
    return CallerContext(said.sub, said.region, frozenset(said.purposes), said.exp)


def _refused(code: str, message: str) -> QuestionError:
    return QuestionError(message, code=code)
