"""How the hub writes an answer on, and how it refuses.

An answer's message is not built again: its id and its envelope are put side by
side (see ``gateway.hub.questions``). Fields that this version does not know do
not travel on. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2, exchange_service_pb2

from gateway.hub.questions import id_field
from gateway.wire.errors import RpcFailure, item_error
from gateway.wire.fragments import PREPARED_LENGTHS, FieldFraming, Run
from gateway.wire.validation import field_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hutong.v1.exchange_pb2 import SealedAnswer

_MAX_ENVELOPE_BYTES: Final = field_rules(exchange_pb2.SealedAnswer, "envelope").bytes.max_len
"""The bound of a sealed answer, from the schema itself."""

_ANSWER: Final = FieldFraming(
    exchange_service_pb2.ExchangeServiceQueryStreamResponse.ANSWERS_FIELD_NUMBER
)
_ENVELOPE: Final = FieldFraming(exchange_pb2.SealedAnswer.ENVELOPE_FIELD_NUMBER)

PIECES_AN_ANSWER: Final = 4
"""Prefix, id, header and envelope."""


def answer_pieces(answer: SealedAnswer, item: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Encode an adapter's answer for its asker.

    Args:
        answer: as it came; one that holds no result, an empty or an oversized
            envelope, or a refusal without a reason, becomes ``ADAPTER_MISBEHAVED``.
        item: the asker's id.
    """
    own_id = id_field(item)
    envelope = answer.envelope
    length = len(envelope)
    if 0 < length < PREPARED_LENGTHS:
        header = _ENVELOPE.prepared[length]
    else:
        header, envelope = _large_or_refused(answer)
        length = len(envelope)
    length += len(own_id) + len(header)
    return _ANSWER.prefix(length), own_id, header, envelope


def refusals(items: Sequence[int], failure: RpcFailure) -> Run:
    """Make the refusals of items for their asker, all for one reason."""
    tail = exchange_pb2.SealedAnswer(error=item_error(failure)).SerializeToString()
    return Run(b"".join([_ANSWER.frame(id_field(item) + tail) for item in items]), len(items))


def _large_or_refused(answer: SealedAnswer) -> tuple[bytes, bytes]:
    length = len(answer.envelope)
    if 0 < length <= _MAX_ENVELOPE_BYTES:
        return _ENVELOPE.prefix(length), answer.envelope
    error = answer.error
    if answer.WhichOneof("result") != "error" or not error.reason:
        error = item_error(RpcFailure("ADAPTER_MISBEHAVED"))
    return b"", exchange_pb2.SealedAnswer(error=error).SerializeToString()
