"""YAML as the suite reads it: its own files, and the profile of whoever runs it.

libyaml reads them where PyYAML comes with it: the reader in Python takes ten times as
long, which every start of the suite would pay. What libyaml refuses, that reader is asked
about, since it says better on which line.
"""

from __future__ import annotations

from typing import Any

import yaml

_QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(data: bytes | str) -> Any:
    """Read one document of plain values; raises ``yaml.YAMLError``."""
    try:
        return yaml.load(data, _QUICK)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError:
        return yaml.safe_load(data)
