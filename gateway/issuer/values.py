"""What goes into the issuer and what comes out, as values.

The words and their numbers are those of ``hutong.v1`` (``issuer.proto``,
``issuer_service.proto``, ``issuer_desk_service.proto``); the numbers are what the
tables hold. Levels, bases, answers and documents are those of ``gateway.codes``.
Nothing here shows a personal value in its ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from gateway.codes import Level, TriState

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.codes import Basis, Declarations, Document, Release


class Sex(IntEnum):
    """Values of GB/T 2261.1."""

    UNSPECIFIED = 0
    MALE = 1
    FEMALE = 2
    NOT_TOLD = 9


class Symptom(StrEnum):
    """Symptoms as deployed forms asked for them; NONE stands alone."""

    NONE = "NONE"
    COLD = "COLD"
    BREATH = "BREATH"
    DIGESTION = "DIGESTION"
    CHEST = "CHEST"
    EYES = "EYES"
    OTHER = "OTHER"


class AreaRisk(StrEnum):
    """How serious an area's situation is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class ContactKind(StrEnum):
    """What a reported contact is."""

    CASE = "CASE"
    CLOSE = "CLOSE"
    GENERAL = "GENERAL"


class ContactOutcome(StrEnum):
    """What became of one reported contact."""

    TAKEN = "TAKEN"
    KNOWN = "KNOWN"
    KEPT = "KEPT"
    REFUSED = "REFUSED"


class StayKind(StrEnum):
    """Whether a stay is part of an itinerary or where the person lives."""

    JOURNEY = "JOURNEY"
    RESIDENCE = "RESIDENCE"


class CorrectionSubject(StrEnum):
    """What somebody says is wrong."""

    DECLARATION = "DECLARATION"
    STAY = "STAY"
    CONTACT = "CONTACT"
    AREA = "AREA"


class CorrectionStatus(StrEnum):
    """How a correction stands."""

    OPEN = "OPEN"
    UPHELD = "UPHELD"
    REJECTED = "REJECTED"


class Cause(StrEnum):
    """What led to an assessment."""

    DECLARATION = "DECLARATION"
    ITINERARY = "ITINERARY"
    CONTACT = "CONTACT"
    AREAS = "AREAS"
    CORRECTION = "CORRECTION"
    DAILY = "DAILY"


SYMPTOM_BITS: Final = {
    Symptom.NONE: 0,
    Symptom.COLD: 1,
    Symptom.BREATH: 2,
    Symptom.DIGESTION: 4,
    Symptom.CHEST: 8,
    Symptom.EYES: 16,
    Symptom.OTHER: 32,
}
"""A set of symptoms is the sum; none is zero."""

ANSWER_NUMBERS: Final = {TriState.YES: 1, TriState.NO: 2, TriState.UNSURE: 3}
RISK_NUMBERS: Final = {AreaRisk.LOW: 1, AreaRisk.MEDIUM: 2, AreaRisk.HIGH: 3}
CONTACT_NUMBERS: Final = {ContactKind.CASE: 1, ContactKind.CLOSE: 2, ContactKind.GENERAL: 3}
STAY_NUMBERS: Final = {StayKind.JOURNEY: 1, StayKind.RESIDENCE: 2}
LEVEL_NUMBERS: Final = {Level.GREEN: 1, Level.YELLOW: 2, Level.RED: 3}
"""In the order of severity: the issuer's own rule knows no other level."""
SUBJECT_NUMBERS: Final = {
    CorrectionSubject.DECLARATION: 1,
    CorrectionSubject.STAY: 2,
    CorrectionSubject.CONTACT: 3,
    CorrectionSubject.AREA: 4,
}
STATUS_NUMBERS: Final = {
    CorrectionStatus.OPEN: 1,
    CorrectionStatus.UPHELD: 2,
    CorrectionStatus.REJECTED: 3,
}
CAUSE_NUMBERS: Final = {
    Cause.DECLARATION: 1,
    Cause.ITINERARY: 2,
    Cause.CONTACT: 3,
    Cause.AREAS: 4,
    Cause.CORRECTION: 5,
    Cause.DAILY: 6,
}


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who somebody is; personal throughout.

    Attributes:
        document: as ``parse_document`` accepted it.
        name: 1 to 64 characters.
        sex: GB/T 2261.1.
        nationality: three letters of GB/T 2659; empty: CHN.
        phone: digits with an optional plus; empty: none.
        division: where the person lives, six digits.
    """

    document: Document
    name: str
    division: str
    sex: Sex = Sex.UNSPECIFIED
    nationality: str = ""
    phone: str = ""

    def __repr__(self) -> str:
        """Without anything personal."""
        return "Identity(…)"


@dataclass(frozen=True, slots=True, repr=False)
class HealthDeclaration:
    """One health declaration.

    Attributes:
        identity: whom it is about.
        temperature_decicelsius: tenths of a degree Celsius, 340 to 430.
        symptoms: at least one; NONE alone.
        answers: each YES, NO or UNSURE.
        proxy: document of whoever declares instead; None: the person.
    """

    identity: Identity
    temperature_decicelsius: int
    symptoms: frozenset[Symptom]
    answers: Declarations
    proxy: Document | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Stay:
    """A stay in a division.

    Attributes:
        division: six digits.
        entered_at: arrival.
        left_at: departure, exclusive; None: still there.
    """

    division: str
    entered_at: datetime
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ContactReport:
    """A contact as a feeding system reports it.

    Attributes:
        document: whose.
        kind: of what kind.
        at: when it happened.
        division: where, six digits.
        reference: the feeding system's own number of the case; no name.
    """

    document: Document
    kind: ContactKind
    at: datetime
    division: str
    reference: str


@dataclass(frozen=True, slots=True)
class Area:
    """An area of risk: a division, which contains those below it."""

    division: str
    risk: AreaRisk


@dataclass(frozen=True, slots=True, repr=False)
class Code:
    """The current code of a person: what the wire calls the health state.

    Attributes:
        person_id: ours, without meaning outside.
        level: GREEN, YELLOW or RED.
        since: since when the level holds without a break.
        assessed_at: when it was last assessed.
        rule: the rule that fired, ``native-2020-02/red-contact``.
        reason_zh: why, for the holder.
        reason_en: why, for the holder.
        basis: what the level rests on.
        release: check-ins done and needed on the way back; None: green.
        area: six digits of the division the level rests on; None: none.
        declared_at: the last declaration that stands.
        declaration_valid_until: until when it holds, exclusive.
    """

    person_id: int = field(repr=False)
    level: Level
    since: datetime
    assessed_at: datetime
    rule: str
    reason_zh: str
    reason_en: str
    basis: frozenset[Basis]
    release: Release | None
    area: str | None
    declared_at: datetime
    declaration_valid_until: datetime

    def __repr__(self) -> str:
        """Without what it says about the person."""
        return "Code(…)"

    def declaration_holds(self, now: datetime) -> bool:
        """Whether the first of the two clocks still runs; if not, there is no level to show."""
        return now < self.declaration_valid_until
