from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from adapters.platforms.times import shanghai
from adapters.sdk import AdapterConfigError, OutcomeReport, Reports, UnreadableError
from adapters.sdk.interpreting import open_interpreter
from gateway.codes import UnifiedCode
from gateway.codes.levels import Level, Outcome
from gateway.codes.schemes import load_scheme
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock(shanghai("2020-06-01 12:00"))


@pytest_asyncio.fixture
async def hebei(clock: Clock) -> AsyncIterator[City]:
    async with open_city("hebei", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(hebei: City) -> None:
    for person in hebei.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await hebei.by_qr(person)) == (person.expected, *person.also)
        assert words(await hebei.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_low_reports_of_other_provinces_are_left_to_those(hebei: City) -> None:
    code = await hebei.by_qr(hebei.platform.scenarios()["green-everywhere"])
    assert isinstance(code, UnifiedCode)
    assert [(report.issued_by, report.state) for report in code.reports] == [("130000", "00")]


@pytest.mark.asyncio
async def test_a_warning_elsewhere_is_neither_told_nor_overlooked(hebei: City) -> None:
    answer = await hebei.by_qr(hebei.platform.scenarios()["red-elsewhere"])
    assert words(answer) == (Outcome.CANNOT_DETERMINE,)
    assert "420000" not in repr(answer)


@pytest.mark.asyncio
async def test_exactly_those_are_green_who_are_low_everywhere(hebei: City) -> None:
    population = hebei.platform.population
    seen = set()
    for index in range(20, 320):
        person = population.person(index)
        records = hebei.platform.records_of(person)
        answer = words(await hebei.ask(card(person.number)))
        assert (answer[0] == Level.GREEN) == ({record.state for record in records} == {"00"})
        seen.update((answer[0], len(records)))
    assert {Level.GREEN, Level.YELLOW, Level.RED, 1, 2} <= seen


def reply(*states: str, **content: Any) -> bytes:
    reports = [
        {
            "healthyStaus": state,
            "xzqhdm": "130000",
            "desensitizeCardId": "1301**********0020",
            "pgsj": "2020-06-01 03:00:00",
            "gxsj": "2020-06-01 03:00:00",
        }
        for state in states
    ]
    records = {"data": {"healthyReport": reports, "hasWarm": "未见异常", **content}}
    return json.dumps({"errcode": 0, "data": {"content": json.dumps(records)}}).encode()


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (reply("00", hasWarm="存在预警"), "00"),
        (reply("00", hasWarm=None), "00"),
        (reply("00", hasWarm=True), "00"),
        (reply("00", "00", hasWarm=""), "00"),
    ],
)
def test_low_reports_below_another_verdict_are_not_determined(
    clock: Clock, body: bytes, state: str
) -> None:
    fetched = open_interpreter(load_city("hebei"), now=clock).interpret(body)
    assert isinstance(fetched, OutcomeReport)
    assert (fetched.outcome, fetched.state) == (Outcome.CANNOT_DETERMINE, state)


@pytest.mark.parametrize("states", [("00",), ("01",), ("00", "10"), ("02",)])
@pytest.mark.parametrize("verdict", ["未见异常", "存在预警"])
def test_a_verdict_never_lessens_a_report(
    clock: Clock, states: tuple[str, ...], verdict: str
) -> None:
    fetched = open_interpreter(load_city("hebei"), now=clock).interpret(
        reply(*states, hasWarm=verdict)
    )
    if set(states) == {"00"} and verdict != "未见异常":
        assert isinstance(fetched, OutcomeReport)
    else:
        assert isinstance(fetched, Reports)
        assert tuple(report.state for report in fetched.reports) == states


@pytest.mark.parametrize(
    "body",
    [
        b'{"errcode":0,"data":{"content":{"data":{"healthyReport":[]}}}}',
        b'{"errcode":0,"data":{"content":"not json"}}',
        b'{"errcode":7,"data":null}',
        b'{"data":{"content":"{}"}}',
    ],
)
def test_what_is_no_reply_of_hebei_is_unreadable(clock: Clock, body: bytes) -> None:
    with pytest.raises(UnreadableError):
        open_interpreter(load_city("hebei"), now=clock).interpret(body)


@pytest.mark.asyncio
async def test_a_connector_without_its_secret_or_its_wire_is_not_made(
    hebei: City, clock: Clock
) -> None:
    with pytest.raises(AdapterConfigError, match="token"):
        City(hebei.running, load_city("hebei"), {}, clock)
    document = load_city("hebei").to_document()
    document["connector"] = {
        "python": "adapters.schemes.hebei.connector:HebeiConnector",
        "options": {"http": {"ask": {}}},
    }
    with pytest.raises(AdapterConfigError, match=r"options\.http|ask"):
        open_interpreter(load_scheme(document), now=clock)
