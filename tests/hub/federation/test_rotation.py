"""The hubs of a federation change their own keys, one after the other, and nobody notices.

Readers here are a checkpoint in Guangdong that has only the first anchor of its own hub,
and the hubs that pass each other's feeds on. Hangzhou's adapter follows no feed and is
handed the anchor anew.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from gateway.attestation.keys import generate_signing_key
from gateway.cli.hub_keys import replace_now, rotate
from gateway.cli.region_keys import Rehearsed, RotationPlan, Surroundings
from gateway.edge import Checkpoint
from gateway.hub.own_keys import open_own_keys
from gateway.hub.setup import load_operator_profile
from gateway.hub.superior_keys import open_superior
from gateway.recognition import Verdict
from gateway.trust import KeyUse, StatementKind, sign_statement, signing_member_key
from gateway.trust.jws import take_apart
from gateway.trust.key_proofs import key_proof
from gateway.trust.lifecycle import KeyChange
from gateway.trust.statements import statement_digest
from gateway.wire.key_change import RehearsalView
from tests.hub.federation.gates import codes, shown, until_admitted, until_trusted
from tests.hub.federation.world import (
    GUANGZHOU,
    HANGZHOU,
    NATION,
    WAIT_SECONDS,
    ZHEJIANG,
    Country,
    Place,
    country,
    join,
    start_hub,
    until,
)
from tests.hub.hub_world import now_region

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.cli.region_keys import Rotated
    from gateway.hub.relay import RelayedFeed
    from gateway.trust import MemberKey

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.timeout(300),
]

QUICK = "\n[feed]\nrefresh_seconds = 1\n\n[keys]\nlead_periods = 3\n"
PLAN = RotationPlan(
    begin_in=timedelta(seconds=10), overlap=timedelta(0), patience=timedelta(seconds=5)
)

SOON = replace(PLAN, begin_in=timedelta(seconds=4))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Country]:
    async with country(tmp_path_factory.mktemp("rotation"), more=QUICK) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(place: Country) -> AsyncIterator[Checkpoint]:
    # The anchor as it was handed over before anything changed.
    first = place.gate.trust_anchor.with_name("first.json")
    first.write_bytes(place.gate.trust_anchor.read_bytes())
    settings = place.gate.model_copy(update={"trust_anchor": first})
    async with Checkpoint.open(settings) as checkpoint:
        await until_trusted(checkpoint, lambda bundle: bundle.authority(HANGZHOU))
        yield checkpoint


def now() -> datetime:
    return datetime.now(UTC)


def hub_of(place: Country, name: str) -> Place:
    found: Place = getattr(place, name)
    return found


async def rotated(
    hub: Place, use: KeyUse, *, leaked: bool = False, plan: RotationPlan = PLAN
) -> Rotated:
    async def asked(_: str) -> Rehearsed:
        return Rehearsed(0, RehearsalView(0, (), ()))

    around = Surroundings(now, asyncio.sleep, lambda _: None, lambda _: False)
    operator = load_operator_profile(hub.operator_file)
    async with (
        open_own_keys(hub.settings, operator, clock=now) as own,
        open_superior(hub.settings, own.private, clock=now) as above,
    ):
        if leaked:
            done, unheard = await replace_now(own, above, "synthetic")
            assert unheard is None
        else:
            done = await rotate(own, use, above, plan, around, asked)
    await hub.hub.mirror.refresh()
    assert not done.stopped
    return done


def signs_feed(hub: Place) -> str:
    return take_apart(hub.hub.feed.head(), typ="hutong-feed-head+jwt", max_bytes=4096).key_id


async def asks(gate: Checkpoint) -> None:
    result = await gate.ask(shown("green"), timeout_seconds=30)
    assert result.decision.verdict is Verdict.ADMIT, codes(result)


async def until_signing(hub: Place, key_id: str) -> None:
    await until(lambda: signs_feed(hub) == key_id)


def named_above(hub: Place) -> tuple[MemberKey, ...]:
    """The keys of the hub above, as a hub's own feed names them."""
    superior = hub.hub.feed.bundle.superior()
    return () if superior is None else superior.keys


def known_above(nation: Place, hub: Place) -> list[MemberKey]:
    """The feed keys that the hub above has of one below, the oldest first."""
    (record,) = [item for item in nation.hub.feed.bundle.all_hubs() if item.urn == hub.urn]
    keys = [key for key in record.keys if key.use is KeyUse.FEED]
    return sorted(keys, key=lambda key: key.not_before)


def names_as_it_is(below: Place, hub: Place) -> bool:
    return {key.key_id for key in named_above(below)} == set(hub.hub.feed.anchor.feed_keys)


async def until_relayed(reader: Place, hub: Place) -> None:
    """Wait until one hub passes on all that the other has signed."""
    sequence = hub.hub.feed.sequence
    await until(lambda: cast("RelayedFeed", reader.hub.feeds[hub.urn]).sequence >= sequence)


async def a_change_is_heard(place: Country, gate: Checkpoint) -> None:
    """What Zhejiang publishes now reaches the checkpoint of another province."""
    key = generate_signing_key()
    coming = signing_member_key(key, KeyUse.ATTEST, not_before=now() + timedelta(hours=1))
    token = sign_statement(
        StatementKind.KEYS,
        HANGZHOU,
        KeyChange(add=(coming,)).to_body(),
        place.hangzhou.state_key,
        now=now(),
    )
    proof = key_proof(key, statement_digest(token), issuer=HANGZHOU, audience=ZHEJIANG, now=now())
    await place.zhejiang.hub.registry.change_keys(HANGZHOU, token, [proof])
    await until_trusted(gate, lambda bundle: bundle.attestation_key(HANGZHOU, key.key_id))


async def test_the_next_key_is_tried_by_the_readers_of_other_hubs_too(
    place: Country, gate: Checkpoint
) -> None:
    operator = load_operator_profile(place.zhejiang.operator_file)
    async with open_own_keys(place.zhejiang.settings, operator, clock=now) as own:
        # What is made here and not finished, the next test finishes.
        coming = own.make(KeyUse.FEED, int((now() + timedelta(hours=1)).timestamp()))
        name = await own.rehearse(coming)
    await place.zhejiang.hub.mirror.refresh()
    await until(lambda: name in {tried.rehearsal_id for tried in gate._trust.rehearsals()})
    async with place.zhejiang.operator() as client:
        async with asyncio.timeout(WAIT_SECONDS):
            while sum(hub.verified for hub in (await client.rehearsal(name)).elsewhere) < 1:
                await gate.refresh()
        assert not (await client.rehearsal(name)).is_failing


@pytest.mark.parametrize("name", ["zhejiang", "nation", "guangdong"])
async def test_a_feed_key_changes_and_every_reader_follows(
    place: Country, gate: Checkpoint, name: str
) -> None:
    hub = hub_of(place, name)
    done = await rotated(hub, KeyUse.FEED)
    while signs_feed(hub) != done.key_id:
        await asks(gate)
    await asks(gate)
    await a_change_is_heard(place, gate)
    for reader in (place.nation, place.zhejiang, place.guangdong):
        if reader is not hub:
            # Under the new key: nothing comes through that does not verify.
            await until_relayed(reader, hub)
    if hub is place.nation:
        for below in (place.zhejiang, place.guangdong):
            await until(partial(names_as_it_is, below, hub))
    else:
        *_, old, new = known_above(place.nation, hub)
        assert old.not_after is not None
        assert (new.key_id, new.not_after) == (done.key_id, None)


@pytest.mark.parametrize("name", ["zhejiang", "nation", "guangdong"])
async def test_a_token_key_changes_and_questions_go_on(
    place: Country, gate: Checkpoint, name: str
) -> None:
    hub = hub_of(place, name)
    done = await rotated(hub, KeyUse.TOKEN)
    while now() <= done.begins + timedelta(seconds=1):
        await asks(gate)
    await asks(gate)


async def test_a_leaked_token_key_is_taken_back_along_the_whole_way(
    place: Country, gate: Checkpoint
) -> None:
    for hub in (place.guangdong, place.nation, place.zhejiang):
        done = await rotated(hub, KeyUse.TOKEN, leaked=True)
        assert done.retired
    # Grants of before are refused somewhere on the way; the next ones hold.
    await until_admitted(gate)


async def test_a_checkpoint_that_was_away_through_all_of_it_catches_up(
    place: Country, gate: Checkpoint, tmp_path: Path
) -> None:
    settings = gate.settings.model_copy(update={"state_dir": tmp_path / "state"})
    async with Checkpoint.open(settings) as late:
        await until_trusted(late, lambda bundle: bundle.authority(HANGZHOU))


async def test_a_hub_that_has_changed_its_keys_joins_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        nation = await start_hub(stack, tmp_path / "nation", NATION)
        zhejiang = await start_hub(stack, tmp_path / "zhejiang", ZHEJIANG, more=QUICK)
        done = await rotated(zhejiang, KeyUse.FEED)
        await zhejiang.admit(now_region(HANGZHOU))
        await until(lambda: signs_feed(zhejiang) == done.key_id)
        await join(stack, zhejiang, nation, "33")
        await until(lambda: ZHEJIANG in nation.hub.feeds)
        await until_relayed(nation, zhejiang)
        relay = cast("RelayedFeed", nation.hub.feeds[ZHEJIANG])
        assert relay.bundle is not None
        assert relay.bundle.authority(HANGZHOU).is_active


async def test_a_hub_that_was_away_through_two_changes_above_goes_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        nation = await start_hub(stack, tmp_path / "nation", NATION, more=QUICK)
        zhejiang = await start_hub(stack, tmp_path / "zhejiang", ZHEJIANG)
        await join(stack, zhejiang, nation, "33")
        await until(lambda: NATION in zhejiang.hub.feeds)
        await until_relayed(zhejiang, nation)
        for line in zhejiang.lines:
            await line.cut()
        for region in (HANGZHOU, GUANGZHOU):
            done = await rotated(nation, KeyUse.FEED, plan=SOON)
            await until_signing(nation, done.key_id)
            await nation.admit(now_region(region))
        for line in zhejiang.lines:
            line.heal()
        await until_relayed(zhejiang, nation)
        named = set(nation.hub.feed.anchor.feed_keys)
        await until(lambda: {key.key_id for key in named_above(zhejiang)} == named)
        assert len(named) == 3
        # What the readers below make of it: under the keys that are named, it goes on.
        await nation.hub.registry.suspend(GUANGZHOU, by="", reason="synthetic")
        await until_relayed(zhejiang, nation)
