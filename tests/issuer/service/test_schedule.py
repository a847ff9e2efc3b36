"""The daily run: at its hour, once a day, by one process at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from gateway.issuer.schedule import HOLD_SECONDS, Daily
from gateway.issuer.store.service_schema import schedule
from tests.issuer.core.conftest import dsn, world  # noqa: F401  fixtures

if TYPE_CHECKING:
    from tests.issuer.core.world import World

pytestmark = pytest.mark.asyncio

THREE = 3 * 3600
BEFORE = datetime(2020, 3, 1, 18, 59, 59, tzinfo=UTC)  # 02:59:59 in Shanghai, on the 2nd
HOUR = datetime(2020, 3, 1, 19, 0, tzinfo=UTC)


def daily(world: World, holder: str) -> Daily:  # noqa: F811  a fixture of this name
    return Daily(
        store=world.issuer.store,
        recompute=world.issuer.recompute,
        clock=world.clock,
        at_seconds=THREE,
        holder=holder,
    )


async def test_it_runs_at_its_hour_in_shanghai_and_once_a_day(world: World) -> None:  # noqa: F811
    await world.declare(1)
    one, two = daily(world, "one"), daily(world, "two")
    world.clock.now = BEFORE
    assert await one.run_if_due() is None
    world.clock.now = HOUR
    report = await one.run_if_due()
    assert report is not None
    assert report.people == 1
    assert await one.run_if_due() is None
    assert await two.run_if_due() is None
    assert (await world.code(1)).assessed_at == HOUR
    world.clock.days(1)
    assert await two.run_if_due() is not None


async def test_of_many_processes_one_does_it(world: World) -> None:  # noqa: F811
    await world.declare(1)
    world.clock.now = HOUR
    reports = await asyncio.gather(
        *(daily(world, f"process-{number}").run_if_due() for number in range(4))
    )
    assert len([report for report in reports if report is not None]) == 1


async def test_one_that_died_lets_go_and_another_takes_it_up(world: World) -> None:  # noqa: F811
    await world.declare(1)
    world.clock.now = HOUR
    died = daily(world, "died")
    day_seconds = int(HOUR.timestamp())
    assert await died._take((day_seconds + 8 * 3600) // 86400, day_seconds)
    other = daily(world, "other")
    assert await other.run_if_due() is None
    world.clock.days((HOLD_SECONDS + 1) / 86400)
    assert await other.run_if_due() is not None
    async with world.issuer.store.read() as connection:
        row = (await connection.execute(sa.select(schedule))).one()
    assert (row.holder, row.held_until) == ("", 0)
