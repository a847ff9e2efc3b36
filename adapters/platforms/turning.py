"""People whose state an operator turns, and the door that tells who was turned.

A reference platform draws everybody's state from a seed, so nobody would ever turn red
under a visitor's eyes. An operator may turn a person, as a tracing office would; from
then on the platform says so, and its change feed tells whoever asks.

No source shows a change feed of a real city. Our choice, the same in every city, behind
the city's own authentication::

    GET /changes?after=CURSOR&wait=20

    {"next":"3f9a-17","reset":false,"more":false,"changes":[
      {"number":"…","states":["红码"],"kinds":[""],"at":"2020-06-01T04:00:00Z"}]}

Without ``after`` nothing is told but the cursor of this moment. ``wait`` is how many
seconds the call may be held while there is nothing to tell. ``more`` says that an answer
leaves out what happened since, for its length. A cursor that the platform
does not know, or whose changes it has forgotten, is answered with ``reset``: what
happened since cannot be told one by one, and ``GET /catalogue`` tells who is not green.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from adapters.platforms.faulty import refused_by
from adapters.platforms.server import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from adapters.platforms.base import AnyCity
    from adapters.platforms.people import Person
    from adapters.platforms.records import Record

KEPT_CHANGES: Final = 10_000
"""Changes that are still told; who was away for longer reads the catalogue."""
MAX_WAIT_SECONDS: Final = 60
_MOST_AT_ONCE: Final = 500
_MAX_CURSOR_CHARACTERS: Final = 64


class Changes:
    """The states that operators set, and the list of who was turned.

    Args:
        kept: changes that are still told.
    """

    def __init__(self, kept: int = KEPT_CHANGES) -> None:
        # Another process counts from the beginning again, so cursors name the process.
        self._epoch = secrets.token_hex(4)
        self._told: deque[dict[str, object]] = deque(maxlen=kept)
        self._count = 0
        self._records: dict[int, Record] = {}
        self._turned = asyncio.Event()

    def record_of(self, person: Person) -> Record | None:
        """The record that was set; None: as drawn."""
        return self._records.get(person.index)

    def turn(self, person: Person, record: Record | None) -> None:
        """Set a person's record; None: as drawn again. Told with :meth:`tell`."""
        if record is None:
            self._records.pop(person.index, None)
        else:
            self._records[person.index] = record

    def tell(self, number: str, records: tuple[Record, ...], at: datetime) -> None:
        """Tell what a person's records are now."""
        self._count += 1
        self._told.append(
            {
                "number": number,
                "states": [record.state for record in records],
                "kinds": [record.kind for record in records],
                "at": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
        )
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def forget(self) -> None:
        """Lose the list, as a platform that starts anew does; states stay as they are."""
        self._epoch = secrets.token_hex(4)
        self._told.clear()
        self._count = 0

    async def page(self, after: str | None, wait_seconds: float) -> dict[str, object]:
        """What was told after a cursor; waits a while for something to tell."""
        if after is None:
            return self._page([], self._count)
        place = self._place(after)
        if place is not None and place == self._count and wait_seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._turned.wait()
            place = self._place(after)
        if place is None:
            return {**self._page([], self._count), "reset": True}
        first = self._count - len(self._told)
        changes = list(self._told)[place - first : place - first + _MOST_AT_ONCE]
        return self._page(changes, place + len(changes))

    def _page(self, changes: list[dict[str, object]], place: int) -> dict[str, object]:
        return {
            "next": f"{self._epoch}-{place}",
            "reset": False,
            "more": place < self._count,
            "changes": changes,
        }

    def _place(self, cursor: str) -> int | None:
        """The place of a cursor; None: not ours, or what follows it is forgotten."""
        epoch, _, text = cursor.partition("-")
        if epoch != self._epoch or not (text.isascii() and text.isdigit()):
            return None
        place = int(text)
        return place if self._count - len(self._told) <= place <= self._count else None


async def changes_page(platform: AnyCity, query: Mapping[str, str]) -> web.Response:
    """One answer of the change feed.

    Args:
        platform: whose.
        query: ``after``, the last answer's ``next``; ``wait``, seconds.
    """
    after, wait = query.get("after"), query.get("wait", "0")
    is_known = wait.isascii() and wait.isdigit() and int(wait[:4]) <= MAX_WAIT_SECONDS
    if not is_known or len(after or "") > _MAX_CURSOR_CHARACTERS:
        problem = f"after is a cursor, wait 0 to {MAX_WAIT_SECONDS}"
        return json_response({"error": problem}, HTTPStatus.BAD_REQUEST)
    refusal = refused_by(platform.faults)
    if refusal is not None:
        return json_response(
            {"error": str(refusal), "code": platform.code(refusal)}, HTTPStatus.TOO_MANY_REQUESTS
        )
    return json_response(await platform.changes.page(after, float(wait)))
