"""The checkpoint's record of decisions: JSON lines, appended, never personal.

A line says when, where from, on which path, what was decided, for which reasons
and on how old a basis. It holds no name, number, QR text, pseudonym, token or
level, and nothing by which two lines of one person could be joined. Killing the
process may cost the last line; a reader skips what is torn.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
"""About 200 000 decisions: some days of a busy gate. The file before is kept once."""

DecisionPath = Literal["online", "offline"]

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision, as it is written down.

    Attributes:
        at: when it was made, UTC.
        path: whether the origin was asked, or a carried attestation was read.
        destination: six digits of the region whose policy was applied.
        origin: six digits of the region that answered or signed; None: unknown.
        verdict: the verdict's name.
        reasons: stable codes of the reasons, in order.
        policy: id of the policy applied; None: there was none.
        trust_seconds: age of trust; None: unknown.
        policy_seconds: age of the policy; None: unknown.
        source_seconds: age of the source's record; None: there was no report.
        milliseconds: from presentation to verdict.
        status_seconds: age of the issuer's word on revocations; None: unknown.
        warnings: stable codes of what the decision warned of.
    """

    at: datetime
    path: DecisionPath
    destination: str
    origin: str | None
    verdict: str
    reasons: tuple[str, ...]
    policy: str | None
    trust_seconds: int | None
    policy_seconds: int | None
    source_seconds: int | None
    milliseconds: float
    status_seconds: int | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.verdict, *self.reasons, *self.warnings):
            # A code is a name of ours; anything else could be somebody's data.
            if _CODE.fullmatch(name) is None:
                raise ValueError("a verdict or reason is not a stable code")


class DecisionLog:
    """Appends records to a file that only its owner can read.

    One write a record, so lines of several processes do not mix; the file is
    turned over at 64 MiB.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def append(self, record: DecisionRecord) -> None:
        """Write one record."""
        line = msgspec.json.encode(record) + b"\n"
        if os.fstat(self._descriptor).st_size + len(line) > MAX_RECORD_BYTES:
            os.close(self._descriptor)
            self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
            self._descriptor = self._open()
        os.write(self._descriptor, line)

    def close(self) -> None:
        """Make everything written durable and close the file."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(descriptor).st_size
        # A line torn by a kill ends here, so that it cannot swallow the next one.
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
        return descriptor


def parse_records(data: bytes) -> Iterator[DecisionRecord]:
    """Read the records of a log, skipping torn and foreign lines."""
    for line in data.split(b"\n"):
        try:
            yield _DECODER.decode(line)
        except msgspec.DecodeError:
            continue


_DECODER = msgspec.json.Decoder(DecisionRecord)
