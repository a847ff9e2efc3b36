from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import Faults, Garbage, platform, scenario
from adapters.schemes.zhejiang.wire import parse_envelope, parse_import
from adapters.sdk import Deadline, OutcomeReport, QrText, UnreadableError
from adapters.sdk.conversion import Imported, Importer, ImportOrder
from gateway.codes import Declarations, Document, DocumentType, UnifiedCode
from gateway.codes.conversion import ImportRefusal
from gateway.codes.documents import parse_document
from gateway.codes.levels import Level, Outcome
from tests.adapters.schemes.support import City, load_city, words

if TYPE_CHECKING:
    from tests.adapters.platforms.support import Clock


def order(clock: Clock, number: str | None = None, **changes: Any) -> ImportOrder:
    traveller = number or platform("guangdong").population.person(0).number
    made = ImportOrder(
        reference="r" * 43,
        document=parse_document(DocumentType.RESIDENT_IDENTITY_CARD, traveller),
        name="测试甲",
        declarations=Declarations(),
        origin="440000",
        level=Level.GREEN,
        state="绿码",
        assessed_at=clock.now - timedelta(hours=2),
        negative_test_at=clock.now - timedelta(days=1),
        valid_until=clock.now + timedelta(hours=24),
    )
    return replace(made, **changes)


async def enter(city: City, wanted: ImportOrder, seconds: float = 5.0) -> Any:
    assert isinstance(city.connector, Importer)
    return await city.connector.import_code(wanted, Deadline.after(seconds))


@pytest.mark.asyncio
async def test_a_converted_code_opens_hangzhou_s_own_gates_until_it_ends(
    hangzhou: City, clock: Clock
) -> None:
    ends = clock.now + timedelta(hours=6)
    entered = await enter(hangzhou, order(clock, valid_until=ends))
    assert isinstance(entered, Imported)
    assert entered.valid_until == ends
    code = await hangzhou.ask(QrText(entered.qr_text))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state, code.issued_by) == (Level.GREEN, "绿码", "330100")
    assert (code.valid_until, code.negative_test_at) == (ends, clock.now - timedelta(days=1))
    clock.now = ends
    assert words(await hangzhou.ask(QrText(entered.qr_text))) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
async def test_no_test_is_a_conversion_too_and_twice_is_once(hangzhou: City, clock: Clock) -> None:
    wanted = order(clock, negative_test_at=None)
    first = await enter(hangzhou, wanted)
    assert isinstance(first, Imported)
    assert await enter(hangzhou, wanted) == first
    code = await hangzhou.ask(QrText(first.qr_text))
    assert isinstance(code, UnifiedCode)
    assert code.negative_test_at is None
    other = platform("guangdong").population.person(1).number
    again = await enter(hangzhou, order(clock, other))
    assert words(again) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["yellow", "red", "two-records", "two-cities", "unknown-state"])
async def test_hangzhou_s_own_record_is_never_overwritten(
    hangzhou: City, clock: Clock, story: str
) -> None:
    number = scenario(f"hangzhou/{story}").document_number
    assert await enter(hangzhou, order(clock, number)) is ImportRefusal.OWN_RECORD
    assert words(await hangzhou.by_document(scenario("hangzhou/red"))) == (Level.RED,)


@pytest.mark.asyncio
async def test_a_passport_is_not_entered(hangzhou: City, clock: Clock) -> None:
    passport = Document(DocumentType.PASSPORT, "SYNTHETIC1")
    assert words(await enter(hangzhou, order(clock, document=passport))) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        (Faults(down=True), Outcome.SOURCE_BUSY),
        (Faults(quota=True), Outcome.SOURCE_BUSY),
        (Faults(garbage=Garbage.HTML), Outcome.SOURCE_UNPARSABLE),
        (Faults(garbage=Garbage.TRUNCATED), Outcome.SOURCE_UNPARSABLE),
        (Faults(json_in_json=True), Outcome.SOURCE_UNPARSABLE),
        (Faults(odd_dates=True), Outcome.SOURCE_UNPARSABLE),
        (Faults(slow_seconds=60), Outcome.SOURCE_TIMED_OUT),
    ],
)
async def test_no_fault_enters_a_code(
    hangzhou: City, clock: Clock, faults: Faults, outcome: Outcome
) -> None:
    hangzhou.platform.faults = faults
    answer = await enter(hangzhou, order(clock), 0.3)
    assert isinstance(answer, OutcomeReport)
    assert answer.outcome is outcome


GOOD = {
    "success": True,
    "data": {"ewm": "https://hzjkm.example/code", "yxqz": "2020-06-02T04:00:00.000+0000"},
    "errorCode": None,
}


def read(document: Any) -> Imported | ImportRefusal:
    body = json.dumps({"code": "00", "datas": json.dumps(document)})
    return parse_import(parse_envelope(body.encode()))


@pytest.mark.parametrize(
    "document",
    [
        [],
        GOOD | {"success": "true"},
        GOOD | {"success": None},
        GOOD | {"success": False},
        GOOD | {"success": False, "errorCode": "JKM_CONFLICT"},
        GOOD | {"success": False, "errorCode": ["JKM_OWN_RECORD"]},
        GOOD | {"data": None},
        GOOD | {"data": []},
        GOOD | {"data": {"ewm": "x"}},
        GOOD | {"data": {"yxqz": "2020-06-02T04:00:00.000+0000"}},
        GOOD | {"data": {"ewm": "x", "yxqz": "2020-06-02"}},
    ],
)
def test_an_answer_of_another_shape_entered_nothing(document: Any) -> None:
    assert isinstance(read(GOOD), Imported)
    with pytest.raises(UnreadableError):
        read(document)


def test_the_rule_is_green_only_and_the_province_has_none() -> None:
    rule = load_city("hangzhou").versions[0].import_rule
    assert rule is not None
    assert rule.levels == {Level.GREEN}
    assert "33" not in {origin[:2] for origin in rule.origins or ()}
    assert load_city("zhejiang").versions[0].import_rule is None
