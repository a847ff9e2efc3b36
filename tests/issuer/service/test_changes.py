"""Whoever is no longer green by the issuer's own database loses what was issued."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.sdk.issued import IssuedLedger, StatusSettings
from gateway.attestation import generate_signing_key
from gateway.attestation.status_change import apply_change, verify_status_change
from gateway.attestation.status_list import verify_status_list
from gateway.codes import Level
from gateway.codes.unified import UnifiedCode
from gateway.issuer.changes import CURSOR, IssuerChanges
from gateway.issuer.values import ContactKind
from tests.attestation.status_world import trusting
from tests.issuer.core.conftest import dsn, world  # noqa: F401  fixtures
from tests.issuer.core.world import document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapters.sdk.issued import Allotment
    from tests.issuer.core.world import World

pytestmark = pytest.mark.asyncio

ISSUER = "urn:hutong:region:100000"
KEY = generate_signing_key()
TRUST = trusting(KEY, ISSUER, prefixes=("10",))


@asynccontextmanager
async def ledger(place: World, path: Path | None = None) -> AsyncIterator[IssuedLedger]:
    made = IssuedLedger(
        StatusSettings(path=path, entries=1024, processes=2),
        authority=ISSUER,
        key=KEY,
        pseudonym_secret=bytes(32),
        max_seconds=6 * 3600,
        clock=lambda: place.clock.now,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def issue(held: IssuedLedger, index: int, place: World) -> Allotment:
    now = place.clock.now
    code = UnifiedCode(
        level=Level.GREEN,
        scheme="cn-native@2020-02",
        state="绿码",
        assessed_at=now,
        source_at=now,
        issued_by="100000",
    )
    await held.prepare(1)
    made = held.allot(document(index), code, issued_at=now, expires_at=now + timedelta(hours=6))
    assert made is not None
    rows = [made.row]
    assert await held.refusal(held.write(rows), rows, float("inf")) is None
    return made


def value(held: IssuedLedger, made: Allotment, place: World) -> int:
    posted = held.board.posted[made.reference.uri]
    base = verify_status_list(posted.base, TRUST, now=place.clock.now)
    change = verify_status_change(posted.change, TRUST, now=place.clock.now)
    return apply_change(base, change).get(made.reference.index)


async def test_a_contact_costs_what_was_issued_and_nobody_else(world: World) -> None:  # noqa: F811
    changes = IssuerChanges(world.issuer, clock=lambda: world.clock.now)
    async with ledger(world) as held:
        await world.declare(1)
        await world.declare(2)
        assert not await changes.step(held)
        first, other = await issue(held, 1, world), await issue(held, 2, world)
        await changes.step(held)
        assert (value(held, first, world), value(held, other, world)) == (0, 0)
        await world.report(1, ContactKind.CLOSE)
        await changes.step(held)
        assert (value(held, first, world), value(held, other, world)) == (1, 0)
        # Read again, it is the same revocation.
        sequence = held.board.posted[first.reference.uri].sequence
        await changes.step(held)
        assert held.board.posted[first.reference.uri].sequence == sequence


async def test_what_happened_while_the_issuer_was_away_is_read_then(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = tmp_path / "issued.db"
    changes = IssuerChanges(world.issuer, clock=lambda: world.clock.now)
    async with ledger(world, path) as held:
        await world.declare(1)
        await changes.step(held)
        made = await issue(held, 1, world)
        # A second process of the same folder has a file of its own.
        async with ledger(world, path) as beside:
            assert await beside.remembered(CURSOR) is None
    await world.report(1, ContactKind.CLOSE)
    again = IssuerChanges(world.issuer, clock=lambda: world.clock.now)
    async with ledger(world, path) as held:
        await again.step(held)
        assert value(held, made, world) == 1


async def test_without_a_number_a_day_is_read(world: World) -> None:  # noqa: F811
    changes = IssuerChanges(world.issuer, clock=lambda: world.clock.now)
    async with ledger(world) as held:
        await world.declare(1)
        made = await issue(held, 1, world)
        await world.report(1, ContactKind.CLOSE)
        await changes.step(held)
        assert value(held, made, world) == 1
