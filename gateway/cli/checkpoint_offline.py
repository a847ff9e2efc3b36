"""``hutong checkpoint pack …`` and ``reconcile``: a gate whose line is cut, and after.

A pack is one signed file made at the hub (``hutong hub pack``) and carried here on a
stick. What does not hold is refused and changes nothing; every command says how old the
knowledge is that it leaves behind.
"""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gateway.cli.gate_input import Config, Json, Verbose, settings_of
from gateway.cli.gate_output import configure, guarded, run_command
from gateway.cli.terminal import Exit, console, print_json
from gateway.cli.verdict import age_text
from gateway.edge import Checkpoint
from gateway.edge.checkpoint import utc_now
from gateway.edge.files import read_bounded
from gateway.trust import parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.trust.pack import MAX_PACK_BYTES, read_manifest

if TYPE_CHECKING:
    from gateway.edge.packs import Taken
    from gateway.edge.reconcile import Reconciled
    from gateway.trust.pack import PackManifest

pack_app = typer.Typer(no_args_is_help=True, help="Air-gapped packs: the feed on a stick.")

PackFile = Annotated[Path, typer.Argument(help="The pack.", exists=True, dir_okay=False)]


@pack_app.command("load")
def load(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Packs in order: a whole one, then deltas.", exists=True, dir_okay=False
        ),
    ],
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Take packs in; from then on this checkpoint decides by them.

    A pack that does not hold, or that ends before what is known, is refused and changes
    nothing; what came before it in the list stands.

    Example:
      hutong checkpoint pack load /media/stick/guangzhou.pack
    """
    configure(verbose)
    settings = settings_of(config)

    async def work() -> tuple[list[Taken], dict[str, Any]]:
        async with Checkpoint.open(settings, online=False) as checkpoint:
            taken = [
                checkpoint.load_pack(read_bounded(path, MAX_PACK_BYTES, "pack")) for path in files
            ]
            return taken, checkpoint.status().to_json()

    taken, known = run_command(work(), as_json=as_json)
    if as_json:
        print_json(
            {
                "loaded": [{**_described(one.manifest), "is_new": one.is_new} for one in taken],
                "sequence": known["sequence"],
                "trust_seconds": known["trust_seconds"],
                "status_lists_missing": known["status_lists_missing"],
            }
        )
        return
    for path, one in zip(files, taken, strict=True):
        said = "taken in" if one.is_new else "held already"
        kind = f"a delta after {one.manifest.after}" if one.manifest.after else "whole"
        console.print(f"{path.name}: {said}, {kind}, up to {one.manifest.sequence}", soft_wrap=True)
    console.print(
        f"knowledge is {age_text(known['trust_seconds'])} old, sequence {known['sequence']}",
        soft_wrap=True,
    )


@pack_app.command("info")
def info(file: PackFile, config: Config = None, as_json: Json = False) -> None:
    """Show what a pack holds, after its manifest has verified; nothing is loaded.

    Example:
      hutong checkpoint pack info /media/stick/guangzhou.pack
    """
    settings = settings_of(config)

    def read() -> PackManifest:
        anchor = parse_anchor(read_bounded(settings.trust_anchor, MAX_ANCHOR_BYTES, "trust anchor"))
        return read_manifest(anchor, read_bounded(file, MAX_PACK_BYTES, "pack"))

    manifest = guarded(read, as_json=as_json)
    described = _described(manifest)
    if as_json:
        print_json(described)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("hub", manifest.hub)
    table.add_row("made", f"{described['made_at']}, {age_text(described['age_seconds'])} ago")
    table.add_row("kind", f"delta after {manifest.after}" if manifest.after else "whole")
    table.add_row("sequence", str(manifest.sequence))
    table.add_row("divisions", ", ".join(manifest.prefixes) or "all")
    table.add_row("entries", str(manifest.count))
    table.add_row("status lists", str(len(manifest.lists)))
    console.print(table)


def reconcile(config: Config = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Tell the hub what was admitted while it was away, and print what contradicts it.

    A checkpoint that follows the feed does this by itself. Exit code 1 when another
    checkpoint was shown one of the same attestations.

    Example:
      hutong checkpoint reconcile
    """
    configure(verbose)
    settings = settings_of(config)

    async def work() -> Reconciled:
        async with Checkpoint.open(settings, follow=False) as checkpoint:
            return await checkpoint.reconcile()

    came = run_command(work(), as_json=as_json)
    conflicts: list[dict[str, Any]] = [
        {
            "admitted_at": conflict.admitted_at.astimezone(UTC).isoformat(timespec="seconds"),
            "seconds_apart": conflict.seconds_apart,
        }
        for conflict in came.conflicts
    ]
    if as_json:
        print_json({"reported": came.reported, "expired": came.expired, "conflicts": conflicts})
    else:
        console.print(f"{came.reported} admissions reported", soft_wrap=True)
        if came.expired:
            console.print(f"{came.expired} dropped: the attestations are over", soft_wrap=True)
        for one in conflicts:
            console.print(
                f"[yellow]admitted at {one['admitted_at']}[/yellow]: also shown elsewhere, "
                f"{age_text(one['seconds_apart'])} apart",
                soft_wrap=True,
            )
    if conflicts:
        raise typer.Exit(Exit.NEGATIVE)


def _described(manifest: PackManifest) -> dict[str, Any]:
    return {
        "hub": manifest.hub,
        "made_at": manifest.issued_at.isoformat(timespec="seconds"),
        "age_seconds": max(0, int((utc_now() - manifest.issued_at).total_seconds())),
        "sequence": manifest.sequence,
        "after": manifest.after,
        "prefixes": list(manifest.prefixes),
        "entries": manifest.count,
        "status_lists": len(manifest.lists),
        "bytes": manifest.bytes,
    }
