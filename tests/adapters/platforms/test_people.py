from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.platforms import (
    HangzhouPlatform,
    Population,
    guangzhou_population,
    hangzhou_population,
    scenario,
)
from adapters.platforms.guangzhou import COUNTIES as GUANGZHOU
from adapters.platforms.hangzhou import COUNTIES as HANGZHOU
from adapters.platforms.people import FIRST_BIRTH_DATE, stranger
from gateway.codes.divisions import division_in_force, division_name
from gateway.codes.documents import DocumentType, parse_document
from tests.adapters.platforms.support import Clock

POPULATIONS = {"杭州市": hangzhou_population(), "广州市": guangzhou_population()}


@pytest.mark.parametrize("city", POPULATIONS)
def test_a_city_has_ten_thousand_people_or_more_and_no_number_twice(city: str) -> None:
    population = POPULATIONS[city]
    numbers = {population.person(index).number for index in range(population.size)}
    assert len(numbers) == population.size >= 10_000


@settings(max_examples=60)
@given(st.data())
def test_every_number_is_a_resident_number_of_the_city_that_nobody_can_hold(
    data: st.DataObject,
) -> None:
    city = data.draw(st.sampled_from(sorted(POPULATIONS)))
    population = POPULATIONS[city]
    person = population.person(data.draw(st.integers(0, population.size - 1)))
    document = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, person.number)
    assert document.number == person.number
    assert city in division_name(person.county)
    assert date.fromisoformat(person.number[6:14]) >= FIRST_BIRTH_DATE
    assert person.name.startswith("测试")
    assert person.phone.startswith("100")
    assert len(person.phone) == 11


@pytest.mark.parametrize("county", HANGZHOU + GUANGZHOU)
def test_counties_are_in_force_today(county: str) -> None:
    assert division_in_force(county, date(2025, 1, 1))


@settings(max_examples=60)
@given(st.integers(0, 9_999), st.integers(-(2**63), 2**63 - 1))
def test_numbers_lead_back_to_their_person_whatever_the_seed(index: int, seed: int) -> None:
    population = hangzhou_population(10_000, seed)
    person = population.person(index)
    assert population.find(person.number) == person
    assert person == hangzhou_population(10_000, 0).person(index)


@settings(max_examples=100)
@given(
    st.one_of(
        st.text(max_size=20),
        st.from_regex(r"33010[2-9]21[0-9]{9}[0-9X]", fullmatch=True),
    )
)
def test_no_other_text_leads_to_anybody(text: str) -> None:
    population = POPULATIONS["杭州市"]
    person = population.find(text)
    assert person is None or person.number == text


def test_the_next_person_after_the_last_is_nobody() -> None:
    population = hangzhou_population(10_000)
    larger = hangzhou_population(10_001)
    assert population.find(larger.person(10_000).number) is None
    with pytest.raises(IndexError):
        population.person(10_000)


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_size_that_numbers_leave_no_room_for_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="a population has 1 to"):
        hangzhou_population(size)


def test_the_same_seed_gives_the_same_codes_and_another_seed_others() -> None:
    def states(seed: int) -> list[tuple[str, ...]]:
        city = HangzhouPlatform(population=hangzhou_population(2_000, seed), clock=Clock())
        people = (city.population.person(index) for index in range(city.population.size))
        return [tuple(record.state for record in city.records_of(person)) for person in people]

    assert states(7) == states(7)
    assert states(7) != states(8)


def test_most_people_are_green_and_more_of_the_rest_red_than_yellow() -> None:
    city = HangzhouPlatform(clock=Clock())
    states = Counter(
        records[0].state
        for index in range(5_000)
        if (records := city.records_of(city.population.person(index)))
    )
    assert states["绿码"] / states.total() == pytest.approx(0.947, abs=0.015)
    assert states["红码"] > states["黄码"] > 0


def test_scenario_people_keep_their_papers_whatever_size_and_seed() -> None:
    other = HangzhouPlatform(population=hangzhou_population(10_000, 99)).scenarios()
    for story, person in other.items():
        assert scenario(f"hangzhou/{story}") == person


def test_the_stranger_lives_in_no_reference_city() -> None:
    for population, counties in (
        (hangzhou_population(), HANGZHOU),
        (guangzhou_population(), GUANGZHOU),
    ):
        nobody = stranger(counties)
        assert population.find(nobody.number) is None
        assert parse_document(DocumentType.RESIDENT_IDENTITY_CARD, nobody.number)


def test_personal_values_stay_out_of_repr() -> None:
    person = Population(HANGZHOU, size=10).person(3)
    assert person.number not in repr(person)
    story = scenario("hangzhou/green")
    assert story.document_number not in repr(story)
    assert story.qr_text is not None
    assert story.qr_text not in repr(story)
