"""The registry on both databases, for every test of this folder that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.store import Store
from tests.hub.hub_world import (
    RegistryWorld,
    registry_world,
)
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(dsn: str) -> AsyncIterator[RegistryWorld]:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        await world.mirror.load()
        yield world
