"""The issuer as a source of changes: whose level is no longer green, from its own database.

Every change of a level is written down in the transaction that makes it
(``level_changes``), whatever caused it: a declaration, a correction, a list of areas, the
daily run. Here each row is read once more, by number; whoever is not green by it loses
every carried attestation that this process issued (``adapters.sdk.issued``). A code on
paper or on a phone needs no revoking: a gate that scans it asks for the level of its
moment.

The number reached is kept beside what was issued, so nothing is missed over a restart.
Transactions may become visible in another order than that of their numbers; the last
numbers are therefore read again for a while. A revocation read twice is one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog

from gateway.codes import Level
from gateway.issuer.days import to_seconds
from gateway.issuer.store import schema
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from adapters.sdk.issued import IssuedLedger
    from gateway.codes import Document
    from gateway.issuer.core import Issuer

LOOK_SECONDS: Final = 0.2
"""How often the table is looked at: a look costs one seek in an index, and a change is
to reach every checkpoint within a second."""

CURSOR: Final = "level_changes.id"

_AGAIN_SECONDS: Final = 60  # longer than any transaction of the issuer is open
_PAGE: Final = 500
_LONGEST_LIFE_SECONDS: Final = 86_400  # of what is carried (HT-ATT-7)

_log = structlog.get_logger(__name__)


class IssuerChanges:
    """Implements :class:`adapters.sdk.watching.ChangeSource`; see the module.

    Args:
        issuer: the heart; closed by whoever opened it.
        clock: now, aware, UTC.
    """

    def __init__(self, issuer: Issuer, *, clock: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._clock = clock
        # Numbers read in the last while, and when.
        self._read: dict[int, int] = {}

    async def follow(self, ledger: IssuedLedger) -> None:
        """Revoke as levels change, until cancelled; no fault of the database ends it."""
        while True:
            try:
                asked_at = self._clock()
                while await self.step(ledger):
                    asked_at = self._clock()
                ledger.board.follow(asked_at)
            except Exception as error:  # noqa: BLE001 - the next look goes on
                report_incident(error, step="changes")
            await asyncio.sleep(LOOK_SECONDS)

    async def step(self, ledger: IssuedLedger) -> bool:
        """Read one page; return whether there may be more.

        Raises:
            StoreError: the database failed.
        """
        now = to_seconds(self._clock())
        kept = await ledger.remembered(CURSOR)
        if kept is None and not await ledger.has_live():
            # Nothing was issued yet: what changed before today's first is nobody's loss.
            await ledger.remember(CURSOR, str(await self._newest()))
            return False
        # Without a number what lives now may be as old as a day.
        since = now - (_LONGEST_LIFE_SECONDS if kept is None else _AGAIN_SECONDS)
        rows = await self._rows(int(kept or 0), since)
        fresh = [row for row in rows if row[0] not in self._read]
        people = {
            person
            for _, person, level in fresh
            if self._issuer.assessor.level(level) != Level.GREEN
        }
        if people:
            await ledger.revoke(await self._documents(sorted(people)))
        for number, _, _ in fresh:
            self._read[number] = now
        for number in [number for number, at in self._read.items() if at < since]:
            del self._read[number]
        reached = max([int(kept or 0), *(row[0] for row in rows)])
        if kept is None or reached != int(kept):
            await ledger.remember(CURSOR, str(reached))
        return len(rows) >= _PAGE and bool(fresh)

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _rows(self, after: int, since: int) -> Sequence[tuple[int, int, int]]:
        """Changes beyond a number, and those of a while that were not read yet."""
        table = schema.level_changes
        columns = (table.c.id, table.c.person_id, table.c.level)
        beyond = sa.select(*columns).where(table.c.id > after).order_by(table.c.id).limit(_PAGE)
        async with self._issuer.store.read() as connection:
            rows = [tuple(row) for row in await connection.execute(beyond)]
            if self._issuer.store.is_postgres:
                # Numbers below that have become visible only now.
                late = sa.select(*columns).where(
                    table.c.id.between(after - _PAGE, after), table.c.at >= since
                )
                rows += [tuple(row) for row in await connection.execute(late)]
        return [(int(number), int(person), int(level)) for number, person, level in rows]

    async def _newest(self) -> int:
        async with self._issuer.store.read() as connection:
            newest = await connection.scalar(sa.select(sa.func.max(schema.level_changes.c.id)))
        return int(newest or 0)

    async def _documents(self, people: list[int]) -> list[Document]:
        table = schema.people
        chosen = sa.select(table.c.lookup, table.c.sealed).where(table.c.id.in_(people))
        async with self._issuer.store.read() as connection:
            rows = (await connection.execute(chosen)).all()
        box = self._issuer.people.box
        return [box.open(row.lookup, row.sealed).document for row in rows]
