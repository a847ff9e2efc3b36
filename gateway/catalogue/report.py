"""The report of an import: what became of each row, as CSV or JSON lines.

It names the line of the file and the outcome, and neither pseudonym nor level: with the
line and the file, the issuer finds the row. Written beside its name and given it only
when the import is complete.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from gateway.catalogue.errors import CatalogueUseError
from gateway.catalogue.rows import RowOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO, Self

WORDS: Final = {
    RowOutcome.TAKEN: "listed from now on",
    RowOutcome.SUPERSEDED: "takes the place of an older record, which is kept",
    RowOutcome.UNCHANGED: "as already held",
    RowOutcome.DUPLICATE: "this file listed the same person before; the first row stands",
    RowOutcome.TOO_OLD: "assessed before the record held, which stands",
    RowOutcome.FROM_FUTURE: "assessed or recorded after the file was made",
    RowOutcome.REFUSED_LEVEL: "green, or no level: a catalogue lists who is not green",
    RowOutcome.REFUSED_SCHEME: "not a dated scheme that the issuer has published",
    RowOutcome.REFUSED_DIVISION: "issued by a division that is not the issuer's",
    RowOutcome.REFUSED_DOCUMENT: "a sealed document where the header promises none, or none",
    RowOutcome.MALFORMED: "not a row of the profile, or not its canonical writing",
}
"""What an outcome means."""


class Report:
    """Writes the outcomes of rows; a context manager.

    Args:
        path: ends in .csv or .jsonl; None: nothing is written.

    Raises:
        CatalogueUseError: another ending, or the file exists.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._draft: Path | None = None
        self._file: BinaryIO | None = None
        if path is None:
            return
        if path.suffix not in {".csv", ".jsonl"}:
            raise CatalogueUseError("a report ends in .csv or .jsonl")
        if path.exists():
            raise CatalogueUseError(f"{path} exists already and is kept", fix="name another file")
        self._is_csv = path.suffix == ".csv"
        self._draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")

    def write(self, outcomes: Iterable[tuple[int, RowOutcome]]) -> None:
        """Write outcomes with the numbers of their lines; the header is line 1."""
        if self._file is None:
            return
        if self._is_csv:
            text = "".join(f"{line},{word}\n" for line, word in outcomes)
        else:
            text = "".join(
                json.dumps({"line": line, "outcome": word}) + "\n" for line, word in outcomes
            )
        self._file.write(text.encode())

    def complete(self) -> None:
        """Give the report its name."""
        if self._file is None or self._draft is None or self._path is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.replace(self._path)
        self._draft = None

    def __enter__(self) -> Self:
        """Begin."""
        if self._draft is not None:
            self._draft.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._draft.open("wb")
            if self._is_csv:
                self._file.write(b"line,outcome\n")
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what was not completed."""
        if self._file is not None:
            self._file.close()
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)
