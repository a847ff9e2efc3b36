"""The daily run: whole, resumed, killed, and met by declarations."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from gateway.codes import TriState
from gateway.issuer.core import open_issuer
from gateway.issuer.store import schema
from gateway.issuer.values import AreaRisk, Cause, ContactKind
from tests.issuer.core.world import (
    HOME,
    WUHAN,
    World,
    box,
    declaration,
    document,
    open_world,
    short,
)

if TYPE_CHECKING:
    from gateway.issuer.runs import Progress

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[3]
PEOPLE = 40


async def people(world: World, count: int = PEOPLE) -> None:
    """Some green, some red with a check-in that will be missed."""
    for index in range(count):
        await world.declare(index, contact=TriState.YES if index % 5 == 0 else TriState.NO)
    world.clock.days(1)
    for index in range(0, count, 5):
        await world.declare(index)


async def everybody_is_assessed_now(world: World, count: int = PEOPLE) -> None:
    for index in range(count):
        code = await world.code(index)
        assert code.assessed_at == world.clock.now, index
        is_red = index % 5 == 0
        assert short(code) == (
            ("RED", "red-answer-contact", (0, 14)) if is_red else ("GREEN", "green", None)
        )


async def test_everybody_is_assessed_and_a_missed_day_is_noticed(world: World) -> None:
    await people(world)
    assert short(await world.code(0)) == ("RED", "red-answer-contact", (1, 14))
    world.clock.days(2)
    seen: list[Progress] = []
    report = await world.issuer.recompute.run(world.clock, seen.append)
    assert (report.people, report.changed, report.is_resumed) == (PEOPLE, 0, False)
    assert report.people_per_second > 0
    assert (seen[-1].done, seen[-1].people) == (seen[-1].total, PEOPLE)
    assert [progress.done for progress in seen] == sorted({progress.done for progress in seen})
    await everybody_is_assessed_now(world)


async def test_the_history_holds_changes_only(world: World) -> None:
    await people(world, 10)
    for _ in range(3):
        world.clock.days(1)
        await world.recompute()
    async with world.issuer.store.read() as connection:
        count = await connection.scalar(
            sa.select(sa.func.count()).select_from(schema.level_changes)
        )
    assert count == 10
    # And it does hold the change that a span makes, with its cause.
    await world.publish({HOME: AreaRisk.HIGH})
    async with world.issuer.store.read() as connection:
        rows = (await connection.execute(sa.select(schema.level_changes))).all()
    assert len(rows) == 20
    assert {(row.previous, row.level, row.cause) for row in rows[10:]} == {(1, 3, 4), (3, 3, 4)}


async def test_nobody_and_nothing_is_a_run_too(world: World) -> None:
    report = await world.recompute()
    assert (report.people, report.changed) == (0, 0)


class StopError(Exception):
    """Ends a run in its middle."""


async def test_a_run_that_was_left_is_taken_up_where_it_ended(world: World) -> None:
    await people(world)
    world.clock.days(2)

    def stop(progress: Progress) -> None:
        if progress.done > PEOPLE // 3:
            raise StopError

    with pytest.raises(StopError):
        await world.issuer.recompute.run(world.clock, stop)
    first: list[Progress] = []
    report = await world.issuer.recompute.run(world.clock, first.append)
    assert report.is_resumed
    assert report.people == PEOPLE
    assert first[0].done > PEOPLE // 3
    await everybody_is_assessed_now(world)
    assert not (await world.recompute()).is_resumed


async def test_people_who_come_during_a_run_are_assessed_when_they_declare(world: World) -> None:
    await people(world, 10)

    def stop(_progress: Progress) -> None:
        raise StopError

    with pytest.raises(StopError):
        await world.issuer.recompute.run(world.clock, stop)
    await world.declare(100, contact=TriState.YES)
    assert (await world.recompute()).people == 10
    assert short(await world.code(100))[0] == "RED"
    assert (await world.recompute()).people == 11


@pytest.mark.parametrize("runs", [3])
async def test_a_declaration_that_meets_a_run_is_never_lost(
    world: World, dsn: str, runs: int
) -> None:
    count = 60
    for index in range(count):
        await world.declare(index)
    async with await open_issuer(dsn, box(), span=7) as other:
        app = World(other, world.clock)

        async def declare(part: int) -> None:
            for index in range(part, count, 6):
                if index % 2:
                    await app.declare(index, contact=TriState.YES)
                else:
                    await app.report(index, ContactKind.CLOSE)

        async def recompute() -> None:
            for _ in range(runs):
                await world.recompute()

        await asyncio.gather(recompute(), *(declare(part) for part in range(6)))
    for index in range(count):
        assert short(await world.code(index))[0] == "RED", index
    # And the run itself would say the same.
    assert (await world.recompute()).changed == 0


async def test_a_run_waits_for_a_declaration_that_is_not_yet_committed(world: World) -> None:
    store, facts = world.issuer.store, world.issuer.facts
    if not store.is_postgres:
        pytest.skip("SQLite has one writer at a time")
    for index in range(12):
        await world.declare(index)

    def stop(_progress: Progress) -> None:
        raise StopError

    # Past the fence, where a run waits for everybody; the last people are still to come.
    with pytest.raises(StopError):
        await world.issuer.recompute.run(world.clock, stop)
    lookup = world.issuer.people.box.lookup(document(11))
    async with store.write() as connection:
        await store.lock_people(connection, [lookup])
        known = await world.issuer.people.known(connection, lookup)
        assert known is not None
        told = declaration(11, contact=TriState.YES)
        await facts.insert(connection, known.person_id, None, told, "app", 1583028000)
        run = asyncio.create_task(world.recompute())
        waiting = 0
        while not waiting:
            async with store.read() as other:
                waiting = await other.scalar(
                    sa.text(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND datname = current_database()"
                    )
                )
        await world.issuer.assessor.one(
            connection,
            known.person_id,
            known.code,
            now=int(world.clock.now.timestamp()),
            cause=Cause.DECLARATION,
        )
    assert (await run).people == 12
    assert short(await world.code(11)) == ("RED", "red-answer-contact", (0, 14))


async def test_first_declarations_and_contacts_that_meet_find_each_other(
    world: World, dsn: str
) -> None:
    count = 40
    async with await open_issuer(dsn, box()) as other:
        app = World(other, world.clock)
        for index in range(count):
            await asyncio.gather(
                world.declare(index), app.report(index, ContactKind.CLOSE, days_ago=1)
            )
    for index in range(count):
        assert short(await world.code(index))[0] == "RED", index


async def test_the_same_first_declaration_twice_is_one_person(world: World) -> None:
    await asyncio.gather(*(world.declare(1) for _ in range(5)))
    assert (await world.recompute()).people == 1


async def test_declarations_that_meet_a_new_list_see_it_or_are_seen(world: World, dsn: str) -> None:
    count = 40
    async with await open_issuer(dsn, box(), span=7) as other:
        app = World(other, world.clock)

        async def declare(part: int) -> None:
            for index in range(part, count, 4):
                await app.declare(index)
                await app.stay(index, WUHAN, 2, 1)

        await asyncio.gather(
            *(declare(part) for part in range(4)), world.publish({WUHAN: AreaRisk.HIGH})
        )
    for index in range(count):
        assert short(await world.code(index))[0] == "RED", index


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.timeout(120)
async def test_a_killed_run_loses_nobody_and_is_taken_up(dsn: str) -> None:
    count = 300
    world = await open_world(dsn)
    async with world.issuer:
        await people(world, count)
        world.clock.days(2)
        seconds = int(world.clock.now.timestamp())
        reached = 0
        for lines in (1, 3):
            process = await _start(dsn, seconds)
            assert process.stdout is not None
            for _ in range(lines):
                done, _people = map(int, (await process.stdout.readline()).split())
                assert done > reached
                reached = done
            process.send_signal(signal.SIGKILL)
            rest = (await process.stdout.read()).split(b"\n")
            assert await process.wait() == -signal.SIGKILL
            reached = max([reached, *(int(line.split()[0]) for line in rest if line)])
            # In the meantime people declare, before and behind the cursor.
            for index in (1, count - 1):
                await world.declare(index)
        process = await _start(dsn, seconds)
        assert process.stdout is not None
        told = (await process.stdout.read()).decode().splitlines()
        assert await process.wait() == 0
        assert told[-1].split()[0] == "finished"
        assert told[-1].split()[2:] == [str(count), "1"]
        assert int(told[0].split()[0]) > reached
        await everybody_is_assessed_now(world, count)


async def _start(dsn: str, seconds: int) -> asyncio.subprocess.Process:
    paths = [str(ROOT), str(ROOT / "protos/gen")]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.issuer.core.recompute_process", dsn, "5", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
