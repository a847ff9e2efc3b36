"""One receiving region with a store of its own, on SQLite or on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from gateway.catalogue.store import CatalogueStore
from tests.catalogue.world import Chain, World, make_federation
from tests.store.databases import BACKENDS, database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


@pytest_asyncio.fixture(params=BACKENDS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    import asyncio

    opened = database(request.param, tmp_path)
    dsn = await asyncio.to_thread(opened.__enter__)
    try:
        federation = make_federation()
        async with await CatalogueStore.open(dsn) as store:
            yield World(federation, Chain(federation, tmp_path), store, tmp_path)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
