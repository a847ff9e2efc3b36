"""The feed in memory: the chain, what is live, and who watches.

A :class:`HubFeed` is filled from the store and grows with every row that was
committed, whichever hub process wrote it; it never invents an entry. New entries
are signed by :meth:`HubFeed.next_rows` inside the store's write transaction, on
top of the newest one, and tried on a copy of the replica that every reader
keeps: what an honest reader would refuse never becomes durable. Readers get them
after the commit.

Loading verifies every signature, the chain of every unbroken run, what the live
entries say of each other, and that the newest entry is the one the store
remembers: a store that was cut, edited or mixed with another's is refused.

What this feed vouches for bears the last moment at which its memory was known to be the
store's (docs/adr/0025-silence.md): a process that has lost its store serves on, and its
heads grow old before every reader's eyes.
"""

from __future__ import annotations

import functools
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation.keys import SigningKey
from gateway.errors import TrustError
from gateway.hub.errors import RegistryError
from gateway.hub.feed_rows import follow_row, verified_row
from gateway.hub.feed_watch import Snapshot, Watchers
from gateway.store import FeedRow, StoreCorruptError
from gateway.trust import FeedKind, FeedLog, verify_entry, walked
from gateway.trust.pack import make_pack
from gateway.trust.replica import FeedReplica

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from gateway.hub.feed_watch import Watcher
    from gateway.hub.keys import FeedKeys
    from gateway.store import FeedStateRow
    from gateway.trust import TrustAnchor, TrustBundle
    from gateway.trust.live import LiveSet

Change = tuple[FeedKind, str, dict[str, Any]]
"""Kind, subject and body of an entry to come."""


class HubFeed:
    """See the module.

    Args:
        hub_urn: URN of the hub.
        key: its feed key, or what says which one signs.
        anchor: what the feed is walked from.
        clock: the time, UTC.
        watcher_queue: frames that wait for one watcher.
        stall_seconds: how long a cut watcher may block.
    """

    def __init__(
        self,
        *,
        hub_urn: str,
        key: SigningKey | FeedKeys,
        anchor: TrustAnchor,
        clock: Callable[[], datetime],
        watcher_queue: int,
        stall_seconds: float,
    ) -> None:
        self._keys: FeedKeys = _only(key) if isinstance(key, SigningKey) else key
        self._root = anchor
        self._clock = clock
        self._log = FeedLog(hub_urn)
        self._replica = FeedReplica(anchor)
        self._floor = 0
        # The tokens of floor + 1, floor + 2, … to the newest.
        self._tail: list[str] = []
        self._tail_bytes = 0
        self._watchers = Watchers(watcher_queue, stall_seconds)
        # Replaced by the first load, before which nothing is served.
        self._as_of = clock()
        self._head: tuple[datetime, int, str] | None = None
        self._snapshot: tuple[datetime, int, Snapshot] | None = None

    @property
    def hub(self) -> str:
        """URN of the hub."""
        return self._log.hub

    @property
    def as_of(self) -> datetime:
        """When this memory was last known to be the store's; heads bear it as ``iat``."""
        return self._as_of

    def now(self) -> datetime:
        """Return the time by the feed's clock."""
        return self._clock()

    connected: Final = True
    """It is this hub's own."""

    is_superior: Final = False
    """It is this hub's own."""

    @property
    def sequence(self) -> int:
        """Number of the newest entry; zero before the first."""
        return self._log.sequence

    @property
    def digest(self) -> str:
        """Digest of the newest entry."""
        return self._log.digest

    @property
    def anchor(self) -> TrustAnchor:
        """The hub's own keys, as the newest entry leaves them."""
        return self._replica.anchor

    def jwks(self) -> dict[str, Any]:
        """Return the token keys as a JWK Set, those to come and those of the past included."""
        return self.anchor.token_jwks()

    @property
    def bundle(self) -> TrustBundle:
        """The answers that the feed gives now."""
        return self._replica.bundle

    @property
    def live(self) -> LiveSet:
        """What is in force; not to be changed."""
        return self._replica.live

    def issued_at(self, sequence: int) -> datetime:
        """When an entry was signed whose successors are all kept.

        Raises:
            RegistryError: NOT_FOUND, it is no longer kept; the floor itself is not.
        """
        if not self._floor < sequence <= self.sequence:
            raise RegistryError("the entry is no longer kept", code="NOT_FOUND")
        return verify_entry(self._tail[sequence - self._floor - 1], self.anchor).issued_at

    def packing(
        self, prefixes: tuple[str, ...], *, after: int, max_bytes: int
    ) -> Callable[..., bytes]:
        """Return what makes a pack of the state as it is now; it takes ``lists``.

        Args:
            prefixes: divisions to take in.
            after: zero, or a number from the floor on.
            max_bytes: longest pack.
        """
        now = self._log.stamp(self._as_of)
        return functools.partial(
            make_pack,
            self._keys(self.anchor, now),
            self._replica.live,
            hub=self.hub,
            sequence=self.sequence,
            digest=self._log.digest,
            now=now,
            prefixes=prefixes,
            after=after,
            later=tuple(self._tail[after - self._floor :]) if after else (),
            max_bytes=max_bytes,
        )

    @property
    def floor(self) -> int:
        """The oldest sequence number that a reader can still continue after."""
        return self._floor

    @property
    def watchers(self) -> int:
        """Readers connected now."""
        return len(self._watchers)

    def apply(
        self,
        rows: Sequence[FeedRow],
        state: FeedStateRow,
        *,
        as_of: datetime,
        is_whole: bool = False,
    ) -> None:
        """Take over entries that were committed and push them to every watcher.

        Args:
            rows: every entry after :attr:`sequence`, in order.
            state: where the store says the feed stands.
            as_of: no later than the moment at which the store said so.
            is_whole: the rows are everything the store holds: at start-up, and
                when another process compacted what this one had not seen.

        Raises:
            StoreCorruptError: the rows contradict their signatures, their chain,
                each other or the state; nothing was taken over.
        """
        log = FeedLog(self._log.hub) if is_whole else self._log
        floor = state.floor if is_whole else 0
        try:
            anchor = walked(self._root if is_whole else self.anchor, (row.token for row in rows))
        except TrustError as error:
            raise StoreCorruptError(f"the hub's own keys do not hold: {error}") from None
        for row in rows:
            log = follow_row(log, verified_row(row, anchor), floor)
        if log.sequence != state.last_sequence or (
            state.last_sequence and log.digest != state.last_digest
        ):
            raise StoreCorruptError("the feed does not end where the store says it does")
        try:
            replica = (
                self._rebuilt(log, rows, state.floor)
                if is_whole
                else self._extended(row.token for row in rows)
            )
        except TrustError as error:
            raise StoreCorruptError(f"what the feed says does not hold: {error}") from None
        replica.forget(state.floor)
        if state.floor != self._floor:
            self._snapshot = None
        self._log, self._replica = log, replica
        if is_whole:
            self._tail = [row.token for row in rows if row.sequence > state.floor]
            self._tail_bytes = sum(map(len, self._tail))
            self._watchers.cut()
        else:
            tokens = tuple(row.token for row in rows)
            self._tail.extend(tokens)
            self._tail_bytes += sum(map(len, tokens))
            self._watchers.push(tokens)
            dropped = self._tail[: state.floor - self._floor]
            self._tail_bytes -= sum(map(len, dropped))
            del self._tail[: len(dropped)]
        self._floor = state.floor
        # Not the newest of both: a clock that was ahead and set back is no reason to vouch.
        self._as_of = as_of

    def next_rows(self, changes: Iterable[Change], state: FeedStateRow) -> tuple[FeedRow, ...]:
        """Sign entries on top of the newest one.

        Args:
            changes: what to publish.
            state: read in the transaction that will write the rows; this feed must
                have taken over everything the store holds.

        Raises:
            FeedError: an honest reader would refuse an entry.
            StoreCorruptError: the store is not the one this feed was loaded from.
        """
        if (state.last_sequence, state.last_digest) != (
            self._log.sequence,
            self._log.digest if self._log.sequence else "",
        ):
            raise StoreCorruptError("the store and the feed in memory are of two histories")
        log, trial = self._log, self._replica.copy()
        rows: list[FeedRow] = []
        for kind, subject, body in changes:
            now = self._clock()
            key = self._keys(trial.anchor, log.stamp(now))
            entry, log = log.append(key, kind, subject, body, now=now)
            trial.apply_entry(entry.token, entry.issued_at)
            rows.append(
                FeedRow(
                    sequence=entry.sequence,
                    kind=entry.kind.value,
                    subject=entry.subject,
                    token=entry.token,
                    digest=entry.digest,
                    issued_at=entry.issued_at,
                    withdrawn=entry.is_tombstone,
                )
            )
        return tuple(rows)

    def floor_within(self, entries: int, size: int, rows: Sequence[FeedRow]) -> int:
        """Return the floor that keeps the newest entries within two bounds.

        A tenth of slack on each, so that a busy feed is not compacted at every entry.

        Args:
            entries: how many are kept.
            size: how many bytes of them.
            rows: about to be written, on top of the newest one.
        """
        tokens = [row.token for row in rows]
        newest = self.sequence + len(tokens)
        floor = self._floor
        if newest - floor > entries + entries // 10:
            floor = newest - entries
        if self._tail_bytes + sum(map(len, tokens)) > size + size // 10:
            number, room = newest, size
            for token in itertools.chain(reversed(tokens), reversed(self._tail)):
                room -= len(token)
                if room < 0:
                    break
                number -= 1
            floor = max(floor, min(number, newest - 1))
        return floor

    def head(self) -> str:
        """Return a signed head; one signature for each look at the store."""
        at = self._log.stamp(self._as_of)
        if self._head is not None:
            signed_at, sequence, token = self._head
            if (sequence, signed_at) == (self.sequence, at):
                return token
        token = self._log.head(self._keys(self.anchor, at), now=at)
        self._head = (at, self.sequence, token)
        return token

    def snapshot(self) -> Snapshot:
        """Return the state in full, its manifest as old as a head."""
        at = self._log.stamp(self._as_of)
        if self._snapshot is not None:
            signed_at, sequence, snapshot = self._snapshot
            if (sequence, signed_at) == (self.sequence, at):
                return snapshot
        listing = self._replica.listing(self._floor)
        manifest = self._log.manifest(
            self._keys(self.anchor, at),
            listing.live,
            now=at,
            floor=self._floor,
            tombstones=listing.tombstones,
        )
        snapshot = Snapshot(manifest, listing.tokens)
        self._snapshot = (at, self.sequence, snapshot)
        return snapshot

    def snapshot_json(self) -> bytes:
        """Return the snapshot as one JSON document, for the HTTP door."""
        snapshot = self.snapshot()
        return json.dumps(
            {"manifest": snapshot.manifest, "entries": snapshot.entries}, separators=(",", ":")
        ).encode("ascii")

    def watch(
        self, after: int, task: asyncio.Task[Any] | None
    ) -> tuple[Watcher, tuple[str, ...]] | None:
        """Begin to watch.

        Args:
            after: the last sequence number the reader holds.
            task: what serves the reader; cancelled if it blocks after a cut.

        Returns:
            The watcher and the entries the reader lacks; None: they are no longer
            kept, it must start over.

        Raises:
            RegistryError: SEQUENCE_AHEAD, SHUTTING_DOWN.
        """
        watcher = self._watchers.begin(after, task, sequence=self.sequence, floor=self._floor)
        if watcher is None:
            return None
        return watcher, tuple(self._tail[after - self._floor :])

    def unwatch(self, watcher: Watcher) -> None:
        """Stop watching."""
        self._watchers.end(watcher)

    def close(self) -> None:
        """End every watcher's stream; the hub is stopping."""
        self._watchers.close()

    def _extended(self, tokens: Iterable[str]) -> FeedReplica:
        replica = self._replica.copy()
        for token in tokens:
            # At its own time: the hub's clock may have been set back since.
            replica.apply_entry(token, verify_entry(token, replica.anchor).issued_at)
        return replica

    def _rebuilt(self, log: FeedLog, rows: Iterable[FeedRow], floor: int) -> FeedReplica:
        """Read what is live as a reader reads a snapshot; history may be compacted."""
        newest: dict[tuple[str, str], FeedRow] = {}
        for row in rows:
            newest[row.kind, row.subject] = row
        ordered = sorted(
            (
                row
                for row in newest.values()
                if not row.withdrawn or row.sequence > floor or row.sequence == log.sequence
            ),
            key=lambda row: row.sequence,
        )
        now = log.stamp(self._clock())
        tokens = [row.token for row in ordered]
        return FeedReplica.from_listed(self._root, tokens, now, floor)


def _only(key: SigningKey) -> FeedKeys:
    return lambda _, __: key
