"""The replica of the feed on this machine's disk.

``gateway.trust.FeedReplica`` judges every byte; this module only gives it a file
and tells the rest of the process what it holds. Invariants:

* the file is replaced whole and durably, so a kill at any moment leaves the old
  replica or the new one, never a torn one;
* what the replica refused is never written;
* memory is changed only through the replica's own methods, which change nothing
  when they raise.

A file that does not load is not deleted: it is set aside as ``.damaged`` for
whoever looks into it, and there is no trust until it has synchronised. A file
that is only dated ahead of this machine's clock stays where it is: the clock is
wrong, not the file.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import TrustError
from gateway.trust import FeedFault, FeedReplica
from gateway.trust.replica import MAX_REPLICA_BYTES
from gateway.wire.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.trust import TrustAnchor, TrustBundle

_NEVER: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Ahead of whatever a hub can have dated."""

_log = structlog.get_logger(__name__)


class ReplicaError(TrustError):
    """No usable replica of the feed on this machine.

    Codes: REPLICA_MISSING (never synchronised), REPLICA_DAMAGED.
    """

    default_code = "REPLICA_MISSING"


class ReplicaStore:
    """A feed replica and its file. One event loop; one writer a file.

    Args:
        path: the file.
        anchor: root of trust; a replica of another hub does not load.
    """

    def __init__(self, path: Path, anchor: TrustAnchor) -> None:
        self._path = path
        self._anchor = anchor
        self._replica = FeedReplica(anchor)
        self._is_usable = False
        self._ahead: datetime | None = None
        self._writing = asyncio.Lock()

    def load(self, now: datetime) -> bool:
        """Take up what the disk holds.

        Returns:
            Whether there is a usable replica now.

        Raises:
            FileError: the file is there and cannot be read, or is too long.
        """
        if not self._path.exists():
            return False
        data = read_bounded(self._path, MAX_REPLICA_BYTES, "replica")
        try:
            self._replica = FeedReplica.from_bytes(self._anchor, data, now)
        except TrustError as error:
            if error.code == FeedFault.FEED_FROM_FUTURE:
                self._ahead = _newest_word(self._anchor, data)
                _log.error("clock_behind_replica", code=error.code)
                return False
            damaged = self._path.with_name(self._path.name + ".damaged")
            self._path.replace(damaged)
            _log.error("replica_damaged", code=error.code, set_aside=damaged.name)
            return False
        self._is_usable = True
        return True

    @property
    def is_usable(self) -> bool:
        """Whether there was ever a word of the hub."""
        return self._is_usable

    @property
    def ahead(self) -> datetime | None:
        """The newest word on the disk, where it lies ahead of the clock; None: it does not."""
        return self._ahead

    @property
    def sequence(self) -> int:
        """Number of the newest entry held; zero: none."""
        return self._replica.sequence

    @property
    def digest(self) -> str:
        """Digest of the newest entry held."""
        return self._replica.digest

    @property
    def bundle(self) -> TrustBundle:
        """What the feed says now.

        Raises:
            ReplicaError: REPLICA_MISSING, this machine has never synchronised.
        """
        if not self._is_usable:
            raise ReplicaError("this machine has never synchronised with its hub")
        return self._replica.bundle

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since the newest verified word of the hub; None: there is none."""
        if not self._is_usable or self._replica.as_of is None:
            return None
        return int(self._replica.age(now).total_seconds())

    async def take_snapshot(self, manifest: str, entries: Sequence[str], now: datetime) -> None:
        """Replace the replica by a snapshot.

        Raises:
            FeedError: the snapshot does not verify, or would roll the feed back;
                nothing is changed.
        """
        self._replica.load_snapshot(manifest, entries, now)
        self._is_usable = True
        await self.save()

    async def take_entries(self, entries: Sequence[str], now: datetime) -> None:
        """Append entries in order.

        Raises:
            FeedError: an entry does not follow; those before it stay.
        """
        try:
            for entry in entries:
                self._replica.apply_entry(entry, now)
                self._is_usable = True
        finally:
            await self.save()

    async def take_head(self, head: str, now: datetime) -> None:
        """Note that the hub has nothing newer.

        Raises:
            FeedError: the head does not verify or contradicts what is held.
        """
        self._replica.apply_head(head, now)
        self._is_usable = True
        await self.save()

    async def save(self) -> None:
        """Write the replica; the loop goes on meanwhile.

        A cancelled caller does not stop a write that has begun, so writes never
        overtake each other.
        """
        if self._is_usable:
            await asyncio.shield(self._write())

    async def _write(self) -> None:
        async with self._writing:
            data = self._replica.to_bytes()
            await asyncio.to_thread(write_atomically, self._path, data)


def _newest_word(anchor: TrustAnchor, data: bytes) -> datetime | None:
    """When the hub last vouched for a file, whatever the clock says; None: it does not hold."""
    try:
        return FeedReplica.from_bytes(anchor, data, _NEVER).as_of
    except TrustError:
        return None
