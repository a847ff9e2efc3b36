"""One folder for each local code system: its scheme, its vectors, its odd wire."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SCHEMES_FOLDER: Final = Path(__file__).parent
"""Holds ``CITY/scheme.yaml`` and ``CITY/vectors.yaml``."""
