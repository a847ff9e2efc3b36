"""The issuer's tables, for SQLite and PostgreSQL alike.

Three kinds of row:

* **people**: a keyed digest of the document to find them by, and their identity
  sealed. No number and no name stands here in the clear.
* **facts**: declarations, stays, contacts, areas. They are appended; the only change
  a fact ever sees is its withdrawal (when, by whom, why). ``contacts.person_id`` and
  ``contacts.known_at`` are filled once, when the person first declares.
* **derived**: ``codes`` holds the current answer for each person and may be computed
  again from the facts at any moment; ``level_changes`` says when it became another;
  ``area_spells`` spreads the lists over the divisions they contain.

Times are whole seconds since 1970 in UTC. Divisions are their six digits as a number.
Small numbers stand for the words of :mod:`gateway.issuer.values`.

``codes`` is rewritten every day, row by row. It is kept narrow, no index stands on
anything that the rewriting changes, and half of each page is left free, so that on
PostgreSQL a new version of a row stays on its page and touches no index (HOT).

There are no foreign keys: whoever writes a fact holds the person's lock, nothing is
ever deleted, and PostgreSQL would lock the person's row anew for every fact.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

MAX_CLIENT: Final = 64
"""Longest name of a client; a choice, the settings hold to it."""

HALF_FULL: Final = 50
"""Percent of a page of ``codes`` filled at first: room for one more version of each row."""

# SQLite counts rows by itself only where the key is its INTEGER.
_Id: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Client: Final = sa.String(MAX_CLIENT)


def _id() -> sa.Column[int]:
    return sa.Column("id", _Id, primary_key=True, autoincrement=True)


def _person() -> sa.Column[int]:
    return sa.Column("person_id", sa.BigInteger, nullable=False)


def _recorded() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("client", _Client, nullable=False),
    )


def _withdrawn() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", _Client),
        sa.Column("withdrawn_why", sa.String(64)),
    )


people: Final = sa.Table(
    "people",
    metadata,
    _id(),
    # HMAC-SHA256 of the document; the row is found by nothing else.
    sa.Column("lookup", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # HMAC of the sealed text, so that the same identity is not sealed and kept again.
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    # Where the person lives, to notice a move.
    sa.Column("home", sa.Integer, nullable=False),
    *_recorded(),
)

# What an identity said before it changed.
identities_before: Final = sa.Table(
    "identities_before",
    metadata,
    _id(),
    _person(),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    *_recorded(),
    sa.Column("replaced_at", sa.BigInteger, nullable=False),
    sa.Index("ix_identities_before_person", "person_id"),
)

proxies: Final = sa.Table(
    "proxies",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("proxy_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *_recorded(),
)

declarations: Final = sa.Table(
    "declarations",
    metadata,
    _id(),
    _person(),
    sa.Column("proxy_id", sa.BigInteger),
    sa.Column("temperature", sa.SmallInteger, nullable=False),
    sa.Column("symptoms", sa.SmallInteger, nullable=False),
    sa.Column("contact", sa.SmallInteger, nullable=False),
    sa.Column("risk_area", sa.SmallInteger, nullable=False),
    sa.Column("overseas", sa.SmallInteger, nullable=False),
    # 1: some rule may look at it; 0: nothing in it that any rule could.
    sa.Column("notable", sa.SmallInteger, nullable=False),
    *_recorded(),
    *_withdrawn(),
    sa.Index("ix_declarations_person", "person_id", "recorded_at"),
    sa.Index(
        "ix_declarations_notable",
        "person_id",
        postgresql_where=sa.text("notable = 1"),
        sqlite_where=sa.text("notable = 1"),
    ),
)

stays: Final = sa.Table(
    "stays",
    metadata,
    _id(),
    _person(),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("division", sa.Integer, nullable=False),
    sa.Column("entered_at", sa.BigInteger, nullable=False),
    sa.Column("left_at", sa.BigInteger),
    *_recorded(),
    *_withdrawn(),
    sa.Index("ix_stays_person", "person_id"),
    sa.Index("ix_stays_division", "division", "person_id"),
)

contacts: Final = sa.Table(
    "contacts",
    metadata,
    _id(),
    # NULL while the issuer does not know the person: kept until a declaration comes.
    sa.Column("person_id", sa.BigInteger),
    sa.Column("lookup", sa.LargeBinary(32), nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("division", sa.Integer, nullable=False),
    sa.Column("reference", sa.String(64), nullable=False),
    # When it first concerned somebody with a code: recorded, or the first declaration.
    sa.Column("known_at", sa.BigInteger),
    *_recorded(),
    *_withdrawn(),
    sa.UniqueConstraint("lookup", "reference", "client", "kind", "at"),
    sa.Index("ix_contacts_person", "person_id"),
)

area_lists: Final = sa.Table(
    "area_lists",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String(256), nullable=False),
    *_recorded(),
    # When everybody whom the list touches had been assessed. NULL: not yet.
    sa.Column("assessed_at", sa.BigInteger),
)

areas: Final = sa.Table(
    "areas",
    metadata,
    _id(),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("division", sa.Integer, nullable=False),
    sa.Column("risk", sa.SmallInteger, nullable=False),
    *_recorded(),
    *_withdrawn(),
    sa.UniqueConstraint("revision", "division"),
)

# From when until when a division was at a risk or above, over all lists.
area_spells: Final = sa.Table(
    "area_spells",
    metadata,
    _id(),
    sa.Column("division", sa.Integer, nullable=False),
    sa.Column("risk", sa.SmallInteger, nullable=False),
    sa.Column("from_at", sa.BigInteger, nullable=False),
    # NULL: the newest list still says so.
    sa.Column("until_at", sa.BigInteger),
    sa.Index("ix_area_spells_division", "division"),
)

codes: Final = sa.Table(
    "codes",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("assessed_at", sa.BigInteger, nullable=False),
    sa.Column("declared_at", sa.BigInteger, nullable=False),
    sa.Column("declaration_until", sa.BigInteger, nullable=False),
    sa.Column("area", sa.Integer, nullable=False),
    sa.Column("level", sa.SmallInteger, nullable=False),
    sa.Column("rule", sa.SmallInteger, nullable=False),
    # Check-ins still needed on the way back; zero where green.
    sa.Column("remaining", sa.SmallInteger, nullable=False),
    postgresql_with={"fillfactor": HALF_FULL},
)

level_changes: Final = sa.Table(
    "level_changes",
    metadata,
    _id(),
    _person(),
    sa.Column("at", sa.BigInteger, nullable=False),
    # NULL: the first assessment.
    sa.Column("previous", sa.SmallInteger),
    sa.Column("level", sa.SmallInteger, nullable=False),
    sa.Column("rule", sa.SmallInteger, nullable=False),
    sa.Column("area", sa.Integer, nullable=False),
    sa.Column("cause", sa.SmallInteger, nullable=False),
    sa.Index("ix_level_changes_person", "person_id"),
)

corrections: Final = sa.Table(
    "corrections",
    metadata,
    _id(),
    _person(),
    sa.Column("subject", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    # What the person says, and what was answered: free text, so it is sealed.
    sa.Column("statement", sa.LargeBinary, nullable=False),
    *_recorded(),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("answered_at", sa.BigInteger),
    sa.Column("answered_by", _Client),
    sa.Index("ix_corrections_person", "person_id"),
    # At most one open correction of a person for each subject.
    sa.Index(
        "uq_corrections_open",
        "person_id",
        "subject",
        unique=True,
        postgresql_where=sa.text("status = 1"),
        sqlite_where=sa.text("status = 1"),
    ),
)

# Assessments of many people at once: every day, and when a list of areas changes.
runs: Final = sa.Table(
    "runs",
    metadata,
    _id(),
    sa.Column("cause", sa.SmallInteger, nullable=False),
    sa.Column("revision", sa.BigInteger),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
)

# A run goes through the people in lanes, side by side; each remembers how far it came.
run_lanes: Final = sa.Table(
    "run_lanes",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
    # Ids from ``first`` exclusive to ``last`` inclusive; ``cursor`` is the last one done.
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("assessed", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
)

# The divisions whose people a run is about. None: everybody.
run_divisions: Final = sa.Table(
    "run_divisions",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("division", sa.Integer, primary_key=True, autoincrement=False),
)
