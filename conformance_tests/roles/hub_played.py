"""The adapter that the suite plays behind a disposable hub, and the certificate it shows.

One server answers for every region that the suite enrols: the grant says which. It keeps
what came and how long it may take, answers with bytes of its own, or holds the answer
back until it is told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hutong.v1 import adapter_service_pb2 as pb
from hutong.v1 import adapter_service_pb2_grpc as pb_grpc
from hutong.v1 import exchange_pb2

from conformance_tests.peer.common import metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_Context = grpc.aio.ServicerContext[Any, Any]
_ANSWER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it reached the adapter.

    Attributes:
        grant: that introduced the caller.
        envelope: as it came.
        region: as it came.
        purpose: as it came.
        key_id: as it came.
        seconds: how long it may take.
        metadata: names of the metadata of the call.
    """

    grant: str
    envelope: bytes
    region: str
    purpose: int
    key_id: str
    seconds: float
    metadata: frozenset[str]


@dataclass(slots=True)
class PlayedAdapter(pb_grpc.AdapterServiceServicer):
    """Serves what the suite tells it to.

    Attributes:
        authority: what Describe says; of the last region enrolled with it.
        superiors: what Describe says stands above it.
        watches: whether changes are pushed.
        offers_import: whether conversions are taken.
        holds: whether answers are held back.
        deaf: whether questions of a stream are not even noted.
        live: attestations that it counts under any rule.
        asked: questions that came, the newest last.
        answers: what was answered, by envelope.
        cancelled: envelopes whose questions were taken back.
        pushed: what WatchChanges pushes, to every watcher from the first on; who watched a
            list that was replaced since gets nothing more.
        endpoint: where the hub under test finds it.
        ca_pem: root of its certificate.
    """

    authority: str = ""
    superiors: tuple[str, ...] = ()
    watches: bool = False
    offers_import: bool = True
    holds: bool = False
    deaf: bool = False
    live: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    cancelled: set[bytes] = field(default_factory=set, repr=False)
    pushed: list[pb.WatchChangesResponse] = field(default_factory=list, repr=False)
    endpoint: str = ""
    ca_pem: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _lines: int = 0

    def drop(self) -> None:
        """Cut every line on which an answer is held back."""
        self._lines += 1
        self.note()

    def note(self) -> None:
        """Wake whoever waits for something to have happened."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def Describe(  # noqa: N802 - the service's own name
        self,
        request: pb.DescribeRequest,  # noqa: ARG002 - it is empty
        context: _Context,  # noqa: ARG002 - open to everyone
    ) -> pb.DescribeResponse:
        """Say what it plays."""
        response = pb.DescribeResponse(
            authority=self.authority,
            imports=self.offers_import,
            watches=self.watches,
            superiors=self.superiors,
        )
        response.now.GetCurrentTime()
        return response

    async def Query(  # noqa: N802 - the service's own name
        self, request: pb.AdapterServiceQueryRequest, context: _Context
    ) -> pb.AdapterServiceQueryResponse:
        """Take one question."""
        grant = metadata(context, "hutong-grant")
        seconds = context.time_remaining() or 0.0
        try:
            envelope = await self._take(request.question, grant, seconds, context)
        except ConnectionError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
        return pb.AdapterServiceQueryResponse(envelope=envelope)

    async def Import(  # noqa: N802 - the service's own name
        self, request: pb.ImportRequest, context: _Context
    ) -> pb.ImportResponse:
        """Take one conversion."""
        if not self.offers_import:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no imports")
        grant = metadata(context, "hutong-grant")
        seconds = context.time_remaining() or 0.0
        return pb.ImportResponse(envelope=await self._take(request.sealed, grant, seconds, context))

    async def QueryStream(  # noqa: N802 - the service's own name
        self,
        request_iterator: AsyncIterator[pb.AdapterServiceQueryStreamRequest],
        context: _Context,
    ) -> AsyncIterator[pb.AdapterServiceQueryStreamResponse]:
        """Take questions of a stream, each on its own."""
        answers: asyncio.Queue[exchange_pb2.SealedAnswer | ConnectionError | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(request_iterator, context, answers))
        try:
            while (answer := await answers.get()) is not None:
                if isinstance(answer, ConnectionError):
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
                yield pb.AdapterServiceQueryStreamResponse(answers=[answer])
        finally:
            reading.cancel()

    async def _read(self, requests: Any, context: _Context, answers: asyncio.Queue[Any]) -> None:
        grants: dict[int, str] = {}
        running: dict[int, asyncio.Task[None]] = {}
        try:
            async for request in requests:
                grants.update({each.handle: each.grant for each in request.callers})
                for question in () if self.deaf else request.questions:
                    grant = grants.get(question.caller, "")
                    running[question.id] = asyncio.create_task(
                        self._answer(question, grant, context, answers)
                    )
                for number in request.cancelled:
                    if number in running:
                        running[number].cancel()
            if running:
                await asyncio.wait(running.values())
        finally:
            for task in running.values():
                task.cancel()
            answers.put_nowait(None)

    async def _answer(
        self,
        question: exchange_pb2.SealedQuestion,
        grant: str,
        context: _Context,
        answers: asyncio.Queue[Any],
    ) -> None:
        try:
            envelope = await self._take(question, grant, question.timeout_ms / 1000, context)
        except ConnectionError as cut:
            answers.put_nowait(cut)
            return
        answers.put_nowait(exchange_pb2.SealedAnswer(id=question.id, envelope=envelope))

    async def _take(
        self, question: exchange_pb2.SealedQuestion, grant: str, seconds: float, context: _Context
    ) -> bytes:
        names = frozenset(str(name) for name, _ in context.invocation_metadata() or ())
        self.asked.append(
            Asked(
                grant,
                question.envelope,
                question.region,
                question.purpose,
                question.key_id,
                seconds,
                names,
            )
        )
        self.note()
        lines = self._lines
        try:
            while self.holds:
                await self.changed.wait()
                if self._lines != lines:
                    raise ConnectionError
        except asyncio.CancelledError:
            self.cancelled.add(question.envelope)
            self.note()
            raise
        return self.answers.setdefault(question.envelope, os.urandom(_ANSWER_BYTES))

    async def WatchChanges(  # noqa: N802 - the service's own name
        self,
        request: pb.WatchChangesRequest,  # noqa: ARG002 - no check is as long as a heartbeat
        context: _Context,  # noqa: ARG002 - open to everyone
    ) -> AsyncIterator[pb.WatchChangesResponse]:
        """Push what the suite put into the queue."""
        pushed, place = self.pushed, 0
        while True:
            while place < len(pushed):
                yield pushed[place]
                place += 1
            await self.changed.wait()

    async def CountLive(  # noqa: N802 - the service's own name
        self,
        request: pb.CountLiveRequest,  # noqa: ARG002 - any rule touches as many
        context: _Context,  # noqa: ARG002 - open to any hub
    ) -> pb.CountLiveResponse:
        """Count as many as it was told."""
        return pb.CountLiveResponse(attestations=self.live)

    async def until(self, happened: Any, seconds: float) -> bool:
        """Wait for something to have happened; returns whether it did.

        Args:
            happened: asked after every note.
            seconds: longest wait.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not happened():
                    await self.changed.wait()
        return bool(happened())


@contextlib.asynccontextmanager
async def played_adapter(host: str, port: int = 0) -> AsyncIterator[PlayedAdapter]:
    """Serve one behind TLS.

    Args:
        host: name by which the hub under test reaches this machine.
        port: zero: a free one.
    """
    certificate, key = _certificate(host)
    adapter = PlayedAdapter(ca_pem=certificate.decode())
    server = grpc.aio.server()
    pb_grpc.add_AdapterServiceServicer_to_server(adapter, server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    bound = server.add_secure_port(
        f"127.0.0.1:{port}" if host == "localhost" else f"0.0.0.0:{port}", credentials
    )
    adapter.endpoint = f"{host}:{bound}"
    await server.start()
    try:
        yield adapter
    finally:
        adapter.holds = False
        adapter.note()
        await server.stop(grace=0)


def _certificate(host: str) -> tuple[bytes, bytes]:
    """A certificate of an hour, its own root, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hutong conformance suite")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=6))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
