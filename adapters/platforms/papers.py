"""Identity documents other than the resident card, where a city's wire knows them.

Everybody of a population holds one of each kind besides. As with identity numbers,
number and place are functions of each other, and nobody real can hold one: permits
lie far above the number of people who could have been given one, the others bear
letters that no issuer uses. Kinds are numbered as
:class:`gateway.codes.documents.DocumentType` numbers them.

    >>> paper_number(20, 7)
    'SYN000000007'
    >>> paper_holder(20, 'SYN000000007')
    7
"""

from __future__ import annotations

from typing import Final

_FORMS: Final = {
    14: ("M99", 6),  # 港澳居民来往内地通行证: a hundred times as many as Macao has people
    15: ("99", 6),  # 台湾居民来往大陆通行证: four times as many as Taiwan has people
    16: ("TT", 10),  # 一次有效台湾居民来往大陆通行证
    20: ("SYN", 9),  # 护照: three letters and twelve characters, as no state writes
    34: ("ZZZ", 12),  # 外国人永久居留身份证: ZZZ is no country
    99: ("TEST", 9),
}
"""Beginning and digits of each kind; the shapes are those that a question may bear."""


def paper_number(kind: int, index: int) -> str:
    """The number of a person's document of this kind.

    Raises:
        KeyError: no such kind is made here.
        ValueError: the place has more digits than the kind.
    """
    begins, digits = _FORMS[kind]
    text = f"{index:0{digits}d}"
    if len(text) > digits:
        raise ValueError("no number left for this place")
    return begins + text


def paper_holder(kind: int, number: str) -> int | None:
    """The place of who holds a document of this kind; None: it is not of this form."""
    begins, digits = _FORMS.get(kind, ("", 0))
    rest = number.removeprefix(begins)
    if not digits or rest == number or len(rest) != digits:
        return None
    return int(rest) if rest.isascii() and rest.isdigit() else None
