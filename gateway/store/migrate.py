"""The migrations of the hub's store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.database import Migrations

MIGRATIONS: Final = Migrations(
    Path(__file__).parent / "migrations",
    "alembic_version",
    (0x4875746F6E67,),  # ``Hutong`` in ASCII
)
