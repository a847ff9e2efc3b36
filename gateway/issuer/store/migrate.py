"""The migrations of the issuer's database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.database import Migrations

LOCK_CLASS: Final = 0x48495353
"""First key of PostgreSQL's two-key advisory locks in this room: ``HISS`` in ASCII."""

_MIGRATION_LOCK: Final = 0
"""Second key, while migrating."""

MIGRATIONS: Final = Migrations(
    Path(__file__).parent / "migrations", "issuer_version", (LOCK_CLASS, _MIGRATION_LOCK)
)
