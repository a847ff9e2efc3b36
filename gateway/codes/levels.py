"""Levels, outcomes, bases and tri-state answers.

The names equal those of ``hutong.v1`` without their prefix. They are text, not
numbers: nothing here can be compared by size, and a vendor's ordinal cannot
slip through (there are vendors whose 1 is red and others whose 1 is
green). ``RESTRICTIVENESS`` is the one place where levels are put in order, and
only to choose which of several reports stands first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """The national level of a code."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"
    RESTRICTED = "RESTRICTED"
    """Not green, severity not stated: the restricted state of a two-colour scheme."""


class Outcome(StrEnum):
    """Everything an answer can be that is not a level. None is green, none is red."""

    NOT_APPLIED = "NOT_APPLIED"
    NOT_FOUND = "NOT_FOUND"
    DECLARATION_EXPIRED = "DECLARATION_EXPIRED"
    CODE_EXPIRED = "CODE_EXPIRED"
    WRONG_REGION = "WRONG_REGION"
    HOLDER_MUST_UPDATE = "HOLDER_MUST_UPDATE"
    PENDING_REVIEW = "PENDING_REVIEW"
    CANNOT_DETERMINE = "CANNOT_DETERMINE"
    AMBIGUOUS_SUBJECT = "AMBIGUOUS_SUBJECT"
    SOURCE_BUSY = "SOURCE_BUSY"
    SOURCE_TIMED_OUT = "SOURCE_TIMED_OUT"
    SOURCE_UNPARSABLE = "SOURCE_UNPARSABLE"
    EVIDENCE_ONLY = "EVIDENCE_ONLY"
    """The system answered soundly, and what it says is no level."""


class Basis(StrEnum):
    """What a level rests on; the first three are the Hangzhou model's dimensions."""

    SPACE = "SPACE"
    TIME = "TIME"
    CONTACT = "CONTACT"
    DECLARATION = "DECLARATION"
    TEST = "TEST"
    ADMINISTRATIVE = "ADMINISTRATIVE"


class TriState(StrEnum):
    """An answer as deployed forms had to store it; absent is not no."""

    YES = "YES"
    NO = "NO"
    UNSURE = "UNSURE"
    ABSENT = "ABSENT"


RESTRICTIVENESS: Final[dict[Level, int]] = {
    Level.GREEN: 0,
    Level.YELLOW: 1,
    # Between yellow and red: it may be either, so it never hides behind a yellow
    # and never displaces a stated red. Our choice.
    Level.RESTRICTED: 2,
    Level.RED: 3,
}
"""Orders reports so that the most restrictive stands first; means nothing else."""
