"""What an issuer remembers of the catalogues it made: one small file.

For each audience and kind the number, digest and day of the newest one, so that the
next names the one before it. Whoever loses it begins anew with 1, which every
receiver refuses as rolled back: keep it with the keys.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.catalogue.errors import CatalogueUseError
from gateway.catalogue.ordering import LastTaken
from gateway.wire.files import FileMissingError, read_bounded, refused_as, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.catalogue.header import CatalogueHeader, CatalogueKind, SignedHeader

MAX_LEDGER_BYTES: Final = 1024 * 1024
"""A line for each audience; there are a few hundred at most."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    sequence: int
    digest: str
    day: date


@dataclass(frozen=True, slots=True)
class Ledger:
    """The file.

    Attributes:
        path: where it is; made when absent.
    """

    path: Path

    def last(self, audience: str, kind: CatalogueKind) -> LastTaken | None:
        """The newest one made for an audience; None: none was.

        Raises:
            CatalogueUseError: the file cannot be read.
        """
        entry = self._load().get(_place(audience, kind))
        return None if entry is None else LastTaken(entry.sequence, entry.digest, entry.day)

    def note(self, signed: SignedHeader) -> None:
        """Note one that is about to be given away; again changes nothing."""
        header = signed.header
        entries = self._load()
        place = _place(header.audience, header.kind)
        entries[place] = _Entry(header.sequence, signed.digest, header.day)
        write_atomically(self.path, msgspec.json.format(msgspec.json.encode(entries)) + b"\n")

    def follows(self, header: CatalogueHeader) -> bool:
        """Whether a header is the next after the newest one noted."""
        last = self.last(header.audience, header.kind)
        if last is None:
            return header.sequence == 1
        return header.sequence == last.sequence + 1 and header.previous == last.digest

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from noting meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with lock(self.path.with_name(self.path.name + ".lock"), wait=True):
            yield

    def _load(self) -> dict[str, _Entry]:
        try:
            with refused_as(CatalogueUseError):
                data = read_existing(self.path)
            return {} if data is None else msgspec.json.decode(data, type=dict[str, _Entry])
        except (msgspec.DecodeError, ValueError):
            raise CatalogueUseError(
                f"{self.path} is no ledger of catalogues", fix="restore it from a backup"
            ) from None


def read_existing(path: Path) -> bytes | None:
    """Read a small file; None: there is none."""
    try:
        return read_bounded(path, MAX_LEDGER_BYTES)
    except FileMissingError:
        return None


@contextlib.contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process.

    Raises:
        CatalogueUseError: another process holds it, and ``wait`` is False.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        raise CatalogueUseError(
            f"another process is writing {path.stem}", fix="wait until it has ended"
        ) from None
    finally:
        os.close(descriptor)


def _place(audience: str, kind: CatalogueKind) -> str:
    return f"{audience}#{kind}"
