"""A checkpoint behind a line that fails: refused, stalled, cut inside a message, healed.

One federation, real gRPC over TLS. Whatever the line does, nothing is decided green that a
hub did not answer for, what is held stays whole, and healing needs no restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from gateway.codes import parse_document
from gateway.edge import Checkpoint, load_settings
from gateway.errors import HutongError
from gateway.recognition import Verdict
from gateway.wire.errors import RpcFailure
from tests.edge.federation import Federation, federation
from tests.faults.proxy import FaultProxy
from tests.hub.federation.world import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.edge import CheckpointSettings, Result

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

GUANGZHOU = "urn:hutong:region:440100"
HANGZHOU = "urn:hutong:region:330100"
AWAY = {"PEER_UNREACHABLE", "PEER_TIMED_OUT", "DEADLINE_EXCEEDED", "SOURCE_TIMED_OUT"}


class Line:
    """A federation and a checkpoint whose line to the hub runs through a proxy."""

    def __init__(self, place: Federation, proxy: FaultProxy, settings: CheckpointSettings) -> None:
        self.place = place
        self.proxy = proxy
        self.settings = settings

    def document(self, story: str) -> Any:
        city: Any = self.place.platform.platform
        return parse_document(10, city.scenarios()[story].document_number)

    async def ask(self, gate: Checkpoint, seconds: float) -> Result:
        return await gate.ask(self.document("green"), origin="330100", timeout_seconds=seconds)

    async def until_admitted(self, gate: Checkpoint) -> None:
        while not (await self.ask(gate, 20)).is_admitted:  # noqa: ASYNC110  a question is what is waited with
            await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def gate(self, *, follow: bool = True, **options: Any) -> AsyncIterator[Checkpoint]:
        self.proxy.heal()
        async with Checkpoint.open(self.settings, follow=follow, **options) as checkpoint:
            await checkpoint.refresh()
            yield checkpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    folder = tmp_path_factory.mktemp("partitions")
    async with (
        federation(folder) as place,
        FaultProxy(place.world.hub.grpc_port) as proxy,
    ):
        text = place.config.read_text()
        direct = f"localhost:{place.world.hub.grpc_port}"
        assert direct in text
        config = folder / "through-the-proxy.toml"
        config.write_text(text.replace(direct, f"localhost:{proxy.port}"))
        yield Line(place, proxy, load_settings(config))


def codes(result: Result) -> set[str]:
    return {reason.code for reason in result.decision.reasons}


async def refreshed(gate: Checkpoint) -> None:
    """Refresh as soon as the channel tries the line again."""
    while True:
        with contextlib.suppress(RpcFailure):
            await gate.refresh()
            return
        await asyncio.sleep(0.02)


async def test_a_line_that_is_refused_refers_and_what_is_carried_still_counts(line: Line) -> None:
    async with line.gate() as gate:
        await line.until_admitted(gate)
        fetched = await gate.fetch(line.document("green"), origin="330100", timeout_seconds=20)
        assert fetched.token is not None
        await line.proxy.refuse()
        result = await line.ask(gate, 20)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result) & AWAY, codes(result)
        with pytest.raises(RpcFailure):
            await gate.refresh()
        # What was known stands, and its age is told.
        assert gate.verify_offline(fetched.token).is_admitted
        assert result.decision.ages.trust_seconds is not None
        line.proxy.heal()
        await line.until_admitted(gate)


async def test_a_line_that_stalls_ends_with_the_deadline_and_never_in_green(line: Line) -> None:
    async with line.gate() as gate:
        await line.until_admitted(gate)
        line.proxy.stall()
        result = await line.ask(gate, 0.5)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result) & AWAY, codes(result)
        line.proxy.heal()
        # What comes late belongs to a question that is over.
        await line.until_admitted(gate)


@pytest.mark.parametrize("size", [1, 700, 4_000, 9_000])
async def test_a_line_cut_inside_a_message_leaves_the_replica_whole(line: Line, size: int) -> None:
    async with line.gate(follow=False) as gate:
        held = gate._store.sequence
    # Opened anew, so that handshake and feed alike are cut somewhere.
    async with Checkpoint.open(line.settings, follow=False) as gate:
        cuts = line.proxy.cuts
        line.proxy.cut_after(size)
        with contextlib.suppress(HutongError):
            await gate.refresh()
        await until(lambda: line.proxy.cuts > cuts or line.proxy._left)
        assert gate._store.sequence == held
        line.proxy.heal()
        await refreshed(gate)
        assert gate._store.sequence == line.place.world.hub.feed.sequence


async def test_what_happened_behind_a_cut_is_known_when_it_heals(line: Line) -> None:
    registry = line.place.world.hub.registry
    async with line.gate() as gate:
        await line.until_admitted(gate)
        await line.proxy.refuse()
        await registry.suspend(HANGZHOU, by="synthetic")
        try:
            # It cannot know; it refers, because nobody answers.
            assert not (await line.ask(gate, 20)).is_admitted
            line.proxy.heal()
            sequence = line.place.world.hub.feed.sequence
            await until(lambda: gate._store.sequence == sequence)
            assert "AUTHORITY_SUSPENDED" in codes(await line.ask(gate, 20))
        finally:
            line.proxy.heal()
            await registry.approve(HANGZHOU)
        sequence = line.place.world.hub.feed.sequence
        await until(lambda: gate._store.sequence == sequence)
        await line.until_admitted(gate)
        # One history: what it followed is what the hub has.
        live = line.place.world.hub.feed.snapshot().entries
        assert gate._store._replica.live_tokens() == live


async def test_a_gate_whose_clock_is_ahead_is_refused_by_name(line: Line) -> None:
    def ahead() -> datetime:
        return datetime.now(UTC) + timedelta(hours=2)

    async with line.gate(follow=False):
        pass
    async with Checkpoint.open(line.settings, follow=False, clock=ahead) as gate:
        result = await line.ask(gate, 20)
    assert result.decision.verdict is Verdict.REFER
    # The hub takes no proof of who asks that is dated ahead.
    assert "TOKEN_REFUSED" in codes(result)


async def test_a_gate_whose_clock_is_behind_says_so_and_keeps_what_it_has(line: Line) -> None:
    def behind() -> datetime:
        return datetime.now(UTC) - timedelta(hours=2)

    async with line.gate(follow=False) as gate:
        held = gate._store.sequence
    async with Checkpoint.open(line.settings, follow=False, clock=behind) as gate:
        with pytest.raises(HutongError) as refused:
            await line.ask(gate, 20)
    # Nothing that it could decide by, and the clock is why.
    assert refused.value.code == "FEED_FROM_FUTURE"
    async with Checkpoint.open(line.settings, follow=False) as gate:
        assert gate._store.sequence == held
