"""A catalogue in the making: rows beside the file to be, and where to read on.

``NAME.part`` holds the rows, ``NAME.part.json`` what is known of them. After each page
of the source the second says how much of the first counts; what a killed process wrote
beyond that is cut off when the work is taken up. A draft of another day, issuer or
audience, or with other contents, is begun anew, never continued.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.attestation import base64url
from gateway.catalogue.header import shanghai_day
from gateway.catalogue.ledger import read_existing
from gateway.wire.files import FileError, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO, Self

_PIECE_BYTES: Final = 1024 * 1024


class DraftState(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What is known of a draft.

    Attributes:
        issuer: URN.
        audience: URN.
        identified: whether rows carry documents.
        taken_at: when reading the source began.
        after: where to read on; None: from the beginning, or nowhere.
        is_complete: whether everything was read.
        size_bytes: of the rows that count.
        rows: that count.
        token: the signed header, once it is.
    """

    issuer: str
    audience: str
    identified: bool
    taken_at: datetime
    after: str | None = None
    is_complete: bool = False
    size_bytes: int = 0
    rows: int = 0
    token: str | None = None

    def continues(self, other: DraftState) -> bool:
        """Whether work that would begin as ``other`` may go on from here."""
        return (
            self.issuer == other.issuer
            and self.audience == other.audience
            and self.identified == other.identified
            and shanghai_day(self.taken_at) == shanghai_day(other.taken_at)
        )


class Draft:
    """The two files; use it as a context manager.

    Args:
        path: of the file to be.
        begin: what the work begins with where nothing is to be continued.
        is_resumed: whether to look for a draft at all.
    """

    def __init__(self, path: Path, begin: DraftState, *, is_resumed: bool) -> None:
        self._rows = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")
        self.state = begin
        self._digest = hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        found = self._found() if is_resumed else None
        if found is not None and found.continues(begin):
            self.state = found
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(self._rows, flags, 0o600), "r+b")
        try:
            if not self._hash_kept():
                self.state = begin
                self._digest = hashlib.sha256()
            self._file.truncate(self.state.size_bytes)
            self._file.seek(self.state.size_bytes)
        except BaseException:
            self._file.close()
            raise

    @property
    def digest(self) -> str:
        """base64url SHA-256 of the rows that count."""
        return base64url.encode(self._digest.digest())

    def append(
        self, lines: Iterable[bytes], *, after: str | None, taken_at: datetime | None = None
    ) -> None:
        """Add the rows of one page and note where to read on.

        Args:
            lines: with their ends.
            after: cursor of the next page; None: that was the last.
            taken_at: an earlier beginning than is noted; None: it stands.
        """
        count = size = 0
        for line in lines:
            self._file.write(line)
            self._digest.update(line)
            count += 1
            size += len(line)
        self._file.flush()
        self._save(
            msgspec.structs.replace(
                self.state,
                after=after,
                is_complete=after is None,
                size_bytes=self.state.size_bytes + size,
                rows=self.state.rows + count,
                taken_at=taken_at or self.state.taken_at,
            )
        )

    def restart(self) -> None:
        """Forget what was read, so that the next run begins anew."""
        self._note.unlink(missing_ok=True)

    def sign(self, token: str | None) -> None:
        """Note the header, so that a run after a kill gives away the same one."""
        self._save(msgspec.structs.replace(self.state, token=token))

    def publish(self, path: Path, token: str) -> None:
        """Put header and rows in place of a file, durably, and forget the draft."""
        final = path.with_name(path.name + ".final.tmp")
        descriptor = os.open(final, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.encode("ascii") + b"\n")
            self._file.seek(0)
            while piece := self._file.read(_PIECE_BYTES):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        final.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._rows.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """The draft."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the files; they stay."""
        self._file.close()

    def _save(self, state: DraftState) -> None:
        write_atomically(self._note, msgspec.json.encode(state))
        self.state = state

    def _found(self) -> DraftState | None:
        try:
            data = read_existing(self._note)
            return None if data is None else msgspec.json.decode(data, type=DraftState)
        except (FileError, msgspec.DecodeError, ValueError):
            return None  # a torn note is worth no more than none

    def _hash_kept(self) -> bool:
        """Take up the digest of what counts; False: less is there than was noted."""
        left = self.state.size_bytes
        while left:
            piece = self._file.read(min(_PIECE_BYTES, left))
            if not piece:
                return False
            self._digest.update(piece)
            left -= len(piece)
        return True
