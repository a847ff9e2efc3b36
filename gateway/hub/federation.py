"""This hub among hubs: the line up, the feeds it follows and passes on, and loops.

Below a superior, a hub asks it for every region that nobody here answers for, tells
its readers who it is (a ``superior`` entry in its own feed), and follows its feed and
through it those of its siblings. Above others, it follows theirs. All of them are
served on, byte by byte (:mod:`gateway.hub.relay`).

A line that is cut costs nothing here: regions of this hub are routed, its feed goes
on, and what lies beyond is refused with ``HUB_UNREACHABLE`` until the line is back.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from hutong.v1 import adapter_service_pb2, feed_service_pb2
from hutong.v1.adapter_service_pb2_grpc import AdapterServiceStub
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.attestation import base64url
from gateway.errors import HutongError
from gateway.hub.adapter_link import AdapterLink
from gateway.hub.errors import RegistryError
from gateway.hub.link_line import LinkSettings
from gateway.hub.link_service import TO_HUB_ABOVE
from gateway.hub.neighbours import Neighbours
from gateway.hub.relay import RelayedFeed
from gateway.hub.superior import load_superior
from gateway.hub.superior_naming import name_superior
from gateway.trust import names
from gateway.trust.hub_places import Relation
from gateway.wire.channel import open_channel
from gateway.wire.feed_tree import FeedSource, FeedTree
from gateway.wire.hub_tokens import EXCHANGE_SCOPE
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.hub.access import GrantMinter
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.feed_watch import ServedFeed
    from gateway.hub.link_line import Metadata
    from gateway.hub.mirror import StoreMirror
    from gateway.hub.settings import HubSettings
    from gateway.hub.superior import Superior
    from gateway.trust import TrustAnchor
    from gateway.trust.hub_places import HubPlace

HEARTBEAT_SECONDS: Final = 2
"""Longest silence between hubs: three hops stay well under a reader's patience."""

CONNECTED_SECONDS: Final = 5 * HEARTBEAT_SECONDS
"""A hub whose newest word is older than this is not reached, whatever the line says."""

LOOK_SECONDS: Final = 2.0
"""How often a hub below none looks whether it was told of one."""

FETCH_SECONDS: Final = 30.0
"""A list of some megabytes on a slow line."""

MAX_LIST_BYTES: Final = 4 * 1024 * 1024
"""As ``hutong.v1.StatusListToken``."""

DESCRIBE_SECONDS: Final = 5.0
"""A hub that needs longer to say who it is cannot be registered."""

_log = structlog.get_logger(__name__)


class Federation:
    """See the module. One event loop.

    Args:
        settings: of this hub.
        feed: its own feed.
        mirror: members and store.
        feeds: the feeds it serves; gains those that it passes on.
        grants: introduces its callers.
        clock: now, UTC.
    """

    def __init__(
        self,
        settings: HubSettings,
        *,
        feed: HubFeed,
        mirror: StoreMirror,
        feeds: dict[str, ServedFeed],
        grants: GrantMinter,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._mirror = mirror
        self._feeds = feeds
        self._grants = grants
        self._clock = clock
        self._link: AdapterLink | None = None
        self._tokens: TokenClient | None = None
        self._naming: set[asyncio.Task[None]] = set()
        self.superior: Superior | None = None
        """How the hub above is reached; None: there is none."""
        self.neighbours = Neighbours(mirror.members, lambda: self.superior)
        """The hubs next to this one."""
        self.tree = FeedTree(
            settings.urn,
            own=lambda: feed.bundle,
            own_age_seconds=lambda _: 0,
            make_replica=self._make_relay,
            source=self._source,
            clock=clock,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            on_change=self._tree_changed,
        )

    # --- life

    async def start(self) -> None:
        """Take up the superior, if there is one, and follow; must run in a loop.

        Raises:
            HubSetupError: what was written of the superior cannot be used.
        """
        self._relays().mkdir(parents=True, exist_ok=True)
        self._mirror.members.subscribe(self._members_changed)
        self.tree.start()
        self._serve()
        await self.look()

    async def run(self) -> None:
        """Look for a superior until there is one; ends only when cancelled."""
        while self.superior is None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except HutongError as error:
                _log.error("superior_not_taken_up", code=error.code)

    async def look(self) -> None:
        """Take up the superior that ``join-superior`` has written down.

        Raises:
            HubSetupError: its files cannot be used.
            StoreError: its entry could not be written.
        """
        superior = load_superior(self._settings.superior)
        if superior is None or self.superior is not None:
            return
        self._tokens = TokenClient(
            superior.token_url, self._settings.urn, superior.key, superior.ca_pem, self._clock
        )
        self._link = AdapterLink(
            superior.urn,
            lambda: open_channel(superior.target, ca_pem=superior.ca_pem),
            self._grants,
            settings=LinkSettings(),
            jitter=random.random,
            service=TO_HUB_ABOVE,
            credentials=self._credentials,
        )
        self.superior = superior
        await self._mirror.run(name_superior(self._mirror, self._feed, superior))
        self._feed_changed()
        self._take_superiors_keys()
        _log.info("superior_taken_up", superior=superior.urn)

    async def close(self) -> None:
        """Follow nothing and ask nobody any more."""
        await self.tree.close()
        await asyncio.gather(*self._naming, return_exceptions=True)
        if self._link is not None:
            await self._link.close()
        if self._tokens is not None:
            await self._tokens.close()
        await self.neighbours.close()

    def drain(self) -> None:
        """End the readers of the feeds that are passed on."""
        for feed in self._relayed():
            feed.close()

    # --- questions that nobody here answers

    def link(self, region: str, via: Sequence[str]) -> AdapterLink | None:
        """Return the line up; None: the superior is not to be asked (see ``Upward``)."""
        superior = self.superior
        if (
            superior is None
            or superior.urn in via
            # What this hub answers for, the superior would send back.
            or names.covers(superior.prefixes, names.shortest(region) or region)
        ):
            return None
        return self._link

    # --- who stands above

    def superiors(self) -> tuple[str, ...]:
        """Return the hubs from here up to the top, this one first, as far as they say so.

        The superior counts from when its feed names this hub as active.
        """
        found = [self._settings.urn]
        below = self._settings.urn
        for feed in self._relayed():
            place = self.tree.place(feed.hub)
            if place is None or place.relation is not Relation.SUPERIOR or feed.bundle is None:
                continue
            if below not in {hub.urn for hub in feed.bundle.hubs()}:
                break
            found.append(feed.hub)
            below = feed.hub
        return tuple(found)

    async def check_no_loop(self, urn: str, endpoint: str, tls_ca_pem: str | None) -> None:
        """Refuse a hub below that stands above this one, or below it already.

        Args:
            urn: of the hub that registers.
            endpoint: of its gRPC door.
            tls_ca_pem: roots of its certificate; None: the system's.

        Raises:
            RegistryError: ROUTE_LOOP; HUB_UNREACHABLE, it cannot be asked.
        """
        if urn in self.superiors() or (self.superior is not None and urn == self.superior.urn):
            raise RegistryError("the hub stands above this one", code="ROUTE_LOOP")
        ca_pem = tls_ca_pem.encode("ascii") if tls_ca_pem else None
        try:
            async with open_channel(endpoint, ca_pem=ca_pem) as channel:
                said = await AdapterServiceStub(channel).Describe(
                    adapter_service_pb2.DescribeRequest(), timeout=DESCRIBE_SECONDS
                )
        except grpc.aio.AioRpcError:
            raise RegistryError(
                "the hub does not say whom it stands below: it cannot be reached",
                code="HUB_UNREACHABLE",
            ) from None
        if said.authority != urn:
            raise RegistryError("another authority answers there", code="STATEMENT_INVALID")
        if self._settings.urn in said.superiors:
            raise RegistryError("the hub stands below this one already", code="ROUTE_LOOP")

    # --- feeds

    def _make_relay(self, place: HubPlace, anchor: TrustAnchor) -> RelayedFeed:
        feed = self._settings.feed
        is_superior = place.relation is Relation.SUPERIOR and place.through == self._settings.urn
        return RelayedFeed(
            self._relays() / f"{place.hub[-6:]}.feed",
            self._root(place, anchor) if is_superior else anchor,
            is_superior=is_superior,
            is_connected=lambda: self._is_connected(place.hub),
            watcher_queue=feed.watcher_queue,
            stall_seconds=feed.stall_seconds,
        )

    def _root(self, place: HubPlace, named: TrustAnchor) -> TrustAnchor:
        """What the superior's feed is walked from: this hub has its anchor from nobody else.

        Readers below have its keys from this hub's feed, so this hub walks ahead of them.
        """
        superior = self.superior or load_superior(self._settings.superior)
        return named if superior is None or superior.urn != place.hub else superior.anchor

    def _tree_changed(self) -> None:
        self._take_superiors_keys()
        self._serve()

    def _take_superiors_keys(self) -> None:
        """Take over the keys that the superior has published, and name them to the readers."""
        superior = self.superior
        relay = None if superior is None else self.tree.replicas.get(superior.urn)
        if superior is None or not isinstance(relay, RelayedFeed):
            return
        anchor = relay.anchor
        if anchor.is_bound or anchor.number <= superior.anchor.number:
            return
        self.superior = replace(superior, anchor=anchor)
        task = asyncio.get_running_loop().create_task(self._name_again(self.superior))
        self._naming.add(task)
        task.add_done_callback(self._naming.discard)

    async def _name_again(self, superior: Superior) -> None:
        try:
            await self._mirror.run(name_superior(self._mirror, self._feed, superior))
        except HutongError as error:
            # What is not named now is named at the next start, or by another process.
            _log.error("superior_not_named", code=error.code)
            return
        self._feed_changed()
        _log.info("superiors_keys_taken", superior=superior.urn, number=superior.anchor.number)

    def _is_connected(self, hub: str) -> bool:
        replica = self.tree.replicas.get(hub)
        age = None if replica is None else replica.age_seconds(self._clock())
        return age is not None and age <= CONNECTED_SECONDS and self.tree.failure(hub) is None

    def _source(self, place: HubPlace) -> FeedSource | None:
        next_hop = place.behind[1]
        channel = self.neighbours.channel(next_hop)
        if channel is None:
            return None
        return FeedSource(FeedServiceStub(channel), "" if next_hop == place.hub else place.hub)

    def _serve(self) -> None:
        """Serve on what is followed now."""
        relayed = {feed.hub: feed for feed in self._relayed()}
        for hub in self._feeds.keys() - relayed.keys() - {self._settings.urn}:
            gone = self._feeds.pop(hub)
            if isinstance(gone, RelayedFeed):
                gone.close()
        for hub, feed in relayed.items():
            # One that was made anew under other keys: whoever reads the old one comes back.
            before = self._feeds.get(hub)
            if isinstance(before, RelayedFeed) and before is not feed:
                before.close()
        self._feeds.update(relayed)

    def _relayed(self) -> list[RelayedFeed]:
        return [feed for feed in self.tree.replicas.values() if isinstance(feed, RelayedFeed)]

    def _feed_changed(self) -> None:
        self.tree.update()
        self._serve()

    def _members_changed(self) -> None:
        # The feed is taken over before the members are told of.
        for hub in self.neighbours.moved():
            self.tree.reset(hub)
        self._feed_changed()

    def _relays(self) -> Path:
        return self._settings.superior.parent.parent / "relays"

    async def status_list(self, digest: str) -> bytes | None:
        """Fetch a base status list that another hub's feed names, from the next hub.

        Args:
            digest: base64url SHA-256 of its token.

        Returns:
            The token; None: no feed names it, or it cannot be had now.
        """
        for feed in self._relayed():
            place, bundle = self.tree.place(feed.hub), feed.bundle
            if place is None or bundle is None:
                continue
            if any(status.base_digest == digest for status in bundle.statuses()):
                source = self._source(place)
                return None if source is None else await _fetch_list(source.stub, digest)
        return None

    # --- towards the superior

    async def _credentials(self) -> Metadata:
        if self._tokens is None:
            return ()
        return (("authorization", f"Bearer {await self._tokens.token(EXCHANGE_SCOPE)}"),)


async def _fetch_list(stub: FeedServiceStub, digest: str) -> bytes | None:
    token = bytearray()
    call = stub.GetStatusList(
        feed_service_pb2.GetStatusListRequest(digest=digest), timeout=FETCH_SECONDS
    )
    try:
        async for part in call:
            token += part.chunk
            if len(token) > MAX_LIST_BYTES:
                call.cancel()
                return None
    except grpc.aio.AioRpcError as error:
        _log.warning("status_list_not_fetched", code=error.code().name)
        return None
    # Whoever passed it on, it is the one that was asked for.
    is_it = base64url.encode(hashlib.sha256(token).digest()) == digest
    return bytes(token) if is_it else None
