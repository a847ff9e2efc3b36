"""A checkpoint refers whom the issuer has since listed, also offline, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import Attestation, to_armour
from gateway.catalogue.listing import ListingFile
from gateway.catalogue.store import CatalogueStore, sqlite_dsn
from gateway.codes import Level
from gateway.edge.record import parse_records
from gateway.recognition import Verdict
from tests.catalogue.world import Chain, row
from tests.catalogue.world import World as Receiver
from tests.edge.world import GUANGZHOU, NOW, World, edge_world, hangzhou_qr, unified

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

MORNING = NOW  # 10:00 in Shanghai; the attestation is assessed at 08:00
SUBJECT = "S" * 43  # of every attestation of that world
LIFE = timedelta(hours=6)


async def give(world: World, *rows: Any, made_at: Any, **changes: Any) -> Path:
    """A checkpoint's store with one catalogue in it."""
    path = world.state / "catalogues.db"
    chain = Chain(world.federation, world.state)
    async with await CatalogueStore.open(sqlite_dsn(path)) as store:
        receiver = Receiver(world.federation, chain, store, world.state)
        taken = await receiver.take(chain.rows(*rows, made_at=made_at, **changes), now=made_at)
        assert taken.is_clean
    world.pipeline._weigher._catalogue_file = path
    return path


def red(**changes: Any) -> Any:
    noon = MORNING + timedelta(hours=2)
    hour = timedelta(hours=1)
    return row(
        0, **{"sub": SUBJECT, "assessed_at": noon - hour, "source_at": noon - hour} | changes
    )


def codes(result: Any) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_a_green_carried_since_morning_is_referred_at_noon(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        carried = to_armour(world.hub.carried(life=LIFE))
        world.clock.advance(hours=2)
        await give(world, red(), made_at=world.clock())
        result = world.pipeline.verify_offline(carried)
        assert result.decision.verdict is Verdict.REFER
        assert codes(result)[0] == "LISTED_SINCE"
        [record] = parse_records((tmp_path / "decisions.jsonl").read_bytes())
        assert "LISTED_SINCE" in record.reasons
        # It was no admission, so it is not spent either.
        world.pipeline._weigher._catalogue_file = None
        assert world.pipeline.verify_offline(carried).decision.verdict is Verdict.ADMIT


async def test_an_online_green_is_held_against_the_catalogue_too(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        ask = {"origin": None, "timeout_seconds": 5}
        assert (await world.pipeline.ask(hangzhou_qr(), **ask)).is_admitted
        await give(world, red(assessed_at=MORNING, source_at=MORNING), made_at=MORNING)
        result = await world.pipeline.ask(hangzhou_qr(), **ask)
        assert codes(result)[0] == "LISTED_SINCE"


async def test_a_green_newer_than_the_catalogue_stands(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        await give(world, red(assessed_at=MORNING, source_at=MORNING), made_at=MORNING)
        world.clock.advance(hours=3)
        later = world.clock() - timedelta(hours=1)
        token = world.hub.carried(unified(assessed_at=later, source_at=later), life=LIFE)
        assert world.pipeline.verify_offline(token).decision.verdict is Verdict.ADMIT


async def test_the_later_word_of_the_issuer_counts_even_about_an_older_assessment(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried(life=LIFE)
        world.clock.advance(hours=2)
        old = MORNING - timedelta(days=2)
        await give(world, red(assessed_at=old, source_at=old), made_at=world.clock())
        assert codes(world.pipeline.verify_offline(token))[0] == "LISTED_SINCE"


async def test_who_is_not_listed_or_listed_by_another_passes(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried(life=LIFE)
        world.clock.advance(hours=2)
        other = "Q" * 43
        path = await give(world, red(sub=other), made_at=world.clock())
        assert ListingFile(path).listed("urn:hutong:region:330100", other) is not None
        assert ListingFile(path).listed("urn:hutong:region:440100", other) is None
        assert world.pipeline.verify_offline(token).decision.verdict is Verdict.ADMIT


@pytest.mark.parametrize("level", [Level.RED, Level.YELLOW, Level.RESTRICTED])
async def test_a_catalogue_changes_nothing_that_does_not_admit(
    tmp_path: Path, level: Level
) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried(unified(level, state="红码"), life=LIFE)
        before = world.pipeline.verify_offline(token)
        world.clock.advance(hours=2)
        await give(world, red(level="YELLOW"), made_at=world.clock())
        after = world.pipeline.verify_offline(token)
        assert after.decision.verdict is before.decision.verdict
        assert not after.is_admitted
        assert codes(after) == codes(before)


async def test_a_closed_listing_refers_nobody(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried(life=LIFE)
        world.clock.advance(hours=2)
        now = world.clock()
        chain = Chain(world.federation, tmp_path)
        path = tmp_path / "catalogues.db"
        async with await CatalogueStore.open(sqlite_dsn(path)) as store:
            receiver = Receiver(world.federation, chain, store, tmp_path)
            await receiver.take(chain.rows(red(), made_at=now), now=now)
            other = chain.rows(red(sub="Q" * 43), made_at=now)
            assert (await receiver.take(other, now=now)).closed == 1
        world.pipeline._weigher._catalogue_file = path
        assert world.pipeline.verify_offline(token).decision.verdict is Verdict.ADMIT


@pytest.mark.parametrize("damage", ["missing", "garbage", "no tables"])
async def test_listings_that_cannot_be_read_admit_nobody(tmp_path: Path, damage: str) -> None:
    async with edge_world(tmp_path) as world:
        path = tmp_path / "catalogues.db"
        if damage == "garbage":
            path.write_bytes(b"no database at all" * 1_000)
        if damage == "no tables":
            path.write_bytes(b"")
        world.pipeline._weigher._catalogue_file = path
        result = world.pipeline.verify_offline(world.hub.carried(life=LIFE))
        assert result.decision.verdict is Verdict.REFER
        assert codes(result)[0] == "LISTINGS_UNREADABLE"
        assert path.exists() == (damage != "missing")


async def test_a_pseudonym_towards_another_audience_is_nobody_here(tmp_path: Path) -> None:
    def renamed(attestation: Attestation) -> Attestation:
        return replace(attestation, subject="T" * 43)

    async with edge_world(tmp_path) as world:
        world.hub.change_attestation = renamed
        token = world.hub.carried(life=LIFE)
        world.clock.advance(hours=2)
        await give(world, red(), made_at=world.clock())
        assert world.pipeline._weigher._region == GUANGZHOU
        assert world.pipeline.verify_offline(token).decision.verdict is Verdict.ADMIT
