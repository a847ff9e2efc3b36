from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document

# Synthetic: sequence numbers and dates made up, check characters computed.
BODY = "33010619900101001"
RESIDENT = "330106199001010018"

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def with_check(body: str) -> str:
    """GB 11643 by its published weights, independent of the code under test."""
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


def body_ending_in_x() -> str:
    return next(
        body
        for sequence in range(1000)
        if with_check(body := f"33010619900101{sequence:03}").endswith("X")
    )


def test_a_resident_identity_number_is_accepted() -> None:
    assert with_check(BODY) == RESIDENT
    document = parse_document(10, RESIDENT)
    assert document == Document(DocumentType.RESIDENT_IDENTITY_CARD, RESIDENT)


def test_a_lower_case_x_is_the_same_number() -> None:
    number = with_check(body_ending_in_x())
    assert parse_document(10, number.lower()) == parse_document(10, number)
    assert parse_document(10, number.lower()).number == number


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (RESIDENT[:-1] + "9", "check character"),
        (RESIDENT[:-1], "seventeen digits"),
        (RESIDENT + "0", "seventeen digits"),
        (" " + RESIDENT, "spaces"),
        (RESIDENT[:6] + " " + RESIDENT[6:], "spaces"),
        ("\t" + RESIDENT, "spaces"),
        ("X" + RESIDENT[1:], "seventeen digits"),
        ("３" + RESIDENT[1:], "letters and digits"),
        ("", "seventeen digits"),
        (with_check("33010619900230001"), "date of birth"),
        (with_check("33010619901301001"), "date of birth"),
        (with_check("33010600000101001"), "date of birth"),
        (with_check("99010619900101001"), "division is not known"),
        (with_check("33019919900101001"), "division is not known"),
        (with_check("33010319900101001"[:6] + "20220101001"), "division was gone"),
        ("1" * 33, "at most 32"),
    ],
)
def test_what_cannot_be_a_resident_number_is_refused_by_field(number: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        parse_document(10, number)
    assert caught.value.field == "number"
    assert caught.value.code == "DOCUMENT_INVALID"


def test_a_division_founded_after_birth_is_accepted() -> None:
    # 西湖区 has its code since 1983; people born before were registered there later.
    parse_document(10, with_check("33010619500101001"))


def test_a_division_abolished_after_birth_is_accepted() -> None:
    parse_document(10, with_check("33010319900101001"))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (14, "H12345678", "A12345678"),
        (14, "m1234567890", "M123456789"),
        (15, "12345678", "1234567"),
        (16, "T12345678", "ABC1234567"),
        (20, "E12345678", "E1234"[:4]),
        (20, "ej1234567", "ABCDEFGHI"),
        (34, "USA123456789012", "US1234567890123"),
        (34, "91199901010001234X"[:17] + "X", "81199901010001234X"),
        (99, "AB12", "AB1"),
        (99, "A" * 32, "A-1234"),
    ],
)
def test_other_types_have_shapes(kind: int, good: str, bad: str) -> None:
    assert parse_document(kind, good).number == good.upper()
    with pytest.raises(DocumentError) as caught:
        parse_document(kind, bad)
    assert caught.value.field == "number"


@pytest.mark.parametrize("kind", [0, 1, 11, -1, 100])
def test_an_unknown_type_is_refused(kind: int) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(kind, RESIDENT)
    assert caught.value.field == "type"


def test_a_document_never_shows_its_number() -> None:
    document = parse_document(10, RESIDENT)
    for text in (repr(document), str(document), f"{document}", repr([document])):
        assert RESIDENT not in text
        assert RESIDENT[6:14] not in text
    assert repr(document) == "Document(type=10, number=…)"


@given(
    st.dates(date(1930, 1, 1), date(2020, 12, 31)),
    st.integers(0, 999),
    st.sampled_from(["330106", "440106", "110105", "310104", "420106"]),
)
def test_every_rightly_made_number_is_accepted_and_no_changed_digit_is(
    born: date, sequence: int, division: str
) -> None:
    number = with_check(f"{division}{born:%Y%m%d}{sequence:03}")
    assert parse_document(10, number).number == number
    changed = str((int(number[16]) + 1) % 10)
    with pytest.raises(DocumentError):
        parse_document(10, number[:16] + changed + number[17])


@given(
    st.sampled_from([int(kind) for kind in DocumentType]),
    st.text(max_size=40) | st.from_regex(r"[0-9A-Za-z]{1,34}", fullmatch=True),
)
def test_any_text_is_a_document_of_the_schemas_form_or_refused_without_being_quoted(
    kind: int, text: str
) -> None:
    try:
        number = parse_document(kind, text).number
    except DocumentError as error:
        told = str(error)
    else:
        told = ""
        assert 4 <= len(number) <= 32
        assert number.isascii()
        assert number.isalnum()
        assert number == number.upper()
    assert len(text) < 4 or text.isalpha() or text.isspace() or text not in told
