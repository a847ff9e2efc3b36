"""A federation around one checkpoint: a feed, two regions, and a hub in this process.

The hub speaks real gRPC on loopback and answers for the regions as their adapters
would, with real sealing and real signatures. People, numbers and codes are
synthetic. Tests set ``people`` and switch faults on the hub.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from hutong.v1 import error_pb2, exchange_pb2, exchange_service_pb2, feed_service_pb2
from hutong.v1 import exchange_service_pb2_grpc as exchange_grpc
from hutong.v1 import feed_service_pb2_grpc as feed_grpc

from gateway.attestation import (
    Attestation,
    AttestationUse,
    Binding,
    VerifiedTokenCache,
    claims_to_json,
    open_question,
    seal_answer,
    sign_attestation,
)
from gateway.attestation.bound import bound_to
from gateway.attestation.sd_jwt import Disclosure, draft_disclosed, sign_disclosed
from gateway.attestation.sealing import Profile, open_import, seal_import_answer
from gateway.codes import (
    Itinerary,
    Level,
    Outcome,
    UnifiedCode,
    itinerary_to_proto,
    outcome_to_proto,
    region_urn,
)
from gateway.codes.proto import document_from_proto
from gateway.codes.schemes import load_scheme
from gateway.edge.client import ExchangeClient
from gateway.edge.decide import Pipeline
from gateway.edge.record import DecisionLog
from gateway.edge.revocation import StatusFolder, StatusLists
from gateway.edge.seen import SeenAttestations
from gateway.edge.view import TrustView
from gateway.recognition import shipped_policy
from gateway.trust import KeyUse
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.errors import RpcFailure, abort_with
from gateway.wire.replica_store import ReplicaStore
from tests.trust.simulator import FederationSimulator, RegionSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.codes import Document

NOW = datetime(2020, 4, 10, 2, 0, tzinfo=UTC)
GATE = "urn:hutong:checkpoint:440100:north-gate"
GUANGZHOU = "440100"
HANGZHOU = "330100"
SCHEMES = Path(__file__).parents[2] / "adapters" / "schemes"

HANGZHOU_QR = "https://hzjkm.example/code?id=3301{:010d}&k=fa20487d00228617"
PERSON = "330102199001010055"  # synthetic, with a valid check character


def hangzhou_qr(number: int = 0) -> str:
    return HANGZHOU_QR.format(number)


def scheme_document(city: str) -> dict[str, Any]:
    folder = SCHEMES / city
    scheme = load_scheme(
        (folder / "scheme.yaml").read_bytes(), vectors=(folder / "vectors.yaml").read_bytes()
    )
    return scheme.to_document()


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class Tokens:
    """Hands out numbered tokens."""

    def __init__(self) -> None:
        self.fetched = 0
        self._kept: str | None = None

    async def token(self, scope: str) -> str:
        assert scope == "exchange.query"
        if self._kept is None:
            self.fetched += 1
            self._kept = f"token-{self.fetched}"
        return self._kept

    def forget(self, scope: str) -> None:
        self._kept = None


def unified(level: Level = Level.GREEN, *, now: datetime = NOW, **changes: Any) -> UnifiedCode:
    code = UnifiedCode(
        level=level,
        scheme="hz-jkm@2020-02",
        state="绿码",
        assessed_at=now - timedelta(hours=2),
        source_at=now - timedelta(hours=2),
        issued_by=HANGZHOU,
    )
    return replace(code, **changes)


def _reason(value: error_pb2.ErrorReason.ValueType) -> str:
    return error_pb2.ErrorReason.Name(value).removeprefix("ERROR_REASON_")


Reply: TypeAlias = UnifiedCode | Outcome | error_pb2.ErrorReason.ValueType


@dataclass
class Seen:
    """One stream message as the hub saw it."""

    envelopes: int
    questions: list[int]
    cancelled: list[int]
    timeouts: list[int]


_DISCLOSURES = {
    exchange_pb2.DISCLOSURE_UNSPECIFIED: None,
    exchange_pb2.DISCLOSURE_MINIMAL: Disclosure.MINIMAL,
    exchange_pb2.DISCLOSURE_SELECTIVE: Disclosure.SELECTIVE,
}


class HubInProcess(exchange_grpc.ExchangeServiceServicer, feed_grpc.FeedServiceServicer):
    """Hub and origins in one; every fault is a switch."""

    def __init__(self, federation: FederationSimulator, clock: Clock) -> None:
        self.federation = federation
        self.clock = clock
        self.people: dict[str, Reply] = {}
        self.default: Reply = unified()
        self.itinerary: Itinerary | None = None
        self.messages: list[Seen] = []
        self.streams = 0
        self.tokens: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.item_errors: list[error_pb2.ErrorReason.ValueType] = []
        self.drop_stream_after: int | None = None
        self.refuse_streams_with: tuple[grpc.StatusCode, str] | None = None
        self.change_attestation: Callable[[Attestation], Attestation] = lambda one: one
        self.change_token: Callable[[str], str] = lambda token: token
        self.change_answers: Callable[[exchange_pb2.AnswerBatch], bytes] = lambda batch: (
            batch.SerializeToString()
        )
        self.change_envelope: Callable[[bytes], bytes] = lambda envelope: envelope
        self.changed = asyncio.Event()
        self.send_heads = True
        self.watch_frames: list[feed_service_pb2.WatchResponse] | None = None
        self.watches = 0
        self.snapshots = 0
        self.in_flight_peak = 0
        self.imports: list[exchange_pb2.Import] = []
        self.import_failures: list[error_pb2.ErrorReason.ValueType] = []
        self.import_answer: Callable[[exchange_pb2.ImportAnswer], None] = lambda _: None
        self.subject: Document | None = None

    # --- exchange ------------------------------------------------------------

    async def Query(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def Convert(self, request: Any, context: Any) -> Any:
        if self.import_failures:
            await abort_with(context, RpcFailure(_reason(self.import_failures.pop(0))))
        sealed = request.sealed
        purpose = exchange_pb2.Purpose.Name(sealed.purpose).removeprefix("PURPOSE_")
        binding = Binding(region_urn(sealed.region), GATE, purpose)
        region = self.region(sealed.region)
        batch = exchange_pb2.ImportBatch.FromString(
            open_import(region.sealing, sealed.envelope, binding)
        )
        self.imports += batch.imports
        answers = exchange_pb2.ImportAnswerBatch()
        for one in batch.imports:
            self.import_answer(answers.answers.add(nonce=one.nonce))
        profile = region.authority.sealing_key(self.clock()).profile
        return exchange_service_pb2.ConvertResponse(
            envelope=seal_import_answer(
                batch.reply_key, answers.SerializeToString(), binding, profile
            )
        )

    async def QueryStream(self, request_iterator: Any, context: Any) -> Any:
        self.streams += 1
        metadata = dict(context.invocation_metadata())
        self.tokens.append(metadata["authorization"].removeprefix("Bearer "))
        if self.refuse_streams_with is not None:
            code, reason = self.refuse_streams_with
            await context.abort(code, reason)
        async for request in request_iterator:
            self.messages.append(
                Seen(
                    len(request.questions),
                    [question.id for question in request.questions],
                    list(request.cancelled),
                    [question.timeout_ms for question in request.questions],
                )
            )
            if self.drop_stream_after == len(self.messages):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "synthetic loss")
            if not request.questions:
                continue
            await self.gate.wait()
            response = exchange_service_pb2.ExchangeServiceQueryStreamResponse()
            for question in request.questions:
                if self.item_errors:
                    answer = response.answers.add(id=question.id)
                    answer.error.reason = self.item_errors.pop(0)
                    continue
                response.answers.add(id=question.id, envelope=self.answer(question))
            yield response

    def region(self, code: str) -> RegionSimulator:
        return self.federation.regions[code]

    def answer(self, question: exchange_pb2.SealedQuestion) -> bytes:
        region = self.region(question.region)
        purpose = exchange_pb2.Purpose.Name(question.purpose).removeprefix("PURPOSE_")
        binding = Binding(region_urn(question.region), GATE, purpose)
        batch = exchange_pb2.QuestionBatch.FromString(
            open_question(region.sealing, question.envelope, binding)
        )
        answers = exchange_pb2.AnswerBatch()
        for one in batch.questions:
            self._answer_one(answers.answers.add(nonce=one.nonce), one, batch.audience, region)
        profile = region.authority.sealing_key(self.clock()).profile
        envelope = seal_answer(batch.reply_key, self.change_answers(answers), binding, profile)
        return self.change_envelope(envelope)

    def _answer_one(
        self,
        answer: exchange_pb2.Answer,
        question: exchange_pb2.Question,
        audience: str,
        region: RegionSimulator,
    ) -> None:
        shown = question.qr_text or question.document.number
        reply = self.people.get(shown, self.default)
        if isinstance(reply, UnifiedCode):
            answer.attestation = self.attest(
                reply,
                region,
                audience=audience,
                nonce=(
                    question.nonce if question.use == exchange_pb2.ATTESTATION_USE_ONLINE else None
                ),
                bound=(
                    bound_to(question.nonce, self.subject or document_from_proto(question.document))
                    if question.use == exchange_pb2.ATTESTATION_USE_IMPORT
                    else None
                ),
                disclosure=_DISCLOSURES[question.disclosure],
            )
        elif isinstance(reply, Outcome):
            answer.outcome.outcome = outcome_to_proto(reply)
            answer.outcome.retry_after_ms = 1500
            if self.itinerary is not None:
                answer.outcome.itinerary.CopyFrom(itinerary_to_proto(self.itinerary))
        else:
            answer.error.reason = reply

    def attest(
        self,
        code: UnifiedCode,
        region: RegionSimulator,
        *,
        audience: str = region_urn(GUANGZHOU),
        nonce: bytes | None = None,
        bound: bytes | None = None,
        life: timedelta = timedelta(minutes=5),
        disclosure: Disclosure | None = None,
    ) -> str:
        now = self.clock()
        use = AttestationUse.CARRIED if nonce is None else AttestationUse.ONLINE
        use = use if bound is None else AttestationUse.IMPORT
        attestation = Attestation(
            issuer=region.urn,
            audience=audience,
            issued_at=now,
            not_before=now,
            expires_at=now + life,
            token_id=os.urandom(16).hex(),
            subject="S" * 43,
            code=code,
            use=use,
            nonce=nonce,
            bound=bound,
        )
        attestation, key = self.change_attestation(attestation), region.signing[KeyUse.ATTEST]
        if disclosure is None:
            return self.change_token(sign_attestation(attestation, key))
        draft = draft_disclosed(claims_to_json(attestation), disclosure, os.urandom)
        return self.change_token(sign_disclosed(draft, key))

    def carried(self, code: UnifiedCode | None = None, **options: Any) -> str:
        return self.attest(code or unified(), self.region(HANGZHOU), **options)

    # --- feed ----------------------------------------------------------------

    async def Snapshot(self, request: Any, context: Any) -> Any:
        self.snapshots += 1
        manifest, entries = self.federation.snapshot()
        yield feed_service_pb2.SnapshotResponse(manifest=manifest, entries=entries[:1])
        yield feed_service_pb2.SnapshotResponse(entries=entries[1:])

    async def Watch(self, request: Any, context: Any) -> Any:
        self.watches += 1
        if self.watch_frames is not None:
            for frame in self.watch_frames:
                yield frame
            return
        after = request.after_sequence
        if after > len(self.federation.entries):
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "ahead")
        while True:
            entries = [e.token for e in self.federation.entries if e.sequence > after]
            after = len(self.federation.entries)
            if entries:
                yield feed_service_pb2.WatchResponse(
                    entries=feed_service_pb2.FeedEntries(entries=entries)
                )
            if self.send_heads:
                yield feed_service_pb2.WatchResponse(head=self.federation.head())
            self.changed.clear()
            await self.changed.wait()

    def tell(self) -> None:
        """Wake the watchers: the feed has something new, or the clock moved."""
        self.federation.now = self.clock()
        self.changed.set()


@dataclass
class World:
    """Everything around one checkpoint."""

    federation: FederationSimulator
    hub: HubInProcess
    clock: Clock
    tokens: Tokens
    channel: grpc.aio.Channel
    client: ExchangeClient
    store: ReplicaStore
    pipeline: Pipeline
    refreshes: list[int]
    state: Path
    server: grpc.aio.Server
    port: int

    def give_trust(self) -> None:
        """Hand the replica the feed as it stands, without the wire."""
        self.store._replica.load_snapshot(*self.federation.snapshot(), self.clock())
        self.store._is_usable = True


def make_federation(clock: Clock, *, profile: Profile = Profile.HPKE) -> FederationSimulator:
    # Keys that were in use before today: what is signed an hour ago has to verify.
    federation = FederationSimulator(now=clock() - timedelta(days=1))
    federation.add_region(HANGZHOU, name_zh="杭州市", name_en="Hangzhou", profile=profile)
    federation.add_region(GUANGZHOU, name_zh="广州市", name_en="Guangzhou", profile=profile)
    federation.publish_scheme(HANGZHOU, scheme_document("hangzhou"))
    federation.publish_scheme(GUANGZHOU, scheme_document("guangzhou"))
    federation.publish_policy(GUANGZHOU, shipped_policy(GUANGZHOU).to_document())
    federation.now = clock()
    return federation


async def serve(hub: HubInProcess, port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    exchange_grpc.add_ExchangeServiceServicer_to_server(hub, server)
    feed_grpc.add_FeedServiceServicer_to_server(hub, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


@asynccontextmanager
async def edge_world(
    state: Path,
    *,
    max_in_flight: int = 8192,
    questions_per_envelope: int = 64,
    profile: Profile = Profile.HPKE,
) -> AsyncIterator[World]:
    clock = Clock()
    federation = make_federation(clock, profile=profile)
    hub = HubInProcess(federation, clock)
    server, port = await serve(hub)
    channel = unsafe_open_insecure_channel(f"127.0.0.1:{port}")
    store = ReplicaStore(state / "feed.replica", federation.anchor)
    tokens = Tokens()
    refreshes: list[int] = []
    cache = VerifiedTokenCache()
    views: dict[int, TrustView] = {}
    lists = StatusLists(StatusFolder(state / "status"))

    def view() -> TrustView:
        bundle = store.bundle
        if id(bundle) not in views:
            views[id(bundle)] = TrustView(bundle, GUANGZHOU, cache, lists)
        return views[id(bundle)]

    async def refresh() -> None:
        refreshes.append(store.sequence)
        assert world is not None
        world.give_trust()

    log = DecisionLog(state / "decisions.jsonl")
    world: World | None = None
    try:
        async with ExchangeClient(
            exchange_grpc.ExchangeServiceStub(channel),
            caller=GATE,
            audience=region_urn(GUANGZHOU),
            tokens=tokens,
            keys=lambda: store.bundle,
            refresh_trust=refresh,
            clock=clock,
            random_bytes=os.urandom,
            max_in_flight=max_in_flight,
            questions_per_envelope=questions_per_envelope,
        ) as client:
            pipeline = Pipeline(
                region=GUANGZHOU,
                view=view,
                trust_age_seconds=store.age_seconds,
                client=client,
                seen=SeenAttestations(state / "seen.log", os.urandom),
                log=log,
                clock=clock,
                purpose=exchange_pb2.PURPOSE_CHECKPOINT,
                max_trust_age_seconds=24 * 3600,
            )
            world = World(
                federation,
                hub,
                clock,
                tokens,
                channel,
                client,
                store,
                pipeline,
                refreshes,
                state,
                server,
                port,
            )
            world.give_trust()
            yield world
    finally:
        hub.gate.set()
        await channel.close(None)
        await (world.server if world else server).stop(None)
        log.close()
