"""Finds rules that can never decide, because earlier ones always match before them.

Everything that may come is cut into *cases*: each level with and without
disagreeing reports, each outcome, each refusal code, and the refusal codes not
known here. A rule is unreachable when each case it is about is covered by one
earlier rule that is about that case and whose other conditions are no narrower.
So a rule that only several earlier ones cover together, by different origins
for example, is not found; what is found is certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.codes.divisions import contains
from gateway.codes.levels import Level, Outcome
from gateway.recognition.reasons import REFUSAL_CODES
from gateway.recognition.rules import ANY_REFUSAL, Match, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Case: TypeAlias = tuple[str, str, bool]

_UNKNOWN_REFUSAL: Final = "…"
_REPORTS: Final[frozenset[_Case]] = frozenset(
    # The first report is the most restrictive: behind a green one all are green.
    ("level", level, disagreement)
    for level in Level
    for disagreement in (False, True)
    if not (level is Level.GREEN and disagreement)
)
_OUTCOMES: Final[frozenset[_Case]] = frozenset(("outcome", each, False) for each in Outcome)
_REFUSALS: Final[frozenset[_Case]] = frozenset(
    ("refusal", code, False) for code in (*REFUSAL_CODES, _UNKNOWN_REFUSAL)
)


def unreachable_rules(rules: Sequence[Rule]) -> Iterator[tuple[int, str | None]]:
    """Each unreachable rule's place, and the id of an earlier rule that covers it.

    None in its stead: no case exists that the rule is about.
    """
    cases = [_cases(rule) for rule in rules]
    for place, rule in enumerate(rules):
        left = set(cases[place])
        coverer: str | None = None
        for earlier in range(place):
            if not left:
                break
            if left & cases[earlier] and _no_narrower(rules[earlier].match, rule.match):
                left -= cases[earlier]
                coverer = rules[earlier].id
        if not left:
            yield place, coverer


def _cases(rule: Rule) -> frozenset[_Case]:
    """The cases a rule is about."""
    match = rule.match
    if match.outcomes is not None:
        return frozenset(case for case in _OUTCOMES if case[1] in match.outcomes)
    if match.refusals is not None:
        if ANY_REFUSAL in match.refusals:
            return _REFUSALS
        return frozenset(case for case in _REFUSALS if case[1] in match.refusals)
    reports = frozenset(
        case
        for case in _REPORTS
        if (match.levels is None or case[1] in match.levels)
        and (match.disagreement is None or case[2] == match.disagreement)
        and not (rule.verdict.admits and case[2])
    )
    return reports if match.only_reports else reports | _OUTCOMES | _REFUSALS


def _no_narrower(earlier: Match, later: Match) -> bool:
    """Whether what meets the later's other conditions meets the earlier's too."""
    return (
        _prefixes_cover(earlier.origins, later.origins)
        and _prefixes_cover(earlier.areas, later.areas)
        and _schemes_cover(earlier.schemes, later.schemes)
        and _set_covers(earlier.states, later.states)
        and _set_covers(earlier.bases, later.bases)
        and earlier.itinerary in (None, later.itinerary)
        and earlier.withheld in (None, later.withheld)
        and (
            earlier.max_age_hours is None
            or (later.max_age_hours is not None and later.max_age_hours <= earlier.max_age_hours)
        )
    )


def _set_covers(earlier: frozenset[str] | None, later: frozenset[str] | None) -> bool:
    return earlier is None or (later is not None and later <= earlier)


def _prefixes_cover(earlier: frozenset[str] | None, later: frozenset[str] | None) -> bool:
    return earlier is None or (
        later is not None
        and all(any(contains(wide, narrow) for wide in earlier) for narrow in later)
    )


def _schemes_cover(earlier: frozenset[str] | None, later: frozenset[str] | None) -> bool:
    return earlier is None or (
        later is not None
        and all(name in earlier or name.partition("@")[0] in earlier for name in later)
    )
