"""When the hub last heard each region whose changes it follows.

One process follows at a time and writes a row a region, at most once a minute; whoever
takes over, after a restart or in another process, begins with what stands here. It
stands beside the registry: no lock of a change is taken, nothing is signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store import schema

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


class HeardRows:
    """Mixed into :class:`~gateway.store.store.Store`."""

    _writing: asyncio.Lock

    @property
    def is_shared(self) -> bool:
        """Another process may write to this database while we run."""
        raise NotImplementedError

    def _connect(self, *, writes: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction; the store's own."""
        raise NotImplementedError

    async def say_heard(self, heard: Mapping[str, datetime]) -> None:
        """Write when regions were last heard, in one transaction; a later instant stands.

        Args:
            heard: by URN; kept to the second before.

        Raises:
            StoreError: the database failed; nothing of it was written.
        """
        if not heard:
            return
        table = schema.heard_regions
        insert: Any = postgresql.insert if self.is_shared else sqlite.insert
        statement = insert(table)
        statement = statement.on_conflict_do_update(
            index_elements=["urn"],
            set_={"heard_at": statement.excluded.heard_at},
            where=statement.excluded.heard_at > table.c.heard_at,
        )
        # A fixed order: two processes that overlap cannot lock each other out.
        rows = [{"urn": urn, "heard_at": heard[urn]} for urn in sorted(heard)]
        async with self._writing, self._connect(writes=True) as connection:
            await connection.execute(statement, rows)

    async def heard(self) -> dict[str, datetime]:
        """When each region was last heard, by URN.

        Raises:
            StoreError: it cannot be read.
        """
        table = schema.heard_regions
        async with self._connect(writes=False) as connection:
            rows = await connection.execute(sa.select(table.c.urn, table.c.heard_at))
            return {row.urn: row.heard_at for row in rows}
