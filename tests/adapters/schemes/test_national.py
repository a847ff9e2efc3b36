from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from adapters.sdk import OutcomeReport, Reports, UnreadableError, translate
from adapters.sdk.interpreting import open_interpreter
from gateway.codes import UnifiedCode, parse_document
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOON = shanghai("2020-06-01 12:00")
GREEN = {"id": "2101**********0000", "status": "00", "type": 0, "date": "2020-06-01 08:00:00"}

CODES = {
    10006: Outcome.SOURCE_UNPARSABLE,  # bad signature
    40000: Outcome.SOURCE_UNPARSABLE,  # device not authorised
    40001: Outcome.SOURCE_UNPARSABLE,  # wrong authorisation
    40006: Outcome.SOURCE_BUSY,  # third party busy
    40007: Outcome.CODE_EXPIRED,  # QR expired or void
    40008: Outcome.SOURCE_UNPARSABLE,  # reply could not be parsed
    40009: Outcome.SOURCE_UNPARSABLE,  # wrong result
    40017: Outcome.SOURCE_BUSY,  # retry
    40019: Outcome.SOURCE_BUSY,  # under maintenance
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest_asyncio.fixture
async def national(clock: Clock) -> AsyncIterator[City]:
    async with open_city("national", clock) as city:
        yield city


def read(body: bytes) -> str:
    """The level or the outcome of a reply, read with the code that reads it in service."""
    scheme = load_city("national")
    try:
        found = open_interpreter(scheme, now=lambda: NOON).interpret(body)
    except UnreadableError:
        return Outcome.SOURCE_UNPARSABLE
    if isinstance(found, Reports):
        return words(translate(scheme, found.reports, NOON))[0]
    return found.outcome


def reply(code: object = 10000, **data: Any) -> bytes:
    return json.dumps({"code": code, "msg": "", "data": {**GREEN, **data}}).encode()


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(national: City) -> None:
    for person in national.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await national.by_qr(person)) == (person.expected,)
        assert words(await national.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_yellow_rests_on_no_ground_that_a_code_knows(national: City) -> None:
    code = await national.by_qr(national.platform.scenarios()["fever"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state, code.basis) == (Level.YELLOW, "01", frozenset())
    assert "测温" not in repr(code)


@pytest.mark.parametrize(("code", "outcome"), CODES.items())
def test_every_code_but_10000_is_an_outcome_even_beside_a_green_record(
    code: int, outcome: Outcome
) -> None:
    assert read(reply(code)) == outcome
    assert read(reply(str(code))) == outcome


@pytest.mark.parametrize("code", [0, 1, 200, "", None, True, 10000.0, 40018, -10000])
def test_a_code_that_nobody_documented_is_never_success(code: object) -> None:
    assert read(reply(code)) == Outcome.SOURCE_UNPARSABLE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("00", Level.GREEN),
        ("01", Level.YELLOW),
        ("10", Level.RED),
        (10, Outcome.SOURCE_UNPARSABLE),
        ("0", Outcome.CANNOT_DETERMINE),
        (0, Outcome.SOURCE_UNPARSABLE),
        ("1", Outcome.CANNOT_DETERMINE),
        (1, Outcome.SOURCE_UNPARSABLE),
        ("02", Outcome.CANNOT_DETERMINE),
        ("11", Outcome.CANNOT_DETERMINE),
        ("000", Outcome.CANNOT_DETERMINE),
        ("绿码", Outcome.CANNOT_DETERMINE),
        ("", Outcome.SOURCE_UNPARSABLE),
        (None, Outcome.SOURCE_UNPARSABLE),
        (False, Outcome.SOURCE_UNPARSABLE),
        (["00"], Outcome.SOURCE_UNPARSABLE),
    ],
)
def test_exactly_three_values_are_levels(status: object, expected: str) -> None:
    assert read(reply(status=status)) == expected


def test_what_a_reader_calls_green_is_not_read() -> None:
    assert read(reply(status=None, qrCodeType=0)) == Outcome.SOURCE_UNPARSABLE
    assert read(reply(status="10", qrCodeType=0)) == Level.RED


@pytest.mark.parametrize("family", [1, 2, 3, "", None])
def test_only_the_national_family_is_read(family: object) -> None:
    assert read(reply(type=family)) == Outcome.CANNOT_DETERMINE


def test_an_empty_answer_is_a_fault_of_the_line() -> None:
    assert read(b"") == Outcome.SOURCE_UNPARSABLE


@pytest.mark.asyncio
async def test_a_busy_third_party_says_when_to_ask_again(national: City) -> None:
    national.platform.faults = Faults(quota=True)
    answer = await national.by_qr(national.platform.scenarios()["green"])
    assert isinstance(answer, OutcomeReport)
    assert (answer.outcome, answer.retry_after_seconds) == (Outcome.SOURCE_BUSY, 30)


@pytest.mark.asyncio
@pytest.mark.parametrize("secret", ["sn", "auth_code", "device_key"])
async def test_a_device_that_is_not_let_in_says_nothing_about_anybody(
    national: City, clock: Clock, secret: str
) -> None:
    secrets = {**CREDENTIALS["national"], secret: "wrong"}
    stranger = City(national.running, load_city("national"), secrets, clock)
    answer = await stranger.by_qr(national.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_other_documents_are_not_even_asked_about(national: City) -> None:
    national.platform.faults = Faults(down=True)
    for kind in (14, 15, 16, 20, 34, 99):
        answer = await national.ask(parse_document(kind, paper_number(kind, 0)))
        assert words(answer) == (Outcome.NOT_FOUND,)
