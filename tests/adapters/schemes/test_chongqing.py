from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from adapters.platforms import CREDENTIALS, Faults
from adapters.platforms.chongqing import health_card_text
from adapters.platforms.times import SHANGHAI, shanghai
from adapters.schemes.chongqing.wire import decrypt, encrypt, parse_answer
from adapters.sdk import Deadline, LocalReport, OutcomeReport, QrText, Reports, open_connector
from adapters.sdk.errors import AdapterConfigError, UnreadableError
from adapters.sdk.upstream import Upstream, UpstreamSettings
from gateway.codes import UnifiedCode
from gateway.codes.documents import DocumentType, parse_document
from gateway.codes.levels import Basis, Level, Outcome
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BEFORE: Final = shanghai("2021-11-08 05:59:59")
AFTER: Final = shanghai("2021-11-08 06:00")

KEY: Final = bytes.fromhex(CREDENTIALS["chongqing"]["sm4_key"])
NUMBER: Final = "500103210001010015"
RECORD: Final = {
    "zjhm": NUMBER,
    "jkmzt": "绿色",
    "jkmyy": "",
    "xzqh": "500000",
    "pdsj": "2021-11-08 09:00:12",
    "gxsj": "2021-11-08 09:01:00",
}


@pytest.fixture
def clock() -> Clock:
    return Clock(AFTER)


@pytest_asyncio.fixture
async def chongqing(clock: Clock) -> AsyncIterator[City]:
    async with open_city("chongqing", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_at_six_in_the_morning_red_becomes_red_and_yellow_begins(
    chongqing: City, clock: Clock
) -> None:
    clock.now = BEFORE
    stories = chongqing.platform.scenarios()
    assert "yellow" not in stories
    for story, basis in (("red", {Basis.CONTACT}), ("at-home", None)):
        code = await chongqing.by_qr(stories[story])
        assert isinstance(code, UnifiedCode)
        assert (code.level, code.scheme) == (Level.RESTRICTED, "cq-ykm@2020-02")
        assert basis in (None, code.basis)

    clock.now = BEFORE + timedelta(seconds=1)
    assert clock.now == AFTER
    stories = chongqing.platform.scenarios()
    code = await chongqing.by_qr(stories["red"])
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.scheme) == (Level.RED, "cq-ykm@2021-11")
    assert words(await chongqing.by_qr(stories["yellow"])) == (Level.YELLOW,)
    assert words(await chongqing.by_qr(stories["other"])) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_nobody_is_yellow_or_red_before_and_nobody_restricted_after(
    chongqing: City, clock: Clock
) -> None:
    seen: dict[str, set[str]] = {}
    for name, moment in (("before", BEFORE), ("after", AFTER)):
        clock.now = moment
        people = (chongqing.platform.population.person(index) for index in range(120))
        seen[name] = {words(await chongqing.ask(card(p.number)))[0] for p in people}
    assert {Level.GREEN, Level.RESTRICTED} <= seen["before"]
    assert seen["before"].isdisjoint({Level.YELLOW, Level.RED})
    assert {Level.GREEN, Level.YELLOW, Level.RED} <= seen["after"]
    assert Level.RESTRICTED not in seen["after"]


@pytest.mark.asyncio
async def test_a_health_card_of_the_same_person_is_not_ours_and_not_sent(
    chongqing: City, clock: Clock
) -> None:
    text = health_card_text(0)
    assert "5000A0003" in text
    assert chongqing.scheme.match_qr(text, clock.now) is None
    chongqing.platform.faults = Faults(down=True)
    assert words(await chongqing.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_the_members_of_a_qr_stand_in_any_order(chongqing: City) -> None:
    text = chongqing.platform.scenarios()["green"].qr_text or ""
    members = json.loads(text)
    assert set(members) == {"codeId", "lastReportTime", "outTime", "zoning"}
    turned = json.dumps(dict(reversed(members.items())), separators=(",", ":"))
    assert turned != text
    assert words(await chongqing.ask(QrText(turned))) == (Level.GREEN,)


@pytest.mark.asyncio
async def test_writing_another_end_into_a_qr_does_not_revive_it(
    chongqing: City, clock: Clock
) -> None:
    members = json.loads(chongqing.platform.scenarios()["green"].qr_text or "")
    clock.now += timedelta(minutes=11)
    members["outTime"] = members["lastReportTime"] = "2030-01-01 00:00:00"
    forged = QrText(json.dumps(members, separators=(",", ":")))
    assert words(await chongqing.ask(forged)) == (Outcome.CODE_EXPIRED,)


@pytest.mark.asyncio
async def test_an_answer_names_the_person_whose_qr_it_was(chongqing: City) -> None:
    person = chongqing.platform.scenarios()["green"]
    presentation = QrText(person.qr_text or "")
    fetched = await chongqing.connector.fetch(presentation, Deadline.after(5))
    assert isinstance(fetched, Reports)
    assert fetched.subject == card(person.document_number)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["app_key", "sm4_key"])
async def test_another_clients_secret_ends_as_an_outcome(
    chongqing: City, clock: Clock, name: str
) -> None:
    secrets = {**CREDENTIALS["chongqing"], name: "0" * 32}
    stranger = City(chongqing.running, chongqing.scheme, secrets, clock)
    answer = await stranger.by_qr(chongqing.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.parametrize("key", ["", "0123", "no hexadecimal digits, thirty-two"])
def test_a_key_that_is_none_is_refused_before_anybody_asks(clock: Clock, key: str) -> None:
    upstream = Upstream(UpstreamSettings(url="https://platform.invalid"))
    with pytest.raises(AdapterConfigError):
        open_connector(
            load_city("chongqing"),
            upstream=upstream,
            secrets={"app_key": "a", "sm4_key": key},
            now=clock,
        )


def test_the_cipher_is_the_one_of_the_standard() -> None:
    # GB/T 32907-2016, appendix A, first example.
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    block = Cipher(SM4(key), ECB()).encryptor().update(key)  # noqa: S305 - one block
    assert block.hex() == "681edf34d206965e86b3e94f536e4246"


@given(st.text(max_size=200))
def test_what_is_written_is_read_back(text: str) -> None:
    written = encrypt(KEY, text)
    assert written == written.upper()
    assert decrypt(KEY, written).decode() == text


def answer_of(records: object, key: bytes = KEY) -> bytes:
    sealed = encrypt(key, json.dumps(records, ensure_ascii=False))
    return json.dumps({"code": "0", "msg": "成功", "CipherText": sealed}).encode()


def read(body: bytes, number: str | None = NUMBER) -> Reports | OutcomeReport:
    asked = number and parse_document(DocumentType.RESIDENT_IDENTITY_CARD, number)
    return parse_answer(body, KEY, SHANGHAI, asked or None)


def test_a_record_is_read_with_its_times_in_the_zone_of_the_city() -> None:
    found = read(answer_of(RECORD))
    assert isinstance(found, Reports)
    assert found.reports == (
        LocalReport(
            state="绿色",
            issued_by="500000",
            assessed_at=shanghai("2021-11-08 09:00:12"),
            source_at=shanghai("2021-11-08 09:01:00"),
        ),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"jkmzt": None},
        {"jkmzt": ""},
        {"jkmzt": 1},
        {"jkmzt": "绿" * 65},
        {"xzqh": "510100"},
        {"xzqh": None},
        {"pdsj": ""},
        {"gxsj": "20211108090012"},
        {"gxsj": "2021-02-30 09:00:12"},
        {"zjhm": "500103210001010012"},
        {"zjhm": "500104210001010011"},
        {"jkmyy": 7},
    ],
)
def test_a_record_that_is_not_of_the_wire_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(answer_of({**RECORD, **change}))
    assert NUMBER not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        answer_of(RECORD, key=bytes(16)),
        answer_of("text"),
        answer_of([RECORD] * 20),
        b'{"code":"0"}',
        b'{"code":"0","CipherText":"00"}',
        b'{"code":"0","CipherText":"zz"}',
        b'{"code":"0","CipherText":""}',
        b'{"code":0,"CipherText":""}',
        b'{"code":"0","code":"0"}',
        b'{"code":"77"}',
        b"[]",
        b"",
    ],
)
def test_an_answer_that_is_not_of_the_wire_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(body)


def test_no_record_is_not_found_and_two_people_are_ambiguous() -> None:
    assert read(answer_of([])) == OutcomeReport(Outcome.NOT_FOUND)
    other = {**RECORD, "zjhm": "500104210001010011"}
    assert read(answer_of([RECORD, other])) == OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise_anything_else(body: bytes) -> None:
    try:
        read(body)
        read(json.dumps({"code": "0", "CipherText": body.hex()}).encode())
    except UnreadableError:
        pass
