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
from gateway.cli.terminal import Exit, console, fail, print_json, stderr
from gateway.cli.verdict import render
from gateway.edge import Checkpoint, ManifestError, create_keys, load_keys, parse_manifest
from gateway.edge.checkpoint import open_hub_channel, utc_now
from gateway.edge.enrolment import (
    checkpoint_identity,
    load_enrolment,
    save_enrolment,
)
from gateway.edge.files import read_bounded
from gateway.edge.manifest import MAX_MANIFEST_BYTES
from gateway.edge.results import ResultsFile, result_row
from gateway.edge.settings import default_settings_path
from gateway.trust import parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.wire.enrolment import Enrolled, await_decision, check_hub, enrolment_state
from gateway.wire.enrolment import enrol as hand_in

if TYPE_CHECKING:
    from gateway.edge import CheckpointSettings, Result
    from gateway.edge.checkpoint import Fetched
    from gateway.edge.manifest import ManifestRow

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

# --- joining ------------------------------------------------------------------------


@app.command()
def init(
    urn: Annotated[str, typer.Option(help="Its name: urn:hutong:checkpoint:440100:north-gate.")],
    hub: Annotated[str, typer.Option(help="gRPC target of the hub, host:port.")],
    http: Annotated[str, typer.Option(help="The hub's HTTP door, https://host:port.")],
    anchor: Annotated[Path, typer.Option(help="Trust anchor file, obtained from the operator.")],
    ca: Annotated[
        Path | None, typer.Option(help="PEM under which the hub's TLS is checked.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name shown to the hub's operators.")] = "",
    config: Config = None,
) -> None:
    """Write checkpoint.toml and draw the checkpoint's keys.

    Example:
      hutong checkpoint init --urn urn:hutong:checkpoint:440100:north-gate
      --hub hub.example:7443 --http https://hub.example:7480 --anchor anchor.json
    """
    path = config or default_settings_path()
    if path.exists():
        fail(f"{path} exists already", fix="name another file with --config")
    region = urn.split(":")[3] if urn.count(":") == 4 else ""  # noqa: PLR2004 - parts of the URN
    members = {
        "urn": urn,
        "region": region,
        "hub": hub,
        "http": http,
        "trust_anchor": str(anchor.resolve()),
        "key_file": "checkpoint-key.json",
        "state_dir": "state",
        "display_name": name,
    }
    if ca is not None:
        members["ca_file"] = str(ca.resolve())
    text = "".join(f"{member} = {_toml_text(value)}\n" for member, value in members.items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        fail(f"{path} cannot be written", fix="name another file with --config")
    try:
        settings = settings_of(path)
        create_keys(settings.key_file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    console.print(f"wrote {path} and {settings.key_file}", soft_wrap=True)
    console.print("next: hutong checkpoint enrol", soft_wrap=True)


@app.command()
def enrol(
    config: Config = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operator's approval.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask the hub to admit this checkpoint; once handed in, say how far it is.

    Exit code 1 while the checkpoint is not active.

    Example:
      hutong checkpoint enrol --wait
    """
    configure(verbose)
    settings = settings_of(config)
    status = run_command(_enrol(settings, wait=wait))
    if as_json:
        print_json({"enrolment_id": status.enrolment_id, "state": status.state})
    else:
        console.print(f"{settings.urn}: {status.state}", soft_wrap=True)
        if status.state != "ACTIVE":
            stderr.print(
                "The hub's operator decides: [bold]hutong hub approve "
                f"{settings.urn}[/bold] (keys: {', '.join(_key_ids(settings))})",
                soft_wrap=True,
            )
    if status.state != "ACTIVE":
        raise typer.Exit(Exit.NEGATIVE)


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
app.command()(disclose)


# --- work ---------------------------------------------------------------------------


def _rows(manifest: Path) -> tuple[ManifestRow, ...]:
    try:
        return parse_manifest(read_bounded(manifest, MAX_MANIFEST_BYTES, "manifest"))
    except ManifestError as error:
        raise ManifestError(f"{manifest.name}: {error}", code=error.code) from None


async def _enrol(settings: CheckpointSettings, *, wait: bool) -> Enrolled:
    if settings.purpose == "PLATFORM":
        fail(
            "a region enrols with its adapter, and its platform asks under the same name",
            fix="hutong adapter enrol",
        )
    anchor = parse_anchor(read_bounded(settings.trust_anchor, MAX_ANCHOR_BYTES, "trust anchor"))
    if not settings.key_file.exists():
        create_keys(settings.key_file)
    keys = load_keys(settings.key_file)
    async with open_hub_channel(settings) as channel:
        known = load_enrolment(settings.enrolment_file)
        if known is None:
            await check_hub(channel, anchor)
            now = utc_now()
            identity = checkpoint_identity(settings, keys, now=now)
            status = await hand_in(channel, identity, hub_urn=anchor.hub, now=now)
            save_enrolment(settings.enrolment_file, status.enrolment_id)
        else:
            status = Enrolled(known, await enrolment_state(channel, known))
        if wait:
            state = await await_decision(channel, status.enrolment_id)
            status = Enrolled(status.enrolment_id, state)
    return status


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


def _key_ids(settings: CheckpointSettings) -> tuple[str, ...]:
    keys = load_keys(settings.key_file)
    return keys.state.key_id, keys.authenticate.key_id


def _toml_text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
