from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from adapters.platforms import city_names, guangzhou_population, hangzhou_population, scenarios
from adapters.platforms.guangzhou import code_qr_text, pass_qr_text
from adapters.platforms.hangzhou import qr_text
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import check_vectors, run_vectors
from gateway.codes.levels import Level
from gateway.codes.schemes import load_scheme
from tests.adapters.schemes.support import load_city

CITIES = ("hangzhou", "guangzhou")
EVERY = sorted(path.parent.name for path in SCHEMES_FOLDER.glob("*/scheme.yaml"))
TODAY = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("city", EVERY)
def test_every_vector_comes_out_as_it_says(city: str) -> None:
    scheme = load_city(city)
    check_vectors(scheme)
    assert [result.name for result in run_vectors(scheme) if not result.passed] == []


@pytest.mark.parametrize("city", EVERY)
def test_the_public_document_loads_again_and_tells_nothing_of_the_connector(city: str) -> None:
    scheme = load_city(city)
    document = json.loads(json.dumps(scheme.to_document()))
    again = load_scheme(document)
    assert again.versions == scheme.versions
    assert "connector" not in document


@pytest.mark.parametrize("city", CITIES)
def test_a_version_is_in_force_today_and_says_that_this_is_a_choice(city: str) -> None:
    version = load_city(city).version_at(TODAY)
    assert version.valid_until is None
    assert any("December 2022" in choice.what for choice in version.choices)


@pytest.mark.parametrize("city", EVERY)
def test_every_state_rests_on_a_source(city: str) -> None:
    for version in load_city(city).versions:
        for rule in version.states.values():
            assert rule.evidence, rule.state


def test_only_the_word_for_green_is_green() -> None:
    for city in CITIES:
        for version in load_city(city).versions:
            green = {s for s, rule in version.states.items() if rule.level is Level.GREEN}
            assert green <= {"绿码"}


def test_two_colours_know_neither_yellow_nor_red() -> None:
    levels = {rule.level for rule in load_city("guangzhou").version_at(TODAY).states.values()}
    assert levels == {Level.GREEN, Level.RESTRICTED}


def test_the_black_and_white_pass_has_no_level_at_all() -> None:
    version = load_city("guangzhou").versions[0]
    assert version.id == "gz-skm@v1"
    assert {rule.level for rule in version.states.values()} == {None}


def test_every_qr_of_a_city_is_recognised_by_its_scheme_and_by_no_other() -> None:
    hangzhou, guangzhou = load_city("hangzhou"), load_city("guangzhou")
    for index in range(0, min(hangzhou_population().size, guangzhou_population().size), 997):
        for text in (qr_text(index), qr_text(index, 2)):
            assert hangzhou.match_qr(text, TODAY)
            assert not guangzhou.match_qr(text, TODAY)
        for text in (code_qr_text(index), pass_qr_text(index)):
            assert guangzhou.match_qr(text, TODAY)
            assert not hangzhou.match_qr(text, TODAY)


def test_what_a_story_shows_is_recognised_by_its_own_city_and_by_no_other() -> None:
    schemes = {name: load_city(name) for name in city_names()}
    for person in scenarios(TODAY).values():
        if person.qr_text is not None:
            found = {n for n, scheme in schemes.items() if scheme.match_qr(person.qr_text, TODAY)}
            assert found <= {person.city}, person.name
            assert found or schemes[person.city].versions[-1].valid_until, person.name


def test_the_new_code_is_unknown_in_the_age_of_the_pass() -> None:
    scheme = load_city("guangzhou")
    assert not scheme.match_qr(code_qr_text(0), datetime(2020, 3, 1, tzinfo=UTC))
    assert scheme.match_qr(pass_qr_text(0), datetime(2020, 3, 1, tzinfo=UTC))
