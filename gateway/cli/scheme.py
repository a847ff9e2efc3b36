"""``hutong scheme …``: what an engineer in a small city works with.

Every command takes a folder that holds ``scheme.yaml`` and ``vectors.yaml``, or the
name of a scheme that ships with this project (:mod:`gateway.cli.scheme_files`). No
command asks a platform or a hub for anything. Exit codes: 0 done, 1 the answer is no,
2 it could not run, 64 the command line is wrong.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.scheme_actions import (
    parse_moment,
    reference_secrets,
    run_one,
    show_city,
    versions_at,
)
from gateway.cli.scheme_files import find_folder, load_city, shipped_folders
from gateway.cli.terminal import Exit, console, fail, fail_with, print_json
from gateway.errors import HutongError

if TYPE_CHECKING:
    from gateway.cli.scheme_files import City

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

Named = Annotated[
    str,
    typer.Argument(metavar="CITY|FOLDER", help="A name of `hutong scheme list`, or a folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
All = Annotated[bool, typer.Option("--all", help="Every scheme that ships with this project.")]
At = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="2020-03-24 (00:00 in the scheme's zone), or a time with offset."
    ),
]

_MAX_REPLY_BYTES: Final = 256 * 1024
"""As much as an adapter reads of a platform's answer by default."""
_MAX_SECRET_BYTES: Final = 64 * 1024
_STDIN: Final = "-"


@app.command("list")
def list_schemes(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of schemes, or of one; default: those that ship."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List schemes: family, authority, what is in force, how much was written for it.

    Examples:
      hutong scheme list
      hutong scheme list ./our-cities --json
    """
    from gateway.cli.scheme_list import list_json, print_list, read_all

    cities, refused = read_all(_folders(folder))
    now = datetime.now(UTC)
    if as_json:
        print_json(list_json(cities, refused, now))
    else:
        print_list(cities, refused, now)
    if refused:
        raise typer.Exit(Exit.NEGATIVE)


@app.command()
def show(city: Named, at: At = None, as_json: AsJson = False) -> None:
    """Show a scheme as the officer of another city reads it.

    Each state with its national level, what it means, the way back to
    green; clocks, QR texts, what is lost, what was chosen, the sources.

    Examples:
      hutong scheme show hangzhou
      hutong scheme show ./shaoxing --at 2020-03-24
    """
    show_city(load_city(city), at, as_json=as_json)


@app.command()
def lint(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOLDER|CITY]…", help="One or more; left out: this folder."),
    ] = None,
    every: All = False,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is a no as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with a scheme, with file, line and fix.

    An error keeps it from loading. A warning does not, but whoever relies
    on the scheme would ask about it. Exit code 1 when there is an error.

    Examples:
      hutong scheme lint ./shaoxing
      hutong scheme lint --all --strict
    """
    from gateway.cli.scheme_lint_view import lint_folders

    wanted = _wanted(folders, every=every)
    if not lint_folders(wanted, strict=strict, as_json=as_json):
        raise typer.Exit(Exit.NEGATIVE)


@app.command("test")
def run_tests(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CITY|FOLDER]…", help="One or more; left out: this folder."),
    ] = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """Run the vectors: a record at a moment, and what must come of it.

    Exit code 1 when one comes out otherwise, 2 when a scheme does not
    load.

    Examples:
      hutong scheme test ./shaoxing
      hutong scheme test --all
    """
    from gateway.cli.scheme_runs import exit_of, print_runs, run_folders

    wanted = _wanted(folders, every=every)
    if len(wanted) == 1:
        run_one(wanted[0], as_json=as_json)
        return
    try:
        runs = run_folders(wanted)
    except HutongError as error:
        fail_with(error)
    if as_json:
        print_json([run.to_json() for run in runs])
    else:
        print_runs(runs)
    if exit_of(runs) is not Exit.OK:
        raise typer.Exit(exit_of(runs))


@app.command()
def explain(
    city: Named,
    raw: Annotated[
        str, typer.Argument(metavar="RAW", help="File with the body of a reply; `-`: stdin.")
    ],
    at: At = None,
    document: Annotated[
        int | None,
        typer.Option("--document", metavar="TYPE", help="It was asked with a document: 10, 20 …"),
    ] = None,
    qr: Annotated[bool, typer.Option("--qr", help="It was asked with a QR text.")] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A secret that the body is sealed with."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain what becomes of a platform's reply, step by step, without a network.

    Which member became what, which rule fired and on which line, which
    clocks hold, what the answer is and why. Nothing personal is printed: of
    the reply only words of the scheme, moments, divisions and counts;
    everything else by its shape. Exit code 1 when it cannot be read.

    Examples:
      hutong scheme explain guangzhou reply.json --at 2020-04-01T08:00:00+08:00
      curl … | hutong scheme explain ./shaoxing - --qr
    """
    from gateway.cli.scheme_explain import print_explained
    from gateway.cli.scheme_reply import explain_reply
    from gateway.codes.levels import Outcome

    if qr and document is not None:
        raise typer.BadParameter("give either --document or --qr")
    found = load_city(city)
    try:
        explained = explain_reply(
            found,
            _reply(raw),
            datetime.now(UTC) if at is None else parse_moment(at, found.scheme.timezone),
            asked="qr_text" if qr else "document" if document is not None else None,
            document_type=document,
            secrets={**reference_secrets(found), **dict(map(_secret, secret or ()))},
        )
    except HutongError as error:
        fail_with(error)
    if as_json:
        print_json(explained.to_json())
    else:
        print_explained(found, explained)
    if explained.result == Outcome.SOURCE_UNPARSABLE:
        raise typer.Exit(Exit.NEGATIVE)


@app.command()
def diff(
    city: Named,
    first: Annotated[
        str | None, typer.Argument(metavar="V1", help="Version; left out: the last but one.")
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="V2", help="Version; left out: the last.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions, in both languages.

    States added, removed and changed, clocks, QR texts, rules, what is
    lost, choices.

    Examples:
      hutong scheme diff guangzhou v1 v2
      hutong scheme diff beijing
    """
    from gateway.cli.scheme_diff import compare, pick_versions, print_changes

    found = load_city(city)
    old, new = pick_versions(found, first, second)
    changes = compare(found, old, new)
    if as_json:
        print_json(
            {"from": old.id, "to": new.id, "changes": [change.to_json() for change in changes]}
        )
    else:
        print_changes(found, old, new, changes)


@app.command()
def loss(
    city: Annotated[
        str | None, typer.Argument(metavar="CITY|FOLDER", help="A name, or a folder.")
    ] = None,
    every: All = False,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Report what a translation loses.

    What the scheme says so itself; states that become one level; words
    that no answer carries; how good the evidence is.

    Examples:
      hutong scheme loss beijing
      hutong scheme loss --all
    """
    from gateway.cli.scheme_loss import lost_in, print_all_lost, print_lost

    if (city is not None) == every:
        raise typer.BadParameter("give either a city or --all")
    cities = [load_city(city)] if city is not None else _shipped()
    found = [
        (one, version, lost_in(one, version)) for one in cities for version in versions_at(one, at)
    ]
    if as_json:
        print_json([{"city": one.name, **lost.to_json()} for one, _, lost in found])
    elif every:
        print_all_lost(found)
    else:
        print_lost(cities[0], [(version, lost) for _, version, lost in found])


@app.command()
def table(
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it; default: print it.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave with 1 when FILE is stale.")
    ] = None,
) -> None:
    """Make the table of all shipped schemes for the documentation.

    Examples:
      hutong scheme table --write docs/reference/schemes.md
      hutong scheme table --check docs/reference/schemes.md
    """
    from gateway.cli.scheme_table import make_table, table_is_current

    if write is not None and check is not None:
        raise typer.BadParameter("give either --write or --check")
    text = make_table(_shipped())
    if check is not None:
        if not table_is_current(check, text):
            fail(
                f"{check} is not what the schemes say",
                fix=f"hutong scheme table --write {check}",
                code=Exit.NEGATIVE,
            )
        console.print(f"{check} is what the schemes say")
    elif write is not None:
        try:
            write.parent.mkdir(parents=True, exist_ok=True)
            write.write_text(text, "utf-8")
        except OSError:
            fail(f"{write} cannot be written")
        console.print(f"{write} written")
    else:
        typer.echo(text, nl=False)


def _folders(folder: Path | None) -> list[Path]:
    """The folders to list: the shipped ones, one scheme, or those inside a folder."""
    from adapters.sdk.city import SCHEME_FILE

    if folder is None:
        return shipped_folders()
    if (folder / SCHEME_FILE).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{SCHEME_FILE}"))
    if not found:
        fail(
            f"{folder} holds no scheme",
            fix="name a folder that holds scheme.yaml, or folders that do",
        )
    return found


def _wanted(words: list[str] | None, *, every: bool) -> list[Path]:
    if every:
        if words:
            raise typer.BadParameter("give either folders or --all")
        return shipped_folders()
    return [find_folder(word) for word in words or ["."]]


def _shipped() -> list[City]:
    from gateway.cli.scheme_files import load_folder

    return [load_folder(folder) for folder in shipped_folders()]


def _reply(raw: str) -> bytes:
    if raw == _STDIN:
        body = sys.stdin.buffer.read(_MAX_REPLY_BYTES + 1)
    else:
        body = _read(Path(raw), _MAX_REPLY_BYTES)
    if len(body) > _MAX_REPLY_BYTES:
        fail(f"the reply exceeds {_MAX_REPLY_BYTES} bytes, which an adapter refuses")
    return body


def _secret(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise typer.BadParameter("write a secret as NAME=FILE")
    return name, _read(Path(path), _MAX_SECRET_BYTES).decode("utf-8", "replace").strip()


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError:
        fail(f"{path} cannot be read", fix="name a file, or `-` for standard input")
