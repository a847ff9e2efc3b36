from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.hub.directory import AdapterRecord
from gateway.hub.routes import RouteTable
from gateway.wire.errors import RpcFailure
from tests.hub.exchange_world import HANGZHOU, ZHEJIANG, Directory

pytestmark = pytest.mark.asyncio


class Link:
    """A way that only remembers whether it was closed."""

    def __init__(self, record: AdapterRecord) -> None:
        self.record = record
        self.closed = False

    async def close(self) -> None:
        self.closed = True


def record(authority: str, *prefixes: str, endpoint: str = "adapter:1") -> AdapterRecord:
    return AdapterRecord(authority, prefixes, endpoint, None, active=True)


def reason(table: RouteTable[Link], region: str) -> str:
    with pytest.raises(RpcFailure) as caught:
        table.link(region)
    return caught.value.code


async def test_the_longest_prefix_that_contains_the_region_wins() -> None:
    directory = Directory()
    table = RouteTable(directory, Link)
    directory.set_adapter(record(ZHEJIANG, "33"))
    directory.set_adapter(record(HANGZHOU, "3301", "330783"))
    assert table.link("330106").record.authority == HANGZHOU
    assert table.link("330783").record.authority == HANGZHOU
    assert table.link("330782").record.authority == ZHEJIANG
    assert table.link("330000").record.authority == ZHEJIANG
    assert reason(table, "440100") == "UNKNOWN_REGION"
    await table.close()


async def test_the_table_follows_the_directory_and_keeps_the_link() -> None:
    directory = Directory()
    directory.set_adapter(record(HANGZHOU, "3301"))
    table = RouteTable(directory, Link)
    link = table.link("330100")
    directory.set_adapter(record(HANGZHOU, "3302"))
    assert table.link("330200") is link
    assert not link.closed
    assert reason(table, "330100") == "UNKNOWN_REGION"
    await table.close()


async def test_a_suspended_authority_is_told_from_an_unknown_one_and_its_link_is_closed() -> None:
    directory = Directory()
    directory.set_adapter(record(ZHEJIANG, "33"))
    directory.set_adapter(record(HANGZHOU, "3301"))
    table = RouteTable(directory, Link)
    link = table.link("330100")
    directory.set_adapter(replace(record(HANGZHOU, "3301"), active=False))
    assert reason(table, "330100") == "REGION_SUSPENDED"
    assert table.link("330200").record.authority == ZHEJIANG
    directory.set_adapter(record(HANGZHOU, "3301"))
    assert table.link("330100") is not link
    await table.close()
    assert link.closed


async def test_a_new_endpoint_is_a_new_link_and_the_old_one_is_closed() -> None:
    directory = Directory()
    directory.set_adapter(record(HANGZHOU, "3301"))
    table = RouteTable(directory, Link)
    old = table.link("330100")
    directory.set_adapter(record(HANGZHOU, "3301", endpoint="adapter:2"))
    new = table.link("330100")
    assert new is not old
    await table.close()
    assert old.closed
    assert new.closed


async def test_a_closed_table_leads_nowhere_and_follows_no_longer() -> None:
    directory = Directory()
    directory.set_adapter(record(HANGZHOU, "3301"))
    table = RouteTable(directory, Link)
    await table.close()
    directory.changed()
    assert reason(table, "330100") == "UNKNOWN_REGION"
