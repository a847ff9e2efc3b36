"""What a checkpoint made of one traveller: the decision and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gateway.recognition import OutcomeEvidence, RefusedEvidence, VerifiedEvidence

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.edge.record import DecisionPath
    from gateway.recognition import Decision, Evidence


@dataclass(frozen=True, slots=True)
class Result:
    """A decision and what it rests on.

    Attributes:
        decision: what to do and why.
        evidence: what was decided on; personal, and not part of ``repr``.
        origin: six digits of the region that was asked or that signed; None: unknown.
        destination: six digits of the region whose policy was applied.
        path: ``online`` when the origin was asked, else ``offline``.
        decided_at: the clock, UTC.
        milliseconds: from presentation to decision.
        instead_of: six digits of the region that was meant, where it has no adapter
            and the national code answered; None: the origin is the one meant.
        beside: what came of a travel card shown beside the code; None: none was.
        sighting: whether the hub was told of a carried attestation; None: the policy
            does not mind repeats, nothing was carried, or nobody waited to hear.
        silent_since: up to when the issuer's hub has heard what it revokes, where it does
            not hear it now and the attestation names a status list; None otherwise.
    """

    decision: Decision
    evidence: Evidence = field(repr=False)
    origin: str | None
    destination: str
    path: DecisionPath
    decided_at: datetime
    milliseconds: float
    instead_of: str | None = None
    beside: Evidence | None = field(default=None, repr=False)
    sighting: Literal["reported", "unreported"] | None = None
    silent_since: datetime | None = None

    @property
    def is_admitted(self) -> bool:
        """Whether the traveller passes at once."""
        return self.decision.verdict.admits

    def to_json(self) -> dict[str, Any]:
        """A JSON value for the operator: it names the level or the outcome."""
        level: str | None = None
        outcome: str | None = None
        scheme: str | None = None
        if isinstance(self.evidence, VerifiedEvidence):
            code = self.evidence.attestation.code
            level, scheme = code.level.value, code.scheme
        elif isinstance(self.evidence, OutcomeEvidence):
            outcome = self.evidence.outcome.value
        return {
            "path": self.path,
            "origin": self.origin,
            "instead_of": self.instead_of,
            "destination": self.destination,
            "level": level,
            "outcome": outcome,
            "refused": (self.evidence.code if isinstance(self.evidence, RefusedEvidence) else None),
            "scheme": scheme,
            "beside": _beside_to_json(self.beside),
            **self.decision.to_json(),
            "sighting": self.sighting,
            "silent_since": (
                None
                if self.silent_since is None
                else self.silent_since.isoformat(timespec="seconds")
            ),
            "decided_at": self.decided_at.isoformat(timespec="seconds"),
            "milliseconds": round(self.milliseconds, 1),
        }


def _beside_to_json(card: Evidence | None) -> dict[str, Any] | None:
    if isinstance(card, OutcomeEvidence):
        itinerary = card.itinerary
        return {
            "outcome": card.outcome.value,
            "window_days": None if itinerary is None else itinerary.window_days,
            "places": None
            if itinerary is None
            else [
                {"division": place.division, "starred": place.starred} for place in itinerary.places
            ],
        }
    if isinstance(card, RefusedEvidence):
        return {"refused": card.code}
    return None if card is None else {"level": card.attestation.code.level.value}
