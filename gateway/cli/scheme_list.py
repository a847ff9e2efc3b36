"""The list of schemes: who speaks for whom, what is in force, how much was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from gateway.cli.scheme_files import counted, described, read_scheme_folder
from gateway.cli.scheme_look import block, mark, table
from gateway.cli.scheme_measure import measure
from gateway.cli.terminal import console, fail_with
from gateway.codes.scheme_model import SchemeError
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion

_WIDE = 110
"""Columns from which the list shows everything; below, what identifies a scheme."""

Refused = tuple["Path", SchemeError]


def read_all(folders: Sequence[Path]) -> tuple[list[City], list[Refused]]:
    """Read every folder; what does not load is told apart, not dropped."""
    cities: list[City] = []
    refused: list[Refused] = []
    for folder in folders:
        try:
            cities.append(read_scheme_folder(folder))
        except SchemeError as error:
            refused.append((folder, error))
        except HutongError as error:
            fail_with(error)
    return cities, refused


def list_json(cities: Sequence[City], refused: Sequence[Refused], now: datetime) -> dict[str, Any]:
    """The list, JSON-able."""
    return {
        "schemes": [_row_json(city, now) for city in cities],
        "not_loading": [
            {"folder": str(folder), "problems": len(error.problems)} for folder, error in refused
        ],
    }


def print_list(cities: Sequence[City], refused: Sequence[Refused], now: datetime) -> None:
    """Print the list; on a narrow terminal without the lines that were written."""
    is_wide = console.width >= _WIDE
    extra = ("authority", "versions", "vectors", "YAML", "Python") if is_wide else ()
    rows = table("scheme", "family", "name 名称", "in force", "states", *extra)
    for column in rows.columns:
        column.no_wrap = column.header in ("scheme", "family")
        if column.header in ("versions", "vectors", "YAML", "Python"):
            column.justify = "right"
    for city in cities:
        rows.add_row(*_cells(city, now, is_wide=is_wide))
    console.print(rows)
    for folder, error in refused:
        where, what = described(error.problems[0]) if error.problems else ("", str(error))
        line = mark(False) + Text.assemble((folder.name, "bold"), f" does not load: {where} {what}")
        console.print(line, soft_wrap=True)
    free = sum(1 for city in cities if not measure(city).needs_python)
    console.print(
        f"{counted(len(cities), 'scheme')}, {free} of them without a line of Python", style="bold"
    )


def _cells(city: City, now: datetime, *, is_wide: bool) -> list[Text | str]:
    scheme = city.scheme
    version = _in_force(city, now)
    joint = "  " if is_wide else "\n"
    cells: list[Text | str] = [
        Text(city.name, style="bold"),
        scheme.family,
        Text.assemble(scheme.name_zh, joint, (scheme.name_en, "dim")),
        _version_text(version),
        _levels(version),
    ]
    if is_wide:
        effort = measure(city)
        cells += [
            scheme.authority,
            str(len(scheme.versions)),
            str(len(scheme.vectors)),
            str(effort.scheme),
            Text(effort.python_words, style="" if effort.needs_python else "green"),
        ]
    return cells


def _in_force(city: City, now: datetime) -> SchemeVersion | None:
    return next((one for one in city.scheme.versions if one.in_force(now)), None)


def _version_text(version: SchemeVersion | None) -> Text:
    if version is None:
        return Text("none", style="yellow")
    return Text(version.id.partition("@")[2])


def _levels(version: SchemeVersion | None) -> Text:
    """One block a state, so that the shape of a scheme is seen at once."""
    text = Text()
    for rule in version.states.values() if version is not None else ():
        sign = block(str(rule.level or rule.outcome))
        text.append(sign.plain.strip(), style=sign.style)
    return text


def _row_json(city: City, now: datetime) -> dict[str, Any]:
    scheme, effort = city.scheme, measure(city)
    version = _in_force(city, now)
    return {
        "city": city.name,
        "folder": str(city.folder),
        "family": scheme.family,
        "name": {"zh": scheme.name_zh, "en": scheme.name_en},
        "authority": scheme.authority,
        "prefixes": list(scheme.prefixes),
        "versions": [one.id for one in scheme.versions],
        "in_force": version.id if version is not None else None,
        "states": [rule.state for rule in version.states.values()] if version else [],
        "vectors": len(scheme.vectors),
        "lines": {
            "scheme": effort.scheme,
            "connector": effort.connector,
            "vectors": effort.vectors,
            "python": effort.python,
        },
        "python_shared_with": effort.shared_with,
        "needs_python": effort.needs_python,
    }
