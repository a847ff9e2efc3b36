from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes.divisions import (
    DivisionError,
    _table,
    contains,
    division_history,
    division_in_force,
    division_name,
    division_prefix,
    is_national,
    longest_prefix,
    parse_division,
    parse_region_urn,
    region_urn,
)

CODES = st.sampled_from(sorted(_table()))
PREFIXES = CODES.map(division_prefix)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("33", "浙江省"),
        ("3301", "浙江省杭州市"),
        ("330106", "浙江省杭州市西湖区"),
        ("330113", "浙江省杭州市临平区"),
        ("4401", "广东省广州市"),
        ("11", "北京市"),
        ("110105", "北京市朝阳区"),
        ("12", "天津市"),
        ("31", "上海市"),
        ("50", "重庆市"),
        ("500112", "重庆市渝北区"),
        ("429004", "湖北省仙桃市"),
        ("419001", "河南省济源市"),
        ("441900", "广东省东莞市"),
        ("710000", "台湾省"),
        ("81", "香港特别行政区"),
        ("82", "澳门特别行政区"),
    ],
)
def test_the_table_holds_facts_we_know(code: str, name: str) -> None:
    assert division_name(code) == name


def test_there_are_34_provinces_and_some_three_thousand_counties_in_force() -> None:
    provinces = [code for code in _table() if code.endswith("0000") and not is_national(code)]
    assert len(provinces) == 34
    counties = [
        code
        for code in _table()
        if code[4:] not in ("00", "01") and division_in_force(code, date(2020, 3, 1))
    ]
    assert 2800 <= len(counties) <= 3000


def test_every_row_has_its_parents() -> None:
    for code in _table():
        assert code[:2] + "0000" in _table()
        assert code.endswith("0000") or code[2:4] == "00" or code[:4] + "00" in _table()


def test_a_retired_division_is_in_force_until_the_year_it_went() -> None:
    # 下城区 went in April 2021; the table knows years.
    assert division_in_force("330103", date(2020, 12, 31))
    assert division_in_force("330103", date(2021, 12, 31))
    assert not division_in_force("330103", date(2022, 1, 1))
    assert not division_in_force("330103", date(1982, 12, 31))


def test_a_name_outside_its_years_is_refused_and_without_a_date_is_the_newest() -> None:
    assert division_name("330103", date(2020, 2, 11)) == "浙江省杭州市下城区"
    assert division_name("330103") == "浙江省杭州市下城区"
    with pytest.raises(DivisionError) as caught:
        division_name("330103", date(2022, 1, 1))
    assert caught.value.code == "DIVISION_NOT_IN_FORCE"


def test_a_renamed_division_has_the_name_of_the_date() -> None:
    assert division_name("440111", date(1985, 6, 1)) == "广东省广州市郊区"
    assert division_name("440111", date(2020, 6, 1)) == "广东省广州市白云区"
    assert [span.name for span in division_history("440111")] == ["郊区", "白云区"]


def test_a_span_that_ends_before_it_begins_is_read_as_one_year() -> None:
    first = division_history("532901")[0]
    assert (first.name, first.first_year, first.last_year) == ("下关市", 1983, 1983)


@pytest.mark.parametrize(
    "text",
    ["", "3", "330", "33010", "3301060", "33 106", "３３０１", "33010x", "-33010", "33\n", "٣٣"],
)
def test_another_shape_is_invalid(text: str) -> None:
    with pytest.raises(DivisionError) as caught:
        parse_division(text)
    assert caught.value.code == "DIVISION_INVALID"


@pytest.mark.parametrize("text", ["99", "00", "000000", "3399", "330199", "330001"])
def test_a_code_the_table_never_had_is_unknown(text: str) -> None:
    with pytest.raises(DivisionError) as caught:
        parse_division(text)
    assert caught.value.code == "DIVISION_UNKNOWN"


def test_prefixes_lose_trailing_zero_pairs_only() -> None:
    assert division_prefix("330000") == "33"
    assert division_prefix("330100") == "3301"
    assert division_prefix("330106") == "330106"
    assert division_prefix("500000") == "50"
    assert division_prefix("3300") == "33"
    assert division_prefix("469000") == "4690"


@pytest.mark.parametrize("text", ["00", "000000", "3", "33010a", ""])
def test_no_prefix_stands_for_the_country_or_for_nonsense(text: str) -> None:
    with pytest.raises(DivisionError):
        division_prefix(text)


def test_containment() -> None:
    assert contains("33", "330106")
    assert contains("330000", "330106")
    assert contains("330106", "330106")
    assert not contains("330106", "330100")
    assert not contains("3301", "330000")
    assert not contains("44", "330106")


def test_the_longest_prefix_wins() -> None:
    routes = {"33": "province", "3301": "city", "330106": "county"}
    assert longest_prefix("330106", routes) == "county"
    assert longest_prefix("330105", routes) == "city"
    assert longest_prefix("330100", routes) == "city"
    assert longest_prefix("330200", routes) == "province"
    assert longest_prefix("440100", routes) is None


def test_region_urns() -> None:
    assert region_urn("330100") == "urn:hutong:region:330100"
    assert region_urn("33") == "urn:hutong:region:330000"
    assert parse_region_urn("urn:hutong:region:330100") == "330100"


@pytest.mark.parametrize(
    "urn",
    [
        "330100",
        "urn:hutong:region:",
        "urn:hutong:region:33",
        "urn:hutong:region:999999",
        "urn:hutong:hub:330100",
        "URN:hutong:region:330100",
        "urn:hutong:region:330100 ",
        "urn:hutong:region:urn:hutong:region:330100",
    ],
)
def test_other_urns_are_refused(urn: str) -> None:
    with pytest.raises(DivisionError):
        parse_region_urn(urn)


@given(CODES)
def test_every_code_parses_to_itself_and_back_from_its_prefix_and_urn(code: str) -> None:
    assert parse_division(code) == code
    assert parse_division(division_prefix(code)) == code
    assert parse_region_urn(region_urn(code)) == code
    assert division_name(code)


@given(CODES, st.dates(date(1980, 1, 1), date(2026, 12, 31)))
def test_a_code_has_a_name_exactly_on_the_dates_it_is_in_force(code: str, on: date) -> None:
    if division_in_force(code, on):
        assert division_name(code, on)
    else:
        with pytest.raises(DivisionError):
            division_name(code, on)


@given(CODES, st.dictionaries(PREFIXES, st.integers(), max_size=8))
def test_the_longest_prefix_is_the_longest_that_contains(
    code: str, prefixes: dict[str, int]
) -> None:
    holders = [prefix for prefix in prefixes if contains(prefix, code)]
    expected = prefixes[max(holders, key=len)] if holders else None
    assert longest_prefix(code, prefixes) == expected


@given(st.text(max_size=8) | st.text("0123456789", max_size=8))
def test_any_text_parses_to_a_known_code_or_is_refused(text: str) -> None:
    try:
        code = parse_division(text)
    except DivisionError:
        return
    assert code in _table()
    assert code.startswith(text)


def test_three_national_divisions_are_reserved_and_have_names() -> None:
    assert [code for code in _table() if code.startswith("10")] == ["100000", "100001", "100002"]
    assert division_name("10") == "全国"
    assert division_name("100001") == "全国健康信息码"
    assert division_name("100002", date(2020, 3, 1)) == "全国行程卡"
    assert parse_region_urn(region_urn("100000")) == "100000"
    assert all(is_national(code) for code in ("100000", "100001", "100002"))
    assert not is_national("110000")
    assert contains("10", "100001")
    assert not contains("100002", "100001")


@pytest.mark.parametrize("code", ["100003", "101000", "100100"])
def test_no_other_division_under_ten_exists(code: str) -> None:
    with pytest.raises(DivisionError):
        parse_division(code)
