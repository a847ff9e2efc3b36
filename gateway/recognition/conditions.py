"""What a rule asks, as a row of conditions that are made once and held against each case.

A policy is loaded once and decides about every traveller: a condition that is not given
costs nothing, prefixes stand ready to be compared, hours are seconds. Each condition
knows which member of a code it looks at, so that the same row also tells a rule that
cannot be judged because that member is withheld.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec import UNSET

from gateway.codes.levels import Level
from gateway.recognition.freshness import CLOCK_LEEWAY_SECONDS
from gateway.recognition.rules import ANY_REFUSAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.codes.levels import Outcome
    from gateway.recognition.case import Case
    from gateway.recognition.rules import Match


class Condition(NamedTuple):
    """One condition of a rule.

    Attributes:
        member: of the code, without which it cannot be judged; None: it always can.
        holds: whether a case meets it.
    """

    member: str | None
    holds: Callable[[Case], bool]


Conditions: TypeAlias = tuple[Condition, ...]


def conditions_of(match: Match) -> Conditions:
    """Make the conditions of a rule; it applies where all of them hold."""
    return tuple(_conditions(match))


def conditions_about(match: Match, subject: Level | Outcome | None) -> Conditions:
    """Make those that are left where ``match.may_be_about`` the subject of a case.

    A level is that of a report, and one that the rule names; an outcome likewise.
    """
    if subject is None:
        return conditions_of(match)
    left = [*_origin_condition(match)]
    if isinstance(subject, Level):
        left += _report_conditions(match)
    return tuple(left)


def ask_more(conditions: Conditions, case: Case) -> bool:
    """Whether everything holds but what cannot be told without what is withheld."""
    is_open = False
    for member, holds in conditions:
        if member in case.unknown:
            is_open = True
        elif not holds(case):
            return False
    return is_open


def _origin_condition(match: Match) -> Iterator[Condition]:
    if match.origins is not None:
        yield Condition(None, _origin_in(tuple(match.origins)))


def _conditions(match: Match) -> Iterator[Condition]:
    yield from _origin_condition(match)
    if match.outcomes is not None:
        outcomes = match.outcomes
        yield Condition(None, lambda case: case.outcome in outcomes)
    if match.refusals is not None:
        yield Condition(None, _refused_with(match.refusals))
    if match.levels is not None:
        yield Condition(None, _of_level(match.levels))
    elif match.only_reports:
        yield Condition(None, lambda case: case.report is not None)
    if match.only_reports:
        yield from _report_conditions(match)


def _report_conditions(match: Match) -> Iterator[Condition]:
    """Of cases that are known to have a report."""
    if match.max_age_hours is not None:
        yield _assessed_within(match.max_age_hours * 3600, counts_from_issue=bool(match.withheld))
    if match.schemes is not None:
        yield Condition("scheme", _of_scheme(match.schemes))
    if match.states is not None:
        states = match.states
        yield Condition("state", lambda case: case.report.state in states)
    if match.bases is not None:
        yield Condition("basis", _rests_on(match.bases))
    if match.areas is not None:
        yield Condition("area", _area_in(tuple(match.areas)))
    if match.withheld is not None:
        withheld = match.withheld
        yield Condition(None, lambda case: bool(case.withheld) is withheld)
    if match.disagreement is not None:
        disagreement = match.disagreement
        yield Condition("also", lambda case: case.disagreement is disagreement)
    if match.itinerary is not None:
        itinerary = match.itinerary
        yield Condition(None, lambda case: itinerary.holds(case.itinerary))


def _origin_in(prefixes: tuple[str, ...]) -> Callable[[Case], bool]:
    def holds(case: Case) -> bool:
        return case.origin is not None and case.origin.startswith(prefixes)

    return holds


def _of_level(levels: frozenset[Level]) -> Callable[[Case], bool]:
    return lambda case: case.report is not None and case.report.level in levels


def _refused_with(codes: frozenset[str]) -> Callable[[Case], bool]:
    if ANY_REFUSAL in codes:
        return lambda case: case.refusal is not None
    return lambda case: case.refusal in codes


def _assessed_within(seconds: int, *, counts_from_issue: bool) -> Condition:
    """The age of the assessment; where it may count from the issue, it is always known."""

    def holds(case: Case) -> bool:
        age = case.assessed_age
        if age is None and counts_from_issue:
            age = case.issued_age
        return age is not None and -CLOCK_LEEWAY_SECONDS <= age <= seconds

    return Condition(None if counts_from_issue else "assessed_at", holds)


def _of_scheme(schemes: frozenset[str]) -> Callable[[Case], bool]:
    def holds(case: Case) -> bool:
        scheme = case.report.scheme
        return scheme is not UNSET and (scheme in schemes or scheme.partition("@")[0] in schemes)

    return holds


def _rests_on(bases: frozenset[str]) -> Callable[[Case], bool]:
    def holds(case: Case) -> bool:
        basis = case.report.basis
        return basis is not UNSET and not bases.isdisjoint(basis)

    return holds


def _area_in(prefixes: tuple[str, ...]) -> Callable[[Case], bool]:
    def holds(case: Case) -> bool:
        area = case.report.area
        return area is not UNSET and area.startswith(prefixes)

    return holds
