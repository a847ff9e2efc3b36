"""What a command at a gate says: the verdict, the status, or why there is none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import structlog
import typer
from rich.table import Table

from gateway.cli.terminal import Exit, console, fail, fail_with, print_json
from gateway.cli.verdict import age_text, age_text_zh, place, render
from gateway.codes import Document
from gateway.edge import AmbiguousPresentationError
from gateway.errors import HutongError
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.edge import Result

T = TypeVar("T")

_FIXES: Final = {
    "REPLICA_MISSING": "hutong checkpoint sync",
    "PRESENTATION_UNRECOGNISED": "name the region with --from, for example --from 330100",
    "ORIGIN_REQUIRED": "name the region with --from, for example --from 330100",
    "AMBIGUOUS_PRESENTATION": "name one of them with --from",
    "PEER_UNREACHABLE": "check hub and ca_file in checkpoint.toml, and the network",
    "TOKEN_ENDPOINT_UNREACHABLE": "check http and ca_file in checkpoint.toml, and the network",
    "TOKEN_REFUSED": "hutong checkpoint enrol",
    "AUTHORITY_EXISTS": "this name is enrolled with other keys; choose another urn",
    "MANIFEST_ENCODING": "save the file as UTF-8, for example: "
    "iconv -f GB18030 -t UTF-8 OLD.csv > NEW.csv",
    "MANIFEST_HEADER": "the first line names the columns; see docs/guides/run-a-checkpoint.md",
    "PACK_INVALID": "fetch the pack again from the hub's operator; nothing was changed",
    "FEED_GAP": "a delta is missing in between: load it first, or a whole pack",
    "FEED_ROLLED_BACK": "what is held here is newer; ask the hub's operator for a pack of today",
    "FEED_FROM_FUTURE": "set this machine's clock; if it is right, the hub's was wrong",
    "FEED_SIGNATURE": "the hub is not the one of the trust anchor: obtain anchor.json from its "
    "operator again, and never from the hub",
    "IMAGE_NO_CODE": "take the picture again, closer and without glare",
}


def run_command(work: Coroutine[Any, Any, T], *, as_json: bool = False) -> T:
    """Run a command's work; what it raises becomes a reason and an exit code."""
    return guarded(lambda: run(work), as_json=as_json)


def guarded(work: Callable[[], T], *, as_json: bool) -> T:
    """Do something; what it raises becomes a reason and an exit code."""
    try:
        return work()
    except HutongError as error:
        refuse(error, as_json=as_json)
    except OSError as error:
        # A state folder that cannot be written, a port that is taken: never a person's data.
        fail(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))


def refuse(error: HutongError, *, as_json: bool) -> NoReturn:
    """Say why nothing was decided."""
    if as_json:
        described: dict[str, Any] = {"code": error.code, "message": str(error)}
        if isinstance(error, AmbiguousPresentationError):
            described["candidates"] = [
                {
                    "region": candidate.region,
                    "scheme": candidate.scheme,
                    "name_zh": candidate.name_zh,
                    "name_en": candidate.name_en,
                }
                for candidate in error.candidates
            ]
        print_json({"error": described})
    fail_with(error, fix=_FIXES.get(error.code))


def print_result(result: Result, *, as_json: bool, shown: str | Document | None = None) -> None:
    """Print a verdict, for people or for programs."""
    if as_json:
        print_json(result.to_json())
    else:
        console.print(render(result, console, shown=document_of(shown)))


def document_of(shown: str | Document | None) -> Document | None:
    """The document that was presented; None: it was a code."""
    return shown if isinstance(shown, Document) else None


def leave(result: Result) -> None:
    """End with 1 where the traveller does not pass at once."""
    if not result.is_admitted:
        raise typer.Exit(Exit.NEGATIVE)


def print_status(known: dict[str, Any], *, as_json: bool) -> None:
    """Print what a checkpoint knows about itself."""
    if as_json:
        print_json(known)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("checkpoint", known["urn"])
    table.add_row("stands in", place(known["region"]))
    table.add_row("hub", known["hub"])
    behind = known["clock_behind_seconds"]
    if behind is not None:
        table.add_row(
            "clock 时钟",
            f"[red]{age_text(behind)} behind the hub's word: set this machine's clock[/red] "
            f"[red]比枢纽签发慢 {age_text_zh(behind)}，请校准本机时钟[/red]",
        )
    if known["sequence"] is None:
        why = "the clock is behind" if behind is not None else "run `hutong checkpoint sync`"
        table.add_row("trust", f"[red]none: {why}[/red]")
    else:
        too_old = " [red](too old: everything is referred)[/red]" if known["trust_too_old"] else ""
        table.add_row("trust", f"{age_text(known['trust_seconds'])} old{too_old}")
        road = "feed" if known["road"] == "feed" else "pack"
        only = f", for {', '.join(known['prefixes'])} alone" if known["prefixes"] else ""
        table.add_row(road, f"sequence {known['sequence']}{only}")
        missing = known["status_lists_missing"]
        lacking = f" [red]({missing} not here)[/red]" if missing else ""
        table.add_row("status lists", f"{known['status_lists']}{lacking}")
        table.add_row("policy", known["policy"] or "[red]none for this region[/red]")
        if known["unreported"] or known["conflicts"]:
            table.add_row(
                "admissions", f"{known['unreported']} unreported, {known['conflicts']} contradicted"
            )
        for hub in known["hubs"]:
            table.add_row("hub", f"{hub['urn']}: trust {age_text(hub['trust_seconds'])} old")
        for authority in known["authorities"]:
            region = place(authority["urn"].rpartition(":")[2])
            table.add_row("region", f"{region}: {authority['state']}")
        for silent in known["silent"]:
            region = place(silent["urn"].rpartition(":")[2])
            table.add_row("not heard", f"[yellow]{region}: since {silent['since']}[/yellow]")
    console.print(table)


def configure(verbose: bool) -> None:
    """Send logs to stderr, and only when they are asked for."""
    configure_logging(json_lines=False)
    if not verbose:
        # What a command has to say, it says in its result and its exit code.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
