"""A process that takes a catalogue and kills itself on the way; for ``test_kill``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from gateway.catalogue.importing import import_file
from gateway.catalogue.judging import Reader
from gateway.catalogue.report import Report
from gateway.catalogue.store import CatalogueStore, sqlite_dsn
from gateway.trust import FeedReplica, parse_anchor

NOON = datetime(2020, 6, 1, 4, 0, tzinfo=UTC)
AUDIENCE = "urn:hutong:region:440100"


async def import_and_die(folder: Path, path: Path, after_rows: int) -> None:
    anchor = parse_anchor((folder / "anchor.json").read_bytes())
    replica = FeedReplica.from_bytes(anchor, (folder / "replica").read_bytes(), NOON)

    def die(rows: int) -> None:
        if rows >= after_rows:
            os.kill(os.getpid(), signal.SIGKILL)

    async with await CatalogueStore.open(sqlite_dsn(folder / "store.db")) as store:
        reader = Reader(audience=AUDIENCE, bundle=replica.bundle, now=NOON)
        with Report(folder / "report.csv") as report:
            await import_file(path, store, reader, report, on_rows=die)


if __name__ == "__main__":
    asyncio.run(import_and_die(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
