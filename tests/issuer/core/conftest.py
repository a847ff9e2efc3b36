from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.issuer.core.world import World, issuer_database, open_world
from tests.store.databases import BACKENDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with issuer_database(request.param, tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    world = await open_world(dsn)
    async with world.issuer:
        yield world
