"""What a destination region recognises: policies, decisions and their reasons.

A pure room: it takes values and a clock and does no I/O but read the policies
shipped with the package. Two functions carry it::

    policy = load_policy(data)
    decision = decide(policy, evidence, now=now, ages=ages)
"""

from __future__ import annotations

from gateway.recognition.decision import decide
from gateway.recognition.evidence import (
    Ages,
    Decision,
    Evidence,
    OutcomeEvidence,
    RefusedEvidence,
    VerifiedEvidence,
)
from gateway.recognition.freshness import Freshness, Replay, ReplayVerdict, Steps
from gateway.recognition.loading import (
    MAX_POLICY_BYTES,
    load_policy,
    shipped_policy,
    shipped_regions,
)
from gateway.recognition.policy import AgeLimits, Policy, check_versions, policy_at
from gateway.recognition.reasons import (
    REFUSAL_CODES,
    Reason,
    ReasonError,
    Words,
    level_reason,
    outcome_reason,
    refusal_reason,
)
from gateway.recognition.rules import ANY_REFUSAL, Match, PolicyError, Rule, Verdict

__all__ = [
    "ANY_REFUSAL",
    "MAX_POLICY_BYTES",
    "REFUSAL_CODES",
    "AgeLimits",
    "Ages",
    "Decision",
    "Evidence",
    "Freshness",
    "Match",
    "OutcomeEvidence",
    "Policy",
    "PolicyError",
    "Reason",
    "ReasonError",
    "RefusedEvidence",
    "Replay",
    "ReplayVerdict",
    "Rule",
    "Steps",
    "Verdict",
    "VerifiedEvidence",
    "Words",
    "check_versions",
    "decide",
    "level_reason",
    "load_policy",
    "outcome_reason",
    "policy_at",
    "refusal_reason",
    "shipped_policy",
    "shipped_regions",
]
