"""What the hub's store refuses beyond what every database does.

::

    InternalError
    └── StoreError            see gateway.database.errors
        └── StoreCorruptError STORE_CORRUPT
"""

from __future__ import annotations

from gateway.database.errors import StoreError


class StoreCorruptError(StoreError):
    """What the database holds contradicts itself or its signatures."""

    default_code = "STORE_CORRUPT"
