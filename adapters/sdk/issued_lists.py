"""One live status list, and how the file of what was issued is read and changed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from adapters.sdk.issued_store import ListRow
from adapters.sdk.status_board import Posted
from gateway.attestation.status_change import REBASE_BYTES, StatusBase, sign_status_change
from gateway.attestation.status_list import (
    REVOKED,
    StatusList,
    sign_status_list,
    status_uri,
    unverified_list,
)
from gateway.attestation.status_tokens import signer_of, token_digest
from gateway.trust.times import from_seconds

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.distrust import DistrustRule

LEAD_SECONDS: Final = 600
"""A list is published this long before it is used: many times what the feed takes."""

_DECOY_SHARE: Final = 64  # one entry in so many may begin as revoked; every other one does
_NAME_BYTES: Final = 6
_SPENT_SHARE: Final = 2  # half of the entries are given out: one for each is left for a decoy
_CROWD_SHARE: Final = 32  # and this much less, for those who were told of room at once
_DECOYS_AT_ONCE: Final = 8  # of the places that nobody will need, one in so many
_FRAME_BYTES: Final = 700  # of a statement beside its entries
_ONE_QUERY: Final = 500  # below SQLite's bound of variables, whatever its build


@dataclass(frozen=True, slots=True)
class Found:
    """What a revocation is about in one list.

    Attributes:
        people: entries of attestations.
        beside: entries of nobody that were given out and go with everybody's.
        decoys: entries that were never given out; see :meth:`LiveList.draw_decoys`.
    """

    people: list[int] = field(default_factory=list, repr=False)
    beside: list[int] = field(default_factory=list, repr=False)
    decoys: list[int] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What one transaction revoked in one list.

    Attributes:
        list: its number.
        sequence: of the statement that will say so.
        entries: all of them, decoys included.
        given: how many of them had been given out.
    """

    list: int
    sequence: int
    entries: tuple[int, ...] = field(repr=False)
    given: int


class LiveList:
    """A list in memory: what was drawn of it, and what differs from its base.

    For every entry that was given out and may still be revoked, at least one is left that
    was never given out. So each revocation finds a decoy, however many there were before.

    Args:
        row: as it is kept.
        drawn: entries that are somebody's or a decoy.
        changed: entries by their value, beyond what the base says.
        live: how many of the drawn were given out and are not revoked.
    """

    def __init__(
        self,
        row: ListRow,
        drawn: Iterable[int],
        changed: Iterable[tuple[int, int]],
        *,
        live: int = 0,
    ) -> None:
        self.row = row
        self._drawn = StatusList(1, row.size)
        self._count = 0
        self._live = live
        for entry in drawn:
            self._mark(entry)
        base = unverified_list(row.base, row.bits, row.size)
        self._changes: dict[int, set[int]] = defaultdict(set)
        for entry, value in changed:
            if base.get(entry) != value:
                self._changes[value].add(entry)
        self._digest = token_digest(row.base.encode("ascii"))

    def has_room(self, count: int, now: int) -> bool:
        """Whether so many more entries may be given out now."""
        size = self.row.size
        spent = (self._count + count) * _SPENT_SHARE
        return now < self.row.closes_at and spent <= size - size // _CROWD_SHARE

    def is_nearly_over(self, now: int) -> bool:
        """Whether another list should be published for when this one closes or is full."""
        is_late = now >= self.row.closes_at - LEAD_SECONDS
        return is_late or self._count * _SPENT_SHARE * 4 >= self.row.size * 3

    def draw(self, random_below: Callable[[int], int]) -> int | None:
        """Draw an unused entry to give out; None: too few are left."""
        # What is left then is one for this entry, and one for each that was before.
        if self._unused < self._live + 2:
            return None
        self._live += 1
        return self._draw(random_below)

    def draw_decoys(self, given: int, random_below: Callable[[int], int]) -> list[int]:
        """Draw entries of nobody to be revoked with some that were given out.

        They are never given out afterwards, also where the revocation comes to nothing.
        At least one, and about as many as are revoked, unless that took more than a part
        of what later revocations do not need.

        Args:
            given: how many are revoked with them.
            random_below: draws how many, and which.
        """
        spare = self._unused - (self._live - given)
        most = max(min(given + 2, spare // _DECOYS_AT_ONCE), 1)
        count = min(1 + random_below(most), self._unused)
        return [self._draw(random_below) for _ in range(count)]

    def apply(self, revoked: Revoked, value: int) -> None:
        """Take up what the file says."""
        self.row = replace(self.row, sequence=revoked.sequence)
        self._live -= revoked.given
        for entry in revoked.entries:
            for others in self._changes.values():
                others.discard(entry)
            self._changes[value].add(entry)

    def is_by(self, key: SigningKey) -> bool:
        """Whether this key signed the base."""
        return signer_of(self.row.base) == key.key_id

    def needs_base(self) -> bool:
        """Whether a statement would be too long to send to every checkpoint."""
        entries = sum(len(str(entry)) + 1 for held in self._changes.values() for entry in held)
        return (_FRAME_BYTES + entries) * 4 // 3 > REBASE_BYTES

    def rebase(self, key: SigningKey, now: datetime) -> None:
        """Make what stands the base; the caller keeps :attr:`row`."""
        base = unverified_list(self.row.base, self.row.bits, self.row.size)
        for value, entries in self._changes.items():
            for entry in entries:
                base.set(entry, value)
        token = _sign(base, key, self.row, now)
        self.row = replace(self.row, base=token, sequence=self.row.sequence + 1)
        self._changes.clear()
        self._digest = token_digest(token.encode("ascii"))

    def posted(self, key: SigningKey, now: datetime) -> Posted:
        """Sign the newest word on the list."""
        row = self.row
        change = sign_status_change(
            key,
            base=StatusBase(self._digest, row.size, row.bits),
            uri=row.uri,
            sequence=row.sequence,
            changes=self._changes,
            issued_at=now,
        )
        return Posted(row.base, self._digest, change, row.sequence)

    @property
    def _unused(self) -> int:
        return self.row.size - self._count

    def _draw(self, random_below: Callable[[int], int]) -> int:
        # Two tries while entries are given out; all the tries of a list's life together
        # are its size times some ten, were each of its entries revoked alone.
        while self._drawn.get(entry := random_below(self.row.size)):
            pass
        self._mark(entry)
        return entry

    def _mark(self, entry: int) -> None:
        self._drawn.set(entry, 1)
        self._count += 1


def _sign(entries: StatusList, key: SigningKey, row: ListRow, now: datetime) -> str:
    return sign_status_list(
        entries,
        key,
        uri=row.uri,
        issued_at=now,
        expires_at=from_seconds(row.ends_at),
        ttl_seconds=max(row.ends_at - row.opened_at, 1),
    )


def make_list(
    key: SigningKey,
    *,
    authority: str,
    bits: int,
    entries: int,
    opened_at: datetime,
    closes_at: int,
    ends_at: int,
    random_below: Callable[[int], int],
) -> tuple[ListRow, list[tuple[int, int]]]:
    """Make a list with its decoys; nothing is kept yet.

    Returns:
        The row, whose number is 0, and the decoys with their values.
    """
    fresh = StatusList(bits, entries)
    # One that does not begin as revoked is like any other that was never given out.
    places: dict[int, int] = {}
    while len(places) < fresh.size // _DECOY_SHARE:
        places[random_below(fresh.size)] = random_below(2)
    decoys = [(entry, REVOKED) for entry, is_revoked in places.items() if is_revoked]
    for entry, value in decoys:
        fresh.set(entry, value)
    name = f"{random_below(1 << 8 * _NAME_BYTES):0{2 * _NAME_BYTES}x}"
    uri = status_uri(authority, name)
    opened = int(opened_at.timestamp())
    row = ListRow(0, uri, bits, fresh.size, opened, closes_at, ends_at, 1, "")
    return replace(row, base=_sign(fresh, key, row, opened_at)), decoys


def keep_list(
    connection: sqlite3.Connection, row: ListRow, decoys: Sequence[tuple[int, int]]
) -> LiveList:
    """Write a new list; a job of the store."""
    number = connection.execute(
        "INSERT INTO lists (uri, bits, size, opened_at, closes_at, ends_at, sequence, base)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.uri,
            row.bits,
            row.size,
            row.opened_at,
            row.closes_at,
            row.ends_at,
            row.sequence,
            row.base,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO decoys VALUES (?, ?, ?)", [(number, entry, value) for entry, value in decoys]
    )
    return LiveList(replace(row, id=number or 0), [entry for entry, _ in decoys], decoys)


def load_lists(connection: sqlite3.Connection) -> list[LiveList]:
    """Read every list, and number its statements on; a job of the store."""
    connection.execute("UPDATE lists SET sequence = sequence + 1")
    found = []
    for fields in connection.execute(
        "SELECT id, uri, bits, size, opened_at, closes_at, ends_at, sequence, base FROM lists"
    ).fetchall():
        row = ListRow(*fields)
        issued, decoys = (
            connection.execute(
                f"SELECT entry, status FROM {table} WHERE list = ?",  # noqa: S608 - names of ours
                (row.id,),
            ).fetchall()
            for table in ("issued", "decoys")
        )
        live = sum(status == 0 for _, status in issued)
        entries = issued + decoys
        found.append(LiveList(row, [entry for entry, _ in entries], entries, live=live))
    return found


def keep_base(connection: sqlite3.Connection, row: ListRow) -> None:
    """Write a new base; a job of the store."""
    connection.execute(
        "UPDATE lists SET base = ?, sequence = ? WHERE id = ?", (row.base, row.sequence, row.id)
    )


def forget_list(connection: sqlite3.Connection, number: int) -> None:
    """Delete all that was kept of a list; a job of the store."""
    for table, column in (("issued", "list"), ("decoys", "list"), ("lists", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))  # noqa: S608 - names of ours


def find_living(
    connection: sqlite3.Connection, people: Sequence[bytes] | None, now: int, nobody: bytes
) -> dict[int, Found]:
    """Find what lives of people and is not revoked, by list; a job of the store.

    Args:
        connection: only read.
        people: their tags; None: everybody.
        now: what has expired by then is left as it is.
        nobody: tag of entries that are nobody's; they are found where everybody's are.
    """
    found: dict[int, Found] = defaultdict(Found)
    query = "SELECT list, entry FROM issued WHERE expires_at > ? AND status = 0"
    if people is None:
        for number, entry in connection.execute(f"{query} AND person != ?", (now, nobody)):
            found[number].people.append(entry)
        for number, entry in connection.execute(f"{query} AND person = ?", (now, nobody)):
            if number in found:
                found[number].beside.append(entry)
        return found
    for start in range(0, len(people), _ONE_QUERY):
        part = people[start : start + _ONE_QUERY]
        marks = ", ".join("?" * len(part))
        for number, entry in connection.execute(f"{query} AND person IN ({marks})", (now, *part)):
            found[number].people.append(entry)
    return found


def keep_revoked(
    connection: sqlite3.Connection, found: Mapping[int, Found], value: int
) -> list[Revoked]:
    """Write what is revoked, decoys with it; a job of the store.

    Args:
        connection: in a transaction.
        found: by list; its decoys were drawn.
        value: of a revoked entry.
    """
    revoked = []
    for number, held in found.items():
        given = held.people + held.beside
        connection.executemany(
            "UPDATE issued SET status = ? WHERE list = ? AND entry = ?",
            [(value, number, entry) for entry in given],
        )
        connection.executemany(
            "INSERT INTO decoys VALUES (?, ?, ?)",
            [(number, entry, value) for entry in held.decoys],
        )
        connection.execute("UPDATE lists SET sequence = sequence + 1 WHERE id = ?", (number,))
        (sequence,) = connection.execute(
            "SELECT sequence FROM lists WHERE id = ?", (number,)
        ).fetchone()
        revoked.append(Revoked(number, sequence, (*given, *held.decoys), len(given)))
    return revoked


def count_touched(
    connection: sqlite3.Connection, rule: DistrustRule, now: int, nobody: bytes
) -> int:
    """Count what lives and a rule touches.

    A rule of another kind than attestations touches none.
    """
    begin = int(rule.signed_from.timestamp())
    end = 2**62 if rule.signed_until is None else int(rule.signed_until.timestamp())
    counted = 0
    for text, serial, many in connection.execute(
        "SELECT grounds.text, issued.serial, COUNT(*) FROM issued JOIN grounds"
        " ON grounds.id = issued.ground"
        " WHERE expires_at > ? AND issued_at >= ? AND issued_at < ? AND person != ?"
        " GROUP BY issued.ground, issued.serial",
        (now, begin, end, nobody),
    ):
        key_id, schemes, divisions = text.split("|")
        if rule.touches(
            issuer=rule.issuer,
            issued_at=rule.signed_from,
            key_id=key_id,
            divisions=divisions.split(),
            schemes=schemes.split(),
            serial=serial,
        ):
            counted += many
    return counted
