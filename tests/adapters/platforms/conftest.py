"""Both reference cities on loopback, at a clock that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from adapters.platforms import (
    GuangzhouPlatform,
    HangzhouPlatform,
    RunningPlatform,
    serve_platform,
)
from tests.adapters.platforms.support import ADMIN_TOKEN, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def hangzhou(clock: Clock) -> AsyncIterator[RunningPlatform]:
    async with await serve_platform(
        HangzhouPlatform(clock=clock), admin_token=ADMIN_TOKEN
    ) as running:
        yield running


@pytest_asyncio.fixture
async def guangzhou(clock: Clock) -> AsyncIterator[RunningPlatform]:
    async with await serve_platform(
        GuangzhouPlatform(clock=clock), admin_token=ADMIN_TOKEN
    ) as running:
        yield running


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
