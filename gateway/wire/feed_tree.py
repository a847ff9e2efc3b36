"""Follows every feed that the own hub's leads to, and puts them together.

The own feed names the hub above and the hubs below, theirs name further ones
(:func:`gateway.trust.hub_places.hub_places`). Each gets a replica under the keys that
its superior gives it and a follower of its own; where a hub's feed keys change, its
replica is verified anew under them. Where a feed comes from, the owner says: a
checkpoint asks its own hub for all of them, a hub asks whoever is nearest.

:attr:`FeedTree.bundle` is what the own bundle alone is for a reader with one hub, and
:meth:`FeedTree.age_seconds` tells the age of the *oldest* word that trust in a region
rests on: its hub's, and that of every hub above it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway.errors import HutongError
from gateway.trust.federated import FederatedBundle
from gateway.trust.hub_places import hub_places
from gateway.wire.feed_follower import FeedFollower, FollowedReplica

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

    from gateway.trust import TrustAnchor, TrustBundle
    from gateway.trust.hub_places import HubPlace

_log = structlog.get_logger(__name__)


class TreeReplica(FollowedReplica, Protocol):
    """What a tree keeps of one feed."""

    @property
    def bundle(self) -> TrustBundle | None:
        """What the feed says; None (or ReplicaError): there is nothing yet."""

    def load(self, now: datetime) -> bool:
        """Take up what the disk holds."""

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since the hub's newest verified word."""


@dataclass(frozen=True, slots=True)
class FeedSource:
    """Where a feed comes from.

    Attributes:
        stub: of the hub that is asked.
        hub: URN to ask it for; empty: its own feed.
    """

    stub: FeedServiceStub
    hub: str


@dataclass(slots=True, eq=False)
class _Branch:
    place: HubPlace
    keys: frozenset[tuple[str, int, int]]
    replica: TreeReplica
    follower: FeedFollower | None = None
    task: asyncio.Task[None] | None = None


class FeedTree:
    """See the module. One event loop.

    Args:
        own_hub: URN of the reader's own hub.
        own: what its feed says now; None: there is no word of it yet.
        own_age_seconds: age of that word.
        make_replica: makes the replica of a hub's feed under its keys.
        source: says where a hub's feed comes from; None: nowhere, now.
        clock: now, UTC.
        heartbeat_seconds: longest silence asked for.
        on_change: called after any of the other feeds changed.
    """

    def __init__(
        self,
        own_hub: str,
        *,
        own: Callable[[], TrustBundle | None],
        own_age_seconds: Callable[[datetime], int | None],
        make_replica: Callable[[HubPlace, TrustAnchor], TreeReplica],
        source: Callable[[HubPlace], FeedSource | None],
        clock: Callable[[], datetime],
        heartbeat_seconds: int,
        on_change: Callable[[], None],
    ) -> None:
        self._own_hub = own_hub
        self._own = own
        self._own_age_seconds = own_age_seconds
        self._make_replica = make_replica
        self._source = source
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._on_change = on_change
        self._branches: dict[str, _Branch] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._asks = self._follows = False
        # The own bundle, and what was made of it; gone when another feed changes.
        self._made: tuple[TrustBundle, TrustBundle] | None = None

    @property
    def bundle(self) -> TrustBundle | None:
        """What all feeds say together; the own one's bundle where it is the only one."""
        own = self._own()
        if own is None:
            return None
        if self._made is None or self._made[0] is not own:
            self.update()
            if not self._branches:
                self._made = (own, own)
            else:
                self._made = (own, FederatedBundle(self._own_hub, own, self._feeds()))
        return self._made[1]

    @property
    def replicas(self) -> Mapping[str, TreeReplica]:
        """The replicas, by the URN of the hub."""
        return {hub: branch.replica for hub, branch in self._branches.items()}

    def place(self, hub: str) -> HubPlace | None:
        """Return where a hub stands; None: the feeds do not lead to it."""
        branch = self._branches.get(hub)
        return None if branch is None else branch.place

    def failure(self, hub: str) -> str | None:
        """Return why a hub's feed is not followed now; None: it is."""
        branch = self._branches.get(hub)
        if branch is None or branch.follower is None:
            return "HUB_UNREACHABLE"
        return branch.follower.last_failure

    def age_seconds(self, now: datetime, region: str | None = None) -> int | None:
        """Return the age of the oldest word that trust rests on.

        Args:
            now: the clock.
            region: six digits, or the URN of an authority; None: the own hub alone.

        Returns:
            Seconds; None: some hub has never said a word.
        """
        bundle = None if region is None else self.bundle
        if region is None or not isinstance(bundle, FederatedBundle):
            return self._own_age_seconds(now)
        is_urn = region.startswith("urn:")
        behind = bundle.behind(region) if is_urn else bundle.behind_region(region)
        ages = [self._own_age_seconds(now)]
        for hub in behind[1:]:
            branch = self._branches.get(hub)
            ages.append(None if branch is None else branch.replica.age_seconds(now))
        known = [age for age in ages if age is not None]
        return max(known) if len(known) == len(ages) else None

    def start(self, *, follow: bool = True) -> None:
        """Begin; must run in a loop.

        Args:
            follow: keep every feed current; False: only :meth:`refresh` asks.
        """
        self._asks, self._follows = True, follow
        self.update()

    def update(self) -> None:
        """Take up what the feeds lead to now; costs little when nothing changed."""
        own = self._own()
        if own is None:
            return
        while True:
            before = len(self._branches)
            places = hub_places(self._own_hub, own, self._feeds())
            for hub, place in places.items():
                self._take_up(hub, place)
            for hub in self._branches.keys() - places.keys():
                self._end(self._branches.pop(hub))
                self._made = None
            if len(self._branches) <= before:
                break
        if self._asks:
            for branch in self._branches.values():
                if branch.follower is None:
                    self._follow(branch)

    async def refresh(self) -> None:
        """Bring every feed up to date now, the nearest first.

        Raises:
            RpcFailure: a hub cannot be reached; the others are up to date.
            FeedError: what one sent was refused.
        """
        done: set[str] = set()
        failure: HutongError | None = None
        self.update()
        while left := [hub for hub in self._branches if hub not in done]:
            done.update(left)
            followers = [self._branches[hub].follower for hub in left]
            results = await asyncio.gather(
                *(follower.refresh() for follower in followers if follower is not None),
                return_exceptions=True,
            )
            for result in results:
                if isinstance(result, HutongError):
                    failure = failure or result
                elif isinstance(result, BaseException):
                    raise result
            self.update()
        if failure is not None:
            raise failure

    def reset(self, next_hop: str) -> None:
        """Ask anew for every feed that comes by way of a hub: its address changed."""
        for branch in self._branches.values():
            if branch.place.behind[1] == next_hop:
                self._end(branch)
        self.update()

    async def close(self) -> None:
        """Follow nothing any more."""
        self._asks = self._follows = False
        for branch in self._branches.values():
            self._end(branch)
        await asyncio.gather(*self._ending, return_exceptions=True)

    # --- branches

    def _feeds(self) -> dict[str, TrustBundle]:
        found = {}
        for hub, branch in self._branches.items():
            bundle = branch.replica.bundle if branch.replica.is_usable else None
            if bundle is not None:
                found[hub] = bundle
        return found

    def _take_up(self, hub: str, place: HubPlace) -> None:
        branch = self._branches.get(hub)
        keys = frozenset() if place.anchor is None else place.anchor.times()
        if branch is not None and branch.keys == keys:
            branch.place = place
            return
        if branch is not None:
            self._end(self._branches.pop(hub))
        if place.anchor is not None:
            replica = self._make_replica(place, place.anchor)
            try:
                replica.load(self._clock())
            except HutongError as error:
                _log.error("feed_replica_not_read", hub=hub, code=error.code)
            self._branches[hub] = _Branch(place, keys, replica)
        self._made = None

    def _follow(self, branch: _Branch) -> None:
        source = self._source(branch.place)
        if source is None:
            return
        branch.follower = FeedFollower(
            source.stub,
            branch.replica,
            clock=self._clock,
            heartbeat_seconds=self._heartbeat_seconds,
            on_change=self._changed,
            hub=source.hub,
        )
        if self._follows:
            branch.task = asyncio.get_running_loop().create_task(branch.follower.run())

    def _changed(self) -> None:
        self._made = None
        self.update()
        self._on_change()

    def _end(self, branch: _Branch) -> None:
        task, branch.task, branch.follower = branch.task, None, None
        if task is not None:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
