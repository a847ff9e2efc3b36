"""From evidence to a decision written down: the last steps of the pipeline.

``weigh`` applies the policy to what is in hand, with the age of everything; ``settle``
admits a carried attestation once and writes the decision down. Between the two stands
what may be learnt while deciding: that another checkpoint was shown the same one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from msgspec import structs

from gateway.attestation.verifying import MAX_LEEWAY_SECONDS
from gateway.edge.listed import listed_since
from gateway.edge.reasons import CARD_NOT_CHECKED, ISSUER_NOT_HEARD, SEEN_BEFORE, with_own_words
from gateway.edge.record import DecisionRecord
from gateway.edge.result import Result
from gateway.recognition import (
    Ages,
    Decision,
    OutcomeEvidence,
    RefusedEvidence,
    Verdict,
    VerifiedEvidence,
    decide,
    refusal_reason,
)
from gateway.recognition.reasons import TRUST_TOO_OLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.codes import Itinerary
    from gateway.edge.record import DecisionLog, DecisionPath
    from gateway.edge.seen import SeenAttestations
    from gateway.edge.view import TrustView
    from gateway.recognition import Evidence, Reason

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What is in hand about one traveller.

    Attributes:
        evidence: what is decided on.
        origin: six digits of the region that was asked or that signed; None: unknown.
        path: whether the origin was asked.
        started: ``time.perf_counter`` when it was presented.
        card: what came of a travel card shown beside it; None: none was.
        status_seconds: age of the issuer's word on its status list, beside that of the
            feed which brought it; None: no list.
    """

    evidence: Evidence
    origin: str | None
    path: DecisionPath
    started: float
    card: Evidence | None = None
    status_seconds: int | None = None


class Weigher:
    """Decides and writes down.

    Args:
        region: six digits of the division this checkpoint stands in.
        view: gives the trust of the moment; raises ReplicaError when there is none.
        trust_age_seconds: age of that trust at a moment.
        seen: carried attestations admitted here.
        log: where decisions are written down.
        clock: now, UTC.
        max_trust_age_seconds: bound of this checkpoint beside the policy's own.
        catalogue_file: store of what other regions say since; None: there is none.
    """

    def __init__(
        self,
        *,
        region: str,
        view: Callable[[], TrustView],
        trust_age_seconds: Callable[[datetime], int | None],
        seen: SeenAttestations,
        log: DecisionLog,
        clock: Callable[[], datetime],
        max_trust_age_seconds: int,
        catalogue_file: Path | None,
    ) -> None:
        self._region = region
        self._view = view
        self._trust_age_seconds = trust_age_seconds
        self._seen = seen
        self._log = log
        self._clock = clock
        self._max_trust_age_seconds = max_trust_age_seconds
        self._catalogue_file = catalogue_file

    def is_trust_too_old(self, origin: str) -> bool:
        """Whether trust is unknown, or older than this checkpoint's own bound."""
        now = self._clock()
        age = self._view().trust_seconds(now, origin, self._trust_age_seconds(now))
        return age is None or age > self._max_trust_age_seconds

    def weigh(self, held: Held, *, elsewhere_seconds: int | None = None) -> Result:
        """Apply the policy.

        Args:
            held: what is in hand.
            elsewhere_seconds: between this showing and one at another checkpoint; None:
                there was none, or that is not known.
        """
        now = self._clock()
        card, evidence = held.card, held.evidence
        itinerary = card.itinerary if isinstance(card, OutcomeEvidence) else None
        silent_since = self._silent_since(held)
        decision = self._decide(held, now, itinerary, elsewhere_seconds, silent_since)
        if silent_since is not None:
            decision = structs.replace(decision, warnings=(*decision.warnings, ISSUER_NOT_HEARD))
        if card is not None and itinerary is None and decision.verdict.admits:
            decision = _referred(decision, CARD_NOT_CHECKED)
        if decision.verdict.admits and isinstance(evidence, VerifiedEvidence):
            since = listed_since(self._catalogue_file, evidence.attestation)
            decision = decision if since is None else _referred(decision, since)
        milliseconds = (time.perf_counter() - held.started) * 1000
        return Result(
            decision,
            evidence,
            held.origin,
            self._region,
            held.path,
            now,
            milliseconds,
            beside=card,
            silent_since=silent_since,
        )

    def settle(self, held: Held, result: Result) -> Result:
        """Admit what is carried once, and write the decision down."""
        evidence = held.evidence
        if held.path == "offline" and result.is_admitted and isinstance(evidence, VerifiedEvidence):
            doubt = self._admit_once(evidence.attestation, result.decided_at)
            if doubt is not None:
                refused = replace(held, evidence=RefusedEvidence(doubt, held.origin))
                result = replace(self.weigh(refused), sighting=result.sighting)
        self._record(result)
        return result

    def _admit_once(
        self, attestation: Attestation | DisclosedAttestation, now: datetime
    ) -> str | None:
        """Note the admission of a carried attestation; returns why it may not be."""
        try:
            is_first = self._seen.admit_once(
                attestation.issuer,
                attestation.token_id,
                # The verifier still takes it for its leeway; the guard outlives that.
                expires_at=attestation.expires_at + timedelta(seconds=MAX_LEEWAY_SECONDS),
                now=now,
            )
        except OSError as error:
            _log.error("admission_not_noted", error=type(error).__name__)
            return "RECORD_UNAVAILABLE"
        return None if is_first else SEEN_BEFORE

    def _silent_since(self, held: Held) -> datetime | None:
        """Since when the issuer's hub has not heard what it revokes; None: it hears it.

        What names no list cannot be revoked, so nothing of it is held back by silence.
        """
        evidence = held.evidence
        if held.status_seconds is None or not isinstance(evidence, VerifiedEvidence):
            return None
        silence = self._view().bundle.silence(evidence.attestation.issuer)
        return None if silence is None else silence.since

    def _decide(
        self,
        held: Held,
        now: datetime,
        itinerary: Itinerary | None,
        elsewhere_seconds: int | None,
        silent_since: datetime | None,
    ) -> Decision:
        own_seconds = self._trust_age_seconds(now)
        trust_seconds = self._view().trust_seconds(now, held.origin, own_seconds)
        status_seconds = held.status_seconds
        if status_seconds is not None and silent_since is not None:
            status_seconds = max(status_seconds, int((now - silent_since).total_seconds()))
        # A head of the own hub's feed confirms everything in it, the policy included.
        ages = Ages(
            trust_seconds=trust_seconds,
            policy_seconds=own_seconds,
            status_seconds=(
                None
                if status_seconds is None or trust_seconds is None
                else max(status_seconds, trust_seconds)
            ),
        )
        policy = self._view().policy
        if policy is None:
            reason = refusal_reason("POLICY_UNKNOWN")
            return Decision(Verdict.REFER, None, (), (reason,), "", None, ages)
        decision = with_own_words(
            decide(
                policy,
                held.evidence,
                now=now,
                ages=ages,
                itinerary=itinerary,
                elsewhere_seconds=elsewhere_seconds,
            )
        )
        too_old = trust_seconds is not None and trust_seconds > self._max_trust_age_seconds
        if (
            too_old
            and decision.verdict is not Verdict.REFUSE
            and TRUST_TOO_OLD not in decision.reasons
        ):
            decision = _referred(decision, TRUST_TOO_OLD)
        return decision

    def _record(self, result: Result) -> None:
        decision = result.decision
        try:
            self._log.append(
                DecisionRecord(
                    at=result.decided_at,
                    path=result.path,
                    destination=result.destination,
                    origin=result.origin,
                    verdict=decision.verdict.value,
                    reasons=tuple(reason.code for reason in decision.reasons),
                    policy=decision.policy_id or None,
                    trust_seconds=decision.ages.trust_seconds,
                    policy_seconds=decision.ages.policy_seconds,
                    source_seconds=decision.ages.source_seconds,
                    milliseconds=round(result.milliseconds, 3),
                    status_seconds=decision.ages.status_seconds,
                    warnings=tuple(warning.code for warning in decision.warnings),
                )
            )
        except OSError as error:
            # A full disk must not close the gate; the verdict stands, the gap is told.
            _log.error("decision_not_recorded", error=type(error).__name__)


def _referred(decision: Decision, reason: Reason) -> Decision:
    """The decision, left to a person for a reason of its own."""
    return structs.replace(
        decision,
        verdict=Verdict.REFER,
        days=None,
        conditions=(),
        reasons=(reason, *decision.reasons),
    )
