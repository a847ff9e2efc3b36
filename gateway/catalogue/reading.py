"""Reads a catalogue line by line, in bounded memory, and proves it at the end.

Nothing of what is read counts before the reader has come to its end without an error:
the digest covers every byte after the first line. Whoever writes rows down on the way
does so in a transaction that a later error undoes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO, Final

from gateway.attestation import base64url
from gateway.catalogue.errors import CatalogueError, CatalogueFault
from gateway.catalogue.header import MAX_HEADER_BYTES
from gateway.catalogue.rows import MAX_ROW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.catalogue.header import CatalogueHeader

_PIECE_BYTES: Final = 64 * 1024


def read_first_line(file: BinaryIO) -> bytes:
    """Reads the header's line; the file stands at its beginning.

    Returns:
        The line without its end.

    Raises:
        CatalogueError: there is no line of that length.
    """
    line = file.readline(MAX_HEADER_BYTES + 1)
    if not line.endswith(b"\n"):
        raise CatalogueError("the first line is no header of a catalogue: it has no end")
    return line[:-1]


def read_lines(file: BinaryIO, header: CatalogueHeader) -> Iterator[bytes | None]:
    """Gives every line after the header, without its end.

    A line that is longer than any row is given as None and read past.

    Args:
        file: stands after the header's line.
        header: verified.

    Raises:
        CatalogueError: at the latest at the end: CATALOGUE_TRUNCATED or
            CATALOGUE_ALTERED.
    """
    digest = hashlib.sha256()
    left, rows = header.size_bytes, 0
    while left:
        line = file.readline(min(MAX_ROW_BYTES, left) + 1)
        length = len(line)
        digest.update(line)
        given: bytes | None = line[:-1]
        while line and not line.endswith(b"\n"):
            given = None
            line = file.readline(min(_PIECE_BYTES, max(left - length, 0) + 1))
            length += len(line)
            digest.update(line)
            if length > left:
                break
        if not line or length > left:
            raise _wrong_length()
        left -= length
        rows += 1
        if rows > header.rows:
            raise _altered()
        yield given
    if file.read(1):
        raise _wrong_length()
    if rows != header.rows or base64url.encode(digest.digest()) != header.digest:
        raise _altered()


def _wrong_length() -> CatalogueError:
    return CatalogueError(
        "the file is not as long as its header says",
        code=CatalogueFault.CATALOGUE_TRUNCATED,
        fix="copy it again",
    )


def _altered() -> CatalogueError:
    return CatalogueError(
        "the rows are not the ones that were signed",
        code=CatalogueFault.CATALOGUE_ALTERED,
        fix="copy it again; if that does not help, ask the issuer",
    )
