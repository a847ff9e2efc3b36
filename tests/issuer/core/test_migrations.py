"""The issuer's migrations build its schema, for an empty database and beside another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.database import SchemaAheadError, SchemaBehindError
from gateway.issuer.store import IssuerStore, schema, service_schema
from gateway.store import Store
from tests.store.databases import BACKENDS, database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=BACKENDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as dsn:
        yield dsn


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "version_table": "issuer_version"}
    context = MigrationContext.configure(connection, opts=options)
    assert service_schema.metadata is schema.metadata
    return list(compare_metadata(context, schema.metadata))


async def test_the_migrations_build_exactly_the_schema(empty: str) -> None:
    async with await IssuerStore.open(empty) as store, store._engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_the_codes_leave_room_on_every_page(empty: str) -> None:
    async with await IssuerStore.open(empty) as store:
        if not store.is_postgres:
            pytest.skip("pages of SQLite have no fillfactor")
        async with store.read() as connection:
            options = await connection.scalar(
                sa.text("SELECT reloptions FROM pg_class WHERE relname = 'codes'")
            )
    assert options == ["fillfactor=50"]


async def test_a_database_of_another_version_is_refused(empty: str) -> None:
    with pytest.raises(SchemaBehindError):
        await IssuerStore.open(empty, may_migrate=False)
    async with await IssuerStore.open(empty) as store, store.write() as connection:
        await connection.execute(sa.text("UPDATE issuer_version SET version_num = '9999'"))
    with pytest.raises(SchemaAheadError):
        await IssuerStore.open(empty)


async def test_a_hub_may_live_in_the_same_database(empty: str) -> None:
    async with await IssuerStore.open(empty), await Store.open(empty):
        pass
    async with await IssuerStore.open(empty, may_migrate=False):
        pass
