"""What a checkpoint hands out beside decisions: what was fetched, and its own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.edge.knowledge import Knowledge
    from gateway.edge.result import Result
    from gateway.edge.settings import CheckpointSettings
    from gateway.edge.view import TrustView
    from gateway.recognition import Policy


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
class SilentRegion:
    """A region that its hub does not hear.

    Attributes:
        urn: its name.
        since: up to when what it revokes has arrived.
    """

    urn: str
    since: datetime


@dataclass(frozen=True, slots=True)
class HubStatus:
    """Another hub whose feed comes through the own one.

    Attributes:
        urn: its name.
        trust_seconds: age of its newest word here; None: there is none.
    """

    urn: str
    trust_seconds: int | None


def trust_limit_seconds(own_seconds: int, policy: Policy | None) -> int:
    """Age of trust beyond which everything is referred, or worse.

    Args:
        own_seconds: bound of the checkpoint itself.
        policy: the one it applies; None: there is none.
    """
    if policy is None:
        return own_seconds
    steps = None if policy.freshness is None else policy.freshness.trust
    given = () if steps is None else (steps.refer, steps.refuse)
    hours = min((hours for hours in given if hours is not None), default=policy.ages.trust)
    if steps is not None and steps.refer is None:
        hours = min(hours, policy.ages.trust)
    return min(own_seconds, hours * 3600)


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
        road: by which the trust came, ``feed`` or ``pack``; None: there is none.
        prefixes: divisions that it speaks of; empty: all.
        lists: status lists that the feed names.
        lists_missing: those of them that are not here.
        unreported: admissions that the hub was not told.
        conflicts: admissions that another checkpoint's showing contradicts.
        hubs: other hubs whose feeds are followed through the own one.
        silent: regions that their hubs do not hear.
        clock_behind_seconds: how far this machine's clock was behind what the disk holds,
            which is not believed for that reason; None: it was not.
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
    road: str | None = None
    prefixes: tuple[str, ...] = ()
    lists: int = 0
    lists_missing: int = 0
    unreported: int = 0
    conflicts: int = 0
    hubs: tuple[HubStatus, ...] = ()
    silent: tuple[SilentRegion, ...] = ()
    clock_behind_seconds: int | None = None

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
            "road": self.road,
            "prefixes": list(self.prefixes),
            "status_lists": self.lists,
            "status_lists_missing": self.lists_missing,
            "unreported": self.unreported,
            "conflicts": self.conflicts,
            "hubs": [{"urn": hub.urn, "trust_seconds": hub.trust_seconds} for hub in self.hubs],
            "silent": [
                {"urn": region.urn, "since": region.since.isoformat(timespec="seconds")}
                for region in self.silent
            ],
            "clock_behind_seconds": self.clock_behind_seconds,
        }


def status_of(
    settings: CheckpointSettings,
    hub: str,
    knowledge: Knowledge,
    view: TrustView | None,
    now: datetime,
    *,
    feed_failure: str | None,
    unreported: int,
    conflicts: int,
    hubs: tuple[HubStatus, ...],
) -> Status:
    """Put together what a checkpoint knows.

    Args:
        settings: of the checkpoint.
        hub: URN of its hub.
        knowledge: the feed or the packs.
        view: what they say; None: nothing.
        now: the clock.
        feed_failure: as :class:`Status`, and so are all that follow.
        unreported: likewise.
        conflicts: likewise.
        hubs: likewise.
    """
    age = knowledge.age_seconds(now)
    announced = None if view is None else view.policy
    policy = None if announced is None else announced.at(now)
    limit = trust_limit_seconds(settings.max_trust_age_seconds, policy)
    return Status(
        urn=settings.urn,
        region=settings.region,
        hub=hub,
        sequence=None if view is None else knowledge.sequence,
        trust_seconds=age,
        authorities=tuple(
            (authority.urn, authority.state.value)
            for authority in (() if view is None else view.bundle.authorities())
        ),
        policy_id=None if policy is None else policy.id,
        feed_failure=feed_failure,
        is_trust_too_old=age is None or age > limit,
        road=knowledge.road,
        prefixes=knowledge.prefixes,
        lists=0 if view is None else len(view.revocations.named()),
        lists_missing=0 if view is None else len(view.revocations.missing()),
        unreported=unreported,
        conflicts=conflicts,
        hubs=hubs,
        silent=tuple(
            SilentRegion(silence.urn, silence.since)
            for silence in (() if view is None else view.bundle.silences())
        ),
        clock_behind_seconds=knowledge.behind_seconds,
    )
