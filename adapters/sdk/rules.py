"""A distrust rule as it comes over the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.trust.distrust import DistrustRule
from gateway.trust.errors import DistrustError

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import distrust_pb2


def read_rule(message: distrust_pb2.DistrustRule) -> DistrustRule:
    """Read a rule; empty members and a range from zero to zero mean any.

    Raises:
        DistrustError: DISTRUST_INVALID.
    """
    first, last = message.first_serial, message.last_serial
    has_range = bool(first or last)
    return DistrustRule(
        issuer=message.issuer,
        signed_from=_moment(message.signed_from),
        signed_until=_moment(message.signed_until) if message.HasField("signed_until") else None,
        kind=message.kind or None,
        key_id=message.key_id or None,
        prefix=message.prefix or None,
        scheme=message.scheme or None,
        first_serial=first if has_range else None,
        last_serial=last if has_range else None,
    )


def _moment(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise DistrustError("a moment of the rule is none") from None
