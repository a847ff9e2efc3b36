"""Travellers who arrived in Beijing: what was found about them, and Beijing's rule.

A finding stands beside Beijing's own record and never over it: arrivals are kept here,
append-only, and what a person shows is made from both whenever somebody asks. The rule,
as deployed (K1 and K2 of the scheme):

* words that Beijing itself restricts or doubts by stay, whatever was found elsewhere;
* where Beijing found nothing (未见异常) or holds nothing (尚未掌握, or nobody of that
  number), every region the person came from must have found nothing either, today:
  then it is 未见异常, otherwise 系统暂不能确认. A red elsewhere makes nobody red here;
  Beijing's own doctors and communities decide that.

An arrival counts for 14 days. A finding holds until 24:00 of the day it was asked for,
as everything Beijing says, and no longer than its origin says; after that it must be
asked for anew. A negative test found elsewhere is kept and shown, and does not clear
pop-up 4: the laboratory must have uploaded it to a platform that Beijing reads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from adapters.platforms.beijing.shared import SharedSourceError
from adapters.platforms.beijing.table import CANNOT_CONFIRM, CLEAR, NOT_HELD
from adapters.platforms.times import SHANGHAI
from gateway.codes.divisions import division_prefix
from gateway.codes.levels import Level

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from adapters.platforms.beijing.shared import Finding, SharedSource
    from gateway.codes.documents import Document

WINDOW: Final = timedelta(days=14)
"""An arrival counts as long as "travel into Beijing in the past 14 days" does (K1)."""

ASK_SECONDS: Final = 3.0
"""Longest that the platform waits for one region; as long as an adapter waits for it."""

NATIONAL: Final = "100000"
"""The national code, which answers for regions without a code of their own."""

_LEEWAY: Final = timedelta(seconds=60)
"""The clock skew that attestations allow (docs/spec, HT-ATT-6)."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One question to one region about one traveller.

    Attributes:
        document: the traveller's.
        origin: six-digit division that was asked about.
        arrived_at: when the traveller was handed in as coming from there, UTC.
        asked_at: when the region was asked, UTC; later, where it was asked anew.
        finding: what came; None: nothing sound has come.
    """

    document: Document
    origin: str
    arrived_at: datetime
    asked_at: datetime
    finding: Finding | None = field(default=None, repr=False)

    def counts(self, now: datetime) -> bool:
        """Whether the arrival is recent enough to matter."""
        return now - self.arrived_at < WINDOW

    def is_clear(self, now: datetime) -> bool:
        """Whether the region found nothing, soundly, and that still holds."""
        found = self.finding
        return (
            found is not None
            and found.level is Level.GREEN
            and _answers_for(found.origin, self.origin)
            and found.assessed_at is not None
            and found.assessed_at <= self.asked_at + _LEEWAY
            and (found.valid_until is None or now < found.valid_until)
            and _day(self.asked_at) == _day(now)
        )


def shown_state(own: str | None, arrivals: Iterable[Arrival], now: datetime) -> str:
    """The words that a person shows.

    Args:
        own: the words of Beijing's own record; None: it holds none.
        arrivals: the last one from each region.
        now: aware time of the question.
    """
    counted = [arrival for arrival in arrivals if arrival.counts(now)]
    own = own or NOT_HELD
    if not counted or own not in (CLEAR, NOT_HELD):
        return own
    return CLEAR if all(arrival.is_clear(now) for arrival in counted) else CANNOT_CONFIRM


class Arrivals:
    """Everybody who arrived, in the order of arrival. Nothing is ever replaced.

    Args:
        ask_seconds: longest wait for one region.
    """

    def __init__(self, ask_seconds: float = ASK_SECONDS) -> None:
        self._ask_seconds = ask_seconds
        self._kept: list[Arrival] = []
        self._latest: dict[str, dict[str, Arrival]] = {}
        self._people: list[Document] = []
        self._places: dict[str, int] = {}

    def history(self, number: str) -> tuple[Arrival, ...]:
        """Everything asked about one person, the oldest first."""
        return tuple(arrival for arrival in self._kept if arrival.document.number == number)

    def latest(self, number: str) -> tuple[Arrival, ...]:
        """The last question to each region about one person."""
        return tuple(self._latest.get(number, {}).values())

    def place(self, number: str) -> int | None:
        """The place of a person among those who arrived; None: never did."""
        return self._places.get(number)

    def number(self, place: int) -> str | None:
        """The document number of who stands at a place; None: nobody does."""
        return self._people[place].number if 0 <= place < len(self._people) else None

    def document(self, number: str) -> Document | None:
        """The document that this number was handed in as; None: never was."""
        place = self._places.get(number)
        return None if place is None else self._people[place]

    async def hand_in(
        self, document: Document, origin: str, now: datetime, source: SharedSource | None
    ) -> None:
        """Take a traveller in: not confirmed at once, and whatever the source finds then.

        Regions the person came from before, whose answers do not hold any more, are
        asked again: the words of today rest on all of them.
        """
        await self._ask(Arrival(document, origin, arrived_at=now, asked_at=now), source)
        for earlier in self.latest(document.number):
            if earlier.origin != origin and earlier.counts(now) and not earlier.is_clear(now):
                await self._ask(replace(earlier, asked_at=now, finding=None), source)

    async def _ask(self, arrival: Arrival, source: SharedSource | None) -> None:
        # Kept before anybody is asked: a source that breaks leaves "not confirmed".
        self._keep(arrival)
        if source is None:
            return
        try:
            async with asyncio.timeout(self._ask_seconds):
                found = await source.ask(arrival.document, arrival.origin)
        except (SharedSourceError, TimeoutError) as error:
            _log.warning("shared_source_failed", origin=arrival.origin, kind=type(error).__name__)
            return
        self._keep(replace(arrival, finding=found))

    def _keep(self, arrival: Arrival) -> None:
        number = arrival.document.number
        if number not in self._places:
            self._places[number] = len(self._people)
            self._people.append(arrival.document)
        self._kept.append(arrival)
        self._latest.setdefault(number, {})[arrival.origin] = arrival


def _answers_for(origin: str, asked: str) -> bool:
    """Whether a region may speak of another: it is the same one, contains it, or is the nation."""
    return origin == NATIONAL or asked.startswith(division_prefix(origin))


def _day(moment: datetime) -> object:
    return moment.astimezone(SHANGHAI).date()
