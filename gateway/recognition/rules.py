"""Rules: when one applies, what it leads to, and what no rule may do.

A rule is about one *subject*: verified levels, outcomes, refusals, or anything.

Safety holds for every value of these classes, however it was made:

* a rule that admits names the levels it admits, and matches nothing but a
  verified report of such a level: it cannot be about outcomes or refusals;
* it bounds the age of the assessment, and never matches records that disagree;
* ``ADMIT`` is for GREEN alone, and no rule admits RED;
* outcomes and refusals lead to a person or to a refusal, never to observation:
  none of them is green and none is red (HT-DEC-3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gateway.codes.divisions import DivisionError, division_prefix, parse_division
from gateway.codes.levels import Basis, Level, Outcome
from gateway.codes.yamldoc import Problem
from gateway.errors import CallerError
from gateway.recognition.reasons import REFUSAL_CODES, Reason, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.recognition.itinerary_match import ItineraryMatch

MAX_OBSERVATION_DAYS: Final = 28
"""Longest observation: 14 days were the rule of 2020, 21 and 28 occurred later."""

MAX_ADMISSION_AGE_HOURS: Final = 14 * 24
"""Oldest assessment that may still admit: one incubation period of 14 days, the
length on which every deployed scheme rested."""

RULE_ID = re.compile(r"[a-z][a-z0-9-]{0,47}", re.ASCII)
RULE_ID_FIX: Final = "use lower-case letters, digits and hyphens, at most 48"

ANY_REFUSAL: Final = "ANY"
"""In ``refusals``: every code, known or not."""

Fault: TypeAlias = tuple[tuple[str, ...], str, str]
"""Path within a rule, what is wrong, how to mend it."""


class PolicyError(CallerError):
    """A policy does not load.

    Attributes:
        problems: every thing wrong with it, in the order of its lines.
    """

    default_code = "POLICY_INVALID"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Verdict(StrEnum):
    """What the checkpoint does."""

    ADMIT = "ADMIT"
    ADMIT_WITH_CONDITIONS = "ADMIT_WITH_CONDITIONS"
    OBSERVE_HOME = "OBSERVE_HOME"
    OBSERVE_CENTRAL = "OBSERVE_CENTRAL"
    REFER = "REFER"
    """A person decides."""
    REFUSE = "REFUSE"

    @property
    def admits(self) -> bool:
        """Whether the traveller passes at once."""
        return self in _ADMITTING

    @property
    def observes(self) -> bool:
        """Whether the verdict names a number of days."""
        return self in (Verdict.OBSERVE_HOME, Verdict.OBSERVE_CENTRAL)


# Asked of every traveller; asking the class for its members each time costs more.
_ADMITTING: Final = frozenset({Verdict.ADMIT, Verdict.ADMIT_WITH_CONDITIONS})


@dataclass(frozen=True, slots=True)
class Match:
    """When a rule applies. None: no condition.

    At most one of the first three is given; with none of them and no condition
    on a report, the rule is about anything.

    Attributes:
        levels: the verified level is one of these.
        outcomes: the answer is one of these outcomes.
        refusals: the evidence was refused with one of these codes, or with any
            (``ANY_REFUSAL``), known or not.
        origins: prefixes; the division that issued the report is in one of them.
        schemes: families (``hz-jkm``) or dated versions (``hz-jkm@2020-02``).
        states: raw local states.
        bases: the level rests on at least one of these.
        areas: prefixes; the division the level rests on is in one of them.
        max_age_hours: the level was assessed at most this long ago, inclusive.
        disagreement: whether the reports of the person differ in level.
        itinerary: what was shown beside the code is like this.
        withheld: whether the holder shows the code in part only. With True, an age that
            is not disclosed counts from the attestation's issue: its issuer said then
            that the level holds.
    """

    levels: frozenset[Level] | None = None
    outcomes: frozenset[Outcome] | None = None
    refusals: frozenset[str] | None = None
    origins: frozenset[str] | None = None
    schemes: frozenset[str] | None = None
    states: frozenset[str] | None = None
    bases: frozenset[Basis] | None = None
    areas: frozenset[str] | None = None
    max_age_hours: int | None = None
    disagreement: bool | None = None
    itinerary: ItineraryMatch | None = None
    withheld: bool | None = None

    @property
    def report_conditions(self) -> bool:
        """Whether a condition is given that only a verified report can meet."""
        return any(
            condition is not None
            for condition in (
                self.schemes,
                self.states,
                self.bases,
                self.areas,
                self.max_age_hours,
                self.disagreement,
                self.itinerary,
                self.withheld,
            )
        )

    def may_be_about(self, subject: Level | Outcome | None) -> bool:
        """Whether evidence of this level or outcome, or refused evidence (None), may match."""
        if isinstance(subject, Level):
            return (
                self.outcomes is None
                and self.refusals is None
                and (self.levels is None or subject in self.levels)
            )
        if isinstance(subject, Outcome):
            return (
                self.refusals is None
                and not self.only_reports
                and (self.outcomes is None or subject in self.outcomes)
            )
        return self.outcomes is None and not self.only_reports

    @property
    def only_reports(self) -> bool:
        """Whether nothing but a verified report can match."""
        return self.levels is not None or self.report_conditions

    def to_document(self) -> dict[str, Any]:
        """The conditions as they stand under ``when``; lists in order."""
        when: dict[str, Any] = {
            name: sorted(values)
            for name, values in (
                ("origin", self.origins),
                ("level", self.levels),
                ("outcome", self.outcomes),
                ("refusal", self.refusals),
                ("scheme", self.schemes),
                ("state", self.states),
                ("basis", self.bases),
                ("area", self.areas),
            )
            if values is not None
        }
        if self.max_age_hours is not None:
            when["max_age_hours"] = self.max_age_hours
        if self.disagreement is not None:
            when["disagreement"] = self.disagreement
        if self.itinerary is not None:
            when["itinerary"] = self.itinerary.to_document()
        if self.withheld is not None:
            when["withheld"] = self.withheld
        return when


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy.

    Attributes:
        id: unique in the policy, lower case with hyphens.
        match: when it applies.
        verdict: what it leads to.
        days: with an observation, 1 to 28; else None.
        conditions: with ``ADMIT_WITH_CONDITIONS``, at least one; else empty.
        reason: the rule's own words; None: the evidence speaks for itself.
        source: where the rule is taken from.
        choice: what in it is the region's, or our, choice.
    """

    id: str
    match: Match
    verdict: Verdict
    days: int | None = None
    conditions: tuple[Words, ...] = ()
    reason: Reason | None = None
    source: str | None = None
    choice: str | None = None

    def __post_init__(self) -> None:
        faults = tuple(rule_faults(self.match, self.verdict, self.days, self.conditions))
        if not RULE_ID.fullmatch(self.id):
            faults = ((("id",), "not a rule id", RULE_ID_FIX), *faults)
        if faults:
            raise PolicyError(
                Problem(0, f"rule {self.id}", message, fix) for _, message, fix in faults
            )

    def to_document(self) -> dict[str, Any]:
        """The rule as it stands in a policy document."""
        document: dict[str, Any] = {
            "id": self.id,
            "when": self.match.to_document(),
            "verdict": self.verdict.value,
        }
        if self.days is not None:
            document["days"] = self.days
        if self.conditions:
            document["conditions"] = [condition.to_json() for condition in self.conditions]
        if self.reason is not None:
            document["reason"] = self.reason.to_json()
        if self.source is not None:
            document["source"] = self.source
        if self.choice is not None:
            document["choice"] = self.choice
        return document


def rule_faults(
    match: Match, verdict: Verdict, days: int | None, conditions: tuple[Words, ...]
) -> Iterator[Fault]:
    """What breaks the safety of a rule made of these parts."""
    yield from _match_faults(match)
    if verdict.admits:
        yield from _admission_faults(match, verdict)
    elif verdict.observes and not match.only_reports:
        yield (
            ("verdict",),
            "an observation that is not about verified levels",
            "name the levels; an outcome or a refusal is neither green nor red",
        )
    if verdict.observes != (days is not None):
        yield (
            ("days",),
            "days go with observation, and with nothing else",
            "give days to OBSERVE_HOME and OBSERVE_CENTRAL alone",
        )
    elif days is not None and not 1 <= days <= MAX_OBSERVATION_DAYS:
        yield ("days",), "too few or too many days", f"write 1 to {MAX_OBSERVATION_DAYS}"
    if (verdict is Verdict.ADMIT_WITH_CONDITIONS) != bool(conditions):
        yield (
            ("conditions",),
            "conditions go with ADMIT_WITH_CONDITIONS, and with nothing else",
            "name at least one condition, or change the verdict",
        )


def _match_faults(match: Match) -> Iterator[Fault]:
    subjects = [
        name
        for name, value in (
            ("level", match.levels),
            ("outcome", match.outcomes),
            ("refusal", match.refusals),
        )
        if value is not None
    ]
    if len(subjects) > 1:
        yield (
            ("when", subjects[1]),
            "a rule about more than one of level, outcome and refusal",
            "split the rule",
        )
    if match.report_conditions and (match.outcomes is not None or match.refusals is not None):
        yield (
            ("when", subjects[0]),
            "a condition that only a verified report can meet, on no report",
            "keep origin and outcome or refusal only",
        )
    for name, values in (
        ("level", match.levels),
        ("outcome", match.outcomes),
        ("refusal", match.refusals),
        ("origin", match.origins),
        ("scheme", match.schemes),
        ("state", match.states),
        ("basis", match.bases),
        ("area", match.areas),
    ):
        if values is not None and not values:
            yield ("when", name), "an empty list, which never matches", "name a value"
    yield from _prefix_faults(match)
    if match.itinerary is not None:
        yield from match.itinerary.faults()
    if match.refusals is not None and not match.refusals - {ANY_REFUSAL} <= REFUSAL_CODES:
        yield ("when", "refusal"), "a code that does not exist", "write a refusal code, or ANY"
    if match.max_age_hours is not None and match.max_age_hours < 1:
        yield ("when", "max_age_hours"), "less than an hour", "write 1 or more"


def _prefix_faults(match: Match) -> Iterator[Fault]:
    visited = None if match.itinerary is None else match.itinerary.visited
    for path, prefixes in (
        (("when", "origin"), match.origins),
        (("when", "area"), match.areas),
        (("when", "itinerary", "visited"), visited),
    ):
        for prefix in prefixes or ():
            try:
                if division_prefix(parse_division(prefix)) != prefix:
                    yield path, "not the shortest prefix", "leave out trailing 00"
            except DivisionError:
                yield path, "no known division", "write two, four or six digits"


def _admission_faults(match: Match, verdict: Verdict) -> Iterator[Fault]:
    if match.levels is None:
        yield (
            ("verdict",),
            f"{verdict} without naming a level: faults would be admitted",
            "name the levels in when.level",
        )
        return
    if verdict is Verdict.ADMIT and match.levels != {Level.GREEN}:
        yield (
            ("when", "level"),
            "ADMIT for a level that is not GREEN",
            "keep GREEN, or use ADMIT_WITH_CONDITIONS",
        )
    if Level.RED in match.levels:
        yield ("when", "level"), "RED would be admitted", "observe, refer or refuse it"
    if match.max_age_hours is None:
        yield (
            ("when", "max_age_hours"),
            f"{verdict} without a bound on the age of the assessment",
            f"write max_age_hours, at most {MAX_ADMISSION_AGE_HOURS}",
        )
    elif match.max_age_hours > MAX_ADMISSION_AGE_HOURS:
        yield (
            ("when", "max_age_hours"),
            "an assessment that old says nothing",
            f"write at most {MAX_ADMISSION_AGE_HOURS}",
        )
    if match.disagreement:
        yield (
            ("when", "disagreement"),
            "records that disagree would be admitted",
            "refer them to a person",
        )
