"""What a database refuses, all of it our own side's fault.

::

    InternalError
    └── StoreError            STORE_FAILED
        ├── SchemaAheadError  STORE_SCHEMA_AHEAD
        └── SchemaBehindError STORE_SCHEMA_BEHIND

None of these codes is an ``ErrorReason``: on the wire each becomes INTERNAL
with an incident id.
"""

from __future__ import annotations

from gateway.errors import InternalError


class StoreError(InternalError):
    """The database cannot be used."""

    default_code = "STORE_FAILED"


class SchemaAheadError(StoreError):
    """A newer version of this software wrote the database."""

    default_code = "STORE_SCHEMA_AHEAD"


class SchemaBehindError(StoreError):
    """The database needs migrating first."""

    default_code = "STORE_SCHEMA_BEHIND"
