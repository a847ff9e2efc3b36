"""How the members of a hub are listed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import console

if TYPE_CHECKING:
    from gateway.cli.operator_client import MemberView

STATES: Final = ("challenged", "pending", "active", "suspended", "withdrawn")
COLOURS: Final = {
    "ACTIVE": "green",
    "PENDING": "yellow",
    "CHALLENGED": "cyan",
    "SUSPENDED": "red",
    "WITHDRAWN": "dim",
}

_MEDIUM: Final = 100
"""Columns from which the list also shows prefixes and times."""
_WIDE: Final = 130
"""Columns from which it shows everything."""
_PIPE: Final = 240
_HOUR_SECONDS: Final = 3600


def print_members(found: list[MemberView]) -> None:
    """Print as many columns as there is room for; a URN always stands on one line."""
    # A pipe has no width of its own; whoever reads it later gets everything.
    has_width = console.is_terminal or "COLUMNS" in os.environ
    screen = console if has_width else Console(width=_PIPE)
    table = Table()
    table.add_column("member", no_wrap=True, overflow="ignore")
    table.add_column("state", no_wrap=True)
    table.add_column("name", overflow="fold")
    if screen.width >= _MEDIUM:
        table.add_column("approvals", no_wrap=True)
        table.add_column("prefixes")
        table.add_column("changed (UTC)", no_wrap=True)
    if screen.width >= _WIDE:
        table.add_column("checks", no_wrap=True)
        table.add_column("endpoint", no_wrap=True)
    for member in found:
        # Names are those the members gave themselves: text, never markup.
        cells = [
            Text(member.urn),
            Text(member.state.lower(), style=COLOURS.get(member.state, "default")),
            Text(member.display_name),
            Text(_approvals(member)),
            Text(" ".join(member.prefixes)),
            Text(f"{member.changed_at:%Y-%m-%d %H:%M}"),
            _checks(member),
            Text(member.endpoint),
        ]
        table.add_row(*cells[: len(table.columns)])
    screen.print(table)


def print_allowance(member: MemberView) -> None:
    """Print what an approved member is allowed, or will be by the last approval."""
    allowed = member.allowance
    if allowed is None:
        return
    hours = allowed.max_attestation_seconds / _HOUR_SECONDS
    lines = [
        ("answers for", " ".join(member.prefixes) or "nothing"),
        ("may sign", " ".join(allowed.kinds) or "nothing"),
        ("attestations live", f"up to {hours:g} h"),
    ]
    if member.kind == "HUB":
        below = f"{allowed.path_length} deep" if allowed.path_length else "none"
        lines.append(("hubs below it", below))
    for label, value in lines:
        console.print(Text.assemble(f"  {label:<18} ", value), soft_wrap=True)
    if allowed.only_here:
        console.print(
            "  The hub above allows this one no hub below: only checkpoints of this hub "
            "believe it. Ask the superior for a path length.",
            style="yellow",
            soft_wrap=True,
        )


def _approvals(member: MemberView) -> str:
    if member.state != "PENDING":
        return ""
    return f"{len(member.approved_by)}/{member.approvals_needed}"


def _checks(member: MemberView) -> Text:
    """What the conformance report says that it brought; believed by nobody."""
    if not member.report_digest:
        return Text("")
    text = f"{member.report_passed} passed, {member.report_failed} failed"
    return Text(text, style="red" if member.report_failed else "")
