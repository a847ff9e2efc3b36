"""Who waits for answers at the hub: an edge's stream, or one unary call.

Both keep the questions they have in flight and give back what their member may
have in flight in all. A link takes a question out of ``in_flight`` before it
pushes its answer; an asker that withdraws tells the links.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.hub.answers import refusals
from gateway.wire.coalesce import Coalescer
from gateway.wire.fragments import Run, run_bytes, run_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.hub.adapter_link import AdapterLink, Entry
    from gateway.hub.delegation import Admission
    from gateway.wire.errors import RpcFailure


class Caller:
    """What all streams of one member share."""

    __slots__ = ("in_flight",)

    def __init__(self) -> None:
        self.in_flight = 0


class EdgeStream:
    """One open ``QueryStream``: its questions in flight and its answers in waiting."""

    def __init__(self, admission: Admission, caller: Caller, max_unread_answers: int) -> None:
        self.admission = admission
        self.caller = caller
        self.in_flight: dict[int, Entry] = {}
        self.answers: Coalescer[Run] = Coalescer(
            capacity=max_unread_answers, size=run_bytes, count=run_count
        )
        self.failure: Exception | None = None
        self.reader: asyncio.Task[None] | None = None
        self._ending = False

    def push(self, answers: Run) -> None:
        """Take answers of questions that were in flight."""
        self.caller.in_flight -= answers.items
        if not self.answers.closed:
            self.answers.push_one(answers)
            if self._ending and not self.in_flight:
                self.answers.close()

    def refuse(self, items: Sequence[int], failure: RpcFailure) -> None:
        """Answer items that never were in flight."""
        if items and not self.answers.closed:
            self.answers.push_one(refusals(items, failure))

    def end(self, failure: Exception | None = None) -> None:
        """Read no further; end when the last answer has left.

        Args:
            failure: what the stream ends with; None: it ends well.
        """
        if self._ending:
            return
        self._ending = True
        self.failure = failure
        if self.reader is not None and self.reader is not asyncio.current_task():
            self.reader.cancel()
        if not self.in_flight:
            self.answers.close()

    def stop(self, failure: Exception) -> None:
        """End at once: what is in flight is withdrawn, what waits is dropped."""
        self.end(failure)
        self.failure = failure
        self.withdraw_all()
        self.answers.abort()

    def withdraw(self, ids: Iterable[int]) -> None:
        """Forget questions their edge no longer waits for."""
        gone = [entry for item in ids if (entry := self.in_flight.pop(item, None)) is not None]
        _withdraw(self.caller, gone)

    def withdraw_all(self) -> None:
        """Forget every question in flight."""
        gone = list(self.in_flight.values())
        self.in_flight.clear()
        _withdraw(self.caller, gone)


class UnaryAsker:
    """One unary call, in the shape of a stream with one question."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.in_flight: dict[int, Entry] = {}
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def push(self, answers: Run) -> None:
        """Take the answer."""
        self.caller.in_flight -= answers.items
        if not self.answer.done():
            self.answer.set_result(answers.data)

    def withdraw_all(self) -> None:
        """Forget the question if it is still in flight."""
        gone = list(self.in_flight.values())
        self.in_flight.clear()
        _withdraw(self.caller, gone)


def _withdraw(caller: Caller, entries: list[Entry]) -> None:
    caller.in_flight -= len(entries)
    by_link: dict[AdapterLink, list[Entry]] = {}
    for entry in entries:
        by_link.setdefault(entry[3], []).append(entry)
    for link, gone in by_link.items():
        link.withdraw(gone)
