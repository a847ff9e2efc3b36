"""Evidence as the rules see it: a level and what it rests on, an outcome, or a refusal.

A verified attestation is looked at as it stands in the token, in whole seconds: its
moments and its code are made into values only for whoever shows them to a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.attestation.code_claim import to_seconds
from gateway.attestation.disclosed import CODE_MEMBERS, CodePart, DisclosedAttestation
from gateway.attestation.in_form import InForm
from gateway.codes.divisions import DivisionError, contains
from gateway.codes.itinerary import Itinerary
from gateway.codes.levels import Level, Outcome
from gateway.recognition import reasons as catalogue
from gateway.recognition.evidence import OutcomeEvidence, VerifiedEvidence
from gateway.recognition.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.code_claim import CodeClaim
    from gateway.attestation.disclosed import DisclosedCode
    from gateway.recognition.evidence import Evidence

EXPIRY_LEEWAY_SECONDS: Final = 120
"""An attestation that the verifier just accepted must not expire on the way here:
twice the verifier's own leeway of 60 seconds."""

_NOTHING: Final[frozenset[str]] = frozenset()
_AUDIENCE: Final = "urn:hutong:region:"
# Asking the class of an enumeration for a member costs more than comparing with it.
_GREEN: Final = Level.GREEN


class Case(msgspec.Struct, gc=False):
    """What is decided on; made and dropped within one decision.

    Attributes:
        reasons: what the evidence says of itself.
        origin: the division that issued the report, or that was asked; None: unknown.
        outcome: of an answer that is no level; else None.
        refusal: code of refused evidence; else None.
        report: the code claim of a verified attestation; else None.
        withheld: members of the code that are not disclosed.
        unknown: those of them that may change what holds.
        issued_age: seconds since the attestation was signed; None: no attestation.
        disagreement: whether reports differ in level, or may.
        has_expired: whether the code or its declaration is over.
        assessed_age: seconds since the assessment; None: not known.
        source_age: seconds since the platform's last update; None: not known.
        itinerary: what was shown beside the code.
    """

    reasons: tuple[Reason, ...]
    origin: str | None
    outcome: Outcome | None = None
    refusal: str | None = None
    report: Any = None
    withheld: frozenset[str] = _NOTHING
    unknown: frozenset[str] = _NOTHING
    issued_age: int | None = None
    disagreement: bool = False
    has_expired: bool = False
    assessed_age: int | None = None
    source_age: int | None = None
    itinerary: Itinerary | None = None

    def __repr__(self) -> str:
        """Without what it says about a person."""
        return f"Case(origin={self.origin!r})"

    @property
    def subject(self) -> Level | Outcome | None:
        """The level or outcome that rules are chosen by; None: refused evidence."""
        subject: Level | Outcome | None = self.outcome if self.report is None else self.report.level
        return subject


def case_of(evidence: Evidence, region: str, now: datetime) -> Case:
    """Look at evidence for a region at a moment.

    An attestation for another region or past its end is refused evidence; a green code
    past its end, or that of its declaration, is the outcome that says so.
    """
    if isinstance(evidence, VerifiedEvidence):
        return _attested_case(evidence.attestation, region, now)
    if isinstance(evidence, OutcomeEvidence):
        return _outcome_case(evidence.outcome, evidence.origin)
    return _refusal_case(evidence.code, evidence.origin)


def _attested_case(
    attestation: Attestation | DisclosedAttestation, region: str, now: datetime
) -> Case:
    if isinstance(attestation, DisclosedAttestation):
        report: CodeClaim = _part_of(attestation.code)
        withheld = attestation.code.withheld
        expires, issued = to_seconds(attestation.expires_at), to_seconds(attestation.issued_at)
    else:
        claims = attestation.claims
        report, withheld, expires, issued = claims.code, _NOTHING, claims.exp, claims.iat
    second = to_seconds(now)
    issued_age = second - issued
    if issued_age < 0:
        issued_age = _cut_off(issued_age, now)
    addressed = (attestation.audience, region)
    if addressed not in _ADDRESSED and not _is_for(addressed):
        return _refusal_case("AUDIENCE_MISMATCH", report.issued_by, issued_age)
    if expires + EXPIRY_LEEWAY_SECONDS <= second:
        return _refusal_case("ATTESTATION_EXPIRED", report.issued_by, issued_age)
    level, end, declaration_end = report.level, report.valid_until, report.declaration_valid_until
    code_over = end is not UNSET and end <= second
    has_expired = code_over or (declaration_end is not UNSET and declaration_end <= second)
    is_green = level is _GREEN
    if is_green and has_expired:
        ended = Outcome.CODE_EXPIRED if code_over else Outcome.DECLARATION_EXPIRED
        return _outcome_case(ended, report.issued_by, issued_age)
    said = catalogue.level_reasons(level)
    if code_over:
        said = (*said, catalogue.outcome_reason(Outcome.CODE_EXPIRED))
    differs = report.also is not UNSET and any(other.level is not level for other in report.also)
    if differs:
        said = (catalogue.RECORDS_DISAGREE, *said)
    # The first report is the most restrictive: behind a green one all are green.
    unknown = withheld - {"also"} if withheld and is_green else withheld
    return Case(
        said,
        report.issued_by,
        None,
        None,
        report,
        withheld,
        unknown,
        issued_age,
        differs or "also" in unknown,
        has_expired,
        _age_of(report.assessed_at, now, second),
        _age_of(report.source_at, now, second),
    )


def _age_of(moment: int | UnsetType, now: datetime, second: int) -> int | None:
    """Seconds since a second, the fraction cut off; None: the second is not known.

    Args:
        moment: seconds since the epoch.
        now: the clock.
        second: the clock in whole seconds since the epoch.
    """
    if moment is UNSET:
        return None
    age = second - moment
    return age if age >= 0 else _cut_off(age, now)


def _cut_off(age: int, now: datetime) -> int:
    """An age below zero, its fraction cut off as above zero: towards it."""
    return age + 1 if now.microsecond else age


def _outcome_case(outcome: Outcome, origin: str | None, issued_age: int | None = None) -> Case:
    said = (catalogue.outcome_reason(outcome),)
    return Case(said, origin, outcome=outcome, issued_age=issued_age)


def _refusal_case(code: str, origin: str | None, issued_age: int | None = None) -> Case:
    return Case((catalogue.refusal_reason(code),), origin, refusal=code, issued_age=issued_age)


def _check_addressed(addressed: tuple[str, str]) -> None:
    """Holds a region against an audience, which is a region or a prefix of regions.

    Raises:
        ValueError: it does not contain the region.
        DivisionError: one of them is no division.
    """
    audience, region = addressed
    if not audience.startswith(_AUDIENCE) or not contains(audience.removeprefix(_AUDIENCE), region):
        raise ValueError("for another region")


_ADDRESSED: Final = InForm(_check_addressed)


def _is_for(addressed: tuple[str, str]) -> bool:
    try:
        _ADDRESSED.learn(addressed)
    except (ValueError, DivisionError):
        return False
    return True


def _part_of(code: DisclosedCode) -> CodePart:
    """What rules look at of a code that is shown in part, as claims."""
    moments = ("assessed_at", "source_at", "valid_until", "declaration_valid_until")
    members: dict[str, Any] = dict.fromkeys(CODE_MEMBERS, UNSET)
    members |= {name: _or_unset(getattr(code, name)) for name in ("scheme", "state", "area")}
    members |= {name: _second_of(getattr(code, name)) for name in moments}
    members |= {
        "level": code.level,
        "issued_by": code.issued_by,
        "basis": tuple(code.basis) or UNSET,
        "also": code.also or UNSET,
    }
    return CodePart(**members, told=code.disclosed)


def _or_unset(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value


def _second_of(moment: datetime | None) -> int | UnsetType:
    return UNSET if moment is None else to_seconds(moment)
