"""Regions that the hub does not hear: told in the feed, so that no gate takes them for fresh.

A region speaks when something changes and sends a heartbeat in between. While its line is
cut, what it revokes is held back, and nobody could tell that from a quiet day. So the hub
says in its own words that it does not hear a region, and since when (kind ``silence``).
Every reader makes the status of that region as old as that; what follows is its policy's.

Heard is a region on a stream that has brought everything it had to say (:class:`Hearing`):
until then what it revoked meanwhile may still be on its way. ``since`` is therefore an
instant up to which nothing is missing, never one that is too late. A region that says
itself how long its platform has not been heard is heard up to then. A row a region, written
at most once a minute, outlives the process: whoever follows next begins with that instant,
and gives every region as long to come back as one whose line broke. An instant that is up
to a minute too early errs on the safe side.

Whether a region has been silent for long enough goes by a clock that nobody sets.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import HutongError, TrustError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from gateway.hub.feed_log import HubFeed
    from gateway.hub.status_publisher import StatusPublisher
    from gateway.store import Store
    from gateway.trust import TrustBundle

SILENT_SECONDS: Final = 60.0
"""Four heartbeats. A line that is dead and says nothing is given up after two, an attempt
to reach the adapter takes up to ten seconds and comes after at most fifteen: whoever is
back by then, an adapter that was restarted for one, was never silent to anybody."""

LOOK_SECONDS: Final = 5.0
"""Between two looks: what falls silent or comes back between them is one write."""

KEEP_SECONDS: Final = 60.0
"""Between two writes of when regions were heard."""

_NOW: Final = timedelta()

_log = structlog.get_logger(__name__)


class Hearing:
    """One stream of a region: whether the hub has taken up all that was said on it.

    A stream begins with what stands on every list, and what the feed has of a list may be
    older than that. So nothing counts as heard before every list that the feed holds of
    the region was spoken of, or the region says, by a heartbeat, that there is no more to
    say. A word on such a list that the hub refuses leaves it unheard until one is taken.

    Args:
        held: addresses of the region's lists in the feed.
    """

    def __init__(self, held: Iterable[str]) -> None:
        self._unsaid = set(held)
        self._refused: set[str] = set()

    def take(self, uri: str) -> None:
        """Note a word on a list that was taken, or its end."""
        self._unsaid.discard(uri)
        self._refused.discard(uri)

    def refuse(self, uri: str) -> None:
        """Note a word on a list of the feed that was not taken."""
        self._refused.add(uri)

    def rest(self) -> None:
        """Note a heartbeat: all that there was to say was said."""
        self._unsaid.clear()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self._unsaid and not self._refused


@dataclass(frozen=True, slots=True)
class _Heard:
    """Up to when a region was heard."""

    at: datetime
    moment: float


class SilenceWatch:
    """See the module. Runs in the process that follows the adapters.

    Args:
        feed: whose lists count, and where a silence stands.
        publisher: writes.
        store: keeps when regions were heard.
        clock: the time, UTC.
        monotonic: seconds on a clock that is never set.
    """

    def __init__(
        self,
        feed: HubFeed,
        publisher: StatusPublisher,
        store: Store,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed = feed
        self._publisher = publisher
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._heard: dict[str, _Heard] = {}
        self._waited: dict[str, float] = {}
        # Said to be long ago by regions of which nothing else is known.
        self._told: dict[str, datetime] = {}
        self._kept: dict[str, datetime] | None = None
        self._kept_at = monotonic()
        self._seen: tuple[TrustBundle, dict[str, datetime]] | None = None

    def hear(self, urn: str, ago: timedelta = _NOW) -> None:
        """Note that a region is heard, and that nothing of what it said is missing.

        Args:
            urn: of the region.
            ago: up to how long ago that is so; what was heard before stays heard.
        """
        heard = _Heard(self._clock() - ago, self._monotonic() - ago.total_seconds())
        before = self._heard.get(urn)
        if before is None and ago.total_seconds() >= SILENT_SECONDS:
            # It may have begun a moment ago, as this process: it gets its time.
            self._told[urn] = heard.at
        elif before is None or heard.moment >= before.moment:
            self._heard[urn] = heard

    async def run(self) -> None:
        """Watch for ever, from what was kept; every region gets its time to come back."""
        before = dict(self._kept or {})
        for urn, told in self._told.items():
            before[urn] = max(told, before.get(urn, told))
        for urn, heard in self._heard.items():
            before[urn] = max(heard.at, before.get(urn, heard.at))
        self._heard.clear()
        self._told.clear()
        self._waited.clear()
        self._kept = None
        while True:
            try:
                if self._kept is None:
                    await self._recall(before)
                self.look()
                if self._monotonic() - self._kept_at >= KEEP_SECONDS:
                    await self.keep()
            except HutongError as error:
                _log.error("silence_watch_failed", code=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Publish who fell silent and who is heard again."""
        now, bundle = self._monotonic(), self._feed.bundle
        spoken = self._newest_words(bundle)
        watched = {urn for urn in spoken if _is_active(bundle, urn)}
        self._let_go(watched)
        for urn in watched:
            heard, silence = self._heard.get(urn), bundle.silence(urn)
            last = self._waited.setdefault(urn, now) if heard is None else heard.moment
            if now - last >= SILENT_SECONDS:
                if silence is None:
                    self._publisher.silence(urn, since=self._since(urn, spoken[urn]))
            elif heard is not None and silence is not None:
                self._publisher.heard_again(urn)
        for silence in bundle.silences():
            if silence.urn not in spoken:
                self._publisher.heard_again(silence.urn, "no list is left to hear of")

    async def keep(self) -> None:
        """Write when regions were heard.

        Raises:
            StoreError: the store failed.
        """
        self._kept_at = self._monotonic()
        await self._store.say_heard({urn: heard.at for urn, heard in self._heard.items()})

    async def _recall(self, before: dict[str, datetime]) -> None:
        kept = await self._store.heard()
        # What this process knew itself may be newer than what was written.
        for urn, at in before.items():
            kept[urn] = max(at, kept.get(urn, at))
        self._kept = kept

    def _let_go(self, watched: set[str]) -> None:
        """Stop watching who has no list or no standing; it begins anew when it is back."""
        for urn in self._heard.keys() - watched:
            at = self._heard.pop(urn).at
            if self._kept is not None:
                self._kept[urn] = at
        for urn in self._waited.keys() - watched:
            del self._waited[urn]
        for urn in self._told.keys() - watched:
            del self._told[urn]

    def _since(self, urn: str, spoken_at: datetime) -> datetime:
        """Up to when nothing of a region is missing.

        Without a row there is the hub's own instant at its newest word in the feed: a
        region that was followed for less than a minute, or before there were rows.
        """
        heard, kept = self._heard.get(urn), (self._kept or {}).get(urn)
        told = self._told.get(urn)
        if heard is not None:
            at = heard.at
        elif kept is not None:
            at = kept if told is None else max(kept, told)
        else:
            at = spoken_at if told is None else told
        return min(at, self._clock())

    def _newest_words(self, bundle: TrustBundle) -> dict[str, datetime]:
        """When the newest word on any of its lists was published, by region."""
        if self._seen is None or self._seen[0] is not bundle:
            newest: dict[str, datetime] = {}
            for status in bundle.statuses():
                at = status.entry.issued_at
                newest[status.issuer] = max(at, newest.get(status.issuer, at))
            self._seen = bundle, newest
        return self._seen[1]


def _is_active(bundle: TrustBundle, urn: str) -> bool:
    try:
        bundle.authority(urn)
    except TrustError:
        return False
    return True
