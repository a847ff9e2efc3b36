"""Takes a catalogue into the store: all of it in one transaction, or none of it.

In order: the header is verified (signature, audience, age), its place after what was
taken before is checked, then rows are read and judged in chunks, and at the end the
digest is proved. Whatever fails on the way undoes everything, a kill included. The
newest file taken once more changes nothing and is said to be a repeat.

A record that the file no longer holds is closed, but only by a file every row of which
left no question open: a row that could not be read might have been that record. A file
without rows closes nothing until a person says that it is right: a platform that answers
with nothing looks just like it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gateway.catalogue.errors import CatalogueUseError
from gateway.catalogue.header import CatalogueKind
from gateway.catalogue.judging import CHUNK_ROWS, Taken, open_file, tell_nobody
from gateway.catalogue.ordering import check_order, is_repeat
from gateway.catalogue.reading import read_lines
from gateway.catalogue.schema import files
from gateway.catalogue.store import last_taken
from gateway.catalogue.taking import Taking
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.catalogue.header import SignedHeader
    from gateway.catalogue.judging import Reader
    from gateway.catalogue.report import Report
    from gateway.catalogue.store import CatalogueStore


async def import_file(
    path: Path,
    store: CatalogueStore,
    reader: Reader,
    report: Report,
    *,
    on_rows: Callable[[int], None] = tell_nobody,
) -> Taken:
    """Take a file.

    Args:
        path: the file.
        store: where to.
        reader: who reads.
        report: begun; completed when the file is taken.
        on_rows: told how many rows were read, after each chunk.

    Raises:
        TrustError: the file is refused as a whole; the store is as it was.
        CatalogueStoreError: the store failed; it is as it was.
        CatalogueUseError: the file cannot be read.
    """
    if reader.audience is None:
        raise CatalogueUseError("name the region that reads")
    with open_file(path) as file:
        signed = reader.header(file)
        header = signed.header
        taken = Taken(signed)
        async with store.writing() as connection:
            last = await last_taken(connection, header.issuer, header.audience, header.kind)
            if is_repeat(signed, last):
                taken.is_repeat = True
                return taken
            check_order(signed, last, allow_gap=reader.allow_gap)
            scope = reader.scope(header.issuer)
            work = Taking(connection, taken, scope, await _note_file(connection, signed, reader))
            lines = enumerate(read_lines(file, header), start=2)
            done = 0
            while chunk := list(islice(lines, CHUNK_ROWS)):
                if header.kind is CatalogueKind.RECORDS:
                    outcomes = await work.records(chunk)
                else:
                    outcomes = await work.counts(chunk)
                report.write(outcomes)
                taken.outcomes.update(outcome for _, outcome in outcomes)
                done += len(chunk)
                on_rows(done)
            taken.closes = (
                header.kind is CatalogueKind.RECORDS
                and taken.is_clean
                and (header.rows > 0 or reader.allow_empty)
            )
            await work.finish()
        report.complete()
    return taken


async def _note_file(connection: AsyncConnection, signed: SignedHeader, reader: Reader) -> int:
    header = signed.header
    made = await connection.execute(
        sa.insert(files)
        .values(
            issuer=header.issuer,
            audience=header.audience,
            kind=header.kind.value,
            sequence=header.sequence,
            digest=signed.digest,
            day=header.day.isoformat(),
            taken_at=to_seconds(header.taken_at),
            made_at=to_seconds(header.made_at),
            imported_at=to_seconds(reader.now),
            rows=header.rows,
            identified=header.identified,
            correction=header.correction,
            outcomes="{}",
            closed=0,
        )
        .returning(files.c.id)
    )
    file_id: int = made.scalar_one()
    return file_id
