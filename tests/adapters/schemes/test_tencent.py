from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from adapters.sdk import Reports, UnreadableError, translate
from adapters.sdk.interpreting import open_interpreter
from gateway.codes import DocumentType, UnifiedCode, parse_document
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOON = shanghai("2020-06-01 12:00")
GREEN = {
    "cid": "5101**********0000",
    "risk_assessment_grade": "00",
    "report_date": "2020-06-01 07:59:00",
    "report_valid_date": "2020-06-15 07:59:00",
    "report_expired": False,
    "qrcode_expired": False,
    "report_time": "2020-06-01 08:00:00",
    "issue_area": "510000",
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest_asyncio.fixture
async def tencent(clock: Clock) -> AsyncIterator[City]:
    async with open_city("tencent", clock) as city:
        yield city


def read(errcode: object = "0", **data: Any) -> str:
    """The level or the outcome of a reply, read with the code that reads it in service."""
    scheme = load_city("tencent")
    body = json.dumps({"errcode": errcode, "errmsg": "SUCCESS", "data": {**GREEN, **data}})
    try:
        found = open_interpreter(scheme, now=lambda: NOON).interpret(body.encode())
    except UnreadableError:
        return Outcome.SOURCE_UNPARSABLE
    if isinstance(found, Reports):
        return words(translate(scheme, found.reports, NOON))[0]
    return found.outcome


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(tencent: City) -> None:
    for person in tencent.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await tencent.by_qr(person)) == (person.expected,)
        assert words(await tencent.by_document(person))[0] == person.expected_by_document


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Level.GREEN),
        ({"qrcode_expired": True}, Outcome.CODE_EXPIRED),
        ({"report_expired": True}, Outcome.DECLARATION_EXPIRED),
        ({"report_valid_date": "2020-06-01 12:00:00"}, Outcome.DECLARATION_EXPIRED),
        ({"report_date": ""}, Outcome.NOT_APPLIED),
        ({"report_date": None}, Outcome.SOURCE_UNPARSABLE),
        ({"report_date": "2020/06/01 07:59"}, Outcome.SOURCE_UNPARSABLE),
        ({"report_time": ""}, Outcome.SOURCE_UNPARSABLE),
        ({"risk_assessment_grade": "0"}, Outcome.CANNOT_DETERMINE),
        ({"risk_assessment_grade": 0}, Outcome.SOURCE_UNPARSABLE),
        ({"risk_assessment_grade": ""}, Outcome.SOURCE_UNPARSABLE),
        ({"issue_area": "四川省"}, Outcome.SOURCE_UNPARSABLE),
        ({"apply_cid": "5101**********0011", "apply_cid_type": "10"}, Level.GREEN),
    ],
)
def test_each_quirk_of_the_family_is_read_as_what_it_is(
    changed: dict[str, object], expected: str
) -> None:
    assert read(**changed) == expected


@pytest.mark.parametrize("errcode", ["1", "00", "10401", "", None, False, 0.0])
def test_success_is_errcode_0_alone(errcode: object) -> None:
    assert read(errcode) == Outcome.SOURCE_UNPARSABLE


@pytest.mark.asyncio
async def test_the_declaration_has_a_clock_of_its_own(tencent: City, clock: Clock) -> None:
    code = await tencent.by_qr(tencent.platform.scenarios()["green"])
    assert isinstance(code, UnifiedCode)
    assert code.declared_at is not None
    assert code.declaration_valid_until == code.declared_at + timedelta(days=14)
    assert code.valid_until is None
    assert code.source_at < clock.now < code.declaration_valid_until


@pytest.mark.asyncio
async def test_a_child_s_grade_is_the_child_s_whoever_declared(tencent: City) -> None:
    stories = tencent.platform.scenarios()
    assert words(await tencent.by_qr(stories["child"])) == (Level.GREEN,)
    code = await tencent.by_qr(stories["child-yellow"])
    assert isinstance(code, UnifiedCode)
    assert code.level is Level.YELLOW
    assert code.basis == {Basis.SPACE}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [14, 15, 16, 20, 34, 99])
async def test_a_document_of_each_type_travels(tencent: City, kind: int) -> None:
    for index, level in ((0, Level.GREEN), (1, Level.YELLOW), (2, Level.RED)):
        document = parse_document(kind, paper_number(kind, index))
        assert words(await tencent.ask(document)) == (level,)
    nobody = parse_document(kind, paper_number(kind, 999_999))
    assert words(await tencent.ask(nobody)) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_lower_case_x_is_the_same_person(tencent: City) -> None:
    population = tencent.platform.population
    numbers = (population.person(index).number for index in range(population.size))
    number = next(number for number in numbers if number.endswith("X"))
    lower = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number.lower())
    for faults in (Faults(), Faults(lowercase_x=True)):
        tencent.platform.faults = faults
        assert words(await tencent.ask(lower)) == words(await tencent.ask(card(number)))
        assert words(await tencent.ask(lower)) != (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
@pytest.mark.parametrize("secret", ["app_id", "secret_key"])
async def test_a_call_that_is_not_let_in_says_nothing_about_anybody(
    tencent: City, clock: Clock, secret: str
) -> None:
    secrets = {**CREDENTIALS["tencent"], secret: "wrong"}
    stranger = City(tencent.running, load_city("tencent"), secrets, clock)
    answer = await stranger.by_qr(tencent.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
