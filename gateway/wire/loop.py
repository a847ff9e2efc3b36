"""The event loop of a process: uvloop where it is installed.

uvloop carries 1.14 times the calls of asyncio's own loop (measured; the study
is summed up in docs/adr). It does not exist for every system, so its absence
is no fault.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What asks a process to drain: supervisors send the first, terminals the second."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop: uvloop's, or asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415  optional on some systems
    except ImportError:  # pragma: no cover - depends on the system
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine on the fastest loop there is."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main)
    finally:
        # At the end of a process gRPC's core waits two seconds for objects that nobody has
        # let go of; those of asyncio stand in cycles, which only this finds.
        gc.collect()


def stop_on_signals(stop: Callable[[], None]) -> Callable[[], None]:
    """Call ``stop`` in the running loop at SIGTERM or SIGINT.

    Returns:
        What takes the handlers off again.
    """
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)

    def restore() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    return restore
