"""The manifest of a batch: one traveller a row, CSV (RFC 4180) in UTF-8.

Columns, by the names in the first line, in any order:

| column | meaning |
| --- | --- |
| ``ref`` | your own mark of the row: 1 to 64 of ``A-Z a-z 0-9 . _ -``, distinct |
| ``origin`` | division the code is from, 2, 4 or 6 digits; required with a document |
| ``document_type`` | number of the document's type (GB/T 38962: 10 resident id, …) |
| ``document_number`` | number of the document |
| ``qr_text`` | text of a local QR code |
| ``attestation`` | a carried attestation, armoured or bare |

An absent ``ref`` becomes ``row-<line>``. It is repeated in the results, so it must
not be personal. Each row names exactly one of document, QR text, attestation. Columns that are
not listed are refused: a typing error must not silently drop what it names.

Two kinds of faults. What makes the file unreliable (size, encoding, header,
quoting, number of fields, a ref used twice) refuses it as a whole, before
anybody is asked. What concerns one traveller (a wrong check digit, an unknown
origin) is that row's outcome and fails no other row.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.codes import parse_division, parse_document
from gateway.edge.errors import ManifestError, PresentationError
from gateway.edge.presentation import MAX_PRESENTATION_BYTES, Presentation, parse_presentation
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MANIFEST_BYTES: Final = 32 * 1024 * 1024
"""100 000 rows of about 300 bytes; larger lists are cut by their sender."""

MAX_ROWS: Final = 100_000
"""A train has two thousand seats, a large employer some ten thousand staff."""

COLUMNS: Final = (
    "ref",
    "origin",
    "document_type",
    "document_number",
    "qr_text",
    "attestation",
)

_REF = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One traveller of a batch.

    Attributes:
        line: line of the file, from 1; the header is line 1.
        ref: the caller's mark, unique in the manifest.
        origin: division the code is said to be from, six digits; None: not said.
        presentation: what is presented; None: the row cannot be used, and
            ``fault`` says why.
        fault: why the row cannot be used; None: it can.
    """

    line: int
    ref: str
    origin: str | None = None
    presentation: Presentation | None = field(default=None, repr=False)
    fault: HutongError | None = None


def parse_manifest(data: bytes) -> tuple[ManifestRow, ...]:
    """Read a manifest.

    Returns:
        Its rows, in order; at least one.

    Raises:
        ManifestError: the file is refused as a whole; see the class for the
            codes. The message names the line and the rule, never a value.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"larger than {MAX_MANIFEST_BYTES} bytes", code="MANIFEST_TOO_LARGE")
    text = _decode(data)
    records = _records(text)
    header_line, header = next(records, (1, []))
    columns = _header(header_line, header)
    rows: list[ManifestRow] = []
    lines_of_refs: dict[str, int] = {}
    for line, fields in records:
        if not any(fields):
            continue
        if len(fields) != len(columns):
            raise ManifestError(f"{len(fields)} fields, the header has {len(columns)}", line=line)
        if len(rows) == MAX_ROWS:
            raise ManifestError(f"more than {MAX_ROWS} rows", code="MANIFEST_TOO_LARGE", line=line)
        row = _row(line, dict(zip(columns, fields, strict=True)))
        earlier = lines_of_refs.setdefault(row.ref, line)
        if earlier != line:
            raise ManifestError(
                f"ref stands on line {earlier} already", code="MANIFEST_DUPLICATE_REF", line=line
            )
        rows.append(row)
    if not rows:
        raise ManifestError("no row after the header", code="MANIFEST_EMPTY")
    return tuple(rows)


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError("not UTF-8", code="MANIFEST_ENCODING", line=line) from None
    position = text.find("\x00")
    if position >= 0:
        line = text.count("\n", 0, position) + 1
        raise ManifestError("a NUL character", code="MANIFEST_ENCODING", line=line)
    return text


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins on; csv alone names the line it ends on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise ManifestError("quotes or a field's length break the format", line=line) from None
        yield line, fields
        line = reader.line_num + 1


def _header(line: int, header: list[str]) -> list[str]:
    columns = [name.strip() for name in header]
    if not any(columns):
        raise ManifestError("no header", code="MANIFEST_HEADER", line=line)
    for position, name in enumerate(columns, start=1):
        if name not in COLUMNS:
            # The name itself is not repeated: without a header this is a traveller's data.
            raise ManifestError(
                f"column {position} is none of {', '.join(COLUMNS)}",
                code="MANIFEST_HEADER",
                line=line,
            )
        if name in columns[: position - 1]:
            raise ManifestError(
                f"column {name} stands twice", code="MANIFEST_DUPLICATE_COLUMN", line=line
            )
    if not {"document_number", "qr_text", "attestation"} & set(columns):
        raise ManifestError(
            "a column document_number, qr_text or attestation is needed",
            code="MANIFEST_HEADER",
            line=line,
        )
    return columns


def _row(line: int, fields: dict[str, str]) -> ManifestRow:
    ref = fields.get("ref", "").strip() or f"row-{line}"
    if _REF.fullmatch(ref) is None:
        raise ManifestError("ref is not 1 to 64 of A-Z a-z 0-9 . _ -", line=line)
    try:
        origin_text = fields.get("origin", "").strip()
        origin = parse_division(origin_text) if origin_text else None
        return ManifestRow(line, ref, origin, _presentation(fields, origin))
    except HutongError as error:
        return ManifestRow(line, ref, fault=error)


def _presentation(fields: dict[str, str], origin: str | None) -> Presentation:
    number = fields.get("document_number", "").strip()
    type_text = fields.get("document_type", "").strip()
    texts = [text for name in ("qr_text", "attestation") if (text := fields.get(name, ""))]
    if bool(number) + len(texts) != 1:
        raise PresentationError("exactly one of document, QR text and attestation is needed")
    if texts:
        if type_text:
            raise PresentationError("document_type without document_number")
        if len(texts[0].encode()) > MAX_PRESENTATION_BYTES:
            raise PresentationError("too long", code="PRESENTATION_TOO_LONG")
        return parse_presentation(texts[0])
    if origin is None:
        raise PresentationError("a document needs its origin", code="ORIGIN_REQUIRED")
    return parse_document(_document_type(type_text), number)


def _document_type(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", text) is None:
        raise PresentationError("document_type is not a number", code="DOCUMENT_INVALID")
    return int(text)
