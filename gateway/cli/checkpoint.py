"""``hutong checkpoint …``: ask, verify and decide at a gate.

Results go to stdout, everything else to stderr; every command that has a result
takes ``--json``. Exit codes: 0 admitted (or done), 1 not admitted, 2 could not
decide, 64 the command line is wrong. ``batch`` leaves with 1 when any row is not
admitted.

Document numbers come from a file, standard input or a hidden prompt, never from
the command line, which ends up in the shell's history and in the process list.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.checkpoint_join import enrol, init
from gateway.cli.checkpoint_offline import pack_app, reconcile
from gateway.cli.convert import convert
from gateway.cli.disclose import Disclose, disclose, disclosure_of
from gateway.cli.gate_input import (
    AskDocument,
    Config,
    DocumentFile,
    File,
    Json,
    Origin,
    Shown,
    Timeout,
    Type,
    Verbose,
    presented,
    scanned,
    settings_of,
)
from gateway.cli.gate_output import (
    configure,
    document_of,
    guarded,
    leave,
    print_result,
    print_status,
    run_command,
)
from gateway.cli.terminal import Exit, console, print_json, stderr
from gateway.cli.verdict import render
from gateway.edge import Checkpoint, ManifestError, parse_manifest
from gateway.edge.files import read_bounded
from gateway.edge.manifest import MAX_MANIFEST_BYTES
from gateway.edge.results import ResultsFile, result_row

if TYPE_CHECKING:
    from gateway.edge import CheckpointSettings, Result
    from gateway.edge.checkpoint import Fetched
    from gateway.edge.manifest import ManifestRow

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.command()(init)
app.command()(enrol)


@app.command()
def sync(config: Config = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Bring the local copy of the feed up to date, so that the gate works offline.

    Example:
      hutong checkpoint sync
    """
    configure(verbose)
    settings = settings_of(config)

    async def work() -> dict[str, Any]:
        async with Checkpoint.open(settings, follow=False) as checkpoint:
            await checkpoint.refresh()
            return checkpoint.status().to_json()

    print_status(run_command(work()), as_json=as_json)


@app.command()
def status(config: Config = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Show what this checkpoint knows, without the network.

    Exit code 1 when its trust is missing or too old to decide by.

    Example:
      hutong checkpoint status
    """
    configure(verbose)
    settings = settings_of(config)

    async def work() -> dict[str, Any]:
        async with Checkpoint.open(settings, online=False) as checkpoint:
            return checkpoint.status().to_json()

    known = run_command(work())
    print_status(known, as_json=as_json)
    if known["trust_too_old"]:
        raise typer.Exit(Exit.NEGATIVE)


# --- deciding -----------------------------------------------------------------------


@app.command()
def ask(
    shown: Shown = None,
    file: File = None,
    origin: Origin = None,
    document_file: DocumentFile = None,
    document: AskDocument = False,
    document_type: Type = 10,
    travel_card: Annotated[
        str | None,
        typer.Option("--travel-card", help="Text of a travel card 行程卡 shown beside the code."),
    ] = None,
    part: Disclose = None,
    timeout: Timeout = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask the origin about one traveller and decide.

    Examples:
      hutong checkpoint ask 'https://hzjkm.example/code?id=…'

      hutong checkpoint ask --file screenshot.png

      hutong checkpoint ask --document --from 330100
    """
    configure(verbose)
    settings = settings_of(config)
    traveller = guarded(
        lambda: presented(shown, file, document_file, document, document_type), as_json=as_json
    )

    async def work() -> Result:
        async with Checkpoint.open(settings, follow=False) as checkpoint:
            await checkpoint.refresh_if_stale()
            return await checkpoint.ask(
                traveller,
                origin=origin,
                timeout_seconds=timeout,
                beside=travel_card,
                disclosure=disclosure_of(part),
            )

    result = run_command(work(), as_json=as_json)
    print_result(result, as_json=as_json, shown=traveller)
    leave(result)


@app.command()
def fetch(
    shown: Shown = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write OUT.txt and OUT.png, readable by you only."),
    ] = None,
    file: File = None,
    origin: Origin = None,
    document_file: DocumentFile = None,
    document: AskDocument = False,
    document_type: Type = 10,
    part: Disclose = None,
    timeout: Timeout = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Fetch an attestation that the holder carries to this region.

    It verifies offline here later: on a phone, or printed on paper.

    Examples:
      hutong checkpoint fetch --document --from 330100 --out ticket

      hutong checkpoint verify --file ticket.png

      hutong checkpoint fetch --document --from 330100 --disclose minimal --out market
    """
    from gateway.cli.carried import show_qr, write_carried

    configure(verbose)
    settings = settings_of(config)
    traveller = guarded(
        lambda: presented(shown, file, document_file, document, document_type), as_json=as_json
    )

    async def work() -> Fetched:
        async with Checkpoint.open(settings, follow=False) as checkpoint:
            await checkpoint.refresh_if_stale()
            return await checkpoint.fetch(
                traveller,
                origin=origin,
                timeout_seconds=timeout,
                disclosure=disclosure_of(part),
            )

    fetched = run_command(work(), as_json=as_json)
    result = fetched.result
    written = write_carried(out, fetched.armour) if out is not None and fetched.armour else ()
    if as_json:
        print_json(
            {
                "attestation": fetched.armour,
                "files": [str(path) for path in written],
                "would_decide": result.to_json(),
            }
        )
    else:
        console.print(render(result, console, shown=document_of(traveller)))
        if fetched.armour is not None and out is None:
            console.print(fetched.armour, soft_wrap=True, markup=False, highlight=False)
            if console.is_terminal:
                show_qr(fetched.armour)
        for path in written:
            stderr.print(f"wrote {path}", soft_wrap=True)
    if fetched.token is None:
        raise typer.Exit(Exit.NEGATIVE)


@app.command()
def verify(
    shown: Shown = None,
    file: File = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Decide about a carried attestation, with no network at all.

    Takes armoured text (HUTONG1:…), a bare JWT, or a PNG or SVG of the code.

    Examples:
      hutong checkpoint verify --file ticket.png

      hutong checkpoint verify - < ticket.txt
    """
    configure(verbose)
    settings = settings_of(config)
    text = guarded(lambda: scanned(shown, file), as_json=as_json)

    async def work() -> Result:
        async with Checkpoint.open(settings, online=False) as checkpoint:
            return checkpoint.verify_offline(text)

    result = run_command(work(), as_json=as_json)
    print_result(result, as_json=as_json)
    leave(result)


@app.command()
def batch(
    manifest: Annotated[Path, typer.Argument(help="CSV, UTF-8; see the guide for its columns.")],
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", "-o", help="Results, .csv or .jsonl; default: MANIFEST.results.csv."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run ended.")
    ] = False,
    timeout: Timeout = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Decide about every row of a manifest.

    Columns: ref, origin, document_type, document_number, qr_text, attestation; one
    of document, QR text and attestation a row. Exit code 1 when any row is not
    admitted.

    Examples:
      hutong checkpoint batch passengers.csv --results verdicts.csv

      hutong checkpoint batch passengers.csv --results verdicts.csv --resume
    """
    configure(verbose)
    settings = settings_of(config)
    if manifest.is_dir():
        raise typer.BadParameter("a manifest is a file, and this is a folder")
    path = results or manifest.with_name(manifest.name + ".results.csv")
    rows = guarded(lambda: _rows(manifest), as_json=as_json)
    verdicts = run_command(
        _batch(settings, rows, path, resume=resume, timeout=timeout), as_json=as_json
    )
    admitted = verdicts["ADMIT"] + verdicts["ADMIT_WITH_CONDITIONS"]
    if as_json:
        print_json(
            {
                "rows": len(rows),
                "admitted": admitted,
                "verdicts": dict(verdicts.most_common()),
                "results": str(path),
            }
        )
    else:
        console.print(f"{len(rows)} rows, results in {path}", soft_wrap=True, highlight=False)
        table = Table()
        table.add_column("verdict")
        table.add_column("rows", justify="right")
        for verdict, number in verdicts.most_common():
            table.add_row(verdict, str(number))
        console.print(table)
    if admitted < len(rows):
        raise typer.Exit(Exit.NEGATIVE)


app.command()(convert)
app.command()(reconcile)
app.add_typer(pack_app, name="pack")
app.command()(disclose)


# --- work ---------------------------------------------------------------------------


def _rows(manifest: Path) -> tuple[ManifestRow, ...]:
    try:
        return parse_manifest(read_bounded(manifest, MAX_MANIFEST_BYTES, "manifest"))
    except ManifestError as error:
        raise ManifestError(f"{manifest.name}: {error}", code=error.code) from None


async def _batch(
    settings: CheckpointSettings,
    rows: tuple[ManifestRow, ...],
    path: Path,
    *,
    resume: bool,
    timeout: float | None,  # noqa: ASYNC109 - a row's, not this function's
) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    with ResultsFile(path) as results, _progress() as progress:
        done: set[str] = set()
        if resume:
            for row in results.resume({row.ref for row in rows}):
                done.add(row.ref)
                verdicts[row.verdict] += 1
        else:
            results.begin()
        task = progress.add_task("deciding", total=len(rows), completed=len(done))

        def note(row: ManifestRow, result: Result) -> None:
            results.append(result_row(row, result))
            verdicts[result.decision.verdict.value] += 1
            progress.advance(task)

        async with Checkpoint.open(settings) as checkpoint:
            await checkpoint.refresh_if_stale()
            await checkpoint.batch(
                [row for row in rows if row.ref not in done],
                on_result=note,
                timeout_seconds=timeout,
            )
    return verdicts


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )
