"""Administrative divisions: GB/T 2260 codes, their names, and when they existed.

A code has six digits: two for the province, two for the city, two for the
county. Trailing ``00`` pairs say that the level below is not named, so a
*prefix* of two, four or six digits contains everything that begins with it:
``33`` contains ``330100``.

Source: the table ``cn/loc`` packaged with python-stdnum, taken by that project
from the Chinese Wikipedia's articles on division codes, which follow the yearly
publications of the Ministry of Civil Affairs. What it is and is not:

* 6 919 rows to county level, from about 1980 to 2025, retired codes included;
  provinces themselves bear no dates except Hainan, Hong Kong and Macao.
* Its dates are years. In the year of a change the old and the new code are
  both in force here; where one code changed its name, the new name is given.
* An open beginning means "from before the table starts".
* Taiwan, Hong Kong and Macao have one row each and nothing below.
* It lacks rows that exist: the two districts founded in Hangzhou in 2021 are
  added below. Others may lack; a code not in the table is unknown to us,
  which is not proof that it does not exist.
* Fourteen spans end before they begin, all of them ``[1983-1982]``; they are read
  as that one later year.

Beside it stand three **reserved national divisions**. GB/T 2260 assigns nothing
under ``10``, and systems that belong to no province need a region to be asked at:
``100000`` the national issuer, ``100001`` the national code as deployed gates read
it, ``100002`` the telecommunications travel card. That these numbers stand for them
is a choice of this project and of no standard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from stdnum import numdb

from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_T = TypeVar("_T")

_DIGITS = re.compile(r"[0-9]{2}(?:[0-9]{2}){0,2}", re.ASCII)
_SPAN = re.compile(r"\[([0-9]*)-([0-9]*)\](.+)", re.ASCII)
_REGION_URN: Final = "urn:hutong:region:"

# Founded in April 2021, when Hangzhou's districts were redrawn, and missing from the
# table, although it dates the districts abolished then.
_ADDED: Final[dict[str, str]] = {"330113": "[2021-]临平区", "330114": "[2021-]钱塘区"}

# The reserved national divisions. Names stand after that of 100000, as a county's after
# its city's: 全国, 全国健康信息码, 全国行程卡.
_NATIONAL: Final[dict[str, str]] = {
    "100000": "全国",
    "100001": "健康信息码",
    "100002": "行程卡",
}

# Rows that group counties and are no place that people name: left out of full
# names when a county follows.
_GROUPING: Final = frozenset(
    {
        "市辖区",
        "县",
        "林区",
        "省直辖行政单位",
        "省直辖县级行政单位",
        "自治区直辖县级行政单位",
    }
)


class DivisionError(CallerError):
    """A division code is malformed, unknown, or not in force on a date."""

    default_code = "DIVISION_INVALID"


@dataclass(frozen=True, slots=True)
class DivisionName:
    """A name that a code bore, with the years in which it did.

    Attributes:
        name: of this level alone, for example ``西湖区``.
        first_year: None: from before the table starts.
        last_year: inclusive; None: still in force when the table was made.
    """

    name: str
    first_year: int | None
    last_year: int | None

    def in_force(self, year: int) -> bool:
        """Whether the code bore this name at some time in the year."""
        return (self.first_year is None or self.first_year <= year) and (
            self.last_year is None or year <= self.last_year
        )


def parse_division(text: str) -> str:
    """A code of two, four or six digits as its six digits, ``33`` as ``330000``.

    Retired codes are accepted: documents and old records bear them.

    Raises:
        DivisionError: ``DIVISION_INVALID`` for another shape, ``DIVISION_UNKNOWN``
            for a code that the table never had.
    """
    if not _DIGITS.fullmatch(text):
        raise DivisionError("a division code has two, four or six digits")
    code = text.ljust(6, "0")
    if code not in _table():
        raise DivisionError("no such division", code="DIVISION_UNKNOWN")
    return code


def division_prefix(code: str) -> str:
    """The shortest prefix that stands for a code: ``330000`` gives ``33``.

    Raises:
        DivisionError: not two, four or six digits, or all zero.
    """
    if not _DIGITS.fullmatch(code):
        raise DivisionError("a division code has two, four or six digits")
    while code.endswith("00"):
        code = code[:-2]
    if not code:
        raise DivisionError("no prefix stands for the whole country")
    return code


def contains(prefix: str, code: str) -> bool:
    """Whether a division, as prefix or as code, contains another or is it.

    Raises:
        DivisionError: ``prefix`` is malformed.
    """
    return code.startswith(division_prefix(prefix))


def longest_prefix(code: str, prefixes: Mapping[str, _T]) -> _T | None:
    """The value under the longest prefix that contains a six-digit code.

    On the hub's hot path: at most three look-ups and no checks. The keys are
    prefixes as :func:`division_prefix` gives them.
    """
    found = prefixes.get(code)
    if found is None:
        found = prefixes.get(code[:4])
        if found is None:
            found = prefixes.get(code[:2])
    return found


def is_national(code: str) -> bool:
    """Whether a six-digit code is one of the reserved national divisions."""
    return code in _NATIONAL


def division_codes() -> tuple[str, ...]:
    """Every six-digit code that the table ever had, in order; no reserved one."""
    return tuple(sorted(_table().keys() - _NATIONAL.keys()))


def division_history(code: str) -> tuple[DivisionName, ...]:
    """Every name a code bore, oldest first.

    Raises:
        DivisionError: malformed or unknown.
    """
    return _table()[parse_division(code)]


def division_in_force(code: str, on: date) -> bool:
    """Whether a code existed on a date, as far as a table of years can say.

    Raises:
        DivisionError: malformed or unknown.
    """
    return any(span.in_force(on.year) for span in division_history(code))


def division_name(code: str, on: date | None = None) -> str:
    """The full Chinese name, as in ``浙江省杭州市西湖区``.

    Args:
        code: two, four or six digits.
        on: the date whose name is wanted; None: the newest name, in force or not.

    Raises:
        DivisionError: malformed, unknown, or (``DIVISION_NOT_IN_FORCE``) without
            a name on that date.
    """
    code = parse_division(code)
    year = None if on is None else on.year
    own = _name(code, year)
    if own is None:
        raise DivisionError("not in force on that date", code="DIVISION_NOT_IN_FORCE")
    names = []
    for parent in dict.fromkeys((code[:2] + "0000", code[:4] + "00")):
        if parent == code:
            break
        # The table dates some parents differently from their children; a parent
        # without a name in that year gives its newest.
        name = _name(parent, year) or _name(parent, None) or ""
        if name not in _GROUPING:
            names.append(name)
    return "".join((*names, own))


def region_urn(code: str) -> str:
    """The URN of a region: ``urn:hutong:region:330100``.

    Raises:
        DivisionError: malformed or unknown.
    """
    return _REGION_URN + parse_division(code)


def parse_region_urn(urn: str) -> str:
    """The six-digit code in a region's URN.

    Raises:
        DivisionError: another kind of URN, not six digits, or unknown.
    """
    code = urn.removeprefix(_REGION_URN)
    if code == urn or len(code) != 6:  # noqa: PLR2004 - digits of a division
        raise DivisionError("a region URN is urn:hutong:region: and six digits")
    return parse_division(code)


def _name(code: str, year: int | None) -> str | None:
    """The newest name of a known code, in a year or ever."""
    for span in reversed(_table()[code]):
        if year is None or span.in_force(year):
            return span.name
    return None


@cache
def _table() -> Mapping[str, tuple[DivisionName, ...]]:
    """Six-digit code to names, oldest first; read once, on first use."""
    table: dict[str, tuple[DivisionName, ...]] = {}
    for _, province, _, _, children in numdb.get("cn/loc").prefixes:
        for _, rest, _, properties, _ in children:
            table[province + rest] = _spans(properties["county"])
    for code, text in (_ADDED | _NATIONAL).items():
        table.setdefault(code, _spans(text))
    return table


def _spans(text: str) -> tuple[DivisionName, ...]:
    """The table's notation ``[1983-1986]郊区,[1987-]白云区``."""
    spans = []
    for part in text.split(","):
        dated = _SPAN.fullmatch(part)
        if dated is None:
            spans.append(DivisionName(part, None, None))
            continue
        first, last, name = dated.groups()
        first_year = int(first) if first else None
        last_year = int(last) if last else None
        if first_year is not None and last_year is not None:
            last_year = max(first_year, last_year)
        spans.append(DivisionName(name, first_year, last_year))
    return tuple(spans)
