"""Files of areas and of contacts: CSV with a head, or a JSON list of objects.

Columns of areas: ``division``, ``risk`` (low, medium, high). Columns of contacts:
``type`` (10 where left out), ``number``, ``kind`` (case, close, general), ``at``
(2020-03-01T08:00:00+08:00), ``division``, ``reference``. A row that cannot be read has
an outcome of its own and hinders no other; its reason names the column, never the
value.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import code_pb2, exchange_pb2
from hutong.v1 import issuer_desk_service_pb2 as pb

from gateway.cli.terminal import fail
from gateway.codes import DocumentError, parse_document
from gateway.wire.validation import field_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

M = TypeVar("M", pb.Area, pb.Contact)

MAX_ROWS: Final = 100_000
"""More is another file."""


class RowError(Exception):
    """A row cannot be read; the text names the column and its rule."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        line: place in the file, counted from 1, the head aside.
        message: what it says; None: it cannot be read.
        fault: why not; empty: it can.
    """

    line: int
    message: Message | None
    fault: str = ""


def read_rows(data: bytes, name: str, read: Callable[[Mapping[str, str]], M]) -> list[Row]:
    """Read a file of rows, each for itself."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        fail(f"{name} is not UTF-8")
    found = _json_rows(text, name) if text.lstrip().startswith("[") else _csv_rows(text)
    if len(found) > MAX_ROWS:
        fail(f"{name} has more than {MAX_ROWS} rows")
    rows: list[Row] = []
    for line, members in enumerate(found, start=1):
        try:
            message = read(members)
        except RowError as error:
            rows.append(Row(line, None, str(error)))
            continue
        faults = field_faults(message)
        if faults:
            rows.append(Row(line, None, f"{faults[0].field}: {faults[0].description}"))
        else:
            rows.append(Row(line, message))
    return rows


def read_area(members: Mapping[str, str]) -> pb.Area:
    """Read a row of areas."""
    risk = _word(members, "risk", {"LOW", "MEDIUM", "HIGH"})
    return pb.Area(division=_cell(members, "division"), risk=pb.AreaRisk.Value(f"AREA_RISK_{risk}"))


def read_contact(members: Mapping[str, str]) -> pb.Contact:
    """Read a row of contacts."""
    kind = _word(members, "kind", {"CASE", "CLOSE", "GENERAL"})
    try:
        at = datetime.fromisoformat(_cell(members, "at"))
        document = parse_document(int(members.get("type") or 10), _cell(members, "number"))
    except DocumentError as error:
        raise RowError(str(error)) from None
    except ValueError:
        raise RowError("type or at: a number, and a time such as 2020-03-01T08:00+08:00") from None
    if at.tzinfo is None:
        raise RowError("at: needs a zone, such as +08:00")
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return pb.Contact(
        document=exchange_pb2.Document(
            type=code_pb2.DocumentType.ValueType(int(document.type)), number=document.number
        ),
        kind=pb.ContactKind.Value(f"CONTACT_KIND_{kind}"),
        at=stamp,
        division=_cell(members, "division"),
        reference=_cell(members, "reference"),
    )


def _csv_rows(text: str) -> list[Mapping[str, str]]:
    # A row longer than the head has its rest under None, one shorter has None in it.
    return [
        {key: value for key, value in row.items() if key is not None and value is not None}
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]


def _json_rows(text: str, name: str) -> list[Mapping[str, str]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        fail(f"{name} is not JSON")
    return [_as_text(row) for row in value]


def _as_text(row: Any) -> Mapping[str, str]:
    if not isinstance(row, dict):
        return {}
    return {str(key): str(value) for key, value in row.items() if value is not None}


def _cell(members: Mapping[str, str], name: str) -> str:
    text = members.get(name, "").strip()
    if not text:
        raise RowError(f"{name}: is missing")
    return text


def _word(members: Mapping[str, str], name: str, words: set[str]) -> str:
    word = _cell(members, name).upper()
    if word not in words:
        raise RowError(f"{name}: one of {', '.join(sorted(words)).lower()}")
    return word
