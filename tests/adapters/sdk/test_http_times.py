"""What a form of a moment means is what ``strptime`` says, however it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.sdk.errors import UnreadableError
from adapters.sdk.http_answer import moment_of
from adapters.sdk.http_spec import Member

ZONE = ZoneInfo("Asia/Shanghai")
FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y年%m月%d日%H时%M分%S",
)

forms = st.sampled_from(FORMS)
written = st.builds(lambda moment, form: (moment.strftime(form), form), st.datetimes(), forms)


def by_strptime(text: str, form: str) -> datetime | None:
    """What the text means; None: it is of another form, or has digits left out."""
    try:
        moment = datetime.strptime(text, form).replace(tzinfo=ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # A year below 1000 is not padded on every platform.
    again = moment.astimezone(ZONE).strftime(form).rjust(len("YYYYmmddHHMMSS"), "0")
    return None if "%Y%m" in form and again != text else moment


def by_connector(text: str, form: str) -> datetime | None:
    try:
        return moment_of(text, Member(("at",), time=form), ZONE)
    except UnreadableError:
        return None


@given(written)
def test_a_moment_reads_back_as_it_was_written(pair: tuple[str, str]) -> None:
    text, form = pair
    if text[:4].isdecimal():  # years below 1000 are not padded on every platform
        assert by_connector(text, form) == by_strptime(text, form)


@given(forms, st.text("0123456789-/.: 年月日时分٣x\n", max_size=20))
@example("%Y%m%d%H%M%S", "20201301000000")
@example("%Y%m%d%H%M%S", "2020060112304")
@example("%Y%m%d%H%M%S", "09990101000000")
@example("%Y-%m-%d %H:%M:%S", "2020-06-01 12:30:45\n")
@example("%Y-%m-%d %H:%M:%S", "2020-6-1 2:3:4")
@example("%Y-%m-%d %H:%M:%S", "2020-06-01  12:30:45")
@example("%Y-%m-%d %H:%M:%S", "٢٠٢٠-06-01 12:30:45")
@example("%Y-%m-%d %H:%M:%S", "0000-01-01 00:00:00")
@example("%Y-%m-%d %H:%M:%S", "0001-01-01 00:00:00")
@example("%Y-%m-%d %H:%M:%S", "2020-02-30 00:00:00")
@example("%Y-%m-%d %H:%M:%S", "2020-06-30 23:59:60")
def test_any_text_means_what_strptime_says_it_means(form: str, text: str) -> None:
    assert by_connector(text, form) == by_strptime(text, form)


@given(written, st.data())
def test_a_text_with_one_character_changed_means_what_strptime_says(
    pair: tuple[str, str], data: st.DataObject
) -> None:
    text, form = pair
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from("0123456789 :-x")) + text[place + 1 :]
    assert by_connector(changed, form) == by_strptime(changed, form)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("unix_s", "1591000245"),
        ("unix_ms", "1591000245999"),
        ("iso", "2020-06-01T16:30:45.999+08:00"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2020-06-01T08:30:45.999+0000"),
        ("%Y-%m-%d %H:%M:%S", "2020-06-01 16:30:45"),
    ],
)
def test_a_moment_is_cut_to_whole_seconds_in_utc(form: str, text: str) -> None:
    moment = by_connector(text, form)
    assert moment == datetime(2020, 6, 1, 8, 30, 45, tzinfo=UTC)
    assert moment is not None
    assert moment.tzinfo is UTC
