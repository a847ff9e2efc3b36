from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from adapters.platforms.yiwu.table import BOOTH_QR
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import parse_document
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock(shanghai("2020-06-01 12:00"))


@pytest_asyncio.fixture
async def yiwu(clock: Clock) -> AsyncIterator[City]:
    async with open_city("yiwu", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(yiwu: City) -> None:
    for person in yiwu.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await yiwu.by_qr(person)) == (person.expected,)
        assert words(await yiwu.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "state"),
    [("entry", "准予入场"), ("no-entry", "不予入场"), ("no-entry-fever", "不予入场")],
)
async def test_entry_and_no_entry_are_evidence_in_the_market_s_words(
    yiwu: City, story: str, state: str
) -> None:
    answer = await yiwu.by_qr(yiwu.platform.scenarios()[story])
    assert isinstance(answer, OutcomeReport)
    assert (answer.outcome, answer.state) == (Outcome.EVIDENCE_ONLY, state)
    assert answer.itinerary is None


@pytest.mark.asyncio
async def test_nobody_gets_a_level_from_the_market(yiwu: City) -> None:
    seen: set[str] = set()
    for index in range(300):
        seen.update(words(await yiwu.ask(card(yiwu.platform.population.person(index).number))))
    assert seen.isdisjoint(set(Level))
    assert {Outcome.EVIDENCE_ONLY, Outcome.PENDING_REVIEW, Outcome.NOT_APPLIED} <= seen


def test_no_state_of_any_version_is_a_level() -> None:
    for version in load_city("yiwu").versions:
        assert {rule.level for rule in version.states.values()} == {None}


@pytest.mark.asyncio
async def test_the_square_at_a_booth_is_no_person(yiwu: City) -> None:
    yiwu.platform.faults = Faults(down=True)
    assert words(await yiwu.ask(QrText(BOOTH_QR))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_other_documents_are_not_even_asked_about(yiwu: City) -> None:
    yiwu.platform.faults = Faults(down=True)
    for kind in (14, 15, 16, 20, 34, 99):
        answer = await yiwu.ask(parse_document(kind, paper_number(kind, 0)))
        assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_wrong_key_is_no_answer(yiwu: City, clock: Clock) -> None:
    stranger = City(yiwu.running, load_city("yiwu"), {"market_key": "wrong"}, clock)
    answer = await stranger.by_qr(yiwu.platform.scenarios()["entry"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
