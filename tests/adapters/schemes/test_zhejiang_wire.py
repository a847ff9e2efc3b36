from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.platforms.times import TimeForm, write_time
from adapters.schemes.zhejiang.wire import (
    CITIES,
    EVERYWHERE,
    parse_answer,
    parse_envelope,
    parse_secrets,
    parse_time,
)
from adapters.sdk import LocalReport, OutcomeReport, Reports, UnreadableError
from gateway.codes.divisions import division_name
from gateway.codes.documents import DocumentType, parse_document
from gateway.codes.levels import Outcome

NUMBER = "330102210001010017"

GOOD: dict[str, Any] = {
    "sfzh": NUMBER,
    "id": "33011000000000",
    "xm": "测试甲",
    "sjh": "10000000000",
    "mffd": "杭州市",
    "mlx": EVERYWHERE,
    "mzt": "绿码",
    "hmcmyy": "",
    "scffsj": "2020-03-01T00:00:02.000+0000",
    "scsqsj": "2020-03-01T00:00:00.000+0000",
    "zjgxsj": "2020-05-31T19:11:44.242+0000",
    "zjlx": "IDENTITY_CARD",
    "source": "杭州自建",
    "dbrsfzh": None,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def body(inner: Any, code: Any = "00") -> bytes:
    datas = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
    return json.dumps({"code": code, "msg": "", "datas": datas}, ensure_ascii=False).encode()


def answer(*records: Any, **changes: Any) -> bytes:
    return body({"success": True, "data": list(records), "errorCode": None} | changes)


def read(data: bytes, asked: str | None = NUMBER) -> Reports | OutcomeReport:
    return parse_answer(parse_envelope(data), asked)


def only(data: bytes) -> LocalReport:
    reports = read(data)
    assert isinstance(reports, Reports)
    (report,) = reports.reports
    return report


def test_a_record_becomes_a_local_report() -> None:
    assert only(answer(GOOD)) == LocalReport(
        state="绿码",
        issued_by="330100",
        assessed_at=datetime(2020, 5, 31, 19, 11, 44, tzinfo=UTC),
        source_at=datetime(2020, 5, 31, 19, 11, 44, tzinfo=UTC),
        scope="杭州市",
    )


@pytest.mark.parametrize(
    ("word", "kind", "state"),
    [
        ("绿码", EVERYWHERE, "绿码"),
        ("绿码", "本域内通行码", "绿码/本域内通行码"),
        ("绿码", "别的码", "绿码/别的码"),
        ("黄码", "本域内通行码", "黄码"),
        ("红码", "本域内通行码", "红码"),
        ("灰码", EVERYWHERE, "灰码"),
        ("1", EVERYWHERE, "1"),
    ],
)
def test_a_code_type_lessens_green_and_nothing_else(word: str, kind: str, state: str) -> None:
    assert only(answer(GOOD | {"mzt": word, "mlx": kind})).state == state


@pytest.mark.parametrize("name", ["sfzh", "mffd", "mlx", "mzt", "zjgxsj"])
@pytest.mark.parametrize("value", [None, "", 1, [], {}, True])
def test_a_member_that_matters_and_is_missing_or_no_text_is_unreadable(
    name: str, value: Any
) -> None:
    with pytest.raises(UnreadableError):
        read(answer(GOOD | {name: value}))
    with pytest.raises(UnreadableError):
        read(answer({key: GOOD[key] for key in GOOD if key != name}))


@pytest.mark.parametrize(
    "change",
    [
        {"mffd": "上海市"},
        {"mffd": "330100"},
        {"mzt": "绿" * 65},
        {"hmcmyy": 3},
        {"zjgxsj": "2020-05-31T19:11:44.242Z"},
        {"sfzh": "330105210001010016"},
    ],
)
def test_a_record_that_differs_in_one_thing_is_unreadable(change: dict[str, Any]) -> None:
    assert only(answer(GOOD))
    with pytest.raises(UnreadableError):
        read(answer(GOOD | change))


def test_a_lower_case_x_is_the_same_person() -> None:
    number = "11010521000101001X"
    record = GOOD | {"sfzh": number.lower()}
    assert isinstance(read(answer(record), number), Reports)


def test_records_of_two_people_are_ambiguous_whoever_was_asked_about() -> None:
    data = answer(GOOD, GOOD | {"sfzh": "330105210001010016"})
    for asked in (None, NUMBER):
        assert read(data, asked) == OutcomeReport(Outcome.AMBIGUOUS_SUBJECT)


def test_no_record_is_an_empty_report_and_seventeen_are_unreadable() -> None:
    assert read(answer()) == Reports(())
    assert isinstance(read(answer(*[GOOD] * 16)), Reports)
    with pytest.raises(UnreadableError):
        read(answer(*[GOOD] * 17))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("JKM_NOT_APPLIED", Outcome.NOT_APPLIED),
        ("JKM_MUST_UPDATE", Outcome.HOLDER_MUST_UPDATE),
        ("JKM_QR_EXPIRED", Outcome.CODE_EXPIRED),
        ("JKM_QR_UNKNOWN", Outcome.NOT_FOUND),
        ("JKM_QR_NOT_OURS", Outcome.WRONG_REGION),
    ],
)
def test_a_stated_refusal_is_its_outcome(error: str, outcome: Outcome) -> None:
    data = answer(success=False, errorCode=error)
    assert read(data) == OutcomeReport(outcome)


@pytest.mark.parametrize(
    "changes",
    [
        {"success": False, "errorCode": None},
        {"success": False, "errorCode": "JKM_OTHER"},
        {"success": False, "errorCode": ["JKM_NOT_APPLIED"]},
        {"success": "true"},
        {"success": None},
        {"success": 1},
        {"data": None},
        {"data": {}},
        {"data": "[]"},
    ],
)
def test_an_inner_document_of_another_shape_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        read(answer(GOOD, **changes))


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "null",
        "[]",
        "{",
        '"{}"',
        '{"success":true,"data":[],"data":[]}',
        '{"success":false,"success":true,"data":[]}',
        "[" * 100_000,
    ],
)
def test_datas_that_hold_no_document_or_a_member_twice_are_unreadable(inner: str) -> None:
    with pytest.raises(UnreadableError):
        read(body(inner))


@pytest.mark.parametrize("datas", [None, {}, [], 1, True])
def test_datas_that_are_no_text_are_unreadable(datas: Any) -> None:
    data = json.dumps({"code": "00", "datas": datas}).encode()
    with pytest.raises(UnreadableError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"code":0}',
        b'{"code":"00","code":"00"}',
        '{"code":"00"}'.encode("utf-16"),
    ],
)
def test_an_envelope_of_another_shape_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_envelope(data)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_unreadable(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        read(data)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), json_values, max_size=6))
def test_any_record_is_a_report_an_outcome_or_unreadable(change: dict[str, Any]) -> None:
    try:
        found = read(answer(GOOD | change), None)
    except UnreadableError:
        return
    assert isinstance(found, Reports | OutcomeReport)


@settings(max_examples=100)
@given(json_values)
def test_any_inner_document_is_an_answer_or_unreadable(inner: Any) -> None:
    with contextlib.suppress(UnreadableError):
        read(body(json.dumps(inner)))


@settings(max_examples=100)
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_a_time_of_the_province_reads_back_to_the_second(moment: datetime) -> None:
    assert parse_time(str(write_time(TimeForm.UTC_NO_COLON, moment))) == moment.replace(
        microsecond=0
    )


@settings(max_examples=60)
@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_an_offset_without_colon_is_obeyed(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=0)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.000%z")
    text = text.rjust(28, "0")
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2021-08-10T08:49:17.000",
        "2021-08-10T08:49:17.000Z",
        "2021-08-10T08:49:17.000+00:00",
        "2021-08-10T08:49:17+0000",
        "2021-08-10 08:49:17.000+0000",
        "2021-08-10T08:49:17.000000+0000",
        "2021-02-30T08:49:17.000+0000",
        "2021-08-10T24:49:17.000+0000",
        "2021-08-10T08:49:17.000+9900",
        "0001-01-01T00:00:00.000+1400",
        "２０２１-08-10T08:49:17.000+0000",
        "2021-08-10T08:49:17.000+0000\n",
        "1628585357000",
    ],
)
def test_a_time_in_another_form_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse_time(text)


@settings(max_examples=100)
@given(st.text(max_size=32))
def test_any_text_is_a_time_or_unreadable(text: str) -> None:
    with contextlib.suppress(UnreadableError):
        assert parse_time(text).tzinfo is UTC


SECRETS: dict[str, Any] = {
    "requestSecret": "a",
    "requestSecretEndTime": 1_590_000_900_000,
    "refreshSecret": "b",
    "refreshSecretEndTime": 1_590_172_800_000,
}


def test_secrets_are_read_and_never_shown() -> None:
    secrets = parse_secrets(parse_envelope(body(SECRETS | {"requestSecret": "hidden"})))
    assert secrets.request == "hidden"
    assert secrets.request_ends_at == datetime(2020, 5, 20, 18, 55, tzinfo=UTC)
    assert "hidden" not in repr(secrets)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [None, "", [], True, -1, 10**18, 1.5, "x" * 257])
def test_secrets_of_another_shape_are_unreadable(name: str, value: Any) -> None:
    with pytest.raises(UnreadableError):
        parse_secrets(parse_envelope(body(SECRETS | {name: value})))


def test_the_cities_are_the_eleven_of_the_province_by_their_own_names() -> None:
    assert len(CITIES) == 11
    for name, code in CITIES.items():
        assert division_name(code) == f"浙江省{name}"


def test_what_is_unreadable_is_told_without_the_value() -> None:
    with pytest.raises(UnreadableError) as caught:
        read(answer(GOOD | {"zjgxsj": "秘密"}))
    assert "秘密" not in str(caught.value)
    assert NUMBER not in str(caught.value)


def test_a_qr_answer_says_whose_records_these_are() -> None:
    found = read(answer(GOOD), None)
    assert isinstance(found, Reports)
    assert found.subject == parse_document(DocumentType.RESIDENT_IDENTITY_CARD, NUMBER)


@pytest.mark.parametrize("change", [{"zjlx": "PASSPORT"}, {"zjlx": None}, {"sfzh": "1"}])
def test_a_number_that_is_no_card_ties_the_records_to_nobody(change: dict[str, Any]) -> None:
    found = read(answer(GOOD | change), None)
    assert isinstance(found, Reports)
    assert found.subject is None
    assert found.reports


def test_who_applied_on_the_holder_s_behalf_changes_nothing_and_goes_nowhere() -> None:
    proxied = read(answer(GOOD | {"dbrsfzh": "330105210001010016"}), None)
    assert proxied == read(answer(GOOD), None)


def test_a_converted_code_tells_its_end_and_the_test_that_came_with_it() -> None:
    report = only(answer(GOOD | {"yxqz": "2020-06-02T04:00:00.000+0000", "hsjcsj": GOOD["scffsj"]}))
    assert report.valid_until == datetime(2020, 6, 2, 4, tzinfo=UTC)
    assert report.negative_test_at == datetime(2020, 3, 1, 0, 0, 2, tzinfo=UTC)
    plain = only(answer(GOOD | {"yxqz": None, "hsjcsj": ""}))
    assert (plain.valid_until, plain.negative_test_at) == (None, None)


@pytest.mark.parametrize("name", ["yxqz", "hsjcsj"])
@pytest.mark.parametrize("value", [1, True, [], "2020-06-02", "2020-06-02T04:00:00Z"])
def test_an_end_or_a_test_in_another_form_is_unreadable(name: str, value: Any) -> None:
    with pytest.raises(UnreadableError):
        read(answer(GOOD | {name: value}))
