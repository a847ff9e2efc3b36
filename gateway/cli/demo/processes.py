"""Child processes of the demo: started, watched, killed, and never left behind.

Each child runs in a session of its own, so that Ctrl-C reaches only the demo,
which then stops them in order. On Linux the kernel also ends a child whose
parent has died, however it died.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

from gateway.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
START_SECONDS = 120.0
"""Longest a child may take to listen: a dozen start at once, on whatever machine."""
STOP_SECONDS = 10.0
"""Longest a child may drain; its own drain is shorter."""


class ProcessError(InternalError):
    """A process of the demo did not start, or ended early."""

    default_code = "DEMO_PROCESS"


# Found here, because between fork and exec nothing may be loaded: other threads run.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One child running a command of ours.

    Args:
        name: what it is called in messages.
        arguments: words after ``hutong``.
        log: where its output goes.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._log = log
        self._child: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(
        self, is_ready: Callable[[], Awaitable[bool]], *, timeout_seconds: float = START_SECONDS
    ) -> None:
        """Start it and wait until it answers.

        Raises:
            ProcessError: it ended, or did not answer in time; the log says why.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.cli",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
            )
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not await is_ready():
            if not self.is_running:
                raise ProcessError(f"{self.name} ended while starting; see {self._log}")
            if asyncio.get_running_loop().time() > deadline:
                raise ProcessError(f"{self.name} did not answer in time; see {self._log}")
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._child is not None and self.is_running:
            self._child.kill()
            await self._child.wait()

    async def stop(self) -> None:
        """Ask it to drain and leave; insist after ``STOP_SECONDS``."""
        if self._child is None or not self.is_running:
            return
        self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
        except TimeoutError:
            await self.kill()
