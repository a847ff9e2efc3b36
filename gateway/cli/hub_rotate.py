"""``hutong hub rotate``: the hub's own feed and token keys.

Works in the hub's folder, on its store, beside the processes that run. What has to hold
is :mod:`gateway.trust.hub_keys`; the steps are :mod:`gateway.cli.hub_keys`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.region_options import span
from gateway.cli.terminal import Exit, describe, fail, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from gateway.cli.operator_trust import TrustClient
    from gateway.cli.region_keys import Rehearsed, Rotated, RotationPlan

_USES: Final = ("feed", "token")
_REFUSALS: Final = {"LEAD_TIME_TOO_SHORT", "WRONG_STATE"}
_FIXES: Final = {
    "LEAD_TIME_TOO_SHORT": "a longer --in: lead_periods × refresh_seconds of hub.toml, and of "
    "the hub above",
    "PEER_UNREACHABLE": "are this hub and the hub above running? --force goes on without readers",
    "TOKEN_ENDPOINT_UNREACHABLE": "are this hub and the hub above running?",
    "WRONG_STATE": "see how the keys stand: hutong hub standing and the URN of the hub",
    "STORE_FAILED": "does the database run, and is `store` in hub.toml right?",
}


def rotate(
    use: Annotated[str, typer.Option(help="Which key: feed or token.")],
    begin_in: Annotated[
        str, typer.Option("--in", help="Until the next key's first use: 90s, 10m, 5h, 2d.")
    ] = "10m",
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="A token key leaked: revoke it, and let the next one sign at once."
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why, with --now; everybody reads it, so never a personal value.")
    ] = "",
    patience: Annotated[str, typer.Option(help="How long silent readers are waited for.")] = "30s",
    force: Annotated[
        bool, typer.Option("--force", help="Go on although a reader fails or is silent.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--dir", help="Directory of the hub.", show_default=True)
    ] = Path("hub"),
    operator: Annotated[
        Path | None,
        typer.Option("--operator", help="operator.toml to work with; default: the one of --dir."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Let the hub's next feed or token key follow; no process is restarted.

    Readers are shown the key first. Every running process takes over at the second that
    the feed names. Stopped anywhere, run it again: it goes on from there.

    Example: hutong hub rotate --use feed --in 10m --dir hub
    """
    from gateway.cli.region_keys import RotationPlan
    from gateway.cli.region_view import print_rotated

    if use not in _USES:
        raise typer.BadParameter(f"--use is one of {', '.join(_USES)}")
    if now and use != "token":
        fail(
            "a feed key cannot be taken back in the feed that it signs",
            fix="see docs/guides/a-leaked-key.md: a new anchor, handed over by hand",
        )
    if now and not reason:
        raise typer.BadParameter("--now wants a --reason")
    plan = RotationPlan(
        begin_in=span(begin_in), overlap=timedelta(0), patience=span(patience), force=force
    )
    try:
        done = asyncio.run(_work(directory, operator, use, plan, reason if now else ""))
    except HutongError as error:
        fail(
            describe(error),
            fix=error.fix or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )
    print_rotated([done], as_json=as_json, takers="all processes of the hub")
    if done.stopped:
        raise typer.Exit(Exit.NEGATIVE)


async def _work(
    directory: Path, operator: Path | None, use: str, plan: RotationPlan, leaked: str
) -> Rotated:
    from gateway.cli.hub_keys import replace_now
    from gateway.cli.hub_keys import rotate as rotate_key
    from gateway.cli.operator_trust import TrustClient
    from gateway.cli.region_keys import Surroundings
    from gateway.cli.region_view import ask_to_go_on, show_rehearsal
    from gateway.hub.own_keys import open_own_keys
    from gateway.hub.settings import load_settings
    from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
    from gateway.hub.superior_keys import open_superior
    from gateway.trust import KeyUse

    settings = load_settings(directory)
    profile = load_operator_profile(operator or directory / OPERATOR_FILE)
    around = Surroundings(clock=_clock, sleep=asyncio.sleep, show=show_rehearsal, ask=ask_to_go_on)
    async with (
        open_own_keys(settings, profile, clock=_clock) as own,
        open_superior(settings, own.private, clock=_clock) as above,
        TrustClient(profile) as client,
    ):
        if leaked:
            done, unheard = await replace_now(own, above, leaked)
            if unheard is not None:
                stderr.print(
                    f"the hub above does not know yet: {describe(unheard)}; run "
                    "`hutong hub rotate --use token` once it is back",
                    soft_wrap=True,
                )
            return done

        async def asked(rehearsal: str) -> Rehearsed | None:
            return await _asked(client, rehearsal, is_forced=plan.force)

        return await rotate_key(own, KeyUse(use), above, plan, around, asked)


async def _asked(client: TrustClient, rehearsal: str, *, is_forced: bool) -> Rehearsed | None:
    from gateway.cli.region_keys import Rehearsed

    try:
        result = await client.rehearsal(rehearsal)
        standing: Any = await client.standing()
    except HutongError as error:
        if error.code == "NOT_FOUND" or is_forced:
            # A process looks at a store of its own every few seconds.
            return None
        raise
    return Rehearsed(standing.readers_connected, result)


def _clock() -> datetime:
    return datetime.now(UTC)
