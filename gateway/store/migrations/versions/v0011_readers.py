"""How far readers of the feed are, over all hub processes of one database."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "readers",
        sa.Column("hub", sa.String(128), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("process", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("hub", "urn", name="pk_readers"),
    )
    op.create_index("ix_readers_seen_at", "readers", ["seen_at"])
    op.create_table(
        "rehearsal_answers",
        sa.Column("rehearsal", sa.String(64), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("rehearsal", "urn", name="pk_rehearsal_answers"),
    )
    op.create_index("ix_rehearsal_answers_seen_at", "rehearsal_answers", ["seen_at"])
    op.create_table(
        "processes",
        sa.Column("process", sa.String(32), nullable=False),
        sa.Column("watchers", sa.Integer, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("process", name="pk_processes"),
    )
