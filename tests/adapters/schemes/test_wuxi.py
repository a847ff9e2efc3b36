from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.wuxi import enterprise_text
from adapters.sdk import QrText
from gateway.codes import UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.schemes.support import City, card, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.adapters.platforms.support import Clock


@pytest_asyncio.fixture
async def wuxi(clock: Clock) -> AsyncIterator[City]:
    async with open_city("wuxi", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_what_waits_for_a_reviewer_is_pending_whoever_pushed_it(wuxi: City) -> None:
    stories = wuxi.platform.scenarios()
    for story in ("pending", "pending-in-jiangyin"):
        assert words(await wuxi.by_qr(stories[story])) == (Outcome.PENDING_REVIEW,)
        assert words(await wuxi.by_document(stories[story])) == (Outcome.PENDING_REVIEW,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "state", "basis"),
    [
        ("red", "红码/01", {Basis.ADMINISTRATIVE}),
        ("red-by-answers", "红码/02", {Basis.DECLARATION}),
        ("reviewed-to-red", "红码/01", {Basis.ADMINISTRATIVE}),
        ("yellow", "黄码/01", {Basis.ADMINISTRATIVE, Basis.SPACE}),
    ],
)
async def test_who_pulled_a_code_is_its_basis(
    wuxi: City, story: str, state: str, basis: set[Basis]
) -> None:
    code = await wuxi.by_qr(wuxi.platform.scenarios()[story])
    assert isinstance(code, UnifiedCode)
    assert (code.state, code.basis) == (state, basis)
    assert "审核" not in repr(code)


@pytest.mark.asyncio
async def test_a_code_of_jiangyin_names_jiangyin(wuxi: City) -> None:
    stories = wuxi.platform.scenarios()
    code = await wuxi.by_qr(stories["green-jiangyin"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.issued_by) == (Level.GREEN, "320281")
    both = await wuxi.by_document(stories["two-records"])
    assert isinstance(both, UnifiedCode)
    issuers = (both.issued_by, *(other.issued_by for other in both.also))
    assert words(both) == (Level.RED, Level.GREEN)
    assert issuers == ("320281", "320200")


@pytest.mark.asyncio
async def test_an_enterprise_code_is_another_code_and_not_asked_about(
    wuxi: City, clock: Clock
) -> None:
    text = enterprise_text(7)
    assert wuxi.scheme.match_qr(text, clock.now) is None
    wuxi.platform.faults = Faults(down=True)
    assert words(await wuxi.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_record_is_green(
    wuxi: City, clock: Clock
) -> None:
    seen = set()
    for index in range(250):
        person = wuxi.platform.population.person(index)
        records = wuxi.platform.records_of(person)
        answer = words(await wuxi.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == ({r.state for r in records} == {"绿码"})
        if any(record.state == "待审核" for record in records):
            assert answer == (Outcome.PENDING_REVIEW,)
        seen.add(answer[0])
    assert {Level.GREEN, Level.YELLOW, Level.RED, Outcome.PENDING_REVIEW} <= seen


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["app_id", "app_key"])
async def test_a_call_that_another_key_signed_ends_as_an_outcome(
    wuxi: City, clock: Clock, name: str
) -> None:
    stranger = City(wuxi.running, wuxi.scheme, {**CREDENTIALS["wuxi"], name: "wrong"}, clock)
    answer = await stranger.by_qr(wuxi.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
