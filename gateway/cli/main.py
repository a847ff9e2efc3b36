"""Root of the command line: finds the group that is asked for, and nothing else.

Groups stand in ``_GROUPS`` with the line that ``hutong --help`` shows, so help
costs no import. Usage errors leave with 64, as ``sysexits.h`` says.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.terminal import Exit, console, describe, stderr
from gateway.errors import HutongError

_GROUPS = {
    "demo": "Run the whole federation on this machine and show every way of recognition.",
    "hub": "Run and operate a hub: initialise, run, approve, suspend, list.",
    "adapter": "Connect a city: scaffold, check, enrol and serve an adapter.",
    "region": "Be a member: enrol in one command, see how the keys stand, rotate, take back.",
    "scheme": "Read, check, try and compare the codes of cities: show, lint, test, explain.",
    "checkpoint": "Ask, verify and decide at a checkpoint, online and offline.",
    "issuer": "Run the national code for regions without one, and work at its windows.",
    "catalogue": "Exchange lists of who is not green, and counts, between regions.",
    "platform": "Run a reference city platform with synthetic people and faults.",
}

# The option parser leaves with 2 for a wrong command line, which here means that
# a command could not run; its own class is the one place to say otherwise.
typer.BadParameter.__bases__[0].exit_code = Exit.USAGE  # type: ignore[attr-defined]  # a class of the option parser


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        console.print(f"hutong {version('hutong')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Hutong (互通): verify another region's health code, decide by your own rules.

    Start with `hutong demo`. Every command has `--help` with examples.
    """


def build(asked: str | None) -> typer.Typer:
    """Assemble the application with the one group that is asked for.

    Args:
        asked: first word of the command line; None: help of all.
    """
    app = typer.Typer(
        name="hutong",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        callback=_root,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, text in _GROUPS.items():
        if name == asked:
            group = importlib.import_module(f"gateway.cli.{name}").app
        else:
            group = typer.Typer(no_args_is_help=True)
            group.callback()(lambda: None)
        app.add_typer(group, name=name, help=text)
    return app


def main() -> None:
    """Entry point of the ``hutong`` command."""
    # The C core of gRPC writes to stderr what the errors below say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        " ".join(sys.argv[1:]).encode("utf-8")
    except UnicodeEncodeError:
        # It could be neither printed, nor sent, nor written to a file of settings.
        stderr.print("[bold red]error:[/] an argument is not UTF-8", markup=True, soft_wrap=True)
        sys.exit(Exit.USAGE)
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    try:
        build(words[0] if words else None)(standalone_mode=True)
    except HutongError as error:
        stderr.print(Text.assemble(("error: ", "bold red"), describe(error)), soft_wrap=True)
        sys.exit(Exit.COULD_NOT_RUN)
    except KeyboardInterrupt:
        sys.exit(128 + 2)
    except Exception as error:  # noqa: BLE001  outermost: no text of an exception leaves
        from gateway.wire.logging import frames_of

        stderr.print(f"[bold red]error:[/] a defect: {type(error).__qualname__}", soft_wrap=True)
        for frame in frames_of(error.__traceback__):
            stderr.print(f"  {frame}", markup=False, soft_wrap=True)
        sys.exit(Exit.COULD_NOT_RUN)
