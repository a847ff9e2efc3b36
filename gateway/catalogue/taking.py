"""Rows on their way into the store: each compared with what is held of its person.

Part of an import (:mod:`gateway.catalogue.importing`), inside its transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateway.catalogue.judging import judge_lines
from gateway.catalogue.rows import RowOutcome
from gateway.catalogue.schema import SAID, counts, files, history, listings
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.catalogue.judging import Taken
    from gateway.catalogue.rows import CatalogueRow, IssuerScope


class Taking:
    """One file on its way into the store."""

    def __init__(
        self, connection: AsyncConnection, taken: Taken, scope: IssuerScope, file_id: int
    ) -> None:
        self._connection = connection
        self._taken = taken
        self._scope = scope
        self._file_id = file_id
        self._header = taken.signed.header

    async def records(self, chunk: list[tuple[int, bytes | None]]) -> list[tuple[int, RowOutcome]]:
        """Take a chunk of records."""
        judged = list(judge_lines(chunk, self._taken.signed, self._scope))
        # A row that is refused may still speak of somebody: its listing stands.
        held = await self._held([row.sub for _, row, _ in judged if row is not None])
        outcomes: list[tuple[int, RowOutcome]] = []
        changes = _Changes(self._header.issuer, self._header.audience, self._file_id)
        for number, row, refused in judged:
            if refused is not None:
                outcomes.append((number, refused))
                continue
            outcome = changes.take(row, held.get(row.sub))
            outcomes.append((number, outcome))
        await changes.write(self._connection)
        return outcomes

    async def counts(self, chunk: list[tuple[int, bytes | None]]) -> list[tuple[int, RowOutcome]]:
        """Take a chunk of counts."""
        outcomes: list[tuple[int, RowOutcome]] = []
        rows: dict[Any, dict[str, Any]] = {}
        for number, count, refused in judge_lines(chunk, self._taken.signed, self._scope):
            if refused is not None:
                outcomes.append((number, refused))
                continue
            key = count.key
            if key in rows or await self._has_count(key):
                outcomes.append((number, RowOutcome.DUPLICATE))
                continue
            rows[key] = {
                "file_id": self._file_id,
                "division": key.division,
                "kind": key.kind,
                "name": key.name,
                "count": count.count,
            }
            outcomes.append((number, RowOutcome.TAKEN))
        if rows:
            await self._connection.execute(sa.insert(counts), list(rows.values()))
        return outcomes

    async def finish(self) -> None:
        """Close what the file no longer holds, and note what came of it."""
        header = self._header
        if self._taken.closes:
            gone = sa.and_(
                listings.c.issuer == header.issuer,
                listings.c.audience == header.audience,
                listings.c.closed_by.is_(None),
                listings.c.last_file != self._file_id,
            )
            closing = sa.update(listings).where(gone).values(closed_by=self._file_id)
            self._taken.closed = (await self._connection.execute(closing)).rowcount
        await self._connection.execute(
            sa.update(files)
            .where(files.c.id == self._file_id)
            .values(
                outcomes=json.dumps({w.value: n for w, n in sorted(self._taken.outcomes.items())}),
                closed=self._taken.closed,
            )
        )

    async def _has_count(self, key: Any) -> bool:
        query = sa.select(counts.c.name).where(
            counts.c.file_id == self._file_id,
            counts.c.division == key.division,
            counts.c.kind == key.kind,
            counts.c.name == key.name,
        )
        return (await self._connection.execute(query)).first() is not None

    async def _held(self, subs: list[str]) -> dict[str, dict[str, Any]]:
        if not subs:
            return {}
        query = sa.select(listings).where(
            listings.c.issuer == self._header.issuer, listings.c.sub.in_(subs)
        )
        found = await self._connection.execute(query)
        return {row["sub"]: dict(row) for row in found.mappings()}


class _Changes:
    """What one chunk changes, gathered so that each statement is made once."""

    def __init__(self, issuer: str, audience: str, file_id: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self._file_id = file_id
        self._new: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        self._past: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    def take(self, row: CatalogueRow, held: dict[str, Any] | None) -> RowOutcome:
        """Decide about a row that nothing speaks against on its own."""
        sub = row.sub
        known = sub in self._new or sub in self._changed or sub in self._seen
        if known or (held is not None and held["last_file"] == self._file_id):
            return RowOutcome.DUPLICATE
        said = _said(row)
        whole = {
            "issuer": self._issuer,
            "sub": sub,
            "audience": self._audience,
            **said,
            "opened_by": self._file_id,
            "last_file": self._file_id,
            "closed_by": None,
        }
        if held is None:
            self._new[sub] = whole
            return RowOutcome.TAKEN
        is_open = held["closed_by"] is None
        if is_open and _same(held, said):
            self._seen.add(sub)
            return RowOutcome.UNCHANGED
        if is_open and said["assessed_at"] < held["assessed_at"]:
            self._seen.add(sub)
            return RowOutcome.TOO_OLD
        self._past.append(
            {name: held[name] for name in ("issuer", "sub", *SAID, "opened_by", "last_file")}
            | {"ended_by": self._file_id if is_open else held["closed_by"]}
        )
        self._changed[sub] = whole
        return RowOutcome.SUPERSEDED if is_open else RowOutcome.TAKEN

    async def write(self, connection: AsyncConnection) -> None:
        """Make the changes."""
        if self._past:
            await connection.execute(sa.insert(history), self._past)
        if self._new:
            await connection.execute(sa.insert(listings), list(self._new.values()))
        if self._changed:
            change = (
                sa.update(listings)
                .where(listings.c.issuer == sa.bindparam("key_issuer"))
                .where(listings.c.sub == sa.bindparam("key_sub"))
            )
            await connection.execute(
                change,
                [
                    {
                        "key_issuer": self._issuer,
                        "key_sub": sub,
                        **{name: whole[name] for name in _CHANGED},
                    }
                    for sub, whole in self._changed.items()
                ],
            )
        if self._seen:
            seen = (
                sa.update(listings)
                .where(listings.c.issuer == self._issuer, listings.c.sub.in_(self._seen))
                .values(last_file=self._file_id)
            )
            await connection.execute(seen)


_CHANGED: Final = (*SAID, "audience", "opened_by", "last_file", "closed_by")


def _said(row: CatalogueRow) -> dict[str, Any]:
    return {
        "level": str(row.level),
        "scheme": row.scheme,
        "state": row.state,
        "basis": " ".join(row.basis),
        "reason": row.reason.value,
        "assessed_at": to_seconds(row.assessed_at),
        "source_at": to_seconds(row.source_at),
        "issued_by": row.issued_by,
        "area": row.area,
        "sealed": row.sealed,
    }


def _same(held: dict[str, Any], said: dict[str, Any]) -> bool:
    """Whether a record says nothing new.

    That a platform touched it again is nothing new, and every sealing differs.
    """
    names_compared = (name for name in SAID if name not in {"source_at", "sealed"})
    return all(held[name] == said[name] for name in names_compared) and (
        (held["sealed"] is None) == (said["sealed"] is None)
    )
