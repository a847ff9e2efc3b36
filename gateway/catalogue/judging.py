"""Who reads a catalogue by which trust, and what can be said of a row on its own.

Needs no store: ``hutong catalogue verify`` looks at a file with this alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from gateway.catalogue.counts import parse_count
from gateway.catalogue.errors import CatalogueUseError
from gateway.catalogue.header import MAX_AGE, CatalogueKind, SignedHeader, verify_header
from gateway.catalogue.reading import read_first_line, read_lines
from gateway.catalogue.rows import ACCEPTED, IssuerScope, RowError, RowOutcome, judge, parse_row
from gateway.trust import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta
    from pathlib import Path
    from typing import BinaryIO

    from gateway.catalogue.report import Report
    from gateway.trust import TrustBundle

CHUNK_ROWS: Final = 500
"""Rows looked at together; well below the 999 parameters that any SQLite allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads, and by which trust.

    Attributes:
        audience: URN of the region that reads; None: any, to look at a file only.
        bundle: whom to believe.
        now: the clock.
        max_age: how long ago a file may have been signed.
        allow_gap: files in between are known to be lost.
        allow_empty: that nobody is listed any more is known to be true.
    """

    audience: str | None
    bundle: TrustBundle
    now: datetime
    max_age: timedelta = MAX_AGE
    allow_gap: bool = False
    allow_empty: bool = False

    def header(self, file: BinaryIO) -> SignedHeader:
        """Read and verify the first line.

        Raises:
            TrustError: it does not hold.
        """
        return verify_header(
            read_first_line(file),
            self.bundle.statement_key,
            audience=self.audience,
            now=self.now,
            max_age=self.max_age,
        )

    def scope(self, issuer: str) -> IssuerScope:
        """What an issuer may speak of, as the feed says.

        Raises:
            TrustError: the issuer is not known, or suspended.
        """
        authority = self.bundle.authority(issuer)
        schemes: set[str] = set()
        for published in self.bundle.published_schemes():
            if published.authority == issuer:
                schemes.update(_dated(published.document()))
        return IssuerScope(authority.prefixes, frozenset(schemes))


def _dated(document: dict[str, Any]) -> Iterator[str]:
    """The dated schemes of a published document, which nobody has checked the inside of."""
    versions = document.get("versions")
    for version in versions if isinstance(versions, list) else ():
        if isinstance(version, dict):
            yield f"{document.get('family')}@{version.get('id')}"


@dataclass(slots=True)
class Taken:
    """What came of an import.

    Attributes:
        signed: the verified header.
        outcomes: rows by what became of them.
        closed: listings that the file no longer holds.
        closes: whether it may close any: no row leaves a question open, and it has
            rows, or is known to be rightly empty.
        is_repeat: it was the newest one already; nothing was changed.
    """

    signed: SignedHeader
    outcomes: Counter[RowOutcome] = field(default_factory=Counter)
    closed: int = 0
    closes: bool = False
    is_repeat: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether no row leaves a question open."""
        return all(outcome in ACCEPTED for outcome in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        header = self.signed.header
        return {
            "issuer": header.issuer,
            "audience": header.audience,
            "kind": header.kind.value,
            "day": header.day.isoformat(),
            "sequence": header.sequence,
            "taken_at": header.taken_at.isoformat(),
            "rows": header.rows,
            "identified": header.identified,
            "correction": header.correction,
            "outcomes": {word.value: self.outcomes[word] for word in sorted(self.outcomes)},
            "closed": self.closed,
            "closes": self.closes,
            "repeat": self.is_repeat,
            "clean": self.is_clean,
        }


def tell_nobody(_rows: int) -> None:
    """Take word of progress and do nothing with it."""


def open_file(path: Path) -> BinaryIO:
    """Open a catalogue.

    Raises:
        CatalogueUseError: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise CatalogueUseError(f"{path} cannot be read: {error.strerror}") from None


def judge_file(
    path: Path,
    reader: Reader,
    report: Report,
    *,
    on_rows: Callable[[int], None] = tell_nobody,
) -> Taken:
    """Look at a file without a store: its proof, and each row on its own.

    Rows come out as TAKEN where nothing speaks against them; whether a file was seen
    before, and what is held, is not asked.

    Raises:
        TrustError: the file is refused as a whole.
        CatalogueUseError: the file cannot be read.
    """
    with open_file(path) as file:
        signed = reader.header(file)
        taken = Taken(signed)
        scope = reader.scope(signed.header.issuer)
        lines = enumerate(read_lines(file, signed.header), start=2)
        while chunk := list(islice(lines, CHUNK_ROWS)):
            outcomes = [
                (number, outcome or RowOutcome.TAKEN)
                for number, _, outcome in judge_lines(chunk, signed, scope)
            ]
            report.write(outcomes)
            taken.outcomes.update(outcome for _, outcome in outcomes)
            on_rows(sum(taken.outcomes.values()))
    report.complete()
    return taken


def judge_lines(
    chunk: list[tuple[int, bytes | None]], signed: SignedHeader, scope: IssuerScope
) -> Iterator[tuple[int, Any, RowOutcome | None]]:
    """Each line with its row and what speaks against it on its own."""
    header = signed.header
    for number, line in chunk:
        try:
            if line is None:
                raise RowError("too long")  # noqa: TRY301 - one way out for what cannot be read
            if header.kind is CatalogueKind.COUNTS:
                count = parse_count(line, threshold=header.threshold)
                is_own = names.covers(scope.prefixes, count.key.division)
                yield number, count, None if is_own else RowOutcome.REFUSED_DIVISION
                continue
            row = parse_row(line)
        except RowError:
            yield number, None, RowOutcome.MALFORMED
            continue
        yield (
            number,
            row,
            judge(row, scope, made_at=header.made_at, identified=header.identified),
        )
