"""Calendar days of Asia/Shanghai, as numbers, in Python and in SQL alike.

Day 0 is 1970-01-01 and a day begins at 00:00 in Shanghai, which is 16:00 UTC. Since
September 1991 the zone has had no summer time and stands at UTC+8, so the number of
a day is a division; the database needs no zone table. Earlier moments are refused
where facts come in: no rule here reaches back so far.

Times inside the issuer's tables are whole seconds since 1970 in UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

ZONE: Final = "Asia/Shanghai"
"""The zone whose days are counted."""

OFFSET_SECONDS: Final = 8 * 3600
"""UTC+8."""

DAY_SECONDS: Final = 86400

EARLIEST: Final = datetime(1992, 1, 1, tzinfo=UTC)
"""From here on the zone stands at UTC+8."""

_EPOCH: Final = date(1970, 1, 1)


def to_seconds(moment: datetime) -> int:
    """Whole seconds since 1970.

    Raises:
        ValueError: the time bears no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("every time needs a zone")
    return int(moment.timestamp())


def from_seconds(seconds: int) -> datetime:
    """The moment, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def day_of(seconds: int) -> int:
    """The number of the Shanghai day in which a moment lies."""
    return (seconds + OFFSET_SECONDS) // DAY_SECONDS


def day_begins(day: int) -> int:
    """The first second of a day."""
    return day * DAY_SECONDS - OFFSET_SECONDS


def day_date(day: int) -> date:
    """The calendar date of a day's number."""
    return _EPOCH + timedelta(days=day)


def sql_day_begins(day: ColumnElement[int]) -> ColumnElement[int]:
    """``day_begins`` in SQL."""
    seconds = sa.literal_column(str(DAY_SECONDS), sa.BigInteger)
    return day * seconds - sa.literal_column(str(OFFSET_SECONDS), sa.BigInteger)


def sql_day(seconds: ColumnElement[int]) -> ColumnElement[int]:
    """``day_of`` in SQL; whole-number division on both databases."""
    # Written into the statement, so that indexes and plans know them.
    offset = sa.literal_column(str(OFFSET_SECONDS), sa.BigInteger)
    return (seconds + offset) // sa.literal_column(str(DAY_SECONDS), sa.BigInteger)
