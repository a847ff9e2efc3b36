"""The unified code: the national view of one local report.

The field names are those of ``hutong.v1.UnifiedCode`` and of the ``code`` claim
of an attestation. Aligned with the published structure of GB/T 38962-2020; the
element tables of that standard were not available, so no conformance is
claimed. All datetimes are aware and in UTC, whole seconds.

Invariants, checked on construction:

* ``also`` holds the other reports of the same person, none more restrictive
  than this one, none with an ``also`` of its own;
* every time is in UTC and a whole second from 1970 on, as claims carry it;
* scheme, state, divisions and rule have the shapes the schema gives them.

``valid_until`` and ``declaration_valid_until`` are exclusive bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Final

from gateway.codes.levels import RESTRICTIVENESS, Basis, Level, TriState
from gateway.errors import CallerError

if TYPE_CHECKING:
    from datetime import datetime

MAX_ALSO = 15
"""Other reports of one person: one a city of the largest province is plenty."""

MAX_TEXT_CHARACTERS = 64
"""Longest ``state`` and ``rule``; equals the schema's."""

SCHEME: Final = re.compile(r"[a-z][a-z0-9-]{1,31}@[0-9a-z][0-9a-z.-]{0,31}", re.ASCII)
"""A dated scheme, as ``UnifiedCode.scheme`` in the schema."""
_DIVISION: Final = re.compile(r"[0-9]{6}", re.ASCII)


class UnifiedCodeError(CallerError):
    """A unified code breaks one of its invariants."""

    default_code = "UNIFIED_CODE_INVALID"


@dataclass(frozen=True, slots=True, repr=False)
class Release:
    """Progress on the way back to green, in days."""

    days_done: int
    days_needed: int

    def __post_init__(self) -> None:
        if not (0 <= self.days_done <= 366 and 1 <= self.days_needed <= 366):  # noqa: PLR2004 - days of a year; the epoch
            raise UnifiedCodeError("release days must lie within a year")


@dataclass(frozen=True, slots=True, repr=False)
class Declarations:
    """The three questions every deployed form asked."""

    contact: TriState = TriState.ABSENT
    risk_area: TriState = TriState.ABSENT
    overseas: TriState = TriState.ABSENT


@dataclass(frozen=True, slots=True, repr=False)
class UnifiedCode:
    """The national view of a local report; its ``repr`` shows nothing of the person.

    Attributes:
        level: the national level.
        scheme: the dated scheme applied, for example ``hz-jkm@2020-02``.
        state: the local state, raw, at most 64 characters.
        assessed_at: when the platform assessed the level.
        source_at: when the platform last updated the record.
        issued_by: six-digit division that issued this very report.
        basis: what the level rests on; empty where unknown.
        valid_until: end of the code, exclusive; None: the scheme sets no end.
        declared_at: when the holder last declared; None: unknown.
        declaration_valid_until: end of the declaration, exclusive; None: unknown.
        release: progress back to green; None: unknown.
        area: six-digit division the level rests on; None: unknown.
        declarations: self-declared answers; None: the source carries none.
        rule: identifier of the rule that fired; None: not named.
        negative_test_at: when the sample of the last negative test was taken; None:
            the source does not say. No part of the level.
        also: the other reports of the same person.
    """

    level: Level
    scheme: str
    state: str
    assessed_at: datetime
    source_at: datetime
    issued_by: str
    basis: frozenset[Basis] = frozenset()
    valid_until: datetime | None = None
    declared_at: datetime | None = None
    declaration_valid_until: datetime | None = None
    release: Release | None = None
    area: str | None = None
    declarations: Declarations | None = None
    rule: str | None = None
    negative_test_at: datetime | None = None
    also: tuple[UnifiedCode, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.also) > MAX_ALSO:
            raise UnifiedCodeError(f"more than {MAX_ALSO} other reports")
        for other in self.also:
            if other.also:
                raise UnifiedCodeError("a report in `also` has an `also` of its own")
            if RESTRICTIVENESS[other.level] > RESTRICTIVENESS[self.level]:
                raise UnifiedCodeError("a report in `also` is more restrictive than the first")
        self._check_shapes()
        for moment in (
            self.assessed_at,
            self.source_at,
            self.valid_until,
            self.declared_at,
            self.declaration_valid_until,
            self.negative_test_at,
        ):
            if moment is None:
                continue
            if moment.tzinfo is None:
                raise UnifiedCodeError("every time needs a zone")
            if moment.tzinfo is not UTC and moment.utcoffset():
                raise UnifiedCodeError("every time is in UTC")
            if moment.microsecond or moment.year < 1970:  # noqa: PLR2004 - days of a year; the epoch
                raise UnifiedCodeError("every time is a whole second from 1970 on")

    def _check_shapes(self) -> None:
        if not SCHEME.fullmatch(self.scheme):
            raise UnifiedCodeError("scheme: not of the form family@version")
        if not 1 <= len(self.state) <= MAX_TEXT_CHARACTERS:
            raise UnifiedCodeError(f"state: 1 to {MAX_TEXT_CHARACTERS} characters")
        if not _DIVISION.fullmatch(self.issued_by):
            raise UnifiedCodeError("issued_by: six digits")
        if self.area is not None and not _DIVISION.fullmatch(self.area):
            raise UnifiedCodeError("area: six digits")
        if self.rule is not None and not 1 <= len(self.rule) <= MAX_TEXT_CHARACTERS:
            raise UnifiedCodeError(f"rule: 1 to {MAX_TEXT_CHARACTERS} characters")

    def __repr__(self) -> str:
        """Without what it says about the person."""
        return f"UnifiedCode(scheme={self.scheme!r}, issued_by={self.issued_by!r}, …)"

    @property
    def reports(self) -> tuple[UnifiedCode, ...]:
        """Every report of the person, the most restrictive first."""
        return (self, *self.also)
