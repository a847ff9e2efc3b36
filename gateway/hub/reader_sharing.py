"""What readers say, shared by all hub processes of one store.

Each process writes what it heard in groups, at most one a second, never one for each
reader, and reads what the others heard when somebody asks: nobody is woken for what
nobody looks at. A reader that says what came of a rehearsal is answered after its
group is written: it says it once, so it must not be lost with a process. How far a
reader is it says again anyway; a process that dies takes a second of that with it.

A process that was silent for half a minute counts as gone, with its watchers. What
readers said is forgotten after an hour: each speaks every five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from gateway.hub.readers import MAX_READERS
from gateway.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.hub.readers import Readers
    from gateway.store import Store

APART_SECONDS: Final = 1.0
"""Least time between two groups."""

ALIVE_SECONDS: Final = 10.0
"""A process says at least this often that it is there."""

GONE: Final = timedelta(seconds=30)
"""A process that was silent for so long is gone."""

KEEP: Final = timedelta(hours=1)
"""What readers said is forgotten then, here and in the store."""

FORGET_SECONDS: Final = 600.0
"""How often what is old is dropped from the store."""

_log = structlog.get_logger(__name__)


class ReaderSharing:
    """See the module. Run it beside what serves.

    Args:
        readers: what readers told this process.
        store: where the processes meet.
        watchers: how many readers watch the feed here, now.
        clock: the time, UTC.
        apart_seconds: least time between two groups.
    """

    def __init__(
        self,
        readers: Readers,
        store: Store,
        watchers: Callable[[], int],
        clock: Callable[[], datetime],
        *,
        apart_seconds: float = APART_SECONDS,
    ) -> None:
        self._readers = readers
        self._store = store
        self._watchers = watchers
        self._clock = clock
        self._apart_seconds = apart_seconds
        self._process = secrets.token_hex(8)
        self._woken = asyncio.Event()
        readers.on_news = self._woken.set
        self._group: asyncio.Future[None] | None = None
        self._said = -1
        self._others = 0
        self.groups = 0
        """Groups written since the start."""

    @property
    def watchers(self) -> int:
        """Readers that watch the feed, at all processes; the others' as of the last look."""
        return self._watchers() + self._others

    async def refresh(self, rehearsal: str = "") -> None:
        """Take in what the other processes heard.

        Args:
            rehearsal: names one that is under way, whose answers are wanted too.

        Raises:
            StoreError: the store cannot be read; what is known here is not the whole.
        """
        now = self._clock()
        self._readers.learn(await self._store.heard_readers(since=now - KEEP, limit=MAX_READERS))
        if rehearsal:
            answers = await self._store.heard_answers(rehearsal, limit=MAX_READERS)
            self._readers.learn_answers(rehearsal, answers)
        self._others = await self._store.other_watchers(self._process, since=now - GONE)

    async def written(self) -> None:
        """Wait until what was said up to here is written.

        Raises:
            StoreError: it could not be; it is tried again, and may be said again.
        """
        if self._group is None:
            self._group = asyncio.get_running_loop().create_future()
        self._woken.set()
        # Whoever is cancelled must not take the others with it.
        await asyncio.shield(self._group)

    async def run(self) -> None:
        """Write for ever."""
        loop = asyncio.get_running_loop()
        alive = forgotten = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._apart_seconds):
                    await self._woken.wait()
            is_due = self._store.is_shared and (
                self._watchers() != self._said or loop.time() - alive >= ALIVE_SECONDS
            )
            if is_due or self._woken.is_set():
                self._woken.clear()
                if await self._write():
                    alive = loop.time()
                await asyncio.sleep(self._apart_seconds)
            if loop.time() - forgotten >= FORGET_SECONDS:
                forgotten = loop.time()
                await self._forget()

    async def close(self) -> None:
        """Write what is left, and say that nobody watches here any more."""
        if self._readers.has_news:
            await self._write()
        with contextlib.suppress(StoreError):
            await self._store.forget_process(self._process)

    async def _write(self) -> bool:
        news, group = self._readers.take_news(), self._group
        self._group = None
        watchers = self._watchers()
        try:
            await self._store.say_readers(
                self._process,
                tuple(news.readers.values()),
                tuple(news.answers.values()),
                watchers=watchers,
                now=self._clock(),
            )
        except BaseException as error:
            self._readers.put_back(news)
            failed = isinstance(error, StoreError)
            if group is not None and not group.done():
                group.set_exception(error if failed else StoreError("the hub is stopping"))
                group.exception()  # who waited may be gone
            if not failed:
                raise
            _log.error("readers_not_written", readers=len(news.readers))
            if self._readers.has_news:
                self._woken.set()
            return False
        if group is not None and not group.done():
            group.set_result(None)
        self._said = watchers
        self.groups += 1
        return True

    async def _forget(self) -> None:
        before = self._clock() - KEEP
        try:
            # A rehearsal lives an hour, and whoever answered it first is still counted.
            await self._store.forget_readers(before=before, answers_before=before - KEEP)
        except StoreError as error:
            _log.error("readers_not_forgotten", code=error.code)
