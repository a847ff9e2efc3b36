"""How a region changes its scheme or its policy after it was admitted.

A document is signed by the region's statement key and goes into the hub's feed, from
which every checkpoint takes it; the hub's operator is not asked again. The hub checks
what it checks at an enrolment: signature, scope, and that the document loads.

Example::

    async with open_channel(target, ca_pem=ca) as channel, TokenClient(...) as tokens:
        published = await publish(
            channel, tokens, anchor=anchor, urn=urn, key=keys.state,
            documents={StatementKind.POLICY: read_policy(path)}, now=clock(),
        )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from hutong.v1 import registry_service_pb2, registry_service_pb2_grpc

from gateway.trust.statements import StatementKind, sign_statement
from gateway.wire.enrolment import CALL_SECONDS, check_hub
from gateway.wire.errors import failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.wire.token_client import TokenClient

PUBLISH_SCOPE: Final = "registry.publish"
"""What an access token must allow (docs/spec/registry.md)."""


@dataclass(frozen=True, slots=True)
class PublishedStatement:
    """A document that stands in the feed.

    Attributes:
        kind: scheme or policy.
        sequence: number of its entry.
    """

    kind: StatementKind
    sequence: int


async def publish(
    channel: grpc.aio.Channel,
    tokens: TokenClient,
    *,
    anchor: TrustAnchor,
    urn: str,
    key: SigningKey,
    documents: Mapping[StatementKind, Mapping[str, Any]],
    now: datetime,
) -> tuple[PublishedStatement, ...]:
    """Sign documents and put them into the feed, in the order given.

    Each is an entry of its own: when a later one is refused, the earlier ones stand.

    Args:
        channel: to the hub.
        tokens: fetches the region's access tokens.
        anchor: of the hub; another one is handed nothing.
        urn: of the region.
        key: its statement key.
        documents: its scheme, its policy, or both.
        now: the clock.

    Raises:
        FeedError: the hub is not the one of the anchor.
        StatementError: a document is too large.
        TokenError: the hub gives no token.
        RpcFailure: the hub refuses or cannot be reached.
    """
    signed = {
        kind: sign_statement(kind, urn, dict(document), key, now=now)
        for kind, document in documents.items()
    }
    await check_hub(channel, anchor)
    stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
    published = []
    for kind, statement in signed.items():
        token = await tokens.token(PUBLISH_SCOPE)
        try:
            response = await stub.PublishStatement(
                registry_service_pb2.PublishStatementRequest(statement=statement),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=CALL_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
        published.append(PublishedStatement(kind, response.sequence))
    return tuple(published)
