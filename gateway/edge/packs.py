"""Packs on this machine's disk: the feed of an edge that no line reaches.

``gateway.trust.pack`` judges every byte; this module gives what it accepted a folder::

    state_dir/packs/00000000000000000042-00000000000000000000.pack     whole, up to 42
    state_dir/packs/00000000000000000057-00000000000000000042.pack     a delta from 42 on

Invariants:

* a pack is written, whole and durably, only after it was taken in; a kill at any moment
  leaves the state before it or after it;
* what was refused is never written and changes nothing;
* a whole pack takes the place of all that came before it; older files go after it stands.

On opening, everything is verified again. A file that does not hold is set aside as
``.damaged``, and what came after it is not believed either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gateway.edge.pack_refusals import ends_where, refuse_ahead, refuse_delta
from gateway.errors import HutongError, TrustError
from gateway.trust.errors import FeedError, FeedFault
from gateway.trust.pack import MAX_PACK_BYTES, PackReplica, load_pack, read_manifest
from gateway.wire.files import read_bounded, write_atomically
from gateway.wire.replica_store import ReplicaError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from gateway.trust import TrustAnchor, TrustBundle
    from gateway.trust.pack import PackManifest

MAX_DELTAS: Final = 1000
"""After so many a whole pack is due: every one is read again when the edge opens."""

_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{20})\.pack", re.ASCII)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of loading one pack.

    Attributes:
        manifest: of the pack.
        is_new: False: this very state was held already.
    """

    manifest: PackManifest
    is_new: bool


class PackStore:
    """The packs taken in here, and their folder. One writer a folder.

    Args:
        path: of the folder; made when the first pack comes.
        anchor: root of trust; a pack of another hub does not load.
    """

    def __init__(self, path: Path, anchor: TrustAnchor) -> None:
        self._path = path
        self._anchor = anchor
        self._held: PackReplica | None = None
        self._ahead: datetime | None = None

    @property
    def held(self) -> PackReplica | None:
        """What is held; None: no pack was ever taken in."""
        return self._held

    @property
    def sequence(self) -> int:
        """Number of the feed's newest entry when the newest pack was made; zero: none."""
        return 0 if self._held is None else self._held.sequence

    @property
    def bundle(self) -> TrustBundle:
        """What the packs say.

        Raises:
            ReplicaError: REPLICA_MISSING, no pack was ever taken in.
        """
        if self._held is None:
            raise ReplicaError("no pack was ever loaded here")
        return self._held.bundle

    @property
    def ahead(self) -> datetime | None:
        """When a pack on the disk was made that lies ahead of the clock; None: none does."""
        return self._ahead

    def age_seconds(self, now: datetime) -> int | None:
        """Seconds since the hub made the newest pack; None: there is none."""
        return None if self._held is None else int(self._held.age(now).total_seconds())

    def open(self, now: datetime) -> bool:
        """Take up what the disk holds; returns whether there is a usable state now.

        Raises:
            FileError: a file is there and cannot be read.
        """
        self._held = self._ahead = None
        whole, deltas = self._files()
        if whole is None or not self._read(whole, now):
            return False
        for after, path in deltas:
            if after == self.sequence and not self._read(path, now):
                break
        return True

    def take(self, data: bytes, now: datetime) -> Taken:
        """Take a pack in.

        Raises:
            PackError: PACK_INVALID and what else ``load_pack`` refuses; nothing changed.
            FeedError: likewise, of what is in it.
            ClockBehindError: FEED_FROM_FUTURE: it was made ahead of this machine's clock.
            OSError: it cannot be written; nothing changed.
        """
        before = self._held
        found = read_manifest(self._anchor, data)
        refuse_ahead(found, now)
        if ends_where(found, before):
            return Taken(found, is_new=False)
        refuse_delta(found, before)
        loaded = load_pack(self._anchor, data, now, before)
        manifest = loaded.manifest
        if before is not None and _says_nothing_new(loaded, before):
            return Taken(manifest, is_new=False)
        _, deltas = self._files()
        if manifest.after and len(deltas) >= MAX_DELTAS:
            raise FeedError(
                "too many deltas in a row; a whole pack is due",
                code=FeedFault.FEED_GAP,
                fix="fetch a whole pack, made without --after",
            )
        self._path.mkdir(parents=True, exist_ok=True)
        path = self._path / f"{manifest.sequence:020d}-{manifest.after:020d}.pack"
        write_atomically(path, data)
        self._held = loaded
        if not manifest.after:
            for other in self._path.glob("*.pack"):
                if other != path:
                    other.unlink(missing_ok=True)
        return Taken(manifest, is_new=True)

    def take_from(self, folder: Path, now: datetime) -> list[Taken]:
        """Take in every pack of a folder (a stick) that continues what is held.

        Whole packs first, then deltas in order; what is older than what is held is
        passed over, what does not hold is logged and passed over.

        Raises:
            OSError: the folder or this store's cannot be used.
        """
        taken: list[Taken] = []
        candidates: list[tuple[int, int, bytes]] = []
        for path in sorted(folder.glob("*.pack")):
            try:
                data = read_bounded(path, MAX_PACK_BYTES, "pack")
                manifest = read_manifest(self._anchor, data)
            except HutongError as error:
                _log.warning("pack_refused", file=path.name, code=error.code)
                continue
            candidates.append((manifest.sequence, manifest.after, data))
        for sequence, after, data in _in_order(candidates):
            if sequence < self.sequence or (after and after != self.sequence):
                continue
            try:
                one = self.take(data, now)
            except TrustError as error:
                _log.warning("pack_refused", sequence=sequence, code=error.code)
                continue
            if one.is_new:
                taken.append(one)
        return taken

    def _read(self, path: Path, now: datetime) -> bool:
        data = read_bounded(path, MAX_PACK_BYTES, "pack")
        try:
            self._held = load_pack(self._anchor, data, now, self._held)
        except TrustError as error:
            if error.code == FeedFault.FEED_FROM_FUTURE:
                self._ahead = read_manifest(self._anchor, data).issued_at
                behind = int((self._ahead - now).total_seconds())
                _log.error("clock_behind_pack", code=error.code, seconds=behind)
                return False
            damaged = path.with_name(path.name + ".damaged")
            path.replace(damaged)
            _log.error("pack_damaged", code=error.code, set_aside=damaged.name)
            return False
        return True

    def _files(self) -> tuple[Path | None, list[tuple[int, Path]]]:
        """The newest whole pack, and the deltas behind it in order."""
        found: list[tuple[int, int, Path]] = []
        for path in self._path.glob("*.pack") if self._path.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found.append((int(match[1]), int(match[2]), path))
        whole = max(
            ((sequence, path) for sequence, after, path in found if not after), default=None
        )
        if whole is None:
            return None, []
        deltas = sorted(
            (after, sequence, path) for sequence, after, path in found if after >= max(whole[0], 1)
        )
        return whole[1], [(after, path) for after, _, path in deltas]


def _says_nothing_new(loaded: PackReplica, before: PackReplica) -> bool:
    """Whether a pack tells what is held, and not later; a later one makes it younger."""
    return (loaded.sequence, loaded.prefixes) == (before.sequence, before.prefixes) and (
        loaded.as_of <= before.as_of
    )


def _in_order(
    candidates: Iterable[tuple[int, int, bytes]],
) -> list[tuple[int, int, bytes]]:
    """The newest whole pack first, then the deltas as they follow each other."""
    known = list(candidates)
    wholes = sorted((one for one in known if not one[1]), key=lambda one: one[0])
    deltas = sorted((one for one in known if one[1]), key=lambda one: (one[1], one[0]))
    return [*wholes[-1:], *deltas]
