"""What feeders and reviewers do: areas, contacts, corrections, traces."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.issuer_door import (
    HERE,
    RESIDENT,
    AsJson,
    Directory,
    DocumentFile,
    DocumentType,
    Profile,
    as_client,
    read_input,
    the_document,
)
from gateway.cli.terminal import Exit, console, print_json, stderr

if TYPE_CHECKING:
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_rows import Row
    from gateway.issuer.calling import IssuerClient

app = typer.Typer(no_args_is_help=True)
areas = typer.Typer(no_args_is_help=True)
corrections = typer.Typer(no_args_is_help=True)
app.add_typer(areas, name="areas", help="Areas of risk.")
app.add_typer(corrections, name="corrections", help="Corrections that people opened.")

BATCH: Final = 1000
"""``ReportContactsRequest.contacts``."""
_STATUSES: Final = ("open", "upheld", "rejected")
_PAGE: Final = 500
_UNREADABLE: Final = "UNREADABLE"


@areas.command("publish")
def publish_areas(
    file: Annotated[str, typer.Argument(help="CSV or JSON: division, risk; `-` reads stdin.")],
    source: Annotated[str, typer.Option(help="Where the list comes from, for the trace.")],
    valid_from: Annotated[
        str, typer.Option("--from", help="From when, 2020-03-01T00:00+08:00; `now`.")
    ] = "now",
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Replace the list of areas; what is not in it is of low risk.

    All rows are taken or none. Exit code 1 where a row cannot be read.

    Example:
      hutong issuer desk areas publish areas.csv --source "NHC 2020-03-01"
    """
    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_rows import read_area, read_rows
    from gateway.issuer.calling import LONG_SECONDS

    rows = read_rows(read_input(file), file, read_area)
    bad = [row for row in rows if row.message is None]
    if bad:
        _show_rows(bad, [_UNREADABLE] * len(bad), {}, as_json=as_json)
        stderr.print("nothing was published")
        raise typer.Exit(Exit.NEGATIVE)
    stamp = Timestamp()
    stamp.FromDatetime(_moment(valid_from))
    request = pb.PublishAreasRequest(
        areas=[row.message for row in rows],  # type: ignore[misc]  # those without stand in bad
        valid_from=stamp,
        source=source,
    )

    async def ask(client: IssuerClient) -> pb.PublishAreasResponse:
        answer: pb.PublishAreasResponse = await client.call(
            client.desk.PublishAreas, request, seconds=LONG_SECONDS
        )
        return answer

    found = as_client(directory, profile, "feeder", ask)
    told = {
        "revision": found.revision,
        "areas": len(rows),
        "assessed": found.assessed,
        "changed": found.changed,
    }
    if as_json:
        print_json(told)
        return
    console.print(
        f"list {found.revision}: {len(rows)} areas; {found.assessed} people assessed, "
        f"{found.changed} have another level"
    )


@app.command()
def contacts(
    file: Annotated[
        str,
        typer.Argument(
            help="CSV or JSON: type, number, kind, at, division, reference; `-` reads stdin."
        ),
    ],
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Report contacts of confirmed cases, each row with its own outcome.

    Exit code 1 where a row was refused or cannot be read.

    Example:
      hutong issuer desk contacts contacts.csv
    """
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_rows import read_contact, read_rows
    from gateway.issuer.calling import LONG_SECONDS

    rows = read_rows(read_input(file), file, read_contact)
    outcomes = [_UNREADABLE] * len(rows)
    sound = [place for place, row in enumerate(rows) if row.message is not None]

    async def ask(client: IssuerClient) -> int:
        changed = 0
        for begin in range(0, len(sound), BATCH):
            part = sound[begin : begin + BATCH]
            request = pb.ReportContactsRequest(
                contacts=[rows[place].message for place in part]  # type: ignore[misc]  # sound
            )
            answer: pb.ReportContactsResponse = await client.call(
                client.desk.ReportContacts, request, seconds=LONG_SECONDS
            )
            changed += answer.changed
            for place, outcome in zip(part, answer.outcomes, strict=True):
                name = pb.ContactOutcome.Name(outcome)
                outcomes[place] = name.removeprefix("CONTACT_OUTCOME_")
        return changed

    changed = as_client(directory, profile, "feeder", ask)
    _show_rows(rows, outcomes, {"changed": changed}, as_json=as_json)
    if {_UNREADABLE, "REFUSED"} & set(outcomes):
        raise typer.Exit(Exit.NEGATIVE)


@corrections.command("list")
def list_corrections(
    status: Annotated[
        str, typer.Option(help=f"Only these: {', '.join(_STATUSES)}; `all`.")
    ] = "open",
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """List corrections, the oldest first.

    Example:
      hutong issuer desk corrections list --status all
    """
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_view import print_cases, to_json

    if status not in (*_STATUSES, "all"):
        raise typer.BadParameter(f"--status is one of {', '.join(_STATUSES)}, all")
    number = _status("unspecified" if status == "all" else status)

    async def ask(client: IssuerClient) -> list[pb.CorrectionCase]:
        found: list[pb.CorrectionCase] = []
        token = ""
        while True:
            page: pb.ListCorrectionsResponse = await client.call(
                client.desk.ListCorrections,
                pb.ListCorrectionsRequest(status=number, page_size=_PAGE, page_token=token),
            )
            found.extend(page.cases)
            token = page.next_page_token
            if not token:
                return found

    cases = as_client(directory, profile, "reviewer", ask)
    if as_json:
        print_json([to_json(case) for case in cases])
    elif cases:
        print_cases(cases)
    else:
        stderr.print("No corrections.")


@corrections.command("answer")
def answer_correction(
    correction: Annotated[str, typer.Argument(help="Its identifier, k-12.")],
    why: Annotated[str, typer.Option(help="Why, for the holder.")],
    uphold: Annotated[bool, typer.Option("--uphold", help="What was said is right.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="What is held stands.")] = False,
    withdraw: Annotated[
        list[str] | None,
        typer.Option(help="Fact to withdraw, as `desk trace` names it; may be repeated."),
    ] = None,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Uphold or reject a correction; the person is assessed again at once.

    Examples:
      hutong issuer desk corrections answer k-12 --uphold --withdraw c-7 --why "another person"
      hutong issuer desk corrections answer k-12 --reject --why "confirmed by telephone"
    """
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_view import print_correction, print_state, to_json

    if uphold == reject:
        raise typer.BadParameter("give exactly one of --uphold and --reject")
    request = pb.AnswerCorrectionRequest(
        id=correction,
        status=_status("upheld" if uphold else "rejected"),
        answer=why,
        withdrawn=withdraw or [],
    )

    async def ask(client: IssuerClient) -> pb.AnswerCorrectionResponse:
        answer: pb.AnswerCorrectionResponse = await client.call(
            client.desk.AnswerCorrection, request
        )
        return answer

    found = as_client(directory, profile, "reviewer", ask)
    if as_json:
        print_json(to_json(found))
        return
    print_correction(found.correction)
    if found.HasField("state"):
        print_state(found.state)


@app.command()
def trace(
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Read everything that ever set a person's level: what, when, by whom and why.

    Example:
      hutong issuer desk trace --document-file number.txt
    """
    from hutong.v1 import issuer_desk_service_pb2 as pb

    from gateway.cli.issuer_view import print_trace, to_json

    request = pb.ReadTraceRequest(document=the_document(document_file, document_type))

    async def ask(client: IssuerClient) -> pb.ReadTraceResponse:
        answer: pb.ReadTraceResponse = await client.call(client.desk.ReadTrace, request)
        return answer

    found = as_client(directory, profile, "reviewer", ask)
    if as_json:
        print_json(to_json(found))
    else:
        print_trace(list(found.entries))


def _show_rows(
    rows: list[Row], outcomes: list[str], told: dict[str, Any], *, as_json: bool
) -> None:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome] = counts.get(outcome, 0) + 1
    if as_json:
        listed = [
            {"row": row.line, "outcome": outcome} | ({"fault": row.fault} if row.fault else {})
            for row, outcome in zip(rows, outcomes, strict=True)
        ]
        print_json({"rows": listed, "counts": counts, **told})
        return
    table = Table("row", "outcome", "why")
    colours = {"TAKEN": "green", "KNOWN": "cyan", "KEPT": "yellow"}
    for row, outcome in zip(rows, outcomes, strict=True):
        word = Text(outcome.lower(), style=colours.get(outcome, "red"))
        table.add_row(str(row.line), word, Text(row.fault))
    console.print(table)
    summed = [f"{count} {outcome.lower()}" for outcome, count in sorted(counts.items())]
    summed += [f"{value} {name}" for name, value in told.items()]
    console.print(", ".join(summed))


def _status(word: str) -> Any:
    from hutong.v1 import issuer_service_pb2

    return issuer_service_pb2.CorrectionStatus.Value(f"CORRECTION_STATUS_{word.upper()}")


def _moment(text: str) -> datetime:
    if text == "now":
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("--from is `now` or a time as 2020-03-01T00:00+08:00") from None
    if moment.tzinfo is None:
        raise typer.BadParameter("--from needs a zone, such as +08:00")
    return moment
