"""A conversion's result: a local code of the destination, or why there is none.

The names are those of ``hutong.v1.LocalCode`` and ``hutong.v1.ImportRefusal``
without their prefix. All datetimes are aware and in UTC, whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class ImportRefusal(StrEnum):
    """Why a destination does not convert; the condition is its own, so none is a fault."""

    LEVEL = "LEVEL"
    """The level is not one that the destination converts."""
    ORIGIN = "ORIGIN"
    """The destination converts no code of that origin or scheme."""
    TOO_OLD = "TOO_OLD"
    """The level was assessed too long ago."""
    TEST = "TEST"
    """A negative test is required, and none is stated or it is too old."""
    SUBJECT = "SUBJECT"
    """The attestation is about somebody else, or does not say about whom."""
    DECLARATION = "DECLARATION"
    """One of the holder's own answers stands against it."""
    OWN_RECORD = "OWN_RECORD"
    """The destination holds a record of its own that is less than green."""
    PLATFORM = "PLATFORM"
    """The destination's platform did not answer; nothing was converted."""


@dataclass(frozen=True, slots=True)
class LocalCode:
    """A local code of the destination, made from another region's attestation.

    Its ``repr`` shows nothing of the person.

    Attributes:
        scheme: the dated scheme of the destination.
        state: the local state, raw, 1 to 64 characters.
        qr_text: what the holder shows at the destination's own gates, 1 to 2 048
            characters.
        valid_until: end, exclusive.
        origin: six digits of the region whose level it rests on.
        negative_test_at: the test that travelled along; None: the origin states none.
    """

    scheme: str
    state: str = field(repr=False)
    qr_text: str = field(repr=False)
    valid_until: datetime = field(repr=False)
    origin: str
    negative_test_at: datetime | None = field(default=None, repr=False)
