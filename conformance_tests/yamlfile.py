"""YAML as the suite reads it, by libyaml where PyYAML comes with it.

Its own files and the profile of whoever runs it: plain values, no tags. The reader in
Python takes ten times as long, which every start of the suite would pay.
"""

from __future__ import annotations

from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(data: bytes | str) -> Any:
    """Read one document; raises ``yaml.YAMLError``."""
    return yaml.load(data, _LOADER)  # noqa: S506 - both are safe loaders
