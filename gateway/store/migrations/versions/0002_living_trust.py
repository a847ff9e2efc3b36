"""Approvals, reports, key changes under way, keys of the past, audit, notices, tombstones."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None

_SQLITE_AUDIT: Final = tuple(
    f"""
CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
"""
    for verb in ("UPDATE", "DELETE")
)
_POSTGRES_AUDIT: Final = (
    """
CREATE FUNCTION hutong_keep_audit() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$
""",
    """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION hutong_keep_audit()
""",
)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add what living trust needs; nothing that stands is changed."""
    op.add_column("members", sa.Column("approvals", _json(), nullable=False, server_default="[]"))
    op.add_column("members", sa.Column("report", _json()))
    op.add_column("member_keys", sa.Column("ended_at", sa.BigInteger))
    op.add_column(
        "enrolments",
        sa.Column("kind", sa.String(16), nullable=False, server_default="enrolment"),
    )
    op.add_column(
        "feed_entries",
        sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("reason", sa.String(256), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "number"])
    op.create_table(
        "notices",
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_notices"),
    )
    postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _POSTGRES_AUDIT if postgres else _SQLITE_AUDIT:
        op.execute(statement)
