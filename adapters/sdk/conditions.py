"""A destination's condition: which attestations become a local code.

Pure. The condition is data (``import`` of the scheme's version); each function here
holds one rule of it against a verified attestation and says the refusal, or None. Of
several rules that do not hold, the first in order of :data:`RULES` is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapters.sdk.reports import OutcomeReport
from gateway.attestation.regions import region_code
from gateway.codes.conversion import ImportRefusal
from gateway.codes.levels import Level, Outcome, TriState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from adapters.sdk.reports import Fetched
    from gateway.attestation.claims import Attestation
    from gateway.codes.scheme_model import ImportRule, SchemeVersion
    from gateway.codes.unified import Declarations

LEEWAY: Final = timedelta(seconds=60)
"""What two regions' clocks may differ, as for attestations (HT-ATT-6)."""

# Answers of the platform that say that it holds nothing that could stand against it.
_NOTHING_HELD: Final = frozenset(
    {Outcome.NOT_FOUND, Outcome.NOT_APPLIED, Outcome.WRONG_REGION, Outcome.EVIDENCE_ONLY}
)
_NO_ANSWER: Final = frozenset(
    {Outcome.SOURCE_BUSY, Outcome.SOURCE_TIMED_OUT, Outcome.SOURCE_UNPARSABLE}
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a condition is held against.

    Attributes:
        attestation: verified, and about the document that is shown.
        declarations: the holder's own answers to the destination.
        rule: the condition.
        own_prefixes: divisions of the destination.
        now: the clock.
    """

    attestation: Attestation = field(repr=False)
    declarations: Declarations = field(repr=False)
    rule: ImportRule
    own_prefixes: tuple[str, ...]
    now: datetime

    @property
    def origin(self) -> str:
        """Six digits of the region whose level it is."""
        return region_code(self.attestation.issuer)

    @property
    def negative_test_at(self) -> datetime | None:
        """The newest test that any report states."""
        tests = [
            report.negative_test_at
            for report in self.attestation.code.reports
            if report.negative_test_at is not None
        ]
        return max(tests, default=None)

    @property
    def valid_until(self) -> datetime:
        """The latest end of the local code: the rule's life, and no clock of the origin's."""
        ends = [self.now.replace(microsecond=0) + timedelta(seconds=self.rule.life_seconds)]
        for report in self.attestation.code.reports:
            ends += [
                end
                for end in (report.valid_until, report.declaration_valid_until)
                if end is not None
            ]
        return min(ends)


def first_refusal(conversion: Conversion) -> ImportRefusal | None:
    """Return the first rule that does not hold; None: the code may be converted."""
    for rule in RULES:
        refusal = rule(conversion)
        if refusal is not None:
            return refusal
    return None


def origin_is_taken(conversion: Conversion) -> ImportRefusal | None:
    """The origin and every report's scheme is one that the destination converts.

    A code of the destination's own is never one: there is nothing to convert.
    """
    origin, rule = conversion.origin, conversion.rule
    if origin.startswith(conversion.own_prefixes):
        return ImportRefusal.ORIGIN
    if rule.origins is not None and not origin.startswith(_prefixes(rule.origins)):
        return ImportRefusal.ORIGIN
    if rule.schemes is not None:
        for report in conversion.attestation.code.reports:
            if not {report.scheme, report.scheme.partition("@")[0]} & set(rule.schemes):
                return ImportRefusal.ORIGIN
    return None


def level_converts(conversion: Conversion) -> ImportRefusal | None:
    """Every report's level is one that the destination converts."""
    levels = {report.level for report in conversion.attestation.code.reports}
    return None if levels <= conversion.rule.levels else ImportRefusal.LEVEL


def is_recent(conversion: Conversion) -> ImportRefusal | None:
    """Every report was assessed recently, and something is left of its life."""
    longest, now = timedelta(seconds=conversion.rule.max_age_seconds), conversion.now
    for report in conversion.attestation.code.reports:
        if not -LEEWAY <= now - report.assessed_at <= longest:
            return ImportRefusal.TOO_OLD
    return ImportRefusal.TOO_OLD if conversion.valid_until <= now else None


def is_tested(conversion: Conversion) -> ImportRefusal | None:
    """A negative test is stated and recent, where the destination requires one."""
    seconds = conversion.rule.negative_test_max_age_seconds
    if seconds is None:
        return None
    test = conversion.negative_test_at
    if test is None or not -LEEWAY <= conversion.now - test <= timedelta(seconds=seconds):
        return ImportRefusal.TEST
    return None


def answers_are_no(conversion: Conversion) -> ImportRefusal | None:
    """Each of the holder's own answers is no, where the destination requires it."""
    if not conversion.rule.answers_must_be_no:
        return None
    answers = conversion.declarations
    if {answers.contact, answers.risk_area, answers.overseas} == {TriState.NO}:
        return None
    return ImportRefusal.DECLARATION


RULES: Final[tuple[Callable[[Conversion], ImportRefusal | None], ...]] = (
    origin_is_taken,
    level_converts,
    is_recent,
    is_tested,
    answers_are_no,
)
"""In the order in which a refusal is told."""


def own_record(version: SchemeVersion, fetched: Fetched) -> ImportRefusal | None:
    """Say whether what the destination holds itself stands against a conversion.

    A conversion never overwrites a record of the destination that is less than green,
    in force or not; and what is not understood is not green.

    Args:
        version: the destination's, in force now.
        fetched: what its platform holds about the document.
    """
    if isinstance(fetched, OutcomeReport):
        if fetched.outcome in _NO_ANSWER:
            return ImportRefusal.PLATFORM
        return None if fetched.outcome in _NOTHING_HELD else ImportRefusal.OWN_RECORD
    for report in fetched.reports:
        rule = version.states.get(report.state)
        if rule is None or not (rule.level is Level.GREEN or rule.outcome in _NOTHING_HELD):
            return ImportRefusal.OWN_RECORD
    return None


def _prefixes(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Shortest prefixes: ``330000`` stands for all of ``33``."""
    found = []
    for origin in origins:
        prefix = origin
        while prefix.endswith("00"):
            prefix = prefix[:-2]
        found.append(prefix)
    return tuple(found)
