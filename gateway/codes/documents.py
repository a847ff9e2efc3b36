"""Identity documents as travellers present them.

Types are numbered as the deployed systems number them. The resident identity
card follows GB 11643: division, date of birth, sequence, check character (ISO
7064 MOD 11-2), computed by python-stdnum. For the other types no public rule
was available to us beyond what the documents look like; their shapes are our
choice, wide enough to refuse only what cannot be such a number.

A number is a personal value: it stands in no message and no ``repr``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Final

from stdnum.cn import ric

from gateway.codes.divisions import DivisionError, division_history
from gateway.errors import CallerError


class DocumentType(IntEnum):
    """Types of identity document."""

    RESIDENT_IDENTITY_CARD = 10
    HK_MACAO_PERMIT = 14
    TAIWAN_PERMIT = 15
    TAIWAN_ONE_TIME_PERMIT = 16
    PASSPORT = 20
    FOREIGN_PERMANENT_RESIDENT = 34
    OTHER = 99


class DocumentError(CallerError):
    """A document cannot be one of its type.

    Attributes:
        field: ``type`` or ``number``.
    """

    default_code = "DOCUMENT_INVALID"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A document that :func:`parse_document` accepted.

    Attributes:
        type: which document.
        number: upper case, without spaces; a personal value.
    """

    type: DocumentType
    number: str

    def __repr__(self) -> str:
        """Without the number."""
        return f"Document(type={int(self.type)}, number=…)"


MAX_NUMBER_CHARACTERS: Final = 32
"""Longest number the schema carries (``hutong.v1.Document.number``)."""

_RESIDENT = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)

# Our choice, from what the documents look like.
_SHAPES: Final[dict[DocumentType, tuple[re.Pattern[str], str]]] = {
    DocumentType.HK_MACAO_PERMIT: (
        # Card since 2013: letter and eight digits; booklet before: letter and ten.
        re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?", re.ASCII),
        "expected H or M and eight or ten digits",
    ),
    DocumentType.TAIWAN_PERMIT: (
        # Card: eight digits; booklet: ten, or eight with a bracketed letter (left out).
        re.compile(r"[0-9]{8}(?:[0-9]{2})?", re.ASCII),
        "expected eight or ten digits",
    ),
    DocumentType.TAIWAN_ONE_TIME_PERMIT: (
        re.compile(r"[A-Z]{0,2}[0-9]{7,10}", re.ASCII),
        "expected at most two letters and seven to ten digits",
    ),
    DocumentType.PASSPORT: (
        # ICAO 9303 gives nine characters and lets longer numbers overflow.
        re.compile(r"(?=[A-Z]*[0-9])[0-9A-Z]{5,15}", re.ASCII),
        "expected five to fifteen letters and digits",
    ),
    DocumentType.FOREIGN_PERMANENT_RESIDENT: (
        # Card of 2017 and before: country, then twelve digits; card of 2023: as a
        # resident identity number beginning with 9.
        re.compile(r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]", re.ASCII),
        "expected three letters and twelve digits, or eighteen characters beginning with 9",
    ),
    DocumentType.OTHER: (
        re.compile(r"[0-9A-Z]{4,32}", re.ASCII),
        "expected four to thirty-two letters and digits",
    ),
}


def parse_document(document_type: int, text: str) -> Document:
    """Read a document as presented; ASCII letters may be lower case.

    For a resident identity card the division must be one that the table knows
    and that still existed in the year of birth or later (a code is given at
    registration, which may be decades after birth), the date of birth must be a
    date, and the check character must match. Whether the date lies in the
    future is not asked: there is no clock here.

    Raises:
        DocumentError: the type is unknown or the number cannot be of that type.
            The message never contains the number.
    """
    try:
        kind = DocumentType(document_type)
    except ValueError:
        raise DocumentError("type", "unknown document type") from None
    if len(text) > MAX_NUMBER_CHARACTERS or not text.isascii():
        raise DocumentError("number", "at most 32 letters and digits")
    if any(character.isspace() for character in text):
        raise DocumentError("number", "remove the spaces")
    number = text.upper()
    if kind is DocumentType.RESIDENT_IDENTITY_CARD:
        _check_resident(number)
    else:
        shape, expected = _SHAPES[kind]
        if not shape.fullmatch(number):
            raise DocumentError("number", expected)
    return Document(kind, number)


def _check_resident(number: str) -> None:
    if not _RESIDENT.fullmatch(number):
        raise DocumentError("number", "expected seventeen digits and a digit or X")
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise DocumentError("number", "the date of birth is not a date") from None
    if number[-1] != ric.calc_check_digit(number):
        raise DocumentError("number", "the check character does not match")
    try:
        names = division_history(number[:6])
    except DivisionError:
        raise DocumentError("number", "the division is not known") from None
    if all(name.last_year is not None and name.last_year < born.year for name in names):
        raise DocumentError("number", "the division was gone before the date of birth")
