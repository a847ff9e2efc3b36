"""Every reference city against every fault, through real HTTP and its real adapter.

Cities are found by their folders: who adds one is tested here without a line. What
is asked passes the city's connector, the translation and the attester, which is
the whole way to a level.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest

from adapters.platforms import CREDENTIALS, HARMLESS, city_names, parse_faults, platform
from adapters.platforms.catalogue import catalogue_page
from adapters.platforms.faults import SWITCHES, Faults, Garbage
from adapters.platforms.people import FIRST_BIRTH_DATE
from adapters.platforms.records import FALLBACK, Result
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import Attester, OutcomeReport, QrText
from gateway.attestation.keys import generate_signing_key
from gateway.codes.divisions import division_name
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from adapters.sdk import Presentation
    from gateway.codes import UnifiedCode

CITIES = tuple(name for name in city_names() if (SCHEMES_FOLDER / name / "scheme.yaml").exists())
HARMFUL = tuple(word for word in SWITCHES if word not in HARMLESS) + tuple(
    f"garbage={kind}" for kind in Garbage
)
ON_RECORDS = (
    "stale",
    "disagree",
    "ordinal",
    "empty",
    "odd-dates",
    "json-in-json",
    "shared-phone",
    "another-province",
)
"""Harmful faults whose effect depends on the version in force."""

ENDS = {
    "down": {Outcome.SOURCE_BUSY},
    "maintenance": {Outcome.SOURCE_BUSY},
    "quota": {Outcome.SOURCE_BUSY},
    "garbage=html": {Outcome.SOURCE_UNPARSABLE},
    "garbage=truncated": {Outcome.SOURCE_UNPARSABLE},
    "garbage=encoding": {Outcome.SOURCE_UNPARSABLE},
    "json-in-json": {Outcome.SOURCE_UNPARSABLE},
    "odd-dates": {Outcome.SOURCE_UNPARSABLE},
    "ordinal": {Outcome.CANNOT_DETERMINE},
    "empty": {Outcome.NOT_FOUND},
    "stale": {Outcome.CANNOT_DETERMINE, Outcome.CODE_EXPIRED},
    "disagree": {Level.RED, Level.RESTRICTED, Outcome.CANNOT_DETERMINE},
    # Where a wire has no word for it, or an adapter cannot sign for it.
    "qr-expired": {Outcome.CODE_EXPIRED, Outcome.NOT_FOUND},
    "wrong-province": {Outcome.WRONG_REGION, Outcome.NOT_FOUND},
    "must-update": {Outcome.HOLDER_MUST_UPDATE},
    "shared-phone": {Outcome.AMBIGUOUS_SUBJECT, Outcome.CANNOT_DETERMINE, Outcome.NOT_FOUND},
    "another-province": {
        Outcome.CANNOT_DETERMINE,
        Outcome.SOURCE_UNPARSABLE,
        Outcome.WRONG_REGION,
        Outcome.NOT_FOUND,
    },
}
"""How each fault ends for a person who is green without it."""

TODAY = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
DRAWN = 8
KEY = generate_signing_key()


def moments(name: str) -> list[datetime]:
    """A day and a half into each version, and today."""
    begun = [version.since + timedelta(hours=36) for version in platform(name).table.versions]
    return [*begun, TODAY]


async def final(
    city: City, presentation: Presentation, seconds: float = 5.0
) -> UnifiedCode | OutcomeReport:
    """What leaves the adapter: the attester may yet refuse what was translated."""
    answer = await city.ask(presentation, seconds)
    if isinstance(answer, OutcomeReport):
        return answer
    attester = Attester(
        authority=f"urn:hutong:region:{city.scheme.authority}",
        prefixes=city.scheme.prefixes,
        scheme=city.scheme,
        key=KEY,
        pseudonym_secret=b"x" * 32,
    )
    issuance = attester.begin("urn:hutong:region:310000", city.clock())
    payload = attester.claims(answer, "synthetic", b"n" * 16, issuance)
    return payload if isinstance(payload, OutcomeReport) else answer


def presentations(city: City) -> list[Presentation]:
    """Every story's papers and those of some who were drawn."""
    asked: list[Presentation] = []
    for person in city.platform.scenarios().values():
        if person.qr_text is not None:
            asked.append(QrText(person.qr_text))
        asked.append(card(person.document_number))
    first = len(city.platform.table.stories)
    for index in range(first, first + DRAWN):
        text = city.platform.qr_text(index)
        if text is not None:
            asked.append(QrText(text))
        asked.append(card(city.platform.population.person(index).number))
    return asked


async def answers(city: City, seconds: float = 5.0) -> list[tuple[str, ...]]:
    return [words(await final(city, asked, seconds)) for asked in presentations(city)]


@pytest.mark.long
@pytest.mark.asyncio
@pytest.mark.parametrize("fault", HARMFUL)
@pytest.mark.parametrize("name", CITIES)
async def test_no_fault_ends_as_green(name: str, fault: str) -> None:
    async with open_city(name, Clock(TODAY)) as city:
        for now in moments(name) if fault in ON_RECORDS else [TODAY]:
            city.clock.now = now
            city.platform.faults = parse_faults([fault])
            for answer in await answers(city):
                assert Level.GREEN not in answer[:1], now


@pytest.mark.parametrize("word", HARMFUL)
def test_every_harmful_fault_has_an_end(word: str) -> None:
    assert word in ENDS


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_a_fault_ends_as_what_it_is(name: str) -> None:
    async with open_city(name, Clock(TODAY)) as city:
        papers = [p for p in presentations(city) if words(await final(city, p)) == (Level.GREEN,)]
        for fault, ends in ENDS.items():
            city.platform.faults = parse_faults([fault])
            for asked in papers[:4]:
                assert words(await final(city, asked))[0] in ends, fault


@pytest.mark.long
@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_harmless_faults_change_nothing(name: str) -> None:
    async with open_city(name, Clock(TODAY)) as city:
        healthy = await answers(city)
        for fault in (*sorted(HARMLESS), "slow=0.001"):
            city.platform.faults = parse_faults([fault])
            assert await answers(city) == healthy, fault
        city.platform.faults = Faults()
        assert await answers(city) == healthy


@pytest.mark.long
@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_a_lower_case_x_in_the_answer_changes_nothing(name: str) -> None:
    async with open_city(name, Clock(TODAY)) as city:
        people = map(city.platform.population.person, range(city.platform.population.size))
        ending = [person for person in people if person.number.endswith("X")][:20]
        assert len(ending) == 20
        healthy = [words(await city.ask(card(person.number))) for person in ending]
        city.platform.faults = parse_faults(["lowercase-x"])
        assert [words(await city.ask(card(person.number))) for person in ending] == healthy


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_a_slow_platform_times_out_within_the_deadline(name: str) -> None:
    async with open_city(name, Clock(TODAY)) as city:
        city.platform.faults = Faults(slow_seconds=60)
        asked = presentations(city)[:2]
        seen = {words(await final(city, one, 0.1)) for one in asked}
    # A city that takes no documents is not even asked about one.
    assert seen <= {(Outcome.SOURCE_TIMED_OUT,), (Outcome.NOT_FOUND,)}
    assert (Outcome.SOURCE_TIMED_OUT,) in seen


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_every_story_comes_out_as_told_in_every_version(name: str) -> None:
    for now in moments(name):
        async with open_city(name, Clock(now)) as city:
            for person in city.platform.scenarios().values():
                told = f"{person.name} at {now:%Y-%m-%d}"
                if person.qr_text is not None:
                    by_qr = words(await final(city, QrText(person.qr_text)))
                    assert by_qr == (person.expected, *person.also), told
                by_document = words(await final(city, card(person.document_number)))
                assert by_document[0] == person.expected_by_document, told


@pytest.mark.parametrize("name", CITIES)
def test_table_and_scheme_agree_on_versions_and_words(name: str) -> None:
    table, scheme = platform(name).table, load_city(name)
    known = {version.id.partition("@")[2]: version for version in scheme.versions}
    assert {version.id for version in table.versions} <= known.keys()
    for version in table.versions:
        assert version.since == known[version.id].valid_from
        for state in version.states:
            assert 0 <= state.share <= 1
    assert table.version_at(TODAY).id == scheme.version_at(TODAY).id.partition("@")[2]
    assert table.division == scheme.authority


@pytest.mark.parametrize("name", CITIES)
def test_every_qr_of_a_story_is_recognised_by_the_scheme(name: str) -> None:
    scheme = load_city(name)
    for now in moments(name):
        city = platform(name, clock=Clock(now))
        for person in city.scenarios().values():
            if person.qr_text is not None and person.expected != Outcome.WRONG_REGION:
                assert scheme.match_qr(person.qr_text, now) is not None, person.name


@pytest.mark.long
@pytest.mark.parametrize("name", CITIES)
def test_a_city_has_ten_thousand_people_of_its_own_whom_nobody_can_be(name: str) -> None:
    population = platform(name).population
    numbers = {population.person(index).number for index in range(population.size)}
    assert len(numbers) == population.size >= 10_000
    assert all(number[6:14] >= f"{FIRST_BIRTH_DATE:%Y%m%d}" for number in numbers)
    for county in platform(name).table.counties:
        assert division_name(county)


@pytest.mark.parametrize("name", CITIES)
def test_a_story_is_told_in_chinese_and_english_and_its_name_is_fixed(name: str) -> None:
    small, large = platform(name, size=10_000, seed=1), platform(name, clock=Clock(TODAY))
    for story, person in large.scenarios().items():
        assert person.name == f"{name}/{story}"
        assert person.story_zh
        assert person.story_en
    assert {p.document_number for p in small.scenarios().values()} == {
        p.document_number for p in platform(name).scenarios().values()
    }


@pytest.mark.parametrize("name", CITIES)
def test_no_result_of_a_wire_falls_back_to_success(name: str) -> None:
    city = platform(name)
    for result in Result:
        nearest = result
        while nearest not in city.codes and nearest in FALLBACK:
            nearest = FALLBACK[nearest]
        assert (nearest is Result.OK) == (result is Result.OK)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_the_catalogue_is_for_clients_of_the_city_alone(name: str) -> None:
    async with (
        open_city(name, Clock(TODAY)) as city,
        aiohttp.ClientSession() as http,
        http.get(f"{city.running.base_url}/catalogue?limit=10") as answer,
    ):
        text = await answer.text()
    assert "takenAt" not in text


@pytest.mark.long
@pytest.mark.parametrize("name", CITIES)
def test_the_catalogue_lists_everybody_who_is_not_green_once(name: str) -> None:
    import json

    city = platform(name, clock=Clock(TODAY), size=2_000)
    listed: list[tuple[str, str]] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = json.loads(bytes(catalogue_page(city, {"after": cursor, "limit": "50"}).body))
        assert len(page["rows"]) <= 50
        listed += [(row["number"], row["state"]) for row in page["rows"]]
        cursor = page["next"]
    wanted = [
        (person.number, record.state)
        for person in map(city.population.person, range(2_000))
        for record in city.records_of(person)
        if record.colour != "green"
    ]
    assert listed == wanted


@pytest.mark.parametrize("name", CITIES)
def test_credentials_are_synthetic_texts(name: str) -> None:
    for secret, value in CREDENTIALS[name].items():
        assert secret.isidentifier()
        assert value


JUNK = (b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"a=1&a=2", b'{"a":{"b":[null]}}', b"<a>&b;</a>")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CITIES)
async def test_no_junk_at_any_door_is_a_defect_of_the_platform(name: str) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in platform(name).application().router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert len(routes) >= 2
    async with open_city(name, Clock(TODAY)) as city, aiohttp.ClientSession() as http:
        for method, path in sorted(routes):
            for body in JUNK:
                url = city.running.base_url + path
                async with http.request(method, url, data=body, params={"a": "\ufffd"}) as answer:
                    assert answer.status < 500, (path, body)
