"""A synthetic population in an issuer's database: ``issuer.py`` beside it.

Nobody in it exists. Rows are drawn from their number, so they are written as they are
made and nothing is kept: COPY on PostgreSQL, ``executemany`` on SQLite. Identities are
random bytes of the length of a sealed one; the assessment never opens them.

What people are like is a choice, on the heavy side of what was seen in 2020: one in a
hundred is a reported contact, one in thirty travelled, one in a hundred declared
something notable, some sixty counties are areas of risk (with whoever lives there), and
whoever has any of these checked in daily, with a day missed here and there.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy.engine import make_url

from gateway.codes.divisions import division_codes
from gateway.issuer.days import DAY_SECONDS, day_of
from gateway.issuer.store import IssuerStore, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

COUNTIES: Final = tuple(int(code) for code in division_codes() if not code.endswith("00"))
RISKY: Final = {county: 2 + place % 4 // 3 for place, county in enumerate(COUNTIES[::100])}
"""Every hundredth county is an area of risk, one in four of these of high risk."""

CLIENT: Final = "load"
_BATCH: Final = 20_000
_CHECK_INS: Final = 12


class Population:
    """People 1 to ``size``, drawn from their numbers.

    Args:
        size: how many.
        now: the moment as of which their facts are recent, in seconds.
    """

    def __init__(self, size: int, now: int) -> None:
        self.size = size
        self._now = now

    def _draw(self, person: int, what: str) -> int:
        text = f"{what}{person}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")

    def home(self, person: int) -> int:
        """Where somebody lives."""
        return COUNTIES[self._draw(person, "home") % len(COUNTIES)]

    def is_contact(self, person: int) -> bool:
        """Whether somebody was reported."""
        return self._draw(person, "contact") % 100 == 0

    def is_traveller(self, person: int) -> bool:
        """Whether somebody told an itinerary."""
        return self._draw(person, "travel") % 30 == 0

    def is_notable(self, person: int) -> bool:
        """Whether somebody declared something."""
        return self._draw(person, "notable") % 100 == 0

    def checks_in(self, person: int) -> bool:
        """Whether somebody has a reason to check in daily."""
        return (
            self.is_contact(person)
            or self.is_notable(person)
            or self.is_traveller(person)
            or self.home(person) in RISKY
        )

    def people(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``people``."""
        for person in range(1, self.size + 1):
            lookup = hashlib.blake2b(str(person).encode(), digest_size=32).digest()
            sealed = os.urandom(120)
            yield (person, lookup, sealed, lookup, self.home(person), self._begin(), CLIENT)

    def stays(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``stays``: residences, and journeys of a day or three."""
        number = 0
        for person in range(1, self.size + 1):
            number += 1
            begin = self._begin()
            yield (number, person, 2, self.home(person), begin, None, begin, CLIENT)
            if not self.is_traveller(person):
                continue
            for journey in range(1 + self._draw(person, "journeys") % 3):
                number += 1
                draw = self._draw(person, f"journey{journey}")
                entered = self._now - (4 + draw % 9) * DAY_SECONDS
                left = entered + (1 + draw % 3) * DAY_SECONDS
                county = COUNTIES[draw % len(COUNTIES)]
                yield (number, person, 1, county, entered, left, left, CLIENT)

    def contacts(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``contacts``."""
        number = 0
        for person in range(1, self.size + 1):
            if not self.is_contact(person):
                continue
            number += 1
            draw = self._draw(person, "kind")
            at = self._now - (1 + draw % 12) * DAY_SECONDS
            lookup = hashlib.blake2b(str(person).encode(), digest_size=32).digest()
            kind = 1 if draw % 20 == 0 else 2 + draw % 2
            reference = f"case-{number}"
            yield (
                *(number, person, lookup, kind, at, self.home(person)),
                *(reference, at + DAY_SECONDS, at + DAY_SECONDS, CLIENT),
            )

    def declarations(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``declarations``: one each, and a check-in a day where there is reason."""
        number = 0
        for person in range(1, self.size + 1):
            number += 1
            notable = int(self.is_notable(person))
            symptoms = notable * (1 << self._draw(person, "symptom") % 6)
            yield (number, person, 365, symptoms, 2, 2, 2, notable, self._begin(), CLIENT)
            if not self.checks_in(person):
                continue
            missed = self._draw(person, "missed") % (4 * _CHECK_INS)
            for day in range(_CHECK_INS):
                if day != missed:
                    number += 1
                    at = self._now - day * DAY_SECONDS
                    yield (number, person, 364, 0, 2, 2, 2, 0, at, CLIENT)

    def codes(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``codes``, all green, before the first run."""
        begin = self._begin()
        until = self._now + 14 * DAY_SECONDS
        for person in range(1, self.size + 1):
            yield (person, begin, begin, self._now, until, 0, 1, 199, 0)

    def _begin(self) -> int:
        return self._now - (_CHECK_INS + 1) * DAY_SECONDS


def spells(now: int) -> Iterator[tuple[Any, ...]]:
    """Rows of ``area_spells``: the areas have been risky for a while."""
    begin = now - 20 * DAY_SECONDS
    for county, risk in RISKY.items():
        for least in range(2, risk + 1):
            yield (county, least, begin, None)


_COLUMNS: Final[dict[str, tuple[sa.Table, Sequence[str]]]] = {
    "people": (
        schema.people,
        ("id", "lookup", "sealed", "digest", "home", "recorded_at", "client"),
    ),
    "stays": (
        schema.stays,
        (
            *("id", "person_id", "kind", "division", "entered_at", "left_at"),
            *("recorded_at", "client"),
        ),
    ),
    "contacts": (
        schema.contacts,
        (
            *("id", "person_id", "lookup", "kind", "at", "division"),
            *("reference", "known_at", "recorded_at", "client"),
        ),
    ),
    "declarations": (
        schema.declarations,
        (
            *("id", "person_id", "temperature", "symptoms", "contact", "risk_area"),
            *("overseas", "notable", "recorded_at", "client"),
        ),
    ),
    "codes": (
        schema.codes,
        (
            *("person_id", "since", "assessed_at", "declared_at", "declaration_until"),
            *("area", "level", "rule", "remaining"),
        ),
    ),
}


async def fill(dsn: str, size: int, now: int) -> None:
    """Make the schema and write the population."""
    population = Population(size, now)
    makers: dict[str, Callable[[], Iterator[tuple[Any, ...]]]] = {
        "people": population.people,
        "stays": population.stays,
        "contacts": population.contacts,
        "declarations": population.declarations,
        "codes": population.codes,
    }
    async with await IssuerStore.open(dsn) as store:
        is_postgres = store.is_postgres
        if not is_postgres:
            for name, maker in makers.items():
                table, columns = _COLUMNS[name]
                await _insert(store, table, columns, maker())
            await _insert(store, schema.area_spells, _SPELL, spells(now))
            return
    url = make_url(dsn).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        for name, maker in makers.items():
            table, columns = _COLUMNS[name]
            await connection.copy_records_to_table(table.name, records=maker(), columns=columns)
            if "id" in columns:
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'),"  # noqa: S608  names of ours
                    f" (SELECT coalesce(max(id), 1) FROM {name}))"
                )
        await connection.copy_records_to_table("area_spells", records=spells(now), columns=_SPELL)
        # What autovacuum would do soon enough; it may be off.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


_SPELL: Final = ("division", "risk", "from_at", "until_at")


async def _insert(
    store: IssuerStore, table: sa.Table, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]
) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(dict(zip(columns, row, strict=True)))
        if len(batch) == _BATCH:
            await _write(store, table, batch)
            batch = []
    if batch:
        await _write(store, table, batch)


async def _write(store: IssuerStore, table: sa.Table, batch: list[dict[str, Any]]) -> None:
    async with store.write() as connection:
        await connection.execute(table.insert(), batch)


def days_ago(now: int, days: int) -> int:
    """The number of a day before a moment."""
    return day_of(now) - days
