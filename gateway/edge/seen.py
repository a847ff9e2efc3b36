"""Which carried attestations were already admitted here.

A carried attestation bears no nonce, so a copy of it verifies as well as the
first showing. The guard remembers, until each expires, those that were admitted
at this checkpoint; a second showing goes to a person (ATTESTATION_SEEN_BEFORE).

What is kept is a keyed digest of issuer and token id and the end of the
attestation's life, nothing about the holder; the key is drawn at random when the
file is begun and never leaves it. One line an attestation, appended and synced
under a lock (a file beside it), so that several processes of one checkpoint share
the guard and a kill at any moment loses no admission that was reported.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Final

from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

MAX_SEEN_BYTES: Final = 32 * 1024 * 1024
"""Above this, expired lines are dropped; about 700 000 admissions of a day."""

_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_HEADER = re.compile(rb"hutong-seen-1 ([0-9a-f]{64})")
_LINE = re.compile(rb"([0-9a-f]{32}) ([0-9]{1,12})")


class SeenAttestations:
    """The guard, on a file of its own.

    Args:
        path: the file; made when absent.
        random_bytes: source of the digest key.
    """

    def __init__(self, path: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._path = path
        self._random_bytes = random_bytes
        self._expiries: dict[bytes, int] = {}
        self._position = 0
        self._inode = 0
        self._key = b""
        path.parent.mkdir(parents=True, exist_ok=True)

    def admit_once(
        self, issuer: str, token_id: str, *, expires_at: datetime, now: datetime
    ) -> bool:
        """Note an admission; say whether it is the first.

        Args:
            issuer: URN of the authority that signed.
            token_id: its ``jti``.
            expires_at: end of the attestation's life, exclusive.
            now: the clock.

        Returns:
            True: first showing here, and now noted durably. False: it was
            admitted before and has not expired since.

        Raises:
            OSError: the file cannot be written; the caller must not admit.
        """
        lock = os.open(self._path.with_suffix(".lock"), _OPEN, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._admit_locked(issuer, token_id, int(expires_at.timestamp()), now)
        finally:
            os.close(lock)

    def _admit_locked(self, issuer: str, token_id: str, expiry: int, now: datetime) -> bool:
        descriptor = os.open(self._path, _OPEN | os.O_APPEND, 0o600)
        try:
            self._catch_up(descriptor)
            digest = self._digest(issuer, token_id)
            if self._expiries.get(digest, 0) > now.timestamp():
                return False
            os.write(descriptor, b"%s %d\n" % (digest, expiry))
            os.fsync(descriptor)
            self._expiries[digest] = expiry
            self._position = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if self._position > MAX_SEEN_BYTES:
            self._compact(now)
        return True

    def _digest(self, issuer: str, token_id: str) -> bytes:
        text = f"{issuer}\n{token_id}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32].encode()

    def _catch_up(self, descriptor: int) -> None:
        """Read what this or another process wrote since the last look."""
        status = os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._position:
            self._expiries.clear()
            self._position, self._inode = 0, status.st_ino
        data = os.pread(descriptor, status.st_size - self._position, self._position)
        if self._position == 0:
            data = self._begin(descriptor, data)
        if data and not data.endswith(b"\n"):
            # Torn by a kill before it was reported; close it off.
            os.write(descriptor, b"\n")
        for line in data.split(b"\n"):
            match = _LINE.fullmatch(line)
            if match is not None:
                expiry = int(match[2])
                self._expiries[match[1]] = max(expiry, self._expiries.get(match[1], 0))
        self._position = os.fstat(descriptor).st_size

    def _begin(self, descriptor: int, data: bytes) -> bytes:
        header, _, rest = data.partition(b"\n")
        match = _HEADER.fullmatch(header)
        if match is not None:
            self._key = bytes.fromhex(match[1].decode())
            return rest
        # New, or torn in its very first line: nothing was reported from it yet.
        self._key = self._random_bytes(32)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"hutong-seen-1 %s\n" % self._key.hex().encode())
        os.fsync(descriptor)
        return b""

    def _compact(self, now: datetime) -> None:
        """Replace the file by one without expired lines."""
        alive = {d: e for d, e in self._expiries.items() if e > now.timestamp()}
        lines = [b"%s %d\n" % item for item in alive.items()]
        header = b"hutong-seen-1 %s\n" % self._key.hex().encode()
        write_atomically(self._path, header + b"".join(lines))
        # The next look finds another inode and reads it from the start.
