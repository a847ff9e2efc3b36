"""Making a file: bounded, resumable, whole or not at all, and pseudonymous by default."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, city_names, platform
from adapters.platforms.faults import parse_faults
from adapters.platforms.server import serve_platform
from adapters.sdk.attest import Attester
from adapters.sdk.catalogue import CityCatalogue, require_door
from adapters.sdk.city import read_city
from adapters.sdk.connectors import open_connector
from adapters.sdk.upstream import Upstream, UpstreamSettings
from gateway.attestation import generate_signing_key
from gateway.catalogue import (
    CatalogueKind,
    CatalogueSourceError,
    CatalogueUseError,
    RowOutcome,
    parse_row,
)
from gateway.catalogue.counts import CountKey
from gateway.catalogue.documents import open_document
from gateway.catalogue.draft import Draft
from gateway.catalogue.exporting import export_counts, export_records
from gateway.catalogue.store import CatalogueStore, sqlite_dsn
from gateway.codes import Level
from tests.adapters.platforms.support import Clock
from tests.catalogue.world import (
    AUDIENCE,
    FOREIGN,
    ISSUER,
    NOON,
    PEOPLE,
    SECRET,
    Chain,
    MemorySource,
    World,
    make_federation,
    record,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

SCHEMES = Path(__file__).parents[2] / "adapters" / "schemes"
HUNDRED = [record(number) for number in range(100)]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    federation = make_federation()
    async with await CatalogueStore.open(sqlite_dsn(tmp_path / "store.db")) as store:
        yield World(federation, Chain(federation, tmp_path), store, tmp_path)


async def test_what_is_made_is_taken(world: World) -> None:
    told: list[int] = []
    order = world.order()
    signed = await export_records(
        MemorySource(HUNDRED), order, clock=lambda: NOON, on_rows=told.append
    )
    assert (signed.header.rows, signed.header.sequence) == (100, 1)
    assert told[-1] == 100
    taken = await world.take(order.out)
    assert taken.outcomes == {RowOutcome.TAKEN: 100}
    assert sorted(path.name for path in world.folder.glob("out.*")) == [
        "out.catalogue",
        "out.catalogue.part.lock",
    ]
    again = await export_records(MemorySource(HUNDRED[1:]), order, clock=lambda: NOON)
    assert again.header.previous == signed.digest
    taken = await world.take(order.out)
    assert taken.outcomes == {RowOutcome.UNCHANGED: 99}
    assert taken.closed == 1


async def test_a_file_holds_no_number_in_clear(world: World) -> None:
    for seal_to in (None, world.federation.regions["440100"].sealing.public):
        order = world.order(seal_to=seal_to, out=world.folder / "f.catalogue")
        await export_records(MemorySource(HUNDRED[:4]), order, clock=lambda: NOON)
        text = order.out.read_text()
        assert not any(PEOPLE.person(number).number in text for number in range(4))
        taken = await world.take(order.out)
        assert taken.is_clean
        held = await world.store.listed(ISSUER, parse_row(text.split("\n")[1].encode()).sub)
        assert held is not None
        assert (held.sealed is None) == (seal_to is None)
        assert taken.signed.header.identified == (seal_to is not None)
    key = world.federation.regions["440100"].sealing
    document = open_document(key, held.sealed or "", issuer=ISSUER, audience=AUDIENCE, sub=held.sub)
    assert document == HUNDRED[0].document
    assert document.number.encode() not in (world.folder / "store.db").read_bytes()


async def test_two_audiences_cannot_link_their_rows(world: World) -> None:
    subs = []
    for audience in (AUDIENCE, FOREIGN):
        order = world.order(audience=audience)
        await export_records(MemorySource(HUNDRED), order, clock=lambda: NOON)
        lines = order.out.read_bytes().splitlines()[1:]
        subs.append({parse_row(line).sub for line in lines})
    assert not subs[0] & subs[1]


async def test_a_run_goes_on_where_it_stopped_and_gives_the_same_file(world: World) -> None:
    whole = world.order(out=world.folder / "whole")
    await export_records(MemorySource(HUNDRED), whole, clock=lambda: NOON)
    order = world.order(ledger=replace(whole.ledger, path=world.folder / "other.json"))
    broken = MemorySource(HUNDRED, fails_at=30)
    with pytest.raises(CatalogueSourceError):
        await export_records(broken, order, clock=lambda: NOON)
    assert not order.out.exists()
    with (world.folder / "out.catalogue.part").open("ab") as torn:
        torn.write(b'{"half a row')
    source = MemorySource(HUNDRED)
    await export_records(source, order, clock=lambda: NOON + timedelta(minutes=5))
    assert source.asked == ["30"]
    made, wanted = order.out.read_bytes(), whole.out.read_bytes()
    assert made[made.index(b"\n") :] == wanted[wanted.index(b"\n") :]
    assert (await world.take(order.out, now=NOON + timedelta(minutes=5))).is_clean


@pytest.mark.parametrize("why", ["next day", "identified", "audience", "anew", "lost"])
async def test_a_draft_of_something_else_is_begun_anew(world: World, why: str) -> None:
    with pytest.raises(CatalogueSourceError):
        await export_records(MemorySource(HUNDRED, fails_at=30), world.order(), clock=lambda: NOON)
    now, order = NOON, world.order()
    if why == "next day":
        now = NOON + timedelta(hours=12)  # 24:00 in Shanghai
    if why == "identified":
        order = world.order(seal_to=world.federation.regions["440100"].sealing.public)
    if why == "audience":
        order = world.order(audience=FOREIGN)
    if why == "lost":
        (world.folder / "out.catalogue.part").write_bytes(b"")
    source = MemorySource(HUNDRED, taken_at=now)
    signed = await export_records(source, order, clock=lambda: now, is_resumed=why != "anew")
    assert source.asked == [None]
    assert signed.header.rows == 100


async def test_a_kill_before_the_file_has_its_name_leads_to_the_same_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Draft, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            await export_records(MemorySource(HUNDRED), world.order(), clock=lambda: NOON)
    noted = world.order().ledger.last(AUDIENCE, CatalogueKind.RECORDS)
    source = MemorySource(HUNDRED)
    signed = await export_records(source, world.order(), clock=lambda: NOON)
    assert not source.asked
    assert noted is not None
    assert (signed.digest, signed.header.sequence) == (noted.digest, 1)
    assert (await world.take(world.order().out)).is_clean


async def test_two_runs_do_not_write_one_file(world: World) -> None:
    gate = asyncio.Event()

    class Slow(MemorySource):
        async def pages(self, after: str | None):  # type: ignore[no-untyped-def]  # as its base
            await gate.wait()
            async for page in super().pages(after):
                yield page

    first = asyncio.create_task(export_records(Slow(HUNDRED), world.order(), clock=lambda: NOON))
    await asyncio.sleep(0)
    with pytest.raises(CatalogueUseError, match="another process"):
        await export_records(MemorySource(HUNDRED), world.order(), clock=lambda: NOON)
    gate.set()
    assert (await first).header.rows == 100


async def test_a_green_record_is_never_written(world: World) -> None:
    green = record(1, level=Level.GREEN, state="绿码")
    with pytest.raises(CatalogueSourceError):
        await export_records(MemorySource([green]), world.order(), clock=lambda: NOON)
    assert not world.order().out.exists()


async def test_counts_name_nobody_and_hide_few(world: World) -> None:
    people = [*HUNDRED[:50], *(record(n, level=Level.YELLOW) for n in range(50, 53))]
    outcomes = {CountKey("330100", "outcome", "CANNOT_DETERMINE"): 12}
    order = world.order(out=world.folder / "counts")
    signed = await export_counts(MemorySource(people, outcomes=outcomes), order, clock=lambda: NOON)
    assert signed.header.kind is CatalogueKind.COUNTS
    assert (await world.take(order.out)).outcomes == {RowOutcome.TAKEN: 3}
    assert await world.store.counted(ISSUER, AUDIENCE) == (
        ("330100", "RED", 50),
        ("330100", "YELLOW", None),
        ("330100", "CANNOT_DETERMINE", 12),
    )
    with pytest.raises(CatalogueUseError):
        await export_counts(MemorySource([]), order, clock=lambda: NOON, threshold=1)
    sealed = world.order(seal_to=world.federation.regions["440100"].sealing.public)
    with pytest.raises(CatalogueUseError):
        await export_counts(MemorySource([]), sealed, clock=lambda: NOON)


# --- real platforms -----------------------------------------------------------------

NEVER_LISTED = {"travelcard", "yiwu"}
"""Systems whose answers are no levels."""


def _city(name: str, base_url: str, clock: Clock) -> CityCatalogue:
    scheme = read_city(SCHEMES / name)
    connector = open_connector(
        scheme,
        upstream=Upstream(UpstreamSettings(url=base_url)),
        secrets=CREDENTIALS[name],
        now=clock,
    )
    door = require_door(connector, scheme)
    return CityCatalogue(scheme, door, prefixes=scheme.prefixes, clock=clock)


@pytest.mark.parametrize(
    "name", [name for name in city_names() if (SCHEMES / name / "scheme.yaml").exists()]
)
async def test_every_city_can_be_asked_through_its_own_wire(name: str) -> None:
    clock = Clock(NOON)
    city = platform(name, clock=clock, size=1_500)
    async with await serve_platform(city, admin_token="synthetic") as running:
        source = _city(name, running.base_url, clock)
        try:
            pages = [page async for page in source.pages(None)]
        finally:
            await source.close()
    listed = [one for page in pages for one in page.records]
    assert all(one.code.level is not Level.GREEN for one in listed)
    assert bool(listed) == (name not in NEVER_LISTED)
    numbers = [one.document.number for one in listed]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    "fault",
    [
        "down",
        "maintenance",
        "quota",
        "garbage=html",
        "garbage=truncated",
        "garbage=encoding",
        "empty",
    ],
)
async def test_a_failing_platform_makes_no_file(world: World, fault: str) -> None:
    clock = Clock(NOON)
    city = platform("hangzhou", clock=clock, size=500)
    async with await serve_platform(city, admin_token="synthetic") as running:
        city.faults = parse_faults([fault])
        source = _city("hangzhou", running.base_url, clock)
        try:
            made = await export_records(source, world.order(), clock=clock)
        except CatalogueSourceError:
            made = None
        finally:
            await source.close()
    assert made is None
    assert not world.order().out.exists()


async def test_a_row_carries_the_pseudonym_of_the_attestation(world: World) -> None:
    clock = Clock(NOON)
    city = platform("hangzhou", clock=clock, size=600)
    order = world.order()
    async with await serve_platform(city, admin_token="synthetic") as running:
        source = _city("hangzhou", running.base_url, clock)
        listed = [one async for page in source.pages(None) for one in page.records]
        await export_records(source, order, clock=clock)
        await source.close()
    attester = Attester(
        authority=ISSUER,
        prefixes=("3301",),
        scheme=read_city(SCHEMES / "hangzhou"),
        key=generate_signing_key(),
        pseudonym_secret=SECRET,
    )
    assert (await world.take(order.out)).is_clean
    sub = attester.pseudonym(AUDIENCE, listed[0].document)
    assert await world.store.listed(ISSUER, sub) is not None
