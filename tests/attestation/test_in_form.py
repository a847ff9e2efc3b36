from __future__ import annotations

import pytest

from gateway.attestation.in_form import MAX_REMEMBERED, InForm
from gateway.attestation.regions import AUDIENCES, REGIONS


def even(number: int) -> None:
    if number % 2:
        raise ValueError("odd")


def test_what_is_in_form_is_remembered_and_what_is_not_never_is() -> None:
    numbers: InForm[int] = InForm(even)
    assert 2 not in numbers
    numbers.learn(2)
    assert 2 in numbers
    for _ in range(2):
        with pytest.raises(ValueError, match="odd"):
            numbers.learn(3)
    assert set(numbers) == {2}


def test_a_stranger_who_names_many_makes_it_forget_and_grows_nothing() -> None:
    numbers: InForm[int] = InForm(even)
    for number in range(0, 4 * MAX_REMEMBERED, 2):
        numbers.learn(number)
        assert number in numbers
        assert len(numbers) <= MAX_REMEMBERED


@pytest.mark.parametrize(
    ("urn", "is_region", "is_audience"),
    [
        ("urn:hutong:region:440100", True, True),
        ("urn:hutong:region:440000", True, True),
        ("urn:hutong:region:4401", False, True),
        ("urn:hutong:region:44", False, True),
        ("urn:hutong:region:00", False, False),
        ("urn:hutong:region:000000", False, False),
        ("urn:hutong:region:440", False, False),
        ("urn:hutong:region:440100\n", False, False),
        ("urn:hutong:hub:440100", False, False),
    ],
)
def test_a_region_is_six_digits_and_an_audience_may_be_a_prefix(
    urn: str, is_region: bool, is_audience: bool
) -> None:
    for known, is_in_form in ((REGIONS, is_region), (AUDIENCES, is_audience)):
        if is_in_form:
            known.learn(urn)
        else:
            with pytest.raises(ValueError, match="not the URN"):
                known.learn(urn)
        assert (urn in known) is is_in_form
