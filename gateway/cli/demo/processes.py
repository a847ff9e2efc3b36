"""Child processes of the demo: started, watched, killed, and never left behind.

Each child runs in a session of its own, so that Ctrl-C reaches only the demo,
which then stops them in order. On Linux the kernel also ends a child whose
parent has died, however it died.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from gateway.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

START_SECONDS = 120.0
"""Longest a child may take to listen: a dozen start at once, on whatever machine."""
STOP_SECONDS = 10.0
"""Longest a child may drain; its own drain is shorter."""


class ProcessError(InternalError):
    """A process of the demo did not start, or ended early."""

    default_code = "DEMO_PROCESS"


_CHILD: Final = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv.pop(1)):
        sys.exit(1)
from gateway.cli import main
sys.argv[0] = "hutong"
main()
"""
"""What a child begins with: 1 is PR_SET_PDEATHSIG of linux/prctl.h.

The child says it itself, not between fork and exec, where nothing of Python may run:
the demo's own gRPC has threads by then.
"""


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
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    async def start(
        self, is_ready: Callable[[], Awaitable[bool]], *, timeout_seconds: float = START_SECONDS
    ) -> None:
        """Start it and wait until it answers.

        Raises:
            ProcessError: it ended, or did not answer in time; the log says why.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            # Not the event loop's way, which forks: gRPC does not outlive that.
            self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - takes milliseconds; our own words
                [
                    *(sys.executable, "-c", _CHILD),
                    *([str(os.getpid())] if sys.platform == "linux" else []),
                    *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
            )
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not await is_ready():
            if not self.is_running:
                raise ProcessError(
                    f"{self.name} ended while starting, {self._child.returncode}; see {self._log}"
                )
            if asyncio.get_running_loop().time() > deadline:
                raise ProcessError(f"{self.name} did not answer in time; see {self._log}")
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._child is not None and self.is_running:
            self._child.kill()
            await self._ended()

    async def stop(self) -> None:
        """Ask it to drain and leave; insist after ``STOP_SECONDS``."""
        if self._child is None or not self.is_running:
            return
        self._child.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def _ended(self) -> None:
        while self.is_running:  # noqa: ASYNC110 - a child that ends tells nobody here
            await asyncio.sleep(0.01)
