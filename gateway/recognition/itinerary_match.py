"""What a rule asks of an itinerary that was shown beside a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.recognition.prefixes import in_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.codes.itinerary import Itinerary


@dataclass(frozen=True, slots=True)
class ItineraryMatch:
    """What an itinerary shown beside a code must be like. None: no condition.

    An itinerary is evidence beside a level and never in place of one: these
    conditions stand only in rules about verified reports.

    Attributes:
        shown: whether a current one was shown at all. False stands alone.
        starred: whether one of its places is marked.
        visited: prefixes; one of its places lies in one of them.
    """

    shown: bool | None = None
    starred: bool | None = None
    visited: frozenset[str] | None = None

    def holds(self, itinerary: Itinerary | None) -> bool:
        """Whether an itinerary, or its absence, is like this."""
        if itinerary is None:
            return self.shown is False
        return (
            self.shown is not False
            and (
                self.starred is None
                or any(place.starred for place in itinerary.places) == self.starred
            )
            and (
                self.visited is None
                or any(in_prefixes(place.division, self.visited) for place in itinerary.places)
            )
        )

    def to_document(self) -> dict[str, Any]:
        """The conditions as they stand under ``when.itinerary``."""
        document: dict[str, Any] = {}
        if self.shown is not None:
            document["shown"] = self.shown
        if self.starred is not None:
            document["starred"] = self.starred
        if self.visited is not None:
            document["visited"] = sorted(self.visited)
        return document

    def faults(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """What makes the conditions empty or void: path, what is wrong, how to mend it."""
        place = ("when", "itinerary")
        if self == ItineraryMatch():
            yield place, "no condition, which is none at all", "name shown, starred or visited"
        elif self.shown is False and self != ItineraryMatch(shown=False):
            yield place, "a condition on what was not shown", "keep `shown: false` alone"
        if self.visited is not None and not self.visited:
            yield (*place, "visited"), "an empty list, which never matches", "name a value"
