"""The tables of taken catalogues, for SQLite and PostgreSQL alike.

* ``catalogue_files``: each file taken, newest number last;
* ``catalogue_listings``: one row for each issuer and pseudonym, open or closed. A
  record that a later file no longer holds is closed, never deleted;
* ``catalogue_history``: what a listing said before it was superseded, closed or opened
  again;
* ``catalogue_counts``: the numbers of files of counts;
* ``catalogue_meta``: the number of this schema.

Nothing here is a region's own record: a listing says what another region said, under
that region's name, and never takes the place of anything. Times are whole seconds since
1970 in UTC. No document stands here in the clear.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_NUMBER: Final = 1

metadata: Final = sa.MetaData()

_Id: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

meta: Final = sa.Table(
    "catalogue_meta", metadata, sa.Column("schema_number", sa.Integer, primary_key=True)
)

files: Final = sa.Table(
    "catalogue_files",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("issuer", sa.String(64), nullable=False),
    sa.Column("audience", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(43), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("taken_at", sa.BigInteger, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("imported_at", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("identified", sa.Boolean, nullable=False),
    sa.Column("correction", sa.String(400), nullable=False),
    sa.Column("outcomes", sa.Text, nullable=False),
    sa.Column("closed", sa.Integer, nullable=False),
    sa.UniqueConstraint("issuer", "audience", "kind", "sequence"),
)


def _said() -> list[sa.Column[object]]:
    """What a row of a file says."""
    columns: list[sa.Column[object]] = [
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("scheme", sa.String(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("basis", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("assessed_at", sa.BigInteger, nullable=False),
        sa.Column("source_at", sa.BigInteger, nullable=False),
        sa.Column("issued_by", sa.String(6), nullable=False),
        sa.Column("area", sa.String(6)),
        sa.Column("sealed", sa.Text),
    ]
    return columns


SAID: Final = tuple(column.name for column in _said())

listings: Final = sa.Table(
    "catalogue_listings",
    metadata,
    sa.Column("issuer", sa.String(64), primary_key=True),
    sa.Column("sub", sa.String(43), primary_key=True),
    sa.Column("audience", sa.String(64), nullable=False),
    *_said(),
    sa.Column("opened_by", sa.BigInteger, nullable=False),
    sa.Column("last_file", sa.BigInteger, nullable=False),
    sa.Column("closed_by", sa.BigInteger),
    # Found by its key alone, and so kept in its order: half the writing.
    sqlite_with_rowid=False,
)

history: Final = sa.Table(
    "catalogue_history",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("issuer", sa.String(64), nullable=False),
    sa.Column("sub", sa.String(43), nullable=False),
    *_said(),
    sa.Column("opened_by", sa.BigInteger, nullable=False),
    sa.Column("last_file", sa.BigInteger, nullable=False),
    sa.Column("ended_by", sa.BigInteger, nullable=False),
    sa.Index("ix_catalogue_history_person", "issuer", "sub"),
)

counts: Final = sa.Table(
    "catalogue_counts",
    metadata,
    sa.Column("file_id", sa.BigInteger, primary_key=True),
    sa.Column("division", sa.String(6), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("count", sa.Integer),
)
