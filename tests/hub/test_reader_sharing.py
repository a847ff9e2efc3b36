"""What readers say, over several hub processes of one store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.store import Store, StoreError
from tests.hub.hub_world import GATE, registry_world
from tests.hub.trust_world import trust_world
from tests.store.databases import BACKENDS, migrated_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with migrated_database(request.param, tmp_path) as dsn:
        yield dsn


async def test_what_readers_say_is_written_in_groups_and_the_later_word_stands(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        one, two = trust_world(world), trust_world(world)
        writing = asyncio.create_task(one.parts.sharing.run())
        try:
            for number in range(500):
                one.readers.acknowledge(f"urn:reader:{number:03}", "", 2**64 - 1)
            async with asyncio.timeout(60):
                await one.parts.sharing.written()
            assert one.parts.sharing.groups == 1
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        world.clock.advance(60)
        two.readers.acknowledge("urn:reader:000", "", 8)
        two.readers.acknowledge("urn:reader:001", "urn:hutong:hub:330000", 9)
        await two.parts.sharing.close()
        await one.parts.sharing.refresh()
        assert len(one.readers.standing()) == 500
        assert one.readers.standing()[0].sequence == 8
        (elsewhere,) = one.readers.standing(hub="urn:hutong:hub:330000")
        assert elsewhere.sequence == 9
        # An hour later only what was said last is still known.
        world.clock.advance(3570)
        await two.parts.sharing._forget()
        fresh = trust_world(world)
        await fresh.parts.sharing.refresh()
        assert [reader.urn for reader in fresh.readers.standing()] == ["urn:reader:000"]


async def test_watchers_of_other_processes_count_while_these_live(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        one, two = trust_world(world), trust_world(world)
        for count in (3, 2):
            await store.say_readers("another", [], [], watchers=count, now=world.clock())
        await one.parts.sharing.refresh()
        assert one.parts.sharing.watchers == 2
        world.clock.advance(31)
        await one.parts.sharing.refresh()
        assert one.parts.sharing.watchers == 0
        await store.say_readers("another", [], [], watchers=4, now=world.clock())
        await store.forget_process("another")
        await two.parts.sharing.refresh()
        assert two.parts.sharing.watchers == 0


async def test_what_cannot_be_written_is_kept_and_whoever_waits_is_told(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        told, late = trust_world(world), trust_world(world)

        async def fail(*_: object, **__: object) -> None:
            raise StoreError("synthetic")

        with monkeypatch.context() as patch:
            patch.setattr(store, "say_readers", fail)
            told.readers.acknowledge(GATE, "", 2)
            told.readers.acknowledge("urn:other", "", 2)
            waiting = asyncio.create_task(told.parts.sharing.written())
            await asyncio.sleep(0)
            assert await told.parts.sharing._write() is False
            with pytest.raises(StoreError):
                await waiting
        told.readers.acknowledge(GATE, "", 3)
        await told.parts.sharing.close()
        await late.parts.sharing.refresh()
        assert {reader.urn: reader.sequence for reader in late.readers.standing()} == {
            GATE: 3,
            "urn:other": 2,
        }
