"""``hutong platform turn``: somebody of a reference city turns, before your eyes.

The person is named by a story (``hutong platform people CITY`` lists them) or by a
document number, which comes from a file, standard input or a hidden prompt as in every
other command: the command line ends up in the shell's history and in the process list.
All of them are synthetic; the habit is not.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from adapters.platforms import platform
from gateway.cli.platform_door import (
    LOCAL_TOKEN,
    AdminOption,
    CityOption,
    TokenOption,
    call,
    check_city,
)
from gateway.cli.terminal import Exit, console, fail, print_json
from gateway.errors import HutongError
from gateway.wire.files import read_bounded

_STDIN: Final = "-"
_MAX_BYTES: Final = 256
"""A document number is typed."""


def turn(
    city: CityOption,
    person: Annotated[
        str | None,
        typer.Argument(metavar="STORY", help="Story of the person: hutong platform people CITY."),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--to", metavar="STATE", help="State, in the city's own word.")
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="Back to the state that the person began with.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Reason that the record states.")] = "",
    document_file: Annotated[
        str | None,
        typer.Option(
            "--document-file", help="File with a document number; `-` reads standard input."
        ),
    ] = None,
    document: Annotated[
        bool,
        typer.Option("--document", help="Ask for a document number at a hidden prompt."),
    ] = False,
    admin_url: AdminOption = "",
    admin_token: TokenOption = LOCAL_TOKEN,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Turn somebody of a running platform, as a tracing office would.

    From then on the platform says so and its change feed tells whoever follows it, so
    that what was issued to be carried is revoked. Printed is how many were turned.

    Example: hutong platform turn green --to 红码 --city guangzhou

    Example: hutong platform turn green --back --city guangzhou

    Example: hutong platform turn --document-file - --to 红码 --city guangzhou < number.txt
    """
    check_city(city)
    if (state is None) is not back:
        raise typer.BadParameter("give either --to STATE or --back")
    body = {
        "person": _person(city, person, document_file, document),
        "state": state,
        "reason": reason,
    }
    words = _states(city)
    done = call(
        "POST",
        "/admin/people",
        city,
        admin_url,
        admin_token,
        body,
        fix=f"people: hutong platform people {city}; states now: {', '.join(words)}",
    )
    if as_json:
        print_json({"city": city, "state": state, **done})
        return
    said = "as at first" if state is None else state
    console.print(f"{city}: {done['turned']} turned, now {said}", highlight=False)


def _person(city: str, story: str | None, document_file: str | None, document: bool) -> str:
    """Who is meant, from exactly one of the ways to say it."""
    if sum([story is not None, document_file is not None, document]) != 1:
        raise typer.BadParameter("give exactly one of STORY, --document-file and --document")
    if document:
        return str(typer.prompt("document number", hide_input=True, err=True)).strip()
    if document_file == _STDIN:
        return sys.stdin.read(_MAX_BYTES).strip()
    if document_file is not None:
        try:
            data = read_bounded(Path(document_file), _MAX_BYTES, "document file")
            return data.decode("ascii").strip()
        except (HutongError, UnicodeDecodeError):
            fail("the document file cannot be read", code=Exit.COULD_NOT_RUN)
    name = (story or "").removeprefix(f"{city}/")
    if name not in platform(city).scenarios():
        fail(
            "nobody there has such a story",
            fix=f"hutong platform people {city}; a document number comes by --document-file",
            code=Exit.USAGE,
        )
    return name


def _states(city: str) -> list[str]:
    table = platform(city).table
    return [state.word for state in table.version_at(datetime.now(UTC)).states]
