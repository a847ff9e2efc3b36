"""Which carried attestation stands at which entry of which status list: SQLite, one thread.

An attestation leaves only after its entry is on disk; otherwise a crash could hand the
same entry to somebody else, or leave one that nobody can revoke. What is asked for while
a transaction is being written goes into the next one together (group commit), so a busy
adapter pays for one ``fsync`` a batch and not a question.

What stands in it is an HMAC of the document under a key of its own, the entry and what a
distrust is about: no document, no name, no level. Rows live as long as their list.

One process at a time has the file; a second one is refused.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from adapters.sdk.errors import AdapterConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

VERSION: Final = 1
"""Of the tables, as ``PRAGMA user_version``."""

_SCHEMA: Final = """
CREATE TABLE lists (
  id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL UNIQUE,
  bits INTEGER NOT NULL, size INTEGER NOT NULL,
  opened_at INTEGER NOT NULL, closes_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,
  sequence INTEGER NOT NULL, base TEXT NOT NULL);
CREATE TABLE issued (
  list INTEGER NOT NULL, entry INTEGER NOT NULL, person BLOB NOT NULL,
  issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, serial INTEGER NOT NULL,
  ground INTEGER NOT NULL, status INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (list, entry)) WITHOUT ROWID;
CREATE INDEX issued_person ON issued (person);
CREATE TABLE decoys (
  list INTEGER NOT NULL, entry INTEGER NOT NULL, status INTEGER NOT NULL,
  PRIMARY KEY (list, entry)) WITHOUT ROWID;
CREATE TABLE grounds (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_R = TypeVar("_R")


class HeldError(AdapterConfigError):
    """Another process of this adapter has the file."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """A list as it is kept; times are seconds since the epoch.

    Attributes:
        id: its number here.
        uri: its name.
        bits: of an entry.
        size: its entries.
        opened_at: when.
        closes_at: no entry is given out from then on.
        ends_at: nothing that names it lives from then on.
        sequence: of the newest statement.
        base: the token that statements count from.
    """

    id: int
    uri: str
    bits: int
    size: int
    opened_at: int
    closes_at: int
    ends_at: int
    sequence: int
    base: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedRow:
    """One carried attestation.

    Attributes:
        list: number of the list.
        entry: in the list.
        person: HMAC of the document.
        issued_at: seconds since the epoch, as the two below.
        expires_at: exclusive.
        serial: number of its lot.
        ground: what a distrust is about: schemes, divisions and key, as one text.
    """

    list: int
    entry: int
    person: bytes = field(repr=False)
    issued_at: int
    expires_at: int
    serial: int
    ground: str


Job = "Callable[[sqlite3.Connection], Any]"
"""Work inside a transaction."""


class IssuedStore:
    """The file; see the module.

    Args:
        path: None: in memory, for one process's life.

    Raises:
        HeldError: another process has it.
        AdapterConfigError: it cannot be opened, or was written by another version.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock_fd: int | None = None
        self._queue: deque[tuple[Any, Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._grounds: dict[str, int] = {}
        if path is not None:
            self._take_lock(path)
        self._thread = threading.Thread(target=self._work, name="issued", daemon=True)
        opened: Future[None] = Future()
        self._opened = opened
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self._release()
            raise

    def submit(self, job: Callable[[sqlite3.Connection], _R]) -> Future[_R]:
        """Do something in the next transaction; done when that is on disk."""
        done: Future[_R] = Future()
        with self._wake:
            if self._closing:
                raise RuntimeError("the store is closed")
            self._queue.append((job, done))
            self._wake.notify()
        return done

    async def run(self, job: Callable[[sqlite3.Connection], _R]) -> _R:
        """The same, waited for."""
        return await asyncio.wrap_future(self.submit(job))

    def write(self, rows: Iterable[IssuedRow]) -> Future[None]:
        """Write attestations; done when they are on disk."""
        held = list(rows)

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO issued (list, entry, person, issued_at, expires_at, serial, ground)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        row.list,
                        row.entry,
                        row.person,
                        row.issued_at,
                        row.expires_at,
                        row.serial,
                        self._ground(connection, row.ground),
                    )
                    for row in held
                ],
            )

        return self.submit(job)

    async def read(self, query: Callable[[sqlite3.Connection], _R]) -> _R:
        """Read beside the writer, so that a long count holds up no answer."""
        if self._path is None:
            return await self.run(query)
        return await asyncio.to_thread(self._read, query)

    def close(self) -> None:
        """Finish what was asked for and close the file."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._release()

    def _read(self, query: Callable[[sqlite3.Connection], _R]) -> _R:
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            return query(connection)
        finally:
            connection.close()

    def _take_lock(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Made before SQLite does, so that only its owner reads it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except BlockingIOError:
            self._release()
            raise HeldError(f"{path} is held by another process of this adapter") from None
        except OSError:
            self._release()
            raise AdapterConfigError(f"{path} cannot be opened") from None

    def _release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _work(self) -> None:
        try:
            connection = self._open()
        except AdapterConfigError as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                is_over = not self._queue
                # Who does not wait any more has not been answered, so nothing is owed.
                batch = [one for one in self._queue if one[1].set_running_or_notify_cancel()]
                self._queue.clear()
            if is_over:
                break
            if batch:
                self._commit(connection, batch)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[tuple[Any, Future[Any]]]) -> None:
        """Do a batch in one transaction; where that fails, each in its own."""
        try:
            results = _transact(connection, [job for job, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self._grounds.clear()
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for one in batch:
                self._commit(connection, [one])
            return
        for (_, done), result in zip(batch, results, strict=True):
            done.set_result(result)

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path or ":memory:", isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            # FULL: what is committed survives a power cut, not only a crash.
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=10000")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
            elif version != VERSION:
                raise AdapterConfigError(f"{self._path} was written by another version")
        except sqlite3.Error:
            raise AdapterConfigError(f"{self._path} is no list of what was issued") from None
        return connection

    def _ground(self, connection: sqlite3.Connection, text: str) -> int:
        found = self._grounds.get(text)
        if found is None:
            connection.execute("INSERT OR IGNORE INTO grounds (text) VALUES (?)", (text,))
            row = connection.execute("SELECT id FROM grounds WHERE text = ?", (text,)).fetchone()
            found = int(row[0])
            if len(self._grounds) >= _MAX_GROUNDS:
                self._grounds.clear()
            self._grounds[text] = found
        return found


_MAX_GROUNDS: Final = 10_000


def _transact(connection: sqlite3.Connection, jobs: list[Any]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [job(connection) for job in jobs]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results
