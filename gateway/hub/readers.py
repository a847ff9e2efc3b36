"""Readers of the feed as far as they speak: how far they are, what they tried.

In memory and bounded; nothing depends on it but what operators and owners see.
A restart forgets it, and every reader tells it again within one acknowledgement.
Names are URNs of members; no question and no answer is known here.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

MAX_READERS: Final = 20_000
"""Readers remembered: twice what a hub process serves; about 10 MB."""

MAX_REHEARSALS: Final = 64
"""Rehearsals whose answers are remembered; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How far one reader is.

    Attributes:
        urn: who it is.
        sequence: the newest entry it said it holds.
        seen_at: when it said so.
    """

    urn: str
    sequence: int
    seen_at: datetime


class RehearsalAnswer(Protocol):
    """What one reader says of a rehearsal: ``hutong.v1.RehearsalResult`` is one."""

    @property
    def rehearsal(self) -> str:
        """Names the rehearsal."""
        ...

    @property
    def verified(self) -> bool:
        """Whether the reader would verify what the new key signs."""
        ...

    @property
    def reason(self) -> str:
        """Why not, an upper-snake word."""
        ...


class Readers:
    """See the module.

    Args:
        clock: the time, UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.is_live: Callable[[str], bool] = lambda _: False
        """Whether a rehearsal is under way, also one that another process began."""
        self._clock = clock
        self._readers: OrderedDict[tuple[str, str], Reader] = OrderedDict()
        self._answers: OrderedDict[str, dict[str, str]] = OrderedDict()

    def acknowledge(
        self, caller: str, hub: str, sequence: int, results: Iterable[RehearsalAnswer] = ()
    ) -> None:
        """Take what a reader says.

        Args:
            caller: URN of the reader, authenticated.
            hub: whose feed is meant; empty: the serving hub's own.
            sequence: the newest entry it holds.
            results: rehearsals it took part in; those nobody began are ignored.
        """
        key = (hub, caller)
        self._readers[key] = Reader(caller, sequence, self._clock())
        self._readers.move_to_end(key)
        while len(self._readers) > MAX_READERS:
            self._readers.popitem(last=False)
        for result in results:
            if result.rehearsal not in self._answers and self.is_live(result.rehearsal):
                self.expect(result.rehearsal)
            answers = self._answers.get(result.rehearsal)
            if answers is not None and (caller in answers or len(answers) < MAX_READERS):
                answers[caller] = "" if result.verified else result.reason or "UNKNOWN"

    def expect(self, rehearsal: str) -> None:
        """Remember answers to a rehearsal from here on."""
        if rehearsal in self._answers:
            return
        self._answers[rehearsal] = {}
        while len(self._answers) > MAX_REHEARSALS:
            self._answers.popitem(last=False)

    def answers(self, rehearsal: str) -> dict[str, str]:
        """Reasons by reader; an empty reason: the reader would verify the new key."""
        return dict(self._answers.get(rehearsal, {}))

    def standing(self, *, hub: str = "", within: timedelta | None = None) -> tuple[Reader, ...]:
        """Readers that spoke, the slowest first.

        Args:
            hub: whose feed; empty: the serving hub's own.
            within: only those that spoke this recently; None: all.
        """
        since = None if within is None else self._clock() - within
        found = [
            reader
            for (of, _), reader in self._readers.items()
            if of == hub and (since is None or reader.seen_at >= since)
        ]
        return tuple(sorted(found, key=lambda reader: (reader.sequence, reader.urn)))
