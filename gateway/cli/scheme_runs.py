"""Runs the vectors of schemes, shows how far it is, and where each one that differs stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from adapters.sdk.city import SCHEME_FILE, VECTORS_FILE
from adapters.sdk.vectors import run_vectors
from gateway.cli.scheme_files import counted, described, read_scheme_folder
from gateway.cli.scheme_look import hang, mark, table
from gateway.cli.terminal import Exit, console, stderr
from gateway.codes.scheme_model import SchemeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.sdk.vectors import VectorResult
    from gateway.cli.scheme_files import City


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one folder.

    Attributes:
        folder: the folder.
        city: its scheme; None: it does not load.
        results: of every vector, in their order.
        refused: why it does not load; None: it does.
    """

    folder: Path
    city: City | None
    results: tuple[VectorResult, ...]
    refused: SchemeError | None

    @property
    def failed(self) -> list[VectorResult]:
        """Results that differ."""
        return [result for result in self.results if not result.passed]

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "folder": str(self.folder),
            "loads": self.city is not None,
            "passed": len(self.results) - len(self.failed),
            "failed": len(self.failed),
            "vectors": [
                {
                    "name": result.name,
                    "line": self.city.vector_line(result.name) if self.city else 0,
                    "expected": result.expected,
                    "got": result.got,
                    "passed": result.passed,
                }
                for result in self.results
            ],
        }


def run_folders(folders: Sequence[Path]) -> list[Run]:
    """Run the vectors of every folder, with a bar at a terminal.

    Raises:
        AdapterConfigError: a file cannot be read.
    """
    runs: list[Run] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    is_quiet = len(folders) == 1 or not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=is_quiet) as progress:
        task = progress.add_task("", total=len(folders))
        for folder in folders:
            progress.update(task, description=folder.resolve().name)
            runs.append(run_folder(folder))
            progress.advance(task)
    return runs


def run_folder(folder: Path) -> Run:
    """Run the vectors of one folder; a scheme that does not load is told, not raised."""
    try:
        city = read_scheme_folder(folder)
    except SchemeError as error:
        return Run(folder, None, (), error)
    return Run(folder, city, run_vectors(city.scheme), None)


def exit_of(runs: Sequence[Run]) -> Exit:
    """2 where a scheme does not load, 1 where a vector differs, else 0."""
    if any(run.refused for run in runs):
        return Exit.COULD_NOT_RUN
    return Exit.NEGATIVE if any(run.failed for run in runs) else Exit.OK


def print_vectors(run: Run) -> None:
    """Print every vector of one folder, then those that differ with their line."""
    rows = table("", "vector", "expected", "got")
    for result in run.results:
        style = "green" if result.passed else "bold red"
        got = Text(result.got, style=style)
        rows.add_row(mark(result.passed), result.name, result.expected, got)
    console.print(rows)
    _print_failed(run)
    console.print(_summary([run]))


def print_runs(runs: Sequence[Run]) -> None:
    """Print one line a folder, then every vector that differs with its line."""
    rows = table("", "scheme", "family", "vectors", "passed", "failed")
    for column in rows.columns[3:]:
        column.justify = "right"
    for run in runs:
        name = run.folder.resolve().name
        if run.city is None:
            where = described(run.refused.problems[0])[0] if run.refused else ""
            rows.add_row(mark(False), name, Text(f"does not load: {where}", style="red"))
            continue
        failed = len(run.failed)
        rows.add_row(
            mark(not failed),
            name,
            run.city.scheme.family,
            str(len(run.results)),
            str(len(run.results) - failed),
            Text(str(failed) if failed else "", style="bold red"),
        )
    console.print(rows)
    for run in runs:
        _print_failed(run)
        if run.refused is not None and run.refused.problems:
            problem = run.refused.problems[0]
            where, what = described(problem)
            hang(mark(False) + Text(f"{run.folder / where} "), what)
            hang("  fix: ", f"{problem.fix}; all problems: hutong scheme lint {run.folder}")
    console.print(_summary(runs))


def _print_failed(run: Run) -> None:
    for result in run.failed:
        line = run.city.vector_line(result.name) if run.city else 0
        where = f"{run.folder / VECTORS_FILE}:{line}"
        hang(mark(False) + Text(f"{where} ", style="bold"), result.name)
        hang("  expected ", result.expected)
        hang("  got      ", Text(result.got, style="bold red"))
        hang("  fix      ", Text(_fix(run, result), style="dim"))


def _fix(run: Run, result: VectorResult) -> str:
    """Which of the two to mend: what is expected, or the rule that decides."""
    if run.city is None:
        return ""
    vector = next(one for one in run.city.scheme.vectors if one.name == result.name)
    version = next((one for one in run.city.scheme.versions if one.in_force(vector.at)), None)
    states = [str(report["state"]) for report in vector.reports]
    if version is None:
        return "no version is in force at `at`: CANNOT_DETERMINE is what comes"
    for state in states:
        if state in version.states:
            line = run.city.version_line(version, "states", state)
            return f"correct `expect`, or the rule of {state}: {SCHEME_FILE}:{line}"
    line = run.city.version_line(version, "states")
    return f"correct `expect`, or map the state: {SCHEME_FILE}:{line}"


def _summary(runs: Sequence[Run]) -> Text:
    passed = sum(len(run.results) - len(run.failed) for run in runs)
    failed = sum(len(run.failed) for run in runs)
    refused = sum(1 for run in runs if run.refused)
    text = Text(f"{passed} passed, {failed} failed", style="bold")
    if len(runs) > 1:
        text.append(f" in {counted(len(runs), 'scheme')}")
    if refused:
        text.append(f", {refused} not loading", style="bold red")
    return text
