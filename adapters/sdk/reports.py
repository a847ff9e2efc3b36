"""What a connector takes and gives: presentations, local reports, outcomes.

A *local report* is what the city's platform answered, parsed but not yet
translated: the state stands as the platform wrote it, times are aware and in
UTC, and nothing has been added. Only :mod:`adapters.sdk.translation` turns it
into a level. A connector says with :class:`OutcomeReport` everything that is not
a report of a state: no such person, an expired code, a platform that does not
answer.

Values of a person live in these objects and nowhere else: their ``repr`` is
masked, so that a log line or a traceback cannot carry one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.codes.documents import Document

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.codes.itinerary import Itinerary
    from gateway.codes.levels import Basis, Outcome
    from gateway.codes.unified import Declarations, Release


@dataclass(frozen=True, slots=True)
class QrText:
    """The text of a local QR code, as scanned, at most 2 048 characters."""

    text: str = field(repr=False)


Presentation = QrText | Document
"""What a traveller shows: the text of a QR code or an identity document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReport:
    """One record of one person as the platform holds it, not yet translated.

    Attributes:
        state: the local state, raw, for example ``绿码``; at most 64 characters.
        issued_by: six-digit division that issued this record.
        assessed_at: when the platform assessed the state; None: it did not say,
            which makes the record unparsable.
        source_at: when the platform last updated the record; None as above.
        valid_until: end of the code as the platform states it, exclusive.
        declared_at: when the holder last declared.
        declaration_valid_until: end of the declaration as stated, exclusive.
        basis: grounds that the platform states in so many words.
        reason: the platform's free text; only searched for the scheme's reason
            hints, never passed on.
        rule: identifier of the rule that fired, at most 64 characters.
        scope: the platform's word for where or for what the state holds.
        area: six-digit division that the state rests on.
        release: progress back to green, where the platform states both numbers.
        release_days_done: days done, where the platform states only those; the
            scheme supplies the days needed.
        declarations: the self-declared answers.
        negative_test_at: when the sample of the last negative test was taken.
        itinerary: places; handed on only with EVIDENCE_ONLY.
    """

    state: str = field(repr=False)
    issued_by: str
    assessed_at: datetime | None = field(default=None, repr=False)
    source_at: datetime | None = field(default=None, repr=False)
    valid_until: datetime | None = field(default=None, repr=False)
    declared_at: datetime | None = field(default=None, repr=False)
    declaration_valid_until: datetime | None = field(default=None, repr=False)
    basis: frozenset[Basis] = field(default=frozenset(), repr=False)
    reason: str | None = field(default=None, repr=False)
    rule: str | None = field(default=None, repr=False)
    scope: str | None = field(default=None, repr=False)
    area: str | None = field(default=None, repr=False)
    release: Release | None = field(default=None, repr=False)
    release_days_done: int | None = field(default=None, repr=False)
    declarations: Declarations | None = field(default=None, repr=False)
    negative_test_at: datetime | None = field(default=None, repr=False)
    itinerary: Itinerary | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reports:
    """Every record the platform holds of this one person, in any order.

    An empty tuple means that the platform answered and holds none: NOT_FOUND.
    A connector never drops, merges or sorts records; records of *different*
    people are an OutcomeReport with AMBIGUOUS_SUBJECT.

    Attributes:
        reports: the records.
        subject: whose they are, where a QR text was asked and the platform says
            the whole number. It makes the pseudonym that of the person; without
            it, it is that of the QR text.
    """

    reports: tuple[LocalReport, ...]
    subject: Document | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """An answer that is not a level.

    Attributes:
        outcome: which.
        retry_after_seconds: when asking again may help; None: no statement.
        state: the raw local state, only with CANNOT_DETERMINE and EVIDENCE_ONLY.
        scheme: the dated scheme that was applied; translation fills it in.
        itinerary: places, only with EVIDENCE_ONLY.
    """

    outcome: Outcome = field(repr=False)
    retry_after_seconds: float | None = None
    state: str | None = field(default=None, repr=False)
    scheme: str | None = None
    itinerary: Itinerary | None = field(default=None, repr=False)


Fetched = Reports | OutcomeReport
"""What a connector brings back."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock after which nobody waits for an answer."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline ``seconds`` from now on ``clock``."""
        return cls(clock() + seconds, clock)

    def remaining_seconds(self) -> float:
        """Return the seconds left, zero when it has passed."""
        return max(0.0, self.at - self.clock())


class Connector(Protocol):
    """Speaks one city platform's wire. Safe to call concurrently."""

    async def fetch(self, presentation: Presentation, deadline: Deadline) -> Fetched:
        """Ask the platform about one traveller.

        Never raises for anything the platform did: a refusal, a time-out, a
        broken answer each is an OutcomeReport. What it does raise is a defect of
        the connector; the pipeline turns that into an INTERNAL item error.

        Args:
            presentation: what the traveller shows.
            deadline: when the answer must be there; the connector stops on its
                own at that moment with SOURCE_TIMED_OUT.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. The connector is not used afterwards."""
        ...
