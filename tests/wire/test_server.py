from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hutong.v1 import exchange_service_pb2, exchange_service_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import CallerError, InternalError, TrustError
from gateway.wire.channel import open_channel, unsafe_open_insecure_channel
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from gateway.wire.server import HutongServer, ServerError, ServerSettings
from tests.wire.echo import SERVICE, STREAM, EchoService, query, question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio

MARKER = "synthetic-marker-张三-330106199001011234"


@asynccontextmanager
async def serving(
    service: EchoService | None = None, *, items: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[tuple[HutongServer, Any]]:
    server = HutongServer(
        ServerSettings(unsafe_insecure=True, **({"drain_seconds": 2.0} | changes)),
        items_validated_by_servicer=items,
    )
    server.add(
        SERVICE,
        exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server,
        service or EchoService(),
    )
    await server.start()
    async with channel_to(server) as channel:
        try:
            yield server, exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        finally:
            await server.stop()


def channel_to(server: HutongServer) -> grpc.aio.Channel:
    return unsafe_open_insecure_channel(f"127.0.0.1:{server.port}")


async def refusal(call: Any) -> tuple[grpc.StatusCode, RpcFailure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (call.read() if hasattr(call, "read") else call)
    return caught.value.code(), failure_from_rpc_error(caught.value)


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


async def test_an_answer_passes_through() -> None:
    async with serving() as (_, stub):
        response = await stub.Query(query(envelope=b"sealed"), timeout=5)
        assert response.envelope == b"sealed"


async def test_a_unary_call_without_a_deadline_is_refused() -> None:
    async with serving() as (_, stub):
        status, failure = await refusal(stub.Query(query()))
    assert (status, failure.code) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")


async def test_a_deadline_beyond_the_cap_is_cut() -> None:
    service = EchoService()
    service.release.clear()
    async with serving(service, max_unary_seconds=0.05) as (_, stub):
        status, failure = await refusal(stub.Query(query(), timeout=3600))
    assert (status, failure.code) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_a_timeout_inside_a_servicer_is_an_incident_not_the_callers_deadline() -> None:
    service = EchoService(raising(TimeoutError()))
    async with serving(service, max_unary_seconds=0.5) as (_, stub):
        status, failure = await refusal(stub.Query(query(), timeout=3600))
    assert (status, failure.code) == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_a_broken_field_is_named_and_its_value_is_not() -> None:
    async with serving() as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Query(query(region="oops42"), timeout=5)
    failure = failure_from_rpc_error(caught.value)
    assert failure.code == "INVALID_REQUEST"
    assert [fault.field for fault in failure.fields] == ["question.region"]
    assert "oops42" not in repr(caught.value)


async def test_stream_messages_are_held_against_their_rules() -> None:
    batch = exchange_service_pb2.ExchangeServiceQueryStreamRequest
    async with serving() as (_, stub):
        call = stub.QueryStream()
        await call.write(batch(questions=[question(1), question(2, region="")]))
        _, failure = await refusal(call)
    assert failure.code == "INVALID_REQUEST"
    assert [fault.field for fault in failure.fields] == ["questions[1].region"]


async def test_methods_that_check_their_items_get_them_unchecked() -> None:
    batch = exchange_service_pb2.ExchangeServiceQueryStreamRequest
    async with serving(items=(STREAM,)) as (_, stub):
        call = stub.QueryStream()
        await call.write(batch(questions=[question(1), question(2, region="")]))
        message = await call.read()
        assert [answer.id for answer in message.answers] == [1, 2]
        call.cancel()


@pytest.mark.parametrize("raw", [b"\x0a\xff", b"\x0a\x05abc", b"\xff" * 8])
@pytest.mark.parametrize("method", ["Query", "QueryStream"])
async def test_bytes_that_do_not_parse_are_refused(raw: bytes, method: str) -> None:
    async with serving() as (server, _), channel_to(server) as channel:
        if method == "Query":
            call: Any = channel.unary_unary(f"/{SERVICE}/{method}")(raw, timeout=5)
        else:
            call = channel.stream_stream(f"/{SERVICE}/{method}")()
            await call.write(raw)
        status, failure = await refusal(call)
    assert (status, failure.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_message_beyond_the_limit_is_refused() -> None:
    async with serving(max_message_bytes=1000) as (_, stub):
        for size in (1100, 10_000):
            status, failure = await refusal(stub.Query(query(envelope=b"x" * size), timeout=5))
            assert (status, failure.code) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "MESSAGE_TOO_LARGE",
            )


async def test_an_error_of_ours_leaves_with_its_reason_fields_and_hint() -> None:
    error = RpcFailure("OVERLOADED", "too much is in flight", retry_after_seconds=1.5)
    async with serving(EchoService(raising(error))) as (_, stub):
        status, failure = await refusal(stub.Query(query(), timeout=5))
    assert (status, failure.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failure.retry_after_seconds == 1.5


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CallerError("a document does not hold", code="DOCUMENT_INVALID"), "INVALID_REQUEST"),
        (TrustError("it does not verify", code="STATEMENT_INVALID"), "STATEMENT_INVALID"),
        (TrustError("no reason on the wire", code="SIGNATURE_INVALID"), "INTERNAL"),
        (InternalError("our own fault"), "INTERNAL"),
    ],
)
async def test_errors_without_a_wire_reason_become_the_nearest_that_says_no_more(
    error: Exception, reason: str
) -> None:
    async with serving(EchoService(raising(error))) as (_, stub):
        _, failure = await refusal(stub.Query(query(), timeout=5))
    assert failure.code == reason
    assert bool(failure.incident) == (reason == "INTERNAL")


class StrangeError(Exception):
    def __str__(self) -> str:
        return MARKER

    __repr__ = __str__


@given(
    make=st.sampled_from(
        [
            lambda: ValueError(MARKER),
            lambda: KeyError(MARKER),
            lambda: StrangeError(MARKER),
            lambda: ExceptionGroup(MARKER, [ValueError(MARKER)]),
            lambda: UnicodeDecodeError("utf-8", MARKER.encode(), 0, 1, MARKER),
            lambda: InternalError(MARKER),
            lambda: AssertionError(MARKER),
            lambda: StopAsyncIteration(MARKER),
            lambda: grpc.RpcError(MARKER),
            lambda: OSError(5, MARKER, MARKER),
        ]
    ),
    streaming=st.booleans(),
)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_exception_text_leaks(make: Callable[[], Exception], *, streaming: bool) -> None:
    with structlog.testing.capture_logs() as entries:
        async with serving(EchoService(raising(make()))) as (_, stub):
            if streaming:
                call = stub.QueryStream()
                await call.write(
                    exchange_service_pb2.ExchangeServiceQueryStreamRequest(questions=[question()])
                )
            else:
                call = stub.Query(query(), timeout=5)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (call.read() if streaming else call)
    error = caught.value
    failure = failure_from_rpc_error(error)
    assert (error.code(), failure.code) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert failure.incident
    spoken = [error.details(), error.debug_error_string(), repr(error)]
    spoken += [repr(pair) for pair in error.trailing_metadata() or ()]
    logged = json.dumps(entries, default=repr, ensure_ascii=False)
    for part in ("marker", "张三", "330106199001011234"):
        assert not any(part in (text or "") for text in spoken)
        assert part not in logged
    assert failure.incident in logged


async def test_what_a_serialiser_refuses_is_an_incident_too(caplog: Any) -> None:
    class Wrong(EchoService):
        async def Query(self, request: Any, context: Any) -> Any:
            return MARKER

    async with serving(Wrong()) as (_, stub):
        status, failure = await refusal(stub.Query(query(), timeout=5))
    assert (status, failure.code) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "marker" not in caplog.text


async def test_a_method_nobody_serves_is_unimplemented() -> None:
    async with serving() as (server, _), channel_to(server) as channel:
        for method in (f"/{SERVICE}/Nothing", "/no.Service/Query", "/"):
            call: Any = channel.unary_unary(method)(b"", timeout=5)
            status, failure = await refusal(call)
            assert (status, failure.code) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


async def test_a_servicer_that_does_not_implement_a_method_says_so() -> None:
    async with serving(EchoService(raising(NotImplementedError(MARKER)))) as (_, stub):
        status, failure = await refusal(stub.Query(query(), timeout=5))
    assert (status, failure.code) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


async def test_calls_beyond_the_limit_are_refused_at_once() -> None:
    service = EchoService()
    service.release.clear()
    async with serving(service, max_concurrent_calls=1) as (server, stub):
        first = stub.Query(query(), timeout=5)
        await service.entered.wait()
        assert server.calls_in_flight == 1
        status, failure = await refusal(stub.Query(query(), timeout=5))
        assert (status, failure.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert failure.retry_after_seconds
        service.release.set()
        assert (await first).envelope
        assert (await stub.Query(query(), timeout=5)).envelope


async def health_of(server: HutongServer, service: str = "") -> Any:
    async with channel_to(server) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        # A probe without a deadline is answered too.
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_health_answers_for_the_server_and_each_service() -> None:
    async with serving() as (server, _):
        assert await health_of(server) == health_pb2.HealthCheckResponse.SERVING
        assert await health_of(server, SERVICE) == health_pb2.HealthCheckResponse.SERVING


async def test_a_drain_refuses_new_calls_and_lets_those_in_flight_finish() -> None:
    service = EchoService()
    service.release.clear()
    async with serving(service) as (server, stub):
        told: list[int] = []
        server.on_drain(lambda: told.append(server.calls_in_flight))
        first = stub.Query(query(envelope=b"first"), timeout=5)
        await service.entered.wait()
        stopping = asyncio.create_task(server.stop())
        while not told:  # noqa: ASYNC110  the drain offers a callback, no event
            await asyncio.sleep(0)
        assert told == [1]
        assert await health_of(server) == health_pb2.HealthCheckResponse.NOT_SERVING
        status, failure = await refusal(stub.Query(query(), timeout=5))
        assert (status, failure.code) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert failure.retry_after_seconds
        service.release.set()
        assert (await first).envelope == b"first"
        await stopping


async def test_a_drain_ends_after_its_time_whatever_is_in_flight() -> None:
    service = EchoService()
    service.release.clear()
    async with serving(service, drain_seconds=0.05) as (server, stub):
        call = stub.Query(query(), timeout=30)
        await service.entered.wait()
        await asyncio.gather(server.stop(), server.stop())
        status, _ = await refusal(call)
        assert status is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_server(number: int) -> None:
    async with serving() as (server, stub):
        running = asyncio.create_task(server.run_until_signal())
        assert (await stub.Query(query(), timeout=5)).envelope
        os.kill(os.getpid(), number)
        await running
        status, _ = await refusal(stub.Query(query(), timeout=5))
        assert status is grpc.StatusCode.UNAVAILABLE


async def test_reflection_is_off_unless_asked_for() -> None:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    for reflection in (False, True):
        async with serving(reflection=reflection) as (server, _), channel_to(server) as channel:
            call: Any = channel.stream_stream(method)()
            if reflection:
                await call.write(b"\x3a\x01*")
                assert SERVICE.encode() in await call.read()
                call.cancel()
            else:
                # Nothing is written: a refusal that outruns the write would come out of the write.
                assert (await refusal(call))[0] is grpc.StatusCode.UNIMPLEMENTED


def write_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "server.pem", folder / "server-key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


async def test_tls_serves_who_trusts_the_certificate_and_nobody_else(tmp_path: Path) -> None:
    chain, private = write_certificate(tmp_path)
    server = HutongServer(ServerSettings(tls_certificate=chain, tls_key=private))
    server.add(
        SERVICE, exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server, EchoService()
    )
    await server.start()
    (tmp_path / "other").mkdir()
    other, _ = write_certificate(tmp_path / "other")
    target = f"127.0.0.1:{server.port}"
    for roots, trusted in ((chain, True), (other, False)):
        channel = open_channel(target, ca_pem=roots.read_bytes(), server_name="localhost")
        async with channel:
            stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
            if trusted:
                assert (await stub.Query(query(), timeout=5)).envelope
            else:
                status, failure = await refusal(stub.Query(query(), timeout=5))
                assert (status, failure.code) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE")
    async with unsafe_open_insecure_channel(target) as channel:
        plain: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        assert (await refusal(plain.Query(query(), timeout=5)))[0] is grpc.StatusCode.UNAVAILABLE
    await server.stop()


async def test_a_server_without_tls_must_be_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(ServerError):
        await HutongServer(ServerSettings()).start()
    missing = tmp_path / "missing.pem"
    with pytest.raises(ServerError):
        await HutongServer(ServerSettings(tls_certificate=missing, tls_key=missing)).start()


async def test_an_address_in_use_is_said_so() -> None:
    async with serving() as (server, _):
        twin = HutongServer(ServerSettings(port=server.port, unsafe_insecure=True))
        with pytest.raises(ServerError, match="cannot listen"):
            await twin.start()
