"""Settings of a process: one TOML file, over which the environment wins.

What every room's settings keep alike: unknown members are refused, so that a
typing error never becomes a default; nothing but the file and the environment is
read; a fault names its member and never the value that stands there.

Example::

    class GateSettings(FileSettings):
        model_config = SettingsConfigDict(env_prefix="HUTONG_GATE_")
        port: int = Field(default=7450, ge=0, le=65535)

    settings = check_members(GateSettings, read_toml(path), path)
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gateway.wire.files import FileError, read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_SETTINGS_BYTES: Final = 64 * 1024
"""A settings file is a page; anything larger is another file."""


class SettingsTable(BaseModel):
    """A table of a settings file, or a small file of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FileSettings(BaseSettings):
    """The whole of a settings file.

    A room sets its ``env_prefix``; a member of a table is ``PREFIX_TABLE__MEMBER``.
    """

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose members come in as arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


M = TypeVar("M", bound=SettingsTable | FileSettings)


def read_toml(path: Path) -> dict[str, Any]:
    """Read the members of a settings file.

    Raises:
        FileMissingError: there is none.
        FileError: it cannot be read, is too long, or is not TOML in UTF-8.
    """
    data = read_bounded(path, MAX_SETTINGS_BYTES)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FileError(
            f"{path} is not TOML: it is not UTF-8", fix="save the file as UTF-8"
        ) from None
    return parse_toml(text, path)


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Read the text that stands, or will stand, in a settings file.

    Raises:
        FileError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise FileError(f"{path} is not TOML: it is nested too deep") from None
    except ValueError as error:
        raise FileError(f"{path} is not TOML: {error}") from None


def check_members(kind: type[M], members: Mapping[str, Any], path: Path) -> M:
    """Make settings of the members of a file and, for :class:`FileSettings`, the environment.

    Args:
        kind: which settings.
        members: from :func:`read_toml`.
        path: the file, for the message.

    Raises:
        FileError: a member is missing, unknown or out of bounds.
    """
    try:
        # By their names alone: pydantic-settings takes `_cli_parse_args` and the
        # like from the same arguments and would obey the file.
        hidden = next((name for name in members if name.startswith("_")), None)
        if hidden is None:
            return kind(**members)
        faults = [(hidden, "Extra inputs are not permitted")]
    except ValidationError as error:
        faults = [
            (".".join(str(part) for part in fault["loc"]) or "the file", fault["msg"])
            for fault in error.errors(include_input=False, include_url=False)
        ]
    except SettingsError as error:  # a table in the environment that is not JSON
        raise FileError(f"{path}: the environment does not fit: {error}") from None
    raise FileError(
        f"{path}: " + "; ".join(f"{where}: {what}" for where, what in faults),
        fix=f"correct {', '.join(where for where, _ in faults)} in {path}",
    )
