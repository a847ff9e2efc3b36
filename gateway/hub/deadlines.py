"""Deadlines of many items, kept in slots instead of timers.

A run of items costs one step when it comes and nothing when it is answered; a sweep
a few times a second names what is due. Pure: times are numbers that the owner's
clock gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

SLOT_SECONDS: Final = 0.05
"""A deadline is noticed at most this late: a twentieth of the shortest time that
a person at a gate would call a wait."""

_SLACK: Final = 4096
"""Answered items that may linger before the slots are swept clean of them."""


class DeadlineWheel:
    """Which ids are due when."""

    def __init__(self) -> None:
        self._slots: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """Ids held, answered ones included that were not swept yet."""
        return sum(map(len, self._slots.values()))

    def slot(self, deadline: float) -> list[int]:
        """Return the list to append the ids to that are due at a time.

        Args:
            deadline: in seconds of the owner's clock. The list is good for
                appending until the owner next calls another method.
        """
        number = int(deadline / SLOT_SECONDS) + 1
        ids = self._slots.get(number)
        if ids is None:
            ids = self._slots[number] = []
        return ids

    def due(self, now: float) -> list[int]:
        """Take out every id whose deadline has passed; none is named early."""
        current = int(now / SLOT_SECONDS)
        found: list[int] = []
        for number in sorted(number for number in self._slots if number <= current):
            found += self._slots.pop(number)
        return found

    def compact(self, alive: Container[int], alive_count: int) -> None:
        """Forget answered ids when they have come to outnumber the others.

        Without it, items with long deadlines that are answered at once would
        pile up until those deadlines pass.
        """
        if len(self) <= 2 * alive_count + _SLACK:
            return
        self._slots = {
            number: kept
            for number, ids in self._slots.items()
            if (kept := [item for item in ids if item in alive])
        }

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
