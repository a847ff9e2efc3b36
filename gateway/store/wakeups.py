"""Hub processes on one PostgreSQL wake one another: no polling, no storm.

Every change of the registry ends with a ``NOTIFY`` in its own transaction, so
that it arrives after the commit or not at all. :class:`Wakeups` holds one
connection that listens; however many notices come while somebody is looking,
one more look follows. A notice says nothing but "look": what changed is read from
the tables, in order, so a lost notice loses nothing.

The connection may break at any time. It is made again with growing pauses, and
every new one begins with a look, because what was notified in between is gone.

:class:`Turn` makes one process of several do what only one should: a session
that waits for PostgreSQL's advisory lock, which the server hands on the moment
its holder's connection is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL: Final = "hutong_hub"
"""Of the notices; a channel belongs to one database."""

NOTIFY: Final = f"NOTIFY {CHANNEL}"
"""Ends every change; several in one transaction are one notice."""

TURN_LOCK: Final = 0x4875746F6E68
"""Key of the advisory lock of :class:`Turn`: the one of the migrations, plus one."""

PROBE_SECONDS: Final = 20.0
"""A dead line that nobody closed is found by asking; a server restart at once."""

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 10.0
"""Pauses between attempts double from the first to the longest."""

_log = structlog.get_logger(__name__)


class Wakeups:
    """See the module. Run it beside what waits.

    Args:
        url: of the database, as SQLAlchemy has it.
        jitter: a number in [0, 1) that spreads reconnections.
    """

    def __init__(self, url: URL, *, jitter: Callable[[], float]) -> None:
        self._url = url
        self._jitter = jitter
        self._woken = asyncio.Event()
        self.listening = asyncio.Event()
        """Set while the connection stands."""
        self.notices = 0
        """Notices since the start, for the metrics and the tests."""

    async def wait(self, seconds: float) -> bool:
        """Wait for a reason to look; clears it.

        Returns:
            False: the time ran out without one.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def run(self) -> None:
        """Listen for ever."""

        async def listen(driver: Any, lost: asyncio.Event) -> None:
            await driver.add_listener(CHANNEL, self._take)
            self.listening.set()
            # What was notified while nobody listened is gone.
            self._woken.set()
            try:
                await _hold(driver, lost)
            finally:
                self.listening.clear()

        await _keep(self._url, listen, self._jitter)

    def _take(self, *_: object) -> None:
        self.notices += 1
        self._woken.set()


class Turn:
    """One process of several at a time; on a database of one's own always.

    Args:
        url: of the PostgreSQL database; None: nobody else is there.
        jitter: a number in [0, 1) that spreads reconnections.
    """

    def __init__(self, url: URL | None, *, jitter: Callable[[], float]) -> None:
        self._url = url
        self._jitter = jitter
        self.is_ours = False
        """Whether this process has the turn now."""

    async def run(self, work: Callable[[], Any]) -> None:
        """Run work whenever it is this process's turn; cancel it when the turn is lost.

        Args:
            work: makes the coroutine; it should go on for ever.
        """
        if self._url is None:
            self.is_ours = True
            await work()
            return

        async def take(driver: Any, lost: asyncio.Event) -> None:
            # The server wakes the next in line: nobody asks again and again.
            await driver.execute(f"SELECT pg_advisory_lock({TURN_LOCK})")
            self.is_ours = True
            task = asyncio.ensure_future(work())
            holding = asyncio.ensure_future(_hold(driver, lost))
            try:
                await asyncio.wait({task, holding}, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    task.result()  # raises what ended the work, so that the log has it
            finally:
                self.is_ours = False
                task.cancel()
                holding.cancel()
                await asyncio.gather(task, holding, return_exceptions=True)

        await _keep(self._url, take, self._jitter)


async def _hold(driver: Any, lost: asyncio.Event) -> None:
    """Return or raise when the connection is gone."""
    while True:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await lost.wait()
        except TimeoutError:
            await driver.execute("SELECT 1", timeout=PROBE_SECONDS)
        else:
            return


async def _keep(
    url: URL, use: Callable[[Any, asyncio.Event], Any], jitter: Callable[[], float]
) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            async with _connection(url) as (driver, lost):
                pause = FIRST_PAUSE_SECONDS
                await use(driver, lost)
        except Exception as error:  # noqa: BLE001  the driver's own, the system's, SQLAlchemy's
            _log.warning("store_session_lost", error=type(error).__name__)
        await asyncio.sleep(pause * (0.5 + jitter() / 2))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


@asynccontextmanager
async def _connection(url: URL) -> AsyncIterator[tuple[Any, asyncio.Event]]:
    """A connection outside every pool, and an event that says it is gone."""
    engine = create_async_engine(url, poolclass=NullPool)
    connection: AsyncConnection | None = None
    try:
        connection = await engine.connect()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        lost = asyncio.Event()
        driver.add_termination_listener(lambda _: lost.set())
        try:
            yield driver, lost
        finally:
            # Not closed politely: listeners and locks go with it, and the line may be dead.
            driver.terminate()
    finally:
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, OSError):
                await connection.invalidate()
                await connection.close()
        await engine.dispose()
