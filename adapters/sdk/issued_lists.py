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
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from gateway.attestation.keys import SigningKey
    from gateway.trust.distrust import DistrustRule

LEAD_SECONDS: Final = 600
"""A list is published this long before it is used: many times what the feed takes."""

_DECOY_SHARE: Final = 64  # one entry in so many is a decoy; half of them begin as revoked
_NAME_BYTES: Final = 6
_SPENT_SHARE: Final = 2  # half of the entries are given out: a draw then needs two tries
_FRAME_BYTES: Final = 700  # of a statement beside its entries
_ONE_QUERY: Final = 500  # below SQLite's bound of variables, whatever its build


@dataclass(frozen=True, slots=True)
class Revoked:
    """What one transaction revoked in one list, decoys included.

    Attributes:
        list: its number.
        sequence: of the statement that will say so.
        entries: all of them.
        people: how many of them were attestations.
    """

    list: int
    sequence: int
    entries: tuple[int, ...] = field(repr=False)
    people: int


class LiveList:
    """A list in memory: what was drawn of it, and what differs from its base.

    Args:
        row: as it is kept.
        drawn: entries that are somebody's or a decoy.
        changed: entries by their value, beyond what the base says.
    """

    def __init__(
        self, row: ListRow, drawn: Iterable[int], changed: Iterable[tuple[int, int]]
    ) -> None:
        self.row = row
        self._drawn = StatusList(1, row.size)
        self._count = 0
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
        return now < self.row.closes_at and (self._count + count) * _SPENT_SHARE <= self.row.size

    def is_nearly_over(self, now: int) -> bool:
        """Whether another list should be published for when this one closes or is full."""
        is_late = now >= self.row.closes_at - LEAD_SECONDS
        return is_late or self._count * _SPENT_SHARE * 4 >= self.row.size * 3

    def draw(self, random_below: Callable[[int], int]) -> int | None:
        """Draw an unused entry; None: too few are left."""
        if self._count * 4 > self.row.size * 3:
            return None
        while True:
            entry = random_below(self.row.size)
            if not self._drawn.get(entry):
                self._mark(entry)
                return entry

    def apply(self, revoked: Revoked, value: int) -> None:
        """Take up what the file says."""
        self.row = replace(self.row, sequence=revoked.sequence)
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
    decoys: dict[int, int] = {}
    while len(decoys) < fresh.size // _DECOY_SHARE:
        decoys[random_below(fresh.size)] = REVOKED if random_below(2) else 0
    for entry, value in decoys.items():
        fresh.set(entry, value)
    name = f"{random_below(1 << 8 * _NAME_BYTES):0{2 * _NAME_BYTES}x}"
    uri = status_uri(authority, name)
    opened = int(opened_at.timestamp())
    row = ListRow(0, uri, bits, fresh.size, opened, closes_at, ends_at, 1, "")
    return replace(row, base=_sign(fresh, key, row, opened_at)), list(decoys.items())


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
        entries = connection.execute(
            "SELECT entry, status FROM issued WHERE list = ? "
            "UNION ALL SELECT entry, status FROM decoys WHERE list = ?",
            (row.id, row.id),
        ).fetchall()
        found.append(LiveList(row, [entry for entry, _ in entries], entries))
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


def revoke_people(
    connection: sqlite3.Connection,
    people: Sequence[bytes] | None,
    value: int,
    now: int,
    random_below: Callable[[int], int],
    nobody: bytes,
) -> list[Revoked]:
    """Revoke what lives of people, and some decoys with it; a job of the store.

    Args:
        connection: in a transaction.
        people: their tags; None: everybody.
        value: of a revoked entry.
        now: what has expired by then is left as it is.
        random_below: draws how many decoys.
        nobody: tag of entries that are nobody's; they change with everybody's, uncounted.
    """
    found: dict[int, list[int]] = defaultdict(list)
    spare: dict[int, list[int]] = defaultdict(list)
    query = "SELECT list, entry FROM issued WHERE expires_at > ? AND status = 0"
    if people is None:
        for number, entry in connection.execute(f"{query} AND person != ?", (now, nobody)):
            found[number].append(entry)
        for number, entry in connection.execute(f"{query} AND person = ?", (now, nobody)):
            spare[number].append(entry)
    else:
        for start in range(0, len(people), _ONE_QUERY):
            part = people[start : start + _ONE_QUERY]
            marks = ", ".join("?" * len(part))
            for number, entry in connection.execute(
                f"{query} AND person IN ({marks})", (now, *part)
            ):
                found[number].append(entry)
    revoked = []
    for number, entries in found.items():
        decoys = [
            entry
            for (entry,) in connection.execute(
                "SELECT entry FROM decoys WHERE list = ? AND status = 0 ORDER BY RANDOM() LIMIT ?",
                (number, 1 + random_below(len(entries) + 2)),
            )
        ]
        beside = spare[number]
        for table, touched in (("issued", entries + beside), ("decoys", decoys)):
            connection.executemany(
                f"UPDATE {table} SET status = ? WHERE list = ? AND entry = ?",  # noqa: S608 - names of ours
                [(value, number, entry) for entry in touched],
            )
        connection.execute("UPDATE lists SET sequence = sequence + 1 WHERE id = ?", (number,))
        (sequence,) = connection.execute(
            "SELECT sequence FROM lists WHERE id = ?", (number,)
        ).fetchone()
        revoked.append(Revoked(number, sequence, (*entries, *beside, *decoys), len(entries)))
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
