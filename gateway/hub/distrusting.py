"""Surgical distrust: what it would touch, that it holds, and that it is taken back.

A distrust is the hub's own word, an entry of kind ``distrust``; taking it back is a
tombstone. Both stand in the audit. Its issuer may stand behind another hub: the word of
a hub above counts for everybody below it. The preview counts and names; it never learns
whose attestations they are, and of other hubs it learns sums.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url
from gateway.hub.errors import RegistryError
from gateway.hub.reader_counts import ReaderCount, recent_callers
from gateway.hub.registry_base import printable, withdrawal
from gateway.hub.rule_proto import rule_from_proto as rule_from_proto
from gateway.hub.rule_proto import rule_to_proto as rule_to_proto
from gateway.trust import DistrustError, DistrustRule, FeedKind, distrust_body

if TYPE_CHECKING:
    from gateway.hub.feed_log import HubFeed
    from gateway.hub.hubs_around import HubsAround
    from gateway.hub.live_counts import LiveCounts
    from gateway.hub.reader_counts import ReaderCounts
    from gateway.hub.registry import Registry
    from gateway.store import Store
    from gateway.trust import TrustBundle

DISTRUST_ID_BYTES: Final = 12
"""96 random bits: distrusts are few."""

MAX_CALLERS: Final = 1000
"""As ``hutong.v1.PreviewDistrustResponse.callers``."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would touch.

    Attributes:
        attestations: live ones that the issuer's adapter counts; None: it could not be
            asked, or would not say.
        uncounted: URN of who could not be asked for that count; empty: it was asked.
        edges_connected: readers of the feed connected to this process now.
        callers: URNs of who asked the issuer's divisions within a day, at most 1 000: of
            members, and of hubs that asked for theirs.
        published: subjects of schemes, policies and status lists that would not hold.
        elsewhere: readers of the other hubs that the distrust counts for.
        unknown: hubs that could not be asked for theirs.
    """

    attestations: int | None
    uncounted: str
    edges_connected: int
    callers: tuple[str, ...]
    published: tuple[str, ...]
    elsewhere: tuple[ReaderCount, ...]
    unknown: tuple[str, ...]


class Distrusting:
    """See the module.

    Args:
        registry: makes the changes.
        feed: the feed in memory.
        store: for the usage of a day.
        live: counts attestations.
        readers: counts readers.
        around: the other hubs; None: there are none.
    """

    def __init__(
        self,
        registry: Registry,
        feed: HubFeed,
        store: Store,
        *,
        live: LiveCounts,
        readers: ReaderCounts,
        around: HubsAround | None = None,
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._store = store
        self._live = live
        self._readers = readers
        self._around = around

    async def preview(self, rule: DistrustRule) -> Preview:
        """Tell what a distrust would touch.

        Raises:
            DistrustError: no feed names the issuer.
            StoreError: the store cannot be read.
        """
        self._check_issuer(rule)
        # The word of a hub counts below it; on those it answers for, everywhere.
        is_own = self._registry.members.get(rule.issuer) is not None
        counted, callers, elsewhere = await asyncio.gather(
            self._live.count(rule),
            self._callers(rule),
            self._readers.elsewhere(issuer=rule.issuer, only_below=not is_own),
        )
        return Preview(
            attestations=counted.attestations,
            uncounted=counted.unknown,
            edges_connected=self._feed.watchers,
            callers=callers,
            published=tuple(item.entry.subject for item in self._bundle().touched(rule)),
            elsewhere=elsewhere.hubs,
            unknown=elsewhere.unknown,
        )

    async def distrust(self, rule: DistrustRule, *, by: str, reason: str) -> tuple[str, int]:
        """Publish a distrust at once.

        Returns:
            What names it, and the sequence number of its entry.

        Raises:
            DistrustError: no feed names the issuer.
            StoreError: the store failed; nothing was acknowledged.
        """
        self._check_issuer(rule)
        distrust_id = base64url.encode(self._registry.random_bytes(DISTRUST_ID_BYTES))
        body = distrust_body(rule, reason=printable(reason), decided_at=self._registry.now())
        sequence = await self._registry.announce(
            [(FeedKind.DISTRUST, distrust_id, body)],
            action="distrust",
            subject=distrust_id,
            by=by,
            reason=reason,
        )
        return distrust_id, sequence

    async def undo(self, distrust_id: str, *, by: str, reason: str) -> int:
        """Take a distrust back.

        Returns:
            The sequence number of the entry that does.

        Raises:
            RegistryError: NOT_FOUND.
            StoreError: the store failed; nothing was acknowledged.
        """

        def check() -> None:
            # Inside the change: two operators may undo it at once.
            if all(held.distrust_id != distrust_id for held in self._feed.bundle.distrusts()):
                raise RegistryError("no such distrust is in force", code="NOT_FOUND")

        return await self._registry.announce(
            [withdrawal(FeedKind.DISTRUST, distrust_id, reason or "taken back")],
            action="undo-distrust",
            subject=distrust_id,
            by=by,
            reason=reason,
            check=check,
        )

    def _check_issuer(self, rule: DistrustRule) -> None:
        bundles = [self._feed.bundle, *(() if self._around is None else self._around.bundles())]
        for bundle in bundles:
            for authority in (*bundle.authorities(), *bundle.all_hubs()):
                if authority.urn == rule.issuer:
                    return
        raise DistrustError("no feed names such an issuer")

    async def _callers(self, rule: DistrustRule) -> tuple[str, ...]:
        found = await recent_callers(
            self._store, (self._bundle(), self._feed.bundle), rule.issuer, self._registry.now()
        )
        return tuple(sorted(found)[:MAX_CALLERS])

    def _bundle(self) -> TrustBundle:
        found = None if self._around is None else self._around.bundle
        return found or self._feed.bundle
