"""``hutong catalogue …``: exchange lists of who is not green, and counts.

Results go to stdout, everything else to stderr; every command takes ``--json``. Exit
codes: 0 done; 1 done, and the answer is no (a row was refused, the file does not hold,
nobody of that name is listed); 2 could not run; 64 the command line is wrong.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.catalogue_view import print_file, print_listing, print_made, print_taken
from gateway.cli.gate_output import guarded, run_command
from gateway.cli.terminal import Exit, fail, print_json
from gateway.codes import parse_division, region_urn
from gateway.errors import TrustError

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

City = Annotated[Path, typer.Argument(help="Folder of the city, with adapter.toml.")]
File = Annotated[Path, typer.Argument(help="The catalogue.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Audience = Annotated[str, typer.Option("--audience", help="Division it is for, e.g. 320000.")]
Correction = Annotated[
    str, typer.Option(help="Where a person asks you to correct a record: a phone, an address.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger", help="What was made before; default: state/catalogues.json there."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="checkpoint.toml, for its region and its trust."),
]
Anchor = Annotated[Path | None, typer.Option(help="Trust anchor, instead of --config.")]
Replica = Annotated[Path | None, typer.Option(help="Replica of the feed, with --anchor.")]
Region = Annotated[str | None, typer.Option(help="Division that reads, with --anchor.")]
Store = Annotated[
    str | None,
    typer.Option("--store", "-s", help="File or DSN of the store; default: catalogue_file."),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", "-r", help="Outcome of each row: .csv or .jsonl.")
]
MaxAge = Annotated[int, typer.Option("--max-age-hours", min=1, help="Oldest file to accept.")]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Everybody is green; it is known to be so.")
]

_MAX_AGE_HOURS = 48


@app.command()
def export(
    city: City,
    audience: Audience,
    correction: Correction,
    out: Out,
    ledger: LedgerFile = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="Seal each document to the audience as well.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Do not go on where an earlier run stopped.")
    ] = False,
    allow_empty: AllowEmpty = False,
    as_json: AsJson = False,
) -> None:
    r"""Write everybody of a city who is not green, pseudonymous, for one region.

    A pseudonym is the one that an attestation of this city for that region carries. A run
    that was stopped goes on where it was when it is run again on the same day.

    Examples:
      hutong catalogue export hangzhou --audience 320000 --correction "杭州 12345" \
      --out hangzhou-320000.catalogue
      hutong catalogue export hangzhou --audience 320000 --correction "杭州 12345" \
      --out hangzhou-320000.catalogue --identified
    """
    from gateway.catalogue.exporting import export_records
    from gateway.cli.catalogue_make import prepare
    from gateway.cli.catalogue_trust import progress

    async def work() -> None:
        made = prepare(
            city, _urn(audience), correction, out=out, ledger=ledger, identified=identified
        )
        try:
            with progress("export") as on_rows:
                signed = await export_records(
                    made.source,
                    made.order,
                    clock=_now,
                    is_resumed=not anew,
                    allow_empty=allow_empty,
                    on_rows=on_rows,
                )
        finally:
            await made.source.close()
        print_made(signed, out, as_json=as_json)

    run_command(work(), as_json=as_json)


@app.command()
def counts(
    city: City,
    correction: Correction,
    out: Out,
    audience: Audience = "100000",
    threshold: Annotated[int, typer.Option(min=2, help="Smaller numbers are not stated.")] = 10,
    ledger: LedgerFile = None,
    as_json: AsJson = False,
) -> None:
    r"""Write how many people have which level or outcome, and nobody among them.

    Example:
      hutong catalogue counts hangzhou --correction "杭州 12345" --out hangzhou.counts
    """
    from gateway.catalogue.exporting import export_counts
    from gateway.cli.catalogue_make import prepare
    from gateway.cli.catalogue_trust import progress

    async def work() -> None:
        made = prepare(city, _urn(audience), correction, out=out, ledger=ledger)
        try:
            with progress("count") as on_rows:
                signed = await export_counts(
                    made.source, made.order, clock=_now, threshold=threshold, on_rows=on_rows
                )
        finally:
            await made.source.close()
        print_made(signed, out, as_json=as_json)

    run_command(work(), as_json=as_json)


@app.command("import")
def import_(
    file: File,
    config: Config = None,
    anchor: Anchor = None,
    replica: Replica = None,
    region: Region = None,
    store: Store = None,
    report: ReportFile = None,
    allow_gap: Annotated[
        bool, typer.Option("--allow-gap", help="Files in between are known to be lost.")
    ] = False,
    allow_empty: AllowEmpty = False,
    max_age_hours: MaxAge = _MAX_AGE_HOURS,
    as_json: AsJson = False,
) -> None:
    r"""Take a catalogue: all of it or nothing, with an outcome for each row.

    Exit code 1 when a row was refused; the others are taken all the same.

    Examples:
      hutong catalogue import hangzhou-440100.catalogue --report rows.csv
      hutong catalogue import hangzhou-440100.catalogue --store catalogues.db \
      --anchor anchor.json --replica state/feed.replica --region 440100
    """
    from gateway.catalogue.importing import import_file
    from gateway.catalogue.judging import Taken
    from gateway.catalogue.report import Report
    from gateway.catalogue.store import CatalogueStore
    from gateway.cli.catalogue_trust import Given, progress

    given = Given(config, anchor, replica, region, store)

    async def work() -> Taken:
        reader = given.reader(
            max_age_hours=max_age_hours, allow_gap=allow_gap, allow_empty=allow_empty
        )
        async with await CatalogueStore.open(given.dsn()) as opened:
            with Report(report) as written, progress("import") as on_rows:
                return await import_file(file, opened, reader, written, on_rows=on_rows)

    taken = run_command(work(), as_json=as_json)
    print_file(taken, as_json=as_json)
    if not taken.is_clean:
        raise typer.Exit(Exit.NEGATIVE)


@app.command()
def verify(
    file: File,
    config: Config = None,
    anchor: Anchor = None,
    replica: Replica = None,
    region: Region = None,
    report: ReportFile = None,
    max_age_hours: MaxAge = _MAX_AGE_HOURS,
    as_json: AsJson = False,
) -> None:
    """Check a catalogue and each of its rows, and take nothing.

    Exit code 1 when the file does not hold or a row would be refused.

    Example:
      hutong catalogue verify hangzhou-440100.catalogue
    """
    from gateway.catalogue.judging import judge_file
    from gateway.catalogue.report import Report
    from gateway.cli.catalogue_trust import Given, progress

    async def work() -> None:
        given = Given(config, anchor, replica, region, None)
        reader = given.reader(max_age_hours=max_age_hours, allow_gap=True)
        try:
            with Report(report) as written, progress("verify") as on_rows:
                looked_at = judge_file(file, reader, written, on_rows=on_rows)
        except TrustError as error:
            if as_json:
                print_json({"error": {"code": error.code, "message": str(error)}})
            fail(f"{error} [{error.code}]", fix=error.fix, code=Exit.NEGATIVE)
        print_file(looked_at, as_json=as_json, is_look=True)
        if not looked_at.is_clean:
            raise typer.Exit(Exit.NEGATIVE)

    run_command(work(), as_json=as_json)


@app.command()
def show(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Show which catalogues were taken, and how many listings are open.

    Examples:
      hutong catalogue show
      hutong catalogue show --store catalogues.db --json
    """
    from gateway.catalogue.store import CatalogueStore
    from gateway.cli.catalogue_trust import Given

    async def work() -> None:
        given = Given(config, None, None, None, store)
        async with await CatalogueStore.open(given.dsn()) as opened:
            taken = await opened.taken()
            newest = {(one.issuer, one.audience) for one in taken if one.kind == "counts"}
            numbers = {pair: await opened.counted(*pair) for pair in sorted(newest)}
        print_taken(taken, numbers, as_json=as_json)

    run_command(work(), as_json=as_json)


@app.command()
def lookup(
    sub: Annotated[str, typer.Argument(help="`sub` of an attestation; `-` reads it from stdin.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Division that issued it: 330100.")],
    config: Config = None,
    store: Store = None,
    reveal: Annotated[
        Path | None,
        typer.Option(help="Your encryption key: show the document of an identified row too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look up one pseudonym: what its issuer says, since when, and who corrects it.

    Exit code 1 when the issuer does not list it, which makes nobody green.

    Examples:
      hutong catalogue lookup --issuer 330100 qZ3V…
      hutong catalogue lookup --issuer 330100 qZ3V… --reveal keys/seal.json
    """
    from gateway.catalogue.listing import Listing
    from gateway.catalogue.store import CatalogueStore
    from gateway.cli.catalogue_make import reveal_document
    from gateway.cli.catalogue_trust import Given

    wanted = sys.stdin.readline().strip() if sub == "-" else sub

    async def work() -> tuple[Listing | None, int]:
        given = Given(config, None, None, None, store)
        urn = _urn(issuer)
        async with await CatalogueStore.open(given.dsn()) as opened:
            return await opened.listed(urn, wanted), await opened.past(urn, wanted)

    listing, past = run_command(work(), as_json=as_json)
    document = None
    if listing is not None and reveal is not None:
        key = reveal
        document = guarded(lambda: reveal_document(listing, key), as_json=as_json)
    print_listing(listing, past, document, as_json=as_json)
    if listing is None:
        raise typer.Exit(Exit.NEGATIVE)


def _now() -> datetime:
    return datetime.now(UTC)


def _urn(division: str) -> str:
    return region_urn(parse_division(division))
