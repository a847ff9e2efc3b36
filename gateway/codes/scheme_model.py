"""A scheme: one local code system and its dated versions, as values.

The YAML form, and what makes a scheme refuse to load, stand in
:mod:`gateway.codes.schemes`. Everything here is immutable and already checked:
a :class:`Scheme` that exists has no unmapped state, no overlap of versions and
no untested state.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from gateway.codes.levels import Basis, Level, Outcome
    from gateway.codes.qr_pattern import QrPattern
    from gateway.codes.yamldoc import Problem


DEFAULT_LEEWAY_SECONDS: Final = 60
"""The skew that attestations allow (docs/spec, HT-ATT-6)."""

DEFAULT_CARRIED_SECONDS: Final = 6 * 3600
"""Six hours: what the Macao gates asked of a converted code."""


class SchemeError(CallerError):
    """A scheme document does not load, or no version of it is in force.

    Attributes:
        problems: every problem found, in order of the document; empty for
            SCHEME_NOT_IN_FORCE.
    """

    default_code = "SCHEME_INVALID"

    def __init__(
        self, message: str, *, code: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.problems: tuple[Problem, ...] = tuple(problems)


class Several(StrEnum):
    """How several records of one person are treated."""

    REPORT_ALL = "report_all"
    """The most restrictive stands first, every other one beside it. The only way."""


class Foreign(StrEnum):
    """How a record issued outside the scheme's prefixes is treated."""

    LEAVE_OUT_GREEN = "leave_out_green"
    """A green one is left out; any other makes the answer CANNOT_DETERMINE, and so
    does a person without a record of the scheme's own."""


class ClockStart(StrEnum):
    """The moment of a report from which a life is counted."""

    ASSESSED_AT = "assessed_at"
    SOURCE_AT = "source_at"
    DECLARED_AT = "declared_at"


@dataclass(frozen=True, slots=True)
class Life:
    """How long something holds.

    Attributes:
        start: from when it is counted.
        seconds: its length; None: until the end of the day of ``start`` in the
            scheme's zone (24:00, exclusive).
    """

    start: ClockStart
    seconds: int | None
    length: timedelta | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        length = None if self.seconds is None else timedelta(seconds=self.seconds)
        object.__setattr__(self, "length", length)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The source's own clocks, all of which must hold.

    Attributes:
        code: life of a code; None: the scheme sets no end.
        declaration: life of a declaration; None: the scheme sets no end.
        source_max_age_seconds: a record updated longer ago cannot be relied on;
            None: no limit.
        future_leeway_seconds: how far ahead of ours a platform's clock may be.
        carried_max_seconds: longest life of an attestation that is carried.
        required: the moments a record must state, besides ``assessed_at`` and
            ``source_at``, which every record must.
    """

    code: Life | None = None
    declaration: Life | None = None
    source_max_age_seconds: int | None = None
    future_leeway_seconds: int = DEFAULT_LEEWAY_SECONDS
    carried_max_seconds: int = DEFAULT_CARRIED_SECONDS
    required: frozenset[ClockStart] = frozenset()
    needs_declaration: bool = field(init=False, repr=False, compare=False)
    """Whether a record without ``declared_at`` is unparsable."""
    leeway: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = {life.start for life in (self.code, self.declaration) if life is not None}
        needs = ClockStart.DECLARED_AT in self.required | starts
        object.__setattr__(self, "needs_declaration", needs)
        object.__setattr__(self, "leeway", timedelta(seconds=self.future_leeway_seconds))


@dataclass(frozen=True, slots=True)
class StateRule:
    """What one local state means nationally.

    Attributes:
        state: the state, raw.
        level: the national level; None: it is an outcome.
        outcome: the outcome; None: it is a level. Exactly one of the two.
        basis: what the state always rests on, whatever the record says.
        meaning_zh: what it means, in Chinese.
        meaning_en: what it means, in English.
        release_days_needed: days on the way back to green; None: not in days.
        release_zh: the way back, in Chinese; empty: not known.
        release_en: the way back, in English; empty: not known.
        evidence: keys of the sources this rests on.
        vectors: names of the vectors that test this state alone.
    """

    state: str
    level: Level | None
    outcome: Outcome | None
    basis: frozenset[Basis]
    meaning_zh: str
    meaning_en: str
    release_days_needed: int | None = None
    release_zh: str = ""
    release_en: str = ""
    evidence: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasonHint:
    """A word in the platform's free text that tells what a state rests on."""

    contains: str
    basis: frozenset[Basis]


@dataclass(frozen=True, slots=True)
class Choice:
    """Something the sources do not say and this scheme therefore chose."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Something the local system says and the unified code does not carry."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class ImportRule:
    """When this scheme makes a local code of another region's attestation.

    Attributes:
        levels: the levels that convert.
        origins: division prefixes whose attestations convert; None: any but the
            scheme's own.
        schemes: families or dated schemes that convert; None: any.
        max_age_seconds: a level assessed longer ago does not convert.
        negative_test_max_age_seconds: a sample of a negative test no older than this
            is required; None: no test is.
        answers_must_be_no: whether each of the holder's own answers must be NO.
        life_seconds: how long the local code holds at most.
        state: the local state it gets, one of the version's; never less restrictive
            than a level it is made from.
        evidence: keys of the sources this rests on.
    """

    levels: frozenset[Level]
    origins: tuple[str, ...] | None
    schemes: tuple[str, ...] | None
    max_age_seconds: int
    negative_test_max_age_seconds: int | None
    answers_must_be_no: bool
    life_seconds: int
    state: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from; ``grade`` as in the research notes (A, B, C, K, S)."""

    key: str
    grade: str
    text: str


@dataclass(frozen=True, slots=True)
class SchemeVersion:
    """One dated version of a scheme.

    Attributes:
        id: the dated scheme, for example ``hz-jkm@2020-02``.
        valid_from: first moment in force.
        valid_until: end, exclusive; None: still in force.
        states: rule of each local state.
        clocks: the source's own clocks.
        qr_patterns: how QR texts of this version look.
        reasons: hints from free text to bases.
        scopes: the platform's scope words under which the states hold; None:
            the scheme knows no scopes. A record with another one, or with none
            where some are listed, cannot be determined.
        several: how several records of one person are treated.
        choices: what this version chose.
        evidence: keys of the sources this version rests on.
        lost: what is lost in translation; empty: nothing is; None: nobody has said.
        foreign: how a record issued outside the scheme's prefixes is treated; None:
            as any other, and what the authority cannot sign is not signed.
        import_rule: when another region's attestation becomes a local code; None:
            never.
    """

    id: str
    valid_from: datetime
    valid_until: datetime | None
    states: Mapping[str, StateRule]
    clocks: Clocks
    qr_patterns: tuple[QrPattern, ...] = ()
    reasons: tuple[ReasonHint, ...] = ()
    scopes: frozenset[str] | None = None
    several: Several = Several.REPORT_ALL
    choices: tuple[Choice, ...] = ()
    evidence: tuple[str, ...] = ()
    lost: tuple[Loss, ...] | None = None
    foreign: Foreign | None = None
    import_rule: ImportRule | None = None

    def in_force(self, moment: datetime) -> bool:
        """Return whether this version is in force at ``moment``."""
        return self.valid_from <= moment and (self.valid_until is None or moment < self.valid_until)


@dataclass(frozen=True, slots=True)
class Vector:
    """A record at a moment and what must come of it; all of it synthetic.

    Attributes:
        name: unique in the scheme.
        at: the moment of asking.
        reports: members of local reports, as the document writes them: member
            name to text, number or list; times already parsed.
        level: the level that must come out; None: an outcome must.
        outcome: the outcome that must come out; None: a level must.
        also: levels of the other reports, the more restrictive first.
        basis: the exact bases of the first report; None: not tested.
    """

    name: str
    at: datetime
    reports: tuple[Mapping[str, Any], ...]
    level: Level | None
    outcome: Outcome | None
    also: tuple[Level, ...] = ()
    basis: frozenset[Basis] | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """One local code system.

    Attributes:
        family: short name, for example ``hz-jkm``.
        name_zh: Chinese name.
        name_en: English name.
        authority: six-digit division of the region that signs.
        prefixes: division prefixes whose residents this scheme serves.
        timezone: zone in which the scheme's days begin and end.
        versions: dated versions, the earliest first, none overlapping.
        sources: where the facts come from.
        vectors: the scheme's own tests.
        connector: how the platform is reached, as written; never published.
    """

    family: str
    name_zh: str
    name_en: str
    authority: str
    prefixes: tuple[str, ...]
    timezone: ZoneInfo
    versions: tuple[SchemeVersion, ...]
    sources: tuple[Source, ...] = ()
    vectors: tuple[Vector, ...] = ()
    connector: Mapping[str, Any] | None = field(default=None, compare=False)
    _document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _starts: tuple[datetime, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", tuple(v.valid_from for v in self.versions))

    def version_at(self, moment: datetime) -> SchemeVersion:
        """Return the version in force at ``moment``.

        Raises:
            SchemeError: SCHEME_NOT_IN_FORCE, none is.
        """
        place = bisect_right(self._starts, moment)
        if place:
            version = self.versions[place - 1]
            if version.valid_until is None or moment < version.valid_until:
                return version
        raise SchemeError(
            f"no version of {self.family} is in force then", code="SCHEME_NOT_IN_FORCE"
        )

    def match_qr(self, text: str, moment: datetime) -> QrPattern | None:
        """Return the pattern of the version in force that ``text`` matches, or None."""
        try:
            version = self.version_at(moment)
        except SchemeError:
            return None
        return next((p for p in version.qr_patterns if p.matches(text)), None)

    def to_document(self) -> dict[str, Any]:
        """Return the public document: JSON-able, loads again to an equal scheme.

        This is what a region signs and the feed carries. It holds the vectors,
        so that whoever receives it can check it, and no connector.
        """
        return dict(self._document)
