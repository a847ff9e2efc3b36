"""Decides: a policy applied to evidence, at a moment, with the ages of everything.

``decide`` is a pure function: the same policy, evidence, moment and ages give
the same decision for ever, which is what lets a receipt be replayed.

It fails closed on its own account, whatever the policy says:

* nothing but a verified report of a level that the rule names is admitted;
* an attestation for another audience, or past its end, is refused evidence;
* a green code past its own end, or the end of its declaration, is the outcome
  that says so, not green; past its end, no other level is admitted either;
* records that differ in level are never admitted;
* trust, policy or status that is too old, or of unknown age, refers to a person or
  refuses, in the steps of the policy (:mod:`.freshness`);
* what the issuer has revoked or put on hold is refused, unless a rule names that
  very code; how old the knowledge is changes nothing about it;
* a rule that asks for what the holder does not disclose, and whose other conditions
  hold, is neither passed over nor followed: a person decides, or more is shown;
* a record that the source has not updated for too long is not admitted;
* what lies further in the future than clocks differ has no age at all;
* an itinerary shown beside a code can only be weighed with it: without a verified
  report it is nothing, and one that is not of these days was not shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.attestation.disclosed import DisclosedCode
from gateway.codes.divisions import DivisionError, contains
from gateway.codes.levels import Level, Outcome
from gateway.errors import InternalError
from gateway.recognition import reasons as catalogue
from gateway.recognition.evidence import (
    Ages,
    Decision,
    Evidence,
    OutcomeEvidence,
    RefusedEvidence,
    VerifiedEvidence,
)
from gateway.recognition.freshness import (
    CLOCK_LEEWAY_SECONDS,
    Findings,
    judge_ages,
    judge_repeat,
)
from gateway.recognition.prefixes import in_prefixes
from gateway.recognition.rules import ANY_REFUSAL, Match, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.codes.itinerary import Itinerary
    from gateway.codes.unified import UnifiedCode
    from gateway.recognition.policy import Policy
    from gateway.recognition.reasons import Reason

REVOKED: Final = frozenset({"ATTESTATION_REVOKED", "ATTESTATION_ON_HOLD"})
"""Refusals that are the issuer's own word about the attestation, and refuse by themselves."""

EXPIRY_LEEWAY_SECONDS: Final = 120
"""An attestation that the verifier just accepted must not expire on the way here:
twice the verifier's own leeway of 60 seconds."""

_EXPIRY_LEEWAY: Final = timedelta(seconds=EXPIRY_LEEWAY_SECONDS)

ITINERARY_HOURS: Final = 48
"""Oldest end of an itinerary that still tells of these days. The travel card counts
up to the day before (local_codes, 4.3) and lagged a day; our choice."""

_DAY_SECONDS: Final = 86_400
"""An itinerary may count today, which ends tonight."""

_NOTHING: Final[frozenset[str]] = frozenset()

_AUDIENCE: Final = "urn:hutong:region:"


class _Subject(StrEnum):
    REPORT = "report"
    OUTCOME = "outcome"
    REFUSAL = "refusal"


@dataclass(slots=True, repr=False)
class _Case:
    """Evidence as the rules see it.

    Made and dropped within one decision, and not frozen: that costs microseconds.
    """

    subject: _Subject
    reasons: tuple[Reason, ...]
    origin: str | None
    outcome: Outcome | None = None
    refusal: str | None = None
    code: UnifiedCode | DisclosedCode | None = None
    withheld: frozenset[str] = frozenset()
    issued_age: int | None = None
    disagreement: bool = False
    has_expired: bool = False
    assessed_age: int | None = None
    source_age: int | None = None
    itinerary: Itinerary | None = None


def decide(
    policy: Policy,
    evidence: Evidence,
    *,
    now: datetime,
    ages: Ages,
    itinerary: Itinerary | None = None,
    elsewhere_seconds: int | None = None,
) -> Decision:
    """Apply a policy.

    Args:
        policy: of the destination region.
        evidence: what the checkpoint holds in hand.
        now: aware.
        ages: as the checkpoint knows them. Without a status age, that of an
            attestation that names no status list is reckoned from its ``iat``.
        itinerary: what a travel card shown beside the code says; None: none was
            shown, or it could not be checked.
        elsewhere_seconds: how long before or after another checkpoint reported the
            same attestation; None: none did, or that is not known.
    """
    if now.tzinfo is None:
        raise InternalError("a decision needs a moment with a zone")
    case = _case(policy, evidence, now)
    if itinerary is not None:
        case.itinerary = _current(itinerary, now)
    ages = _all_ages(ages, evidence, case, now)
    subject = case.outcome if case.code is None else case.code.level
    rule, asks_more = _first(policy.rules_about(subject), case)
    if case.refusal in REVOKED and not _names(rule, case.refusal):
        return Decision(Verdict.REFUSE, None, (), case.reasons, policy.id, None, ages)
    if asks_more and rule is not None:
        # Neither its verdict nor its words: whether they apply is not known.
        case.reasons = (catalogue.DISCLOSE_MORE, *case.reasons)
        rule = None
    own = () if rule is None or rule.reason is None else (rule.reason,)
    reasons = (*own, *case.reasons) if rule is not None else (*case.reasons, catalogue.NO_RULE)
    admits = rule is not None and rule.verdict.admits
    source_seconds = ages.source_seconds
    if source_seconds is None and rule is not None and rule.match.withheld:
        source_seconds = case.issued_age
    found = _findings(policy, evidence, now, ages, source_seconds if admits else 0)
    if elsewhere_seconds is not None and policy.replay is not None:
        judge_repeat(found, policy.replay, elsewhere_seconds, admits=admits)
    rule_id = None if rule is None else rule.id
    if found.refusals or found.doubts or rule is None:
        return Decision(
            Verdict.REFUSE if found.refusals else Verdict.REFER,
            None,
            (),
            (*found.refusals, *found.doubts, *reasons),
            policy.id,
            rule_id,
            ages,
            found.warnings,
        )
    return Decision(
        rule.verdict,
        rule.days,
        rule.conditions,
        reasons,
        policy.id,
        rule_id,
        ages,
        found.warnings,
    )


def _all_ages(ages: Ages, evidence: Evidence, case: _Case, now: datetime) -> Ages:
    """The ages, with those that only the evidence tells."""
    source = case.source_age
    if source is None or (ages.source_seconds is not None and ages.source_seconds > source):
        source = ages.source_seconds
    status = ages.status_seconds
    if status is None and isinstance(evidence, VerifiedEvidence):
        attestation = evidence.attestation
        if not names_status(attestation):
            status = int((now - attestation.issued_at).total_seconds())
    return Ages(ages.trust_seconds, ages.policy_seconds, source, status)


def names_status(attestation: Attestation | DisclosedAttestation) -> bool:
    """Whether an attestation names a status list that has to be looked into."""
    return getattr(attestation, "status", None) is not None


def _names(rule: Rule | None, refusal: str | None) -> bool:
    """Whether a rule is about this very refusal."""
    return rule is not None and rule.match.refusals is not None and refusal in rule.match.refusals


def _findings(
    policy: Policy, evidence: Evidence, now: datetime, ages: Ages, source_seconds: int | None
) -> Findings:
    """What speaks against following the rule, of what the decision rests on.

    The age of the source counts for an admission alone, and is 0 for everything else.
    """
    found = judge_ages(
        policy.ages,
        policy.freshness,
        ages,
        needs_status=(
            isinstance(evidence, VerifiedEvidence) and names_status(evidence.attestation)
        ),
    )
    if not policy.in_force(now):
        found.doubts = (*found.doubts, catalogue.POLICY_NOT_IN_FORCE)
    if not _is_fresh(source_seconds, policy):
        found.doubts = (*found.doubts, catalogue.SOURCE_TOO_OLD)
    return found


def _current(itinerary: Itinerary, now: datetime) -> Itinerary | None:
    """The itinerary, where it ends within these days."""
    age = (now - itinerary.as_of).total_seconds()
    return itinerary if -_DAY_SECONDS <= age <= ITINERARY_HOURS * 3600 else None


def _is_fresh(age: int | None, policy: Policy) -> bool:
    return age is not None and -CLOCK_LEEWAY_SECONDS <= age <= policy.ages.source * 3600


def _case(policy: Policy, evidence: Evidence, now: datetime) -> _Case:
    if isinstance(evidence, OutcomeEvidence):
        return _outcome_case(evidence.outcome, evidence.origin)
    if isinstance(evidence, RefusedEvidence):
        return _refusal_case(evidence.code, evidence.origin)
    attestation = evidence.attestation
    code = attestation.code
    if not _is_for(attestation.audience, policy.region):
        return _refusal_case("AUDIENCE_MISMATCH", code.issued_by)
    if attestation.expires_at <= now - _EXPIRY_LEEWAY:
        return _refusal_case("ATTESTATION_EXPIRED", code.issued_by)
    code_over = code.valid_until is not None and code.valid_until <= now
    declaration_over = (
        code.declaration_valid_until is not None and code.declaration_valid_until <= now
    )
    if code.level is Level.GREEN and (code_over or declaration_over):
        ended = Outcome.CODE_EXPIRED if code_over else Outcome.DECLARATION_EXPIRED
        return _outcome_case(ended, code.issued_by)
    withheld = code.withheld if isinstance(code, DisclosedCode) else _NOTHING
    also = code.also
    differs = bool(also) and any(report.level is not code.level for report in also)
    # The first report is the most restrictive: behind a green one all are green.
    disagreement = differs or ("also" in withheld and code.level is not Level.GREEN)
    said: tuple[Reason, ...] = (catalogue.level_reason(code.level),)
    if code_over:
        said = (*said, catalogue.outcome_reason(Outcome.CODE_EXPIRED))
    if differs:
        said = (catalogue.RECORDS_DISAGREE, *said)
    return _Case(
        _Subject.REPORT,
        said,
        code.issued_by,
        code=code,
        disagreement=disagreement,
        has_expired=code_over or declaration_over,
        assessed_age=_age(code.assessed_at, now),
        source_age=_age(code.source_at, now),
        withheld=withheld,
        issued_age=_age(attestation.issued_at, now) if withheld else None,
    )


def _age(moment: datetime | None, now: datetime) -> int | None:
    if moment is None:
        return None
    apart = now - moment
    # As `int(apart.total_seconds())`, without a number with a fraction in between.
    seconds = apart.days * _DAY_SECONDS + apart.seconds
    return seconds + 1 if seconds < 0 and apart.microseconds else seconds


def _outcome_case(outcome: Outcome, origin: str | None) -> _Case:
    return _Case(_Subject.OUTCOME, (catalogue.outcome_reason(outcome),), origin, outcome=outcome)


def _refusal_case(code: str, origin: str | None) -> _Case:
    return _Case(_Subject.REFUSAL, (catalogue.refusal_reason(code),), origin, refusal=code)


@lru_cache(1024)  # the regions and prefixes of one country are few
def _is_for(audience: str, region: str) -> bool:
    """Whether an audience, a region or a prefix of regions, contains a region."""
    if not audience.startswith(_AUDIENCE):
        return False
    try:
        return contains(audience.removeprefix(_AUDIENCE), region)
    except DivisionError:
        return False


def _first(rules: Iterable[Rule], case: _Case) -> tuple[Rule | None, bool]:
    """The rule that decides, and whether it asks for something that is withheld."""
    for rule in rules:
        if case.withheld and _asks_more(rule.match, case):
            return rule, True
        if (not rule.verdict.admits or _may_be_admitted(rule, case)) and _holds(rule.match, case):
            return rule, False
    return None, False


def _asks_more(match: Match, case: _Case) -> bool:
    """Whether everything holds but what cannot be told without what is withheld."""
    withheld = case.withheld
    known = replace(
        match,
        schemes=None if "scheme" in withheld else match.schemes,
        states=None if "state" in withheld else match.states,
        bases=None if "basis" in withheld else match.bases,
        areas=None if "area" in withheld else match.areas,
        max_age_hours=(
            None if "assessed_at" in withheld and not match.withheld else match.max_age_hours
        ),
        disagreement=(
            None
            if "also" in withheld and case.code is not None and case.code.level is not Level.GREEN
            else match.disagreement
        ),
    )
    return known != match and _holds(known, case)


def _holds(match: Match, case: _Case) -> bool:
    if not in_prefixes(case.origin, match.origins):
        return False
    if match.outcomes is not None:
        return case.outcome is not None and case.outcome in match.outcomes
    if match.refusals is not None:
        return case.refusal is not None and (
            ANY_REFUSAL in match.refusals or case.refusal in match.refusals
        )
    if case.code is None:
        return not match.only_reports
    return _report_matches(match, case, case.code)


def _may_be_admitted(rule: Rule, case: _Case) -> bool:
    """Holds for every policy, also for one that escaped the checks at load."""
    return (
        case.subject is _Subject.REPORT
        and case.code is not None
        and rule.match.levels is not None
        and case.code.level in rule.match.levels
        and case.code.level is not Level.RED
        and not case.disagreement
        and not case.has_expired
    )


def _report_matches(match: Match, case: _Case, code: UnifiedCode | DisclosedCode) -> bool:
    age = case.assessed_age
    if age is None and match.withheld:
        age = case.issued_age
    if match.max_age_hours is not None and not (
        age is not None and -CLOCK_LEEWAY_SECONDS <= age <= match.max_age_hours * 3600
    ):
        return False
    return (
        (match.levels is None or code.level in match.levels)
        and (
            match.schemes is None
            or (
                code.scheme is not None
                and not match.schemes.isdisjoint((code.scheme, code.scheme.partition("@")[0]))
            )
        )
        and (match.states is None or code.state in match.states)
        and (match.bases is None or not match.bases.isdisjoint(code.basis))
        and (match.areas is None or in_prefixes(code.area, match.areas))
        and (match.withheld is None or match.withheld == bool(case.withheld))
        and (match.disagreement is None or match.disagreement == case.disagreement)
        and (match.itinerary is None or match.itinerary.holds(case.itinerary))
    )
