"""``python -m conformance_tests``: the same as ``hutong-conformance``."""

from __future__ import annotations

from conformance_tests.cli import main

main()
