"""What both reference peers share: refusals on the wire, and where they keep files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, Self

from google.protobuf import any_pb2
from google.rpc import code_pb2 as rpc_code_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from pathlib import Path

    import grpc
    from jwcrypto import jwk


class Switch(str):
    """The name of a fault, which notes the names it is held against.

    A peer asks at every place that a fault would change: ``self.fault == "a-fault"``.
    What was never asked about during a check cannot change it.

    Attributes:
        asked: names it was held against since they were last taken.
    """

    __slots__ = ("asked",)

    asked: set[str]

    def __new__(cls, name: str) -> Self:
        """Make a switch that has noted nothing."""
        made = super().__new__(cls, name)
        made.asked = set()
        return made

    def __eq__(self, other: object) -> bool:
        """Note the name."""
        self.asked.add(str(other))
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Note the name."""
        return not self == other

    def __hash__(self) -> int:
        """Refuse: a look-up by hash would pass unnoticed.

        Raises:
            TypeError: always.
        """
        raise TypeError("a fault is compared, one name at a time")

    def take(self) -> frozenset[str]:
        """Return what was noted, and forget it."""
        noted = frozenset(self.asked)
        self.asked.clear()
        return noted


class RefusedError(Exception):
    """A peer refuses a call or an item.

    Attributes:
        code: gRPC status code.
        reason: name of an ``ErrorReason`` without prefix.
        field: offending field for BadRequest; empty for none.
        said: what the message says.
        retry_seconds: when a retry may help; zero: it does not say.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        *,
        field: str = "",
        said: str = "",
        retry_seconds: int = 0,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.field = field
        self.said = said or reason
        self.retry_seconds = retry_seconds


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: RefusedError) -> NoReturn:
    """End a call as the specification asks."""
    details = [any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="hutong"))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description="breaks its rule"
        )
        details.append(any_pb2.Any())
        details[-1].Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(error.retry_seconds)
        details.append(any_pb2.Any())
        details[-1].Pack(retry)
    number = rpc_code_pb2.Code.Value(error.code.name)
    status = status_pb2.Status(code=number, message=error.said, details=details)
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError  # abort never returns


def metadata(context: grpc.aio.ServicerContext[Any, Any], name: str) -> str:
    """Return a metadata entry, or nothing."""
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode()
    return ""


def write_json(path: Path, value: Any) -> str:
    """Write a JSON file and return its name."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path.name


def private_members(key: jwk.JWK) -> dict[str, Any]:
    """Return the private JWK as a mapping."""
    members: dict[str, Any] = json.loads(key.export_private())
    return members
