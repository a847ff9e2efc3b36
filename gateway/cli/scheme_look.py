"""How the pieces of a scheme look at a terminal: one place, so that they look alike.

A level has a block of its colour and its word beside it, so that nothing is said by
colour alone. An outcome has a hollow block. Long lines hang under their beginning at
a terminal; in a pipe they stay on one line, for whoever greps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterable

COLOURS: Final = {
    "GREEN": "green",
    "YELLOW": "yellow",
    "RED": "red",
    "RESTRICTED": "magenta",
    "EVIDENCE_ONLY": "cyan",
}
_GOOD: Final = "green"
_BAD: Final = "bold red"
_CARE: Final = "yellow"
_MARKS: Final[dict[bool | None, tuple[str, str]]] = {
    True: ("✓", _GOOD),
    False: ("✗", _BAD),
    None: ("·", "dim"),
}
_DEEPER: Final = 4
"""Columns by which a body stands in that begins below its lead."""

_KEY_WIDTH: Final = 11
"""Of the names on the left; the longest is ``declaration``."""


def block(result: str) -> Text:
    """The block of a level, hollow for an outcome."""
    colour = COLOURS.get(result)
    if colour is None or result == "EVIDENCE_ONLY":
        return Text("▢ ", style=colour or "dim")
    return Text("■ ", style=colour)


def result_text(result: str) -> Text:
    """A level or an outcome, block and word."""
    style = COLOURS.get(result, "default")
    return Text.assemble(block(result), (result, f"bold {style}"))


def mark(holds: bool | None) -> Text:
    """A tick, a cross, or a dot where there was nothing to check."""
    sign, style = _MARKS[holds]
    return Text(f"{sign} ", style=style)


def care() -> Text:
    """The mark of a warning."""
    return Text("! ", style=_CARE)


def line_note(file: str, line: int) -> Text:
    """``scheme.yaml:12``, small; nothing where there is no line."""
    return Text(f"  {file}:{line}" if line else "", style="dim")


def table(*headings: str) -> Table:
    """A table without walls."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", leading=0)
    for heading in headings:
        # Chinese has no blanks to break at: without folding a cell would lose its end.
        made.add_column(heading, overflow="fold")
    return made


def heading(text: str, *notes: str) -> None:
    """Print a heading, notes after it small."""
    line = Text(text, style="bold")
    for note in notes:
        line.append(f"   {note}", style="not bold dim")
    console.print()
    console.print(line, soft_wrap=True)


def hang(lead: Text | str, body: Text | str, *, indent: int = 0) -> None:
    """Print a line whose continuation hangs under its body.

    Args:
        lead: stands on the left, once.
        body: as long as it likes.
        indent: columns before the lead.
    """
    start = Text(" " * indent) + (Text(lead) if isinstance(lead, str) else lead)
    text = Text(body) if isinstance(body, str) else body
    taken = cell_len(start.plain)
    if not console.is_terminal or cell_len(text.plain) <= console.width - taken:
        console.print(start + text, soft_wrap=True)
        return
    if taken > console.width // 2:
        console.print(start, soft_wrap=True)
        taken = indent + _DEEPER
        start = Text(" " * taken)
    for place, line in enumerate(text.wrap(console, max(console.width - taken, _KEY_WIDTH))):
        console.print((Text(" " * taken) if place else start) + line)


def fact(name: str, body: Text | str, *, indent: int = 1) -> None:
    """Print a name in a narrow column and what it says beside it."""
    hang(Text(f"{name:<{_KEY_WIDTH}} ", style="dim"), body, indent=indent)


def facts(name: str, bodies: Iterable[Text | str], *, indent: int = 1) -> None:
    """Print several under one name, which stands at the first; a dot before each of many."""
    found = list(bodies)
    dot = "· " if len(found) > 1 else ""
    for place, body in enumerate(found):
        lead = Text(f"{'' if place else name:<{_KEY_WIDTH}} {dot}", style="dim")
        hang(lead, body, indent=indent)
