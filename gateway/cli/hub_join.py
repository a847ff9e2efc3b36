"""``hutong hub join-superior``: let this hub stand below another one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.terminal import Exit, console, describe, fail, print_json
from gateway.errors import HutongError

_FIXES = {
    "PEER_UNREACHABLE": "can the superior be reached from here? see --grpc and --ca",
    "FEED_SIGNATURE": "another hub answers there: ask the superior for its anchor again",
    "PREFIX_TAKEN": "another hub or region answers for this division there already",
    "AUTHORITY_EXISTS": "this hub is a member there already: ask its operators",
    "ANCHOR_INVALID": "ask the superior for its anchor.json: hutong hub anchor",
}
_REFUSALS = {"PREFIX_TAKEN", "AUTHORITY_EXISTS", "STATEMENT_INVALID", "FEED_SIGNATURE"}


def join_superior(
    grpc: Annotated[str, typer.Option(help="host:port of the superior's gRPC door.")],
    http: Annotated[str, typer.Option(help="Base address of the superior's HTTP door.")],
    anchor: Annotated[Path, typer.Option(help="The superior's trust anchor, handed over by hand.")],
    prefix: Annotated[
        list[str],
        typer.Option(help="Division this hub answers for, 2, 4 or 6 digits; may be repeated."),
    ],
    endpoint: Annotated[
        str, typer.Option(help="host:port where the superior reaches this hub's gRPC door.")
    ],
    name: Annotated[str, typer.Option(help="Name of this hub, for the superior's operators.")],
    ca: Annotated[
        Path | None, typer.Option(help="PEM of the roots of the superior's certificate.")
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Directory of the hub.")] = Path("hub"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Enrol this hub with the hub above; a running hub takes it up by itself.

    Example: hutong hub join-superior --grpc nation:7443 --http https://nation:7480
    --anchor nation.json --prefix 33 --endpoint hub.zj.example:7443 --name Zhejiang
    """
    from gateway.hub.settings import load_settings
    from gateway.hub.superior import JoinPlan, join_superior

    own_ca = directory / "tls/ca.pem"
    plan = JoinPlan(
        grpc=grpc,
        http=http,
        anchor=_read(anchor),
        ca_pem=None if ca is None else _read(ca),
        endpoint=endpoint,
        tls_ca_pem=_read(own_ca).decode("ascii") if own_ca.exists() else None,
        prefixes=tuple(prefix),
        name_zh="" if name.isascii() else name,
        name_en=name if name.isascii() else "",
    )
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        settings = load_settings(directory)
        enrolled = asyncio.run(join_superior(settings, plan, now=now))
    except HutongError as error:
        fail(
            describe(error),
            fix=getattr(error, "fix", None) or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )
    if as_json:
        print_json({"urn": settings.urn, "state": enrolled.state, "prefixes": list(prefix)})
        return
    console.print(f"{settings.urn} is now [yellow]{enrolled.state.lower()}[/] there.")
    console.print(f"Its operators approve it: [bold]hutong hub approve {settings.urn}[/]")
    console.print("Then see the line here: [bold]hutong hub status[/]")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        fail(f"{path} cannot be read")
