"""The line between a city and its hub is cut: what is revoked behind it is not taken for green.

Platform, adapter, hub and checkpoint are real and stand on loopback; the line that is cut
is the one over which the hub follows what the city revokes. Only the minute that the hub
waits goes by a clock that the test moves.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import HutongError
from gateway.hub.silence import SILENT_SECONDS
from tests.edge import federation
from tests.edge.federation import gate
from tests.faults.proxy import FaultProxy
from tests.paths.test_revoked_at_noon import GREEN, RED, carried, with_lists

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.edge import Checkpoint

pytestmark = pytest.mark.asyncio

HANGZHOU = "urn:hutong:region:330100"
PATIENCE = 60
"""Seconds until a test gives up; nothing waits for them to pass."""


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - of something that tells nobody
            await asyncio.sleep(0.01)


async def until_known(checkpoint: Checkpoint, holds: Callable[[Any], object]) -> None:
    """Wait until what the gate knows says something."""
    async with asyncio.timeout(PATIENCE):
        while not holds(checkpoint._trust_view().bundle):
            with suppress(HutongError):
                await checkpoint.refresh()
            await asyncio.sleep(0.01)


@pytest.mark.long
async def test_what_a_city_revokes_behind_a_cut_is_told_as_silence_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(federation, "AdapterParts", with_lists)
    enrolled: Any = federation._region
    async with FaultProxy(0) as proxy:

        def behind(folder: Path, keys: Any, port: int) -> Any:
            proxy._target = port
            return enrolled(folder, keys, proxy.port)

        monkeypatch.setattr(federation, "_region", behind)
        async with gate(tmp_path) as (place, checkpoint):
            adapter: Any = place.adapter
            city: Any = place.platform.platform
            intake = place.world.hub.status_intake
            assert intake is not None
            silences, later = intake.silences, [0.0]
            silences._monotonic = lambda: time.monotonic() + later[0]
            await until(lambda: silences._heard.get(HANGZHOU))
            await until_known(checkpoint, lambda bundle: bundle.statuses())
            people = [
                person.number
                for person in map(city.population.person, range(200))
                if [record.state for record in city.records_of(person)] == [GREEN]
            ][:3]
            tokens = [await carried(checkpoint, number) for number in people]
            (uri,) = adapter.ledger.board.posted
            before = adapter.ledger.board.posted[uri].sequence
            await proxy.refuse()
            await until(lambda: HANGZHOU not in intake.connected)
            # Behind the cut a person turns red; nobody at a gate can know.
            city.turn(city.population.find(people[0]), RED)
            await until(lambda: adapter.ledger.board.posted[uri].sequence > before)
            silences.look()
            assert not place.world.hub.feed.bundle.silences()
            last = silences._heard[HANGZHOU].at
            later[0] += SILENT_SECONDS
            silences.look()
            await until_known(checkpoint, lambda bundle: bundle.silence(HANGZHOU))
            result = await checkpoint.verify(tokens[1])
            assert result.silent_since == last.replace(microsecond=0)
            assert "ISSUER_NOT_HEARD" in {one.code for one in result.decision.warnings}
            (silent,) = checkpoint.status().silent
            assert (silent.urn, silent.since) == (HANGZHOU, result.silent_since)
            # The line is mended: first what was said meanwhile, then that it is heard.
            proxy.heal()
            await until(lambda: silences._heard[HANGZHOU].at > last)
            silences.look()
            await until_known(checkpoint, lambda bundle: not bundle.silence(HANGZHOU))
            refused: Any = await checkpoint.verify(tokens[0])
            assert refused.evidence.code == "ATTESTATION_REVOKED"
            result = await checkpoint.verify(tokens[2])
            assert result.is_admitted
            assert (result.silent_since, checkpoint.status().silent) == (None, ())
