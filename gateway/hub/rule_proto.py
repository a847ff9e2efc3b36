"""A distrust rule as ``hutong.v1`` writes it, and back."""

from __future__ import annotations

from hutong.v1 import distrust_pb2

from gateway.trust import DistrustError, DistrustRule, names
from gateway.trust.times import from_seconds


def rule_from_proto(message: distrust_pb2.DistrustRule) -> DistrustRule:
    """Read a rule as operators hand it in.

    Raises:
        DistrustError: it names nothing, or a span that is none.
    """
    has_serials = bool(message.first_serial or message.last_serial)
    try:
        return DistrustRule(
            issuer=message.issuer,
            signed_from=from_seconds(message.signed_from.seconds),
            signed_until=(
                from_seconds(message.signed_until.seconds)
                if message.HasField("signed_until")
                else None
            ),
            kind=message.kind or None,
            key_id=message.key_id or None,
            prefix=names.shortest(message.prefix) or None,
            scheme=message.scheme or None,
            first_serial=message.first_serial if has_serials else None,
            last_serial=message.last_serial if has_serials else None,
        )
    except (ValueError, OverflowError):
        raise DistrustError("an instant of the rule lies outside the calendar") from None


def rule_to_proto(rule: DistrustRule) -> distrust_pb2.DistrustRule:
    """Write a rule as adapters read it."""
    message = distrust_pb2.DistrustRule(
        issuer=rule.issuer,
        kind=rule.kind or "",
        key_id=rule.key_id or "",
        prefix=rule.prefix or "",
        scheme=rule.scheme or "",
        first_serial=rule.first_serial or 0,
        last_serial=rule.last_serial or 0,
    )
    message.signed_from.FromDatetime(rule.signed_from)
    if rule.signed_until is not None:
        message.signed_until.FromDatetime(rule.signed_until)
    return message
