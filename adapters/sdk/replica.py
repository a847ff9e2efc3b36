"""The adapter's own replica of the feed, by which it believes other regions.

An adapter that converts codes verifies the attestations of other regions itself. It
follows its hub's feed as a checkpoint does, from the same trust anchor that its
grants rest on, and keeps the replica on disk. Where there is none, or the hub's last
word is older than the limit, it believes nobody and so converts nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.attestation.cache import VerifiedTokenCache
from gateway.attestation.verifying import AttestationVerifier
from gateway.errors import HutongError
from gateway.trust.errors import Missing, TrustLookupError
from gateway.wire.channel import open_channel, unsafe_open_insecure_channel
from gateway.wire.feed_follower import FeedFollower
from gateway.wire.feed_tree import FeedSource, FeedTree
from gateway.wire.replica_store import ReplicaStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    import grpc

    from gateway.attestation.keys import VerificationKey
    from gateway.trust.anchor import TrustAnchor
    from gateway.trust.bundle import TrustBundle
    from gateway.trust.hub_keys import HubKeySet
    from gateway.trust.hub_places import HubPlace

DEFAULT_HEARTBEAT_SECONDS: Final = 15
DEFAULT_MAX_AGE_SECONDS: Final = 24 * 3600
"""Both as for a checkpoint (``CheckpointSettings``)."""
_CACHED: Final = 4096
"""Attestations are converted once, so few are seen twice: 16 MB at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """Where the feed comes from and where it is kept.

    Attributes:
        target: ``host:port`` of the hub.
        path: the replica's file.
        ca_pem: the only roots to trust; None: those gRPC brings.
        heartbeat_seconds: longest silence of the feed.
        max_age_seconds: age of the hub's last word from which nobody is believed.
        unsafe_insecure: no TLS; for tests only.
    """

    target: str
    path: Path
    ca_pem: bytes | None = None
    heartbeat_seconds: int = DEFAULT_HEARTBEAT_SECONDS
    max_age_seconds: int = DEFAULT_MAX_AGE_SECONDS
    unsafe_insecure: bool = False


class HubReplica:
    """Follows one hub. One event loop.

    Args:
        anchor: root of trust.
        settings: where from and where to.
        clock: now, aware, UTC.
    """

    def __init__(
        self, anchor: TrustAnchor, settings: ReplicaSettings, *, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._store = ReplicaStore(settings.path, anchor)
        self._cache = VerifiedTokenCache(_CACHED)
        # Where hubs stand above hubs, the own one passes the others' feeds on.
        self._tree = FeedTree(
            anchor.hub,
            own=lambda: self._store.bundle if self._store.is_usable else None,
            own_age_seconds=self._store.age_seconds,
            make_replica=lambda place, keys: ReplicaStore(
                settings.path.with_name(f"{settings.path.name}-{place.hub[-6:]}"), keys
            ),
            source=self._source,
            clock=clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=self._cache.clear,
        )
        self._verifier: AttestationVerifier | None = None
        self._bundle: TrustBundle | None = None
        self._hub_keys: tuple[TrustBundle, HubKeySet | None] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._follower: FeedFollower | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what the disk holds and follow the hub from there; must run in a loop.

        Raises:
            FileError: the replica's file cannot be read.
        """
        settings = self._settings
        self._store.load(self._clock())
        self._channel = (
            unsafe_open_insecure_channel(settings.target)
            if settings.unsafe_insecure
            else open_channel(settings.target, ca_pem=settings.ca_pem)
        )
        self._follower = FeedFollower(
            FeedServiceStub(self._channel),
            self._store,
            clock=self._clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=self._feed_changed,
        )
        self._tree.start()
        self._following = asyncio.create_task(self._follower.run())

    async def stop(self) -> None:
        """Stop following and let go of the hub."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
            self._following = None
        await self._tree.close()
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def refresh(self) -> None:
        """Bring the replica up to date now.

        Raises:
            RpcFailure: the hub cannot be reached.
            FeedError: what it sent was refused.
        """
        if self._follower is not None:
            await self._follower.refresh()
            with contextlib.suppress(HutongError):
                # What cannot be had goes on ageing, and is believed as long as that allows.
                await self._tree.refresh()

    def is_fresh(self, now: datetime) -> bool:
        """Whether other regions are believed now."""
        age = self._store.age_seconds(now)
        return age is not None and age <= self._settings.max_age_seconds

    def verifier(self, now: datetime) -> AttestationVerifier | None:
        """Return what verifies attestations of other regions; None: nobody is believed."""
        if not self.is_fresh(now):
            return None
        bundle = self._tree.bundle or self._store.bundle
        if self._verifier is None or self._bundle is not bundle:
            self._cache.clear()
            self._bundle = bundle
            keys = _FreshKeys(bundle, self._is_fresh_issuer)
            self._verifier = AttestationVerifier(keys, cache=self._cache)
        return self._verifier

    def hub_keys(self) -> HubKeySet | None:
        """Return the newest set of the hub's own keys; None: the feed names none."""
        if not self._store.is_usable:
            return None
        # Asked with every grant: looked for once an entry.
        bundle = self._store.bundle
        if self._hub_keys is None or self._hub_keys[0] is not bundle:
            self._hub_keys = (bundle, bundle.hub_keys())
        return self._hub_keys[1]

    def _is_fresh_issuer(self, issuer: str) -> bool:
        age = self._tree.age_seconds(self._clock(), issuer)
        return age is not None and age <= self._settings.max_age_seconds

    def _feed_changed(self) -> None:
        self._cache.clear()
        self._tree.update()

    def _source(self, place: HubPlace) -> FeedSource | None:
        if self._channel is None:
            return None
        return FeedSource(FeedServiceStub(self._channel), place.hub)


class _FreshKeys:
    """Keys of issuers whose own hub, and every hub on the way, was heard of lately."""

    def __init__(self, bundle: TrustBundle, is_fresh: Callable[[str], bool]) -> None:
        self._bundle = bundle
        self._is_fresh = is_fresh

    def attestation_key(self, issuer: str, key_id: str) -> VerificationKey:
        """As :meth:`TrustBundle.attestation_key`; HUB_UNKNOWN: trust is too old."""
        found = self._bundle.attestation_key(issuer, key_id)
        if not self._is_fresh(issuer):
            raise TrustLookupError(
                "the hub that speaks for it has not been heard of for too long",
                code=Missing.HUB_UNKNOWN,
            )
        return found
