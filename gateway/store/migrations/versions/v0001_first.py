"""The first schema: members, enrolments, statements, feed, spent proofs, usage."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

_SQLITE_APPEND_ONLY: Final = """
CREATE TRIGGER feed_entries_append_only BEFORE UPDATE ON feed_entries
BEGIN SELECT RAISE(ABORT, 'feed_entries is append-only'); END
"""
_POSTGRES_APPEND_ONLY: Final = (
    """
CREATE FUNCTION hutong_refuse_update() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'feed_entries is append-only'; END $$
""",
    """
CREATE TRIGGER feed_entries_append_only BEFORE UPDATE ON feed_entries
FOR EACH ROW EXECUTE FUNCTION hutong_refuse_update()
""",
)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _create_member_tables() -> None:
    op.create_table(
        "members",
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("record", _json(), nullable=False),
        sa.Column("enrolment_id", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("approved_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("urn", name="pk_members"),
        sa.UniqueConstraint("revision", name="uq_members_revision"),
    )
    op.create_table(
        "member_prefixes",
        sa.Column("prefix", sa.String(6), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name="pk_member_prefixes"),
        sa.ForeignKeyConstraint(
            ["urn"], ["members.urn"], name="fk_member_prefixes_urn", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_member_prefixes_urn", "member_prefixes", ["urn"])
    op.create_table(
        "member_keys",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_member_keys"),
        sa.ForeignKeyConstraint(
            ["urn"], ["members.urn"], name="fk_member_keys_urn", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_member_keys_urn", "member_keys", ["urn"])
    op.create_table(
        "enrolments",
        sa.Column("enrolment_id", sa.String(64), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("statement_key_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", name="pk_enrolments"),
        sa.ForeignKeyConstraint(
            ["urn"], ["members.urn"], name="fk_enrolments_urn", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_enrolments_urn", "enrolments", ["urn"])
    op.create_table(
        "challenges",
        sa.Column("enrolment_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("proven", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "key_id", name="pk_challenges"),
        sa.ForeignKeyConstraint(
            ["enrolment_id"],
            ["enrolments.enrolment_id"],
            name="fk_challenges_enrolment_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "statements",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.PrimaryKeyConstraint("digest", name="pk_statements"),
        sa.ForeignKeyConstraint(
            ["urn"], ["members.urn"], name="fk_statements_urn", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_statements_urn", "statements", ["urn"])


def _create_feed_tables() -> None:
    op.create_table(
        "feed_entries",
        sa.Column("sequence", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_feed_entries"),
    )
    op.create_index("ix_feed_entries_kind_subject", "feed_entries", ["kind", "subject", "sequence"])
    state = op.create_table(
        "feed_state",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed_state"),
    )
    op.bulk_insert(state, [{"id": 1, "floor": 0, "last_sequence": 0, "last_digest": ""}])
    if op.get_bind().dialect.name == "postgresql":
        for statement in _POSTGRES_APPEND_ONLY:
            op.execute(statement)
    else:
        op.execute(_SQLITE_APPEND_ONLY)


def _create_counting_tables() -> None:
    op.create_table(
        "used_proofs",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_proofs"),
    )
    op.create_index("ix_used_proofs_expires_at", "used_proofs", ["expires_at"])
    op.create_table(
        "usage",
        sa.Column("caller", sa.String(128), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("hour", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("envelopes", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("caller", "region", "purpose", "hour", name="pk_usage"),
    )


def upgrade() -> None:
    """Create everything."""
    _create_member_tables()
    _create_feed_tables()
    _create_counting_tables()
