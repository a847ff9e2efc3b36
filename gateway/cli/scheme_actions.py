"""What ``hutong scheme`` and ``hutong adapter`` do alike: show a scheme, run its vectors.

The two groups differ in the words of the way out they name, which is why each action
is told its group.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from gateway.cli.scheme_files import fail_scheme
from gateway.cli.scheme_runs import exit_of, print_vectors, run_folders
from gateway.cli.scheme_view import print_scheme, scheme_json
from gateway.cli.terminal import Exit, fail_with, print_json
from gateway.codes.scheme_model import SchemeError
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import SchemeVersion

_DATE_LENGTH = len("2020-03-24")


def show_city(city: City, at: str | None, *, as_json: bool, group: str = "scheme") -> None:
    """Show a scheme, or the version of it that was in force at a moment."""
    versions = versions_at(city, at, group=group)
    if as_json:
        print_json(scheme_json(city, versions))
    else:
        print_scheme(city, versions, datetime.now(UTC))


def run_one(folder: Path, *, as_json: bool, group: str = "scheme") -> None:
    """Run the vectors of one folder.

    Raises:
        typer.Exit: 1 where one differs, 2 where the scheme does not load.
    """
    try:
        (run,) = run_folders([folder])
    except HutongError as error:
        fail_with(error)
    if run.refused is not None:
        fail_scheme(run.refused, folder, group=group)
    if as_json:
        print_json(run.to_json())
    else:
        print_vectors(run)
    if exit_of([run]) is not Exit.OK:
        raise typer.Exit(exit_of([run]))


def reference_secrets(city: City) -> Mapping[str, str]:
    """The synthetic secrets of a shipped city's reference platform; empty for any other.

    With them its replies can be read even where they are sealed.
    """
    from adapters.platforms import CREDENTIALS
    from adapters.schemes import SCHEMES_FOLDER

    is_shipped = city.folder.resolve() == (SCHEMES_FOLDER / city.name).resolve()
    return CREDENTIALS[city.name] if is_shipped and city.name in CREDENTIALS else {}


def versions_at(city: City, at: str | None, *, group: str = "scheme") -> list[SchemeVersion]:
    """Return every version, or the one in force at a moment."""
    if at is None:
        return list(city.scheme.versions)
    try:
        return [city.scheme.version_at(parse_moment(at, city.scheme.timezone))]
    except SchemeError as error:
        command = f"hutong {group} {'explain' if group == 'adapter' else 'show'}"
        fail_with(error, fix=f"`{command}` without --at shows all versions")


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """Read a date, 00:00 in a zone, or a time with offset.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and len(text) == _DATE_LENGTH:
            moment = moment.replace(tzinfo=zone)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or none that UTC can name
        pass
    raise typer.BadParameter(
        "write a date, 2020-03-24, or a time with offset, 2020-03-24T12:00:00+08:00"
    )
