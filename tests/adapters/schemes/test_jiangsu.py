from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
import structlog
from hutong.v1 import code_pb2

from adapters.platforms import Faults
from adapters.platforms.jiangsu import holder_page
from adapters.platforms.jiangsu.table import TABLE
from adapters.platforms.people import Population
from adapters.sdk import LocalReport, OutcomeReport, QrText, translate
from gateway.codes import UnifiedCode
from gateway.codes.levels import Level, Outcome
from tests.adapters.schemes.support import City, load_city, open_city, words
from tests.adapters.sdk.adapter_world import by_qr, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.adapters.platforms.support import Clock

PAGE: Final = holder_page(Population(TABLE.counties), 7)
TOKEN: Final = PAGE.partition("token=")[2].partition("&")[0]


@pytest_asyncio.fixture
async def jiangsu(clock: Clock) -> AsyncIterator[City]:
    async with open_city("jiangsu", clock) as city:
        yield city


def text_of(city: City, story: str) -> str:
    return city.platform.scenarios()[story].qr_text or ""


@pytest.mark.asyncio
async def test_a_colour_word_becomes_a_level_of_the_person_who_shows_it(jiangsu: City) -> None:
    person = jiangsu.platform.scenarios()["yellow"]
    code = await jiangsu.by_qr(person)
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state, code.issued_by) == (Level.YELLOW, "yellow", "320000")


@pytest.mark.asyncio
@pytest.mark.parametrize("cut", [1, 6, 12, 30])
async def test_an_address_cut_short_is_recognised_and_not_asked_about(
    jiangsu: City, clock: Clock, cut: int
) -> None:
    text = text_of(jiangsu, "green")[:-cut]
    pattern = jiangsu.scheme.match_qr(text, clock.now)
    assert pattern is not None
    assert pattern.region == "320000"
    jiangsu.platform.faults = Faults(down=True)
    assert words(await jiangsu.ask(QrText(text))) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        (Faults(qr_expired=True), Outcome.CODE_EXPIRED),
        (Faults(wrong_province=True), Outcome.WRONG_REGION),
        (Faults(must_update=True), Outcome.HOLDER_MUST_UPDATE),
        (Faults(shared_phone=True), Outcome.CANNOT_DETERMINE),
        (Faults(quota=True), Outcome.SOURCE_BUSY),
    ],
)
async def test_each_return_code_is_its_own_outcome(
    jiangsu: City, faults: Faults, outcome: Outcome
) -> None:
    jiangsu.platform.faults = faults
    assert words(await jiangsu.ask(QrText(text_of(jiangsu, "green")))) == (outcome,)


@pytest.mark.asyncio
async def test_a_verifier_without_permission_learns_nothing(jiangsu: City, clock: Clock) -> None:
    stranger = City(jiangsu.running, jiangsu.scheme, {"token": "wrong"}, clock)
    for answer in (
        await stranger.ask(QrText(text_of(jiangsu, "green"))),
        await stranger.by_document(jiangsu.platform.scenarios()["green"]),
    ):
        assert words(answer) == (Outcome.CANNOT_DETERMINE,)
    await stranger.close()


@pytest.mark.asyncio
async def test_an_answer_kept_for_fourteen_days_is_not_green_any_more(
    jiangsu: City, clock: Clock
) -> None:
    text = QrText(text_of(jiangsu, "green"))
    code = await jiangsu.ask(text)
    assert isinstance(code, UnifiedCode)
    assert code.level is Level.GREEN
    # An integrator kept answers by the QR for so long; ours carry their own time.
    kept = LocalReport(
        state=code.state,
        issued_by=code.issued_by,
        assessed_at=code.assessed_at,
        source_at=code.source_at,
    )
    for days in (2, 14):
        later = translate(jiangsu.scheme, [kept], clock.now + timedelta(days=days))
        assert words(later) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_a_holders_page_is_recognised_and_its_token_is_sent_to_nobody(
    jiangsu: City, clock: Clock
) -> None:
    assert len(TOKEN) == 64
    pattern = jiangsu.scheme.match_qr(PAGE, clock.now)
    assert pattern is not None
    assert pattern.region == "320000"
    # Nothing named in it is handed on: no group, no document number.
    assert pattern.groups(PAGE) == {}
    assert pattern.document_number(PAGE) is None
    assert TOKEN not in repr(QrText(PAGE))
    jiangsu.platform.faults = Faults(down=True)
    answer = await jiangsu.ask(QrText(PAGE))
    assert isinstance(answer, OutcomeReport)
    assert (answer.outcome, answer.state) == (Outcome.CANNOT_DETERMINE, None)
    assert TOKEN not in repr(answer)


@pytest.mark.asyncio
async def test_a_token_appears_in_no_log_and_in_no_byte_on_the_wire(
    jiangsu: City, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as events:
        async with world(connector=jiangsu.connector) as place:
            sealed, _ = place.asker.seal(by_qr(PAGE))
            assert TOKEN.encode() not in sealed.SerializeToString()
            (answer,) = await place.asker.query(by_qr(PAGE))
            outcome = code_pb2.Outcome.Name(answer.outcome.outcome)
            assert outcome == "OUTCOME_CANNOT_DETERMINE"
    printed = capfd.readouterr()
    for text in (str(events), caplog.text, printed.out, printed.err, str(answer)):
        assert TOKEN not in text


def test_only_the_complete_address_names_what_is_sent(clock: Clock) -> None:
    scheme = load_city("jiangsu")
    with_url = [p for p in scheme.version_at(clock.now).qr_patterns if "(?P<url>" in p.pattern]
    assert len(with_url) == 1
    assert with_url[0].pattern.endswith("=result)$")
