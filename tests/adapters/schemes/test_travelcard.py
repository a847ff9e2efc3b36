from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import Itinerary, Place, parse_document
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOON = {
    "14d": shanghai("2020-06-01 12:00"),
    "red-names": shanghai("2020-12-01 12:00"),
    "star": shanghai("2021-06-01 12:00"),
    "without-star": shanghai("2022-07-01 12:00"),
    "7d": shanghai("2022-08-01 12:00"),
    "reference": shanghai("2026-06-01 12:00"),
}
MARKS = {"red-names", "star", "reference"}
SEVEN = {"7d", "reference"}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON["star"])


@pytest_asyncio.fixture
async def travelcard(clock: Clock) -> AsyncIterator[City]:
    async with open_city("travelcard", clock) as city:
        yield city


async def evidence(city: City, story: str) -> tuple[OutcomeReport, Itinerary]:
    answer = await city.by_qr(city.platform.scenarios()[story])
    assert isinstance(answer, OutcomeReport)
    assert answer.outcome is Outcome.EVIDENCE_ONLY
    assert answer.itinerary is not None
    return answer, answer.itinerary


@pytest.mark.asyncio
@pytest.mark.parametrize("age", NOON)
async def test_every_story_comes_out_as_told_in_every_age(
    travelcard: City, clock: Clock, age: str
) -> None:
    clock.now = NOON[age]
    for person in travelcard.platform.scenarios().values():
        assert words(await travelcard.by_qr(person)) == (person.expected,)
        assert words(await travelcard.by_document(person)) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
@pytest.mark.parametrize("age", NOON)
async def test_places_window_and_star_are_those_of_the_age(
    travelcard: City, clock: Clock, age: str
) -> None:
    clock.now = NOON[age]
    answer, itinerary = await evidence(travelcard, "marked")
    assert answer.scheme == f"cn-xck@{age}"
    assert answer.state == "绿色卡"
    assert itinerary.window_days == (7 if age in SEVEN else 14)
    assert itinerary.places == (Place("330100"), Place("610100", starred=age in MARKS))


@pytest.mark.asyncio
async def test_the_previous_day_is_the_newest(travelcard: City, clock: Clock) -> None:
    _, itinerary = await evidence(travelcard, "home")
    assert itinerary.as_of == clock.now - timedelta(hours=12)


@pytest.mark.asyncio
async def test_a_municipality_is_written_as_its_six_digits(travelcard: City) -> None:
    _, itinerary = await evidence(travelcard, "several-places")
    assert [place.division for place in itinerary.places] == ["110000", "440100", "510100"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "state"),
    [("abroad", "黄色卡"), ("contact", "橙色卡"), ("red", "红色卡")],
)
async def test_a_card_of_any_colour_is_evidence(travelcard: City, story: str, state: str) -> None:
    answer, _ = await evidence(travelcard, story)
    assert answer.state == state


@pytest.mark.asyncio
async def test_a_new_sim_tells_fewer_days_and_nobody_may_be_nowhere(travelcard: City) -> None:
    _, young = await evidence(travelcard, "new-sim")
    assert young.window_days == 3
    _, nowhere = await evidence(travelcard, "nowhere")
    assert nowhere.places == ()
    _, border = await evidence(travelcard, "border")
    assert Place("361100") in border.places


@pytest.mark.asyncio
async def test_no_document_of_any_kind_is_asked_about(travelcard: City) -> None:
    travelcard.platform.faults = Faults(down=True)
    number = travelcard.platform.population.person(0).number
    for document in (
        card(number),
        *(parse_document(kind, paper_number(kind, 0)) for kind in (14, 15, 16, 20, 34, 99)),
    ):
        assert words(await travelcard.ask(document)) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
@pytest.mark.parametrize("age", NOON)
async def test_nobody_gets_a_level_from_a_card(travelcard: City, clock: Clock, age: str) -> None:
    clock.now = NOON[age]
    seen: set[str] = set()
    for index in range(150):
        answer = await travelcard.ask(QrText(travelcard.platform.qr_text(index) or ""))
        seen.update(words(answer))
    assert seen.isdisjoint(set(Level))
    assert Outcome.EVIDENCE_ONLY in seen


@pytest.mark.asyncio
async def test_a_card_from_an_old_cache_is_no_evidence(travelcard: City) -> None:
    travelcard.platform.faults = Faults(stale=True)
    answer = await travelcard.by_qr(travelcard.platform.scenarios()["home"])
    assert words(answer) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_the_places_show_in_no_repr(travelcard: City) -> None:
    answer, itinerary = await evidence(travelcard, "marked")
    assert "610100" not in repr(itinerary)
    assert "610100" not in repr(answer)


def test_the_card_s_own_history_ends_and_a_version_stays_open_by_choice() -> None:
    *_, last, reference = load_city("travelcard").versions
    assert last.valid_until == shanghai("2022-12-13") == reference.valid_from
    assert reference.valid_until is None
    assert any("closed on 2022-12-13" in choice.what for choice in reference.choices)
