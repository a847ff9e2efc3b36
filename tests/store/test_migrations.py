from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.database import create_engine
from gateway.store import SchemaAheadError, SchemaBehindError, Store, StoreError, schema
from gateway.store.migrate import MIGRATIONS
from tests.store.databases import BACKENDS, database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=BACKENDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as dsn:
        yield dsn


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, schema.metadata))


async def test_the_migrations_build_exactly_the_schema(dsn: str) -> None:
    async with await Store.open(dsn) as store, store._engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_opening_twice_migrates_once(dsn: str) -> None:
    engine = create_engine(dsn)
    assert await MIGRATIONS.migrate(engine) is True
    assert await MIGRATIONS.migrate(engine) is False
    await engine.dispose()


async def test_two_processes_may_open_a_new_database_at_once(dsn: str) -> None:
    stores = await asyncio.gather(*(Store.open(dsn) for _ in range(3)))
    for store in stores:
        await store.ping()
        await store.close()


async def test_a_database_that_is_ahead_is_refused(dsn: str) -> None:
    async with await Store.open(dsn) as store, store._engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaAheadError):
        await Store.open(dsn)
    with pytest.raises(SchemaAheadError):
        await Store.open(dsn, may_migrate=False)


async def test_a_database_that_is_behind_is_refused_where_migrating_is_forbidden(dsn: str) -> None:
    with pytest.raises(SchemaBehindError):
        await Store.open(dsn, may_migrate=False)


async def test_the_newest_revision_is_known() -> None:
    assert MIGRATIONS.newest_revision() == "0012"


@pytest.mark.parametrize(
    "dsn",
    [
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="no-scheme"),
        pytest.param("mysql://x/y", id="other-system"),
        pytest.param("sqlite://", id="memory"),
        pytest.param("sqlite:///:memory:", id="named-memory"),
        pytest.param("sqlite:////nowhere/at/all/hub.db", id="no-directory"),
        pytest.param("postgresql://nobody@127.0.0.1:1/none", id="nobody-there"),
    ],
)
async def test_a_dsn_that_cannot_be_opened_is_refused_without_its_text(dsn: str) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(dsn)
    assert "nobody" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    path = tmp_path / "hub.db"
    path.write_text("not a database, and long enough to be looked at\n" * 100)
    with pytest.raises(StoreError):
        await Store.open(f"sqlite:///{path}")
