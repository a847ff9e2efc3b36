from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapters.platforms import Faults
from adapters.platforms.alipay.table import NINGBO_ORG, ORG, PAGE, SCANNED
from adapters.platforms.papers import paper_number
from adapters.platforms.times import shanghai
from adapters.sdk import Deadline, QrText, Reports
from gateway.codes import (
    UnifiedCode,
    division_in_force,
    division_name,
    parse_document,
)
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOON = shanghai("2020-06-01 12:00")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest_asyncio.fixture
async def alipay(clock: Clock) -> AsyncIterator[City]:
    async with open_city("alipay", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(alipay: City) -> None:
    for person in alipay.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await alipay.by_qr(person)) == (person.expected, *person.also)
        assert words(await alipay.by_document(person))[0] == person.expected_by_document


def test_the_area_code_in_ningbo_s_link_is_that_of_a_city_that_is_gone() -> None:
    assert NINGBO_ORG.startswith("330283-")
    assert division_name("330283").endswith("奉化市")
    assert not division_in_force("330283", date(2020, 2, 17))
    assert division_name("330200").endswith("宁波市")


@pytest.mark.asyncio
async def test_ningbo_s_link_on_the_same_page_is_not_even_asked_about(alipay: City) -> None:
    own = alipay.platform.scenarios()["green"].qr_text or ""
    assert own.startswith(f"{PAGE}?orgCode={ORG}{SCANNED}")
    alipay.platform.faults = Faults(down=True)
    for text in (own.replace(ORG, NINGBO_ORG), own.replace(SCANNED, "&id="), PAGE):
        assert words(await alipay.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_the_record_and_not_the_link_says_whose_code_it_is(alipay: City) -> None:
    person = alipay.platform.scenarios()["linked-elsewhere"]
    assert ORG in (person.qr_text or "")
    fetched = await alipay.connector.fetch(QrText(person.qr_text or ""), Deadline.after(5))
    assert isinstance(fetched, Reports)
    assert [(r.state, r.issued_by, r.scope) for r in fetched.reports] == [
        ("绿码", "330200", "宁波市")
    ]
    assert words(await alipay.by_qr(person)) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_a_restricted_pass_keeps_its_type_in_the_state(alipay: City) -> None:
    code = await alipay.by_qr(alipay.platform.scenarios()["within-domain-red"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state) == (Level.RED, "红码/本域内通行码")
    assert code.basis == {Basis.ADMINISTRATIVE}


@pytest.mark.asyncio
async def test_a_scan_says_whose_code_it_was(alipay: City) -> None:
    person = alipay.platform.scenarios()["green"]
    for faults in (Faults(), Faults(lowercase_x=True)):
        alipay.platform.faults = faults
        fetched = await alipay.connector.fetch(QrText(person.qr_text or ""), Deadline.after(5))
        assert isinstance(fetched, Reports)
        assert fetched.subject == card(person.document_number)


@pytest.mark.asyncio
async def test_other_documents_are_not_even_asked_about(alipay: City) -> None:
    alipay.platform.faults = Faults(down=True)
    for kind in (14, 15, 16, 20, 34, 99):
        answer = await alipay.ask(parse_document(kind, paper_number(kind, 0)))
        assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_a_call_signed_with_another_secret_is_no_answer(alipay: City, clock: Clock) -> None:
    secrets = {"app_key": "synthetic-wzjkm-app", "app_secret": "wrong"}
    stranger = City(alipay.running, load_city("alipay"), secrets, clock)
    answer = await stranger.by_qr(alipay.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)
