"""``hutong checkpoint init`` and ``enrol``: how a checkpoint joins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.gate_input import Config, Json, Verbose, settings_of
from gateway.cli.gate_output import configure, run_command
from gateway.cli.terminal import Exit, console, fail, print_json, stderr
from gateway.edge import create_keys, load_keys
from gateway.edge.checkpoint import open_hub_channel, utc_now
from gateway.edge.enrolment import checkpoint_identity, load_enrolment, save_enrolment
from gateway.edge.files import read_bounded
from gateway.edge.settings import default_settings_path
from gateway.trust import parse_anchor
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.wire.enrolment import Enrolled, await_decision, check_hub, enrolment_state
from gateway.wire.enrolment import enrol as hand_in

if TYPE_CHECKING:
    from gateway.edge import CheckpointSettings


def init(
    urn: Annotated[str, typer.Option(help="Its name: urn:hutong:checkpoint:440100:north-gate.")],
    hub: Annotated[str, typer.Option(help="gRPC target of the hub, host:port.")],
    http: Annotated[str, typer.Option(help="The hub's HTTP door, https://host:port.")],
    anchor: Annotated[Path, typer.Option(help="Trust anchor file, obtained from the operator.")],
    ca: Annotated[
        Path | None, typer.Option(help="PEM under which the hub's TLS is checked.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name shown to the hub's operators.")] = "",
    config: Config = None,
) -> None:
    """Write checkpoint.toml and draw the checkpoint's keys.

    Example:
      hutong checkpoint init --urn urn:hutong:checkpoint:440100:north-gate
      --hub hub.example:7443 --http https://hub.example:7480 --anchor anchor.json
    """
    path = config or default_settings_path()
    if path.exists():
        fail(f"{path} exists already", fix="name another file with --config")
    region = urn.split(":")[3] if urn.count(":") == 4 else ""  # noqa: PLR2004 - parts of the URN
    members = {
        "urn": urn,
        "region": region,
        "hub": hub,
        "http": http,
        "trust_anchor": str(anchor.resolve()),
        "key_file": "checkpoint-key.json",
        "state_dir": "state",
        "display_name": name,
    }
    if ca is not None:
        members["ca_file"] = str(ca.resolve())
    text = "".join(f"{member} = {_toml_text(value)}\n" for member, value in members.items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        fail(f"{path} cannot be written", fix="name another file with --config")
    try:
        settings = settings_of(path)
        create_keys(settings.key_file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    console.print(f"wrote {path} and {settings.key_file}", soft_wrap=True)
    console.print("next: hutong checkpoint enrol", soft_wrap=True)


def enrol(
    config: Config = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operator's approval.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask the hub to admit this checkpoint; once handed in, say how far it is.

    Exit code 1 while the checkpoint is not active.

    Example:
      hutong checkpoint enrol --wait
    """
    configure(verbose)
    settings = settings_of(config)
    status = run_command(_enrol(settings, wait=wait))
    if as_json:
        print_json({"enrolment_id": status.enrolment_id, "state": status.state})
    else:
        console.print(f"{settings.urn}: {status.state}", soft_wrap=True)
        if status.state != "ACTIVE":
            stderr.print(
                "The hub's operator decides: [bold]hutong hub approve "
                f"{settings.urn}[/bold] (keys: {', '.join(_key_ids(settings))})",
                soft_wrap=True,
            )
    if status.state != "ACTIVE":
        raise typer.Exit(Exit.NEGATIVE)


async def _enrol(settings: CheckpointSettings, *, wait: bool) -> Enrolled:
    if settings.purpose == "PLATFORM":
        fail(
            "a region enrols with its adapter, and its platform asks under the same name",
            fix="hutong adapter enrol",
        )
    anchor = parse_anchor(read_bounded(settings.trust_anchor, MAX_ANCHOR_BYTES, "trust anchor"))
    if not settings.key_file.exists():
        create_keys(settings.key_file)
    keys = load_keys(settings.key_file)
    async with open_hub_channel(settings) as channel:
        known = load_enrolment(settings.enrolment_file)
        if known is None:
            await check_hub(channel, anchor)
            now = utc_now()
            identity = checkpoint_identity(settings, keys, now=now)
            status = await hand_in(channel, identity, hub_urn=anchor.hub, now=now)
            save_enrolment(settings.enrolment_file, status.enrolment_id)
        else:
            status = Enrolled(known, await enrolment_state(channel, known))
        if wait:
            state = await await_decision(channel, status.enrolment_id)
            status = Enrolled(status.enrolment_id, state)
    return status


def _key_ids(settings: CheckpointSettings) -> tuple[str, ...]:
    keys = load_keys(settings.key_file)
    return keys.state.key_id, keys.authenticate.key_id


def _toml_text(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
