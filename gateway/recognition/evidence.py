"""What a decision is made on, and what it is: evidence, ages, the decision itself.

What is made anew for every traveller is a struct: as fixed as a frozen dataclass, and
made in a seventh of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from gateway.attestation.claims import Attestation
from gateway.attestation.disclosed import DisclosedAttestation
from gateway.recognition.reasons import Reason, Words
from gateway.recognition.rules import Verdict

if TYPE_CHECKING:
    from gateway.codes.itinerary import Itinerary
    from gateway.codes.levels import Outcome


class VerifiedEvidence(msgspec.Struct, frozen=True, gc=False):
    """An attestation that the strict verifier accepted for this region.

    Attributes:
        attestation: what it verified, whole or in part.
    """

    attestation: Attestation | DisclosedAttestation


@dataclass(frozen=True, slots=True)
class OutcomeEvidence:
    """An answer that is not a level.

    Attributes:
        outcome: which.
        origin: six digits of the region asked; None: not known.
        itinerary: places, only with EVIDENCE_ONLY, where the system tells them.
    """

    outcome: Outcome
    origin: str | None
    itinerary: Itinerary | None = None

    def __repr__(self) -> str:
        """Without what was answered about a person."""
        return f"OutcomeEvidence(origin={self.origin!r})"


@dataclass(frozen=True, slots=True)
class RefusedEvidence:
    """Evidence that does not hold, or a question that was refused.

    Attributes:
        code: of the ``HutongError``, or the name of the ``ErrorReason``.
        origin: six digits of the region asked; None: not known.
    """

    code: str
    origin: str | None


Evidence: TypeAlias = VerifiedEvidence | OutcomeEvidence | RefusedEvidence


class Ages(msgspec.Struct, frozen=True, gc=False):
    """How old what a decision rests on is, in seconds; None: not known.

    Attributes:
        trust_seconds: the newest verified word of the hub.
        policy_seconds: the newest confirmation of the policy.
        source_seconds: the last update of the platform's record. ``decide``
            reckons it from a verified report; the older of both counts.
        status_seconds: the issuer's newest word on this attestation (``freshness``).
    """

    trust_seconds: int | None
    policy_seconds: int | None
    source_seconds: int | None = None
    status_seconds: int | None = None

    def to_json(self) -> dict[str, int | None]:
        """The four ages under their names."""
        return {
            "trust_seconds": self.trust_seconds,
            "policy_seconds": self.policy_seconds,
            "source_seconds": self.source_seconds,
            "status_seconds": self.status_seconds,
        }


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What the policy says.

    Attributes:
        verdict: what to do.
        days: of observation; None with every other verdict.
        conditions: of an admission with conditions; else empty.
        reasons: the most telling first; never empty.
        policy_id: the policy applied.
        rule_id: the rule that matched; None: none did.
        ages: of everything it rests on.
        warnings: what a person should know, though it changes nothing; may be empty.
    """

    verdict: Verdict
    days: int | None
    conditions: tuple[Words, ...]
    reasons: tuple[Reason, ...]
    policy_id: str
    rule_id: str | None
    ages: Ages
    warnings: tuple[Reason, ...] = ()

    def __repr__(self) -> str:
        """Without what was decided about a person."""
        return f"Decision(policy_id={self.policy_id!r}, …)"

    def to_json(self) -> dict[str, Any]:
        """A JSON value: verdict, days, conditions, reasons, warnings, policy, rule, ages."""
        return {
            "verdict": self.verdict.value,
            "days": self.days,
            "conditions": [condition.to_json() for condition in self.conditions],
            "reasons": [reason.to_json() for reason in self.reasons],
            "warnings": [warning.to_json() for warning in self.warnings],
            "policy": self.policy_id,
            "rule": self.rule_id,
            "ages": self.ages.to_json(),
        }
