"""Synthetic attestations, policies and evidence for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.attestation.claim_set import AttestationUse
from gateway.attestation.claims import Attestation
from gateway.codes import Level, UnifiedCode
from gateway.recognition import Ages, Policy, VerifiedEvidence, load_policy

NOW = datetime(2026, 5, 1, 4, tzinfo=UTC)
FRESH = Ages(trust_seconds=60, policy_seconds=60)


def code(level: Level = Level.GREEN, *, hours: float = 3, **changes: Any) -> UnifiedCode:
    """A report assessed and updated some hours ago."""
    then = NOW - timedelta(hours=hours)
    report = UnifiedCode(level, "hz-jkm@2020-02", "绿码", then, then, "330100")
    return replace(report, **changes)


def attestation(report: UnifiedCode, **changes: Any) -> Attestation:
    """An attestation of Hangzhou for Guangzhou."""
    base = Attestation(
        issuer="urn:hutong:region:330100",
        audience="urn:hutong:region:440100",
        issued_at=NOW,
        not_before=NOW,
        expires_at=NOW + timedelta(minutes=5),
        token_id="synthetic-token-id-1",
        subject="s" * 43,
        code=report,
        use=AttestationUse.ONLINE,
        nonce=bytes(16),
    )
    return replace(base, **changes)


def verified(level: Level = Level.GREEN, *, hours: float = 3, **changes: Any) -> VerifiedEvidence:
    """Verified evidence for Guangzhou."""
    return VerifiedEvidence(attestation(code(level, hours=hours, **changes)))


def document(*rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A policy document of Guangzhou around some rules."""
    return {
        "id": "440100@2020-04",
        "region": "440100",
        "name": {"zh": "合成政策", "en": "Synthetic policy"},
        "valid_from": "2020-04-08",
        "ages": {"trust_hours": 24, "policy_hours": 72, "source_hours": 36},
        "rules": [{"choice": "synthetic", **rule} for rule in rules],
        **changes,
    }


def policy(*rules: dict[str, Any], **changes: Any) -> Policy:
    """The loaded policy of :func:`document`."""
    return load_policy(document(*rules, **changes))


ADMIT_GREEN: dict[str, Any] = {
    "id": "green",
    "when": {"level": ["GREEN"], "max_age_hours": 24},
    "verdict": "ADMIT",
}
