from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.beijing.table import CLEAR
from adapters.platforms.times import shanghai
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGES = {
    "2020-03-01": shanghai("2020-03-10 12:00"),
    "2020-03-17": shanghai("2020-06-15 12:00"),
    "2022-05": shanghai("2022-05-20 12:00"),
}


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2022-05"])


@pytest_asyncio.fixture
async def beijing(clock: Clock) -> AsyncIterator[City]:
    async with open_city("beijing", clock) as city:
        yield city


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    beijing: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    stories = beijing.platform.scenarios()
    assert ("popup-3" in stories) == (age == "2022-05")
    assert ("cannot-confirm" in stories) == (age != "2020-03-01")
    for person in stories.values():
        if person.qr_text is not None:
            assert words(await beijing.by_qr(person)) == (person.expected, *person.also)
        assert words(await beijing.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "basis"),
    [
        ("popup-1", {Basis.SPACE, Basis.TIME}),
        ("popup-2", {Basis.TIME, Basis.ADMINISTRATIVE}),
        ("popup-3", {Basis.SPACE, Basis.TIME, Basis.CONTACT}),
    ],
)
async def test_a_pop_up_refuses_passage_and_leaves_the_words(
    beijing: City, story: str, basis: set[Basis]
) -> None:
    code = await beijing.by_qr(beijing.platform.scenarios()[story])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state) == (Level.RESTRICTED, f"未见异常/弹窗{story[-1]}")
    assert code.basis == basis


@pytest.mark.asyncio
async def test_doubt_keeps_its_words_and_absence_is_something_else(beijing: City) -> None:
    stories = beijing.platform.scenarios()
    doubt = await beijing.by_document(stories["cannot-confirm"])
    assert isinstance(doubt, OutcomeReport)
    assert (doubt.outcome, doubt.state) == (Outcome.CANNOT_DETERMINE, "系统暂不能确认")
    assert words(await beijing.by_document(stories["not-held"])) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_result_of_one_day_is_over_at_24_00(beijing: City, clock: Clock) -> None:
    person = beijing.platform.scenarios()["green"]
    code = await beijing.by_qr(person)
    assert isinstance(code, UnifiedCode)
    assert code.valid_until == shanghai("2022-05-21")
    clock.now = shanghai("2022-05-21") - timedelta(seconds=1)
    assert words(await beijing.by_qr(person)) == (Level.GREEN,)
    clock.now = shanghai("2022-05-21")
    assert words(await beijing.by_qr(person)) == (Outcome.CODE_EXPIRED,)
    assert words(await beijing.by_document(person)) == (Level.GREEN,)


@pytest.mark.asyncio
async def test_a_cache_of_another_day_is_expired_although_it_says_green(beijing: City) -> None:
    beijing.platform.faults = Faults(stale=True)
    for story in ("green", "popup-3"):
        answer = await beijing.by_document(beijing.platform.scenarios()[story])
        assert words(answer) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "code"),
    [
        ("green", "0"),
        ("popup-3", "0"),
        ("red", "-1"),
        ("yellow", "-1"),
        ("cannot-confirm", "-7"),
        ("not-held", "51"),
        ("not-applied", "22"),
    ],
)
async def test_a_phone_without_a_clear_state_gets_no_qr_code(
    beijing: City, story: str, code: str
) -> None:
    number = beijing.platform.scenarios()[story].document_number
    async with aiohttp.ClientSession() as http:
        answer = await http.post(
            f"{beijing.running.base_url}/jingxinju/jkb/qrCode/apply",
            json={"cardNo": number},
            headers={"X-Jkb-Token": "synthetic-jkb-token"},
        )
        document = await answer.json()
    assert document["code"] == code
    if code == "0":
        expected = beijing.platform.scenarios()[story].expected
        assert words(await beijing.ask(QrText(document["data"]["qrCode"])))[0] == expected


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["lapsed-qr", "cannot-confirm-since"])
async def test_a_qr_code_lapses_with_the_state_it_was_made_in(beijing: City, story: str) -> None:
    answer = await beijing.by_qr(beijing.platform.scenarios()[story])
    assert words(answer) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_a_test_travels_along_but_not_where_it_is_missing(beijing: City) -> None:
    stories = beijing.platform.scenarios()
    code = await beijing.by_document(stories["green"])
    assert isinstance(code, UnifiedCode)
    assert code.negative_test_at is not None
    assert code.negative_test_at <= beijing.clock()
    assert words(await beijing.by_document(stories["popup-4"])) == (Outcome.HOLDER_MUST_UPDATE,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_words_are_clear_without_a_pop_up(
    beijing: City,
) -> None:
    population = beijing.platform.population
    seen = set()
    for index in range(400):
        person = population.person(index)
        states = {record.state for record in beijing.platform.records_of(person)}
        answer = words(await beijing.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == (states == {CLEAR})
        seen.add(answer[0])
    assert {Level.GREEN, Level.YELLOW, Level.RED, Level.RESTRICTED} <= seen
