"""How the commands of ``hutong issuer`` speak to a running issuer, and how they fail.

A command speaks as one client, whose profile ``hutong issuer init`` or ``client add``
made. A refusal of the issuer leaves with 1 and names every field; an issuer that cannot
be reached, or a profile that cannot be read, leaves with 2.

Numbers of documents come from a file, standard input or a hidden prompt, never from the
command line, which ends up in the shell's history and in the process list.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.text import Text

from gateway.cli.terminal import Exit, describe, fail, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from hutong.v1 import exchange_pb2, issuer_pb2

    from gateway.issuer.calling import IssuerClient

T = TypeVar("T")

STDIN: Final = "-"
HERE: Final = Path("issuer")
MAX_INPUT_BYTES: Final = 4 * 1024 * 1024
"""Of a file of contacts or areas: tens of thousands of rows."""

Directory = Annotated[
    Path, typer.Option("--dir", help="Directory of the issuer.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Profile = Annotated[
    Path | None,
    typer.Option("--as", help="Profile of the client to work as; default: one of --dir."),
]
DocumentFile = Annotated[
    str | None,
    typer.Option(
        "--document-file",
        help="File with the document number; `-` reads standard input; default: a hidden prompt.",
    ),
]
DocumentType = Annotated[
    int, typer.Option("--document-type", help="Type of the document: 10 resident id, 20 passport …")
]
ProxyFile = Annotated[
    str | None,
    typer.Option(
        "--proxy-file", help="File with the document number of whoever acts for the person."
    ),
]
ProxyType = Annotated[int, typer.Option("--proxy-type", help="Type of that document.")]
RESIDENT: Final = 10

_REFUSALS: Final = frozenset(
    {
        "INVALID_REQUEST",
        "DECLARATION_MISSING",
        "PROXY_NOT_ALLOWED",
        "CALL_NOT_APPLIED",
        "NOT_FOUND",
        "WRONG_STATE",
    }
)
"""Answers of an issuer that ran: the command worked and the answer is no."""

_FIXES: Final = {
    "PEER_UNREACHABLE": "does the issuer run (hutong issuer run), and where the profile says?",
    "TOKEN_INVALID": "is this client listed (hutong issuer client list), with this key?",
    "SCOPE_MISSING": "work as a client of another role: --as FILE",
    "DECLARATION_MISSING": "declare first: hutong issuer declare",
    "PROXY_NOT_ALLOWED": "whoever acts declares first, then declares for the person once",
    "STORE_SCHEMA_AHEAD": "run the version of this software that wrote the database, or newer",
    "STORE_FAILED": "check `store` in issuer.toml, and that the database runs",
    "SERVER_SETTINGS": "see [grpc] in issuer.toml: is the port taken, do the TLS files exist?",
    "IDENTITY_UNREADABLE": "put back the keys/identity.json that this database was made with",
}


def run_local(work: Coroutine[Any, Any, T], runner: Callable[[Any], T] = asyncio.run) -> T:
    """Run something, and end the command with its reason where it fails."""
    try:
        return runner(work)
    except HutongError as error:
        refused(error)


def as_client(
    directory: Path, profile: Path | None, client: str, ask: Callable[[IssuerClient], Awaitable[T]]
) -> T:
    """Ask a running issuer as a client; ``client`` names the default profile."""
    from gateway.issuer.calling import IssuerClient, load_profile

    async def work() -> T:
        found = load_profile(profile or directory / "clients" / f"{client}.toml")
        async with IssuerClient(found, lambda: datetime.now(UTC)) as opened:
            return await ask(opened)

    return run_local(work())


def refused(error: HutongError) -> NoReturn:
    """Say what was refused, field by field, and leave."""
    for fault in getattr(error, "fields", ()):
        where = (fault.field or "request", "bold")
        stderr.print(
            Text.assemble(("  ✗ ", "red"), where, f": {fault.description}"), soft_wrap=True
        )
    fail(
        describe(error),
        fix=error.fix or _FIXES.get(error.code),
        code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
    )


def read_input(name: str) -> bytes:
    """A file, or standard input for ``-``."""
    if name == STDIN:
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    else:
        try:
            with Path(name).open("rb") as file:
                data = file.read(MAX_INPUT_BYTES + 1)
        except OSError:
            fail(f"{name} cannot be read")
    if len(data) > MAX_INPUT_BYTES:
        fail(f"{name} is longer than {MAX_INPUT_BYTES} bytes")
    return data


def read_text(name: str) -> str:
    """The text of a file or of standard input, in UTF-8, without the line's end."""
    try:
        return read_input(name).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        fail(f"{name} is not UTF-8")


def the_document(document_file: str | None, document_type: int) -> exchange_pb2.Document:
    """The document that a command is about."""
    from hutong.v1 import code_pb2, exchange_pb2

    from gateway.codes import DocumentError, parse_document

    if document_file is None:
        number = typer.prompt("document number", hide_input=True, err=True)
    else:
        number = read_text(document_file)
    try:
        document = parse_document(document_type, number.strip())
    except DocumentError as error:
        refused(error)
    return exchange_pb2.Document(
        type=code_pb2.DocumentType.ValueType(int(document.type)), number=document.number
    )


def the_proxy(proxy_file: str | None, proxy_type: int) -> issuer_pb2.Proxy | None:
    """Whoever acts for the person; None: nobody does."""
    from hutong.v1 import issuer_pb2

    if proxy_file is None:
        return None
    return issuer_pb2.Proxy(document=the_document(proxy_file, proxy_type))
