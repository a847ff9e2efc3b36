from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.platforms.qr import NOBODY, QrForm, Ticket

FORMS = {
    "plain": QrForm("a", "https://a.example/c/{serial}{stamp}{check}"),
    "upper": QrForm("a", "A:{serial}{stamp}{CHECK}", stamp_digits=4),
    "opaque": QrForm("a", "akm:qr:{opaque}&city=340000"),
    "opaque upper": QrForm("a", "AKM{OPAQUE}"),
}
NOW = datetime(2022, 1, 5, tzinfo=UTC)


@settings(max_examples=60)
@given(st.sampled_from(sorted(FORMS)), st.integers(0, NOBODY), st.integers(0, 9_999))
def test_a_text_leads_back_to_serial_and_stamp(form: str, serial: int, stamp: int) -> None:
    text = FORMS[form].write(serial, stamp)
    assert FORMS[form].read(text) == Ticket(serial, stamp, genuine=True)


@settings(max_examples=100)
@given(st.sampled_from(sorted(FORMS)), st.integers(0, NOBODY), st.data())
def test_a_text_with_another_digit_is_not_genuine(
    form: str, serial: int, data: st.DataObject
) -> None:
    text = FORMS[form].write(serial, 1)
    place = data.draw(st.integers(0, len(text) - 1))
    digit = data.draw(st.sampled_from("0123456789abcdefABCDEF"))
    changed = text[:place] + digit + text[place + 1 :]
    ticket = FORMS[form].read(changed)
    assert changed == text or ticket is None or not ticket.genuine


@settings(max_examples=100)
@given(st.sampled_from(sorted(FORMS)), st.text(max_size=80))
def test_any_text_is_read_or_not(form: str, text: str) -> None:
    ticket = FORMS[form].read(text)
    assert ticket is None or not ticket.genuine


def test_one_city_s_text_is_not_genuine_in_another() -> None:
    text = FORMS["plain"].write(1, 1)
    ticket = QrForm("b", "https://a.example/c/{serial}{stamp}{check}").read(text)
    assert ticket is not None
    assert not ticket.genuine


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (timedelta(0), True),
        (timedelta(minutes=59), True),
        (timedelta(hours=1), False),
        (timedelta(days=30), False),
        (timedelta(minutes=-1), False),
    ],
)
def test_a_text_with_a_life_is_good_for_that_long(age: timedelta, good: bool) -> None:
    form = QrForm("a", "A:{serial}{stamp}{check}", life=timedelta(hours=1))
    assert form.holds(form.stamp_at(NOW - age), NOW) is good


def test_a_text_without_a_life_is_good_for_its_generation() -> None:
    form = FORMS["plain"]
    assert form.holds(form.stamp_at(NOW, generation=2), NOW, generation=2)
    assert not form.holds(form.stamp_at(NOW, generation=1), NOW, generation=2)
