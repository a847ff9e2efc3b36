"""A store that closes waits for the connections that are on their way back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from gateway.database import close_engine, create_engine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_connection_that_comes_back_late_is_closed_too(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    held = await engine.connect()
    await held.execute(sa.text("SELECT 1"))
    pool = engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    closing = asyncio.create_task(close_engine(engine))
    await asyncio.sleep(0)
    assert not closing.done()
    await held.close()
    await closing
    assert pool.checkedout() == 0
    assert pool.checkedin() == 0
