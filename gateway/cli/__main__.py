"""``python -m gateway.cli``: the same as ``hutong``."""

from __future__ import annotations

from gateway.cli.main import main

main()
