"""The checkpoint's trust where hubs stand above hubs.

The checkpoint follows its own hub's feed from the anchor that was handed over, and,
through that hub, the feeds it leads to (:mod:`gateway.wire.feed_tree`); each has a
replica of its own beside the first. With one hub all of this is that hub's bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway.errors import HutongError, TrustError
from gateway.trust import KeyUse
from gateway.trust.errors import Missing, TrustLookupError
from gateway.trust.federated import FederatedBundle
from gateway.wire.feed_tree import FeedSource, FeedTree
from gateway.wire.replica_store import ReplicaStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

    from gateway.trust import Rehearsal, TrustAnchor, TrustBundle
    from gateway.trust.hub_places import HubPlace


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tried:
    """A rehearsal, and what stands against it here.

    Attributes:
        rehearsal: as the feed shows it.
        fault: why nothing of its owner is believed here, an upper-snake word; None: it is.
    """

    rehearsal: Rehearsal
    fault: str | None = None

    @property
    def rehearsal_id(self) -> str:
        """Names it."""
        return self.rehearsal.rehearsal_id

    def failure(self) -> str | None:
        """Verify what the key to come signed; return why it does not hold, None: it does."""
        if self.fault is not None:
            return self.fault
        try:
            self.rehearsal.check()
        except TrustError as error:
            return error.code
        return None


class OwnTrust(Protocol):
    """What is known of the own hub's feed."""

    @property
    def is_usable(self) -> bool:
        """Whether there was ever a word of the hub."""

    @property
    def bundle(self) -> TrustBundle:
        """What it says; raises ReplicaError where there is no word."""

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since its newest word."""


class FederatedTrust:
    """What all feeds say together. One event loop.

    Args:
        own: what is known of the own hub's feed.
        hub: URN of that hub.
        folder: where the replicas of the other feeds stand.
        clock: now, UTC.
        heartbeat_seconds: longest silence asked for.
        on_change: called after another hub's feed changed.
    """

    def __init__(
        self,
        own: OwnTrust,
        hub: str,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        heartbeat_seconds: int,
        on_change: Callable[[], None],
    ) -> None:
        self._own = own
        self._folder = folder
        self._stub: FeedServiceStub | None = None
        self.tree = FeedTree(
            hub,
            own=lambda: own.bundle if own.is_usable else None,
            own_age_seconds=own.age_seconds,
            make_replica=self._make_replica,
            source=self._source,
            clock=clock,
            heartbeat_seconds=heartbeat_seconds,
            on_change=on_change,
        )

    @property
    def bundle(self) -> TrustBundle:
        """Whom to trust now.

        Raises:
            ReplicaError: this checkpoint has never synchronised.
        """
        return self.tree.bundle or self._own.bundle

    def rehearsals(self) -> tuple[Tried, ...]:
        """The keys to come that any of the feeds shows, the own hub's first.

        Each stands in the feed that answers for its owner; what a superior does not
        allow would not verify here, whatever the key.
        """
        if not self._own.is_usable:
            return ()
        found = [Tried(item) for item in self._own.bundle.rehearsals()]
        whole = self.bundle
        if isinstance(whole, FederatedBundle):
            for hub, replica in self.tree.replicas.items():
                bundle = replica.bundle if replica.is_usable else None
                found += [
                    # A hub's own key verifies its feed, which is read here: no more is asked.
                    Tried(item, None if item.issuer == hub else self._fault(whole, hub, item))
                    for item in (() if bundle is None else bundle.rehearsals())
                    if item.issuer == hub or whole.behind(item.issuer)[-1] == hub
                ]
        return tuple(found)

    def _fault(self, whole: TrustBundle, hub: str, item: Rehearsal) -> str | None:
        try:
            whole.authority(item.issuer)
        except TrustLookupError as error:
            return error.code
        place = self.tree.place(hub)
        allowed = None if place is None else place.constraint
        is_allowed = allowed is None or "attestation" in allowed.kinds
        if item.key.use is KeyUse.ATTEST and not is_allowed:
            return Missing.CONSTRAINT_EXCEEDED.value
        return None

    def start(self, stub: FeedServiceStub, *, follow: bool) -> None:
        """Ask a hub for every feed; must run in a loop."""
        self._stub = stub
        self.tree.start(follow=follow)

    async def refresh(self) -> None:
        """Bring every other hub's feed up to date; one that cannot be had goes on ageing."""
        try:
            await self.tree.refresh()
        except HutongError as error:
            _log.warning("far_trust_not_refreshed", code=error.code)

    async def close(self) -> None:
        """Follow nothing any more."""
        await self.tree.close()

    def _make_replica(self, place: HubPlace, anchor: TrustAnchor) -> ReplicaStore:
        return ReplicaStore(self._folder / f"feed-{place.hub[-6:]}.replica", anchor)

    def _source(self, place: HubPlace) -> FeedSource | None:
        return None if self._stub is None else FeedSource(self._stub, place.hub)
