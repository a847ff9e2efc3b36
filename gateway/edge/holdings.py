"""What a checkpoint holds: the hub's word, its own records, and the line to the hub.

Everything that is on the disk, what keeps it current, and what it says of itself; what
is done with it stands in :mod:`gateway.edge.checkpoint`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from gateway.attestation import VerifiedTokenCache
from gateway.edge.federation import FederatedTrust
from gateway.edge.knowledge import Knowledge
from gateway.edge.online import Hands, Line, follow, open_line
from gateway.edge.packs import PackStore
from gateway.edge.reconcile import ConflictLog, Reconciled, SightingQueue, reconcile
from gateway.edge.revocation import StatusFolder, StatusLists
from gateway.edge.status import HubStatus, Status, status_of
from gateway.edge.view import TrustView
from gateway.errors import HutongError
from gateway.trust.errors import FeedFault
from gateway.wire.errors import RpcFailure
from gateway.wire.replica_store import ReplicaStore

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from gateway.edge.packs import Taken
    from gateway.edge.settings import CheckpointSettings
    from gateway.trust import TrustAnchor

STALE_SECONDS: Final = 60
"""A one-shot command refreshes trust that is older than this before it asks."""

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class Holdings:
    """See the module.

    Args:
        settings: of the checkpoint.
        anchor: of its hub.
        clock: now, UTC.
    """

    def __init__(
        self,
        settings: CheckpointSettings,
        anchor: TrustAnchor,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self._anchor = anchor
        self._clock = clock
        self._store = ReplicaStore(settings.replica_file, anchor)
        self._packs = PackStore(settings.packs_folder, anchor)
        self._folder = StatusFolder(settings.status_folder)
        self._lists = StatusLists(self._folder)
        self._knowledge = Knowledge(anchor, self._store, self._packs, self._folder)
        self._queue = SightingQueue(settings.unreported_file)
        self._conflicts = ConflictLog(settings.conflicts_file)
        self._cache = VerifiedTokenCache()
        self._trust = FederatedTrust(
            self._knowledge,
            anchor.hub,
            settings.state_dir,
            clock=clock,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_change=self._changed,
        )
        self._view: TrustView | None = None
        self._line: Line | None = None

    async def refresh(self) -> None:
        """Bring the replica of the feed up to date now.

        Raises:
            RpcFailure: the hub cannot be reached, or this checkpoint is offline.
            FeedError: what the hub sent was refused.
        """
        if self._line is None:
            return
        await self._line.follower.refresh()
        await self._trust.refresh()
        try:
            await self._line.fetcher.fetch_missing()
        except HutongError as error:
            # The hub's word is here; what a missing list leaves unknown is told.
            _log.warning("status_lists_not_fetched", code=error.code)

    async def reconcile(self) -> Reconciled:
        """Report what was admitted while the hub was away; see ``reconcile``.

        Raises:
            RpcFailure: the hub does not take it, or this checkpoint runs offline.
        """
        if self._line is None:
            raise RpcFailure("PEER_UNREACHABLE", "this checkpoint runs offline")
        return await reconcile(self._queue, self._line.reporter, self._conflicts, self._clock())

    def load_pack(self, data: bytes) -> Taken:
        """Take an air-gapped pack in; it holds from the next decision on.

        Raises:
            PackError: it does not hold; nothing changed.
            FeedError: likewise; FEED_ROLLED_BACK, it ends before what is known.
            OSError: it cannot be written.
        """
        taken = self._knowledge.take_pack(data, self._clock())
        self._cache.clear()
        return taken

    async def refresh_if_stale(self) -> None:
        """Refresh trust older than a minute; an unreachable hub is no error here.

        What is held goes on ageing, and the decision tells its age.
        """
        age = self._knowledge.age_seconds(self._clock())
        if age is not None and age <= STALE_SECONDS:
            return
        try:
            await self.refresh()
        except HutongError as error:
            if error.code == FeedFault.FEED_FROM_FUTURE and not self._knowledge.is_usable:
                # Otherwise it would look as if there had never been a word.
                raise
            _log.warning("trust_not_refreshed", code=error.code, age_seconds=age)

    def status(self) -> Status:
        """What this checkpoint knows now."""
        now = self._clock()
        return status_of(
            self.settings,
            self._anchor.hub,
            self._knowledge,
            self._trust_view() if self._knowledge.is_usable else None,
            now,
            feed_failure=self._line.follower.last_failure if self._line is not None else None,
            unreported=len(self._queue),
            conflicts=len(self._conflicts.read()),
            hubs=tuple(
                HubStatus(hub, replica.age_seconds(now) if replica.is_usable else None)
                for hub, replica in sorted(self._trust.tree.replicas.items())
            ),
        )

    # --- assembly ------------------------------------------------------------

    def _take_up(self, now: datetime) -> None:
        """What the disk and the stick hold."""
        self._knowledge.open(now)
        if self.settings.packs_dir is not None and self.settings.packs_dir.is_dir():
            self._packs.take_from(self.settings.packs_dir, now)
        self._knowledge.spread_lists()

    async def _go_online(
        self,
        stack: contextlib.AsyncExitStack,
        random_bytes: Callable[[int], bytes],
        *,
        is_following: bool,
    ) -> None:
        hands = Hands(
            self.settings,
            self._store,
            self._folder,
            self._queue,
            self._conflicts,
            self._trust_view,
            self._knowledge.age_seconds,
            self.refresh,
            self._clock,
            random_bytes,
            self._trust.rehearsals,
        )
        self._line = await open_line(stack, hands, on_change=self._changed)
        stack.push_async_callback(self._trust.close)
        if is_following:
            follow(stack, self._line, hands)
        self._trust.start(self._line.feeds, follow=is_following)

    def _changed(self) -> None:
        self._cache.clear()
        self._trust.tree.update()
        if self._line is not None:
            self._line.changed()

    def _age_of(self, now: datetime, origin: str) -> int | None:
        return self._trust.tree.age_seconds(now, origin)

    def _trust_view(self) -> TrustView:
        bundle = self._trust.bundle
        if self._view is None or self._view.bundle is not bundle:
            self._cache.clear()
            self._view = TrustView(
                bundle, self.settings.region, self._cache, self._lists, age_of=self._age_of
            )
        return self._view
