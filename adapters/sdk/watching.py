"""Following a platform's change feed: whoever is no longer green loses what was issued.

The feed is asked again and again with the cursor of the last answer, and holds the call
while there is nothing to tell, so that a change arrives at once
(``adapters/platforms/turning.py``; no source shows the feed of a real city). An answer is
worked off before its cursor is kept: after a fault or a restart it is told once more, and
a revocation told twice is one.

A feed that cannot say what happened since a cursor says ``reset``. Then everybody whom
the platform's catalogue lists loses what was issued, before anything else is followed;
where there is no catalogue, everybody does. The same at the first start over a file that
holds something live. So a gap never leaves an old green standing.

Up to when the feed was followed stands on the ledger's board, so that the hub hears of a
platform that is away (HT-ADP-23): the moment at which the feed was asked whose answer left
nothing to tell. An answer that says ``more`` leaves something.

A person is green when every state that the feed names for them is, by the scheme in
force, GREEN; a state that it does not know is none. A state that is an outcome and no
level puts on hold, where the lists have room for that.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Protocol, runtime_checkable

import msgspec
import structlog

from adapters.sdk.catalogue import CatalogueDoor, listed_numbers
from adapters.sdk.reports import Deadline, OutcomeReport
from gateway.catalogue.errors import CatalogueSourceError
from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document
from gateway.codes.levels import Level
from gateway.codes.scheme_model import SchemeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from adapters.sdk.issued import IssuedLedger
    from adapters.sdk.upstream import UpstreamReply
    from gateway.codes.scheme_model import Scheme

WAIT_SECONDS: Final = 10
"""How long a platform may hold the call; below the longest that a call may take. What was
asked that long ago is the newest that is certain, and a hub waits for a minute (HT-FEED-40):
two such calls and a heartbeat leave it half of that."""
CALL_SECONDS: Final = 30.0
"""Longest a call may take, so that a dead line is noticed."""
CURSOR: Final = "changes.cursor"
"""Under which name the ledger remembers where the feed was."""

_FIRST_RETRY_SECONDS: Final = 0.25
_LONGEST_RETRY_SECONDS: Final = 15.0
_TYPE: Final = DocumentType.RESIDENT_IDENTITY_CARD

_log = structlog.get_logger(__name__)


@runtime_checkable
class ChangeDoor(Protocol):
    """Asks a platform's change feed; a connector in Python may be one."""

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        """Make the call ``GET path`` with these query fields and the city's own proof.

        Never raises for anything the platform did.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ChangeSource(Protocol):
    """Tells a ledger whom to revoke, and its board up to when that is complete.

    Until it calls ``ledger.board.follow``, and whenever it stops, the region counts as one
    whose platform is not heard.
    """

    async def follow(self, ledger: IssuedLedger) -> None:
        """Revoke in the ledger as changes come; until cancelled."""
        ...

    async def close(self) -> None:
        """Let go of what was opened."""
        ...


_Word = Annotated[str, msgspec.Meta(max_length=64)]


class _Change(msgspec.Struct):
    number: Annotated[str, msgspec.Meta(max_length=64)]
    states: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=16)
    ]
    kinds: list[str] = []
    type: int = int(_TYPE)


class _Page(msgspec.Struct):
    next: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    changes: list[_Change]
    reset: bool = False
    more: bool = False


@dataclass(slots=True)
class FeedState:
    """How the following goes, for metrics and tests.

    Attributes:
        answers: worked off since the start.
        faults: in a row; zero: the last call went well.
        sweeps: through the catalogue, after a gap.
        revoked: attestations.
        unreadable: changes whose person could not be told.
    """

    answers: int = 0
    faults: int = 0
    sweeps: int = 0
    revoked: int = 0
    unreadable: int = 0


class _FeedError(Exception):
    """An answer that is none; holds no value."""


class PlatformChanges:
    """Follows one platform; see the module.

    Args:
        door: asks it; closed with this.
        path: of the feed.
        scheme: says which states are green.
        clock: now, aware, UTC.
        wait_seconds: how long the platform may hold a call.
        sleep: waits between faults.
    """

    def __init__(
        self,
        door: ChangeDoor,
        path: str,
        scheme: Scheme,
        *,
        clock: Callable[[], datetime],
        wait_seconds: int = WAIT_SECONDS,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.state = FeedState()
        self._door = door
        self._path = path
        self._scheme = scheme
        self._clock = clock
        self._wait = wait_seconds
        self._sleep = asyncio.sleep if sleep is None else sleep
        # The first answer, and the first after a fault, is to come at once.
        self._is_heard = False

    async def follow(self, ledger: IssuedLedger) -> None:
        """Follow the feed until cancelled; no fault of the platform ends it."""
        while True:
            try:
                await self.step(ledger)
                self.state.faults = 0
                self._is_heard = True
                continue
            except (_FeedError, CatalogueSourceError) as error:
                self.state.faults += 1
                if self.state.faults == 1:
                    _log.warning("change_feed_lost", why=str(error))
            except Exception as error:  # noqa: BLE001 - nothing may end the following
                self.state.faults += 1
                _log.error("change_feed_failed", kind=type(error).__name__)
            self._is_heard = False
            await self._pause()

    async def step(self, ledger: IssuedLedger) -> None:
        """Ask once and work the answer off.

        Raises:
            CatalogueSourceError: the catalogue was needed and not given.
        """
        asked_at = self._clock()
        cursor = await ledger.remembered(CURSOR)
        page = await self._ask(cursor)
        if page.reset or (cursor is None and await ledger.has_live()):
            await self._sweep(ledger)
        await self._apply(page.changes, ledger)
        if page.next != cursor:
            await ledger.remember(CURSOR, page.next)
        if not page.more:
            ledger.board.follow(asked_at)
        self.state.answers += 1

    async def close(self) -> None:
        """Let go of the platform."""
        await self._door.close()

    async def _ask(self, cursor: str | None) -> _Page:
        wait = self._wait if self._is_heard else 0
        fields = {} if cursor is None else {"after": cursor, "wait": str(wait)}
        reply = await self._door.changes(self._path, fields, Deadline.after(CALL_SECONDS))
        if isinstance(reply, OutcomeReport):
            raise _FeedError(f"the platform did not answer: {reply.outcome}")
        try:
            return msgspec.json.decode(reply.body, type=_Page)
        except (ValueError, RecursionError):
            raise _FeedError("the platform's change feed cannot be read") from None

    async def _apply(self, changes: list[_Change], ledger: IssuedLedger) -> None:
        red: list[Document] = []
        unclear: list[Document] = []
        for change in changes:
            level = self._level(change)
            if level is Level.GREEN:
                continue
            person = self._person(change.type, change.number)
            if person is not None:
                (unclear if level is None else red).append(person)
        self.state.revoked += await ledger.revoke(red)
        self.state.revoked += await ledger.revoke(unclear, on_hold=True)

    def _level(self, change: _Change) -> Level | None:
        """GREEN only when all is green; None: no level is certain."""
        try:
            rules = self._scheme.version_at(self._clock()).states
        except SchemeError:
            return None
        levels: set[Level | None] = set()
        for place, state in enumerate(change.states):
            kind = change.kinds[place] if place < len(change.kinds) else ""
            rule = rules.get(f"{state}/{kind}") or rules.get(state)
            levels.add(None if rule is None else rule.level)
        if levels == {Level.GREEN}:
            return Level.GREEN
        known = levels - {None, Level.GREEN}
        return next(iter(known)) if known else None

    async def _sweep(self, ledger: IssuedLedger) -> None:
        """Revoke what was issued to everybody who may not be green any more."""
        self.state.sweeps += 1
        _log.warning("change_feed_gap", fix="everybody who is not green is asked for")
        if not isinstance(self._door, CatalogueDoor):
            self.state.revoked += await ledger.revoke_all()
            return
        async for numbers in listed_numbers(self._door):
            people = (self._person(int(_TYPE), number) for number in numbers)
            self.state.revoked += await ledger.revoke(one for one in people if one is not None)

    def _person(self, kind: int, number: str) -> Document | None:
        try:
            return parse_document(kind, number.upper())
        except DocumentError:
            self.state.unreadable += 1
            _log.warning("change_about_nobody", unreadable=self.state.unreadable)
            return None

    async def _pause(self) -> None:
        longest = min(_FIRST_RETRY_SECONDS * 2 ** (self.state.faults - 1), _LONGEST_RETRY_SECONDS)
        # Spread, so that adapters of one platform do not come back in step.
        waited = self._sleep(longest * (0.5 + random.random() / 2))  # noqa: S311 - no secret
        if asyncio.iscoroutine(waited):
            await waited
