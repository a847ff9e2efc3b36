"""A rule as values: versions, their rules, and the closed set of conditions.

A **condition** looks at one kind of fact. Where a fact meets it, the fact *imposes*
the rule's level from then on, until the person has checked in normally on as many days
in a row as the rule asks, all of them after the exposure ended and after it was known.
Nothing else ends it but the withdrawal of the fact: neither a day that passes nor a
list of areas that changes. The windows (``within_days``) say how old an exposure may
be when it becomes known.

Of all that is imposed on a person the most severe level holds; among rules of that
level, the one that holds longest; among those, the one that stands first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gateway.codes import Problem
from gateway.issuer.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.codes import Basis, Choice, Level, Source, TriState
    from gateway.issuer.values import AreaRisk, ContactKind, StayKind, Symptom


@dataclass(frozen=True, slots=True)
class ContactWhen:
    """A contact of one of the kinds that lay at most so many days back when it was known."""

    kinds: frozenset[ContactKind]
    within_days: int


@dataclass(frozen=True, slots=True)
class StayWhen:
    """A stay in an area of at least this risk.

    Attributes:
        risk: MEDIUM or HIGH.
        within_days: the stay ended at most so many days before both it and the risk
            of the area were known; one that lasts fulfils any number.
        of: journeys, residence, or both.
        stays_at_least: so many such stays, counting those that ended in the days of
            the window before this one ended.
        days_at_least: so many calendar days in them together.
    """

    risk: AreaRisk
    within_days: int
    of: frozenset[StayKind]
    stays_at_least: int
    days_at_least: int


@dataclass(frozen=True, slots=True)
class TemperatureWhen:
    """A declared temperature of at least this, in tenths of a degree Celsius."""

    at_least_decicelsius: int


@dataclass(frozen=True, slots=True)
class SymptomsWhen:
    """Any of these symptoms declared."""

    any_of: frozenset[Symptom]


@dataclass(frozen=True, slots=True)
class AnswerWhen:
    """A question answered in one of these ways.

    Attributes:
        question: ``contact``, ``risk_area`` or ``overseas``.
        is_one_of: YES, UNSURE, or both.
    """

    question: str
    is_one_of: frozenset[TriState]


Condition: TypeAlias = ContactWhen | StayWhen | TemperatureWhen | SymptomsWhen | AnswerWhen


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: unique in its version, for example ``red-contact``.
        number: unique over all versions, 1 to 999, rising within a version; what the
            tables hold.
        level: what it gives.
        when: the condition; None: the rule that holds where no other does.
        basis: what the level rests on.
        release_days: normal check-ins in a row on the way back; zero with green.
        reason_zh: for the holder.
        reason_en: for the holder.
        evidence: keys of the version's sources.
        choice: what in it is our choice and why; empty: nothing.
    """

    id: str
    number: int
    level: Level
    when: Condition | None
    basis: frozenset[Basis]
    release_days: int
    reason_zh: str
    reason_en: str
    evidence: tuple[str, ...]
    choice: str


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """The rule in one dated version.

    Attributes:
        id: for example ``native-2020-02``.
        name_zh: its name.
        name_en: its name.
        explanation_zh: how it works, for everybody.
        explanation_en: how it works, for everybody.
        valid_from: in force from here on, until the next version.
        declaration_days: how long a declaration holds.
        normal_below_decicelsius: a temperature below this is normal.
        rules: the most severe first.
        green: what holds where none of them does.
        sources: where it is taken from.
        choices: what is chosen in it as a whole.
    """

    id: str
    name_zh: str
    name_en: str
    explanation_zh: str
    explanation_en: str
    valid_from: datetime
    declaration_days: int
    normal_below_decicelsius: int
    rules: tuple[Rule, ...]
    green: Rule
    sources: tuple[Source, ...]
    choices: tuple[Choice, ...]

    def full_id(self, rule: Rule) -> str:
        """The name of a rule on the wire: ``native-2020-02/red-contact``."""
        return f"{self.id}/{rule.id}"

    @property
    def contact_window_days(self) -> int:
        """How far back a reported contact may lie and still mean something."""
        conditions = [rule.when for rule in self.rules]
        return max(
            (when.within_days for when in conditions if isinstance(when, ContactWhen)), default=0
        )


class RuleBook:
    """Every version there ever was: what is in force, and what a number meant.

    Raises:
        RuleError: two versions share an id, a day or the number of a rule.
    """

    def __init__(self, versions: Sequence[RuleVersion]) -> None:
        self._versions = tuple(sorted(versions, key=lambda each: each.valid_from))
        self._by_number: dict[int, tuple[RuleVersion, Rule]] = {}
        if not versions:
            raise RuleError([_problem("there is no rule", "ship one")])
        if len({each.id for each in versions}) < len(versions):
            raise RuleError([_problem("two versions share an id", "rename one")])
        if len({each.valid_from for each in versions}) < len(versions):
            raise RuleError([_problem("two versions begin at once", "date one differently")])
        for version in self._versions:
            for rule in (*version.rules, version.green):
                if rule.number in self._by_number:
                    raise RuleError(
                        [_problem(f"the number {rule.number} stands twice", "choose another")]
                    )
                self._by_number[rule.number] = (version, rule)

    @property
    def versions(self) -> tuple[RuleVersion, ...]:
        """All, the oldest first."""
        return self._versions

    def in_force(self, now: datetime) -> RuleVersion:
        """The version that decides at this moment.

        Raises:
            RuleError: none was in force yet.
        """
        found = [each for each in self._versions if each.valid_from <= now]
        if not found:
            raise RuleError([_problem("no version is in force yet", "date the first earlier")])
        return found[-1]

    def rule(self, number: int) -> tuple[RuleVersion, Rule]:
        """The rule that a number stands for.

        Raises:
            RuleError: none; the tables were written with versions that are not here.
        """
        found = self._by_number.get(number)
        if found is None:
            raise RuleError(
                [_problem(f"no rule has the number {number}", "bring its version back")]
            )
        return found


def _problem(message: str, fix: str) -> Problem:
    return Problem(0, "", message, fix)
