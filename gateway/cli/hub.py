"""``hutong hub …``: make a hub, run it, and operate it from anywhere.

``init`` and ``run`` work on a hub's directory. The others speak to a running hub
through its API as an operator, with an access token, so they work from any
machine that holds an operator's folder (``--operator FILE``; with ``--dir`` the
one that ``init`` made).
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table

from gateway.cli.hub_join import join_superior
from gateway.cli.hub_members import COLOURS, STATES, print_allowance, print_members
from gateway.cli.hub_own import key_line
from gateway.cli.hub_pack import pack
from gateway.cli.hub_rotate import rotate
from gateway.cli.hub_trust import add_commands
from gateway.cli.terminal import Exit, console, describe, fail, print_json, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from gateway.cli.operator_client import MemberView, OperatorClient

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

Directory = Annotated[Path, typer.Option("--dir", help="Directory of the hub.", show_default=True)]
OperatorFile = Annotated[
    Path | None,
    typer.Option("--operator", help="operator.toml to work with; default: the one of --dir."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Urn = Annotated[str, typer.Argument(help="URN of the member, as `hutong hub members` lists it.")]

_DEFAULT_DIRECTORY = Path("hub")


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= len("65535")
    if not separator or not host or not is_number or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise typer.BadParameter("must be host:port")
    return host.strip("[]"), int(port)


@app.command()
def init(
    directory: Directory = _DEFAULT_DIRECTORY,
    urn: Annotated[str, typer.Option(help="URN of this hub.")] = "urn:hutong:hub:000000",
    store: Annotated[
        str | None,
        typer.Option(help="DSN of the store, sqlite:///… or postgresql://…; default: SQLite."),
    ] = None,
    grpc: Annotated[str, typer.Option(help="host:port of the gRPC door.")] = "127.0.0.1:7443",
    http: Annotated[str, typer.Option(help="host:port of the HTTP door.")] = "127.0.0.1:7480",
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name or address in the certificate made here; may be repeated."),
    ] = None,
    operator: Annotated[str, typer.Option(help="Name of the first operator.")] = "first",
    approvals: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="Operators who must approve a member; default: 2."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM chain to use instead of one made here.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of that chain.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="PEM of its roots, for the operator's folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a hub: keys, trust anchor, TLS, settings, store, first operator.

    Example: hutong hub init --dir hub
    """
    from gateway.hub.setup import OPERATOR_FILE, HubPlan, make_hub

    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("--tls-certificate and --tls-key go together")
    tls = None if tls_certificate is None or tls_key is None else (tls_certificate, tls_key)
    plan = HubPlan(
        directory=directory,
        urn=urn,
        store=store,
        grpc=_address(grpc),
        http=_address(http),
        names=name or ["localhost", "127.0.0.1", "::1"],
        operator=operator,
        tls=tls,
        tls_ca=_read(tls_ca),
        approvals=approvals,
    )
    _run(make_hub(plan, now=datetime.now(UTC).replace(microsecond=0)))
    made = {
        "directory": str(directory),
        "urn": urn,
        "anchor": str(directory / "anchor.json"),
        "ca": None if tls else str(directory / "tls/ca.pem"),
        "operator": str(directory / OPERATOR_FILE),
        "operator_urn": f"urn:hutong:operator:{operator}",
    }
    if as_json:
        print_json(made)
        return
    console.print(f"Made hub [bold]{urn}[/] in {directory}", soft_wrap=True)
    console.print(f"  trust anchor, for every participant: {made['anchor']}", soft_wrap=True)
    if made["ca"]:
        console.print(f"  root of its certificate, likewise:   {made['ca']}", soft_wrap=True)
    console.print(f"Run it: [bold]hutong hub run --dir {directory}[/]", soft_wrap=True)


@app.command()
def run(
    directory: Directory = _DEFAULT_DIRECTORY,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it listens as JSON, and log JSON lines.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log debug entries.")] = False,
) -> None:
    """Run the hub until SIGTERM or Ctrl-C, then drain it.

    Example: hutong hub run --dir hub
    """
    from gateway.hub.app import running_hub
    from gateway.hub.settings import load_settings
    from gateway.recognition import load_policy
    from gateway.wire.logging import configure_logging
    from gateway.wire.loop import run as run_loop

    async def serve() -> None:
        settings = load_settings(directory)
        configure_logging(json_lines=as_json or not stderr.is_terminal, verbose=verbose)
        async with running_hub(settings, check_policy=load_policy) as hub:
            listening = {
                "hub": settings.urn,
                "grpc": f"{settings.grpc.host}:{hub.grpc_port}",
                "http": hub.http_url,
            }
            if as_json:
                print_json(listening)
            else:
                console.print(
                    f"Hub [bold]{listening['hub']}[/] listens: gRPC {listening['grpc']}, "
                    f"HTTP {listening['http']}. Stop with Ctrl-C.",
                    soft_wrap=True,
                )
            await hub.run_until_signal()

    _run(serve(), runner=run_loop)


@app.command()
def status(
    directory: Directory = _DEFAULT_DIRECTORY,
    operator: OperatorFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether the hub serves, how far its feed is and who takes part.

    Exit code 1 when it runs and does not serve.

    Example: hutong hub status --dir hub
    """

    async def ask(client: OperatorClient) -> dict[str, Any]:
        return await client.status()

    found = _as_operator(directory, operator, ask)
    if as_json:
        print_json(found)
    else:
        table = Table(show_header=False, box=None)
        table.add_row("hub", found["hub"])
        table.add_row("serving", "[green]yes[/]" if found["serving"] else "[red]no[/]")
        table.add_row("feed sequence", str(found["sequence"]))
        for kind, states in found["members"].items():
            text = ", ".join(f"{count} {state.lower()}" for state, count in states.items())
            table.add_row(f"{kind.lower()}s", text)
        for key in found["keys"]:
            table.add_row(f"{key['use']} key", key_line(key))
        for hub in found["hubs"]:
            table.add_row("superior" if hub["superior"] else "hub followed", _hub_line(hub))
        console.print(table)
    if not found["serving"]:
        raise typer.Exit(Exit.NEGATIVE)


def _hub_line(hub: dict[str, Any]) -> str:
    age = "never heard" if hub["age_seconds"] is None else f"{hub['age_seconds']} s old"
    line = "[green]connected[/]" if hub["connected"] else "[red]cut off[/]"
    return f"{hub['hub']}: {line}, feed sequence {hub['sequence']}, {age}"


@app.command()
def members(
    directory: Directory = _DEFAULT_DIRECTORY,
    operator: OperatorFile = None,
    state: Annotated[
        str | None, typer.Option(help=f"Only members in this state: {', '.join(STATES)}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List members and enrolments.

    Example: hutong hub members --state pending
    """
    if state is not None and state.lower() not in STATES:
        raise typer.BadParameter(f"--state is one of {', '.join(STATES)}")

    async def ask(client: OperatorClient) -> list[MemberView]:
        return [member async for member in client.members(state)]

    found = _as_operator(directory, operator, ask)
    if as_json:
        print_json([member.to_json() for member in found])
        return
    if not found:
        stderr.print("No members." if state is None else f"No {state.lower()} members.")
        return
    print_members(found)


@app.command()
def approve(
    urn: Urn,
    directory: Directory = _DEFAULT_DIRECTORY,
    operator: OperatorFile = None,
    key_id: Annotated[
        str | None,
        typer.Option(
            "--key", help="Thumbprint that one of its keys must have, as the member told you."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a pending or suspended member active, and publish it; says what it is allowed.

    What that is stands in hub.toml under [constraints]. A hub may have none below it
    unless path_length says how many, one under another.

    Example: hutong hub approve urn:hutong:region:330100
    """

    async def ask(client: OperatorClient) -> tuple[MemberView, int]:
        return await client.approve(urn, key_id=key_id)

    changed = _as_operator(directory, operator, ask)
    _show_change(changed, as_json=as_json)
    if not as_json:
        print_allowance(changed[0])


@app.command()
def suspend(
    urn: Urn,
    directory: Directory = _DEFAULT_DIRECTORY,
    operator: OperatorFile = None,
    reason: Annotated[str, typer.Option(help="Why, for the log; never a personal value.")] = "",
    as_json: AsJson = False,
) -> None:
    """Stop a member at once, or reject an enrolment.

    Example: hutong hub suspend urn:hutong:region:330100 --reason "key lost"
    """

    async def ask(client: OperatorClient) -> tuple[MemberView, int]:
        return await client.suspend(urn, reason)

    _show_change(_as_operator(directory, operator, ask), as_json=as_json)


@app.command()
def anchor(
    directory: Directory = _DEFAULT_DIRECTORY,
    as_json: AsJson = False,
) -> None:
    """Print the trust anchor: what every participant needs to trust this hub.

    Example: hutong hub anchor --dir hub
    """
    from gateway.trust import parse_anchor

    path = directory / "anchor.json"
    try:
        data = path.read_bytes()
    except OSError:
        fail(f"there is no {path}", fix=f"make a hub: hutong hub init --dir {directory}")
    try:
        found = parse_anchor(data)
    except HutongError as error:
        fail(f"{path}: {error}")
    if as_json:
        print_json(json.loads(data))
        return
    table = Table("use", "algorithm", "thumbprint", title=found.hub)
    for use, keys in (("feed", found.feed_keys), ("token", found.token_keys)):
        for key in keys.values():
            table.add_row(use, key.algorithm, key.key_id)
    console.print(table)
    console.print(f"The file to hand over: {path}", soft_wrap=True)


app.command("rotate")(rotate)
app.command("pack")(pack)
app.command("join-superior")(join_superior)
add_commands(app)


def _show_change(changed: tuple[MemberView, int], *, as_json: bool) -> None:
    member, sequence = changed
    if as_json:
        print_json(member.to_json() | {"sequence": sequence})
        return
    colour = COLOURS.get(member.state, "default")
    published = f", feed entry {sequence}" if sequence else ""
    console.print(
        f"{member.urn} is now [{colour}]{member.state.lower()}[/]{published}", soft_wrap=True
    )


def _as_operator(
    directory: Path, operator: Path | None, ask: Callable[[OperatorClient], Awaitable[T]]
) -> T:
    from gateway.cli.operator_client import OperatorClient
    from gateway.hub.setup import OPERATOR_FILE, load_operator_profile

    async def work() -> T:
        profile = load_operator_profile(operator or directory / OPERATOR_FILE)
        async with OperatorClient(profile) as client:
            return await ask(client)

    return _run(work())


def _run(work: Coroutine[Any, Any, T], runner: Callable[[Any], T] = asyncio.run) -> T:
    try:
        return runner(work)
    except HutongError as error:
        fail(
            describe(error),
            fix=getattr(error, "fix", None) or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )


_REFUSALS = {"NOT_FOUND", "WRONG_STATE", "PREFIX_TAKEN", "KEY_MISMATCH", "STATEMENT_INVALID"}
"""Answers of a hub that ran: the command worked and the answer is no."""

_FIXES = {
    "PEER_UNREACHABLE": "is the hub running? hutong hub run",
    "TOKEN_ENDPOINT_UNREACHABLE": "is the hub running? hutong hub run",
    "KEY_MISMATCH": "do not approve: ask the member again for its key id, by telephone",
    "TOKEN_REFUSED": "is this operator active, and its key the one that was enrolled?",
    "NOT_FOUND": "see who is there: hutong hub members",
    "WRONG_STATE": "see where it stands: hutong hub members",
    "STORE_SCHEMA_AHEAD": "run the version of this software that wrote the store, or a newer one",
    "STORE_CORRUPT": "restore the store from a backup; a hub does not start on one it cannot prove",
    "STORE_FAILED": "check the store's DSN in hub.toml, and that the database runs",
}


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        fail(f"{path} cannot be read")
