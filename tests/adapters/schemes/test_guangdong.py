from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from adapters.platforms import scenario
from adapters.platforms.imports import Imported, ImportOrder
from adapters.sdk import OutcomeReport, QrText
from gateway.codes import Document, DocumentType, UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

TYPE = DocumentType.RESIDENT_IDENTITY_CARD


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def guangdong(clock: Clock):  # type: ignore[no-untyped-def]  # an async generator of City
    async with open_city("guangdong", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_red_is_restricted_in_both_versions_and_yellow_is_new(
    guangdong: City, clock: Clock
) -> None:
    for now in (datetime(2021, 12, 31, 15, 59, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)):
        clock.now = now
        for story in ("red", "red-at-home"):
            answer = await guangdong.by_document(scenario(f"guangdong/{story}"))
            assert words(answer) == (Level.RESTRICTED,)
    answer = await guangdong.by_document(scenario("guangdong/yellow", clock.now))
    assert words(answer) == (Level.YELLOW,)


@pytest.mark.asyncio
async def test_a_test_s_date_is_stated_where_the_province_knows_one(
    guangdong: City, clock: Clock
) -> None:
    answer = await guangdong.by_qr(scenario("guangdong/recently-tested", clock.now))
    assert isinstance(answer, UnifiedCode)
    assert answer.negative_test_at == clock.now - timedelta(days=1)
    answer = await guangdong.by_qr(scenario("guangdong/green"))
    assert isinstance(answer, UnifiedCode)
    assert answer.negative_test_at is None


@pytest.mark.asyncio
async def test_the_reason_becomes_a_basis_and_goes_no_further(guangdong: City) -> None:
    answer = await guangdong.by_document(scenario("guangdong/red-at-home"))
    assert isinstance(answer, UnifiedCode)
    assert answer.basis == {Basis.ADMINISTRATIVE}
    assert "居家" not in repr(answer)


@pytest.mark.asyncio
async def test_a_converted_code_is_green_until_it_ends(guangdong: City, clock: Clock) -> None:
    tested = clock.now - timedelta(days=2)
    made = guangdong.platform.convert(
        ImportOrder(
            reference="r1",
            number=scenario("hangzhou/green").document_number,
            origin="330100",
            name="测试甲",
            negative_test_at=tested,
        )
    )
    assert isinstance(made, Imported)
    answer = await guangdong.ask(QrText(made.qr_text))
    assert isinstance(answer, UnifiedCode)
    assert (answer.level, answer.issued_by) == (Level.GREEN, "440000")
    assert (answer.valid_until, answer.negative_test_at) == (made.expires_at, tested)
    clock.now = made.expires_at
    assert words(await guangdong.ask(QrText(made.qr_text))) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
async def test_a_passport_and_another_province_s_qr_are_not_even_asked_about(
    guangdong: City,
) -> None:
    answer = await guangdong.ask(Document(DocumentType.PASSPORT, "SYNTHETIC1"))
    assert words(answer) == (Outcome.NOT_FOUND,)
    for text in (scenario("hangzhou/green").qr_text or "", "x"):
        assert words(await guangdong.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", ["app_id", "app_key"])
async def test_wrong_credentials_end_as_an_outcome(
    guangdong: City, clock: Clock, wrong: str
) -> None:
    secrets = {"app_id": "synthetic-ykm-app", "app_key": "synthetic-ykm-key", wrong: "wrong"}
    stranger = City(guangdong.running, load_city("guangdong"), secrets, clock)
    answer = await stranger.by_qr(scenario("guangdong/green"))
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_record_is_green(guangdong: City) -> None:
    seen = set()
    for index in range(300):
        person = guangdong.platform.population.person(index)
        states = {record.state for record in guangdong.platform.records_of(person)}
        answer = words(await guangdong.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == (states == {"绿码"})
        seen.add(answer[0])
    assert {Level.GREEN, Level.RESTRICTED, Outcome.NOT_APPLIED} <= seen


def test_only_green_converts_and_the_test_s_date_may_be_missing() -> None:
    for version in load_city("guangdong").versions:
        rule = version.import_rule
        assert rule is not None
        assert rule.levels == {Level.GREEN}
        assert rule.answers_must_be_no
        assert rule.negative_test_max_age_seconds is None
        assert rule.life_seconds == 86_400


@pytest.mark.asyncio
async def test_a_refusal_of_the_platform_is_no_report(guangdong: City) -> None:
    answer = await guangdong.by_qr(scenario("guangdong/no-identity"))
    assert isinstance(answer, OutcomeReport)
    assert answer.outcome is Outcome.HOLDER_MUST_UPDATE
