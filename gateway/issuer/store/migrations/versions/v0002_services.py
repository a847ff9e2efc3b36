"""What the services remember: used assertions, applied calls, shown codes, the schedule."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "used_assertions",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_assertions"),
    )
    op.create_index("ix_used_assertions_expires_at", "used_assertions", ["expires_at"])
    op.create_table(
        "calls",
        sa.Column("serial", sa.String(32), nullable=False),
        sa.Column("nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_calls"),
    )
    op.create_index("ix_calls_expires_at", "calls", ["expires_at"])
    op.create_table(
        "shown_codes",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("medium", sa.SmallInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("valid_until", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_shown_codes"),
    )
    op.create_index("ix_shown_codes_valid_until", "shown_codes", ["valid_until"])
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("done_on", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("held_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedule"),
    )


def downgrade() -> None:
    """Not offered."""
    raise NotImplementedError("going back is restoring a backup")
