"""The issuer's persistence: SQLite by default, PostgreSQL by DSN, one SQL layer.

:class:`IssuerStore` opens and migrates a database and gives transactions;
:mod:`.schema` holds the tables. Further tables come with further migrations in
``migrations/versions``.
"""

from __future__ import annotations

from gateway.issuer.store.store import IssuerStore

__all__ = ["IssuerStore"]
