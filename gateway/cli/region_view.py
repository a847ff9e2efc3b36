"""How a region's keys and standing are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import console, print_json, stderr
from gateway.trust.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.cli.region_ending import Moved
    from gateway.cli.region_keys import Rehearsed, Rotated
    from gateway.wire.key_change import KeyView, Standing

SOON: Final = timedelta(days=7)
"""What ends within it makes ``status`` leave with 1."""
_NEAR: Final = timedelta(days=30)
_SHORT: Final = 12
_COLOURS: Final = {
    KeyState.PUBLISHED: "cyan",
    KeyState.ACTIVE: "green",
    KeyState.RETIRED: "dim",
    KeyState.TAINTED: "yellow",
    KeyState.REVOKED: "red",
}


def is_well(standing: Standing, now: datetime) -> bool:
    """Whether nobody has to do anything: no error, and no use that ends within a week."""
    return not any(item.is_error for item in standing.findings) and not any(
        _ends_alone(key, standing.keys, now) for key in standing.keys
    )


def standing_to_json(standing: Standing, now: datetime) -> dict[str, Any]:
    """How a region stands, for scripts."""
    return {
        "urn": standing.urn,
        "state": standing.state,
        "approved_by": list(standing.approved_by),
        "approvals_needed": standing.approvals_needed,
        "well": is_well(standing, now),
        "keys": [
            {
                "key_id": key.key_id,
                "use": key.use,
                "state": key.state.value if key.state else "",
                "not_before": key.not_before.isoformat(),
                "not_after": key.not_after.isoformat() if key.not_after else None,
                "distrusted_from": (
                    key.distrusted_from.isoformat() if key.distrusted_from else None
                ),
                "reason": key.reason,
            }
            for key in standing.keys
        ],
        "findings": [
            {"name": item.name, "error": item.is_error, "subject": item.subject}
            | {"message": item.message}
            for item in standing.findings
        ],
        "sequence": standing.sequence,
        "readers_connected": standing.readers_connected,
        "readers": [
            {"reader": reader.urn, "sequence": reader.sequence}
            | {"seen_at": reader.seen_at.isoformat()}
            for reader in standing.readers
        ],
    }


def print_standing(standing: Standing, now: datetime) -> None:
    """Print how a region stands."""
    colour = "green" if standing.state == "ACTIVE" else "yellow"
    console.print(
        Text.assemble((standing.urn, "bold"), ": ", (standing.state.lower(), colour)),
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("use", "key", "state", "from (UTC)", "until (UTC)", "days"):
        table.add_column(column, no_wrap=True)
    for key in sorted(standing.keys, key=lambda one: (one.use, one.not_before)):
        state = key.state
        table.add_row(
            key.use,
            key.key_id[:_SHORT],
            Text(state.value if state else "?", style=_COLOURS.get(state, "") if state else ""),
            f"{key.not_before:%Y-%m-%d %H:%M}",
            f"{key.not_after:%Y-%m-%d %H:%M}" if key.not_after else "open",
            _days_left(key, standing.keys, now),
        )
    console.print(table)
    for key in standing.keys:
        # Below: beside the table there is no place for it at a usual terminal.
        if key.reason and key.state in (KeyState.TAINTED, KeyState.REVOKED):
            console.print(
                Text(f"{key.key_id[:_SHORT]} {key.state.value}: {key.reason}"), soft_wrap=True
            )
    for item in standing.findings:
        sign = ("error ", "bold red") if item.is_error else ("warning ", "yellow")
        about = f" ({item.subject[:_SHORT]})" if item.subject else ""
        console.print(Text.assemble(sign, f"{item.name}{about}: {item.message}"), soft_wrap=True)
    if not standing.findings:
        console.print(Text("nothing to remark", style="green"))
    console.print(
        f"feed entry {standing.sequence}, {standing.readers_connected} readers connected",
        soft_wrap=True,
    )
    for reader in standing.readers:
        behind = standing.sequence - reader.sequence
        if behind > 0:
            age = int((now - reader.seen_at).total_seconds())
            console.print(
                f"  {reader.urn}: {behind} entries behind, heard {age} s ago", soft_wrap=True
            )


def show_rehearsal(seen: Rehearsed) -> None:
    """Say on standard error how a rehearsal goes."""
    result = seen.result
    stderr.print(
        Text.assemble(
            "rehearsal: ",
            (f"{result.verified} verified", "green"),
            ", ",
            (f"{len(result.failures)} failing", "red" if result.failures else "dim"),
            ", ",
            (f"{len(result.silent)} silent", "yellow" if result.silent else "dim"),
            f" of {seen.connected} connected",
        ),
        soft_wrap=True,
    )
    if result.failures:
        table = Table("edge that would not verify it", "why")
        for edge, reason in result.failures:
            table.add_row(Text(edge), Text(reason))
        stderr.print(table)
    for hub in result.elsewhere:
        why = "".join(f"; {count} of them {reason}" for reason, count in hub.failing)
        failing = sum(count for _, count in hub.failing)
        stderr.print(
            Text.assemble(
                f"  {hub.hub}: ",
                (f"{hub.verified} verified", "green"),
                ", ",
                (f"{failing} failing{why}", "red" if failing else "dim"),
                ", ",
                (f"{hub.silent} silent", "yellow" if hub.silent else "dim"),
                f" of {hub.connected}",
            ),
            soft_wrap=True,
        )
    for urn in result.unknown:
        stderr.print(Text(f"  {urn}: could not be asked", style="yellow"), soft_wrap=True)


def ask_to_go_on(seen: Rehearsed) -> bool:
    """Ask whether silent edges may be left out; nobody there: no."""
    for edge in seen.result.silent:
        stderr.print(f"  silent: {edge}", soft_wrap=True)
    for hub in seen.result.elsewhere:
        if hub.silent:
            stderr.print(f"  silent: {hub.silent} of {hub.hub}", soft_wrap=True)
    for urn in seen.result.unknown:
        stderr.print(f"  not asked: {urn}", soft_wrap=True)
    if not stderr.is_terminal:
        return False
    return typer.confirm("These edges have not answered. Go on?", err=True)


def print_rotated(
    done: Sequence[Rotated], *, as_json: bool, takers: str = "running adapters"
) -> None:
    """Print the timeline of each rotation; ``takers`` take over by themselves."""
    if as_json:
        print_json(
            [
                {
                    "key": one.slot,
                    "key_id": one.key_id,
                    "begins": one.begins.isoformat(),
                    "sequence": one.sequence,
                    "retired": [
                        {"key_id": key_id, "at": end.isoformat()} for key_id, end in one.retired
                    ],
                    "resumed": one.resumed,
                    "stopped": one.stopped,
                }
                for one in done
            ]
        )
        return
    for one in done:
        if one.stopped:
            stderr.print(
                Text.assemble(("stopped: ", "bold red"), f"{one.stopped}; nothing was changed"),
                soft_wrap=True,
            )
            stderr.print("  fix: mend the edge, or go on with --force", soft_wrap=True)
            continue
        _print_timeline(one, takers)


def print_moved(moved: Moved, *, as_json: bool) -> None:
    """Print what was done with a key."""
    if as_json:
        print_json(
            {
                "key_id": moved.key_id,
                "use": moved.use,
                "done": moved.word,
                "from": moved.since.isoformat() if moved.since else None,
                "sequence": moved.sequence,
                "replaced_by": moved.replaced.key_id if moved.replaced else None,
                "also_revoked": list(moved.dropped),
                "nothing_follows_from": moved.gap_from.isoformat() if moved.gap_from else None,
            }
        )
        return
    words = {"taint": "tainted", "revoke": "revoked", "untaint": "believed again"}
    since = f" from {moved.since.isoformat()}" if moved.since else ""
    entry = f", feed entry {moved.sequence}" if moved.sequence else ""
    console.print(
        f"{moved.use} key {moved.key_id[:_SHORT]} is {words[moved.word]}{since}{entry}",
        soft_wrap=True,
    )
    for key_id in moved.dropped:
        console.print(
            f"{moved.use} key {key_id[:_SHORT]}, which was to follow it, is revoked with it",
            soft_wrap=True,
        )
    if moved.replaced is not None:
        console.print(
            f"{moved.use} key {moved.replaced.key_id[:_SHORT]} is used from now on; a running "
            "adapter takes it up by itself",
            soft_wrap=True,
        )
    if moved.gap_from is not None:
        stderr.print(
            f"[yellow]nothing follows the {moved.use} key from {moved.gap_from:%Y-%m-%d %H:%M} UTC "
            f"on[/yellow]: hutong region rotate --use {moved.use}",
            soft_wrap=True,
        )
    if moved.use == "state" and moved.word != "untaint":
        console.print(
            "What it signed then has left the feed: publish scheme and policy again with "
            "hutong adapter publish",
            soft_wrap=True,
        )


def _print_timeline(one: Rotated, takers: str) -> None:
    resumed = " (begun by an earlier run)" if one.resumed else ""
    console.print(Text(f"{one.slot}{resumed}", style="bold"), soft_wrap=True)
    entry = f"feed entry {one.sequence}, " if one.sequence else ""
    table = Table(show_header=False, box=None)
    table.add_row(
        "before" if one.resumed else "now", f"{entry}key {one.key_id[:_SHORT]} is published"
    )
    table.add_row(f"{one.begins:%Y-%m-%d %H:%M:%S} UTC", f"it is used; {takers} take over")
    for key_id, end in one.retired:
        table.add_row(f"{end:%Y-%m-%d %H:%M:%S} UTC", f"key {key_id[:_SHORT]} is retired")
    console.print(table)


def _days_left(key: KeyView, keys: Sequence[KeyView], now: datetime) -> Text:
    if not key.is_live or key.not_after is None:
        return Text("")
    left = key.not_after - now
    style = "green" if left > _NEAR else "yellow" if left > SOON else "red"
    if not _ends_alone(key, keys, now):
        style = "dim" if left <= _NEAR else style
    return Text(f"{left / timedelta(days=1):.1f}", style=style)


def _ends_alone(key: KeyView, keys: Sequence[KeyView], now: datetime) -> bool:
    """Whether a key ends within a week and nothing follows it."""
    end = key.not_after
    if not key.is_live or end is None or end - now > SOON:
        return False
    return not any(
        other.use == key.use
        and other.key_id != key.key_id
        and other.is_live
        and other.not_before <= end
        and (other.not_after is None or other.not_after > end)
        for other in keys
    )
