from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.store import Store
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    async with await Store.open(dsn) as store:
        yield store
