"""The command line ``hutong``: thin, one module a group, loaded on demand.

A group is imported only when one of its commands (or its help) is asked for, so
that ``hutong checkpoint verify`` at a gate does not pay for the hub. Each module
exposes a typer application named ``app``.
"""

from __future__ import annotations

from gateway.cli.main import main as main
