"""Where somebody stayed, as a system that knows places and no health tells it.

Evidence, never a level: a star on the travel card says that an area of risk lies
somewhere in that city, not that its holder was there. The field names are those of
``hutong.v1.Itinerary``.

Invariants, checked on construction: the window has 1 to 31 days, ``as_of`` is a whole
second in UTC, and at most 64 places stand there, each once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from gateway.errors import CallerError

if TYPE_CHECKING:
    from datetime import datetime

MAX_WINDOW_DAYS: Final = 31
"""As ``Itinerary.window_days``."""
MAX_PLACES: Final = 64
"""As ``Itinerary.places``."""

_DIVISION: Final = re.compile(r"[0-9]{6}", re.ASCII)


class ItineraryError(CallerError):
    """An itinerary breaks one of its invariants."""

    default_code = "ITINERARY_INVALID"


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """One place of an itinerary; its ``repr`` shows nothing.

    Attributes:
        division: six digits; of a city where the system names cities.
        starred: whether the system marks the place as holding an area of medium or
            high risk somewhere.
    """

    division: str
    starred: bool = False

    def __post_init__(self) -> None:
        if not _DIVISION.fullmatch(self.division):
            raise ItineraryError("division: six digits")


@dataclass(frozen=True, slots=True, repr=False)
class Itinerary:
    """The places of a window of days; its ``repr`` shows none of them.

    Attributes:
        window_days: days the window reaches back, ending with the day of ``as_of``.
        as_of: end of the newest day that is counted, exclusive, UTC.
        places: each once, in the order of the source.
    """

    window_days: int
    as_of: datetime
    places: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.window_days <= MAX_WINDOW_DAYS:
            raise ItineraryError(f"window_days: 1 to {MAX_WINDOW_DAYS}")
        if self.as_of.tzinfo is None or (self.as_of.tzinfo is not UTC and self.as_of.utcoffset()):
            raise ItineraryError("as_of: in UTC")
        if self.as_of.microsecond or self.as_of.year < 1970:  # noqa: PLR2004 - the epoch
            raise ItineraryError("as_of: a whole second from 1970 on")
        if len(self.places) > MAX_PLACES:
            raise ItineraryError(f"places: at most {MAX_PLACES}")
        if len({place.division for place in self.places}) != len(self.places):
            raise ItineraryError("places: one stands twice")

    def __repr__(self) -> str:
        """Without the places."""
        return f"Itinerary(window_days={self.window_days}, …)"
