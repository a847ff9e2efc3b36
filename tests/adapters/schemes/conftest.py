"""Each city's real platform on loopback, and its adapter's connector in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import GuangzhouPlatform, HangzhouPlatform, serve_platform
from tests.adapters.platforms.support import ADMIN_TOKEN, Clock
from tests.adapters.schemes.support import City, load_city

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def hangzhou(clock: Clock) -> AsyncIterator[City]:
    secrets = {"app_key": "synthetic-app", "app_secret": "synthetic-app-secret"}
    platform = HangzhouPlatform(clock=clock)
    async with await serve_platform(platform, admin_token=ADMIN_TOKEN) as running:
        city = City(running, load_city("hangzhou"), secrets, clock)
        yield city
        await city.close()


@pytest_asyncio.fixture
async def guangzhou(clock: Clock) -> AsyncIterator[City]:
    platform = GuangzhouPlatform(clock=clock)
    async with await serve_platform(platform, admin_token=ADMIN_TOKEN) as running:
        city = City(running, load_city("guangzhou"), {"token": "synthetic-skm-token"}, clock)
        yield city
        await city.close()
