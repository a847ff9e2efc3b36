"""The hub's persistence: SQLite by default, PostgreSQL by DSN, one SQL layer.

:class:`Store` opens and migrates a database; :class:`WriteTransaction` is one
atomic change of the registry and its feed; the rest are rows as values.
"""

from __future__ import annotations

from gateway.database import SchemaAheadError, SchemaBehindError, StoreError
from gateway.store.errors import StoreCorruptError
from gateway.store.reader_rows import AnswerRow, ReaderRow
from gateway.store.records import (
    AuditRow,
    ChallengeRow,
    EnrolmentRow,
    FeedRow,
    FeedStateRow,
    Loaded,
    MemberRow,
    StatementRow,
    StatusListRow,
    UsageRow,
)
from gateway.store.store import Store
from gateway.store.transaction import WriteTransaction

__all__ = [
    "AnswerRow",
    "AuditRow",
    "ChallengeRow",
    "EnrolmentRow",
    "FeedRow",
    "FeedStateRow",
    "Loaded",
    "MemberRow",
    "ReaderRow",
    "SchemaAheadError",
    "SchemaBehindError",
    "StatementRow",
    "StatusListRow",
    "Store",
    "StoreCorruptError",
    "StoreError",
    "UsageRow",
    "WriteTransaction",
]
