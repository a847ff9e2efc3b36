"""What came of an act, whoever said it: one shape for verdicts, conversions and words.

A gate decides, a destination converts or does not, a platform answers in words of its
own: each is something that was seen, what followed from it, and why. Facts stand
beside it, and each of them is an expectation too: one that does not hold fails the act.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.demo.regions import PLACES
from gateway.cli.verdict import age_text, verdict_colour, verdict_words
from gateway.errors import InternalError
from gateway.recognition import OutcomeEvidence, RefusedEvidence, VerifiedEvidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.edge import Conversion, Result
    from gateway.recognition import Reason

CONVERTED: Final = "CONVERTED"
NOT_CONVERTED: Final = "NOT_CONVERTED"
GOOD: Final = "bold black on green"
UNDECIDED: Final = "bold white on blue"
"""Styles of what is no verdict; those of verdicts are the gate's own."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else that must have come out.

    Attributes:
        en: in English.
        zh: in Chinese.
        holds: whether it did.
    """

    en: str
    zh: str
    holds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What came of an act.

    Attributes:
        seen: the level, the outcome, the code of a refusal, or a region's own words.
        verdict: what followed, a stable word.
        zh: the same for people, in Chinese.
        en: the same in English.
        style: of its block.
        is_good: whether the traveller goes on at once.
        reasons: why, the rule's own first.
        facts: what must have come out beside it.
        milliseconds: how long it took.
        small_print: how it was done, and how old what it rests on is.
        details: further members for scripts.
    """

    seen: str
    verdict: str
    zh: str
    en: str
    style: str
    is_good: bool
    reasons: tuple[Reason, ...]
    facts: tuple[Fact, ...] = ()
    milliseconds: float
    small_print: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def decided(result: Result, *facts: Fact) -> Scene:
    """A checkpoint's decision."""
    decision = result.decision
    zh, en = verdict_words(decision)
    ages = decision.ages
    aged = [f"trust {age_text(ages.trust_seconds)}"]
    if ages.source_seconds is not None:
        aged.append(f"source {age_text(ages.source_seconds)}")
    return Scene(
        seen=seen_in(result),
        verdict=decision.verdict.value,
        zh=zh,
        en=en,
        style=verdict_colour(decision.verdict),
        is_good=decision.verdict.admits,
        reasons=tuple(decision.reasons),
        facts=(*_answered_instead(result.instead_of), *facts),
        milliseconds=result.milliseconds,
        small_print=(result.path, *aged),
        details={
            "days": decision.days,
            "ages": ages.to_json(),
            "path": result.path,
            "instead_of": result.instead_of,
        },
    )


def converted(conversion: Conversion, *facts: Fact) -> Scene:
    """What came of a conversion: the state of the new local code, or why there is none."""
    code = conversion.local_code
    return Scene(
        seen=conversion.reason.code if code is None else code.state,
        verdict=NOT_CONVERTED if code is None else CONVERTED,
        zh="未转码" if code is None else "已转码",
        en="NOT CONVERTED" if code is None else "CONVERTED",
        style=UNDECIDED if code is None else GOOD,
        is_good=code is not None,
        reasons=(conversion.reason,),
        facts=facts,
        milliseconds=conversion.milliseconds,
        small_print=("both legs sealed, joined by the holder's side",),
        details={"scheme": None if code is None else code.scheme},
    )


def seen_in(result: Result) -> str:
    """The level, the outcome, or the code of the refusal that was decided on."""
    evidence = result.evidence
    if isinstance(evidence, VerifiedEvidence):
        return evidence.attestation.code.level.value
    if isinstance(evidence, OutcomeEvidence):
        return evidence.outcome.value
    if isinstance(evidence, RefusedEvidence):
        return evidence.code
    raise InternalError("unknown evidence", code="DEMO_ACT")


def _answered_instead(region: str | None) -> tuple[Fact, ...]:
    if region is None:
        return ()
    place = PLACES.get(region, region)
    return (
        Fact(
            f"answered by the national code, for {place.rpartition(' ')[2]} has none",
            f"{place.partition(' ')[0]}没有本地码，由全国码回答",
        ),
    )
