"""Notices ahead of every expiry: in the feed, once a key and threshold.

A long-lived key is told of 30, 7 and 1 days before its end; one that lives less than
four months a quarter, a sixteenth or so of its life before, in the same proportions.
However many processes of the hub look, a notice is given once: what was given is
remembered in the store, in the transaction that gives it. One notice a member stands
in the feed at a time; it is withdrawn when nothing of the member ends soon.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import HutongError
from gateway.hub.errors import RegistryError
from gateway.hub.registry_base import IN_FEED, withdrawal
from gateway.trust import FeedKind, KeyState, notice_body
from gateway.trust.hub_key_life import keys_of
from gateway.trust.times import to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gateway.hub.feed_log import Change, HubFeed
    from gateway.hub.members import Member
    from gateway.hub.registry import Registry
    from gateway.hub.rehearsals import Rehearsals
    from gateway.trust import MemberKey

TOPIC: Final = "key-expiring"

STEPS: Final = (30, 7, 1)
"""Days before the end of a key that lives :data:`LONG_LIFE` or longer."""

LONG_LIFE: Final = timedelta(days=120)

LOOK_SECONDS: Final = 60.0
"""How often the hub looks; a key that lives a day is told of 22 minutes ahead of its
last threshold but one."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that a key has come to.

    Attributes:
        name: of the notice, the same in every process.
        key: the key.
    """

    name: str
    key: MemberKey


def due_notices(member: Member, now: datetime) -> Iterator[Due]:
    """Which thresholds the keys of a member have passed."""
    return due_for(member.body.keys, now)


def due_for(keys: Iterable[MemberKey], now: datetime) -> Iterator[Due]:
    """Which thresholds keys have passed."""
    for key in keys:
        end = key.not_after
        if end is None or key.state(now) is not KeyState.ACTIVE:
            continue
        scale = min(1.0, (end - key.not_before) / LONG_LIFE)
        for days in STEPS:
            if now >= end - timedelta(days=days) * scale:
                yield Due(f"{TOPIC}:{key.key_id}:{to_seconds(end)}:{days}", key)


class Notices:
    """See the module.

    Args:
        registry: makes the changes.
        feed: the feed in memory.
        rehearsals: ended here when they are over.
    """

    def __init__(self, registry: Registry, feed: HubFeed, rehearsals: Rehearsals) -> None:
        self._registry = registry
        self._feed = feed
        self._rehearsals = rehearsals
        # Only to spare the store a look; what was given is the store's to know.
        self._given: set[str] = set()

    async def run(self, seconds: float = LOOK_SECONDS) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
                await self._rehearsals.end_old()
            except HutongError as error:
                _log.error("notices_failed", code=error.code)

    async def look(self) -> int:
        """Give what is due.

        Returns:
            How many entries were written.

        Raises:
            StoreError: the store failed.
        """
        now = self._registry.now()
        written = 0
        for member in self._registry.members.all():
            if member.body.kind not in IN_FEED:
                continue
            due = tuple(due_notices(member, now)) if member.is_active else ()
            written += await self._settle(member.row.urn, due, now)
        own = keys_of(self._feed.anchor, self._feed.bundle.hub_keys())
        return written + await self._settle(self._feed.hub, tuple(due_for(own, now)), now)

    async def _settle(self, urn: str, due: tuple[Due, ...], now: datetime) -> int:
        if any(item.name not in self._given for item in due):
            return await self._give(urn, due, now)
        return await self._take_back(urn) if not due and self._stands(urn) else 0

    async def _give(self, urn: str, due: tuple[Due, ...], now: datetime) -> int:
        keys = {item.key.key_id: item.key for item in due}
        ends = [key.not_after for key in keys.values() if key.not_after is not None]
        body = notice_body(
            TOPIC,
            at=min(ends),
            keys=[
                {"key_id": key.key_id, "use": key.use.value, "not_after": to_seconds(key.not_after)}
                for key in keys.values()
                if key.not_after is not None
            ],
        )
        change: Change = (FeedKind.NOTICE, f"{urn}#{TOPIC}", body)
        names = [item.name for item in due]
        sequence = await self._registry.announce_once([change], names, now=now)
        self._given.update(names)
        if sequence:
            _log.warning("keys_expire_soon", member=urn, keys=sorted(keys), sequence=sequence)
        return 1 if sequence else 0

    async def _take_back(self, urn: str) -> int:
        def check() -> None:
            if not self._stands(urn):
                raise RegistryError("another process has taken it back", code="NOT_FOUND")

        try:
            await self._registry.announce(
                [withdrawal(FeedKind.NOTICE, f"{urn}#{TOPIC}", "nothing ends soon")], check=check
            )
        except RegistryError:
            return 0
        return 1

    def _stands(self, urn: str) -> bool:
        return any(
            notice.urn == urn and notice.topic == TOPIC for notice in self._feed.bundle.notices()
        )
