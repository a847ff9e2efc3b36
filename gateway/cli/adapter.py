"""``hutong adapter …``: connect a city, from an empty folder to a serving adapter.

Every command but ``new`` takes the city's folder (default: the current one), which
holds ``scheme.yaml``, ``vectors.yaml`` and ``adapter.toml``. A command that checks
leaves with 1 when the answer is no.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.scheme_files import fail_scheme
from gateway.cli.terminal import Exit, console, fail, fail_with, print_json, stderr
from gateway.codes.scheme_model import SchemeError
from gateway.errors import HutongError

if TYPE_CHECKING:
    from adapters.sdk.settings import AdapterSettings
    from gateway.cli.adapter_hub import HubDoor

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

City = Annotated[Path, typer.Argument(help="Folder of the city.", show_default=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

HubTarget = Annotated[
    str, typer.Option(envvar="HUTONG_REGION_HUB", help="host:port of the hub's gRPC door.")
]
HubRoots = Annotated[
    Path | None,
    typer.Option(
        envvar="HUTONG_REGION_CA", help="PEM with the hub's roots; default: the system's."
    ),
]

_HERE = Path()
_HUB: Final = "127.0.0.1:7443"
_FIXES: Final = {
    "PEER_UNREACHABLE": "does the hub run where --hub says, and is --ca the root of its "
    "certificate?",
    "FEED_SIGNATURE": "is --hub the right hub? If so, obtain anchor.json from its operator again, "
    "and never from the hub",
    "ANCHOR_INVALID": "put the hub's anchor.json where `anchor` of adapter.toml says",
    "TOKEN_ENDPOINT_UNREACHABLE": "does the hub's HTTP door listen where --http says, and is --ca "
    "the root of its certificate?",
    "TOKEN_REFUSED": "is the city active (hutong adapter enrol), and is --http the address that "
    "the hub gives itself?",
    "SERVER_SETTINGS": "see [grpc] in adapter.toml: is the port taken (another one: --port), do "
    "certificate and key exist?",
    "AUTHORITY_EXISTS": "enrol with the keys of the first time, or ask the hub's operator",
    "NOT_FOUND": "this hub does not know the enrolment noted in the file `enrolment`; remove it "
    "to enrol anew",
}


@app.command()
def new(
    city: Annotated[str, typer.Argument(help="Short name, for example shaoxing.")],
    region: Annotated[str, typer.Option(help="Its division, six digits of GB/T 2260.")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Folder to write; default: the name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a new city: a scheme, its vectors, a stand-in platform, tests and keys.

    What it writes runs and passes its own tests at once.

    Example:
      hutong adapter new shaoxing --region 330600
    """
    from adapters.sdk.scaffold import scaffold_city

    folder = directory or Path(city)
    try:
        written = scaffold_city(folder, city, region, now=datetime.now(UTC))
    except HutongError as error:
        fail_with(error)
    if as_json:
        print_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    console.print(f"[bold]{folder}[/bold] holds a city. Next:", soft_wrap=True)
    console.print(f"  hutong adapter test {folder}")
    console.print(f"  python -m pytest {folder}/tests")
    console.print(f"  $EDITOR {folder}/scheme.yaml")


@app.command()
def keygen(
    folder: City = _HERE,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address in the certificate; may be repeated."),
    ] = None,
    jwe: Annotated[
        bool, typer.Option("--jwe", help="A JWE sealing key beside the HPKE one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the adapter's keys and a certificate; nothing is ever overwritten.

    Example:
      hutong adapter keygen shaoxing --host adapter.example
    """
    from adapters.sdk.scaffold import make_keys
    from gateway.attestation.sealing_keys import Profile

    profiles = (Profile.HPKE, Profile.JWE) if jwe else (Profile.HPKE,)
    hosts = tuple(host) if host else ("127.0.0.1", "localhost")
    try:
        written = make_keys(folder, now=datetime.now(UTC), hosts=hosts, profiles=profiles)
    except HutongError as error:
        fail_with(error, fix="move the old files away to make new ones")
    if as_json:
        print_json({"files": [str(path) for path in written]})
    else:
        for path in written:
            console.print(str(path), soft_wrap=True)


@app.command()
def lint(folder: City = _HERE, as_json: AsJson = False) -> None:
    """Say everything that is wrong with the scheme, with line and fix.

    As `hutong scheme lint`. Exit code 1 when something keeps it from loading.

    Example:
      hutong adapter lint shaoxing
    """
    from gateway.cli.scheme_lint_view import lint_folders

    if not lint_folders([folder], strict=False, as_json=as_json):
        raise typer.Exit(Exit.NEGATIVE)


@app.command("test")
def run_tests(folder: City = _HERE, as_json: AsJson = False) -> None:
    """Run the scheme's vectors: a record at a moment, and what must come of it.

    As `hutong scheme test`. Exit code 1 when one comes out otherwise.

    Example:
      hutong adapter test shaoxing
    """
    from gateway.cli.scheme_actions import run_one

    run_one(folder, as_json=as_json, group="adapter")


@app.command()
def explain(
    folder: City = _HERE,
    at: Annotated[
        str | None, typer.Option(help="Only the version in force then, 2020-03-01T12:00:00+08:00.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain the scheme: what each state means, how one gets back, which clocks run.

    As `hutong scheme show`; `hutong scheme explain` explains a platform's reply.

    Examples:
      hutong adapter explain shaoxing
      hutong adapter explain shaoxing --at 2020-03-01T12:00:00+08:00
    """
    from gateway.cli.scheme_actions import show_city
    from gateway.cli.scheme_files import load_folder

    show_city(load_folder(folder, group="adapter"), at, as_json=as_json, group="adapter")


@app.command()
def enrol(
    folder: City = _HERE,
    hub: HubTarget = _HUB,
    ca: HubRoots = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operator's approval.")] = False,
    wait_seconds: Annotated[float, typer.Option(help="Longest wait.")] = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Ask the hub to admit this city; once handed in, say how far it is.

    Exit code 1 while the city is not active.

    Example:
      hutong adapter enrol shaoxing --hub hub.example:7443 --ca hub-ca.pem --wait
    """
    from gateway.cli.adapter_hub import enrol_folder

    settings = _settings(folder)
    try:
        enrolled = asyncio.run(
            enrol_folder(
                folder,
                settings,
                _door(settings, hub, ca),
                wait_seconds=wait_seconds if wait else None,
            )
        )
    except SchemeError as error:
        fail_scheme(error, folder, group="adapter")
    except HutongError as error:
        fail_with(error, fix=_FIXES.get(error.code))
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


@app.command()
def publish(
    folder: City = _HERE,
    scheme: Annotated[bool, typer.Option("--scheme", help="Only the scheme.")] = False,
    policy: Annotated[bool, typer.Option("--policy", help="Only the policy.")] = False,
    hub: HubTarget = _HUB,
    http: Annotated[
        str, typer.Option(envvar="HUTONG_REGION_HTTP", help="https address of the hub's HTTP door.")
    ] = "https://127.0.0.1:7480",
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    r"""Publish a changed scheme or policy; without either option, both.

    Checkpoints take them from the hub's feed within seconds.

    Example:
      hutong adapter publish shaoxing --policy --hub hub.example:7443 \
      --http https://hub.example:7480 --ca hub-ca.pem
    """
    from gateway.cli.adapter_hub import publish_folder
    from gateway.trust import StatementKind

    if not http.startswith("https://"):
        raise typer.BadParameter("the HTTP door has an https address")
    settings = _settings(folder)
    wanted = ((StatementKind.SCHEME, scheme), (StatementKind.POLICY, policy))
    kinds = [kind for kind, is_wanted in wanted if is_wanted]
    try:
        urn, published = asyncio.run(
            publish_folder(settings, _door(settings, hub, ca), http, kinds)
        )
    except SchemeError as error:
        fail_scheme(error, folder, group="adapter")
    except HutongError as error:
        fail_with(error, fix=_FIXES.get(error.code))
    if as_json:
        entries = [{"kind": one.kind.value, "sequence": one.sequence} for one in published]
        print_json({"urn": urn, "published": entries})
        return
    for one in published:
        console.print(f"{urn}: {one.kind.value} is entry {one.sequence}", soft_wrap=True)


@app.command()
def serve(
    folder: City = _HERE,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Instead of the one in adapter.toml.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the city until Ctrl-C.

    Example:
      hutong adapter serve shaoxing
    """
    from gateway.wire.logging import configure_logging
    from gateway.wire.loop import run

    settings = _settings(folder)
    configure_logging(verbose=verbose)
    if port is not None:
        grpc = settings.grpc.model_copy(update={"port": port})
        settings = settings.model_copy(update={"grpc": grpc})
    try:
        run(_serve(settings, as_json=as_json))
    except SchemeError as error:
        fail_scheme(error, folder, group="adapter")
    except HutongError as error:
        fail_with(error, fix=_FIXES.get(error.code))


async def _serve(settings: AdapterSettings, *, as_json: bool) -> None:
    from adapters.sdk.server import load_adapter

    adapter = load_adapter(settings)
    port = await adapter.start()
    if as_json:
        print_json({"authority": adapter.authority, "host": settings.grpc.host, "port": port})
    else:
        console.print(
            f"[bold]{adapter.authority}[/bold] answers on {settings.grpc.host}:{port}",
            soft_wrap=True,
        )
    await adapter.run_until_signal()


def _door(settings: AdapterSettings, hub: str, ca: Path | None) -> HubDoor:
    from gateway.cli.adapter_hub import HubDoor

    return HubDoor(hub, _read(ca) if ca else None, _read(settings.anchor))


def _settings(folder: Path) -> AdapterSettings:
    from adapters.sdk.settings import load_settings

    try:
        return load_settings(folder)
    except HutongError as error:
        fail_with(error)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        fail(f"{path} cannot be read")
