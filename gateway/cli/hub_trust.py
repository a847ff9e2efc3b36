"""``hutong hub withdraw|distrust|undistrust|audit|standing|lint|readers``.

What an operator does about members that are admitted. ``standing`` with the URN of the
hub shows its own keys; they change by ``hutong hub rotate`` (:mod:`gateway.cli.hub_rotate`).
"""

from __future__ import annotations

import asyncio
import itertools
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.region_options import instant
from gateway.cli.region_view import is_well, print_standing, standing_to_json
from gateway.cli.terminal import Exit, console, describe, fail, print_json, stderr
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hutong.v1 import distrust_pb2

    from gateway.cli.operator_trust import AuditLine, PreviewView, TrustClient
    from gateway.wire.key_change import Standing

T = TypeVar("T")

Directory = Annotated[Path, typer.Option("--dir", help="Directory of the hub.", show_default=True)]
OperatorFile = Annotated[
    Path | None,
    typer.Option("--operator", help="operator.toml to work with; default: the one of --dir."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Urn = Annotated[str, typer.Argument(help="URN of the member, as `hutong hub members` lists it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Reason = Annotated[
    str, typer.Option(help="Why; stands in the feed and the audit; never a personal value.")
]

_HUB: Final = Path("hub")
_SERIALS: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})", re.ASCII)
_SHOWN: Final = 20
"""Callers and entries that a preview names; the rest is counted."""
_REFUSALS: Final = {"NOT_FOUND", "WRONG_STATE", "DISTRUST_INVALID"}
_FIXES: Final = {
    "PEER_UNREACHABLE": "is the hub running? hutong hub run",
    "TOKEN_ENDPOINT_UNREACHABLE": "is the hub running? hutong hub run",
    "TOKEN_REFUSED": "is this operator active, and its key the one that was enrolled?",
    "NOT_FOUND": "see who and what is there: hutong hub members, hutong hub audit",
    "WRONG_STATE": "see where it stands: hutong hub members",
    "DISTRUST_INVALID": "see the issuers: hutong hub members; a rule is described in --help",
}


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the group."""
    for command in (withdraw, distrust, undistrust, audit, standing, lint, readers):
        app.command()(command)


def withdraw(
    urn: Urn,
    reason: Annotated[str, typer.Option(help="Why, for the audit; never a personal value.")],
    directory: Directory = _HUB,
    operator: OperatorFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a member for good: its name becomes free, its keys stay history.

    Example: hutong hub withdraw urn:hutong:region:330600 --reason "merged with 330100"
    """
    _confirm(f"End {urn} for good?", yes=yes)

    async def ask(client: TrustClient) -> Any:
        return await client.withdraw(urn, reason)

    member, sequence = _as_operator(directory, operator, ask)
    if as_json:
        print_json(member.to_json() | {"sequence": sequence})
    else:
        entry = f", feed entry {sequence}" if sequence else ""
        console.print(f"{urn} is {member.state.lower()}{entry}", soft_wrap=True)


def distrust(
    issuer: Annotated[str, typer.Option(help="URN of the region or hub that signed.")],
    since: Annotated[str, typer.Option("--from", help="What was signed from then on, ISO 8601.")],
    reason: Reason,
    until: Annotated[str | None, typer.Option(help="And before then; default: no end.")] = None,
    kind: Annotated[
        str, typer.Option(help="Only attestation, scheme, policy or status; default: each.")
    ] = "",
    key: Annotated[str, typer.Option(help="Only by this key id; default: by any.")] = "",
    prefix: Annotated[str, typer.Option(help="Only divisions under it, 2 to 6 digits.")] = "",
    scheme: Annotated[str, typer.Option(help="Only this dated scheme, family@version.")] = "",
    serials: Annotated[str, typer.Option(help="Only these lots, first-last.")] = "",
    directory: Directory = _HUB,
    operator: OperatorFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    r"""Take the trust from exactly what is named; first shows what that touches.

    Everything given narrows it. Every connected checkpoint refuses it within a second;
    `undistrust` takes it back. Both stand in the audit.

    Example:
      hutong hub distrust --issuer urn:hutong:region:330100 --kind attestation \
      --from 2020-03-01T08:00:00+08:00 --until 2020-03-01T12:00:00+08:00 --reason "key copied"
    """
    rule = _rule(issuer, (since, until), (kind, key, prefix, scheme), serials)

    async def look(client: TrustClient) -> PreviewView:
        return await client.preview(rule)

    async def act(client: TrustClient) -> tuple[str, int]:
        return await client.distrust(rule, reason)

    preview = _as_operator(directory, operator, look)
    if not as_json:
        _print_preview(preview)
    _confirm("Distrust this?", yes=yes)
    distrust_id, sequence = _as_operator(directory, operator, act)
    if as_json:
        found = {"distrust": distrust_id, "sequence": sequence}
        print_json(found | {"preview": preview.to_json()})
        return
    console.print(f"distrust {distrust_id}, feed entry {sequence}", soft_wrap=True)
    # An id may begin as an option does.
    dashes = "-- " if distrust_id.startswith("-") else ""
    console.print(f"Take it back: hutong hub undistrust {dashes}{distrust_id}", soft_wrap=True)


def undistrust(
    distrust_id: Annotated[str, typer.Argument(metavar="ID", help="As `distrust` printed it.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit; never a personal value.")] = "",
    directory: Directory = _HUB,
    operator: OperatorFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a distrust back.

    Example: hutong hub undistrust 0hGw3rJ0bq9kYx1c --reason "the copy was never used"
    """

    async def ask(client: TrustClient) -> int:
        return await client.undo(distrust_id, reason)

    sequence = _as_operator(directory, operator, ask)
    if as_json:
        print_json({"distrust": distrust_id, "sequence": sequence})
    else:
        console.print(f"{distrust_id} is taken back, feed entry {sequence}", soft_wrap=True)


def audit(
    subject: Annotated[str, typer.Option(help="Only about this URN, key or id.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Newest lines to show.")] = 100,
    directory: Directory = _HUB,
    operator: OperatorFile = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what, newest first.

    Example: hutong hub audit --subject urn:hutong:region:330100
    """

    async def ask(client: TrustClient) -> list[AuditLine]:
        lines: list[AuditLine] = []
        async for line in client.audit(subject):
            lines.append(line)
            if len(lines) == limit:
                break
        return lines

    found = _as_operator(directory, operator, ask)
    if as_json:
        print_json([line.to_json() for line in found])
        return
    for line in found:
        entry = f" (entry {line.sequence})" if line.sequence else ""
        why = f": {line.reason}" if line.reason else ""
        console.print(
            Text.assemble(
                (f"{line.at:%Y-%m-%d %H:%M:%S} ", "dim"),
                f"{line.actor or 'the hub'} ",
                (line.action, "bold"),
                f" {line.subject}{why}{entry}",
            ),
            soft_wrap=True,
        )
    if not found:
        stderr.print("Nothing.")


def standing(
    urn: Urn, directory: Directory = _HUB, operator: OperatorFile = None, as_json: AsJson = False
) -> None:
    """Say how a member stands, as `hutong region status` tells itself.

    Exit code 1 when something ends within seven days or a finding is an error.

    Example: hutong hub standing urn:hutong:region:330100
    """
    found, now = _standing(urn, directory, operator), datetime.now(UTC)
    if as_json:
        print_json(standing_to_json(found, now))
    else:
        print_standing(found, now)
    if not is_well(found, now):
        raise typer.Exit(Exit.NEGATIVE)


def lint(
    urn: Urn, directory: Directory = _HUB, operator: OperatorFile = None, as_json: AsJson = False
) -> None:
    """Say what the linter finds in what a member has published.

    Exit code 1 when a finding is an error.

    Example: hutong hub lint urn:hutong:region:330100
    """
    found = _standing(urn, directory, operator)
    if as_json:
        print_json(standing_to_json(found, datetime.now(UTC))["findings"])
    else:
        for item in found.findings:
            sign = ("error ", "bold red") if item.is_error else ("warning ", "yellow")
            about = f" ({item.subject})" if item.subject else ""
            console.print(Text.assemble(sign, f"{item.name}{about}: {item.message}"))
        if not found.findings:
            console.print("nothing to remark", style="green")
    if any(item.is_error for item in found.findings):
        raise typer.Exit(Exit.NEGATIVE)


def readers(
    directory: Directory = _HUB, operator: OperatorFile = None, as_json: AsJson = False
) -> None:
    """Say how far the readers of the feed are, the slowest first.

    Example: hutong hub readers
    """
    found = _standing("", directory, operator)
    if as_json:
        document = standing_to_json(found, datetime.now(UTC))
        wanted = ("sequence", "readers_connected", "readers")
        print_json({name: document[name] for name in wanted})
        return
    console.print(
        f"feed entry {found.sequence}, {found.readers_connected} readers connected", soft_wrap=True
    )
    table = Table("reader", "holds entry", "behind", "heard (UTC)")
    for reader in found.readers:
        table.add_row(
            Text(reader.urn),
            str(reader.sequence),
            str(max(0, found.sequence - reader.sequence)),
            f"{reader.seen_at:%Y-%m-%d %H:%M:%S}",
        )
    if found.readers:
        console.print(table)


def _standing(urn: str, directory: Path, operator: Path | None) -> Standing:
    async def ask(client: TrustClient) -> Standing:
        return await client.standing(urn)

    return _as_operator(directory, operator, ask)


def _rule(
    issuer: str,
    span: tuple[str, str | None],
    narrowed: tuple[str, str, str, str],
    serials: str,
) -> distrust_pb2.DistrustRule:
    from gateway.hub.distrusting import rule_to_proto
    from gateway.trust import DistrustError, DistrustRule, names

    found = _SERIALS.fullmatch(serials) if serials else None
    if serials and found is None:
        raise typer.BadParameter("--serials is first-last, two numbers")
    kind, key, prefix, scheme = narrowed
    try:
        rule = DistrustRule(
            issuer=issuer,
            signed_from=instant(span[0]),
            signed_until=None if span[1] is None else instant(span[1]),
            kind=kind or None,
            key_id=key or None,
            prefix=(names.shortest(prefix) or None) if prefix else None,
            scheme=scheme or None,
            first_serial=int(found[1]) if found else None,
            last_serial=int(found[2]) if found else None,
        )
    except DistrustError as error:
        raise typer.BadParameter(str(error)) from None
    return rule_to_proto(rule)


def _print_preview(preview: PreviewView) -> None:
    table = Table("what it touches", "how many", "which")
    count = "not known" if preview.attestations is None else f"up to {preview.attestations}"
    why = f"{preview.uncounted} could not be asked" if preview.attestations is None else ""
    table.add_row("live attestations, counted by the issuer", count, Text(why))
    table.add_row("connected edges that hear of it at once", *_edges(preview))
    for label, names in (
        ("callers of the issuer within a day", preview.callers),
        ("entries of the feed that would no longer hold", preview.published),
    ):
        shown = list(itertools.islice(names, _SHOWN))
        more = f"\n… and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        table.add_row(label, str(len(names)), Text("\n".join(shown) + more))
    console.print(table)


def _edges(preview: PreviewView) -> tuple[str, Text]:
    """How many edges, and hub by hub where there is more than one hub."""
    total = preview.edges_connected + sum(item.connected for item in preview.elsewhere)
    lines = [f"{preview.edges_connected} of this hub"] if preview.elsewhere else []
    lines += [
        f"{item.connected} of {item.hub}, where {item.callers} members asked the issuer in a day"
        for item in preview.elsewhere
    ]
    lines += [f"not known: those of {hub}, which could not be asked" for hub in preview.unknown]
    at_least = "at least " if preview.unknown else ""
    return f"{at_least}{total}", Text("\n".join(lines))


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not stderr.is_terminal:
        fail("nobody is there to be asked", fix="--yes does it without asking")
    if not typer.confirm(question, err=True):
        raise typer.Exit(Exit.NEGATIVE)


def _as_operator(
    directory: Path, operator: Path | None, ask: Callable[[TrustClient], Awaitable[T]]
) -> T:
    from gateway.cli.operator_trust import TrustClient
    from gateway.hub.setup import OPERATOR_FILE, load_operator_profile

    async def work() -> T:
        profile = load_operator_profile(operator or directory / OPERATOR_FILE)
        async with TrustClient(profile) as client:
            return await ask(client)

    try:
        return asyncio.run(work())
    except HutongError as error:
        fail(
            describe(error),
            fix=error.fix or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _REFUSALS else Exit.COULD_NOT_RUN,
        )
