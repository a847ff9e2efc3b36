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

from typing import TYPE_CHECKING, Final

from gateway.codes.levels import Level
from gateway.errors import InternalError
from gateway.recognition import reasons as catalogue
from gateway.recognition.case import case_of
from gateway.recognition.conditions import ask_more
from gateway.recognition.evidence import Ages, Decision, Evidence, VerifiedEvidence
from gateway.recognition.freshness import (
    CLOCK_LEEWAY_SECONDS,
    Findings,
    judge_ages,
    judge_repeat,
)
from gateway.recognition.rules import Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.attestation.claims import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.codes.itinerary import Itinerary
    from gateway.recognition.case import Case
    from gateway.recognition.conditions import Conditions
    from gateway.recognition.policy import Policy

REVOKED: Final = frozenset({"ATTESTATION_REVOKED", "ATTESTATION_ON_HOLD"})
"""Refusals that are the issuer's own word about the attestation, and refuse by themselves."""

ITINERARY_HOURS: Final = 48
"""Oldest end of an itinerary that still tells of these days. The travel card counts
up to the day before (local_codes, 4.3) and lagged a day; our choice."""

_RED: Final = Level.RED
_DAY_SECONDS: Final = 86_400
"""An itinerary may count today, which ends tonight."""


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
        policy: of the destination region, with the one that follows it where one is
            announced; the one that counts at ``now`` is applied.
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
    policy = policy.at(now)
    case = case_of(evidence, policy.region, now)
    if itinerary is not None:
        case.itinerary = _current(itinerary, now)
    needs_status = isinstance(evidence, VerifiedEvidence) and names_status(evidence.attestation)
    ages = _all_ages(ages, case, needs_status=needs_status)
    rule, asks_more = _first(policy.rules_about(case.subject), case)
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
    is_fresh = not admits or _is_fresh(source_seconds, policy)
    found = _findings(policy, now, ages, needs_status=needs_status, is_fresh=is_fresh)
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


def _all_ages(ages: Ages, case: Case, *, needs_status: bool) -> Ages:
    """The ages, with those that only the evidence tells."""
    source, status = case.source_age, ages.status_seconds
    if source is None or (ages.source_seconds is not None and ages.source_seconds > source):
        source = ages.source_seconds
    if status is None and not needs_status:
        status = case.issued_age
    return Ages(ages.trust_seconds, ages.policy_seconds, source, status)


def names_status(attestation: Attestation | DisclosedAttestation) -> bool:
    """Whether an attestation names a status list that has to be looked into."""
    return attestation.status is not None


def _names(rule: Rule | None, refusal: str | None) -> bool:
    """Whether a rule is about this very refusal."""
    return rule is not None and rule.match.refusals is not None and refusal in rule.match.refusals


def _findings(
    policy: Policy, now: datetime, ages: Ages, *, needs_status: bool, is_fresh: bool
) -> Findings:
    """What speaks against following the rule, of what the decision rests on."""
    if policy.quiet_ages.cover(ages, needs_status=needs_status):
        found = Findings()
    else:
        found = judge_ages(policy.ages, policy.freshness, ages, needs_status=needs_status)
    if not policy.in_force(now):
        found.doubts = (*found.doubts, catalogue.POLICY_NOT_IN_FORCE)
    if not is_fresh:
        found.doubts = (*found.doubts, catalogue.SOURCE_TOO_OLD)
    return found


def _current(itinerary: Itinerary, now: datetime) -> Itinerary | None:
    """The itinerary, where it ends within these days."""
    age = (now - itinerary.as_of).total_seconds()
    return itinerary if -_DAY_SECONDS <= age <= ITINERARY_HOURS * 3600 else None


def _is_fresh(age: int | None, policy: Policy) -> bool:
    return age is not None and -CLOCK_LEEWAY_SECONDS <= age <= policy.ages.source * 3600


def _first(rules: Iterable[tuple[Rule, Conditions]], case: Case) -> tuple[Rule | None, bool]:
    """The rule that decides, and whether it asks for something that is withheld."""
    unknown = case.unknown
    for rule, conditions in rules:
        if unknown and ask_more(conditions, case):
            return rule, True
        # Here, and not behind a call: a call a rule costs more than the conditions.
        for _, holds in conditions:
            if not holds(case):
                break
        else:
            if not rule.verdict.admits or _may_admit(rule, case):
                return rule, False
    return None, False


def _may_admit(rule: Rule, case: Case) -> bool:
    """Holds for every policy, also for one that escaped the checks at load."""
    levels, report = rule.match.levels, case.report
    return (
        report is not None
        and levels is not None
        and report.level in levels
        and report.level is not _RED
        and not case.disagreement
        and not case.has_expired
    )
