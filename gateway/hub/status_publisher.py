"""Words on the regions' status lists, and on regions that are not heard, into the feed.

One write takes everything that came while the one before was under way, and of one
subject only the newest word: statements are cumulative. Within a write they stand in the
order in which they came, so that a region counts as heard again after what it said, never
before. What is no news any more where it is written is left out: another process may have
been quicker.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog

from gateway.attestation.status_list import status_issuer
from gateway.errors import TrustError
from gateway.hub.errors import RegistryError
from gateway.store import StoreError
from gateway.trust.entries import silence_body
from gateway.trust.kinds import FeedKind, withdrawal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.attestation.status_change import StatusChange
    from gateway.hub.feed_log import Change, HubFeed
    from gateway.hub.mirror import StoreMirror
    from gateway.trust.entries import StatusEntry

PAUSE_SECONDS: Final = 0.2
"""Before a write that failed is tried again."""

_log = structlog.get_logger(__name__)

Place: TypeAlias = tuple[FeedKind, str]
"""Kind and subject."""


@dataclass(frozen=True, slots=True)
class _Word:
    """What waits to be written; no sequence: an end, or a word that has none."""

    sequence: int | None
    body: dict[str, Any]


class StatusPublisher:
    """See the module.

    Args:
        feed: the feed in memory.
        mirror: the way into store and feed.
    """

    def __init__(self, feed: HubFeed, mirror: StoreMirror) -> None:
        self._feed = feed
        self._mirror = mirror
        self._waiting: dict[Place, _Word] = {}
        self._woken = asyncio.Event()
        self.written = 0
        """Words on lists written since the start."""
        self.refused: Counter[str] = Counter()
        """Words refused since the start, by reason: those of the intake too."""
        self._unwritten: set[str] = set()

    def change(self, change: StatusChange) -> None:
        """Publish a statement, in place of an older one that still waits."""
        place = (FeedKind.STATUS, change.uri)
        before = self._waiting.get(place)
        if before is not None and (before.sequence or 0) >= change.sequence:
            return
        self._wait(place, _Word(change.sequence, {"statement": change.token}))

    def end(self, uri: str) -> None:
        """Publish the end of a list."""
        self._wait((FeedKind.STATUS, uri), _Word(None, withdrawal("the list has ended")))

    def silence(self, urn: str, *, since: datetime) -> None:
        """Publish that a region is not heard."""
        self._wait((FeedKind.SILENCE, urn), _Word(None, silence_body(since)))

    def heard_again(self, urn: str, why: str = "heard again") -> None:
        """Publish that a region is heard, or that there is nothing more to hear of it."""
        self._wait((FeedKind.SILENCE, urn), _Word(None, withdrawal(why)))

    def has_refused(self, urn: str) -> bool:
        """Whether the newest word on one of a region's lists in the feed was refused."""
        return any(
            status_issuer(uri) == urn for uri in self._unwritten & held_lists(self._feed).keys()
        )

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            words, self._waiting = self._waiting, {}
            try:
                await self._mirror.run(self._write(words))
            except StoreError as error:
                _log.error("status_not_written", code=error.code, words=len(words))
                # A newer word that came meanwhile stands.
                self._waiting = words | self._waiting
                await asyncio.sleep(PAUSE_SECONDS)
                self._woken.set()

    def _wait(self, place: Place, word: _Word) -> None:
        # At the end, also where an older word waited: what came last is written last.
        self._waiting.pop(place, None)
        self._waiting[place] = word
        self._woken.set()

    async def _write(self, words: Mapping[Place, _Word]) -> None:
        try:
            await self._append(words)
        except RegistryError as error:
            if len(words) == 1:
                ((kind, subject),) = words
                self.refused[error.code] += 1
                if kind is FeedKind.STATUS:
                    self._unwritten.add(subject)
                _log.warning("status_refused", code=error.code, kind=kind.value, subject=subject)
                return
            # One bad word does not take the others with it.
            for place, word in words.items():
                await self._write({place: word})

    async def _append(self, words: Mapping[Place, _Word]) -> None:
        async with self._mirror.change() as change:
            # Now that memory is the store's: another process may have been quicker.
            held = held_lists(self._feed)
            changes: list[Change] = [
                (kind, subject, word.body)
                for (kind, subject), word in words.items()
                if self._is_news(kind, subject, word, held)
            ]
            await self._mirror.append(change, changes)
        await self._mirror.refresh()
        for kind, subject, body in changes:
            if kind is FeedKind.SILENCE:
                _log.warning("region_silence", region=subject, said=body)
            else:
                self.written += 1
                self._unwritten.discard(subject)

    def _is_news(
        self, kind: FeedKind, subject: str, word: _Word, held: Mapping[str, StatusEntry]
    ) -> bool:
        if kind is FeedKind.SILENCE:
            is_silent = self._feed.bundle.silence(subject) is not None
            if "withdrawn" in word.body:
                return is_silent
            return not is_silent and self._is_active(subject)
        status = held.get(subject)
        if word.sequence is None:
            return status is not None
        return status is None or word.sequence > status.number

    def _is_active(self, urn: str) -> bool:
        try:
            self._feed.bundle.authority(urn)
        except TrustError:
            return False
        return True


def held_lists(feed: HubFeed) -> Mapping[str, StatusEntry]:
    """The newest word on every list in the feed, by address."""
    return {status.uri: status for status in feed.bundle.statuses()}
