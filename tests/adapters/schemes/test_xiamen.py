from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from gateway.codes import UnifiedCode, parse_document
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGES = {"2020": shanghai("2020-06-01 12:00"), "2021-09": shanghai("2021-10-01 12:00")}
CHANGE = shanghai("2021-09-21")


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2020"])


@pytest_asyncio.fixture
async def xiamen(clock: Clock) -> AsyncIterator[City]:
    async with open_city("xiamen", clock) as city:
        yield city


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    xiamen: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    for person in xiamen.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await xiamen.by_qr(person)) == (person.expected, *person.also)
        assert words(await xiamen.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_orange_keeps_its_name_beside_its_level(xiamen: City) -> None:
    code = await xiamen.by_qr(xiamen.platform.scenarios()["orange"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state) == (Level.YELLOW, "橙码")
    assert code.basis == {Basis.SPACE, Basis.TIME}


@pytest.mark.asyncio
async def test_orange_is_gone_with_the_province_s(xiamen: City, clock: Clock) -> None:
    clock.now = CHANGE - timedelta(seconds=1)
    assert words(await xiamen.by_qr(xiamen.platform.scenarios()["orange"])) == (Level.YELLOW,)
    clock.now = CHANGE
    late = xiamen.platform.scenarios()["orange-too-late"]
    assert words(await xiamen.by_qr(late)) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_milliseconds_are_read_as_the_moment_they_say(xiamen: City, clock: Clock) -> None:
    code = await xiamen.by_qr(xiamen.platform.scenarios()["green"])
    assert isinstance(code, UnifiedCode)
    # 03:00 in Shanghai and up to half an hour of run time; it is noon.
    assert timedelta(hours=8, minutes=30) <= clock.now - code.assessed_at <= timedelta(hours=9)


@pytest.mark.asyncio
async def test_other_documents_are_not_even_asked_about(xiamen: City) -> None:
    xiamen.platform.faults = Faults(down=True)
    for kind in (14, 15, 16, 20, 34, 99):
        answer = await xiamen.ask(parse_document(kind, paper_number(kind, 0)))
        assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_wrong_password_is_no_answer(xiamen: City, clock: Clock) -> None:
    secrets = {"user": "synthetic-xmjkm", "password": "wrong"}
    stranger = City(xiamen.running, load_city("xiamen"), secrets, clock)
    answer = await stranger.by_qr(xiamen.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_record_is(xiamen: City) -> None:
    seen = set()
    for index in range(300):
        person = xiamen.platform.population.person(index)
        states = {record.state for record in xiamen.platform.records_of(person)}
        answer = words(await xiamen.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == (states == {"绿码"})
        seen.add(answer[0])
    assert {Level.GREEN, Level.YELLOW, Level.RED, Outcome.NOT_APPLIED} <= seen
