"""Holding a message against the rules that stand in the schema.

The rules are protovalidate's, written in ``protos/hutong/v1``; hub, adapter and
edge therefore refuse the same input for the same reason. A fault names the
field and the rule, never the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import protovalidate
from buf.validate import validate_pb2

from gateway.wire.errors import FieldFault, RpcFailure

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAX_FAULTS = 16
"""Faults reported of one message: enough to mend it, bounded for the trailers."""

_validator = protovalidate.Validator()


def field_faults(message: Message) -> tuple[FieldFault, ...]:
    """Return every field that breaks its rule, at most 16; empty when all hold."""
    found = _validator.collect_violations(message)
    return tuple(
        FieldFault(_path(violation.proto), str(violation.proto.message or violation.proto.rule_id))
        for violation in found[:_MAX_FAULTS]
    )


def is_valid(message: Message) -> bool:
    """Say whether every rule holds; stops at the first that does not."""
    return not _validator.collect_violations(message, fail_fast=True)


def check_message(message: Message) -> None:
    """Hold a message against its rules.

    Raises:
        RpcFailure: ``INVALID_REQUEST`` with the offending fields.
    """
    faults = field_faults(message)
    if faults:
        raise RpcFailure("INVALID_REQUEST", "a field breaks its rule", fields=faults)


def field_rules(message: type[Message], name: str) -> validate_pb2.FieldRules:
    """Return the rules of a field, for code that checks one by hand.

    Args:
        message: its type.
        name: of the field.
    """
    options = message.DESCRIPTOR.fields_by_name[name].GetOptions()
    rules: validate_pb2.FieldRules = options.Extensions[validate_pb2.field]
    return rules


def _path(violation: Any) -> str:
    if violation.field is None:
        return ""
    parts: list[str] = []
    for element in violation.field.elements:
        name = element.field_name
        subscript = getattr(element, "subscript", None)
        if subscript is not None and subscript.field == "index":
            name += f"[{subscript.value}]"
        parts.append(name)
    return ".".join(parts)
