"""``hutong hub pack``: the feed for chosen divisions in one file, for a place without a line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from gateway.cli.terminal import Exit, console, describe, fail, print_json, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_FIXES = {
    "PEER_UNREACHABLE": "is the hub running? hutong hub run",
    "TOKEN_ENDPOINT_UNREACHABLE": "is the hub running? hutong hub run",
    "PACK_TOO_LARGE": "raise --max-bytes, name fewer divisions, or leave lists out: --no-status",
    "PACK_EMPTY": "the checkpoint has it all; make one when something has changed, or a whole pack "
    "(without --after) so that it is known to be fresh",
    "PACK_BASE_TOO_OLD": "make a whole pack: without --after",
    "SEQUENCE_AHEAD": "the checkpoint knows more than this hub: is it the hub of its last pack, "
    "or was an older store restored here?",
    "UNKNOWN_REGION": "see which divisions are connected: hutong hub members",
}
_REFUSALS = {
    "PACK_TOO_LARGE",
    "PACK_EMPTY",
    "PACK_BASE_TOO_OLD",
    "SEQUENCE_AHEAD",
    "UNKNOWN_REGION",
}


@dataclass(frozen=True, slots=True)
class _Made:
    """What stands in a manifest, as far as it is shown; the checkpoint verifies it."""

    sequence: int
    after: int
    entries: int
    lists: int
    list_bytes: int
    total: int


def pack(
    out: Annotated[Path, typer.Option("--out", help="File to write; an old one is replaced.")],
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="Division to take in, 2, 4 or 6 digits; may be repeated. Default: all."),
    ] = None,
    after: Annotated[
        int,
        typer.Option(min=0, help="Only what changed after this number: the sequence of the last."),
    ] = 0,
    max_bytes: Annotated[
        int, typer.Option(min=0, help="Longest pack in bytes; 0: 16 MiB. Nothing is left out.")
    ] = 0,
    status: Annotated[bool, typer.Option(help="Take the base status lists in.")] = True,
    directory: Annotated[Path, typer.Option("--dir", help="Directory of the hub.")] = Path("hub"),
    operator: Annotated[
        Path | None,
        typer.Option("--operator", help="operator.toml to work with; default: the one of --dir."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Make an air-gapped pack: a signed file for checkpoints that no line reaches.

    A pack made with --after holds only on top of the one with exactly that sequence,
    for the same divisions.
    """
    try:
        data = asyncio.run(
            _fetch(operator, directory, prefix or [], after, max_bytes, with_lists=status)
        )
    except HutongError as error:
        fail(
            describe(error),
            fix=error.fix or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )
    _write(out, data)
    made = _look(data)
    if as_json:
        print_json(
            {
                "file": str(out),
                "bytes": len(data),
                "sequence": made.sequence,
                "after": made.after,
                "entries": made.entries,
                "lists": made.lists,
                "list_bytes": made.list_bytes,
            }
        )
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("file", str(out))
    table.add_row("kind", f"delta after {made.after}" if made.after else "whole")
    table.add_row("sequence", str(made.sequence))
    table.add_row("entries", str(made.entries))
    table.add_row("status lists", f"{made.lists}, {decimal(made.list_bytes)}")
    table.add_row("size", f"{decimal(len(data))} ({len(data):,} bytes)")
    console.print(table)
    stderr.print(f"next time, only what changed: --after {made.sequence}")


async def _fetch(
    operator: Path | None,
    directory: Path,
    prefixes: list[str],
    after: int,
    max_bytes: int,
    *,
    with_lists: bool,
) -> bytes:
    from gateway.cli.operator_client import OperatorClient
    from gateway.hub.setup import OPERATOR_FILE, load_operator_profile

    profile = load_operator_profile(operator or directory / OPERATOR_FILE)
    async with OperatorClient(profile) as client:
        return await _gather(
            client.pack(prefixes, after=after, max_bytes=max_bytes, with_lists=with_lists)
        )


async def _gather(chunks: AsyncIterator[bytes]) -> bytes:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    data = bytearray()
    with Progress(*columns, console=stderr, transient=True) as shown:
        task = shown.add_task("pack", total=None)
        total = None
        async for chunk in chunks:
            data += chunk
            if total is None and data.count(b"\n", 0, len(chunk)) > 1:
                total = _look(bytes(data)).total
            shown.update(task, completed=len(data), total=total)
    return bytes(data)


def _look(data: bytes) -> _Made:
    from gateway.attestation import base64url

    _, manifest, *_ = data.split(b"\n", 2)
    claims: dict[str, Any] = json.loads(base64url.decode(manifest.split(b".")[1]))
    return _Made(
        sequence=claims["seq"],
        after=claims["after"],
        entries=claims["count"],
        lists=len(claims["lists"]),
        list_bytes=sum(item["bytes"] for item in claims["lists"]),
        total=data.index(manifest) + len(manifest) + 1 + claims["bytes"],
    )


def _write(path: Path, data: bytes) -> None:
    """Write the whole file or none of it."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        fail(f"{path} cannot be written ({type(error).__name__})")
