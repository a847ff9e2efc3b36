"""The tables, for SQLite and PostgreSQL alike.

Times are whole seconds since 1970 in UTC, so that both databases compare and
return them alike. ``feed_entries`` is append-only: the first migration adds
triggers that refuse an update. The migrations in ``migrations/versions`` are
what builds a database; ``tests/store`` holds them against this module.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

Json: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


class Seconds(sa.types.TypeDecorator[datetime]):
    """An aware datetime as whole seconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database; a naive datetime is refused by ``timestamp`` semantics here."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("every time needs a zone")
        return int(value.timestamp())

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database, in UTC."""
        del dialect
        return None if value is None else datetime.fromtimestamp(value, UTC)


members: Final = sa.Table(
    "members",
    metadata,
    sa.Column("urn", sa.String(128), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, unique=True),
    sa.Column("display_name", sa.String(128), nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Column("enrolment_id", sa.String(64), nullable=False),
    sa.Column("changed_at", Seconds, nullable=False),
    sa.Column("approved_at", Seconds),
    sa.Column("approvals", Json, nullable=False, server_default="[]"),
    sa.Column("report", Json),
)

# A claim becomes a row here on approval and stays through a suspension: the
# primary key is the last word on who holds a prefix.
member_prefixes: Final = sa.Table(
    "member_prefixes",
    metadata,
    sa.Column("prefix", sa.String(6), primary_key=True),
    sa.Column("urn", sa.ForeignKey("members.urn", ondelete="CASCADE"), nullable=False, index=True),
)

# Which member a key belongs to, once its possession is proven: one key, one member.
# A key of the past (ended_at) belongs to nobody any more and never again to anybody.
member_keys: Final = sa.Table(
    "member_keys",
    metadata,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("urn", sa.ForeignKey("members.urn", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("ended_at", Seconds),
)

enrolments: Final = sa.Table(
    "enrolments",
    metadata,
    sa.Column("enrolment_id", sa.String(64), primary_key=True),
    sa.Column("urn", sa.ForeignKey("members.urn", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("statement_key_id", sa.String(64), nullable=False),
    sa.Column("created_at", Seconds, nullable=False),
    sa.Column("expires_at", Seconds, nullable=False),
    # ``enrolment``, or ``keys``: a change of keys whose challenges are open.
    sa.Column("kind", sa.String(16), nullable=False, server_default="enrolment"),
)

challenges: Final = sa.Table(
    "challenges",
    metadata,
    sa.Column(
        "enrolment_id",
        sa.ForeignKey("enrolments.enrolment_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("proven", sa.Boolean, nullable=False),
)

statements: Final = sa.Table(
    "statements",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("urn", sa.ForeignKey("members.urn", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("received_at", Seconds, nullable=False),
    sa.Column("sequence", sa.BigInteger),
)

feed_entries: Final = sa.Table(
    "feed_entries",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("issued_at", Seconds, nullable=False),
    # A tombstone: it leaves with the entries that it ended.
    sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("ix_feed_entries_kind_subject", "kind", "subject", "sequence"),
)

# One row, so that a feed whose end was cut off is noticed, and a compacted
# feed is told from one with a hole.
feed_state: Final = sa.Table(
    "feed_state",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("floor", sa.BigInteger, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("last_digest", sa.String(64), nullable=False),
)

# The ids of client assertions already spent; a digest, so that a caller's text
# is not kept and its length does not matter.
used_proofs: Final = sa.Table(
    "used_proofs",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("expires_at", Seconds, nullable=False, index=True),
)

# Base status lists of the regions, by the digest of their token; immutable.
status_lists: Final = sa.Table(
    "status_lists",
    metadata,
    sa.Column("digest", sa.String(43), primary_key=True),
    sa.Column("uri", sa.String(256), nullable=False, index=True),
    sa.Column("urn", sa.String(128), nullable=False),
    sa.Column("token", sa.LargeBinary, nullable=False),
    sa.Column("received_at", Seconds, nullable=False),
    sa.Column("expires_at", Seconds, nullable=False),
)

usage: Final = sa.Table(
    "usage",
    metadata,
    sa.Column("caller", sa.String(128), primary_key=True),
    sa.Column("region", sa.String(6), primary_key=True),
    sa.Column("purpose", sa.String(16), primary_key=True),
    sa.Column("hour", Seconds, primary_key=True, autoincrement=False),
    sa.Column("envelopes", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

# What operators and members did. Append-only: triggers refuse an update and a deletion.
audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Seconds, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("reason", sa.String(256), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Index("ix_audit_subject", "subject", "number"),
)

# Which notices were given already: each once, however many processes look.
notices: Final = sa.Table(
    "notices",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("at", Seconds, nullable=False),
)

# How far each reader of a feed said it is, whichever hub process it said it to.
readers: Final = sa.Table(
    "readers",
    metadata,
    sa.Column("hub", sa.String(128), primary_key=True),
    sa.Column("urn", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("seen_at", Seconds, nullable=False, index=True),
    sa.Column("process", sa.String(32), nullable=False),
)

# Up to when the hub has heard all that a region said of its status lists.
heard_regions: Final = sa.Table(
    "heard_regions",
    metadata,
    sa.Column("urn", sa.String(128), primary_key=True),
    sa.Column("heard_at", Seconds, nullable=False),
)

# What readers said of rehearsals; no reason: the reader would verify the new key.
rehearsal_answers: Final = sa.Table(
    "rehearsal_answers",
    metadata,
    sa.Column("rehearsal", sa.String(64), primary_key=True),
    sa.Column("urn", sa.String(128), primary_key=True),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("seen_at", Seconds, nullable=False, index=True),
)

# The hub processes on this database, and how many readers watch the feed at each.
processes: Final = sa.Table(
    "processes",
    metadata,
    sa.Column("process", sa.String(32), primary_key=True),
    sa.Column("watchers", sa.Integer, nullable=False),
    sa.Column("seen_at", Seconds, nullable=False),
)
