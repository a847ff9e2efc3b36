"""What a command at a gate is given: a code, a picture, a document; and its settings.

Document numbers come from a file, standard input or a hidden prompt, never from
the command line, which ends up in the shell's history and in the process list.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.terminal import fail
from gateway.codes import Document, parse_document
from gateway.edge import CheckpointSettings, SettingsError, load_settings
from gateway.edge.files import read_bounded
from gateway.edge.images import MAX_IMAGE_BYTES, is_image, read_code_from_image
from gateway.edge.presentation import MAX_PRESENTATION_BYTES, read_text
from gateway.edge.settings import default_settings_path

STDIN: Final = "-"

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="checkpoint.toml; default: HUTONG_CHECKPOINT_CONFIG, then here."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")]
Shown = Annotated[
    str | None, typer.Argument(help="Scanned text; `-` reads it from standard input.")
]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="File with the scanned text, or a PNG or SVG of the code."),
]
Origin = Annotated[
    str | None,
    typer.Option("--from", help="Division the code is from: 2, 4 or 6 digits, for example 330100."),
]
DocumentFile = Annotated[
    str | None,
    typer.Option("--document-file", help="File with a document number; `-` reads standard input."),
]
AskDocument = Annotated[
    bool, typer.Option("--document", help="Ask for a document number at a hidden prompt.")
]
Type = Annotated[
    int, typer.Option("--document-type", help="Type of the document: 10 resident id, 20 passport …")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.1, max=60, help="Seconds; default: settings.")
]


def presented(
    shown: str | None,
    file: Path | None,
    document_file: str | None,
    document: bool,
    document_type: int,
) -> str | Document:
    """What the traveller shows, from exactly one of the ways to give it."""
    ways = [shown is not None, file is not None, document_file is not None, document]
    if sum(ways) != 1:
        raise typer.BadParameter(
            "give exactly one of SHOWN, --file, --document-file and --document"
        )
    if document:
        number = typer.prompt("document number", hide_input=True, err=True)
        return parse_document(document_type, number.strip())
    if document_file is not None:
        data = (
            sys.stdin.buffer.read(MAX_PRESENTATION_BYTES + 1)
            if document_file == STDIN
            else read_bounded(Path(document_file), MAX_PRESENTATION_BYTES, "document file")
        )
        return parse_document(document_type, read_text(data).strip())
    return scanned(shown, file)


def scanned(shown: str | None, file: Path | None) -> str:
    """Scanned text, from the command line, standard input, a text file or a picture."""
    if (shown is None) == (file is None):
        raise typer.BadParameter("give either SHOWN or --file")
    if file is not None:
        data = read_bounded(file, MAX_IMAGE_BYTES, "file")
        return read_code_from_image(data) if is_image(data) else read_text(data)
    if shown == STDIN:
        return read_text(sys.stdin.buffer.read(MAX_PRESENTATION_BYTES + 1))
    return shown or ""


def settings_of(config: Path | None) -> CheckpointSettings:
    """The settings of this checkpoint, or the end of the command with its reason."""
    try:
        return load_settings(config or default_settings_path())
    except SettingsError as error:
        fail(f"{error} [{error.code}]", fix=error.fix)
