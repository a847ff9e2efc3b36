from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.platforms.times import shanghai
from adapters.schemes.shaoxing.wire import make_password, open_answer, write_question
from adapters.schemes.shaoxing.xml_reader import MAX_DEPTH, MAX_ELEMENTS, parse_xml
from adapters.sdk import (
    AdapterConfigError,
    OutcomeReport,
    QrText,
    UnreadableError,
    open_interpreter,
    translate,
)
from gateway.codes import Document, DocumentType, UnifiedCode
from gateway.codes.levels import Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.platforms import ScenarioPerson


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def shaoxing(clock: Clock) -> AsyncIterator[City]:
    async with open_city("shaoxing", clock) as city:
        yield city


def story(city: City, name: str) -> ScenarioPerson:
    return city.platform.scenarios()[name]


def envelope(result: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        '<QueryHealthCodeResponse xmlns="urn:x"><QueryHealthCodeResult>'
        f"{result}</QueryHealthCodeResult></QueryHealthCodeResponse></s:Body></s:Envelope>"
    ).encode()


GOOD = {
    "CodeStatus": "绿码",
    "StatusReason": "",
    "Name": "测试甲",
    "Phone": "10000000000",
    "IssueCity": "绍兴市",
    "AssessTime": "2020-06-01 03:10:00",
    "UpdateTime": "2020-06-01 03:11:00",
}


def answer(*records: dict[str, str], code: str = "200") -> bytes:
    listed = "".join(
        "<HealthCode>" + "".join(f"<{k}>{v}</{k}>" for k, v in r.items()) + "</HealthCode>"
        for r in records
    )
    text = f"<Response><Code>{code}</Code>{listed}</Response>"
    return envelope(text.replace("&", "&amp;").replace("<", "&lt;"))


@pytest.mark.asyncio
async def test_a_record_tells_local_time_issuer_and_state(shaoxing: City, clock: Clock) -> None:
    code = await shaoxing.by_document(story(shaoxing, "green"))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.state, code.issued_by) == (Level.GREEN, "绿码", "330600")
    assert timedelta(0) <= clock.now - code.source_at <= timedelta(hours=25)


@pytest.mark.asyncio
async def test_a_qr_is_not_asked_about_and_a_passport_is_not_found(shaoxing: City) -> None:
    shaoxing.platform.faults = type(shaoxing.platform.faults)(down=True)
    assert words(await shaoxing.ask(QrText("x"))) == (Outcome.WRONG_REGION,)
    passport = Document(DocumentType.PASSPORT, "SYNTHETIC1")
    assert words(await shaoxing.ask(passport)) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_an_x_reaches_the_service_in_upper_case_and_a_lower_case_one_is_refused(
    shaoxing: City,
) -> None:
    people = (shaoxing.platform.population.person(index) for index in range(20, 400))
    number = next(person.number for person in people if person.number.endswith("X"))
    small = Document(DocumentType.RESIDENT_IDENTITY_CARD, number.lower())
    assert words(await shaoxing.ask(small))[0] in set(Level)


@pytest.mark.asyncio
async def test_the_password_is_of_the_day_in_shanghai(shaoxing: City, clock: Clock) -> None:
    assert make_password("a", datetime(2020, 5, 31, 16, 0, tzinfo=UTC)) == (
        hashlib.md5(b"aQueryHealthCode20200601").hexdigest()  # noqa: S324 - the wire
    )
    for moment in ("2020-06-01 23:59:59", "2020-06-02 00:00:00"):
        clock.now = shanghai(moment)
        assert words(await shaoxing.by_document(story(shaoxing, "red"))) == (Level.RED,)


@pytest.mark.asyncio
async def test_a_wrong_app_id_ends_as_an_outcome_and_none_is_told_at_the_start(
    shaoxing: City, clock: Clock
) -> None:
    stranger = City(shaoxing.running, load_city("shaoxing"), {"app_id": "wrong"}, clock)
    found = await stranger.by_document(story(shaoxing, "green"))
    await stranger.close()
    assert words(found) == (Outcome.SOURCE_UNPARSABLE,)
    with pytest.raises(AdapterConfigError, match="app_id"):
        City(shaoxing.running, load_city("shaoxing"), {}, clock)


def read(body: bytes) -> UnifiedCode | OutcomeReport:
    scheme = load_city("shaoxing")
    found = open_interpreter(scheme, now=Clock()).interpret(body)
    return (
        found if isinstance(found, OutcomeReport) else translate(scheme, found.reports, Clock()())
    )


def test_a_saved_reply_is_read_as_in_service() -> None:
    code = read(answer(GOOD))
    assert isinstance(code, UnifiedCode)
    assert code.assessed_at == datetime(2020, 5, 31, 19, 10, tzinfo=UTC)
    assert words(read(answer())) == (Outcome.NOT_FOUND,)
    assert words(read(answer(GOOD, GOOD | {"Name": "测试乙"}))) == (Outcome.AMBIGUOUS_SUBJECT,)
    assert words(read(answer(GOOD, GOOD | {"CodeStatus": "红码"}))) == (Level.RED, Level.GREEN)
    assert words(read(answer(code="405"))) == (Outcome.NOT_APPLIED,)
    with pytest.raises(UnreadableError):
        read(answer(GOOD, code="500"))


@pytest.mark.parametrize(
    "change",
    [
        {"AssessTime": ""},
        {"UpdateTime": ""},
        {"UpdateTime": "20200601031100"},
        {"IssueCity": "上海市"},
        {"IssueCity": ""},
        {"IssueCity": "金华市"},
        {"CodeStatus": ""},
        {"CodeStatus": "1"},
        {"CodeStatus": "<b>绿码</b>"},
        {"CodeStatus": "绿码</CodeStatus><CodeStatus>红码"},
        {"CodeStatus": "绿" * 65},
    ],
)
def test_a_record_that_differs_in_one_thing_is_never_a_level(change: dict[str, str]) -> None:
    assert words(read(answer(GOOD))) == (Level.GREEN,)
    with contextlib.suppress(UnreadableError):
        assert isinstance(read(answer(GOOD | change)), OutcomeReport)


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "10"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    "<!DOCTYPE a><a>1</a>",
)


@pytest.mark.parametrize("text", BOMB)
def test_no_document_type_is_taken_so_no_entity_is_declared(text: str) -> None:
    with pytest.raises(UnreadableError, match="document type"):
        parse_xml(text)
    with pytest.raises(UnreadableError, match="document type"):
        open_answer(envelope(text.replace("&", "&amp;").replace("<", "&lt;")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>&nbsp;</a>",
        "<a>1<b/></a>",
        '<?xml version="1.0" encoding="utf-16"?><a',
        "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1),
        f"<a>{'<b/>' * MAX_ELEMENTS}</a>",
        b"<a>\xbb\xb6</a>",
        b'<?xml version="1.0" encoding="gbk"?><a>\xc2\xcc</a>',
    ],
)
def test_what_is_no_small_xml_is_unreadable(text: str | bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_xml(text)


def test_elements_become_text_mappings_and_lists() -> None:
    text = "<a xmlns='urn:x' c='1'><b> 甲 </b><b/><c><d>&lt;&#30002;</d></c><!-- 1 --><?p i?></a>"
    assert parse_xml(text) == {"b": ["甲", ""], "c": {"d": "<甲"}}
    assert parse_xml("<a/>") == ""


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>1</body></html>",
        envelope(""),
        envelope("<Response><Code>200</Code></Response>"),
        envelope("text"),
        envelope("&lt;a/&gt;"),
        answer(GOOD)[: len(answer(GOOD)) // 2],
        b"<Envelope><Body><Fault><faultstring>1</faultstring></Fault></Body></Envelope>",
    ],
)
def test_an_envelope_of_another_shape_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        open_answer(body)


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"<a>{text}</a>".encode()))
def test_any_bytes_are_a_value_or_unreadable(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        assert isinstance(parse_xml(data), str | dict)


@settings(max_examples=60)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20))
def test_whatever_a_member_holds_the_question_stays_one_question(value: str) -> None:
    document: Any = parse_xml(write_question("<&>", "p", {"IDCard": value}))
    call = document["Body"]["QueryHealthCode"]
    assert call["appId"] == "<&>"
    assert parse_xml(call["request"]) == {"IDCard": value.strip()}
