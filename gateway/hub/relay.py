"""Another hub's feed, followed, kept and passed on byte by byte.

A hub serves its readers the feeds of the hubs above and below it. It can withhold
what they say, never change it: every entry, head and manifest goes out as it was
signed, and the reader holds it against the signing hub's keys. Heads go out as they
came, with the signing hub's time, so a reader sees how old the knowledge is, however
many hubs lie between; a line that is cut makes it older and nothing else.

What is kept is the last snapshot (its manifest and entries), every entry after it
and the newest head. A :class:`~gateway.trust.FeedReplica` judges each of them before
it is taken. The file holds the same lines::

    hutong-relay 1
    manifest …            once
    entry …               of the snapshot, in order
    tail …                after it, in order
    head …                the newest, if there is one

A file that does not load is set aside as ``.damaged`` and the feed is fetched anew.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.errors import TrustError
from gateway.hub.errors import RegistryError
from gateway.hub.feed_watch import Snapshot, Watcher, Watchers
from gateway.trust import FeedFault, FeedReplica
from gateway.trust.replica import MAX_REPLICA_BYTES
from gateway.wire.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.trust import TrustAnchor, TrustBundle

MAX_TAIL: Final = 20_000
"""Entries after the snapshot; beyond, the next resync of the signing hub shortens it."""

HEADS_WRITTEN_SECONDS: Final = 60
"""A head is written this often at most: it only tells how old the rest is."""

_FIRST_LINE: Final = "hutong-relay 1"

_log = structlog.get_logger(__name__)


class RelayedFeed:
    """One feed that is passed on. One event loop; one writer a file.

    Args:
        path: its file.
        anchor: the signing hub and its feed keys.
        is_superior: whether it is the serving hub's superior.
        is_connected: whether the signing hub is reached now, as far as it is known.
        watcher_queue: frames that wait for one reader.
        stall_seconds: how long a reader that was cut may block.
    """

    def __init__(
        self,
        path: Path,
        anchor: TrustAnchor,
        *,
        is_superior: bool,
        is_connected: Callable[[], bool],
        watcher_queue: int,
        stall_seconds: float,
    ) -> None:
        self._path = path
        self._anchor = anchor
        self._is_superior = is_superior
        self._is_connected = is_connected
        self._watchers = Watchers(watcher_queue, stall_seconds)
        self._replica = FeedReplica(anchor)
        self._snapshot: Snapshot | None = None
        self._floor = 0
        self._tail: list[str] = []
        self._head: tuple[int, str] | None = None
        self._writing = asyncio.Lock()
        self._written_at: datetime | None = None

    # --- as ServedFeed

    @property
    def hub(self) -> str:
        """URN of the hub that signs it."""
        return self._anchor.hub

    @property
    def anchor(self) -> TrustAnchor:
        """The signing hub's keys, as of the newest entry held."""
        return self._replica.anchor

    @property
    def sequence(self) -> int:
        """Number of the newest entry held."""
        return self._replica.sequence

    @property
    def floor(self) -> int:
        """The oldest sequence number that a reader can still continue after."""
        return self._floor

    @property
    def as_of(self) -> datetime | None:
        """When the signing hub last vouched for it."""
        return self._replica.as_of

    @property
    def connected(self) -> bool:
        """Whether the signing hub is reached now, as far as this hub knows."""
        return self._is_connected()

    @property
    def is_superior(self) -> bool:
        """Whether it is the serving hub's superior."""
        return self._is_superior

    def head(self) -> str:
        """Return the newest head; empty while entries came after it."""
        if self._head is None or self._head[0] != self.sequence:
            return ""
        return self._head[1]

    def snapshot(self) -> Snapshot:
        """Return the last snapshot as signed; what came after it, Watch sends.

        Raises:
            RegistryError: HUB_UNKNOWN, nothing of it has come yet.
        """
        if self._snapshot is None:
            raise RegistryError("nothing of that feed has come yet", code="HUB_UNKNOWN")
        return self._snapshot

    def watch(
        self, after: int, task: asyncio.Task[Any] | None
    ) -> tuple[Watcher, tuple[str, ...]] | None:
        """Begin to watch; None: what the reader lacks is no longer kept.

        Raises:
            RegistryError: SEQUENCE_AHEAD, HUB_UNKNOWN, SHUTTING_DOWN.
        """
        if self._snapshot is None:
            raise RegistryError("nothing of that feed has come yet", code="HUB_UNKNOWN")
        watcher = self._watchers.begin(after, task, sequence=self.sequence, floor=self._floor)
        if watcher is None:
            return None
        return watcher, tuple(self._tail[after - self._floor :])

    def unwatch(self, watcher: Watcher) -> None:
        """Stop watching."""
        self._watchers.end(watcher)

    def close(self) -> None:
        """End every reader's stream."""
        self._watchers.close()

    # --- as FollowedReplica

    @property
    def is_usable(self) -> bool:
        """Whether there is anything to pass on."""
        return self._snapshot is not None

    @property
    def bundle(self) -> TrustBundle | None:
        """What the feed says now; None: nothing is held."""
        return self._replica.bundle if self.is_usable else None

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since the newest verified word of the signing hub."""
        if not self.is_usable or self._replica.as_of is None:
            return None
        return int(self._replica.age(now).total_seconds())

    def live_tokens(self) -> tuple[str, ...]:
        """Return the live entries as signed, in order."""
        return self._replica.live_tokens()

    async def take_snapshot(self, manifest: str, entries: Sequence[str], now: datetime) -> None:
        """Start over from a snapshot.

        Raises:
            FeedError: it does not verify, or would roll the feed back.
        """
        fixed = self._replica.load_snapshot(manifest, entries, now)
        self._snapshot = Snapshot(manifest, tuple(entries))
        self._floor, self._tail = fixed.sequence, []
        self._watchers.cut()
        await self._save(now)

    async def take_entries(self, entries: Sequence[str], now: datetime) -> None:
        """Append entries in order and pass them on.

        Raises:
            FeedError: one does not follow; those before it stay.
        """
        taken: list[str] = []
        try:
            for token in entries:
                before = self._replica.sequence
                if self._replica.apply_entry(token, now).sequence > before:
                    taken.append(token)
        finally:
            self._tail += taken
            if taken:
                self._watchers.push(taken)
                if len(self._tail) > MAX_TAIL:
                    _log.warning("relay_tail_is_long", hub=self.hub, entries=len(self._tail))
                await self._save(now)

    async def take_head(self, head: str, now: datetime) -> None:
        """Note that the signing hub has nothing newer.

        Raises:
            FeedError: it contradicts what is held.
        """
        self._head = (self._replica.apply_head(head, now).sequence, head)
        at = self._written_at
        if at is None or (now - at).total_seconds() >= HEADS_WRITTEN_SECONDS:
            await self._save(now)

    # --- on disk

    def load(self, now: datetime) -> bool:
        """Take up what the disk holds; say whether it is of use."""
        if not self._path.exists():
            return False
        try:
            data = read_bounded(self._path, MAX_REPLICA_BYTES, "relayed feed")
            self._read(data.decode("ascii").split("\n"), now)
        except (TrustError, ValueError) as error:
            code = getattr(error, "code", "FEED_MALFORMED")
            self._replica, self._snapshot = FeedReplica(self._anchor), None
            self._floor, self._tail, self._head = 0, [], None
            if code != FeedFault.FEED_FROM_FUTURE:
                self._path.replace(self._path.with_name(self._path.name + ".damaged"))
            _log.error("relay_not_loaded", hub=self.hub, code=code)
            return False
        return True

    def _read(self, lines: list[str], now: datetime) -> None:
        first, *rest = lines
        if first != _FIRST_LINE or rest[-1:] != [""]:
            raise ValueError
        parts: dict[str, list[str]] = {"manifest": [], "entry": [], "tail": [], "head": []}
        for line in rest[:-1]:
            kind, _, token = line.partition(" ")
            if kind not in parts:
                raise ValueError
            parts[kind].append(token)
        if len(parts["manifest"]) != 1:
            raise ValueError
        replica = FeedReplica(self._anchor)
        fixed = replica.load_snapshot(parts["manifest"][0], parts["entry"], now)
        for token in parts["tail"]:
            replica.apply_entry(token, now)
        for token in parts["head"][-1:]:
            try:
                self._head = (replica.apply_head(token, now).sequence, token)
            except TrustError:
                # Older than the newest entry: it tells nothing.
                self._head = None
        self._replica = replica
        self._snapshot = Snapshot(parts["manifest"][0], tuple(parts["entry"]))
        self._floor, self._tail = fixed.sequence, parts["tail"]

    async def _save(self, now: datetime) -> None:
        if self._snapshot is None:
            return
        self._written_at = now
        await asyncio.shield(self._write())

    async def _write(self) -> None:
        async with self._writing:
            snapshot = self.snapshot()
            lines = [_FIRST_LINE, f"manifest {snapshot.manifest}"]
            lines += [f"entry {token}" for token in snapshot.entries]
            lines += [f"tail {token}" for token in self._tail]
            if self._head is not None:
                lines.append(f"head {self._head[1]}")
            data = "\n".join([*lines, ""]).encode("ascii")
            await asyncio.to_thread(write_atomically, self._path, data)
