"""``hutong checkpoint disclose``: the holder shows a part of what they carry.

Needs no network, no settings and no key: an attestation that was fetched with
``--disclose selective`` is stripped of what its holder does not want to show, and
still verifies.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.attestation import from_armour, is_armour, to_armour
from gateway.attestation.disclosed import CODE_MEMBERS
from gateway.attestation.sd_jwt import Disclosure, disclosed_names, is_sd_jwt, keep
from gateway.cli.gate_input import File, Json, Shown, scanned
from gateway.cli.gate_output import guarded
from gateway.cli.terminal import console, print_json, stderr
from gateway.edge.errors import PresentationError

_ALIASES = {"region": "issued_by", "subject": "sub"}
_NAMES = (*CODE_MEMBERS, "sub")


class Part(StrEnum):
    """Values of ``--disclose``."""

    MINIMAL = "minimal"
    SELECTIVE = "selective"

    @property
    def disclosure(self) -> Disclosure:
        """The word that an origin is asked with."""
        return Disclosure[self.name]


Disclose = Annotated[
    Part | None,
    typer.Option(
        "--disclose",
        help="Ask for a part: minimal is level, validity and region; selective lets the holder "
        "choose later. Default: the whole code.",
    ),
]


def disclosure_of(part: Part | None) -> Disclosure | None:
    """What to ask an origin for."""
    return None if part is None else part.disclosure


def disclose(
    shown: Shown = None,
    file: File = None,
    keep_names: Annotated[
        str,
        typer.Option(
            "--keep",
            help="Members to show, separated by commas: valid_until, scheme, state …; level and "
            "region are always shown.",
        ),
    ] = "level,valid_until,region",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write OUT.txt and OUT.png, readable by you only."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a part of a carried attestation, fetched with --disclose selective.

    Nothing is verified and nothing is asked: what remains verifies at the gate.

    Examples:
      hutong checkpoint disclose --file ticket.png --keep level,valid_until,region -o market

      hutong checkpoint disclose - --keep state,scheme < ticket.txt
    """
    from gateway.cli.carried import show_qr, write_carried

    names = _names(keep_names)
    part = guarded(lambda: _part(scanned(shown, file), names), as_json=as_json)
    told, armour = disclosed_names(part), to_armour(part)
    written = write_carried(out, armour) if out is not None else ()
    if as_json:
        print_json(
            {"attestation": armour, "discloses": told, "files": [str(path) for path in written]}
        )
        return
    stderr.print(f"shows: {', '.join(told)}", soft_wrap=True)
    if out is None:
        console.print(armour, soft_wrap=True, markup=False, highlight=False)
        if console.is_terminal:
            show_qr(armour)
    for path in written:
        stderr.print(f"wrote {path}", soft_wrap=True)


def _names(text: str) -> frozenset[str]:
    given = (name.strip() for name in text.split(",") if name.strip())
    names = frozenset(_ALIASES.get(name, name) for name in given)
    unknown = sorted(names.difference(_NAMES))
    if unknown:
        raise typer.BadParameter(
            f"no member is named {', '.join(unknown)}; there are region, {', '.join(_NAMES)}",
            param_hint="--keep",
        )
    return names


def _part(text: str, names: frozenset[str]) -> str:
    text = text.strip()
    token = from_armour(text) if is_armour(text) else text
    if not is_sd_jwt(token):
        raise PresentationError(
            "not an attestation that can be shown in part; fetch one with --disclose selective"
        )
    return keep(token, names)
