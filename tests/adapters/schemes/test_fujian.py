from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.fujian.table import POOL_CLEARED_AFTER, SIX_REASONS
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from gateway.codes import DocumentType, UnifiedCode, parse_document
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGES = {
    "2020": shanghai("2020-06-01 12:00"),
    "2021-09": shanghai("2021-10-01 12:00"),
    "2022-06": shanghai("2022-07-01 12:00"),
}
CHANGE = shanghai("2021-09-21")


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2022-06"])


@pytest_asyncio.fixture
async def fujian(clock: Clock) -> AsyncIterator[City]:
    async with open_city("fujian", clock) as city:
        yield city


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    fujian: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    for person in fujian.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await fujian.by_qr(person)) == (person.expected, *person.also)
        assert words(await fujian.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_a_case_and_a_bought_medicine_are_the_same_orange(fujian: City, clock: Clock) -> None:
    clock.now = AGES["2020"]
    platform = fujian.platform
    seen: set[str] = set()
    for person in (platform.population.person(index) for index in range(2_000)):
        reasons = {record.reason for record in platform.records_of(person)}
        if reasons & set(SIX_REASONS) - seen and person.index >= len(platform.table.stories):
            assert words(await fujian.ask(card(person.number))) == (Level.RESTRICTED,)
            seen |= reasons
    assert seen == set(SIX_REASONS)


@pytest.mark.asyncio
async def test_orange_ends_and_yellow_begins_at_one_moment(fujian: City, clock: Clock) -> None:
    clock.now = CHANGE - timedelta(seconds=1)
    stories = fujian.platform.scenarios()
    assert {"orange-contact", "yellow-too-early"} <= stories.keys()
    before = await fujian.by_qr(stories["orange-contact"])
    assert words(before) == (Level.RESTRICTED,)
    clock.now = CHANGE
    stories = fujian.platform.scenarios()
    assert words(await fujian.by_qr(stories["orange-too-late"])) == (Outcome.CANNOT_DETERMINE,)
    assert words(await fujian.by_qr(stories["yellow"])) == (Level.YELLOW,)


@pytest.mark.asyncio
async def test_a_positive_pool_ends_after_twelve_hours_by_itself(
    fujian: City, clock: Clock
) -> None:
    pool = fujian.platform.scenarios()["pool"]
    assert words(await fujian.by_qr(pool)) == (Level.YELLOW,)
    (record,) = fujian.platform.records_of(fujian.platform.population.person(7))
    assert record.reason == "混检阳性同管人员"
    assert clock.now - record.changed_at < POOL_CLEARED_AFTER
    cleared = await fujian.by_qr(fujian.platform.scenarios()["pool-cleared"])
    assert isinstance(cleared, UnifiedCode)
    assert cleared.level is Level.GREEN
    assert cleared.basis == {Basis.TEST}


@pytest.mark.asyncio
async def test_a_negative_test_travels_and_turns_nothing_green(fujian: City, clock: Clock) -> None:
    code = await fujian.by_qr(fujian.platform.scenarios()["negative-and-yellow"])
    assert isinstance(code, UnifiedCode)
    assert code.level is Level.YELLOW
    assert code.negative_test_at == clock.now - timedelta(hours=20)


@pytest.mark.asyncio
async def test_documents_that_the_wire_knows_travel_and_others_do_not(fujian: City) -> None:
    for kind in (14, 15, 20):
        assert words(await fujian.ask(parse_document(kind, paper_number(kind, 0)))) == ("GREEN",)
        nobody = parse_document(kind, paper_number(kind, 999_999))
        assert words(await fujian.ask(nobody)) == (Outcome.NOT_FOUND,)
    fujian.platform.faults = Faults(down=True)
    for kind in (16, 34, 99):
        answer = await fujian.ask(parse_document(kind, paper_number(kind, 0)))
        assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_lower_case_x_is_the_same_person(fujian: City) -> None:
    population = fujian.platform.population
    numbers = (population.person(index).number for index in range(population.size))
    number = next(number for number in numbers if number.endswith("X"))
    lower = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number.lower())
    as_given = words(await fujian.ask(lower))
    assert as_given == words(await fujian.ask(card(number)))
    assert as_given != (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_call_signed_with_another_key_is_no_answer(fujian: City, clock: Clock) -> None:
    secrets = {"app_id": "synthetic-bmm-app", "app_key": "wrong"}
    stranger = City(fujian.running, load_city("fujian"), secrets, clock)
    answer = await stranger.by_qr(fujian.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
