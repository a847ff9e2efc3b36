from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from adapters.platforms.times import shanghai
from adapters.platforms.xian.platform import XianPlatform
from adapters.sdk import QrText
from gateway.codes import UnifiedCode
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGES = {"2020-02": shanghai("2021-12-25 12:00"), "2022-01": shanghai("2022-01-20 12:00")}
LOGIN = b64encode(b"synthetic-ymt:synthetic-ymt-password").decode()


@pytest.fixture
def clock() -> Clock:
    return Clock(AGES["2022-01"])


@pytest_asyncio.fixture
async def xian(clock: Clock) -> AsyncIterator[City]:
    async with open_city("xian", clock) as city:
        yield city


@pytest.mark.asyncio
@pytest.mark.parametrize("age", AGES)
async def test_every_story_comes_out_as_told_in_every_age(
    xian: City, clock: Clock, age: str
) -> None:
    clock.now = AGES[age]
    for person in xian.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await xian.by_qr(person)) == (person.expected, *person.also)
        assert words(await xian.by_document(person))[0] == person.expected_by_document


async def refresh(xian: City, number: str) -> str:
    url = f"{xian.running.base_url}/ymt/qr/refresh"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Basic {LOGIN}"}) as http,
        http.get(url, params={"idNo": number}) as answer,
    ):
        document = await answer.json()
    text: str = document["data"]["qr"]
    return text


@pytest.mark.asyncio
async def test_a_text_holds_for_an_hour_from_its_refresh(xian: City, clock: Clock) -> None:
    text = await refresh(xian, xian.platform.scenarios()["green"].document_number)
    fetched_at = clock.now
    clock.now += timedelta(minutes=59, seconds=59)
    code = await xian.ask(QrText(text))
    assert isinstance(code, UnifiedCode)
    assert code.level is Level.GREEN
    assert code.valid_until == fetched_at + timedelta(hours=1)
    clock.now += timedelta(seconds=1)
    assert words(await xian.ask(QrText(text))) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["green", "red"])
async def test_in_lockdown_the_city_answers_an_old_text_and_it_is_expired_all_the_same(
    xian: City, clock: Clock, story: str
) -> None:
    platform = xian.platform
    assert isinstance(platform, XianPlatform)
    platform.lockdown = True
    text = await refresh(xian, platform.scenarios()[story].document_number)
    clock.now += timedelta(days=3)
    assert words(await xian.ask(QrText(text))) == (Outcome.CODE_EXPIRED,)
    # The same person, asked about by document, is what the city says today.
    answer = await xian.by_document(platform.scenarios()[story])
    assert words(answer) == (platform.scenarios()[story].expected,)


@pytest.mark.asyncio
async def test_a_text_tells_the_state_of_now_and_not_of_its_refresh(
    xian: City, clock: Clock
) -> None:
    text = await refresh(xian, xian.platform.scenarios()["turned-red"].document_number)
    clock.now += timedelta(minutes=30)
    assert words(await xian.ask(QrText(text))) == (Level.RED,)


@pytest.mark.asyncio
async def test_before_the_repair_a_text_has_no_hour_of_ours(xian: City, clock: Clock) -> None:
    clock.now = AGES["2020-02"]
    code = await xian.by_qr(xian.platform.scenarios()["green"])
    assert isinstance(code, UnifiedCode)
    assert code.valid_until is None
    assert code.scheme == "xa-ymt@2020-02"


@pytest.mark.asyncio
async def test_a_wrong_password_is_no_answer(xian: City, clock: Clock) -> None:
    secrets = {"user": "synthetic-ymt", "password": "wrong"}
    stranger = City(xian.running, load_city("xian"), secrets, clock)
    answer = await stranger.by_document(xian.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_record_is(xian: City) -> None:
    population = xian.platform.population
    seen = set()
    for index in range(300):
        person = population.person(index)
        records = xian.platform.records_of(person)
        answer = words(await xian.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == ({record.state for record in records} == {"绿码"})
        seen.add(answer[0])
    assert {Level.GREEN, Level.YELLOW, Level.RED, Outcome.NOT_APPLIED} <= seen
