"""How catalogues look at a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gateway.catalogue import SignedHeader
from gateway.catalogue.judging import Taken
from gateway.catalogue.listing import Listing
from gateway.catalogue.report import WORDS
from gateway.catalogue.rows import ACCEPTED
from gateway.catalogue.store import TakenFile
from gateway.cli.terminal import console, print_json
from gateway.codes import DivisionError, Document, division_name

Counts = Mapping[tuple[str, str], Sequence[tuple[str, str, int | None]]]


def print_made(signed: SignedHeader, out: Path, *, as_json: bool) -> None:
    """Print what was written."""
    header = signed.header
    if as_json:
        print_json(
            {
                "file": str(out),
                "issuer": header.issuer,
                "audience": header.audience,
                "kind": header.kind.value,
                "day": header.day.isoformat(),
                "sequence": header.sequence,
                "rows": header.rows,
                "identified": header.identified,
                "digest": signed.digest,
            }
        )
        return
    what = "rows" if header.kind.value == "records" else "numbers"
    names = "documents sealed to the audience" if header.identified else "pseudonymous"
    console.print(
        f"[bold]{escape(str(out))}[/bold]: {header.rows:,} {what} of {header.day} for "
        f"{_region(header.audience)}, file {header.sequence}, {names}",
        soft_wrap=True,
    )


def print_file(taken: Taken, *, as_json: bool, is_look: bool = False) -> None:
    """Print what became of a file and of its rows."""
    if as_json:
        print_json(taken.to_json())
        return
    header = taken.signed.header
    console.print(
        f"{_region(header.issuer)} → {_region(header.audience)}: {header.kind} of "
        f"[bold]{header.day}[/bold], file {header.sequence}, {header.rows:,} rows; "
        f"corrections: {escape(header.correction)}",
        soft_wrap=True,
    )
    if taken.is_repeat:
        console.print("taken already; nothing was changed")
        return
    table = Table(box=None, header_style="bold")
    for name in ("outcome", "rows", "what it means"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for outcome in sorted(taken.outcomes, key=lambda one: (one not in ACCEPTED, one)):
        style = "green" if outcome in ACCEPTED else "red"
        words = "nothing speaks against it" if is_look and outcome == "TAKEN" else WORDS[outcome]
        table.add_row(Text(outcome, style=style), f"{taken.outcomes[outcome]:,}", words)
    if taken.outcomes:
        console.print(table)
    if not is_look and header.kind.value == "records":
        if taken.closes:
            console.print(f"{taken.closed:,} listings closed: the file no longer holds them")
        else:
            console.print(
                "no listing was closed: a row was refused, or the file has none (--allow-empty)"
            )


def print_taken(taken: Sequence[TakenFile], counts: Counts, *, as_json: bool) -> None:
    """Print the store."""
    if as_json:
        print_json(
            {
                "files": [one.to_json() for one in taken],
                "counts": [
                    {"issuer": issuer, "division": division, "name": name, "count": count}
                    for (issuer, _), rows in counts.items()
                    for division, name, count in rows
                ],
            }
        )
        return
    table = Table(box=None, header_style="bold")
    for name in ("issuer", "audience", "kind", "day", "file", "rows", "closed", "open now"):
        numeric = name in {"file", "rows", "closed", "open now"}
        table.add_column(name, justify="right" if numeric else "left")
    for one in taken:
        is_records = one.kind == "records"
        table.add_row(
            _region(one.issuer),
            _region(one.audience),
            one.kind,
            one.day.isoformat(),
            str(one.sequence),
            f"{one.rows:,}",
            f"{one.closed:,}" if is_records else "",
            f"{one.open_now:,}" if is_records else "",
        )
    console.print(table if taken else "no catalogue was taken yet")
    for (issuer, _), rows in counts.items():
        _print_counts(issuer, rows)


def _print_counts(issuer: str, rows: Sequence[tuple[str, str, int | None]]) -> None:
    table = Table(box=None, header_style="bold", title=f"counts of {_region(issuer)}")
    table.add_column("division")
    table.add_column("what")
    table.add_column("people", justify="right")
    for division, name, number in rows:
        people = "not stated" if number is None else f"{number:,}"
        table.add_row(_place(division), name, people)
    console.print(table)


def print_listing(
    listing: Listing | None, past: int, document: Document | None, *, as_json: bool
) -> None:
    """Print what is known of one pseudonym."""
    if as_json:
        print_json({"listed": listing is not None, "past": past} | _members(listing, document))
        return
    if listing is None:
        console.print("not listed, which makes nobody green")
    else:
        table = Table(box=None, show_header=False)
        for name, value in _members(listing, document).items():
            table.add_row(Text(name, style="bold"), Text("" if value is None else str(value)))
        console.print(table)
    if past:
        console.print(f"{past} earlier statements are kept")


def _members(listing: Listing | None, document: Document | None) -> dict[str, Any]:
    if listing is None:
        return {}
    members: dict[str, Any] = {
        "issuer": listing.issuer,
        "level": listing.level,
        "scheme": listing.scheme,
        "state": listing.state,
        "reason": listing.reason,
        "assessed_at": listing.assessed_at.isoformat(),
        "taken_at": listing.taken_at.isoformat(),
        "day": listing.day.isoformat(),
        "issued_by": listing.issued_by,
        "area": listing.area,
        "correction": listing.correction,
    }
    if document is not None:
        members |= {"document_type": int(document.type), "number": document.number}
    return members


def _region(urn: str) -> str:
    return _place(urn.rpartition(":")[2])


def _place(division: str) -> str:
    try:
        return f"{division_name(division)} {division}"
    except DivisionError:
        return division
