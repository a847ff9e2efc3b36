"""Texts that only some databases keep: refused by reason on each, never an incident."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.errors import HutongError
from gateway.store import Store
from tests.hub.hub_world import OPERATOR, region, registry_world
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.hub.hub_world import RegistryWorld

pytestmark = pytest.mark.asyncio

TEXTS = ("\0", "a\0b", "x" * 64, "' OR 1=1 --", "%", "\u202e", "\U0010ffff" * 16)


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as found:
        yield found


@pytest_asyncio.fixture
async def world(dsn: str) -> AsyncIterator[RegistryWorld]:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        await world.mirror.load()
        yield world


async def test_no_name_from_outside_upsets_the_store(world: RegistryWorld) -> None:
    registry = world.registry
    calls = (
        registry.enrolled,
        lambda text: registry.prove(text, {"A" * 43: bytes(32)}),
        registry.approve,
        lambda text: registry.suspend(text, by=OPERATOR),
    )
    for text in TEXTS:
        for call in calls:
            with pytest.raises(HutongError) as caught:
                await call(text)
            assert caught.value.code == "NOT_FOUND", (text, caught.value)
            assert text not in str(caught.value)
    assert world.feed.sequence == 0


async def test_a_name_that_a_database_cannot_keep_is_refused_when_it_is_enrolled(
    world: RegistryWorld,
) -> None:
    for text in ("\0", "a\0b"):
        who = region()
        with pytest.raises(HutongError) as caught:
            await world.enrol(replace(who, body=replace(who.body, name_en=text)))
        assert caught.value.code == "STATEMENT_INVALID", caught.value
    assert world.feed.sequence == 0
