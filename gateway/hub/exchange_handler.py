"""How the exchange is put on a gRPC server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from hutong.v1 import exchange_service_pb2

from gateway.hub.exchange_service import EXCHANGE_SERVICE

if TYPE_CHECKING:
    from gateway.hub.exchange_service import ExchangeService


def exchange_handler(service: ExchangeService) -> grpc.GenericRpcHandler:
    """Make the handler of the service.

    It is made by hand because ``QueryStream`` answers in bytes that are
    serialised already.
    """
    request = exchange_service_pb2.ExchangeServiceQueryRequest
    response = exchange_service_pb2.ExchangeServiceQueryResponse
    batch = exchange_service_pb2.ExchangeServiceQueryStreamRequest
    return grpc.method_handlers_generic_handler(
        EXCHANGE_SERVICE,
        {
            "Query": grpc.unary_unary_rpc_method_handler(
                service.query,
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            ),
            "Convert": grpc.unary_unary_rpc_method_handler(
                service.convert,
                request_deserializer=exchange_service_pb2.ConvertRequest.FromString,
                response_serializer=exchange_service_pb2.ConvertResponse.SerializeToString,
            ),
            "QueryStream": grpc.stream_stream_rpc_method_handler(
                service.query_stream, request_deserializer=batch.FromString
            ),
        },
    )
