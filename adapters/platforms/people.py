"""Synthetic people: who lives in a reference city.

Nobody here exists, and nobody could. A resident identity number is built from a
county of the city, a birth date and an order number, and carries a true GB 11643
check character, so that every reader along the way treats it as real. The birth
dates lie between 2100-01-01 and 2127-05-18: nobody holds a card with such a
date. Names are 测试 ("test") followed by heavenly stems as digits; telephone
numbers begin with ``100``, which no mobile subscriber has.

People are not stored. Identity number and index are functions of each other, and
what else is known of a person is drawn from (seed, index), so a population of a
million costs nothing until somebody asks.

    >>> population = Population(("330106",), size=10_000, seed=1)
    >>> population.find(population.person(7).number) == population.person(7)
    True
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from stdnum.cn import ric

DEFAULT_SIZE: Final = 20_000
"""People in a reference city unless told; the project asks for 10 000 at least."""

DEFAULT_SEED: Final = 20200211
"""The day on which the first city code began; any number would do."""

FIRST_BIRTH_DATE: Final = date(2100, 1, 1)
"""No card of a living person bears a birth date from here on."""

BIRTH_DATES: Final = 10_000
"""Consecutive birth dates in use, a little over 27 years."""

_STEMS: Final = "甲乙丙丁戊己庚辛壬癸"
_NUMBER_LENGTH: Final = 18
_MAX_ORDER: Final = 999  # three digits in the identity number, from 001


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic inhabitant.

    Attributes:
        index: place in the population, from 0.
        number: resident identity number with a true check character.
        name: 测试 and stems.
        phone: eleven digits from a range without subscribers.
        county: six-digit division in which the number was issued.
    """

    index: int
    number: str = field(repr=False)
    name: str
    phone: str = field(repr=False)
    county: str


class Population:
    """The people of one city, as functions of a seed.

    Args:
        counties: six-digit divisions of the city in force today.
        size: number of people.
        seed: decides everything about them but their identities.

    Raises:
        ValueError: the size does not fit into the identity numbers.
    """

    def __init__(
        self, counties: tuple[str, ...], *, size: int = DEFAULT_SIZE, seed: int = DEFAULT_SEED
    ) -> None:
        limit = _limit(counties)
        if not 1 <= size <= limit:
            raise ValueError(f"a population has 1 to {limit} people")
        self._counties = counties
        self._seed = seed.to_bytes(8, "big", signed=True)
        self.size = size
        self.seed = seed

    def person(self, index: int) -> Person:
        """The person at a place of the population.

        Raises:
            IndexError: there is no such place.
        """
        if not 0 <= index < self.size:
            raise IndexError(index)
        rest, county = divmod(index, len(self._counties))
        order, day = divmod(rest, BIRTH_DATES)
        born = FIRST_BIRTH_DATE + timedelta(days=day)
        stem = f"{self._counties[county]}{born:%Y%m%d}{order + 1:03d}"
        return Person(
            index=index,
            number=stem + ric.calc_check_digit(stem + "0"),
            name="测试" + "".join(_STEMS[int(digit)] for digit in f"{index:05d}"),
            phone=f"100{index:08d}",
            county=self._counties[county],
        )

    def find(self, number: str) -> Person | None:
        """The person with this identity number, or None; never raises."""
        if len(number) != _NUMBER_LENGTH or not (number[:17].isascii() and number[:17].isdigit()):
            return None
        try:
            county = self._counties.index(number[:6])
            born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        except ValueError:
            return None
        day = (born - FIRST_BIRTH_DATE).days
        order = int(number[14:17]) - 1
        if not 0 <= day < BIRTH_DATES or order < 0:
            return None
        index = (order * BIRTH_DATES + day) * len(self._counties) + county
        if index >= self.size:
            return None
        person = self.person(index)
        return person if person.number == number else None

    def draw(self, index: int, what: str) -> float:
        """A number in [0, 1) that belongs to this person, this trait and this seed."""
        return int.from_bytes(self.mark(f"{index}/{what}", 7), "big") / (1 << 56)

    def mark(self, text: str, size_bytes: int) -> bytes:
        """Bytes that only this population gives to this text.

        The seed is no secret: what comes of this is a stage prop.
        """
        return hashlib.blake2b(text.encode(), digest_size=size_bytes, key=self._seed).digest()


def stranger(counties: tuple[str, ...]) -> Person:
    """The last person that identity numbers leave room for; no platform is that large."""
    everybody = Population(counties, size=_limit(counties))
    return everybody.person(everybody.size - 1)


def _limit(counties: tuple[str, ...]) -> int:
    return len(counties) * BIRTH_DATES * _MAX_ORDER
