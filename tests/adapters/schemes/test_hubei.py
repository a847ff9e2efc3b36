from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms.hubei.table import GREY
from adapters.platforms.times import shanghai
from adapters.sdk import OutcomeReport
from gateway.codes import UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.platforms import ScenarioPerson

AGES = {
    "2020-03": shanghai("2020-03-20 12:00"),
    "2020-04": shanghai("2020-06-20 12:00"),
    "2022-01": shanghai("2022-03-20 12:00"),
}


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2020-04"])


@pytest_asyncio.fixture
async def hubei(clock: Clock) -> AsyncIterator[City]:
    async with open_city("hubei", clock) as city:
        yield city


def story(city: City, name: str) -> ScenarioPerson:
    return city.platform.scenarios()[name]


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    hubei: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    stories = hubei.platform.scenarios()
    assert ("grey" in stories) == (age == "2020-03")
    assert ("green-behind-a-pop-up" in stories) == (age == "2022-01")
    for person in stories.values():
        if person.qr_text is not None:
            assert words(await hubei.by_qr(person)) == (person.expected, *person.also)
        assert words(await hubei.by_document(person))[0] == person.expected_by_document
    code = await hubei.by_qr(stories["green"])
    assert isinstance(code, UnifiedCode)
    assert code.scheme == f"hb-jkm@{age}"


@pytest.mark.asyncio
async def test_red_turns_yellow_and_only_then_green(hubei: City) -> None:
    levels = []
    for name in ("red", "yellow-after-red", "green-after-red"):
        code = await hubei.by_document(story(hubei, name))
        assert isinstance(code, UnifiedCode)
        assert code.release is None
        levels.append(code.level)
    assert levels == [Level.RED, Level.YELLOW, Level.GREEN]


@pytest.mark.asyncio
async def test_a_green_turns_yellow_by_inaction(hubei: City) -> None:
    code = await hubei.by_document(story(hubei, "yellow-by-inaction"))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.basis) == (Level.YELLOW, {Basis.DECLARATION})
    assert code.valid_until is None


@pytest.mark.asyncio
async def test_a_green_tells_its_end_and_the_last_temperature(hubei: City, clock: Clock) -> None:
    code = await hubei.by_document(story(hubei, "green-about-to-end"))
    assert isinstance(code, UnifiedCode)
    assert code.valid_until == clock.now + timedelta(minutes=30)
    assert code.declared_at == clock.now - timedelta(hours=23, minutes=30)


@pytest.mark.asyncio
async def test_a_green_from_an_old_cache_has_ended_and_is_not_a_yellow_of_ours(
    hubei: City,
) -> None:
    hubei.platform.faults = type(hubei.platform.faults)(stale=True)
    for name in ("green", "red"):
        answer = await hubei.by_document(story(hubei, name))
        assert words(answer) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
@pytest.mark.parametrize("second", [-1, 0])
async def test_grey_is_told_until_the_end_of_the_closure_and_never_green(
    hubei: City, clock: Clock, second: int
) -> None:
    clock.now = shanghai("2020-04-08") + timedelta(seconds=second)
    population = hubei.platform.population
    greys = 0
    for index in range(40, 140):
        answer = await hubei.ask(card(population.person(index).number))
        if isinstance(answer, OutcomeReport) and answer.state == GREY:
            assert answer.outcome is Outcome.CANNOT_DETERMINE
            greys += 1
    assert (greys > 0) == (second < 0)


@pytest.mark.asyncio
async def test_a_pop_up_refuses_passage_whatever_the_colour(hubei: City, clock: Clock) -> None:
    clock.now = AGES["2022-01"]
    found = {
        name: words(await hubei.by_qr(story(hubei, name)))
        for name in ("green-behind-a-pop-up", "colour-hidden", "red-behind-a-pop-up")
    }
    assert found == {
        "green-behind-a-pop-up": (Level.RESTRICTED,),
        "colour-hidden": (Level.RESTRICTED,),
        "red-behind-a-pop-up": (Level.RED,),
    }
