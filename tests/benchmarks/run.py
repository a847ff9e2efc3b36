"""``make bench``: measure, print a table, write ``build/bench.json``.

Every figure is taken beside its bare counterpart in the same run; see
``figures.py`` for how. Absolute figures are those of the machine at that moment:
read the ratios.

A part is a module beside this one with ``measure() -> list[Figure]``. Nothing lists
them; ``python -m tests.benchmarks.run --help`` says which there are, and naming one
or more measures those alone::

    python -m tests.benchmarks.run translate
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import capacity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.figures import Figure

_HERE = Path(__file__).parent
_MEASURES = re.compile(r"^def measure\(", re.MULTILINE)
_OUTPUT = Path("build/bench.json")
_WIDTH = 160
"""Of the table where no terminal sets one."""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def parts() -> dict[str, str]:
    """The parts by name, each with the first line of what it says of itself."""
    found = {}
    for path in sorted(_HERE.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if _MEASURES.search(source):
            found[path.stem] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return found


def to_table(figures: Iterable[Figure]) -> Table:
    """The figures as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "value", "unit", "beside", "ratio", "goal", "met", "note"):
        numeric = heading in {"value", "beside", "ratio", "goal"}
        table.add_column(
            heading, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold"
        )
    words = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}
    for each in figures:
        table.add_row(
            each.name,
            _number(each.value),
            each.unit,
            _number(each.baseline),
            "" if each.ratio is None else f"{each.ratio:.2f}",
            "" if each.goal is None else f"{each.goal:g}",
            words[each.met],
            each.note,
        )
    return table


def main() -> int:
    """Run the parts that are asked for; fail when a goal is missed and ``--strict`` is given."""
    known = parts()
    width = max(map(len, known))
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.run",
        description="Measure Hutong beside its bare counterparts.",
        epilog="parts:\n" + "\n".join(f"  {name:{width}}  {text}" for name, text in known.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="measure this part alone, or these; default: all"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help=f"default: {_OUTPUT}")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in known]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}")
    notes = Console(stderr=True)
    started = time.monotonic()
    figures = capacity()
    for part in arguments.parts or known:
        notes.print(f"measuring: {part}")
        figures += import_module(f"tests.benchmarks.{part}").measure()
    figures += capacity()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    document = [asdict(figure) for figure in figures]
    arguments.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(to_table(figures))
    missed = [figure.name for figure in figures if figure.met is False]
    notes.print(
        f"{len(figures)} figures in {time.monotonic() - started:.0f} s, "
        f"{len(missed)} goals missed; written to {arguments.output}"
    )
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
