"""One result, several shapes: JSON is the source; terminal and JUnit derive from it."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from rich.table import Table

from conformance_tests.model import BAD, Exit, Result, Role, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT_VERSION = 1
"""Version of the JSON result; raised when a member changes its meaning."""

_STYLE = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.NOT_APPLICABLE: "dim",
}


def suite_version() -> str:
    """Version of the installed suite."""
    try:
        return version("hutong")
    except PackageNotFoundError:
        return "unknown"


def verdict(results: Sequence[Result]) -> Exit:
    """Conformant when nothing failed and something was checked."""
    if any(result.status in BAD for result in results):
        return Exit.NOT_CONFORMANT
    if not any(result.status is Status.PASS for result in results):
        return Exit.COULD_NOT_RUN
    return Exit.CONFORMANT


def to_json(role: Role, target: str, results: Sequence[Result]) -> dict[str, Any]:
    """The versioned result; holds no personal value."""
    return {
        "report": REPORT_VERSION,
        "suite": suite_version(),
        "role": str(role),
        "target": target,
        "conformant": verdict(results) is Exit.CONFORMANT,
        "counts": dict(Counter(str(result.status) for result in results)),
        "results": [
            {
                "id": result.case.id,
                "title": result.case.title,
                "requirements": list(result.case.requirements),
                "severity": str(result.case.severity),
                "status": str(result.status),
                "detail": result.detail,
                "milliseconds": result.milliseconds,
            }
            for result in results
        ],
    }


def to_table(results: Sequence[Result]) -> Table:
    """The result as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "status", "what must hold", "seen"):
        table.add_column(heading, no_wrap=heading in {"check", "status"})
    for result in results:
        style = _STYLE.get(result.status, "bold red")
        status = f"[{style}]{result.status}[/]"
        table.add_row(result.case.id, status, result.case.title, result.detail)
    return table


def to_junit(role: Role, results: Sequence[Result]) -> bytes:
    """The result as JUnit XML, for build servers."""
    suite = ET.Element(
        "testsuite",
        name=f"hutong-conformance {role}",
        tests=str(len(results)),
        failures=str(sum(result.status in BAD for result in results)),
        skipped=str(sum(result.status is Status.NOT_APPLICABLE for result in results)),
    )
    for result in results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"hutong.{role}",
            name=f"{result.case.id} {result.case.title}",
            time=f"{result.milliseconds / 1000:.3f}",
        )
        if result.status in BAD:
            ET.SubElement(case, "failure", type=str(result.status), message=result.detail)
        elif result.status is Status.NOT_APPLICABLE:
            ET.SubElement(case, "skipped", message=result.detail)
    ET.indent(suite)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))
