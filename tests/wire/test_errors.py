from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hutong.v1 import error_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError, InternalError, PeerError
from gateway.wire.errors import (
    STATUS_OF_REASON,
    FieldFault,
    RpcFailure,
    failure_from_item,
    failure_from_rpc_error,
    item_error,
    status_of,
)

SCHEMA = Path(__file__).parents[2] / "protos" / "hutong" / "v1" / "error.proto"
REASONS = [
    name.removeprefix("ERROR_REASON_")
    for name in error_pb2.ErrorReason.keys()  # noqa: SIM118  not a dictionary
    if not name.endswith("UNSPECIFIED")
]


def received(status: status_pb2.Status, code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, status.message)


def test_every_reason_of_the_schema_has_its_status() -> None:
    assert set(STATUS_OF_REASON) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_the_status_is_the_one_the_schema_comments_say(reason: str) -> None:
    """The comment above each value in error.proto begins with its status code."""
    lines = [line.strip() for line in SCHEMA.read_text(encoding="utf-8").splitlines()]
    first = next(i for i, line in enumerate(lines) if line.startswith(f"ERROR_REASON_{reason} ="))
    while lines[first - 1].startswith("//"):
        first -= 1
    assert lines[first].startswith(f"// {STATUS_OF_REASON[reason].name}:")


@given(
    reason=st.sampled_from(REASONS),
    retry=st.none() | st.integers(0, 10_000_000),
    fields=st.lists(st.builds(FieldFault, st.text(max_size=20), st.text(max_size=40)), max_size=4),
    incident=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_a_failure_survives_the_wire(
    reason: str, retry: int | None, fields: list[FieldFault], incident: str | None
) -> None:
    seconds = None if retry is None else retry / 1000
    sent = RpcFailure(reason, retry_after_seconds=seconds, fields=fields, incident=incident)
    got = failure_from_rpc_error(received(status_of(sent), sent.status))
    assert (got.code, got.fields, got.incident) == (reason, tuple(fields), incident)
    assert got.retry_after_seconds == seconds


@given(
    reason=st.sampled_from(REASONS),
    retry=st.none() | st.integers(1, 10_000_000),
    incident=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_the_refusal_of_an_item_survives_the_wire(
    reason: str, retry: int | None, incident: str | None
) -> None:
    seconds = None if retry is None else retry / 1000
    sent = RpcFailure(reason, retry_after_seconds=seconds, incident=incident)
    got = failure_from_item(item_error(sent))
    assert (got.code, got.retry_after_seconds, got.incident) == (reason, seconds, incident)


def test_an_unknown_reason_of_an_item_stays_a_refusal() -> None:
    assert failure_from_item(error_pb2.ItemError(reason=12345)).code == "REASON_12345"  # type: ignore[arg-type]  # a newer peer


def test_errors_without_a_wire_reason() -> None:
    assert item_error(CallerError("x", code="DOCUMENT_INVALID")).reason == (
        error_pb2.ERROR_REASON_INVALID_REQUEST
    )
    assert item_error(InternalError("x")).reason == error_pb2.ERROR_REASON_INTERNAL
    assert item_error(PeerError("x")).reason == error_pb2.ERROR_REASON_ADAPTER_UNREACHABLE


@pytest.mark.parametrize(
    ("code", "details", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connection refused", "PEER_UNREACHABLE"),
        (grpc.StatusCode.UNIMPLEMENTED, "", "UNIMPLEMENTED"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.CANCELLED, "", "CANCELLED"),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Received message larger than max",
            "MESSAGE_TOO_LARGE",
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", "OVERLOADED"),
        (grpc.StatusCode.UNKNOWN, "Unexpected <class>: secret", "INTERNAL"),
        (grpc.StatusCode.DATA_LOSS, "", "INTERNAL"),
    ],
)
def test_a_status_without_our_details_means_what_the_transport_means(
    code: grpc.StatusCode, details: str, reason: str
) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
    failure = failure_from_rpc_error(error)
    assert failure.code == reason
    assert "secret" not in str(failure)


@given(st.binary(max_size=64))
def test_details_that_do_not_parse_are_ignored(data: bytes) -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", data))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata)
    assert failure_from_rpc_error(error).code == "PEER_UNREACHABLE"


@pytest.mark.parametrize(
    ("domain", "reason"), [("other", "OVERLOADED"), ("hutong", "lower case"), ("hutong", "")]
)
def test_a_foreign_or_malformed_reason_is_ignored(domain: str, reason: str) -> None:
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(domain=domain, reason=reason))
    status = status_pb2.Status(code=14, details=[packed])
    failure = failure_from_rpc_error(received(status, grpc.StatusCode.UNAVAILABLE))
    assert failure.code == "PEER_UNREACHABLE"


def test_a_status_text_is_cut_and_redacted() -> None:
    text = "document 330106199001011234 " + "x" * 1000
    message = status_of(CallerError(text)).message
    assert "330106199001011234" not in message
    assert len(message) <= 512
