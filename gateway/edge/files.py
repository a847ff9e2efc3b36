"""Small files of a checkpoint: read within bounds, refused in the checkpoint's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.edge.errors import SettingsError
from gateway.wire import files

if TYPE_CHECKING:
    from pathlib import Path


def read_bounded(path: Path, limit_bytes: int, what: str) -> bytes:
    """Read a small file that the settings name.

    Raises:
        SettingsError: it cannot be read, or it is longer than ``limit_bytes``.
    """
    with files.refused_as(SettingsError):
        return files.read_bounded(path, limit_bytes, what)
