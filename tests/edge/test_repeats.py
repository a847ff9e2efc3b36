"""One attestation at two gates: reported in tags, decided by the policy, reconciled later."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import feed_service_pb2, sighting_service_pb2, sighting_service_pb2_grpc
from hutong.v1 import feed_service_pb2_grpc as feed_grpc

from gateway.attestation import AttestationVerifier
from gateway.edge.acknowledging import Acknowledger
from gateway.edge.reconcile import Conflict, ConflictLog, SightingQueue, reconcile
from gateway.edge.showings import Showings
from gateway.edge.sightings import SightingReporter, sighting_of, span_of, tag_of
from gateway.errors import HutongError
from gateway.recognition import Verdict
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.errors import RpcFailure, abort_with
from tests.edge.world import NOW, Tokens, World, edge_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

ISSUER = "urn:hutong:region:330100"


class Counter(sighting_service_pb2_grpc.SightingServiceServicer, feed_grpc.FeedServiceServicer):
    """A hub that remembers tags, and words about its feed."""

    def __init__(self) -> None:
        self.tags: dict[bytes, int] = {}
        self.calls = 0
        self.refusals: list[str] = []
        self.words: list[feed_service_pb2.AcknowledgeRequest] = []

    async def Report(self, request: Any, context: Any) -> Any:
        self.calls += 1
        if self.refusals:
            await abort_with(context, RpcFailure(self.refusals.pop(0)))
        response = sighting_service_pb2.ReportResponse()
        for one in request.sightings:
            answer = response.answers.add()
            other = self.tags.get(one.tag)
            if other is not None:
                answer.elsewhere = True
                answer.seconds_apart = abs(one.seen_at.seconds - other)
        return response

    async def Acknowledge(self, request: Any, context: Any) -> Any:
        if self.refusals:
            await abort_with(context, RpcFailure(self.refusals.pop(0)))
        self.words.append(request)
        return feed_service_pb2.AcknowledgeResponse()

    def seen_elsewhere(self, token_id: str, seconds_ago: int, *, minutes: int = 30) -> None:
        """Another gate showed it: as that gate would have reported it."""
        then = NOW - timedelta(seconds=seconds_ago)
        span = span_of(then, minutes)
        for number in (span, span + 1):
            self.tags[tag_of(ISSUER, token_id, number)] = int(then.timestamp())


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[Counter, grpc.aio.Channel]]:
    counter = Counter()
    server = grpc.aio.server()
    sighting_service_pb2_grpc.add_SightingServiceServicer_to_server(counter, server)
    feed_grpc.add_FeedServiceServicer_to_server(counter, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = unsafe_open_insecure_channel(f"127.0.0.1:{port}")
    try:
        yield counter, channel
    finally:
        await channel.close(None)
        await server.stop(None)


def reporter_of(channel: grpc.aio.Channel) -> SightingReporter:
    return SightingReporter(sighting_service_pb2_grpc.SightingServiceStub(channel), Tokens())


def make_aware(world: World, queue: SightingQueue, reporter: SightingReporter | None) -> None:
    world.pipeline._showings = Showings(queue, reporter, wait_seconds=30)


def token_id_of(world: World, token: str) -> str:
    attestation = AttestationVerifier(world.store.bundle).verify(
        token, audience="urn:hutong:region:440100", now=world.clock()
    )
    return attestation.token_id


async def test_a_tag_is_of_one_span_and_says_nothing_without_the_id() -> None:
    assert tag_of(ISSUER, "a", 7) == tag_of(ISSUER, "a", 7)
    others = {tag_of(ISSUER, "a", 7), tag_of(ISSUER, "a", 8), tag_of(ISSUER, "b", 7)}
    assert len(others | {tag_of("urn:hutong:region:440100", "a", 7)}) == 4
    assert all(len(tag) == 16 for tag in others)


async def test_two_showings_within_the_window_share_a_tag_across_every_border() -> None:
    from tests.benchmarks.verify import synthetic_attestation

    attestation = synthetic_attestation(NOW)
    for offset in range(0, 31 * 60, 60):
        first = sighting_of(attestation, minutes=30, now=NOW + timedelta(seconds=offset))
        for later in (1, 900, 1800):
            then = NOW + timedelta(seconds=offset + later)
            second = sighting_of(attestation, minutes=30, now=then)
            assert set(first.tags) & set(second.tags)
            assert then < first.keep_until


async def test_a_repeat_is_referred_and_the_hub_learns_no_id(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, counting() as (counter, channel):
        queue = SightingQueue(tmp_path / "unreported")
        make_aware(world, queue, reporter_of(channel))
        first, second = world.hub.carried(), world.hub.carried()
        result = await world.pipeline.ask(first, origin=None, timeout_seconds=5)
        assert (result.is_admitted, result.sighting) == (True, "reported")
        counter.seen_elsewhere(token_id_of(world, second), 600)
        result = await world.pipeline.ask(second, origin=None, timeout_seconds=5)
        assert result.decision.verdict is Verdict.REFER
        assert result.decision.reasons[0].code == "SEEN_ELSEWHERE"
        assert len(queue) == 0
        far = world.hub.carried()
        counter.seen_elsewhere(token_id_of(world, far), 31 * 60)
        assert (await world.pipeline.verify_carried(far)).is_admitted


async def test_a_hub_that_is_away_costs_no_decision_and_the_admission_is_kept(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world, counting() as (counter, channel):
        queue = SightingQueue(tmp_path / "unreported")
        conflicts = ConflictLog(tmp_path / "conflicts.jsonl")
        reporter = reporter_of(channel)
        make_aware(world, queue, reporter)
        counter.refusals = ["OVERLOADED"]
        token = world.hub.carried()
        result = await world.pipeline.verify_carried(token)
        assert (result.is_admitted, result.sighting) == (True, "unreported")
        assert result.to_json()["sighting"] == "unreported"
        make_aware(world, queue, None)
        assert world.pipeline.verify_offline(world.hub.carried()).sighting == "unreported"
        assert len(queue) == 2
        text = (tmp_path / "unreported").read_text()
        assert token_id_of(world, token) not in text
        counter.refusals = ["OVERLOADED"]
        with pytest.raises(HutongError):
            await reconcile(queue, reporter, conflicts, world.clock())
        assert len(queue) == 2  # nothing acknowledged is lost
        counter.seen_elsewhere(token_id_of(world, token), 120)
        came = await reconcile(queue, reporter, conflicts, world.clock())
        assert (came.reported, len(came.conflicts), len(queue)) == (2, 1, 0)
        assert came.conflicts[0].seconds_apart == 120
        assert conflicts.read() == came.conflicts


async def test_a_kill_between_the_word_and_the_line_records_a_conflict_once(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world, counting() as (counter, channel):
        queue = SightingQueue(tmp_path / "unreported")
        conflicts = ConflictLog(tmp_path / "conflicts.jsonl")
        make_aware(world, queue, None)
        token = world.hub.carried()
        assert world.pipeline.verify_offline(token).is_admitted
        counter.seen_elsewhere(token_id_of(world, token), 5)
        left = (tmp_path / "unreported").read_bytes()
        await reconcile(queue, reporter_of(channel), conflicts, world.clock())
        # As if it was killed before the line was dropped, and while the record was written.
        (tmp_path / "unreported").write_bytes(left + b"0123 torn")
        with (tmp_path / "conflicts.jsonl").open("ab") as file:
            file.write(b'{"ref": "to')
        again = await reconcile(queue, reporter_of(channel), conflicts, world.clock())
        assert len(again.conflicts) == 1
        assert len(conflicts.read()) == 1
        conflicts.add([Conflict("f" * 16, NOW, 1)])
        assert len(conflicts.read()) == 2


async def test_the_queue_is_bounded_and_forgets_what_is_over(tmp_path: Path) -> None:
    from tests.benchmarks.verify import synthetic_attestation

    queue = SightingQueue(tmp_path / "unreported", max_kept=20)
    for number in range(25):
        attestation = replace(synthetic_attestation(NOW), token_id=f"synthetic-id-{number}")
        queue.keep(sighting_of(attestation, minutes=30, now=NOW))
    assert 18 <= len(queue) <= 20
    async with counting() as (_, channel):
        late = NOW + timedelta(days=3)
        came = await reconcile(queue, reporter_of(channel), ConflictLog(tmp_path / "c"), late)
        assert (came.reported, len(queue)) == (0, 0)
        assert came.expired >= 18


async def test_an_expired_token_is_fetched_anew_once(tmp_path: Path) -> None:
    from tests.benchmarks.verify import synthetic_attestation

    async with counting() as (counter, channel):
        tokens = Tokens()
        reporter = SightingReporter(sighting_service_pb2_grpc.SightingServiceStub(channel), tokens)
        counter.refusals = ["TOKEN_EXPIRED"]
        one = sighting_of(synthetic_attestation(NOW), minutes=30, now=NOW)
        assert await reporter.report([one], timeout_seconds=30) == [None]
        assert (counter.calls, tokens.fetched) == (2, 2)


async def test_the_hub_is_told_how_far_the_checkpoint_is_and_a_failure_is_only_counted() -> None:
    async with counting() as (counter, channel):
        held = {"sequence": 0}
        acknowledger = Acknowledger(
            feed_grpc.FeedServiceStub(channel),
            Tokens(),
            sequence=lambda: held["sequence"],
            rehearsals=lambda: (),
        )
        await acknowledger.tell()
        assert counter.words == []  # nothing held, nothing said
        held["sequence"] = 41
        await acknowledger.tell()
        assert [word.sequence for word in counter.words] == [41]
        counter.refusals = ["OVERLOADED"]
        with pytest.raises(HutongError):
            await acknowledger.tell()
        assert (acknowledger.told, acknowledger.failures) == (1, 1)
