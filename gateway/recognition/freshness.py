"""How old what a decision rests on may be, in steps; and one person at two places.

A policy may say, for each of trust, policy and status, from which age on it warns,
refers to a person, or refuses::

    freshness:
      trust: {warn_hours: 6, refer_hours: 24, refuse_hours: 168}
      status: {warn_hours: 2, refer_hours: 12}

Any subset, increasing; a limit is inclusive: at exactly that age the step before it
still holds. Where ``refer_hours`` is left out, the limit of ``ages`` refers; the status
has none there, so the one of trust stands in: what the feed carries is no fresher
than the feed. An age that is not known refers, whatever the steps say.

The ages are those of ``Ages``; the age of the *status* is the time since the issuer
last vouched for this attestation: when it signed its newest word on its status list,
or, for an attestation without one, when it signed the attestation itself.

``replay: {minutes: 30, verdict: refer}`` says what follows when another checkpoint
reported the same attestation within that time. It weighs only on an admission:
nobody is treated better for having been seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.recognition import reasons as catalogue
from gateway.recognition.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.recognition.evidence import Ages
    from gateway.recognition.policy import AgeLimits
    from gateway.recognition.rules import Fault

MAX_REPLAY_MINUTES: Final = 24 * 60
"""Longest window of a repeat: a day, the longest life of a carried attestation."""

STEP_NAMES: Final = ("warn_hours", "refer_hours", "refuse_hours")
SUBJECTS: Final = ("trust", "policy", "status")

CLOCK_LEEWAY_SECONDS: Final = 300
"""How far ahead a platform's clock may run before its times mean nothing. Our
choice: the clocks of offices without time servers, not of attackers."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Limits in hours, increasing; None: the step is not taken.

    Attributes:
        warn: beyond it the decision stands and says how old it is.
        refer: beyond it a person decides.
        refuse: beyond it nothing is decided on it any more.
    """

    warn: int | None = None
    refer: int | None = None
    refuse: int | None = None

    def to_document(self) -> dict[str, int]:
        """The limits as they stand in a policy document."""
        given = zip(STEP_NAMES, (self.warn, self.refer, self.refuse), strict=True)
        return {name: hours for name, hours in given if hours is not None}

    def faults(self, subject: str, otherwise: int, longest: int) -> Iterator[Fault]:
        """What makes the limits void: path, what is wrong, how to mend it.

        Args:
            subject: whose limits.
            otherwise: limit of ``ages`` that refers where ``refer`` is None, hours.
            longest: greatest number of hours.
        """
        place = ("freshness", subject)
        given = [
            (name, hours)
            for name, hours in zip(STEP_NAMES, (self.warn, self.refer, self.refuse), strict=True)
            if hours is not None
        ]
        if not given:
            yield place, "no limit, which is none at all", "name one of " + ", ".join(STEP_NAMES)
        for name, hours in given:
            if not 1 <= hours <= longest:
                yield (*place, name), f"not 1 to {longest} hours", f"write 1 to {longest}"
        for (_, before), (name, hours) in pairwise(given):
            if hours <= before:
                yield (
                    (*place, name),
                    "not greater than the limit before it",
                    "let them grow: warn, refer, refuse",
                )
        if self.warn is not None and self.refer is None and self.warn >= otherwise:
            yield (
                (*place, "warn_hours"),
                f"never reached: `ages` refers after {otherwise} hours",
                "write fewer hours, or refer_hours beside it",
            )


@dataclass(frozen=True, slots=True)
class Freshness:
    """The steps of each subject; None: the limits of ``ages`` alone."""

    trust: Steps | None = None
    policy: Steps | None = None
    status: Steps | None = None

    def to_document(self) -> dict[str, Any]:
        """The section as it stands in a policy document."""
        given = zip(SUBJECTS, (self.trust, self.policy, self.status), strict=True)
        return {name: steps.to_document() for name, steps in given if steps is not None}

    def faults(self, ages: AgeLimits, longest: int) -> Iterator[Fault]:
        """What makes the section void; see :meth:`Steps.faults`."""
        if self == Freshness():
            yield ("freshness",), "an empty section", "name trust, policy or status"
        limits = (ages.trust, ages.policy, ages.trust)
        for name, steps, otherwise in zip(
            SUBJECTS, (self.trust, self.policy, self.status), limits, strict=True
        ):
            if steps is not None:
                yield from steps.faults(name, otherwise, longest)


class ReplayVerdict(StrEnum):
    """What follows from a repeat elsewhere."""

    WARN = "warn"
    REFER = "refer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Replay:
    """What follows when an attestation was shown elsewhere within some minutes.

    Attributes:
        minutes: 1 to 1 440, inclusive; also the length of the spans of a tag.
        verdict: what becomes of an admission.
    """

    minutes: int
    verdict: ReplayVerdict

    def to_document(self) -> dict[str, Any]:
        """The section as it stands in a policy document."""
        return {"minutes": self.minutes, "verdict": self.verdict.value}


class Findings(msgspec.Struct):
    """What ages and a repeat do to a verdict: the gravest that is not empty decides."""

    warnings: tuple[Reason, ...] = ()
    doubts: tuple[Reason, ...] = ()
    refusals: tuple[Reason, ...] = ()


_NO_STEPS: Final = Steps()
_NO_FRESHNESS: Final = Freshness()


class QuietAges(msgspec.Struct, frozen=True, gc=False):
    """The greatest age of each subject, in seconds, at which no step is taken."""

    trust: int
    policy: int
    status: int

    def cover(self, ages: Ages, *, needs_status: bool) -> bool:
        """Whether there is nothing to say, so that :func:`judge_ages` need not be asked."""
        trust, policy, status = ages.trust_seconds, ages.policy_seconds, ages.status_seconds
        return (
            trust is not None
            and -CLOCK_LEEWAY_SECONDS <= trust <= self.trust
            and policy is not None
            and -CLOCK_LEEWAY_SECONDS <= policy <= self.policy
            and (
                not needs_status
                if status is None
                else -CLOCK_LEEWAY_SECONDS <= status <= self.status
            )
        )


def quiet_ages(limits: AgeLimits, freshness: Freshness | None) -> QuietAges:
    """The first limit of each subject, whatever it leads to."""
    steps = freshness or _NO_FRESHNESS
    given = (steps.trust, steps.policy, steps.status)
    otherwise = (limits.trust, limits.policy, limits.trust)
    return QuietAges(*map(_first_limit, given, otherwise))


def _first_limit(steps: Steps | None, otherwise: int) -> int:
    given = steps or _NO_STEPS
    refer = otherwise if given.refer is None else given.refer
    limits = (given.warn, refer, given.refuse)
    return min(hours for hours in limits if hours is not None) * 3600


def judge_ages(
    limits: AgeLimits, freshness: Freshness | None, ages: Ages, *, needs_status: bool
) -> Findings:
    """Hold the ages of trust, policy and status against a policy.

    Args:
        limits: the ``ages`` of the policy.
        freshness: its steps, where it has some.
        ages: as known at the moment of deciding.
        needs_status: whether the evidence names a status list, so that an unknown
            status is one more doubt.
    """
    found = Findings()
    steps = freshness or _NO_FRESHNESS
    _judge(found, "TRUST", ages.trust_seconds, steps.trust, limits.trust)
    _judge(found, "POLICY", ages.policy_seconds, steps.policy, limits.policy)
    if needs_status or (steps.status is not None and ages.status_seconds is not None):
        _judge(found, "STATUS", ages.status_seconds, steps.status, limits.trust)
    return found


def judge_repeat(found: Findings, replay: Replay, elsewhere_seconds: int, *, admits: bool) -> None:
    """Note that the attestation was shown elsewhere, as far as the policy minds."""
    if elsewhere_seconds > replay.minutes * 60:
        return
    if replay.verdict is ReplayVerdict.WARN or not admits:
        found.warnings = (*found.warnings, catalogue.SEEN_ELSEWHERE)
    elif replay.verdict is ReplayVerdict.REFER:
        found.doubts = (*found.doubts, catalogue.SEEN_ELSEWHERE)
    else:
        found.refusals = (*found.refusals, catalogue.SEEN_ELSEWHERE)


def _judge(
    found: Findings, subject: str, age: int | None, steps: Steps | None, otherwise: int
) -> None:
    steps = steps or _NO_STEPS
    words = catalogue.AGE_REASONS[subject]
    if age is None or age < -CLOCK_LEEWAY_SECONDS:
        found.doubts = (*found.doubts, words.unknown)
    elif steps.refuse is not None and age > steps.refuse * 3600:
        found.refusals = (*found.refusals, words.beyond_use)
    elif age > (otherwise if steps.refer is None else steps.refer) * 3600:
        found.doubts = (*found.doubts, words.too_old)
    elif steps.warn is not None and age > steps.warn * 3600:
        found.warnings = (*found.warnings, words.ageing)
