"""The declarative half of a reference city: who is what, since when, told how.

A city's module fills one `City` with its counties, its versions (which states,
for how many people, for which reasons, from when on) and its stories. Everything
that a number in a table stands for is drawn by :mod:`adapters.platforms.drawing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from adapters.platforms.records import Colour, Record, Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from adapters.platforms.qr import QrForm


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state that a version of a city's code knows.

    Attributes:
        word: as the scheme file names it.
        colour: what it is to the city.
        share: of the holders, from 0 to 1; the shares of a version sum up to 1.
        reasons: texts of which each person gets one; empty: no text.
        kind: second word beside the state.
        source: which system wrote it.
        extra: members that only this city knows.
        release_days: days that lead back to green; None: not counted.
        lapses_to: the word that stands here once ``valid_until`` has passed; empty:
            the state stays and its end says that it is over.
    """

    word: str
    colour: Colour
    share: float = 0.0
    reasons: tuple[str, ...] = ()
    kind: str = ""
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    release_days: int | None = None
    lapses_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """When a city computes its codes anew.

    Attributes:
        every: from one beginning to the next; a divisor of a day, or a day.
        offset: of the first beginning of a day (UTC), from midnight.
        lasts: how long a run takes; each record is written somewhere within.
    """

    every: timedelta
    offset: timedelta = timedelta(0)
    lasts: timedelta = timedelta(minutes=5)


NIGHTLY: Final = Recomputation(
    every=timedelta(days=1), offset=timedelta(hours=19), lasts=timedelta(minutes=30)
)
"""At 03:00 in Shanghai, half an hour long. A choice: no source tells a run's hour."""

HOURLY: Final = Recomputation(every=timedelta(hours=1))
"""Every full hour, five minutes long. A choice, as above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One dated version of a city's code, as the platform runs it.

    Attributes:
        id: as the scheme file names it.
        since: from when on, inclusive; until the next version begins.
        states: what a holder may be.
        standings: shares of people whose question ends in something else.
        second_share: of the holders who have a second record.
        second: what the second record looks like; an empty state: as the first.
        second_divisions: who issues second records; empty: the city itself.
        recomputed: when.
        declared_every: a holder declares anew this often; None: nobody asks.
        code_life: from the declaration (or the assessment, where there is none) to
            ``valid_until``; None: a code does not end.
        until_midnight: a code ends with the day in Shanghai.
        tested_every: a holder was tested negative this often; None: no tests.
        qr: the QR form of this version; None: that of the city.
    """

    id: str
    since: datetime
    states: tuple[State, ...]
    standings: Mapping[Result, float] = field(default_factory=lambda: {Result.NOT_APPLIED: 0.01})
    second_share: float = 0.0
    second: Record | None = None
    second_divisions: tuple[str, ...] = ()
    recomputed: Recomputation = NIGHTLY
    declared_every: timedelta | None = None
    code_life: timedelta | None = None
    until_midnight: bool = False
    tested_every: timedelta | None = None
    qr: QrForm | None = None

    def __post_init__(self) -> None:
        total = sum(state.share for state in self.states)
        if abs(total - 1) > 1e-9:  # noqa: PLR2004 - sums of decimal fractions are not exact
            raise ValueError(f"shares of version {self.id} sum up to {total}, not 1")

    def state(self, word: str) -> State | None:
        """The state of this word; None: this version knows none."""
        return next((state for state in self.states if state.word == word), None)

    @property
    def green(self) -> State | None:
        """The first green state; None: this version has none."""
        return next((state for state in self.states if state.colour is Colour.GREEN), None)


class Shown(Enum):
    """Which QR text the person of a story shows."""

    CURRENT = "current"
    OLD = "old"  # made anew since, or made too long ago
    EARLIER = "earlier"  # of the version before, in that version's form
    FOREIGN = "foreign"  # has the form, and a check that does not hold
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How a story is told in one version.

    Attributes:
        expected: what the adapter must make of it when asked by QR: level or outcome.
        records: what the platform holds, with the result `OK`.
        result: how a question about this person ends.
        also: levels of the other reports, the more restrictive first.
        by_document: expected when asked by document; empty: the same.
        shows: which QR text.
        people: how many people stand behind the QR: this one and who comes next.
    """

    expected: str
    records: tuple[Record, ...] = ()
    result: Result = Result.OK
    also: tuple[str, ...] = ()
    by_document: str = ""
    shows: Shown = Shown.CURRENT
    people: int = 1


@dataclass(frozen=True, slots=True)
class Story:
    """A person whose state is told in advance.

    Attributes:
        zh: the story, in Chinese.
        en: the story, in English.
        telling: in every version that ``only`` names, or in all.
        only: identifiers of versions; in others the person is drawn like anybody.
        instead: tellings for single versions, by identifier.
    """

    zh: str
    en: str
    telling: Telling
    only: frozenset[str] = frozenset()
    instead: Mapping[str, Telling] = field(default_factory=dict)

    def told(self, version: str) -> Telling | None:
        """The telling in a version; None: the story is not told there."""
        if version in self.instead:
            return self.instead[version]
        return self.telling if not self.only or version in self.only else None


def story(
    zh: str,
    en: str,
    expected: str,
    *records: Record,
    result: Result = Result.OK,
    also: tuple[str, ...] = (),
    by_document: str = "",
    shows: Shown = Shown.CURRENT,
    people: int = 1,
    only: tuple[str, ...] = (),
    instead: Mapping[str, Telling] | None = None,
) -> Story:
    """A row of a table of stories; see `Telling` and `Story` for what it takes."""
    telling = Telling(
        expected=expected,
        records=records,
        result=result,
        also=also,
        by_document=by_document,
        shows=shows,
        people=people,
    )
    return Story(zh, en, telling, frozenset(only), instead or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """One reference city.

    Attributes:
        name: short name; that of its folders.
        division: six digits, the issuing division of its own records.
        counties: six-digit divisions in which its people's numbers were issued.
        versions: the oldest first.
        stories: by short name, in the order of the population's first places. Do not
            reorder them: papers are quoted in documents. ``not-found`` is added.
        qr: the QR form; None: people of this city show none.
        documents: whether the wire takes document numbers.
        unknown: what the adapter must make of a presentation of which the platform
            knows nothing, by QR and by document.
        elsewhere: who issues under the fault ``another-province``.
        ordinals: what the fault ``ordinal`` writes, by state word; others get the
            number that one vendor of cameras uses (3 green, 4 yellow, 5 red).
        stale_by: how old the cache of the fault ``stale`` is. Longer than the scheme
            lets a source be.
        import_life: from an import to the end of the imported code.
    """

    name: str
    division: str
    counties: tuple[str, ...]
    versions: tuple[Version, ...]
    stories: Mapping[str, Story]
    qr: QrForm | None = None
    documents: bool = True
    unknown: tuple[str, str] = ("NOT_FOUND", "NOT_FOUND")
    elsewhere: str = "410100"
    ordinals: Mapping[str, str] = field(default_factory=dict)
    stale_by: timedelta = timedelta(days=5)
    import_life: timedelta = timedelta(hours=24)

    def version_at(self, now: datetime) -> Version:
        """The version in force; before the first one began, the first."""
        begun = [version for version in self.versions if version.since <= now]
        return begun[-1] if begun else self.versions[0]

    def version_before(self, version: Version) -> Version | None:
        """The version that the given one replaced."""
        place = self.versions.index(version)
        return self.versions[place - 1] if place else None

    def qr_form(self, version: Version) -> QrForm | None:
        """The QR form of a version."""
        return version.qr or self.qr

    def told(self, index: int, version: Version) -> Telling | None:
        """The story of the person at a place; None: drawn like anybody."""
        if index >= len(self.stories):
            return None
        return tuple(self.stories.values())[index].told(version.id)
