"""What a link speaks to: a city's adapter, a hub below, or the hub above.

All three carry the same batches under other field numbers, and answer alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hutong.v1 import adapter_service_pb2, exchange_service_pb2

from gateway.wire.fragments import FieldFraming

_Upstream = adapter_service_pb2.AdapterServiceQueryStreamRequest
_Exchange = exchange_service_pb2.ExchangeServiceQueryStreamRequest

HOP_MS: Final = 50
"""What a question loses a hub of its time, at most a tenth: the hub that is
further away gives up first, so that the nearer one can still say why."""


@dataclass(frozen=True, slots=True)
class LinkService:
    """Which service a link speaks to. Both answer in field 1 of their responses.

    Attributes:
        stream_method: carries batches.
        import_method: carries one sealed import.
        questions: frames a question.
        callers: frames an introduction.
        cancelled: field number of withdrawn ids.
        unreachable: the reason while the other end is away.
        hop_ms: milliseconds that a question loses on the way, at most a tenth.
    """

    stream_method: str
    import_method: str
    questions: FieldFraming
    callers: FieldFraming
    cancelled: int
    unreachable: str = "ADAPTER_UNREACHABLE"
    hop_ms: int = 0


TO_ADAPTER: Final = LinkService(
    stream_method="/hutong.v1.AdapterService/QueryStream",
    import_method="/hutong.v1.AdapterService/Import",
    questions=FieldFraming(_Upstream.QUESTIONS_FIELD_NUMBER),
    callers=FieldFraming(_Upstream.CALLERS_FIELD_NUMBER),
    cancelled=_Upstream.CANCELLED_FIELD_NUMBER,
)
"""A city's adapter."""

TO_HUB_BELOW: Final = replace(TO_ADAPTER, unreachable="HUB_UNREACHABLE", hop_ms=HOP_MS)
"""A hub that answers for its prefixes."""

TO_HUB_ABOVE: Final = LinkService(
    stream_method="/hutong.v1.ExchangeService/QueryStream",
    import_method="/hutong.v1.ExchangeService/Convert",
    questions=FieldFraming(_Exchange.QUESTIONS_FIELD_NUMBER),
    callers=FieldFraming(_Exchange.CALLERS_FIELD_NUMBER),
    cancelled=_Exchange.CANCELLED_FIELD_NUMBER,
    unreachable="HUB_UNREACHABLE",
    hop_ms=HOP_MS,
)
"""The superior's exchange, as a member of it."""
