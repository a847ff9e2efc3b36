from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.jiangxi import nanchang_text
from adapters.sdk import QrText
from gateway.codes import UnifiedCode
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def jiangxi(clock: Clock) -> AsyncIterator[City]:
    async with open_city("jiangxi", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_a_citys_code_has_equal_effect_and_its_own_issuer(jiangxi: City) -> None:
    code = await jiangxi.by_qr(jiangxi.platform.scenarios()["green-nanchang"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.issued_by, code.scheme) == (Level.GREEN, "360100", "jx-gtm@2020-03")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "levels", "issuers"),
    [
        ("two-records", (Level.YELLOW, Level.GREEN), ("360100", "360000")),
        ("two-greens", (Level.GREEN, Level.GREEN), ("360000", "360100")),
    ],
)
async def test_no_record_stands_for_another(
    jiangxi: City, story: str, levels: tuple[Level, ...], issuers: tuple[str, ...]
) -> None:
    person = jiangxi.platform.scenarios()[story]
    for code in (await jiangxi.by_qr(person), await jiangxi.by_document(person)):
        assert isinstance(code, UnifiedCode)
        every = (code, *code.also)
        assert tuple(one.level for one in every) == levels
        assert tuple(one.issued_by for one in every) == issuers


@pytest.mark.asyncio
async def test_nanchangs_qr_leads_to_the_same_answer(jiangxi: City, clock: Clock) -> None:
    for story in ("green", "two-records", "expired-code"):
        person = jiangxi.platform.scenarios()[story]
        text = nanchang_text(person.qr_text or "")
        assert text != person.qr_text
        pattern = jiangxi.scheme.match_qr(text, clock.now)
        assert pattern is not None
        assert pattern.region == "360000"
        assert words(await jiangxi.ask(QrText(text))) == (person.expected, *person.also)


@pytest.mark.asyncio
async def test_a_record_of_another_provinces_city_is_never_a_level(jiangxi: City) -> None:
    jiangxi.platform.faults = Faults(another_province=True)
    for story in ("green", "two-greens", "red"):
        answer = await jiangxi.by_document(jiangxi.platform.scenarios()[story])
        assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["app_id", "app_key"])
async def test_a_call_that_another_key_signed_ends_as_an_outcome(
    jiangxi: City, clock: Clock, name: str
) -> None:
    secrets = {**CREDENTIALS["jiangxi"], name: "wrong"}
    stranger = City(jiangxi.running, jiangxi.scheme, secrets, clock)
    answer = await stranger.by_qr(jiangxi.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_a_call_signed_an_hour_ago_is_refused(jiangxi: City, clock: Clock) -> None:
    late = City(
        jiangxi.running,
        jiangxi.scheme,
        CREDENTIALS["jiangxi"],
        Clock(clock.now - timedelta(hours=1)),
    )
    answer = await late.by_qr(jiangxi.platform.scenarios()["green"])
    await late.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
