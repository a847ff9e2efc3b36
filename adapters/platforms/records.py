"""What a reference platform holds of a person, before any wire writes it.

Neutral values, the same for every city: a *record* is one state of one person at
one moment, an *answer* is what the platform says to one question. A city's module
only writes them down in its own words; faults, drawing and stories work on them
here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from adapters.platforms.people import Person

UNSET: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""A time that nobody has filled in yet; before every code of this project."""


class Colour(StrEnum):
    """What a state is to its own city; only the platforms' own bookkeeping.

    Says which records a catalogue lists, which a conversion is refused for, and
    what an old cache shows. Never on a wire, never read by an adapter.
    """

    GREEN = "green"
    MIDDLE = "middle"  # yellow, orange
    RED = "red"
    NONE = "none"  # grey, cannot confirm, evidence that is no level


class Result(StrEnum):
    """How a question ends; a city maps each to a code of its own wire."""

    OK = "ok"
    NOT_FOUND = "not found"
    NOT_APPLIED = "not applied"
    MUST_UPDATE = "must update"
    PENDING = "pending review"
    AMBIGUOUS = "several people"
    QR_EXPIRED = "qr expired"
    QR_UNKNOWN = "qr unknown"
    QR_NOT_OURS = "qr of another province"
    QUOTA = "quota"
    BAD_REQUEST = "bad request"
    BAD_CREDENTIAL = "bad credential"
    OWN_RECORD = "own record is less than green"  # of an import
    CONFLICT = "reference used for another import"  # of an import


FALLBACK: Final[Mapping[Result, Result]] = {
    Result.CONFLICT: Result.BAD_REQUEST,
    Result.OWN_RECORD: Result.BAD_REQUEST,
    Result.PENDING: Result.MUST_UPDATE,
    Result.MUST_UPDATE: Result.NOT_APPLIED,
    Result.NOT_APPLIED: Result.NOT_FOUND,
    Result.AMBIGUOUS: Result.NOT_FOUND,
    Result.QR_NOT_OURS: Result.QR_UNKNOWN,
    Result.QR_EXPIRED: Result.QR_UNKNOWN,
    Result.QR_UNKNOWN: Result.NOT_FOUND,
    Result.NOT_FOUND: Result.BAD_REQUEST,
    Result.BAD_CREDENTIAL: Result.BAD_REQUEST,
    Result.QUOTA: Result.BAD_REQUEST,
}
"""What a wire without a code for a result says instead; none leads to `OK`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One state of one person, as one issuer holds it.

    In a city's table only ``state`` and what makes the record special is given; the
    base fills in the rest. All times are UTC.

    Attributes:
        state: state word, as the scheme file names it.
        colour: filled in from the version's table of states.
        division: who issued it; empty: the city itself.
        reason: free text.
        kind: a second word beside the state, for example 本域内通行码.
        source: which system wrote the record.
        extra: what only this city knows; untouched by the base.
        applied_at: first application.
        issued_at: first issue.
        assessed_at: when the state was computed.
        updated_at: when the record was last written.
        changed_at: when the state last changed.
        declared_at: when the holder last declared; None: this city asks for none.
        valid_until: end of the code, exclusive; None: it does not end.
        negative_test_at: last negative test; None: none is known.
        release_days: days that lead back to green; None: not counted.
        release_days_done: of those, how many are over.
        proxy: document number of who applied on the person's behalf; in a table any
            text says "somebody".
        origin: division whose code this record was converted from; empty: none.
        declared_ago: in a table: fixes ``declared_at`` relative to the question.
        tested_ago: the same for ``negative_test_at``.
        changed_ago: the same for ``changed_at``.
    """

    state: str
    colour: Colour = Colour.NONE
    division: str = ""
    reason: str = ""
    kind: str = ""
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    applied_at: datetime = UNSET
    issued_at: datetime = UNSET
    assessed_at: datetime = UNSET
    updated_at: datetime = UNSET
    changed_at: datetime = UNSET
    declared_at: datetime | None = None
    valid_until: datetime | None = None
    negative_test_at: datetime | None = None
    release_days: int | None = None
    release_days_done: int | None = None
    proxy: str = field(default="", repr=False)
    origin: str = ""
    declared_ago: timedelta | None = None
    tested_ago: timedelta | None = None
    changed_ago: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a platform holds of one person; no records only under the fault `empty`."""

    person: Person
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform says to one question.

    Attributes:
        result: how it ends.
        holdings: with `Result.OK` one for each person behind the presentation, as a
            rule one; otherwise none.
    """

    result: Result
    holdings: tuple[Holding, ...] = ()

    @property
    def records(self) -> tuple[tuple[Person, Record], ...]:
        """Every record with its person, for wires that write a flat list."""
        return tuple((held.person, record) for held in self.holdings for record in held.records)

    @property
    def only(self) -> tuple[Person, Record] | None:
        """The one record, for wires that hold no list; None: there is none."""
        return self.records[0] if self.records else None
