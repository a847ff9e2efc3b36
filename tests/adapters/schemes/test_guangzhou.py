from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.platforms import Faults, Garbage, platform, scenario
from adapters.platforms.guangzhou import COLOUR_SINCE, pass_qr_text
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import Document, DocumentType, UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.schemes.support import City, card, load_city, words

if TYPE_CHECKING:
    from tests.adapters.platforms.support import Clock

STORIES = sorted(person.name for person in platform("guangzhou").scenarios().values())


@pytest.mark.asyncio
@pytest.mark.parametrize("name", STORIES)
async def test_every_story_comes_out_as_told(guangzhou: City, name: str) -> None:
    person = scenario(name)
    if person.qr_text is not None:
        assert words(await guangzhou.by_qr(person)) == (person.expected, *person.also)
    document = words(await guangzhou.by_document(person))
    assert document[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_a_local_time_is_read_in_the_zone_of_the_city(guangzhou: City, clock: Clock) -> None:
    code = await guangzhou.by_qr(scenario("guangzhou/green"))
    assert isinstance(code, UnifiedCode)
    assert timedelta(0) <= clock.now - code.assessed_at <= timedelta(hours=1)
    assert code.scheme == "gz-skm@v2"
    assert code.issued_by == "440100"
    assert code.state == "绿码"


@pytest.mark.asyncio
async def test_the_reason_becomes_a_basis_and_goes_no_further(guangzhou: City) -> None:
    code = await guangzhou.by_qr(scenario("guangzhou/red-at-home"))
    assert isinstance(code, UnifiedCode)
    assert code.basis == {Basis.ADMINISTRATIVE}
    assert "居家" not in repr(code)


FAULTS = {
    "down": (Faults(down=True), Outcome.SOURCE_BUSY),
    "maintenance": (Faults(maintenance=True), Outcome.SOURCE_BUSY),
    "quota": (Faults(quota=True), Outcome.SOURCE_BUSY),
    "html": (Faults(garbage=Garbage.HTML), Outcome.SOURCE_UNPARSABLE),
    "truncated": (Faults(garbage=Garbage.TRUNCATED), Outcome.SOURCE_UNPARSABLE),
    "encoding": (Faults(garbage=Garbage.ENCODING), Outcome.SOURCE_UNPARSABLE),
    "stale": (Faults(stale=True), Outcome.CANNOT_DETERMINE),
    "ordinal": (Faults(ordinal=True), Outcome.CANNOT_DETERMINE),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", ["green", "red"])
async def test_no_fault_ends_as_a_level(guangzhou: City, fault: str, story: str) -> None:
    faults, outcome = FAULTS[fault]
    guangzhou.platform.faults = faults
    person = scenario(f"guangzhou/{story}")
    for answer in (await guangzhou.by_qr(person), await guangzhou.by_document(person)):
        assert isinstance(answer, OutcomeReport)
        assert answer.outcome is outcome


@pytest.mark.asyncio
async def test_a_quota_says_when_to_ask_again(guangzhou: City) -> None:
    guangzhou.platform.faults = Faults(quota=True)
    answer = await guangzhou.by_qr(scenario("guangzhou/green"))
    assert isinstance(answer, OutcomeReport)
    assert answer.retry_after_seconds == 30


@pytest.mark.asyncio
async def test_a_slow_platform_times_out_within_the_deadline(guangzhou: City) -> None:
    guangzhou.platform.faults = Faults(slow_seconds=60)
    answer = await guangzhou.ask(QrText(scenario("guangzhou/green").qr_text or ""), 0.2)
    assert words(answer) == (Outcome.SOURCE_TIMED_OUT,)


@pytest.mark.asyncio
async def test_records_that_disagree_are_both_stated(guangzhou: City) -> None:
    guangzhou.platform.faults = Faults(disagree=True)
    for story in ("green", "red"):
        answer = await guangzhou.by_qr(scenario(f"guangzhou/{story}"))
        assert words(answer) == (Level.RESTRICTED, Level.GREEN)


@pytest.mark.asyncio
async def test_a_wrong_token_ends_as_an_outcome(guangzhou: City, clock: Clock) -> None:
    stranger = City(guangzhou.running, load_city("guangzhou"), {"token": "wrong"}, clock)
    answer = await stranger.by_qr(scenario("guangzhou/green"))
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_a_platform_that_is_gone_is_busy(guangzhou: City) -> None:
    await guangzhou.running.stop()
    answer = await guangzhou.by_qr(scenario("guangzhou/green"))
    assert words(answer) == (Outcome.SOURCE_BUSY,)


@pytest.mark.asyncio
async def test_another_city_s_qr_is_not_even_asked_about(guangzhou: City) -> None:
    guangzhou.platform.faults = Faults(down=True)
    for text in (scenario("hangzhou/green").qr_text or "", "x", "SKM2:1"):
        assert words(await guangzhou.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_a_passport_is_not_found(guangzhou: City) -> None:
    answer = await guangzhou.ask(Document(DocumentType.PASSPORT, "SYNTHETIC1"))
    assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_in_the_age_of_the_pass_nobody_is_green(guangzhou: City, clock: Clock) -> None:
    clock.now = datetime(2020, 3, 10, 4, 0, tzinfo=UTC)
    seen = set()
    for index in range(60):
        number = guangzhou.platform.population.person(index).number
        for presentation in (card(number), QrText(pass_qr_text(index))):
            seen.update(words(await guangzhou.ask(presentation)))
    assert {Outcome.CANNOT_DETERMINE, Outcome.CODE_EXPIRED} <= seen
    assert seen.isdisjoint(set(Level))


@pytest.mark.asyncio
async def test_a_pass_of_eight_days_is_expired_and_one_of_six_is_not_determined(
    guangzhou: City, clock: Clock
) -> None:
    clock.now = COLOUR_SINCE - timedelta(seconds=1)
    lapsed = scenario("guangzhou/expired-code")
    assert words(await guangzhou.by_document(lapsed)) == (Outcome.CODE_EXPIRED,)
    assert words(await guangzhou.by_qr(lapsed)) == (Outcome.CODE_EXPIRED,)
    standing = scenario("guangzhou/green")
    assert words(await guangzhou.by_document(standing)) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_the_gate_number_never_shows_in_an_answer(guangzhou: City) -> None:
    for name in STORIES:
        answer = await guangzhou.by_document(scenario(name))
        states = [answer] if isinstance(answer, OutcomeReport) else answer.reports
        assert {report.state for report in states}.isdisjoint({"00", "01", "10"})


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_report_is_green(guangzhou: City) -> None:
    population = guangzhou.platform.population
    seen = set()
    for index in range(500):
        person = population.person(index)
        reports = guangzhou.platform.records_of(person)
        answer = words(await guangzhou.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == ({r.state for r in reports} == {"绿码"})
        seen.add(answer[0])
    assert {Level.GREEN, Level.RESTRICTED, Outcome.NOT_APPLIED} <= seen
