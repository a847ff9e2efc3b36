from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms.zhejiang.table import ALL_CITIES, OLDER_BY
from adapters.sdk import Deadline, OutcomeReport, QrText, Reports
from gateway.codes import UnifiedCode
from gateway.codes.documents import DocumentType, parse_document
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.platforms import ScenarioPerson


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def zhejiang(clock: Clock) -> AsyncIterator[City]:
    async with open_city("zhejiang", clock) as city:
        yield city


def story(city: City, name: str) -> ScenarioPerson:
    return city.platform.scenarios()[name]


@pytest.mark.asyncio
async def test_each_record_is_stated_with_the_city_that_issued_it(zhejiang: City) -> None:
    code = await zhejiang.by_document(story(zhejiang, "eleven-cities"))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.issued_by) == (Level.YELLOW, "330800")
    assert {report.issued_by for report in code.reports} == set(ALL_CITIES)
    assert len(code.reports) == 11


@pytest.mark.asyncio
async def test_a_newer_green_does_not_beat_an_older_red(zhejiang: City) -> None:
    code = await zhejiang.by_qr(story(zhejiang, "newer-green-older-red"))
    assert isinstance(code, UnifiedCode)
    red, green = code.reports
    assert (red.level, red.issued_by, green.level) == (Level.RED, "330700", Level.GREEN)
    assert green.source_at - red.source_at > OLDER_BY / 2


@pytest.mark.asyncio
async def test_a_pass_of_one_domain_keeps_its_type_in_the_state(zhejiang: City) -> None:
    for name in ("within-domain", "within-domain-beside-green"):
        answer = await zhejiang.by_qr(story(zhejiang, name))
        assert isinstance(answer, OutcomeReport)
        assert (answer.outcome, answer.state) == (Outcome.CANNOT_DETERMINE, "绿码/本域内通行码")
    unknown = await zhejiang.by_document(story(zhejiang, "unknown-type"))
    assert isinstance(unknown, OutcomeReport)
    assert unknown.state == "绿码/国际码"


@pytest.mark.asyncio
async def test_the_area_code_in_a_link_is_no_key_of_the_city(zhejiang: City) -> None:
    person = story(zhejiang, "yellow")
    text = person.qr_text or ""
    assert "orgCode=330283-" in text
    for area in ("330283", "330200", "331100"):
        code = await zhejiang.ask(QrText(text.replace("330283", area)))
        assert isinstance(code, UnifiedCode)
        assert (code.level, code.issued_by) == (Level.YELLOW, "330200")
    assert words(await zhejiang.ask(QrText(text.replace("330283", "340100")))) == (
        Outcome.WRONG_REGION,
    )


@pytest.mark.asyncio
async def test_a_release_note_tells_what_a_green_once_rested_on(zhejiang: City) -> None:
    code = await zhejiang.by_document(story(zhejiang, "released"))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.basis) == (Level.GREEN, {Basis.ADMINISTRATIVE})
    assert "解除" not in repr(code)


@pytest.mark.asyncio
async def test_a_qr_is_answered_for_its_holder_and_not_for_who_applied(zhejiang: City) -> None:
    child = story(zhejiang, "proxy")
    fetched = await zhejiang.connector.fetch(QrText(child.qr_text or ""), Deadline.after(5))
    assert isinstance(fetched, Reports)
    assert fetched.subject == parse_document(
        DocumentType.RESIDENT_IDENTITY_CARD, child.document_number
    )


@pytest.mark.asyncio
async def test_a_card_is_found_whatever_the_case_of_its_x(zhejiang: City) -> None:
    population = zhejiang.platform.population
    people = (population.person(index) for index in range(2000))
    numbers = [person.number for person in people if person.number.endswith("X")]
    greens = 0
    for number in numbers[:20]:
        upper, lower = await zhejiang.ask(card(number)), await zhejiang.ask(card(number.lower()))
        assert words(upper) == words(lower)
        greens += words(upper)[0] == Level.GREEN
    assert greens > 10


def test_hangzhou_and_the_province_share_one_connector() -> None:
    connectors = {name: load_city(name).connector for name in ("hangzhou", "zhejiang")}
    assert connectors["hangzhou"] == connectors["zhejiang"]


def test_the_scopes_are_the_eleven_cities_and_hangzhou_s_is_its_own() -> None:
    assert len(load_city("zhejiang").versions[0].scopes or ()) == 11
    assert load_city("hangzhou").versions[0].scopes == {"杭州市"}
