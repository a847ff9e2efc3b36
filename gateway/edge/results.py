"""Results of a batch: one row a traveller, CSV or JSON lines, resumable.

A row repeats the manifest's ``ref`` and line and says what was decided; it holds
no document, QR text, token or level. Rows are appended as they are decided, so a
run that is killed loses at most the rows in flight; ``resume`` takes up the rest.
What failed for want of an answer (the line, a timeout, an overload) is asked
again on resume; what was decided is not.
"""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from gateway.edge.errors import ManifestError
from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path
    from typing import Self

    from gateway.edge.manifest import ManifestRow
    from gateway.edge.result import Result

MAX_RESULTS_BYTES: Final = 128 * 1024 * 1024
"""The most rows of a manifest at about a kilobyte each."""

ResultFormat = Literal["csv", "jsonl"]

UNANSWERED: Final = frozenset(
    {
        "ADAPTER_UNREACHABLE",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "OVERLOADED",
        "PEER_UNREACHABLE",
        "SHUTTING_DOWN",
        "SOURCE_BUSY",
        "SOURCE_TIMED_OUT",
        "TOKEN_ENDPOINT_UNREACHABLE",
        "TOKEN_EXPIRED",
        "TRUST_TOO_OLD",
    }
)
"""Reasons that speak of the moment, not of the traveller: asked again on resume."""


class ResultRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the results."""

    ref: str
    line: int
    verdict: str
    days: int | None
    reasons: list[str]
    origin: str | None
    destination: str
    path: str
    policy: str
    trust_seconds: int | None
    policy_seconds: int | None
    source_seconds: int | None
    decided_at: str
    milliseconds: float
    status_seconds: int | None = None
    warnings: list[str] = []
    silent_since: str | None = None

    @property
    def is_answered(self) -> bool:
        """Whether asking again would be asking twice."""
        return UNANSWERED.isdisjoint(self.reasons)

    @property
    def is_admitted(self) -> bool:
        """Whether the traveller passes at once."""
        return self.verdict in {"ADMIT", "ADMIT_WITH_CONDITIONS"}


COLUMNS: Final = ResultRow.__struct_fields__
_MAY_BE_EMPTY: Final = (
    "days",
    "origin",
    "trust_seconds",
    "policy_seconds",
    "source_seconds",
    "status_seconds",
    "silent_since",
)
_FIRST_COLUMNS: Final = COLUMNS.index("status_seconds")
"""Every release wrote these; those behind them came one after the other."""


def result_row(row: ManifestRow, result: Result) -> ResultRow:
    """What is written down about one row of the manifest."""
    decision = result.decision
    return ResultRow(
        ref=row.ref,
        line=row.line,
        verdict=decision.verdict.value,
        days=decision.days,
        reasons=[reason.code for reason in decision.reasons],
        origin=result.origin,
        destination=result.destination,
        path=result.path,
        policy=decision.policy_id,
        trust_seconds=decision.ages.trust_seconds,
        policy_seconds=decision.ages.policy_seconds,
        source_seconds=decision.ages.source_seconds,
        decided_at=result.decided_at.isoformat(timespec="seconds"),
        milliseconds=round(result.milliseconds, 1),
        status_seconds=decision.ages.status_seconds,
        warnings=[warning.code for warning in decision.warnings],
        silent_since=(
            None
            if result.silent_since is None
            else result.silent_since.isoformat(timespec="seconds")
        ),
    )


class ResultsFile:
    """Writes results as they come.

    Args:
        path: the file; its ending (.csv, .jsonl) says the format.

    Raises:
        ManifestError: RESULTS_MISMATCH, another ending, or the file exists already
            (``begin``), or is not this manifest's (``resume``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._format: ResultFormat = _format_of(path)
        self._descriptor = -1

    def begin(self) -> None:
        """Start a new file."""
        if self._path.exists():
            raise ManifestError(
                f"{self._path} exists; name another file or add --resume", code="RESULTS_MISMATCH"
            )
        write_atomically(self._path, _encode_head(self._format))
        self._open()

    def resume(self, refs: Collection[str]) -> tuple[ResultRow, ...]:
        """Take up a file that an earlier run left, dropping what is torn or unanswered.

        Args:
            refs: every ref of the manifest.

        Returns:
            The rows that need not be asked again.
        """
        if not self._path.exists():
            self.begin()
            return ()
        if self._path.stat().st_size > MAX_RESULTS_BYTES:
            raise ManifestError("the results file is too large", code="RESULTS_MISMATCH")
        rows = parse_results(self._path.read_bytes(), self._format)
        if not {row.ref for row in rows} <= set(refs):
            raise ManifestError(
                "the results file holds refs that the manifest does not", code="RESULTS_MISMATCH"
            )
        kept = tuple(row for row in rows if row.is_answered)
        content = b"".join(_encode(row, self._format) for row in kept)
        write_atomically(self._path, _encode_head(self._format) + content)
        self._open()
        return kept

    def append(self, row: ResultRow) -> None:
        """Write one row."""
        os.write(self._descriptor, _encode(row, self._format))

    def close(self) -> None:
        """Make everything written durable."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """The file itself; ``begin`` or ``resume`` opens it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def parse_results(data: bytes, result_format: ResultFormat) -> tuple[ResultRow, ...]:
    """Read a results file; a torn last line is dropped.

    Raises:
        ManifestError: RESULTS_MISMATCH, another line is not one of ours.
    """
    end = data.rfind(b"\n") + 1
    try:
        text = data[:end].decode("utf-8")
        rows = _parse_csv(text) if result_format == "csv" else _parse_jsonl(text)
        return tuple(rows)
    except (UnicodeDecodeError, msgspec.DecodeError, csv.Error, ValueError):
        raise ManifestError(
            "the results file holds something other than results", code="RESULTS_MISMATCH"
        ) from None


def _format_of(path: Path) -> ResultFormat:
    ending = path.suffix.lower()
    if ending == ".csv":
        return "csv"
    if ending == ".jsonl":
        return "jsonl"
    raise ManifestError("results end in .csv or .jsonl", code="RESULTS_MISMATCH")


def _encode_head(result_format: ResultFormat) -> bytes:
    return _csv_line(COLUMNS) if result_format == "csv" else b""


def _encode(row: ResultRow, result_format: ResultFormat) -> bytes:
    if result_format == "jsonl":
        return msgspec.json.encode(row) + b"\n"
    members: dict[str, Any] = msgspec.structs.asdict(row)
    members["reasons"] = " ".join(row.reasons)
    members["warnings"] = " ".join(row.warnings)
    return _csv_line("" if members[name] is None else str(members[name]) for name in COLUMNS)


def _csv_line(fields: Iterable[str]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerow(list(fields))
    return stream.getvalue().encode()


def _parse_jsonl(text: str) -> list[ResultRow]:
    return [msgspec.json.decode(line, type=ResultRow) for line in text.split("\n") if line]


def _parse_csv(text: str) -> list[ResultRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = tuple(next(reader, ()))
    if len(header) < _FIRST_COLUMNS or header != COLUMNS[: len(header)]:
        raise ValueError("another header")
    rows = []
    for fields in reader:
        members: dict[str, Any] = dict(zip(header, fields, strict=True))
        for name in ("reasons", "warnings"):
            members[name] = members.get(name, "").split()
        for name in _MAY_BE_EMPTY:
            members[name] = members.get(name) or None
        rows.append(msgspec.convert(members, ResultRow, strict=False))
    return rows
