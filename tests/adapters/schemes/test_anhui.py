from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.times import shanghai
from adapters.sdk import OutcomeReport, Reports
from adapters.sdk.errors import UnreadableError
from adapters.sdk.interpreting import open_interpreter
from gateway.codes import UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW: Final = shanghai("2022-05-10 12:00")

RECORD: Final = {
    "idCardNo": "340102210001010019",
    "healthLevel": "1",
    "colourReason": "",
    "changeTime": "20220320081500",
    "syncTime": "20220510090000",
    "dataSource": "1",
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest_asyncio.fixture
async def anhui(clock: Clock) -> AsyncIterator[City]:
    async with open_city("anhui", clock) as city:
        yield city


def read(**changes: Any) -> Any:
    record = {**RECORD, **changes}
    return read_body(json.dumps({"flag": "1", "data": inner(record)}).encode())


def inner(record: Any, flag: str = "1", text: str = "成功") -> dict[str, Any]:
    return {"flag": flag, "errMsg": text, "data": record}


def read_body(body: bytes) -> Any:
    scheme = load_city("anhui")
    secrets = CREDENTIALS["anhui"]
    return open_interpreter(scheme, now=Clock(NOW), secrets=secrets).interpret(body)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "level", "state"),
    [("green", Level.GREEN, "1"), ("yellow", Level.YELLOW, "2"), ("red", Level.RED, "3")],
)
async def test_a_number_that_is_text_is_the_colour_that_the_scheme_says(
    anhui: City, story: str, level: Level, state: str
) -> None:
    code = await anhui.by_qr(anhui.platform.scenarios()[story])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state, code.scheme) == (level, state, "ah-akm@2022-05")


@pytest.mark.parametrize("level", [1, 1.0, True, None, "", ["1"]])
def test_a_number_that_is_no_text_is_no_colour(level: object) -> None:
    with pytest.raises(UnreadableError):
        read(healthLevel=level)


@pytest.mark.asyncio
async def test_grey_and_the_national_code_are_no_levels(anhui: City) -> None:
    stories = anhui.platform.scenarios()
    grey = await anhui.by_qr(stories["grey"])
    national = await anhui.by_document(stories["national-green"])
    assert isinstance(grey, OutcomeReport)
    assert isinstance(national, OutcomeReport)
    assert (grey.outcome, grey.state) == (Outcome.CANNOT_DETERMINE, "4")
    assert (national.outcome, national.state) == (Outcome.CANNOT_DETERMINE, "1")


def test_a_record_of_neither_source_is_unreadable() -> None:
    for source in ("3", None, "安徽"):
        with pytest.raises(UnreadableError):
            read(dataSource=source)


def test_the_last_change_is_the_assessment_and_local_time() -> None:
    found = read()
    assert isinstance(found, Reports)
    (report,) = found.reports
    assert report.assessed_at == shanghai("2022-03-20 08:15")
    assert report.source_at == shanghai("2022-05-10 09:00")


@pytest.mark.parametrize("text", ["2022-05-10 09:00:00", "202205100900", "20220510T090000Z"])
def test_a_time_in_another_deployed_form_is_unreadable(text: str) -> None:
    for member in ("changeTime", "syncTime"):
        with pytest.raises(UnreadableError):
            read(**{member: text})


def test_each_envelope_is_checked_from_the_outside_in() -> None:
    cases: list[tuple[dict[str, Any], Outcome]] = [
        ({"flag": "2", "data": None}, Outcome.SOURCE_BUSY),
        ({"flag": "1", "data": inner(None, "0", "健康码未申领")}, Outcome.NOT_APPLIED),
        ({"flag": "1", "data": inner(RECORD, "0", "非安康码")}, Outcome.WRONG_REGION),
        ({"flag": "1", "data": inner(None)}, Outcome.NOT_FOUND),
    ]
    for document, outcome in cases:
        assert read_body(json.dumps(document).encode()) == OutcomeReport(outcome)


@pytest.mark.parametrize(
    "document",
    [
        {"flag": "0", "data": inner(RECORD)},
        {"flag": "1", "data": inner(RECORD, "0")},
        {"flag": "1", "data": inner(RECORD, "1", "未知错误")},
        {"flag": "1", "data": json.dumps(inner(RECORD))},
        {"flag": "1", "data": RECORD},
        {"data": inner(RECORD)},
    ],
)
def test_a_green_in_an_envelope_that_is_not_well_is_never_green(document: Any) -> None:
    with pytest.raises(UnreadableError):
        read_body(json.dumps(document).encode())


@pytest.mark.asyncio
async def test_the_reason_of_each_age_becomes_a_basis(anhui: City, clock: Clock) -> None:
    for moment, story, version, basis in (
        ("2021-12-31 23:59:59", "red", "ah-akm@2020", {Basis.CONTACT}),
        ("2022-01-01 00:00:00", "yellow", "ah-akm@2022-01", {Basis.CONTACT}),
        ("2022-05-01 00:00:00", "yellow", "ah-akm@2022-05", {Basis.CONTACT}),
    ):
        clock.now = shanghai(moment)
        code = await anhui.by_qr(anhui.platform.scenarios()[story])
        assert isinstance(code, UnifiedCode)
        assert (code.scheme, code.basis) == (version, basis)


@pytest.mark.asyncio
async def test_a_green_that_has_held_for_months_is_green_and_an_old_copy_is_not(
    anhui: City, clock: Clock
) -> None:
    person = anhui.platform.scenarios()["green"]
    code = await anhui.by_document(person)
    assert isinstance(code, UnifiedCode)
    assert clock.now - code.assessed_at > timedelta(days=30)
    assert clock.now - code.source_at < timedelta(hours=2)
    anhui.platform.faults = Faults(stale=True)
    assert words(await anhui.by_document(person)) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_a_gate_that_is_not_registered_learns_nothing(anhui: City, clock: Clock) -> None:
    for name in ("token", "site_id"):
        stranger = City(anhui.running, anhui.scheme, {**CREDENTIALS["anhui"], name: "wrong"}, clock)
        answer = await stranger.by_qr(anhui.platform.scenarios()["green"])
        await stranger.close()
        assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
