"""How a refusal travels: reasons, status codes, details.

A failed call carries ``google.rpc.Status`` with one ``google.rpc.ErrorInfo``
whose domain is ``hutong`` and whose reason is the name of an ``ErrorReason``
without its prefix; ``BadRequest`` names offending fields, ``RetryInfo`` says
when a retry may help (``protos/hutong/v1/error.proto``). An item of a batch
carries the same as ``ItemError``.

Both directions are here: from an error to the wire (:func:`abort_with`,
:func:`item_error`) and from the wire to an error
(:func:`failure_from_rpc_error`, :func:`failure_from_item`).

Texts: what a room's error says goes out, shortened and redacted, because house
rules keep personal values out of it. The text of any other exception never
does; see ``gateway.wire.interceptors``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hutong.v1 import error_pb2

from gateway.errors import CallerError, HutongError
from gateway.wire.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hutong.v1.error_pb2 import ItemError

DOMAIN: Final = "hutong"
"""Domain of every ErrorInfo, as ``error.proto`` says."""

INCIDENT_KEY: Final = "incident"
"""Member of the ErrorInfo metadata that holds the incident id."""

_MAX_TEXT = 512
"""Characters of a status message: trailers share an 8 KiB frame with the rest."""

_PREFIX: Final = "ERROR_REASON_"
_REASON_SHAPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
"""The shape google.rpc.ErrorInfo allows for a reason."""

_S = grpc.StatusCode

STATUS_OF_REASON: Final[Mapping[str, grpc.StatusCode]] = {
    "INVALID_REQUEST": _S.INVALID_ARGUMENT,
    "DEADLINE_MISSING": _S.INVALID_ARGUMENT,
    "MESSAGE_TOO_LARGE": _S.RESOURCE_EXHAUSTED,
    "DUPLICATE_ID": _S.INVALID_ARGUMENT,
    "TOKEN_MISSING": _S.UNAUTHENTICATED,
    "TOKEN_INVALID": _S.UNAUTHENTICATED,
    "TOKEN_EXPIRED": _S.UNAUTHENTICATED,
    "SCOPE_MISSING": _S.PERMISSION_DENIED,
    "CALLER_SUSPENDED": _S.PERMISSION_DENIED,
    "PURPOSE_NOT_ALLOWED": _S.PERMISSION_DENIED,
    "AUDIENCE_NOT_ALLOWED": _S.PERMISSION_DENIED,
    "UNKNOWN_REGION": _S.NOT_FOUND,
    "REGION_SUSPENDED": _S.UNAVAILABLE,
    "ADAPTER_UNREACHABLE": _S.UNAVAILABLE,
    "OVERLOADED": _S.RESOURCE_EXHAUSTED,
    "ADAPTER_MISBEHAVED": _S.INTERNAL,
    "DEADLINE_EXCEEDED": _S.DEADLINE_EXCEEDED,
    "CANCELLED": _S.CANCELLED,
    "SHUTTING_DOWN": _S.UNAVAILABLE,
    "ENVELOPE_UNREADABLE": _S.INVALID_ARGUMENT,
    "SEALING_KEY_UNKNOWN": _S.INVALID_ARGUMENT,
    "QUESTION_STALE": _S.INVALID_ARGUMENT,
    "QUESTION_REPLAYED": _S.ALREADY_EXISTS,
    "AUTHORITY_EXISTS": _S.ALREADY_EXISTS,
    "PREFIX_TAKEN": _S.ALREADY_EXISTS,
    "KEY_MALFORMED": _S.INVALID_ARGUMENT,
    "STATEMENT_INVALID": _S.INVALID_ARGUMENT,
    "POSSESSION_NOT_PROVEN": _S.FAILED_PRECONDITION,
    "NOT_FOUND": _S.NOT_FOUND,
    "WRONG_STATE": _S.FAILED_PRECONDITION,
    "SCHEME_INVALID": _S.INVALID_ARGUMENT,
    "POLICY_INVALID": _S.INVALID_ARGUMENT,
    "PAGE_TOKEN_INVALID": _S.INVALID_ARGUMENT,
    "IMPORT_NOT_OFFERED": _S.FAILED_PRECONDITION,
    "ATTESTATION_INVALID": _S.INVALID_ARGUMENT,
    "CALL_NOT_APPLIED": _S.FAILED_PRECONDITION,
    "DECLARATION_MISSING": _S.FAILED_PRECONDITION,
    "PROXY_NOT_ALLOWED": _S.PERMISSION_DENIED,
    "SEQUENCE_AHEAD": _S.OUT_OF_RANGE,
    "HUB_UNKNOWN": _S.NOT_FOUND,
    "PACK_TOO_LARGE": _S.INVALID_ARGUMENT,
    "PACK_EMPTY": _S.FAILED_PRECONDITION,
    "PACK_BASE_TOO_OLD": _S.FAILED_PRECONDITION,
    "LEAD_TIME_TOO_SHORT": _S.INVALID_ARGUMENT,
    "DISTRUST_INVALID": _S.INVALID_ARGUMENT,
    "ROUTE_LOOP": _S.FAILED_PRECONDITION,
    "HUB_UNREACHABLE": _S.UNAVAILABLE,
    "INTERNAL": _S.INTERNAL,
}
"""The status code of every reason, from the comments of ``error.proto``."""

_REASON_OF_STATUS: Final[Mapping[grpc.StatusCode, str]] = {
    _S.UNAVAILABLE: "PEER_UNREACHABLE",
    _S.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    _S.CANCELLED: "CANCELLED",
    _S.UNIMPLEMENTED: "UNIMPLEMENTED",
    _S.RESOURCE_EXHAUSTED: "OVERLOADED",
    _S.UNAUTHENTICATED: "TOKEN_INVALID",
    _S.PERMISSION_DENIED: "SCOPE_MISSING",
    _S.INVALID_ARGUMENT: "INVALID_REQUEST",
    _S.NOT_FOUND: "NOT_FOUND",
}
"""What a status without our details means: the transport or a foreign proxy spoke."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that breaks its rule.

    Attributes:
        field: path in the message, for example ``question.key_id``.
        description: the rule, never the value.
    """

    field: str
    description: str


class RpcFailure(HutongError):  # noqa: N818  the contract's word for a refused call
    """A call or an item was refused.

    Attributes:
        code: the reason; ``PEER_UNREACHABLE`` or ``UNIMPLEMENTED`` when the
            transport failed and no peer gave a reason.
        retry_after_seconds: when a retry may help; None: no statement.
        fields: offending fields.
        incident: id of the incident at the peer, with ``INTERNAL`` only.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        retry_after_seconds: float | None = None,
        fields: Iterable[FieldFault] = (),
        incident: str | None = None,
    ) -> None:
        super().__init__(message or code, code=code)
        self.retry_after_seconds = retry_after_seconds
        self.fields = tuple(fields)
        self.incident = incident

    @property
    def status(self) -> grpc.StatusCode:
        """The status code that goes with the reason."""
        return STATUS_OF_REASON.get(self.code, grpc.StatusCode.INTERNAL)


def reason_of(error: HutongError) -> str | None:
    """Return the wire reason of an error, or None where it has none.

    An error of the caller whose code is not a reason of the wire is
    ``INVALID_REQUEST``; any other such error is an incident.
    """
    if error.code in STATUS_OF_REASON:
        return error.code
    return "INVALID_REQUEST" if isinstance(error, CallerError) else None


def status_of(error: HutongError) -> status_pb2.Status:
    """Build the ``google.rpc.Status`` of an error that has a wire reason."""
    reason = reason_of(error) or "INTERNAL"
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    details: list[any_pb2.Any] = []
    incident = getattr(error, "incident", None)
    if incident:
        info.metadata[INCIDENT_KEY] = incident
    details.append(_pack(info))
    fields: tuple[FieldFault, ...] = getattr(error, "fields", ())
    if fields:
        details.append(
            _pack(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=fault.field, description=fault.description
                        )
                        for fault in fields
                    ]
                )
            )
        )
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(0, round(retry_after * 1000)))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    code = STATUS_OF_REASON[reason].value[0]
    return status_pb2.Status(
        code=code,
        message=redact_text(str(error))[:_MAX_TEXT],
        details=details,
    )


async def abort_with(context: grpc.aio.ServicerContext[Any, Any], error: HutongError) -> NoReturn:
    """End the call with the status of an error.

    Args:
        context: of the call.
        error: what to say; without a wire reason it becomes ``INTERNAL``.

    Raises:
        grpc.aio.AbortError: always; it ends the call.
    """
    await context.abort_with_status(rpc_status.to_status(status_of(error)))


def item_error(error: HutongError) -> ItemError:
    """Turn an error into the refusal of one item."""
    reason = reason_of(error) or "INTERNAL"
    retry_after = getattr(error, "retry_after_seconds", None)
    return error_pb2.ItemError(
        reason=error_pb2.ErrorReason.Value(_PREFIX + reason),
        retry_after_ms=0 if retry_after is None else max(1, round(retry_after * 1000)),
        incident=getattr(error, "incident", None) or "",
    )


def failure_from_item(error: ItemError) -> RpcFailure:
    """Turn the refusal of one item into an error.

    A reason this version does not know stays a refusal, named by its number.
    """
    try:
        code = error_pb2.ErrorReason.Name(error.reason).removeprefix(_PREFIX)
    except ValueError:
        code = f"REASON_{int(error.reason)}"
    return RpcFailure(
        code,
        retry_after_seconds=error.retry_after_ms / 1000 if error.retry_after_ms else None,
        incident=error.incident or None,
    )


def failure_from_rpc_error(error: grpc.aio.AioRpcError) -> RpcFailure:
    """Turn a failed call into an error.

    The peer's text is not taken over: only the reason, the fields, the retry
    hint and the incident id are. Details that do not parse, or do not agree
    with the status, are ignored.
    """
    code: str | None = None
    retry_after: float | None = None
    incident: str | None = None
    fields: list[FieldFault] = []
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
            if info.domain == DOMAIN and _REASON_SHAPE.fullmatch(info.reason):
                code = info.reason
                incident = info.metadata.get(INCIDENT_KEY)
        elif detail.Is(bad.DESCRIPTOR) and detail.Unpack(bad):
            fields += [FieldFault(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    if code is None:
        code = _REASON_OF_STATUS.get(error.code(), "INTERNAL")
        # The transport refuses an oversized message on its own, in either
        # direction, and only its text tells that from a peer that is full.
        if code == "OVERLOADED" and "larger than max" in (error.details() or ""):
            code = "MESSAGE_TOO_LARGE"
    return RpcFailure(code, retry_after_seconds=retry_after, fields=fields, incident=incident)


def _details(error: grpc.aio.AioRpcError) -> Iterable[any_pb2.Any]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                return ()
            return list(status.details)
    return ()


def _pack(
    message: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
