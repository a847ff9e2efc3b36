"""Shared data, from Beijing's side: a finding stands beside the own record, never over it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

from adapters.platforms import Faults, hangzhou_population
from adapters.platforms.beijing.arrivals import Arrivals
from adapters.platforms.beijing.platform import BeijingPlatform
from adapters.platforms.beijing.shared import Finding, SharedSourceError
from adapters.platforms.times import shanghai
from adapters.sdk import QrText
from gateway.codes import UnifiedCode
from gateway.codes.divisions import DivisionError
from gateway.codes.documents import Document, DocumentType
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = shanghai("2022-05-20 12:00")
TRAVELLER = hangzhou_population().person(0).number
GREEN = Finding(
    origin="330100",
    level=Level.GREEN,
    assessed_at=shanghai("2022-05-20 03:10"),
    attestation="jti-1",
    scheme="hz-jkm@2020-02",
    negative_test_at=shanghai("2022-05-19 08:00"),
)


@dataclass
class Source:
    """Answers what it was told to, by origin; stands for a hub's client."""

    findings: dict[str, Finding | Exception] = field(default_factory=dict)
    asked: list[tuple[Document, str]] = field(default_factory=list)

    async def ask(self, document: Document, origin: str) -> Finding:
        self.asked.append((document, origin))
        found = self.findings.get(origin, SharedSourceError("nothing prepared"))
        if isinstance(found, Exception):
            raise found
        return found


class Silent:
    """Never answers."""

    async def ask(self, document: Document, origin: str) -> Finding:
        await asyncio.Event().wait()
        raise SharedSourceError(f"{document} {origin}")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def source() -> Source:
    return Source({"330100": GREEN})


@pytest_asyncio.fixture
async def beijing(clock: Clock, source: Source) -> AsyncIterator[City]:
    async with open_city("beijing", clock) as city:
        of(city).shared = source
        yield city


def of(city: City) -> BeijingPlatform:
    assert isinstance(city.platform, BeijingPlatform)
    return city.platform


async def post(city: City, path: str, **body: object) -> dict[str, Any]:
    headers = {"X-Jkb-Token": "synthetic-jkb-token"}
    url = f"{city.running.base_url}/jingxinju/jkb/{path}"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url, json=body) as answer,
    ):
        document: dict[str, Any] = await answer.json()
    return document


async def arrive(city: City, number: str = TRAVELLER, origin: str = "330100") -> dict[str, Any]:
    answer = await post(city, "arrival", cardType="10", cardNo=number, **{"from": origin})
    assert answer["code"] == "0"
    data: dict[str, Any] = answer["data"]
    return data


@pytest.mark.asyncio
async def test_nothing_found_elsewhere_is_nothing_found_here_with_its_provenance(
    beijing: City, source: Source
) -> None:
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.NOT_FOUND,)
    record = await arrive(beijing)
    assert (record["state"], record["own"]) == ("未见异常", "尚未掌握")
    assert record["shared"] == [
        {
            "from": "330100",
            "statedBy": "330100",
            "finding": "未见异常",
            "assessedAt": "2022-05-20 03:10:00",
            "testAt": "2022-05-19 08:00:00",
            "askedAt": "2022-05-20 12:00:00",
            "reference": "jti-1",
        }
    ]
    assert source.asked == [(card(TRAVELLER), "330100")]
    code = await beijing.ask(card(TRAVELLER))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.issued_by, code.state) == (Level.GREEN, "110000", "未见异常")
    assert code.assessed_at == GREEN.assessed_at
    assert code.negative_test_at == GREEN.negative_test_at
    assert code.valid_until == shanghai("2022-05-21")


NOT_CLEAR: dict[str, Finding | Exception] = {
    "yellow": replace(GREEN, level=Level.YELLOW),
    "red": replace(GREEN, level=Level.RED),
    "restricted": replace(GREEN, level=Level.RESTRICTED),
    **{str(outcome): Finding(origin="330100", outcome=outcome) for outcome in Outcome},
    "of-another-region": replace(GREEN, origin="440100"),
    "of-a-county-of-the-region": replace(GREEN, origin="330106"),
    "without-a-time": replace(GREEN, assessed_at=None),
    "of-tomorrow": replace(GREEN, assessed_at=NOW + timedelta(days=1)),
    "over": replace(GREEN, valid_until=NOW),
    "no-answer": SharedSourceError("the hub is gone"),
    "late": TimeoutError(),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", NOT_CLEAR)
async def test_whatever_is_not_a_sound_green_cannot_be_confirmed(
    beijing: City, source: Source, name: str
) -> None:
    source.findings["330100"] = NOT_CLEAR[name]
    record = await arrive(beijing)
    assert (record["state"], record["own"]) == ("系统暂不能确认", "尚未掌握")
    assert record["popup"] == ""
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.CANNOT_DETERMINE,)
    assert "RED" not in str(record)


@pytest.mark.asyncio
async def test_without_a_source_nobody_who_arrives_is_confirmed(beijing: City) -> None:
    of(beijing).shared = None
    record = await arrive(beijing)
    assert record["state"] == "系统暂不能确认"
    assert record["shared"][0]["finding"] == "未取得"


@pytest.mark.asyncio
async def test_a_source_that_never_answers_is_left(beijing: City) -> None:
    of(beijing).arrivals = Arrivals(ask_seconds=0.05)
    of(beijing).shared = Silent()
    assert (await arrive(beijing))["state"] == "系统暂不能确认"


@pytest.mark.asyncio
async def test_a_source_with_a_defect_leaves_the_arrival_unconfirmed(
    beijing: City, source: Source
) -> None:
    source.findings["330100"] = ZeroDivisionError()
    with pytest.raises(aiohttp.ContentTypeError):
        await arrive(beijing)
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_the_nation_and_the_province_may_answer_for_a_city(
    beijing: City, source: Source
) -> None:
    for origin in ("100000", "330000"):
        source.findings["330100"] = replace(GREEN, origin=origin)
        record = await arrive(beijing)
        assert record["state"] == "未见异常"
        assert record["shared"][0]["statedBy"] == origin


@pytest.mark.asyncio
@pytest.mark.parametrize("level", [Level.GREEN, Level.RED])
async def test_the_own_record_is_neither_overwritten_nor_hidden(
    beijing: City, source: Source, level: Level
) -> None:
    stories = of(beijing).scenarios()
    source.findings["330100"] = replace(GREEN, level=level)
    for story in ("green", "yellow", "red", "cannot-confirm", "not-held", "popup-3", "popup-4"):
        number = stories[story].document_number
        before = (await post(beijing, "state/query", cardType="10", cardNo=number))["data"]
        after = await arrive(beijing, number)
        assert after["own"] == before["own"]
        fills = before["own"] in ("未见异常", "尚未掌握")
        if not fills:
            assert (after["state"], after["popup"]) == (before["state"], before["popup"])
        else:
            expected = "未见异常" if level is Level.GREEN else "系统暂不能确认"
            assert (after["state"], after["popup"]) == (expected, "")


@pytest.mark.asyncio
async def test_a_test_made_elsewhere_does_not_clear_pop_up_4(beijing: City) -> None:
    number = of(beijing).scenarios()["popup-4"].document_number
    record = await arrive(beijing, number)
    assert (record["popup"], record["testAt"]) == ("弹窗4", None)
    assert record["shared"][0]["testAt"] == "2022-05-19 08:00:00"
    assert words(await beijing.ask(card(number))) == (Outcome.HOLDER_MUST_UPDATE,)


@pytest.mark.asyncio
async def test_what_was_found_holds_until_24_00_and_is_asked_anew(
    beijing: City, clock: Clock, source: Source
) -> None:
    await arrive(beijing)
    clock.now = shanghai("2022-05-21") - timedelta(seconds=1)
    assert words(await beijing.ask(card(TRAVELLER))) == (Level.GREEN,)
    clock.now = shanghai("2022-05-21")
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.CANNOT_DETERMINE,)
    source.findings["330100"] = replace(GREEN, assessed_at=clock.now)
    assert (await arrive(beijing))["state"] == "未见异常"


@pytest.mark.asyncio
async def test_every_region_of_the_last_14_days_must_have_found_nothing(
    beijing: City, clock: Clock, source: Source
) -> None:
    source.findings["420000"] = replace(GREEN, origin="420000", level=Level.RED)
    await arrive(beijing, origin="420000")
    clock.now += timedelta(days=3)
    source.findings["330100"] = replace(GREEN, assessed_at=clock.now)
    record = await arrive(beijing)
    assert record["state"] == "系统暂不能确认"
    assert [shared["from"] for shared in record["shared"]] == ["420000", "330100"]
    assert [origin for _, origin in source.asked] == ["420000", "330100", "420000"]
    # The first arrival stops to count 14 days after it was handed in, not after the asking.
    clock.now = NOW + timedelta(days=14)
    source.findings["330100"] = replace(GREEN, assessed_at=clock.now)
    assert (await arrive(beijing))["state"] == "未见异常"
    # After 14 days without another arrival nothing is held of a traveller.
    clock.now += timedelta(days=15)
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_what_was_asked_is_kept_in_order_and_never_replaced(
    beijing: City, source: Source
) -> None:
    await arrive(beijing)
    source.findings["330100"] = replace(GREEN, level=Level.RED, attestation="jti-2")
    await arrive(beijing)
    history = of(beijing).arrivals.history(TRAVELLER)
    found = [arrival.finding for arrival in history if arrival.finding is not None]
    assert [finding.attestation for finding in found] == ["jti-1", "jti-2"]
    assert len(history) == 4  # each was kept as not confirmed before the answer came


@pytest.mark.asyncio
async def test_a_traveller_makes_a_qr_code_while_clear(
    beijing: City, clock: Clock, source: Source
) -> None:
    await arrive(beijing)
    answer = await post(beijing, "qrCode/apply", cardNo=TRAVELLER)
    text = answer["data"]["qrCode"]
    assert words(await beijing.ask(QrText(text))) == (Level.GREEN,)
    source.findings["330100"] = replace(GREEN, level=Level.YELLOW)
    await arrive(beijing)
    assert words(await beijing.ask(QrText(text))) == (Outcome.CANNOT_DETERMINE,)
    assert (await post(beijing, "qrCode/apply", cardNo=TRAVELLER))["code"] == "-7"
    clock.now += timedelta(days=1)
    assert words(await beijing.ask(QrText(text))) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
async def test_a_passport_is_kept_apart_from_a_card(beijing: City) -> None:
    passport = {"cardType": "20", "cardNo": "syn000000007"}
    answer = await post(beijing, "arrival", **passport, **{"from": "330100"})
    assert answer["data"]["state"] == "未见异常"
    document = Document(DocumentType.PASSPORT, "SYN000000007")
    assert words(await beijing.ask(document)) == (Level.GREEN,)
    other = {"cardType": "99", "cardNo": "SYN000000007"}
    assert (await post(beijing, "state/query", **other))["code"] == "21"
    assert (await post(beijing, "arrival", **other, **{"from": "330100"}))["code"] == "20"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cardType": "10", "cardNo": TRAVELLER},
        {"cardType": "10", "cardNo": TRAVELLER, "from": "110105"},
        {"cardType": "10", "cardNo": TRAVELLER, "from": "999999"},
        {"cardType": "10", "cardNo": TRAVELLER, "from": 330100},
        {"cardType": "10", "cardNo": TRAVELLER[:-1] + "x", "from": "x"},
        {"cardType": "10", "cardNo": "1", "from": "330100"},
        {"cardType": "11", "cardNo": TRAVELLER, "from": "330100"},
        {"cardType": "ten", "cardNo": TRAVELLER, "from": "330100"},
    ],
)
async def test_an_arrival_that_is_none_is_refused_and_nobody_is_asked(
    beijing: City, source: Source, body: dict[str, object]
) -> None:
    assert (await post(beijing, "arrival", **body))["code"] == "20"
    assert source.asked == []
    assert words(await beijing.ask(card(TRAVELLER))) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_before_there_were_words_of_doubt_nobody_is_taken_in(
    beijing: City, clock: Clock, source: Source
) -> None:
    clock.now = shanghai("2020-03-16 12:00")
    body = {"cardType": "10", "cardNo": TRAVELLER, "from": "330100"}
    assert (await post(beijing, "arrival", **body))["code"] == "20"
    assert source.asked == []


@pytest.mark.asyncio
async def test_a_platform_at_fault_takes_nobody_in(beijing: City, source: Source) -> None:
    of(beijing).faults = Faults(quota=True)
    body = {"cardType": "10", "cardNo": TRAVELLER, "from": "330100"}
    assert (await post(beijing, "arrival", **body))["code"] == "29"
    assert source.asked == []


def test_a_finding_is_a_level_or_an_outcome_of_a_division() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Finding(origin="330100")
    with pytest.raises(ValueError, match="exactly one"):
        Finding(origin="330100", level=Level.RED, outcome=Outcome.NOT_FOUND)
    with pytest.raises(DivisionError):
        Finding(origin="999999", level=Level.GREEN)
    assert "GREEN" not in repr(GREEN)
