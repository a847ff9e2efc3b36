"""From a city's platform to a gate: a person turns red, and the morning's green is refused.

Platform, adapter, hub and checkpoint are real and stand on loopback; between them is what
stands between them anywhere: HTTP, gRPC over TLS, the feed, the list by its digest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from adapters.sdk import AdapterParts
from adapters.sdk.issued import StatusSettings
from adapters.sdk.server import system_clock
from adapters.sdk.watching import PlatformChanges
from gateway.codes.documents import parse_document
from tests.edge import federation
from tests.edge.federation import gate

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import Checkpoint

pytestmark = pytest.mark.asyncio

GREEN, RED = "绿码", "红码"


def with_lists(**parts: Any) -> AdapterParts:
    """An adapter that keeps lists and follows its platform."""
    changes = PlatformChanges(
        parts["connector"], "/changes", parts["scheme"], clock=system_clock, wait_seconds=1
    )
    return AdapterParts(**parts, status=StatusSettings(entries=1024), changes=changes)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - of something that tells nobody
        await asyncio.sleep(0.01)


async def carried(checkpoint: Checkpoint, number: str) -> str:
    """What a traveller fetches in the morning, sealed through the hub."""
    fetched = await checkpoint.fetch(parse_document(10, number), origin="330100")
    assert fetched.token is not None, fetched.result.decision
    # What is told with it is what will be decided when it is shown, its list looked up.
    assert fetched.result.is_admitted, fetched.result.decision.reasons
    assert fetched.result.decision.ages.status_seconds is not None
    return fetched.token


async def test_the_green_of_the_morning_is_refused_when_its_person_turned_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(federation, "AdapterParts", with_lists)
    async with gate(tmp_path) as (place, checkpoint):
        adapter: Any = place.adapter
        city = place.platform.platform
        people = [city.scenarios()[name].document_number for name in ("green",)]
        await until(lambda: adapter.ledger.board.posted)
        uri = next(iter(adapter.ledger.board.posted))

        async def stands(sequence: int) -> None:
            """The feed carries this statement or a later one, and the gate has it."""
            while True:
                bundle = place.world.hub.feed.bundle
                words = {word.entry.subject: word.number for word in bundle.statuses()}
                if words.get(uri, 0) >= sequence:
                    break
                await asyncio.sleep(0.01)
            await checkpoint.refresh()

        await stands(1)
        token = await carried(checkpoint, people[0])
        other = next(
            person.number
            for person in map(city.population.person, range(100, 200))
            if [record.state for record in city.records_of(person)] == [GREEN]
        )
        beside = await carried(checkpoint, other)
        assert (await checkpoint.verify(token)).is_admitted
        before = adapter.ledger.board.posted[uri].sequence
        city.turn(city.population.find(people[0]), RED)
        await stands(before + 1)
        refused: Any = await checkpoint.verify(token)
        assert not refused.is_admitted
        assert refused.evidence.code == "ATTESTATION_REVOKED"
        assert (await checkpoint.verify(beside)).is_admitted
