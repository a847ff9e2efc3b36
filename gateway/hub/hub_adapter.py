"""``AdapterService`` of a hub: it answers for its prefixes as an adapter does for its city.

The superior opens one stream and introduces its callers by grants that it signs for
this hub alone. Each question then goes the way of every other question here: it is
authorised, routed to the longest prefix and forwarded with this hub's own grant,
which names the hubs passed so far. Envelope, caller and purpose stay as they came,
so what the edge sealed to the city opens there and nowhere else.

Counts of live attestations go the same way, asked by a hub on its own behalf
(:mod:`gateway.hub.live_counts`): by the superior, and by those below for what lies
beyond. Not served here: changes of status. What a city revokes travels in this hub's
feed, which the superior follows.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import grpc
from hutong.v1 import adapter_service_pb2 as pb

from gateway.hub.delegation import GrantReader, HubAdmission, grant_of
from gateway.hub.hubs_around import seconds_left
from gateway.hub.live_counts import COUNT_SECONDS
from gateway.hub.rule_proto import rule_from_proto
from gateway.wire.errors import RpcFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from gateway.hub.directory import CallerRecord
    from gateway.hub.exchange_service import ExchangeService
    from gateway.hub.hubs_around import HubGrants
    from gateway.hub.live_counts import LiveCounts
    from gateway.hub.superior import Superior

    Context = grpc.aio.ServicerContext[Any, Any]

ADAPTER_SERVICE: Final = "hutong.v1.AdapterService"
"""Full name, for health and registration."""

ADAPTER_ITEM_METHODS: Final = (f"/{ADAPTER_SERVICE}/Query", f"/{ADAPTER_SERVICE}/QueryStream")
"""Methods whose items the exchange holds against the schema's rules itself."""


class HubAdapter:
    """The service; register it with :func:`adapter_handler`.

    Args:
        hub_urn: this hub.
        exchange: carries the questions.
        superior: how the hub above is known; None: there is none, and nobody is let in.
        superiors: hubs from here up to the top, this one first.
        reader: reads the superior's grants.
        grants: reads those of hubs that ask on their own behalf.
        live: counts live attestations.
        clock: now, UTC.
    """

    def __init__(
        self,
        hub_urn: str,
        exchange: ExchangeService,
        *,
        superior: Callable[[], Superior | None],
        superiors: Callable[[], Sequence[str]],
        reader: GrantReader,
        grants: HubGrants,
        live: LiveCounts,
        clock: Callable[[], datetime],
    ) -> None:
        self._hub_urn = hub_urn
        self._exchange = exchange
        self._superior = superior
        self._superiors = superiors
        self._reader = reader
        self._grants = grants
        self._live = live
        self._clock = clock

    async def describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        """Say what this hub answers for, and whom it stands below."""
        del request, context
        superior = self._superior()
        response = pb.DescribeResponse(
            authority=self._hub_urn,
            prefixes=() if superior is None else superior.prefixes,
            software_version=_software_version(),
            # Whether a region takes imports, its own adapter says.
            imports=True,
            superiors=self._superiors(),
        )
        response.now.FromDatetime(self._clock())
        return response

    async def query(
        self, request: pb.AdapterServiceQueryRequest, context: Context
    ) -> pb.AdapterServiceQueryResponse:
        """Answer one sealed question within the call's deadline."""
        record = self._read(grant_of(context))
        envelope = await self._exchange.ask_once(
            request.question, record, record.accounted_as, context
        )
        return pb.AdapterServiceQueryResponse(envelope=envelope)

    async def query_stream(
        self, requests: AsyncIterator[pb.AdapterServiceQueryStreamRequest], context: Context
    ) -> AsyncIterator[bytes]:
        """Answer batches; yields serialised responses."""
        del context
        admission = HubAdmission(
            self._read, self._require_superior, self._require_superior().urn, self._clock
        )
        async for answers in self._exchange.carry(admission, requests):
            yield answers

    async def import_(self, request: pb.ImportRequest, context: Context) -> pb.ImportResponse:
        """Forward one sealed import to the adapter of its destination."""
        record = self._read(grant_of(context))
        envelope = await self._exchange.convert_once(
            request.sealed, record, record.accounted_as, context
        )
        return pb.ImportResponse(envelope=envelope)

    async def count_live(
        self, request: pb.CountLiveRequest, context: Context
    ) -> pb.CountLiveResponse:
        """Count what a rule touches, at the issuer's adapter or the next hub towards it."""
        ask = self._grants.read(context)
        counted = await self._live.count(
            rule_from_proto(request.rule), ask, seconds=seconds_left(context, COUNT_SECONDS)
        )
        return pb.CountLiveResponse(
            attestations=counted.attestations or 0,
            unknown=[counted.unknown] if counted.attestations is None else (),
        )

    def _read(self, grant: str) -> CallerRecord:
        superior = self._require_superior()
        return self._reader.read(
            grant, signer=superior.urn, keys=superior.anchor.token_keys, prefixes=None
        )

    def _require_superior(self) -> Superior:
        superior = self._superior()
        if superior is None:
            raise RpcFailure("TOKEN_INVALID", "this hub stands below none")
        return superior


def adapter_handler(service: HubAdapter) -> grpc.GenericRpcHandler:
    """Make the handler of the service; ``QueryStream`` answers in bytes."""
    return grpc.method_handlers_generic_handler(
        ADAPTER_SERVICE,
        {
            "Describe": grpc.unary_unary_rpc_method_handler(
                service.describe,
                request_deserializer=pb.DescribeRequest.FromString,
                response_serializer=pb.DescribeResponse.SerializeToString,
            ),
            "Query": grpc.unary_unary_rpc_method_handler(
                service.query,
                request_deserializer=pb.AdapterServiceQueryRequest.FromString,
                response_serializer=pb.AdapterServiceQueryResponse.SerializeToString,
            ),
            "Import": grpc.unary_unary_rpc_method_handler(
                service.import_,
                request_deserializer=pb.ImportRequest.FromString,
                response_serializer=pb.ImportResponse.SerializeToString,
            ),
            "CountLive": grpc.unary_unary_rpc_method_handler(
                service.count_live,
                request_deserializer=pb.CountLiveRequest.FromString,
                response_serializer=pb.CountLiveResponse.SerializeToString,
            ),
            "QueryStream": grpc.stream_stream_rpc_method_handler(
                service.query_stream,
                request_deserializer=pb.AdapterServiceQueryStreamRequest.FromString,
            ),
        },
    )


def _software_version() -> str:
    try:
        return f"hutong-hub/{version('hutong')}"
    except PackageNotFoundError:
        return "hutong-hub"
