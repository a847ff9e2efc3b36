"""Readers of the feed as far as they speak: how far they are, what they tried.

In memory and bounded; nothing depends on it but what operators and owners see.
What readers told the other processes of the hub comes in through the store
(:mod:`gateway.hub.reader_sharing`), which also takes from here what is new.
Names are URNs of members; no question and no answer is known here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from gateway.store import AnswerRow, ReaderRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

MAX_READERS: Final = 20_000
"""Readers remembered: twice what a hub process serves; about 10 MB."""

MAX_REHEARSALS: Final = 64
"""Rehearsals whose answers are remembered; the oldest goes first, another hub's before
one's own."""

MAX_SEQUENCE: Final = 2**63 - 1
"""The highest number that a store can hold; no feed comes near it."""

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

K = TypeVar("K")
V = TypeVar("V")


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


@dataclass(frozen=True, slots=True)
class News:
    """What other processes do not know yet.

    Attributes:
        readers: by hub and reader.
        answers: by rehearsal and reader.
    """

    readers: dict[tuple[str, str], ReaderRow]
    answers: dict[tuple[str, str], AnswerRow]


class Readers:
    """See the module.

    Args:
        clock: the time, UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.is_live: Callable[[str], bool] = lambda _: False
        """Whether a rehearsal is under way, also one that another process began, or that
        another hub's feed carries."""
        self.is_own: Callable[[str], bool] = lambda _: True
        """Whether it is this hub's; those of others make room first."""
        self._clock = clock
        self._readers: OrderedDict[tuple[str, str], Reader] = OrderedDict()
        self._answers: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._news = News({}, {})
        self.on_news: Callable[[], None] = lambda: None
        """Called when there is something that other processes do not know."""

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
        now, sequence = self._clock(), min(sequence, MAX_SEQUENCE)
        self._hold(hub, Reader(caller, sequence, now))
        _put(self._news.readers, (hub, caller), ReaderRow(hub, caller, sequence, now))
        for result in results:
            if result.rehearsal not in self._answers and self.is_live(result.rehearsal):
                self.expect(result.rehearsal)
            answers = self._answers.get(result.rehearsal)
            if answers is not None and (caller in answers or len(answers) < MAX_READERS):
                reason = "" if result.verified else reason_word(result.reason)
                answers[caller] = reason
                key = (result.rehearsal, caller)
                _put(self._news.answers, key, AnswerRow(result.rehearsal, caller, reason, now))
        self.on_news()

    @property
    def has_news(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._news.readers or self._news.answers)

    def take_news(self) -> News:
        """Hand over what was said since the last time, to be written."""
        news, self._news = self._news, News({}, {})
        return news

    def put_back(self, news: News) -> None:
        """Take back what could not be written; what was said since stands."""
        self._news = News(news.readers | self._news.readers, news.answers | self._news.answers)

    def learn(self, rows: Iterable[ReaderRow]) -> None:
        """Take in what readers told other processes; the later word stands."""
        for row in rows:
            known = self._readers.get((row.hub, row.urn))
            if known is None or row.seen_at > known.seen_at:
                self._hold(row.hub, Reader(row.urn, row.sequence, row.seen_at))

    def learn_answers(self, rehearsal: str, answers: Mapping[str, str]) -> None:
        """Take in what readers told other processes of a rehearsal that is under way."""
        self.expect(rehearsal)
        unwritten = {urn for name, urn in self._news.answers if name == rehearsal}
        held = self._answers[rehearsal]
        held.update({urn: reason for urn, reason in answers.items() if urn not in unwritten})

    def _hold(self, hub: str, reader: Reader) -> None:
        key = (hub, reader.urn)
        self._readers[key] = reader
        self._readers.move_to_end(key)
        while len(self._readers) > MAX_READERS:
            self._readers.popitem(last=False)

    def expect(self, rehearsal: str) -> None:
        """Remember answers to a rehearsal from here on."""
        if rehearsal in self._answers:
            return
        self._answers[rehearsal] = {}
        while len(self._answers) > MAX_REHEARSALS:
            foreign = (name for name in self._answers if not self.is_own(name))
            del self._answers[next(foreign, next(iter(self._answers)))]

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


def reason_word(text: str) -> str:
    """Return an upper-snake word; whatever else is said, ``UNKNOWN``, is not passed on."""
    return text if _REASON.fullmatch(text) else "UNKNOWN"


def _put(news: dict[K, V], key: K, value: V) -> None:
    """Remember for the others, within bounds also while the store is away."""
    news.pop(key, None)
    news[key] = value
    while len(news) > MAX_READERS:
        news.pop(next(iter(news)))
