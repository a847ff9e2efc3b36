"""What a checkpoint hands out beside decisions: what was fetched, and its own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.edge.result import Result


@dataclass(frozen=True, slots=True)
class Fetched:
    """A carried attestation, as fetched for its holder.

    Attributes:
        token: the compact JWT; None: the origin gave none that verifies.
        armour: its QR text; None likewise.
        result: what this region would decide about it now.
    """

    token: str | None
    armour: str | None
    result: Result

    def __repr__(self) -> str:
        """Without the attestation: it is about a person."""
        return f"Fetched(is_present={self.token is not None})"


@dataclass(frozen=True, slots=True)
class Status:
    """What a checkpoint knows about itself.

    Attributes:
        urn: its name.
        region: where it stands.
        hub: URN of its hub.
        sequence: number of the newest entry of the feed held; None: none.
        trust_seconds: age of the hub's newest verified word; None: none.
        authorities: URNs and states of the regions the feed names.
        policy_id: policy applied here; None: there is none that loads.
        feed_failure: code of what hinders following the feed; None: nothing does.
        is_trust_too_old: whether everything would be referred for that reason.
    """

    urn: str
    region: str
    hub: str
    sequence: int | None
    trust_seconds: int | None
    authorities: tuple[tuple[str, str], ...]
    policy_id: str | None
    feed_failure: str | None
    is_trust_too_old: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "urn": self.urn,
            "region": self.region,
            "hub": self.hub,
            "sequence": self.sequence,
            "trust_seconds": self.trust_seconds,
            "authorities": [{"urn": urn, "state": state} for urn, state in self.authorities],
            "policy": self.policy_id,
            "feed_failure": self.feed_failure,
            "trust_too_old": self.is_trust_too_old,
        }
