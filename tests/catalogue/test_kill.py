"""A process killed in the middle of an import leaves the old state."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.catalogue import RowOutcome
from gateway.catalogue.listing import ListingFile
from gateway.catalogue.store import CatalogueStore, sqlite_dsn
from tests.catalogue.world import ISSUER, Chain, World, make_federation, row, sub

pytestmark = [pytest.mark.asyncio, pytest.mark.processes, pytest.mark.timeout(180)]

ROWS = 2_000


async def test_a_killed_import_leaves_the_old_state(tmp_path: Path) -> None:
    federation = make_federation()
    chain = Chain(federation, tmp_path)
    (tmp_path / "anchor.json").write_bytes(federation.anchor.to_bytes())
    (tmp_path / "replica").write_bytes(federation.replica_from_snapshot().to_bytes())
    old = chain.rows(row(1), row(2))
    new = chain.rows(*(row(number) for number in range(10, 10 + ROWS)))
    listings = ListingFile(tmp_path / "store.db")
    async with await CatalogueStore.open(sqlite_dsn(tmp_path / "store.db")) as store:
        await World(federation, chain, store, tmp_path).take(old)
    for after_rows in (500, ROWS):
        root = Path(__file__).parents[2]
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.catalogue.dying", str(tmp_path), str(new), str(after_rows)),
            cwd=root,
            env=os.environ | {"PYTHONPATH": f"{root}:{root / 'protos/gen'}"},
        )
        assert await child.wait() == -signal.SIGKILL
        assert listings.listed(ISSUER, sub(1)) is not None
        assert listings.listed(ISSUER, sub(10)) is None
        assert not (tmp_path / "report.csv").exists()
    async with await CatalogueStore.open(sqlite_dsn(tmp_path / "store.db")) as store:
        world = World(federation, chain, store, tmp_path)
        assert [one.sequence for one in await store.taken()] == [1]
        taken = await world.take(new)
        assert taken.outcomes == {RowOutcome.TAKEN: ROWS}
        assert taken.closed == 2
    assert listings.listed(ISSUER, sub(1)) is None
    assert listings.listed(ISSUER, sub(10)) is not None
