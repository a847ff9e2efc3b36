"""The status lists of one authority: entries given out, revoked, published, forgotten.

* An entry is drawn at random among those never used, so a place in a list tells neither
  when nor to whom it was given, and two entries of one person have nothing in common.
* Every list begins with decoys, entries that belong to nobody and are revoked; with every
  revocation some more are, drawn among those never given out, and enough of these are kept
  for the last one too. Who counts learns an upper bound.
* Lists are sharded by period (:mod:`adapters.sdk.issued_turning`).
* A revocation is on disk before it is said, and is never taken back.

Attestations also bear the number of their *lot*, the hour in which they were issued, so
that a hub can distrust a few hours of a city's work and leave the rest (docs/adr/0019).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from adapters.sdk.issued_lists import count_touched, find_living, keep_revoked, load_lists
from adapters.sdk.issued_store import IssuedRow, IssuedStore
from adapters.sdk.issued_turning import StatusSettings as StatusSettings
from adapters.sdk.issued_turning import TurningLists, open_file
from adapters.sdk.reports import OutcomeReport
from gateway.attestation.claims import StatusReference
from gateway.attestation.pseudonym import pseudonym
from gateway.attestation.status_list import ON_HOLD, REVOKED
from gateway.codes.levels import Outcome
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from adapters.sdk.answers import Done
    from adapters.sdk.status_board import StatusBoard
    from gateway.attestation.keys import SigningKey
    from gateway.codes.documents import Document
    from gateway.codes.unified import UnifiedCode
    from gateway.trust.distrust import DistrustRule

LOT_SECONDS: Final = 3600
"""A lot is an hour: short enough to distrust little, long enough to link nobody."""
FEWEST_COUNTED: Final = 10
"""As ``AdapterService.CountLive``: smaller counts are given as this one."""
UNNAMED_SECONDS: Final = 3600
"""Life of a carried attestation about a QR text whose holder the platform does not name:
a change names a person, so nothing could revoke it."""

NOBODY: Final = ""
"""In place of a person where there is none: no QR text is empty. Its entries are decoys
that are never revoked by themselves, and are counted as nobody's."""

_LABEL: Final = b"hutong/v1/issued\0"
_TAG_BYTES: Final = 16
_QR_TEXT: Final = 0  # not a document type, as in adapters.sdk.attest
_AGAIN_SECONDS: Final = 1.0  # the platform knows better by then
_RECENT_SECONDS: Final = 120.0  # longer than any question is being answered


@dataclass(frozen=True, slots=True)
class Allotment:
    """A place in a list that nobody else has.

    Attributes:
        reference: what the attestation says.
        serial: number of the lot.
        row: what has to be on disk before the attestation leaves.
    """

    reference: StatusReference
    serial: int
    row: IssuedRow = field(repr=False)


class IssuedLedger:
    """See the module. One event loop; :meth:`start` before anything else.

    Args:
        settings: how the lists are kept.
        authority: URN of the region.
        key: its attestation key.
        pseudonym_secret: a key of its own is derived from it.
        max_seconds: longest life of a carried attestation.
        clock: now, aware, UTC.
        random_below: a number from 0 below its argument, unpredictable.
    """

    def __init__(
        self,
        settings: StatusSettings,
        *,
        authority: str,
        key: SigningKey,
        pseudonym_secret: bytes,
        max_seconds: int,
        clock: Callable[[], datetime],
        random_below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._settings = settings
        self._secret = hmac.digest(pseudonym_secret, _LABEL, hashlib.sha256)
        self._clock = clock
        self._random = random_below
        self._lists = TurningLists(
            settings,
            authority=authority,
            key=key,
            max_seconds=max_seconds,
            clock=clock,
            random_below=random_below,
        )
        self._opened: IssuedStore | None = None
        # When people were revoked, on the monotonic clock; see `refusal`.
        self._recent: dict[bytes, float] = {}
        self._all_revoked_at = 0.0

    @property
    def board(self) -> StatusBoard:
        """What stands now on every list, for whoever watches."""
        return self._lists.board

    @property
    def _store(self) -> IssuedStore:
        if self._opened is None:
            raise RuntimeError("the ledger is not started")
        return self._opened

    async def start(self) -> None:
        """Open the file and publish what it holds.

        Raises:
            AdapterConfigError: the file cannot be used.
        """
        self._opened = await asyncio.to_thread(open_file, self._settings)
        await self._lists.start(self._opened, await self._opened.run(load_lists))

    async def close(self) -> None:
        """Stop, and close the file once everything asked for is on disk."""
        await self._lists.close()
        if self._opened is not None:
            store, self._opened = self._opened, None
            await asyncio.to_thread(store.close)

    async def use(self, key: SigningKey) -> None:
        """Sign with another attestation key from now on, every live list included."""
        await self._lists.use(key)

    async def tick(self, room: int = 0) -> None:
        """Open what is due and end what is over; see :meth:`TurningLists.tick`."""
        await self._lists.tick(room)

    # Issuing.

    async def prepare(self, count: int) -> None:
        """See that a list with room is open; before :meth:`allot`.

        Where none can be opened, nothing is allotted.
        """
        now = int(self._clock().timestamp())
        current = self._lists.current
        if current is None or not current.has_room(count, now):
            try:
                # Shielded: a caller that goes away must not stop half-way between file and board.
                await asyncio.shield(self.tick(count))
            except Exception as error:  # noqa: BLE001 - what is not carried is answered
                self._lists.current = None
                report_incident(error, step="status")

    def allot(
        self,
        subject: Document | str,
        code: UnifiedCode,
        *,
        issued_at: datetime,
        expires_at: datetime,
    ) -> Allotment | None:
        """Draw an unused entry; None: there is no room.

        Args:
            subject: whose; a text is that of a QR code, :data:`NOBODY` nobody's.
            code: what will be stated; only its schemes and divisions are kept.
            issued_at: whole seconds.
            expires_at: whole seconds.
        """
        current = self._lists.current
        entry = None if current is None else current.draw(self._random)
        if current is None or entry is None:
            return None
        issued = int(issued_at.timestamp())
        serial = issued // LOT_SECONDS
        reports = code.reports
        ground = "|".join(
            (
                self._lists.key.key_id,
                " ".join(report.scheme for report in reports),
                " ".join(report.area or report.issued_by for report in reports),
            )
        )
        row = IssuedRow(
            current.row.id,
            entry,
            self.tag(subject),
            issued,
            int(expires_at.timestamp()),
            serial,
            ground,
        )
        return Allotment(StatusReference(current.row.uri, entry), serial, row)

    def write(self, rows: Sequence[IssuedRow]) -> Future[None]:
        """Begin to put what was allotted on disk; see :meth:`refusal`."""
        return self._store.write(rows)

    async def refusal(
        self, written: Future[None], rows: Sequence[IssuedRow], since: float
    ) -> Done | None:
        """Wait until attestations may leave; return what to say if they may not.

        They may not when they are not on disk, or when somebody's was revoked while they
        were being made: then what the platform said of them is out of date.

        Args:
            written: from :meth:`write`.
            rows: what was written, of one envelope.
            since: before the platform was asked about them, on the monotonic clock.
        """
        try:
            await asyncio.wrap_future(written)
        except Exception as error:  # noqa: BLE001 - what is not on disk cannot be revoked
            return report_incident(error, step="status")
        recent = self._recent
        # All of the envelope: this is rare, and who of them it was is nobody's business.
        if since <= self._all_revoked_at or any(
            recent.get(row.person, 0.0) >= since for row in rows
        ):
            return OutcomeReport(Outcome.SOURCE_BUSY, retry_after_seconds=_AGAIN_SECONDS)
        return None

    def tag(self, subject: Document | str) -> bytes:
        """Return what stands for a person in the file."""
        kind, number = (
            (_QR_TEXT, subject) if isinstance(subject, str) else (int(subject.type), subject.number)
        )
        return pseudonym(self._secret, "", kind, number).encode()[:_TAG_BYTES]

    # Revoking.

    async def revoke(self, people: Iterable[Document | str], *, on_hold: bool = False) -> int:
        """Revoke every live attestation of people; return how many there were.

        It is on disk and said to every watcher when this returns.

        Args:
            people: whose.
            on_hold: say that it is not decided yet, where the lists have room for it.
        """
        tags = list({self.tag(person) for person in people})
        if not tags:
            return 0
        value = ON_HOLD if on_hold and self._settings.bits > 1 else REVOKED
        return await self._revoke(tags, value)

    async def revoke_all(self) -> int:
        """Revoke every live attestation of everybody; return how many there were."""
        return await self._revoke(None, REVOKED)

    async def count_live(self, rule: DistrustRule) -> int:
        """Count the live attestations that a rule touches, never fewer than ten."""
        now = int(self._clock().timestamp())
        nobody = self.tag(NOBODY)
        found = await self._store.read(
            lambda connection: count_touched(connection, rule, now, nobody)
        )
        return max(found, FEWEST_COUNTED)

    # What whoever follows the platform remembers.

    async def remembered(self, name: str) -> str | None:
        """Return what was remembered under a name."""
        return await self._store.run(
            lambda connection: next(
                (
                    str(row[0])
                    for row in connection.execute("SELECT value FROM meta WHERE name = ?", (name,))
                ),
                None,
            )
        )

    async def remember(self, name: str, value: str) -> None:
        """Remember something beside the lists."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

        await self._store.run(job)

    async def has_live(self) -> bool:
        """Whether anything lives that could be revoked."""
        now, nobody = int(self._clock().timestamp()), self.tag(NOBODY)
        return await self._store.run(
            lambda connection: (
                connection.execute(
                    "SELECT 1 FROM issued WHERE expires_at > ? AND status = 0 AND person != ?"
                    " LIMIT 1",
                    (now, nobody),
                ).fetchone()
                is not None
            )
        )

    async def _revoke(self, tags: list[bytes] | None, value: int) -> int:
        # One at a time: a statement says all that the one before said, and more.
        self._remember_revoked(tags)
        async with self._lists.turning:
            now = self._clock()
            seconds, nobody = int(now.timestamp()), self.tag(NOBODY)
            found = await self._store.run(
                lambda connection: find_living(connection, tags, seconds, nobody)
            )
            if not found:
                return 0
            # Drawn here, where entries are given out, so that none is drawn twice. What is
            # written meanwhile was asked after the revocation began, or may not leave.
            for number, one in found.items():
                given = len(one.people) + len(one.beside)
                one.decoys.extend(self._lists.held[number].draw_decoys(given, self._random))
            for revoked in await self._store.run(
                lambda connection: keep_revoked(connection, found, value)
            ):
                held = self._lists.held[revoked.list]
                held.apply(revoked, value)
                await self._lists.say(held, now)
            return sum(len(one.people) for one in found.values())

    def _remember_revoked(self, tags: list[bytes] | None) -> None:
        moment = time.monotonic()
        if tags is None:
            self._all_revoked_at = moment
            return
        old = [tag for tag, at in self._recent.items() if at < moment - _RECENT_SECONDS]
        for tag in old:
            del self._recent[tag]
        self._recent.update(dict.fromkeys(tags, moment))
