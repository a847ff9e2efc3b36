"""How the demo looks: a rule over each chapter, one block an act, a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.cli.demo.regions import PLACES
from gateway.cli.demo.scene import GOOD, UNDECIDED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gateway.cli.demo.acts import Act, Chapter
    from gateway.cli.demo.scene import Fact, Scene

_SEEN_STYLES: Final = {
    "GREEN": GOOD,
    "绿码": GOOD,
    "未见异常": GOOD,
    "YELLOW": "bold black on yellow",
    "RED": "bold white on red",
    "RESTRICTED": "bold black on magenta",
    "非未见异常": UNDECIDED,
}
_SHOWN_REASONS: Final = 2
"""The rule's own, and what lies under it."""


def act_json(chapter: Chapter, act: Act, scene: Scene, failures: list[str]) -> dict[str, Any]:
    """One act as a JSON object for scripts."""
    return {
        "act": act.name,
        "chapter": chapter.name,
        "origin": act.origin,
        "destination": act.destination,
        "seen": scene.seen,
        "verdict": scene.verdict,
        "reasons": [reason.code for reason in scene.reasons],
        "facts": [fact.en for fact in scene.facts],
        **scene.details,
        "milliseconds": round(scene.milliseconds, 1),
        "as_scripted": not failures,
        "failures": failures,
    }


def chapter_rule(chapter: Chapter) -> RenderableType:
    """The title of a chapter, in both languages."""
    rule = Rule(Text(chapter.en, style="bold cyan"), align="left", style="cyan")
    return Padding(Group(rule, Text(chapter.zh, style="cyan")), (1, 0, 1, 0))


def act_block(number: int, act: Act, scene: Scene, failures: list[str]) -> RenderableType:
    """One act for a person: who, what was seen, what followed, why, how old."""
    title = Text(f"{number:2}  {PLACES[act.origin]} → {PLACES[act.destination]}", style="bold")
    line = Text.assemble(
        (f" {scene.seen} ", _SEEN_STYLES.get(scene.seen, "bold black on grey70")),
        "  →  ",
        (f" {scene.zh} {scene.en} ", scene.style),
    )
    rows = Table.grid(padding=(0, 1))
    rows.add_column(overflow="fold")
    rows.add_row(Text.assemble(act.en, "  ", (act.zh, "dim")))
    rows.add_row(line)
    for reason in scene.reasons[: 1 if scene.is_good else _SHOWN_REASONS]:
        rows.add_row(Text.assemble((reason.code, "cyan"), f"  {reason.en}"))
        rows.add_row(Text(reason.zh, overflow="fold"))
    for fact in scene.facts:
        rows.add_row(_fact(fact))
    small = (*scene.small_print[:1], f"{scene.milliseconds:.0f} ms", *scene.small_print[1:])
    rows.add_row(Text(" · ".join(small), style="dim"))
    for failure in failures:
        rows.add_row(Text(f"not as scripted: {failure}", style="bold red"))
    return Group(title, Padding(rows, (0, 0, 1, 4)))


def _fact(fact: Fact) -> Text:
    mark = ("✓ ", "green") if fact.holds else ("✗ ", "bold red")
    return Text.assemble(mark, fact.en, "  " if fact.zh else "", (fact.zh, "dim"))


def summary(played: int, failed: int, seconds: float) -> Text:
    """The last line."""
    if failed:
        return Text(f"{failed} of {played} acts were not as scripted", style="bold red")
    return Text.assemble((f"all {played} acts as scripted", "bold green"), f" in {seconds:.1f} s")
