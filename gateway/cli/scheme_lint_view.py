"""How what was found in schemes is printed: one line a problem, its fix below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from gateway.cli.scheme_files import counted, described
from gateway.cli.scheme_lint import ambiguous_qr, lint_folder
from gateway.cli.scheme_look import care, hang, mark
from gateway.cli.terminal import console, fail_with, print_json
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.cli.scheme_lint import Linted, Warned


def lint_folders(folders: Sequence[Path], *, strict: bool, as_json: bool) -> bool:
    """Lint folders, print what was found; return whether the answer is yes."""
    try:
        found = [lint_folder(folder) for folder in folders]
    except HutongError as error:
        fail_with(error)
    cities = [one.city for one in found if one.city is not None]
    between = [(city.folder, warned) for city, warned in ambiguous_qr(cities)]
    if as_json:
        documents = [one.to_json() for one in found]
        for document, one in zip(documents, found, strict=True):
            document["warnings"] += [
                {"file": warned.file, "line": warned.line, "message": warned.message}
                | {"fix": warned.fix}
                for folder, warned in between
                if folder == one.folder
            ]
        print_json(documents if len(documents) != 1 else documents[0])
    else:
        for one in found:
            extra = [warned for folder, warned in between if folder == one.folder]
            print_linted(one, extra)
        if len(found) > 1:
            _print_summary(found, len(between))
    warnings = sum(len(one.warnings) for one in found) + len(between)
    return all(one.city for one in found) and not (strict and warnings)


def print_linted(linted: Linted, extra: Sequence[Warned] = ()) -> None:
    """Print what was found in one folder."""
    city = linted.city
    for problem in linted.problems:
        where, what = described(problem)
        _print_one(mark(False), linted.folder / where, what, problem.fix)
    if city is None:
        return
    for warned in (*linted.warnings, *extra):
        where = f"{warned.file}:{warned.line}"
        _print_one(care(), linted.folder / where, warned.message, warned.fix)
    scheme = city.scheme
    states = sum(len(version.states) for version in scheme.versions)
    text = Text.assemble(
        mark(True),
        ("loads", "green"),
        f" {scheme.family}: {counted(len(scheme.versions), 'version')}, "
        f"{counted(states, 'state')}, {counted(len(scheme.vectors), 'vector')}",
    )
    warnings = len(linted.warnings) + len(extra)
    if warnings:
        text.append(f", {counted(warnings, 'warning')}", style="yellow")
    console.print(text, soft_wrap=True)


def _print_one(sign: Text, where: Path, what: str, fix: str) -> None:
    hang(sign + Text(f"{where} ", style="bold"), what)
    hang(Text("  fix: ", style="dim"), Text(fix, style="dim"))


def _print_summary(found: Sequence[Linted], between: int) -> None:
    refused = sum(1 for one in found if one.city is None)
    problems = sum(len(one.problems) for one in found)
    warnings = sum(len(one.warnings) for one in found) + between
    text = Text(f"{counted(len(found), 'scheme')}: ", style="bold")
    if refused:
        text.append(f"{counted(problems, 'error')} in {refused}, ", style="bold red")
    text.append(counted(warnings, "warning") if warnings else "no warning")
    console.print(text)
