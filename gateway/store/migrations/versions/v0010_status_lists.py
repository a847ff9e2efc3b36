"""The regions' base status lists."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0010"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "status_lists",
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("uri", sa.String(256), nullable=False),
        sa.Column("urn", sa.String(128), nullable=False),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_status_lists"),
    )
    op.create_index("ix_status_lists_uri", "status_lists", ["uri"])
