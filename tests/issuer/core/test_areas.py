"""Lists of areas: what they spread over, what they touch, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import given

from gateway.issuer.areas import Spell, spells, spread
from gateway.issuer.errors import RequestError
from gateway.issuer.store import schema
from gateway.issuer.values import Area, AreaRisk
from tests.issuer.core.oracle import _times_of_risk
from tests.issuer.core.world import BEGIN, HOME, WUHAN, short

if TYPE_CHECKING:
    from tests.issuer.core.world import World

MEDIUM, HIGH = 2, 3

_divisions = st.sampled_from(["330000", "330100", "330106", "330108", "330782", "420103"])
_histories = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(_divisions, st.sampled_from(AreaRisk))),
    max_size=6,
)


def test_a_city_contains_its_counties_and_is_as_risky_as_its_worst() -> None:
    city = spread({330100: MEDIUM})
    assert {(330100, MEDIUM), (330106, MEDIUM), (330000, MEDIUM)} <= city
    assert (330782, MEDIUM) not in city
    assert (330106, HIGH) not in city
    county = spread({330106: HIGH, 330100: MEDIUM, 330108: 1})
    assert {(330100, HIGH), (330000, HIGH), (330106, HIGH), (330106, MEDIUM)} <= county
    assert (330108, HIGH) not in county
    assert (330108, MEDIUM) in county
    assert spread({330106: 1}) == frozenset()


@given(_histories)
def test_spells_say_for_every_moment_what_the_list_of_it_says(
    history: list[tuple[int, dict[str, AreaRisk]]],
) -> None:
    moment = 0
    lists = []
    for later, areas in history:
        moment += later
        lists.append((moment, areas))
    numbers = {AreaRisk.LOW: 1, AreaRisk.MEDIUM: 2, AreaRisk.HIGH: 3}
    found = spells(
        (at, {int(division): numbers[risk] for division, risk in areas.items()})
        for at, areas in lists
    )
    told = [
        (BEGIN + timedelta(seconds=at), {division: risk.value for division, risk in areas.items()})
        for at, areas in lists
    ]
    for division in ("330000", "330100", "330106", "330782", "420100"):
        for risk in (MEDIUM, HIGH):
            expected = _times_of_risk(told, division, high_only=risk == HIGH)
            own = sorted(
                (spell.from_at, spell.until_at)
                for spell in found
                if (spell.division, spell.risk) == (int(division), risk)
                and spell.from_at != spell.until_at
            )
            assert own == [
                (
                    int((begun - BEGIN).total_seconds()),
                    None if ended is None else int((ended - BEGIN).total_seconds()),
                )
                for begun, ended in expected
            ]


pytest_async = pytest.mark.asyncio


@pytest_async
async def test_appended_lists_give_the_same_spells_as_all_of_them_anew(world: World) -> None:
    history = [
        {"330100": AreaRisk.MEDIUM},
        {"330106": AreaRisk.HIGH, "420103": AreaRisk.MEDIUM},
        {},
        {"330100": AreaRisk.HIGH},
    ]
    numbers = {AreaRisk.LOW: 1, AreaRisk.MEDIUM: 2, AreaRisk.HIGH: 3}
    told = []
    for areas in history:
        assert (await world.publish(areas)).revision == len(told) + 1
        told.append(
            (
                int(world.clock.now.timestamp()),
                {int(division): numbers[risk] for division, risk in areas.items()},
            )
        )
        world.clock.days(1)
    async with world.issuer.store.read() as connection:
        rows = await connection.execute(sa.select(schema.area_spells))
        held = {Spell(row.division, row.risk, row.from_at, row.until_at) for row in rows}
    assert held == set(spells(told))


@pytest_async
async def test_a_list_assesses_exactly_whom_it_touches(world: World) -> None:
    for index, home in enumerate([HOME, HOME, WUHAN, "440103"]):
        await world.declare(index, home=home)
    await world.stay(3, WUHAN, 2, 1)
    published = await world.publish({"420100": AreaRisk.HIGH})
    assert (published.assessed, published.changed) == (2, 2)
    assert [short(await world.code(index))[0] for index in range(4)] == [
        "GREEN",
        "GREEN",
        "RED",
        "RED",
    ]
    # The same list again touches nobody.
    assert (await world.publish({"420100": AreaRisk.HIGH})).assessed == 0


@pytest_async
async def test_a_list_published_ahead_holds_from_its_moment(world: World) -> None:
    await world.declare(1, home=WUHAN)
    await world.declare(2, home=WUHAN)
    published = await world.publish({WUHAN: AreaRisk.HIGH}, in_days=1)
    assert (published.revision, published.assessed) == (1, 0)
    assert (await world.issuer.areas.assess_due(world.clock)).people == 0
    world.clock.days(0.9)
    assert short(await world.declare(1, home=WUHAN))[0] == "GREEN"
    world.clock.days(0.1)
    # At a declaration it counts at once, without waiting for anything.
    assert short(await world.declare(1, home=WUHAN))[0] == "RED"
    assert short(await world.code(2))[0] == "GREEN"
    due = await world.issuer.areas.assess_due(world.clock)
    assert (due.people, due.changed) == (2, 1)
    assert short(await world.code(2))[0] == "RED"
    assert (await world.issuer.areas.assess_due(world.clock)).people == 0


@pytest_async
@pytest.mark.parametrize(
    ("areas", "in_days", "field"),
    [
        ({"999999": AreaRisk.HIGH}, 0, "areas[0].division"),
        ({"100000": AreaRisk.HIGH}, 0, "areas[0].division"),
        ({WUHAN: AreaRisk.HIGH}, 1.1, "valid_from"),
        ({WUHAN: AreaRisk.HIGH}, -1, "valid_from"),
    ],
)
async def test_a_bad_list_is_refused_by_field(
    world: World, areas: dict[str, AreaRisk], in_days: float, field: str
) -> None:
    await world.publish({})
    with pytest.raises(RequestError) as caught:
        await world.publish(areas, in_days=in_days)
    assert [fault.field for fault in caught.value.fields] == [field]
    assert (await world.publish({})).revision == 2


@pytest_async
async def test_an_area_stands_once_and_a_list_names_its_source(world: World) -> None:
    with pytest.raises(RequestError) as caught:
        await world.issuer.areas.publish(
            [Area(WUHAN, AreaRisk.HIGH), Area(WUHAN, AreaRisk.LOW)],
            valid_from=BEGIN,
            source="",
            client="nhc",
            clock=world.clock,
        )
    assert [fault.field for fault in caught.value.fields] == ["areas[1].division", "source"]
