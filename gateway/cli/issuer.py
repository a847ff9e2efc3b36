"""``hutong issuer …``: the national code for regions without one.

``init``, ``run``, ``recompute``, ``enrol`` and ``client`` work on the issuer's
directory. The others speak to a running issuer as one of its clients, so they work
from any machine that holds that client's profile (``--as FILE``).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gateway.cli import issuer_desk, issuer_window
from gateway.cli.issuer_door import HERE, AsJson, Directory, refused, run_local
from gateway.cli.terminal import Exit, console, fail, print_json, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from adapters.sdk.settings import AdapterSettings
    from gateway.issuer.runs import Progress, RunReport
    from gateway.issuer.settings import IssuerSettings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
client_app = typer.Typer(no_args_is_help=True)
app.add_typer(client_app, name="client", help="Who may call: add, list, remove.")
app.command()(issuer_window.declare)
app.command()(issuer_window.itinerary)
app.command()(issuer_window.query)
app.command("make-code")(issuer_window.make_code)
app.command("verify-code")(issuer_window.verify_code)
app.add_typer(issuer_window.correct, name="correct")
app.add_typer(issuer_desk.app, name="desk", help="Feeders' inputs and reviewers' corrections.")

_ROLES = ("application", "gate", "feeder", "reviewer")


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= len("65535")
    if not separator or not host or not is_number or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise typer.BadParameter("must be host:port")
    return host.strip("[]"), int(port)


@app.command()
def init(
    directory: Directory = HERE,
    store: Annotated[
        str | None,
        typer.Option(help="DSN of the database, sqlite:///… or postgresql://…; default: SQLite."),
    ] = None,
    grpc: Annotated[str, typer.Option(help="host:port to listen on.")] = "127.0.0.1:7460",
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name or address in the certificate made here; may be repeated."),
    ] = None,
    daily_at: Annotated[
        str | None, typer.Option(help="Time of the daily run in Asia/Shanghai; default: 03:00.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an issuer: keys, TLS, issuer.toml, database, a client for each role.

    Example:
      hutong issuer init --dir issuer
    """
    from gateway.issuer.setup import CLIENTS, FIRST_CLIENTS, IssuerPlan, make_issuer

    plan = IssuerPlan(
        directory=directory,
        store=store,
        grpc=_address(grpc),
        names=name or ["localhost", "127.0.0.1", "::1"],
        daily_at=daily_at,
    )
    run_local(make_issuer(plan, now=datetime.now(UTC).replace(microsecond=0)))
    clients = {one: str(directory / CLIENTS / f"{one}.toml") for one in FIRST_CLIENTS}
    if as_json:
        print_json({"directory": str(directory), "clients": clients})
        return
    console.print(f"Made an issuer in [bold]{directory}[/]", soft_wrap=True)
    for one, path in clients.items():
        console.print(f"  client {one} ({FIRST_CLIENTS[one]}): {path}", soft_wrap=True)
    console.print(f"Run it: [bold]hutong issuer run --dir {directory}[/]", soft_wrap=True)
    console.print(
        f"For hubs to ask it: put a hub's anchor.json into {directory}, run it, then "
        f"[bold]hutong issuer enrol --dir {directory}[/]",
        soft_wrap=True,
    )


@app.command()
def run(
    directory: Directory = HERE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it listens as JSON, and log JSON lines.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log debug entries.")] = False,
) -> None:
    """Run the issuer until SIGTERM or Ctrl-C, then drain it.

    Example:
      hutong issuer run --dir issuer
    """
    from gateway.issuer.app import ISSUER_URN, running_issuer
    from gateway.issuer.settings import load_settings
    from gateway.wire.logging import configure_logging
    from gateway.wire.loop import run as run_loop

    async def serve() -> None:
        settings = load_settings(directory)
        configure_logging(json_lines=as_json or not stderr.is_terminal, verbose=verbose)
        async with running_issuer(settings, directory=directory) as running:
            listening = {
                "issuer": ISSUER_URN,
                "grpc": f"{settings.grpc.host}:{running.port}",
                "answers_hubs": running.answers_hubs,
            }
            if as_json:
                print_json(listening)
            else:
                hubs = "" if running.answers_hubs else " No anchor.json: no hub is answered."
                console.print(
                    f"Issuer [bold]{ISSUER_URN}[/] listens: {listening['grpc']}.{hubs} "
                    "Stop with Ctrl-C.",
                    soft_wrap=True,
                )
            await running.run_until_signal()

    run_local(serve(), runner=run_loop)


@app.command()
def recompute(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Assess everybody now, or bring to its end a run that was broken off.

    People keep their codes while it runs; a running issuer may go on serving.

    Example:
      hutong issuer recompute --dir issuer
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    async def work() -> RunReport:
        from gateway.issuer.core import open_issuer
        from gateway.issuer.people import load_identity_box
        from gateway.issuer.settings import load_settings

        settings = load_settings(directory)
        box = load_identity_box(settings.identity_key, os.urandom)
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        async with await open_issuer(settings.store, box) as issuer:
            with Bars(*columns, console=stderr, transient=True) as bars:
                bar = bars.add_task("assessing", total=None)

                def show(progress: Progress) -> None:
                    bars.update(bar, total=progress.total, completed=progress.done)

                return await issuer.recompute.run(lambda: datetime.now(UTC), show)

    report = run_local(work())
    told = {
        "run": report.run_id,
        "people": report.people,
        "changed": report.changed,
        "resumed": report.is_resumed,
        "seconds": round(report.seconds, 3),
        "people_per_second": round(report.people_per_second),
    }
    if as_json:
        print_json(told)
        return
    resumed = ", resumed" if report.is_resumed else ""
    console.print(
        f"run {report.run_id}{resumed}: {report.people} people assessed, {report.changed} have "
        f"another level; {report.seconds:.1f} s, {report.people_per_second:,.0f} people/s"
    )


@app.command()
def enrol(
    directory: Directory = HERE,
    hub: Annotated[str, typer.Option(help="host:port of the hub's gRPC door.")] = "127.0.0.1:7443",
    ca: Annotated[
        Path | None, typer.Option(help="PEM with the hub's roots; default: the system's.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operator's approval.")] = False,
    wait_seconds: Annotated[float, typer.Option(help="Longest wait.")] = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Ask a hub to admit the issuer as region 100000; once handed in, say how far it is.

    The hub's anchor.json stands in the directory. Exit code 1 while it is not active.

    Example:
      hutong issuer enrol --hub hub.example:7443 --ca hub-ca.pem --wait
    """
    from gateway.cli.adapter_hub import HubDoor, enrol_folder
    from gateway.issuer.settings import load_settings

    async def work() -> dict[str, Any]:
        settings = load_settings(directory)
        anchor = _read(settings.adapter.anchor, fix="obtain it from the hub's operator")
        door = HubDoor(hub, None if ca is None else _read(ca), anchor)
        return await enrol_folder(
            directory, as_city(settings), door, wait_seconds=wait_seconds if wait else None
        )

    enrolled = run_local(work())
    if as_json:
        print_json(enrolled)
    else:
        console.print(f"{enrolled['urn']}: {enrolled['state']}", soft_wrap=True)
        if enrolled["state"] != "ACTIVE":
            stderr.print(
                "The hub's operator decides; read them the key id: [bold]hutong hub approve "
                f"{enrolled['urn']} --key {enrolled['key_id']}[/bold]",
                soft_wrap=True,
            )
    if enrolled["state"] != "ACTIVE":
        raise typer.Exit(Exit.NEGATIVE)


def as_city(settings: IssuerSettings) -> AdapterSettings:
    """The issuer's settings as those of a city, for what every city does with its hub.

    Made without the environment of adapters: a city's variables are not the issuer's.
    """
    from adapters.sdk.settings import AdapterSettings, GrpcSettings, PlatformSettings

    grpc, adapter = settings.grpc, settings.adapter
    return AdapterSettings.model_construct(
        scheme=adapter.scheme,
        keys=adapter.keys,
        anchor=adapter.anchor,
        policy=None,
        prefixes=(),
        name_zh=adapter.name_zh,
        name_en=adapter.name_en,
        grpc=GrpcSettings(
            host=grpc.host,
            port=grpc.port,
            endpoint=grpc.endpoint,
            certificate=grpc.certificate,
            key=grpc.key,
            ca=grpc.ca,
        ),
        # There is no platform: the issuer reads its own database.
        platform=PlatformSettings(url="https://platform.invalid"),
    )


@client_app.command("add")
def add_client(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots and hyphens.")],
    role: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(_ROLES)}.")],
    jwk: Annotated[
        Path | None,
        typer.Option(help="Its public JWK, made elsewhere; default: a key and a profile here."),
    ] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """List a further client; a running issuer takes it within seconds.

    Examples:
      hutong issuer client add clinic-7 --role application
      hutong issuer client add station --role gate --jwk station-public.json
    """
    from gateway.issuer.clients import Role
    from gateway.issuer.setup import add_client as add

    if not set(role) <= set(_ROLES):
        raise typer.BadParameter(f"--role is one of {', '.join(_ROLES)}")
    key = None
    if jwk is not None:
        try:
            key = json.loads(_read(jwk))
        except ValueError:
            fail(f"{jwk} is not a JWK")
    try:
        profile = add(directory, name, [Role(one) for one in dict.fromkeys(role)], key)
    except HutongError as error:
        refused(error)
    if as_json:
        print_json({"client": name, "roles": role, "profile": profile and str(profile)})
        return
    console.print(f"listed [bold]{name}[/] ({', '.join(role)})", soft_wrap=True)
    if profile is not None:
        console.print(f"  profile: {profile}", soft_wrap=True)


@client_app.command("list")
def list_clients(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List the clients, their roles and key ids.

    Example:
      hutong issuer client list
    """
    from gateway.issuer.settings import load_settings

    try:
        found = load_settings(directory).clients_by_name().values()
    except HutongError as error:
        refused(error)
    listed = [
        {"client": one.name, "roles": sorted(one.roles), "key_id": one.key.key_id} for one in found
    ]
    if as_json:
        print_json(listed)
        return
    table = Table("client", "roles", "key id")
    for row in listed:
        table.add_row(str(row["client"]), " ".join(row["roles"]), str(row["key_id"]))
    console.print(table)


@client_app.command("remove")
def remove_client(
    name: Annotated[str, typer.Argument(help="As `client list` names it.")],
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Take a client off the list; a running issuer refuses it within seconds.

    Example:
      hutong issuer client remove clinic-7
    """
    from gateway.issuer.setup import remove_client as remove

    try:
        remove(directory, name)
    except HutongError as error:
        refused(error)
    if as_json:
        print_json({"client": name, "removed": True})
    else:
        console.print(f"removed [bold]{name}[/]; its key file stays where it is", soft_wrap=True)


def _read(path: Path, *, fix: str | None = None) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        fail(f"{path} cannot be read", fix=fix)
