"""One way to open and migrate a database, for every part that keeps one.

The hub's store, the national issuer and a region's catalogue each have tables,
migrations and a lock order of their own; what they share is here: the DSN, the
pragmas that make SQLite durable, migrations under a lock, and the errors.
"""

from __future__ import annotations

from gateway.database.engine import WRITE_OPTION as WRITE_OPTION
from gateway.database.engine import close_engine as close_engine
from gateway.database.engine import create_engine as create_engine
from gateway.database.engine import prepare_file as prepare_file
from gateway.database.errors import SchemaAheadError as SchemaAheadError
from gateway.database.errors import SchemaBehindError as SchemaBehindError
from gateway.database.errors import StoreError as StoreError
from gateway.database.migrations import Migrations as Migrations
