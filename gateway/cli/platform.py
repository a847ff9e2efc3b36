"""``hutong platform``: run a reference city, switch its faults, see its people.

Cities are found by their folders and imported one at a time, so that help and a
fault switched elsewhere cost nothing.
Everything a reference platform holds is synthetic, which is why this group, and no
other, prints document numbers and QR texts.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from adapters.platforms import platform, usual_port
from adapters.platforms.faults import SWITCHES, FaultError, Garbage, parse_faults
from adapters.platforms.people import DEFAULT_SEED, DEFAULT_SIZE
from gateway.cli.platform_door import (
    LOCAL_TOKEN,
    AdminOption,
    CityArgument,
    CityOption,
    TokenOption,
    call,
    check_city,
)
from gateway.cli.platform_turn import turn
from gateway.cli.terminal import Exit, console, fail, print_json
from gateway.wire.loop import run, stop_on_signals

if TYPE_CHECKING:
    from adapters.platforms.base import AnyCity
    from adapters.platforms.faults import Faults

app = typer.Typer(no_args_is_help=True)
fault = typer.Typer(no_args_is_help=True)
app.add_typer(fault, name="fault", help="Switch the faults of a running platform.")

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_WORDS: Final = "One or more of: " + ", ".join(
    ["slow=SECONDS", *(f"garbage={kind}" for kind in Garbage), *SWITCHES]
)
SizeOption = Annotated[int, typer.Option("--size", min=1, help="People in the population.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Decides who is what.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def _platform(city: str, size: int = DEFAULT_SIZE, seed: int = DEFAULT_SEED) -> AnyCity:
    """Make the platform of a city that was named on the command line."""
    check_city(city)
    try:
        return platform(city, size=size, seed=seed)
    except ValueError as error:
        fail(str(error), fix="choose another --size", code=Exit.USAGE)


@app.command("serve", hidden=True)
@app.command("run")
def serve(
    city: CityArgument,
    *,
    port: Annotated[
        int,
        typer.Option(min=-1, max=65535, show_default="its usual port", help="City door; 0: any."),
    ] = -1,
    admin_port: Annotated[
        int,
        typer.Option(min=-1, max=65535, show_default="its usual port", help="Admin door; 0: any."),
    ] = -1,
    host: Annotated[str, typer.Option(help="Address of both doors.")] = "127.0.0.1",
    faults: Annotated[
        str, typer.Option(help="Faults to begin with, for example slow=3,disagree.")
    ] = "",
    shared: Annotated[
        Path | None,
        typer.Option(
            help="checkpoint.toml of the region's platform, by which beijing asks other regions."
        ),
    ] = None,
    admin_token: TokenOption = LOCAL_TOKEN,
    size: SizeOption = DEFAULT_SIZE,
    seed: SeedOption = DEFAULT_SEED,
    as_json: JsonOption = False,
) -> None:
    """Run a reference city platform until Ctrl-C.

    Its city door speaks the city's own wire; its admin door switches faults. Both
    have a usual port for each city, shown when it starts.

    Example: hutong platform run hangzhou

    Example: hutong platform run beijing --faults slow=0.5,disagree

    Example: hutong platform run guangdong --port 0 --admin-port 0 --json

    Example: hutong platform run beijing --shared checkpoint.toml
    """
    served = _platform(city, size, seed)
    served.faults = _faults([word for word in faults.split(",") if word])
    if host not in _LOOPBACK and admin_token == LOCAL_TOKEN:
        fail(
            "beyond loopback the admin door needs a token of its own",
            fix="give --admin-token",
            code=Exit.USAGE,
        )
    usual = usual_port(city)
    doors = (
        usual if port < 0 else port,
        usual + 1 if admin_port < 0 else admin_port,
    )
    if shared is not None:
        return _serve_sharing(served, shared, host, doors, admin_token, as_json=as_json)
    return run(_serve(served, host, *doors, admin_token, as_json=as_json))


def _serve_sharing(
    served: AnyCity, config: Path, host: str, doors: tuple[int, int], token: str, *, as_json: bool
) -> None:
    """Serve a platform that asks other regions about arrivals (the first official path)."""
    # A platform that asks nobody does not pay for the client of a hub.
    from adapters.platforms.beijing.platform import BeijingPlatform
    from gateway.cli.gate_input import settings_of
    from gateway.cli.gate_output import run_command
    from gateway.cli.shared import require_region, sharing
    from gateway.cli.terminal import stderr
    from gateway.wire.logging import configure_logging

    if not isinstance(served, BeijingPlatform):
        fail(f"{served.city} asks nobody about arrivals", fix="leave out --shared", code=Exit.USAGE)
    settings = settings_of(config)
    require_region(settings, served.table.division)
    configure_logging(json_lines=as_json or not stderr.is_terminal)

    async def work() -> None:
        async with sharing(settings) as source:
            served.shared = source
            try:
                await _serve(served, host, *doors, token, as_json=as_json)
            finally:
                served.shared = None

    run_command(work(), as_json=as_json)


async def _serve(
    served: AnyCity, host: str, port: int, admin_port: int, token: str, *, as_json: bool
) -> None:
    from adapters.platforms.server import serve_platform

    stopping = asyncio.Event()
    restore = stop_on_signals(stopping.set)
    try:
        running = await serve_platform(
            served, admin_token=token, host=host, port=port, admin_port=admin_port
        )
    except OSError as error:
        fail(f"a port cannot be opened: {error.strerror}", fix="choose --port and --admin-port")
    doors = {"city": served.city, "url": running.base_url, "admin_url": running.admin_url}
    if as_json:
        print_json(doors)
    else:
        console.print(
            f"[bold]{served.city}[/]  {served.population.size} synthetic people\n"
            f"  city door   {running.base_url}\n"
            f"  admin door  {running.admin_url}",
            highlight=False,
        )
    async with running:
        await stopping.wait()
    restore()


@fault.command("set")
def fault_set(
    words: Annotated[list[str], typer.Argument(metavar="FAULTS...", help=_WORDS)],
    city: CityOption,
    admin_url: AdminOption = "",
    admin_token: TokenOption = LOCAL_TOKEN,
) -> None:
    """Replace the faults of a running platform.

    Every word is explained in adapters/platforms/faults.py. Only proxy and
    lowercase-x are harmless; an adapter must make no other one green.

    Example: hutong platform fault set slow=3 disagree --city hangzhou

    Example: hutong platform fault set shared-phone --city guangdong
    """
    wanted = _faults(words).to_words()
    _show_faults(call("PUT", "/admin/faults", city, admin_url, admin_token, {"faults": wanted}))


@fault.command("clear")
def fault_clear(
    city: CityOption, admin_url: AdminOption = "", admin_token: TokenOption = LOCAL_TOKEN
) -> None:
    """Make a running platform healthy again.

    Example: hutong platform fault clear --city hangzhou
    """
    _show_faults(call("DELETE", "/admin/faults", city, admin_url, admin_token))


@fault.command("show")
def fault_show(
    city: CityOption, admin_url: AdminOption = "", admin_token: TokenOption = LOCAL_TOKEN
) -> None:
    """Show the faults of a running platform.

    Example: hutong platform fault show --city hangzhou
    """
    _show_faults(call("GET", "/admin/faults", city, admin_url, admin_token))


@app.command("population", hidden=True)
@app.command("people")
def people(
    city: CityArgument,
    size: SizeOption = DEFAULT_SIZE,
    seed: SeedOption = DEFAULT_SEED,
    as_json: JsonOption = False,
) -> None:
    """List the people whose story is fixed, with papers to try; no server is needed.

    Stories are told as of now. Some cities' QR texts end by themselves: list the
    people again for a fresh one.

    Example: hutong platform people guangzhou

    Example: hutong platform people beijing --json
    """
    told = list(_platform(city, size, seed).scenarios().values())
    if as_json:
        print_json(
            {
                "city": city,
                "synthetic": True,
                "size": size,
                "seed": seed,
                "scenarios": [person.to_dict() for person in told],
            }
        )
        return
    console.print(f"{city}: {size} synthetic people; these have a fixed story", highlight=False)
    for person in told:
        # One fact a line: papers are copied from here into other commands.
        console.print(f"\n[bold]{person.name}[/]  {person.story_en}  {person.story_zh}")
        expected = " + ".join((person.expected, *person.also))
        facts = {"adapter": expected, "document": person.document_number, "qr": person.qr_text}
        for name, text in facts.items():
            if text is not None:
                console.print(f"  {name:<9} {text}", highlight=False, markup=False, soft_wrap=True)


app.command("turn")(turn)


def _faults(words: list[str]) -> Faults:
    try:
        return parse_faults(words)
    except FaultError as error:
        fail(
            str(error),
            fix="separate several faults with commas (serve) or blanks (set)",
            code=Exit.USAGE,
        )


def _show_faults(document: Any) -> None:
    words = document.get("faults") or ["none"]
    console.print("faults: " + ", ".join(words), highlight=False)
