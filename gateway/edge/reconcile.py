"""What was admitted while the hub was away, told to it when the line returns.

An admission that could not be reported is kept as a line of tags and times: nothing of
the attestation, its holder or the verdict's reasons. When the hub answers again, the
lines are reported, and where another checkpoint was shown the same attestation, that is
a *conflict*: logged, recorded, and for a person to look into; the traveller has passed.

Promises, each tested:

* a line is durable before the admission counts as kept, and is dropped only after the
  hub has taken it: a kill at any moment loses none and reports some twice, which the
  hub takes for the same showing;
* a conflict is recorded before its line is dropped, and once however often it is told;
* the queue is bounded: the oldest lines go first, and how many went is told;
* a line that nobody can act on any more (the attestation is over) is dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from gateway.edge.sightings import MAX_REPORTED, Sighting
from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.edge.sightings import SightingReporter

MAX_KEPT: Final = 20_000
"""Admissions of a busy gate in some hours without a line; 2 MiB on disk."""

BATCH: Final = MAX_REPORTED // 2
"""Two tags each."""

RECONCILE_SECONDS: Final = 10.0
"""For one batch; nobody stands and waits."""

_LINE = re.compile(r"([0-9a-f]{32}) ([0-9a-f]{32}) ([0-9]{1,12}) ([0-9]{1,12})", re.ASCII)
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_REF_CHARACTERS: Final = 16

_log = structlog.get_logger(__name__)


class Conflict(msgspec.Struct, frozen=True):
    """One admission that another checkpoint's showing contradicts.

    Attributes:
        ref: of this admission alone, so that it is recorded once; it names nobody, and
            two admissions of one attestation do not share it.
        admitted_at: when it was admitted here, UTC: the line of the record it is about.
        seconds_apart: between here and elsewhere, whichever came first.
    """

    ref: str
    admitted_at: datetime
    seconds_apart: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of reporting.

    Attributes:
        reported: admissions that the hub took.
        conflicts: those that were shown elsewhere too.
        expired: lines that were dropped because nobody can act on them any more.
    """

    reported: int
    conflicts: tuple[Conflict, ...]
    expired: int


class SightingQueue:
    """Admissions to be reported, on disk; several processes may share it.

    Args:
        path: the file; made when the first line comes.
        max_kept: lines.
    """

    def __init__(self, path: Path, *, max_kept: int = MAX_KEPT) -> None:
        self._path = path
        self._max_kept = max_kept

    def __len__(self) -> int:
        """Lines that wait."""
        return len(self.waiting())

    def keep(self, sighting: Sighting) -> None:
        """Keep one, durably.

        Raises:
            OSError: it cannot be written.
        """
        one, other = (tag.hex() for tag in sighting.tags)
        seen, until = int(sighting.seen_at.timestamp()), int(sighting.keep_until.timestamp())
        with self._locked():
            descriptor = os.open(self._path, _OPEN, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    os.write(descriptor, b"\n")  # torn by a kill; it was never reported as kept
                os.write(descriptor, f"{one} {other} {seen} {until}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            lines = self._lines()
            if len(lines) > self._max_kept:
                # Some room at once, so that a full queue is not rewritten with every line.
                kept = lines[len(lines) - self._max_kept * 9 // 10 :]
                self._write(kept)
                _log.warning("unreported_admissions_dropped", dropped=len(lines) - len(kept))

    def waiting(self) -> list[str]:
        """Return the lines that wait, the oldest first."""
        with self._locked():
            return self._lines()

    def drop(self, lines: list[str]) -> None:
        """Forget lines that were reported, or that nobody can act on."""
        gone = set(lines)
        with self._locked():
            self._write([line for line in self._lines() if line not in gone])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(self._path.name + ".lock"), _OPEN, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _lines(self) -> list[str]:
        try:
            text = self._path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.split("\n") if _LINE.fullmatch(line)]

    def _write(self, lines: list[str]) -> None:
        write_atomically(self._path, "".join(line + "\n" for line in lines).encode())


class ConflictLog:
    """Conflicts, one JSON line each.

    Args:
        path: the file; made when the first conflict comes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Conflict, ...]:
        """Return every conflict recorded, the oldest first; torn lines are skipped."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        found = []
        for line in data.split(b"\n"):
            with contextlib.suppress(msgspec.DecodeError):
                found.append(_DECODER.decode(line))
        return tuple(found)

    def add(self, conflicts: list[Conflict]) -> None:
        """Record those that are not recorded yet, durably.

        Raises:
            OSError: they cannot be written.
        """
        known = {conflict.ref for conflict in self.read()}
        fresh = [conflict for conflict in conflicts if conflict.ref not in known]
        if not fresh:
            return
        descriptor = os.open(self._path, _OPEN, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            lines = b"".join(msgspec.json.encode(conflict) + b"\n" for conflict in fresh)
            os.write(descriptor, (b"\n" if torn else b"") + lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def reconcile(
    queue: SightingQueue, reporter: SightingReporter, conflicts: ConflictLog, now: datetime
) -> Reconciled:
    """Report what waits.

    Args:
        queue: what waits.
        reporter: to the hub.
        conflicts: where they are recorded.
        now: the clock, UTC.

    Raises:
        HutongError: the hub does not take a batch; what it took before is done.
        OSError: the disk does not take it.
    """
    reported = 0
    found: list[Conflict] = []
    waiting = queue.waiting()
    over = [line for line in waiting if int(line.rpartition(" ")[2]) <= now.timestamp()]
    if over:
        queue.drop(over)
        gone = set(over)
        waiting = [line for line in waiting if line not in gone]
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        apart = await reporter.report(
            [_sighting(line) for line in batch], timeout_seconds=RECONCILE_SECONDS
        )
        told = [
            Conflict(_ref(line), _sighting(line).seen_at, seconds)
            for line, seconds in zip(batch, apart, strict=True)
            if seconds is not None
        ]
        conflicts.add(told)
        for conflict in told:
            _log.warning(
                "admission_contradicted",
                admitted_at=conflict.admitted_at.isoformat(),
                seconds_apart=conflict.seconds_apart,
            )
        queue.drop(batch)
        found += told
        reported += len(batch)
    return Reconciled(reported, tuple(found), len(over))


def _sighting(line: str) -> Sighting:
    one, other, seen, until = line.split(" ")
    return Sighting(
        (bytes.fromhex(one), bytes.fromhex(other)),
        datetime.fromtimestamp(int(seen), UTC),
        datetime.fromtimestamp(int(until), UTC),
    )


def _ref(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:_REF_CHARACTERS]


_DECODER: Final = msgspec.json.Decoder(Conflict)
