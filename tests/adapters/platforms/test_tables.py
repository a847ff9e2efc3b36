from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from adapters.platforms import CREDENTIALS, Population, city_names, platform, usual_port
from adapters.platforms.drawing import hold, last_run, midnight_after
from adapters.platforms.records import Colour, Record, Result
from adapters.platforms.tables import (
    HOURLY,
    NIGHTLY,
    City,
    Recomputation,
    State,
    Version,
    story,
)
from adapters.platforms.times import TimeForm, odd_form, shanghai, write_time

NOON = datetime(2020, 6, 1, 4, 0, tzinfo=UTC)  # in Shanghai
GREEN = State(word="绿码", colour=Colour.GREEN, share=1.0, lapses_to="黄码")
YELLOW = State(word="黄码", colour=Colour.MIDDLE, release_days=7)


def a_city(**version: object) -> City:
    return City(
        name="anywhere",
        division="330400",
        counties=("330402",),
        versions=(
            Version(
                id="1",
                since=shanghai("2020-02-20"),
                states=(GREEN, YELLOW),
                **{"standings": {}, **version},  # type: ignore[arg-type]  # one member of many
            ),
        ),
        stories={"green": story("绿", "Green", "GREEN", Record(state="绿码"))},
    )


def record_of(city: City, now: datetime, index: int = 5) -> Record:
    population = Population(city.counties, size=100)
    result, (record,) = hold(city, population, population.person(index), now)
    assert result is Result.OK
    return record


def test_shares_that_do_not_sum_up_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="sum up to"):
        Version(id="1", since=NOON, states=(State(word="x", colour=Colour.RED, share=0.5),))


@pytest.mark.parametrize("run", [NIGHTLY, HOURLY, Recomputation(every=timedelta(minutes=10))])
def test_the_last_run_has_finished_and_the_next_has_not(run: Recomputation) -> None:
    for minutes in range(0, 2_880, 7):
        now = NOON + timedelta(minutes=minutes)
        start = last_run(run, now)
        assert start + run.lasts <= now < start + run.lasts + run.every


def test_every_clock_of_a_record_lies_in_the_past_and_in_order() -> None:
    city = a_city(declared_every=timedelta(days=1), tested_every=timedelta(days=3))
    for index in range(1, 60):
        record = record_of(city, NOON, index)
        assert record.applied_at <= record.issued_at <= record.assessed_at <= NOON
        assert record.declared_at is not None
        assert NOON - timedelta(days=1) <= record.declared_at <= NOON
        assert record.negative_test_at is not None
        assert NOON - timedelta(days=3) <= record.negative_test_at <= NOON


def test_a_green_that_nobody_renews_lapses() -> None:
    city = a_city(declared_every=timedelta(days=10), code_life=timedelta(days=7))
    states = {record_of(city, NOON, index).state for index in range(1, 60)}
    assert states == {"绿码", "黄码"}
    renewed = a_city(declared_every=timedelta(days=7), code_life=timedelta(days=7, minutes=1))
    assert {record_of(renewed, NOON, index).state for index in range(1, 60)} == {"绿码"}


def test_a_code_of_a_day_ends_at_midnight_in_shanghai() -> None:
    record = record_of(a_city(until_midnight=True), NOON)
    assert record.valid_until == datetime(2020, 6, 1, 16, 0, tzinfo=UTC)
    assert midnight_after(NOON) == record.valid_until
    assert midnight_after(record.valid_until) == record.valid_until + timedelta(days=1)


def test_days_towards_green_are_counted() -> None:
    city = a_city()
    population = Population(city.counties, size=100)
    held = Record(state="黄码", changed_ago=timedelta(days=3, hours=1))
    told = City(
        name="anywhere",
        division="330400",
        counties=city.counties,
        versions=city.versions,
        stories={"yellow": story("黄", "Yellow", "YELLOW", held)},
    )
    _, (record,) = hold(told, population, population.person(0), NOON)
    assert (record.release_days, record.release_days_done) == (7, 3)


@pytest.mark.parametrize("form", TimeForm)
def test_a_time_is_written_as_the_form_shows_and_never_in_the_odd_form(form: TimeForm) -> None:
    assert write_time(form, NOON) == form.value
    assert odd_form(form) is not form


def test_every_city_has_ports_of_its_own() -> None:
    ports = [usual_port(name) + door for name in city_names() for door in (0, 1)]
    assert len(set(ports)) == len(ports)


def test_help_imports_no_city_and_no_server() -> None:
    code = (
        "import sys, adapters.platforms as p; p.city_names(); p.usual_port('hangzhou');"
        "print([m for m in sys.modules if m == 'aiohttp' or m.startswith('adapters.platforms.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = found.stdout
    assert "aiohttp" not in modules
    assert not any(f"adapters.platforms.{name}'" in modules for name in city_names())


def test_an_unknown_city_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="atlantis"):
        platform("atlantis")
    assert "atlantis" not in CREDENTIALS
