"""What to try while the federation stays up: commands that work as they stand."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson

from adapters.platforms import CREDENTIALS, scenario
from gateway.cli.demo.act_bridge import NAME
from gateway.cli.demo.act_native import NEIGHBOUR, declaration
from gateway.cli.demo.act_shared import ARRIVAL_PATH, QUERY_PATH, TOKEN_HEADER
from gateway.cli.demo.regions import BEIJING, GUANGDONG, GUANGZHOU, HANGZHOU
from gateway.wire.private_files import write_private

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.cli.demo.federation import Federation


def print_next_commands(federation: Federation, console: Console) -> None:
    """Print commands that work while the demo stays up, each on a line to copy."""
    console.print("[bold]The federation stays up; try in another terminal:[/]")
    for name, command in next_commands(federation):
        console.print(f"\n  [dim]# {name}[/]")
        console.print(f"  {command}", soft_wrap=True, highlight=False, markup=False)
    console.print()


def next_commands(federation: Federation) -> list[tuple[str, str]]:
    """What each command is for, and the command."""
    run = _program()
    south = f"--config {_relative(federation.checkpoint_file(GUANGZHOU))}"
    north = f"--config {_relative(federation.checkpoint_file(HANGZHOU))}"
    issuer = f"--dir {_relative(federation.issuer_folder)}"
    hangzhou = _relative(federation.folder / HANGZHOU.name)
    yellow = shlex.quote(scenario("hangzhou/yellow").qr_text or "")
    green = scenario("hangzhou/green").document_number
    released = scenario("hangzhou/released").document_number
    arrival = _beijing(federation, ARRIVAL_PATH, green, {"from": HANGZHOU.region})
    reply = _beijing(federation, QUERY_PATH, green)
    answers = f"--name {NAME} --contact no --risk-area no --overseas no"
    told = _relative(_declaration_file(federation))
    convert = f"{run} checkpoint convert --document-file - --from 330100 --to 440000"
    fetch = f"{run} checkpoint fetch --document-file - --from 330100 --out carried"
    export = f"{run} catalogue export {hangzhou} --audience {GUANGDONG.region}"
    export += " --correction 'Hangzhou 12345' --out hangzhou.catalogue"
    doors = f"--admin-url {federation.admin_url('hangzhou')}"
    doors += f" --admin-token {federation.admin_token}"
    return [
        ("one traveller, online", f"{run} checkpoint ask {yellow} {south}"),
        ("path 1: a traveller arrives in Beijing", arrival),
        ("path 2: convert a green", f"echo {green} | {convert} {answers} {north}"),
        ("path 3: declare", f"{run} issuer declare --file {told} {issuer}"),
        (
            "and ask the national issuer",
            f"echo {NEIGHBOUR.number} | {run} issuer query --document-file - {issuer}",
        ),
        ("path 4: fetch an attestation to carry", f"echo {released} | {fetch} {south}"),
        ("and verify it, with no network", f"{run} checkpoint verify --file carried.png {south}"),
        ("every code that is connected", f"{run} scheme list"),
        (
            "what becomes of a platform's own reply, step by step",
            f"{reply} | {run} scheme explain {BEIJING.name} - --document 10",
        ),
        ("whoever is not green in Hangzhou, as a list for Guangdong", export),
        ("what a gate knows, and how old it is", f"{run} checkpoint status {south}"),
        ("who takes part", f"{run} hub members --dir {_relative(federation.hub_folder)}"),
        ("break a platform", f"{run} platform fault set slow=8 --city hangzhou {doors}"),
    ]


def _beijing(
    federation: Federation, path: str, number: str, more: dict[str, str] | None = None
) -> str:
    """A call of Beijing's own door, as its counters make it."""
    body = json.dumps({"cardType": "10", "cardNo": number, **(more or {})})
    header = f"{TOKEN_HEADER}: {CREDENTIALS[BEIJING.name]['token']}"
    return f"curl -s {federation.platform_url(BEIJING)}{path} -H '{header}' -d '{body}'"


def _declaration_file(federation: Federation) -> Path:
    """A file as a service window hands it in; the person in it is synthetic."""
    path = federation.folder / "declaration.json"
    text = MessageToJson(declaration(NEIGHBOUR), preserving_proto_field_name=True)
    write_private(path, text.encode())
    return path


def _program() -> str:
    """How the command is called from another terminal in this folder."""
    installed = Path(sys.executable).parent / "hutong"
    if not installed.exists():
        return f"{_relative(Path(sys.executable))} -m gateway.cli"
    return str(_relative(installed))


def _relative(path: Path) -> Path:
    return Path(os.path.relpath(path))
