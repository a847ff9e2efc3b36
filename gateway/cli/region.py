"""``hutong region …``: a region as a member: admission, standing, its keys.

Every command takes the region's folder (default: the current one), as ``hutong
adapter`` does. Keys that a hub itself holds (``feed``, ``token``) are not a region's
and have no command here.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from gateway.cli.region_enrol_command import enrol
from gateway.cli.region_options import (
    AsJson,
    City,
    HubHttp,
    HubRoots,
    HubTarget,
    door_of,
    life,
    settings_of,
    span,
)
from gateway.cli.terminal import Exit, describe, fail, print_json
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.cli.region_keys import Rotated
    from gateway.cli.region_line import Region

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.command("enrol")(enrol)

_HERE = Path()
_HUB: Final = "127.0.0.1:7443"
_HTTP: Final = "https://127.0.0.1:7480"
_USES: Final = ("attest", "state", "seal", "authenticate")

FIXES: Final = {
    "PEER_UNREACHABLE": "does the hub run where --hub says, and is --ca the root of its "
    "certificate?",
    "TOKEN_ENDPOINT_UNREACHABLE": "does the hub's HTTP door listen where --http says, and is --ca "
    "the root of its certificate?",
    "TOKEN_REFUSED": "is the region active (hutong region enrol), and are the keys those it holds?",
    "FEED_SIGNATURE": "is --hub the right hub? If so, obtain anchor.json from its operator again, "
    "and never from the hub",
    "LEAD_TIME_TOO_SHORT": "name a longer --in: more than the hub's lead time, a minute with its "
    "default settings",
    "NOT_FOUND": "see the ids of the keys: hutong region status",
    "WRONG_STATE": "see where the keys stand: hutong region status",
}
_REFUSALS: Final = {"LEAD_TIME_TOO_SHORT", "NOT_FOUND", "WRONG_STATE", "STATEMENT_INVALID"}


@app.command()
def status(
    folder: City = _HERE,
    hub: HubTarget = _HUB,
    http: HubHttp = _HTTP,
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    """Say how the region stands: its keys and their days, findings, how far readers are.

    Exit code 1 when something ends within seven days or a finding is an error.

    Example: hutong region status shaoxing --hub hub.example:7443 --ca hub-ca.pem
    """
    from gateway.cli.region_view import is_well, print_standing, standing_to_json

    async def ask(region: Region) -> Any:
        return await region.line.standing()

    found = _at_hub(folder, hub, http, ca, ask)
    now = datetime.now(UTC)
    if as_json:
        print_json(standing_to_json(found, now))
    else:
        print_standing(found, now)
    if not is_well(found, now):
        raise typer.Exit(Exit.NEGATIVE)


@app.command()
def rotate(
    use: Annotated[str, typer.Option(help=f"Which key: {', '.join(_USES)}.")],
    folder: City = _HERE,
    begin_in: Annotated[
        str, typer.Option("--in", help="Until the next key's first use: 90s, 10m, 5h, 2d.")
    ] = "10m",
    overlap: Annotated[
        str | None,
        typer.Option(help="How long the old key stays good beside it; default: 0s, to seal 1d."),
    ] = None,
    key_life: Annotated[
        str | None,
        typer.Option(
            "--life",
            help="How long the next key is good: 90d. Default: attest 120d, seal 365d, state and "
            "authenticate 730d.",
        ),
    ] = None,
    patience: Annotated[str, typer.Option(help="How long silent edges are waited for.")] = "30s",
    force: Annotated[
        bool, typer.Option("--force", help="Go on although an edge fails or is silent.")
    ] = False,
    hub: HubTarget = _HUB,
    http: HubHttp = _HTTP,
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    """Let the next key follow: made, rehearsed, published, and the old one retired.

    Every connected edge is asked first whether it would verify what the next key signs;
    nothing is changed when one would not. Stopped anywhere, run it again. A running
    adapter takes over by itself, at the moment in the name of the file.

    Example: hutong region rotate shaoxing --use attest --in 10m
    """
    from gateway.cli.region_files import slots_of
    from gateway.cli.region_keys import SEAL_OVERLAP, RotationPlan, Surroundings
    from gateway.cli.region_keys import rotate as rotate_slot
    from gateway.cli.region_line import system_clock
    from gateway.cli.region_view import ask_to_go_on, print_rotated, show_rehearsal
    from gateway.trust.keys import KeyUse

    if use not in _USES:
        raise typer.BadParameter(f"--use is one of {', '.join(_USES)}")
    wanted = KeyUse(use)
    default = SEAL_OVERLAP if wanted is KeyUse.SEAL else timedelta(0)
    plan = RotationPlan(
        begin_in=span(begin_in),
        overlap=default if overlap is None else span(overlap),
        patience=span(patience),
        force=force,
        life=None if key_life is None else life(key_life),
    )
    around = Surroundings(
        clock=system_clock,
        sleep=asyncio.sleep,
        show=show_rehearsal,
        ask=ask_to_go_on,
    )

    async def work(region: Region) -> list[Rotated]:
        return [
            await rotate_slot(region.folder, slot, region.line, plan, around)
            for slot in slots_of(region.folder, wanted)
        ]

    done = _at_hub(folder, hub, http, ca, work)
    print_rotated(done, as_json=as_json)
    if any(one.stopped for one in done):
        raise typer.Exit(Exit.NEGATIVE)


_Key = Annotated[str, typer.Argument(help="Key id, or its first characters; see status.")]
_Reason = Annotated[str, typer.Option(help="Why; everybody reads it, so never a personal value.")]
_Replace = Annotated[
    bool,
    typer.Option(
        "--replace/--no-replace",
        help="Let a new key begin in the same change, where none other of the use is left.",
    ),
]


@app.command()
def taint(
    key: _Key,
    since: Annotated[
        str, typer.Option("--from", help="What it signed from then on counts for nothing.")
    ],
    reason: _Reason,
    folder: City = _HERE,
    replace: _Replace = True,
    hub: HubTarget = _HUB,
    http: HubHttp = _HTTP,
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    """Take back the trust in a key from an instant on; what it signed before still holds.

    Example: hutong region taint 4Fh9x --from 2020-03-01T12:00:00+08:00 --reason "laptop lost"
    """
    from gateway.cli.region_options import instant

    moment = instant(since)
    _end_key(folder, (hub, http, ca), key, ("taint", moment, reason), replace, as_json=as_json)


@app.command()
def revoke(
    key: _Key,
    reason: _Reason,
    folder: City = _HERE,
    replace: _Replace = True,
    hub: HubTarget = _HUB,
    http: HubHttp = _HTTP,
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    """Take back the trust in all that a key ever signed, for good.

    Example: hutong region revoke 4Fh9x --reason "was in a public repository"
    """
    _end_key(folder, (hub, http, ca), key, ("revoke", None, reason), replace, as_json=as_json)


@app.command()
def untaint(
    key: _Key,
    reason: _Reason,
    folder: City = _HERE,
    hub: HubTarget = _HUB,
    http: HubHttp = _HTTP,
    ca: HubRoots = None,
    as_json: AsJson = False,
) -> None:
    """Take a taint back.

    Example: hutong region untaint 4Fh9x --reason "the laptop was found, locked"
    """
    _end_key(folder, (hub, http, ca), key, ("untaint", None, reason), False, as_json=as_json)


def _end_key(
    folder: Path,
    hub: tuple[str, str, Path | None],
    key: str,
    move: tuple[str, datetime | None, str],
    replace: bool,
    *,
    as_json: bool,
) -> None:
    from gateway.cli.region_ending import move_key
    from gateway.cli.region_line import system_clock
    from gateway.cli.region_view import print_moved

    async def work(region: Region) -> Any:
        return await move_key(region, key, move, may_replace=replace, now=system_clock())

    print_moved(_at_hub(folder, *hub, work), as_json=as_json)


def _at_hub(
    folder: Path, hub: str, http: str, ca: Path | None, work: Callable[[Region], Awaitable[T]]
) -> T:
    from gateway.cli.region_line import open_region

    settings = settings_of(folder)
    door = door_of(settings, hub, ca)

    async def run() -> T:
        async with open_region(settings, door, http) as region:
            return await work(region)

    try:
        return asyncio.run(run())
    except HutongError as error:
        fail(
            describe(error),
            fix=error.fix or FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )
