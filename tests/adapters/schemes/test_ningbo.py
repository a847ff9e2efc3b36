from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms.ningbo.table import PAPER, PAPER_QR, TESTS_WITHIN
from adapters.sdk import QrText
from gateway.codes import UnifiedCode
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
async def ningbo(clock: Clock) -> AsyncIterator[City]:
    async with open_city("ningbo", clock) as city:
        yield city


def story(city: City, name: str) -> ScenarioPerson:
    return city.platform.scenarios()[name]


@pytest.mark.asyncio
async def test_a_paper_pass_is_green_and_says_that_it_is_paper(ningbo: City) -> None:
    person = story(ningbo, "paper-pass")
    assert (person.qr_text or "").startswith("NBYXZ:")
    for answer in (await ningbo.by_qr(person), await ningbo.by_document(person)):
        assert isinstance(answer, UnifiedCode)
        assert (answer.level, answer.state) == (Level.GREEN, PAPER)


@pytest.mark.asyncio
async def test_a_paper_pass_lessens_no_code(ningbo: City) -> None:
    code = await ningbo.by_qr(story(ningbo, "paper-pass-and-a-red-code"))
    assert words(code) == (Level.RED, Level.GREEN)


@pytest.mark.asyncio
async def test_a_pass_that_was_withdrawn_or_never_given_or_forged_opens_nothing(
    ningbo: City,
) -> None:
    withdrawn = story(ningbo, "paper-pass-withdrawn")
    assert words(await ningbo.by_qr(withdrawn)) == (Outcome.CODE_EXPIRED,)
    assert words(await ningbo.by_document(withdrawn)) == (Level.GREEN,)
    text = story(ningbo, "paper-pass").qr_text or ""
    forged = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert words(await ningbo.ask(QrText(forged))) == (Outcome.NOT_FOUND,)
    nobody = PAPER_QR.write(999_999_999, 1)
    assert words(await ningbo.ask(QrText(nobody))) == (Outcome.NOT_FOUND,)
    assert words(await ningbo.ask(QrText(text.lower()))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_a_red_of_the_class_turns_green_on_two_tests_within_seven_days(
    ningbo: City, clock: Clock
) -> None:
    one = await ningbo.by_document(story(ningbo, "red-after-one-test"))
    two = await ningbo.by_document(story(ningbo, "green-after-two-tests"))
    apart = await ningbo.by_document(story(ningbo, "red-after-tests-too-far-apart"))
    other = await ningbo.by_document(story(ningbo, "red-whatever-the-tests"))
    assert isinstance(one, UnifiedCode)
    assert isinstance(two, UnifiedCode)
    assert isinstance(apart, UnifiedCode)
    assert isinstance(other, UnifiedCode)
    assert (one.level, one.state) == (Level.RED, "红码/两检转绿")
    assert (two.level, two.state, two.basis) == (Level.GREEN, "绿码", {Basis.TEST})
    assert (apart.level, other.level) == (Level.RED, Level.RED)
    assert other.state == "红码"
    assert one.negative_test_at == clock.now - timedelta(days=2)
    assert two.negative_test_at == clock.now - timedelta(days=1)
    assert timedelta(days=7) == TESTS_WITHIN


@pytest.mark.asyncio
async def test_a_yellow_tells_how_many_of_its_seven_days_are_over(ningbo: City) -> None:
    code = await ningbo.by_qr(story(ningbo, "yellow"))
    assert isinstance(code, UnifiedCode)
    assert code.release is not None
    assert (code.release.days_done, code.release.days_needed) == (3, 7)


@pytest.mark.asyncio
async def test_a_red_that_tests_can_turn_promises_no_number_of_days(ningbo: City) -> None:
    code = await ningbo.by_qr(story(ningbo, "red-without-a-test"))
    assert isinstance(code, UnifiedCode)
    assert code.release is None


@pytest.mark.asyncio
async def test_a_wrong_key_ends_as_an_outcome(ningbo: City, clock: Clock) -> None:
    secrets = {"app_id": "synthetic-nbyxm", "app_key": "wrong"}
    stranger = City(ningbo.running, load_city("ningbo"), secrets, clock)
    answer = await stranger.by_qr(story(ningbo, "green"))
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_nobody_is_green_but_by_a_green_code_a_pass_or_two_tests(ningbo: City) -> None:
    population = ningbo.platform.population
    states = set()
    for index in range(300):
        answer = await ningbo.ask(card(population.person(index).number))
        if isinstance(answer, UnifiedCode):
            greens = {r.state for r in answer.reports if r.level is Level.GREEN}
            assert greens <= {"绿码", PAPER}
            states.update(report.state for report in answer.reports)
    assert states == {"绿码", PAPER, "黄码", "红码", "红码/两检转绿"}
