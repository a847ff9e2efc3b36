"""Options that the commands of a region share, and how their values are read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.terminal import fail, fail_with
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adapters.sdk.settings import AdapterSettings
    from gateway.cli.adapter_hub import HubDoor
    from gateway.trust.keys import KeyUse

City = Annotated[Path, typer.Argument(help="Folder of the region.", show_default=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
HubTarget = Annotated[
    str, typer.Option(envvar="HUTONG_REGION_HUB", help="host:port of the hub's gRPC door.")
]
HubHttp = Annotated[
    str, typer.Option(envvar="HUTONG_REGION_HTTP", help="https address of the hub's HTTP door.")
]
HubRoots = Annotated[
    Path | None,
    typer.Option(
        envvar="HUTONG_REGION_CA", help="PEM with the hub's roots; default: the system's."
    ),
]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)


def span(text: str) -> timedelta:
    """Read a span of time, ``90s``, ``10m``, ``5h`` or ``2d``.

    Raises:
        BadParameter: it is none.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time: write 90s, 10m, 5h or 2d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def life(text: str) -> timedelta:
    """Read how long a key is good, at least a day and at most three years.

    Raises:
        BadParameter: it is no such span.
    """
    from gateway.trust.key_life import MAX_KEY_LIFE, MIN_KEY_LIFE

    found = span(text)
    if not MIN_KEY_LIFE <= found <= MAX_KEY_LIFE:
        raise typer.BadParameter(
            f"a key lives {MIN_KEY_LIFE.days} to {MAX_KEY_LIFE.days} days, not {text}"
        )
    return found


def lives(texts: Iterable[str]) -> Mapping[KeyUse, timedelta]:
    """Read how long keys are good, ``attest=90d`` and so on; of what is not named, the default.

    Raises:
        BadParameter: one does not begin with a use, or is no such span.
    """
    from gateway.trust.key_life import KEY_LIVES

    found = dict(KEY_LIVES)
    for text in texts:
        name, mark, value = text.partition("=")
        use = next((one for one in KEY_LIVES if one.value == name), None)
        if use is None or not mark:
            known = ", ".join(one.value for one in KEY_LIVES)
            raise typer.BadParameter(f"{text!r}: write USE=SPAN, USE one of {known}")
        found[use] = life(value)
    return found


def instant(text: str) -> datetime:
    """Read an instant, ISO 8601 with an offset.

    Raises:
        BadParameter: it is none, or names no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is no instant: write 2020-03-01T12:00:00+08:00, the offset included"
        )
    return moment


def settings_of(folder: Path) -> AdapterSettings:
    """Read ``adapter.toml`` of a folder, or leave."""
    from adapters.sdk.settings import load_settings

    try:
        return load_settings(folder)
    except HutongError as error:
        fail_with(error)


def door_of(settings: AdapterSettings, hub: str, ca: Path | None) -> HubDoor:
    """Read what is needed to reach a hub and to know it, or leave."""
    from gateway.cli.adapter_hub import HubDoor

    return HubDoor(hub, read(ca) if ca else None, read(settings.anchor))


def read(path: Path) -> bytes:
    """Read a file, or leave."""
    try:
        return path.read_bytes()
    except OSError:
        fail(f"{path} cannot be read")
