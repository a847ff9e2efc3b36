"""Bringing a database to the schema of this version.

Migrations are package data and run in one transaction, under a lock that keeps
two processes from migrating at once. A database that a newer version wrote is
refused: there is no way back that loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path  # noqa: TC003 - a dataclass tells its types at run time

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection  # noqa: TC002 - see above
from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: TC002 - see above

from gateway.database.engine import WRITE_OPTION
from gateway.database.errors import SchemaAheadError, SchemaBehindError


def _config_of(folder: Path) -> Config:
    config = Config()
    # alembic interpolates %; a path may hold one.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _revisions(folder: Path) -> tuple[str | None, frozenset[str]]:
    """The newest revision of the package, and all of them; each script is a module to load."""
    scripts = ScriptDirectory.from_config(_config_of(folder))
    return scripts.get_current_head(), frozenset(
        script.revision for script in scripts.walk_revisions()
    )


@dataclass(frozen=True, slots=True)
class Migrations:
    """The migrations of one database.

    Attributes:
        folder: of the scripts, with their ``env.py``.
        version_table: where the revision stands; databases of several parts may share
            one server, and even one database.
        lock: key of PostgreSQL's advisory lock while migrating: one of 64 bits, or two
            of 32.
    """

    folder: Path
    version_table: str
    lock: tuple[int, ...]

    def newest_revision(self) -> str:
        """The revision this version of the software works with."""
        head, _ = _revisions(self.folder)
        if head is None:
            raise SchemaBehindError("the package carries no migrations; install it again")
        return head

    async def migrate(self, engine: AsyncEngine) -> bool:
        """Bring the database up to date.

        Returns:
            Whether anything had to be done.

        Raises:
            SchemaAheadError: a newer version wrote the database.
        """
        async with engine.connect() as connection:
            await connection.execution_options(**{WRITE_OPTION: True})
            async with connection.begin():
                return await connection.run_sync(self._migrate)

    async def check(self, engine: AsyncEngine) -> None:
        """Make sure that the database is at this version's schema.

        Raises:
            SchemaAheadError: a newer version wrote it.
            SchemaBehindError: it needs migrating.
        """
        async with engine.connect() as connection:
            await connection.run_sync(self._check)

    def _config(self, connection: Connection) -> Config:
        config = _config_of(self.folder)
        config.attributes["connection"] = connection
        config.attributes["version_table"] = self.version_table
        return config

    def _current(self, connection: Connection) -> str | None:
        context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
        revision: str | None = context.get_current_revision()
        return revision

    def _refuse_unknown(self, current: str | None) -> None:
        _, known = _revisions(self.folder)
        if current is not None and current not in known:
            raise SchemaAheadError(
                f"the database is at schema {current}, which this version does not know"
            )

    def _migrate(self, connection: Connection) -> bool:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*self.lock)))
        current = self._current(connection)
        self._refuse_unknown(current)
        if current == self.newest_revision():
            return False
        command.upgrade(self._config(connection), "head")
        return True

    def _check(self, connection: Connection) -> None:
        current = self._current(connection)
        self._refuse_unknown(current)
        if current != self.newest_revision():
            raise SchemaBehindError(f"the database is at schema {current or 'none'}")
