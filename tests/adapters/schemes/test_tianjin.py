from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.tianjin.table import SHARED_DATA
from adapters.platforms.times import shanghai
from gateway.codes import UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGES = {"2020-02": shanghai("2020-03-10 12:00"), "2020-03-21": shanghai("2020-06-01 12:00")}


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2020-03-21"])


@pytest_asyncio.fixture
async def tianjin(clock: Clock) -> AsyncIterator[City]:
    async with open_city("tianjin", clock) as city:
        yield city


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    tianjin: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    stories = tianjin.platform.scenarios()
    assert ("from-beijing" in stories) == (age == "2020-03-21")
    for person in stories.values():
        if person.qr_text is not None:
            assert words(await tianjin.by_qr(person)) == (person.expected, *person.also)
        assert words(await tianjin.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_orange_keeps_its_name_and_is_observation_at_home(tianjin: City) -> None:
    code = await tianjin.by_qr(tianjin.platform.scenarios()["orange"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state) == (Level.YELLOW, "橙码")
    assert code.basis == {Basis.ADMINISTRATIVE, Basis.SPACE, Basis.TIME}


@pytest.mark.asyncio
async def test_a_code_made_from_shared_data_is_tianjin_s_own(tianjin: City) -> None:
    code = await tianjin.by_document(tianjin.platform.scenarios()["from-beijing"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.issued_by) == (Level.GREEN, "120000")


@pytest.mark.asyncio
async def test_before_sharing_nobody_is_green_by_shared_data(tianjin: City, clock: Clock) -> None:
    clock.now = AGES["2020-02"]
    for index in range(200):
        person = tianjin.platform.population.person(index)
        records = tianjin.platform.records_of(person)
        assert SHARED_DATA not in {record.source for record in records}
    from_elsewhere = tianjin.platform.scenarios()["from-other-data"]
    assert words(await tianjin.by_qr(from_elsewhere)) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_a_call_that_is_not_signed_is_no_answer(tianjin: City, clock: Clock) -> None:
    secrets = {"app_id": "synthetic-jxb", "app_key": "wrong"}
    stranger = City(tianjin.running, load_city("tianjin"), secrets, clock)
    answer = await stranger.by_qr(tianjin.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_two_people_behind_one_masked_answer_are_not_chosen_between(tianjin: City) -> None:
    tianjin.platform.faults = Faults(shared_phone=True)
    answer = await tianjin.by_qr(tianjin.platform.scenarios()["green"])
    assert words(answer) == (Outcome.AMBIGUOUS_SUBJECT,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_record_is(tianjin: City) -> None:
    population = tianjin.platform.population
    seen = set()
    for index in range(300):
        person = population.person(index)
        records = tianjin.platform.records_of(person)
        held = {(record.state, record.source) for record in records}
        answer = words(await tianjin.ask(card(person.number)))
        green = bool(held) and held <= {("绿码", "本市数据"), ("绿码", "共享数据")}
        assert (answer[0] == Level.GREEN) == green
        seen.add(answer[0])
    assert {Level.GREEN, Level.YELLOW, Level.RED} <= seen
