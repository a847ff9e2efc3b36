"""The file of a replica: name and version, checksum, floor, mark, entries, a line each.

Version 1, from before tombstones, has no line for the floor and is read as well. What
is in the file is verified again by the replica; a plain checksum finds what the disk
damaged.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from gateway.attestation import base64url
from gateway.trust.errors import FeedError
from gateway.trust.feed import FeedHead, FeedManifest, verify_head, verify_manifest
from gateway.trust.history import refuse_future

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.trust.anchor import TrustAnchor

MAX_REPLICA_BYTES: Final = 256 * 1024 * 1024
"""The most live entries at 16 KiB each, twice what a scheme of the feed takes."""

_FORMAT: Final = b"hutong-replica 2 "
_FORMAT_1: Final = b"hutong-replica 1 "
_FLOOR: Final = "floor "
_CHECKSUM_LENGTH: Final = 43
_NO_MARK: Final = "none"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


def write_file(floor: int, mark: FeedHead | FeedManifest | None, tokens: Sequence[str]) -> bytes:
    """Writes a file."""
    line = _NO_MARK
    if mark is not None:
        kind = "head" if isinstance(mark, FeedHead) else "manifest"
        line = f"{kind} {mark.token}"
    lines = "\n".join((f"{_FLOOR}{floor}", line, *tokens, "")).encode("ascii")
    return _FORMAT + _checksum(lines) + b"\n" + lines


def read_file(data: bytes) -> tuple[int, str, list[str]]:
    """Takes the file apart into the floor, the mark's line and the tokens."""
    if len(data) > MAX_REPLICA_BYTES:
        raise FeedError(f"the file is longer than {MAX_REPLICA_BYTES} bytes")
    start = len(_FORMAT) + _CHECKSUM_LENGTH + 1
    lines = data[start:]
    checksum = _checksum(lines) + b"\n"
    is_first_version = data[:start] == _FORMAT_1 + checksum
    if not is_first_version and data[:start] != _FORMAT + checksum:
        raise FeedError("the file is damaged or of another format")
    try:
        mark, *tokens, last = lines.decode("ascii").split("\n")
    except ValueError:
        raise FeedError("the file is not lines of ASCII") from None
    if last:
        raise FeedError("the last line of the file does not end")
    if is_first_version:
        return 0, mark, tokens
    number = mark.removeprefix(_FLOOR)
    if not tokens or number == mark or not _NUMBER.fullmatch(number):
        raise FeedError("the file does not name its floor")
    return int(number), tokens[0], tokens[1:]


def read_mark(anchor: TrustAnchor, line: str, now: datetime) -> FeedHead | FeedManifest | None:
    """Verifies the mark of a file.

    Raises:
        FeedError: any of ``FeedFault``.
    """
    kind, _, token = line.partition(" ")
    mark: FeedHead | FeedManifest
    if line == _NO_MARK:
        return None
    if kind == "head":
        mark = verify_head(token, anchor)
    elif kind == "manifest":
        mark = verify_manifest(token, anchor)
    else:
        raise FeedError("the file holds an unknown kind of mark")
    refuse_future(mark.issued_at, now)
    return mark


def _checksum(lines: bytes) -> bytes:
    return base64url.encode(hashlib.sha256(lines).digest()).encode("ascii")
