"""When a region was last heard outlives the process that heard it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.store import Store
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HANGZHOU, GUANGZHOU = "urn:hutong:region:330100", "urn:hutong:region:440100"
THEN = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as dsn:
        yield dsn


@pytest.mark.asyncio
async def test_a_later_instant_stands(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        assert await store.heard() == {}
        await store.say_heard({})
        later = THEN + timedelta(minutes=1)
        await store.say_heard({HANGZHOU: later, GUANGZHOU: THEN})
        await store.say_heard({HANGZHOU: THEN, GUANGZHOU: later})
    async with await Store.open(dsn) as store:
        assert await store.heard() == {HANGZHOU: later, GUANGZHOU: later}
