"""Run by alembic for every command; takes its connection from the caller.

There is no alembic.ini and no offline mode: :mod:`gateway.database.migrations` is
the only caller, and it passes a connection inside a transaction.
"""

from __future__ import annotations

from alembic import context

from gateway.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    version_table=context.config.attributes["version_table"],
)
context.run_migrations()
