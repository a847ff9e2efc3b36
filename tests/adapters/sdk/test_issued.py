from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.issued import FEWEST_COUNTED, Allotment, IssuedLedger, StatusSettings
from adapters.sdk.issued_store import IssuedStore
from gateway.attestation import generate_signing_key
from gateway.attestation.status_change import REBASE_BYTES, apply_change, verify_status_change
from gateway.attestation.status_list import verify_status_list
from gateway.codes import Document, DocumentType
from gateway.codes.levels import Basis, Level
from gateway.codes.unified import UnifiedCode
from gateway.trust.distrust import DistrustRule
from tests.attestation.status_world import REGION, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.attestation.status_list import StatusList

pytestmark = pytest.mark.asyncio

NOW = datetime(2020, 3, 1, 4, 0, tzinfo=UTC)
KEY = generate_signing_key()
TRUST = trusting(KEY)
SECRET = bytes(range(32))
LIFE = 6 * 3600


def person(place: int) -> Document:
    return Document(DocumentType.RESIDENT_IDENTITY_CARD, f"synthetic-{place}")


def code(scheme: str = "ex-jkm@2020-02", area: str = "330102") -> UnifiedCode:
    return UnifiedCode(
        level=Level.GREEN,
        scheme=scheme,
        state="绿码",
        assessed_at=NOW,
        source_at=NOW,
        issued_by="330100",
        area=area,
        basis=frozenset({Basis.SPACE}),
    )


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@dataclass
class Desk:
    """A ledger and the clock that it reads."""

    ledger: IssuedLedger
    clock: Clock
    issued: list[Allotment] = field(default_factory=list)

    async def issue(
        self, subject: Document | str, held: UnifiedCode | None = None, seconds: int = LIFE
    ) -> Allotment:
        await self.ledger.prepare(1)
        now = self.clock.now
        allotted = self.ledger.allot(
            subject, held or code(), issued_at=now, expires_at=now + timedelta(seconds=seconds)
        )
        assert allotted is not None
        rows = [allotted.row]
        assert await self.ledger.refusal(self.ledger.write(rows), rows, float("inf")) is None
        self.issued.append(allotted)
        return allotted

    def stands(self, uri: str) -> StatusList:
        """A list as any reader finds it on the board."""
        posted = self.ledger.board.posted[uri]
        now = self.clock.now
        base = verify_status_list(posted.base, TRUST, now=now, uri=uri)
        change = verify_status_change(posted.change, TRUST, now=now, uri=uri)
        assert (base.digest, change.sequence) == (posted.digest, posted.sequence)
        return apply_change(base, change)

    def value(self, allotted: Allotment) -> int:
        return self.stands(allotted.reference.uri).get(allotted.reference.index)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def desk(
    path: Path | None = None, *, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[Desk]:
    clock = clock or Clock()
    ledger = IssuedLedger(
        StatusSettings(path=path, **{"entries": 1024, **changes}),
        authority=REGION,
        key=KEY,
        pseudonym_secret=SECRET,
        max_seconds=LIFE,
        clock=clock,
    )
    await ledger.start()
    try:
        yield Desk(ledger, clock)
    finally:
        await ledger.close()


async def test_what_was_issued_stands_until_its_person_is_revoked() -> None:
    async with desk() as place:
        first, again = await place.issue(person(1)), await place.issue(person(1))
        other = await place.issue(person(2))
        assert [place.value(each) for each in (first, again, other)] == [0, 0, 0]
        before = place.ledger.board.posted[first.reference.uri].sequence
        assert await place.ledger.revoke([person(1), person(9)]) == 2
        assert [place.value(each) for each in (first, again, other)] == [1, 1, 0]
        assert place.ledger.board.posted[first.reference.uri].sequence > before
        assert await place.ledger.revoke([person(1)]) == 0
        assert await place.ledger.revoke([]) == 0


async def test_two_entries_of_a_person_are_drawn_apart_and_nobody_gets_one_twice() -> None:
    async with desk() as place:
        issued = [await place.issue(person(1)) for _ in range(200)]
        entries = [(each.reference.uri, each.reference.index) for each in issued]
        assert len(set(entries)) == len(entries)
        indices = [each.reference.index for each in issued]
        assert indices != sorted(indices)


async def test_a_list_has_decoys_and_a_revocation_brings_more() -> None:
    async with desk(entries=65_536) as place:
        assert place.ledger.board.posted == {}
        await place.ledger.prepare(1)
        (uri,) = place.ledger.board.posted
        begun = dict(place.stands(uri).entries())
        # Half of 1 024, drawn one by one: far beyond what chance leaves out.
        assert 300 < len(begun) < 724
        issued = [await place.issue(person(number)) for number in range(40)]
        assert all(each.reference.index not in begun for each in issued)
        assert await place.ledger.revoke(person(number) for number in range(40)) == 40
        after = dict(place.stands(uri).entries())
        # Forty people and 1 to 42 decoys.
        assert 41 <= len(after) - len(begun) <= 82


async def test_a_revocation_of_what_has_expired_changes_nothing() -> None:
    async with desk() as place:
        issued = await place.issue(person(1), seconds=60)
        place.clock.now += timedelta(seconds=60)
        assert await place.ledger.revoke([person(1)]) == 0
        assert place.value(issued) == 0


async def test_on_hold_is_told_where_an_entry_has_room_for_it() -> None:
    for bits, expected in ((1, 1), (2, 2)):
        async with desk(bits=bits) as place:
            issued = await place.issue(person(1))
            assert await place.ledger.revoke([person(1)], on_hold=True) == 1
            assert place.value(issued) == expected


async def test_everybody_can_be_revoked_at_once_and_the_list_then_has_a_new_base() -> None:
    async with desk(entries=262_144) as place:
        await place.ledger.prepare(9_000)
        until = NOW + timedelta(hours=6)
        rows = []
        for number in range(9_000):
            made = place.ledger.allot(person(number), code(), issued_at=NOW, expires_at=until)
            assert made is not None
            rows.append(made.row)
        await asyncio.wrap_future(place.ledger.write(rows))
        before = dict(place.ledger.board.posted)
        assert await place.ledger.revoke_all() == 9_000
        for uri, posted in place.ledger.board.posted.items():
            assert posted.digest != before[uri].digest
            assert len(posted.change) < REBASE_BYTES
            entries = place.stands(uri)
            assert all(entries.get(row.entry) == 1 for row in rows)


async def test_what_the_file_holds_is_taken_up_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "issued.db", Clock()
    async with desk(path, clock=clock) as place:
        red, green = await place.issue(person(1)), await place.issue(person(2))
        await place.ledger.revoke([person(1)])
        await place.ledger.remember("cursor", "17")
        sequence = place.ledger.board.posted[red.reference.uri].sequence
    async with desk(path, clock=clock) as place:
        assert place.ledger.board.posted[red.reference.uri].sequence > sequence
        assert (place.value(red), place.value(green)) == (1, 0)
        assert await place.ledger.remembered("cursor") == "17"
        assert await place.ledger.remembered("nothing") is None
        more = [await place.issue(person(3)) for _ in range(50)]
        taken = {green.reference, red.reference}
        assert not taken & {each.reference for each in more}
        assert await place.ledger.revoke([person(2)]) == 1
        assert place.value(green) == 1


async def test_the_file_holds_no_document_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    async with desk(path) as place:
        await place.issue(person(4711))
        await place.issue("https://code.example/?id=synthetic-4711")
        await place.ledger.revoke([person(4711)])
    held = everything(tmp_path)
    assert b"4711" not in held
    assert "绿".encode() not in held
    assert path.stat().st_mode & 0o077 == 0


async def test_a_second_process_and_a_strange_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    async with desk(path):
        with pytest.raises(AdapterConfigError, match="another process"):
            IssuedStore(path)
    (tmp_path / "other.db").write_bytes(b"no database, but long enough to be read as one" * 100)
    with pytest.raises(AdapterConfigError):
        IssuedStore(tmp_path / "other.db")
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(AdapterConfigError, match="version"):
        IssuedStore(tmp_path / "newer.db")


async def test_lists_follow_each_other_and_a_list_ends_with_what_named_it() -> None:
    async with desk(period_seconds=3600) as place:
        first = await place.issue(person(1))
        # The next list is published before the first closes.
        place.clock.now += timedelta(seconds=3600 - 500)
        await place.ledger.tick()
        assert len(place.ledger.board.posted) == 2
        assert (await place.issue(person(1))).reference.uri == first.reference.uri
        place.clock.now += timedelta(seconds=501)
        second = await place.issue(person(1))
        assert second.reference.uri != first.reference.uri
        assert second.serial == first.serial + 1
        place.clock.now += timedelta(seconds=LIFE + 600)
        await place.ledger.tick()
        assert first.reference.uri not in place.ledger.board.posted
        assert await place.ledger.revoke_all() == 0


async def test_who_does_not_wait_any_more_stops_nobody() -> None:
    async with desk() as place:
        waiting = [asyncio.create_task(place.ledger.remembered("x")) for _ in range(20)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert found[1::2] == [None] * 10
        assert place.value(await place.issue(person(1))) == 0


async def test_a_list_is_signed_anew_by_the_key_of_today(tmp_path: Path) -> None:
    path, clock = tmp_path / "issued.db", Clock()
    async with desk(path, clock=clock) as place:
        issued = await place.issue(person(1))
        await place.ledger.revoke([person(1)])
    key = generate_signing_key()
    again = IssuedLedger(
        StatusSettings(path=path, entries=1024),
        authority=REGION,
        key=key,
        pseudonym_secret=SECRET,
        max_seconds=LIFE,
        clock=clock,
    )
    await again.start()
    posted = again.board.posted[issued.reference.uri]
    base = verify_status_list(posted.base, trusting(key), now=NOW)
    change = verify_status_change(posted.change, trusting(key), now=NOW)
    assert apply_change(base, change).get(issued.reference.index) == 1
    await again.close()


async def test_a_full_list_makes_way_for_another_and_there_is_an_end_to_it() -> None:
    async with desk(max_lists=2) as place:
        issued = [await place.issue(person(number)) for number in range(900)]
        assert len({each.reference.uri for each in issued}) == 2
        await place.ledger.prepare(500)
        assert place.ledger.allot(person(1), code(), issued_at=NOW, expires_at=NOW) is None


async def test_a_lot_is_the_hour() -> None:
    async with desk() as place:
        first = await place.issue(person(1))
        place.clock.now += timedelta(minutes=59)
        second = await place.issue(person(2))
        place.clock.now += timedelta(minutes=1)
        third = await place.issue(person(3))
        assert first.serial == second.serial == third.serial - 1


async def test_what_the_disk_refuses_may_not_leave() -> None:
    async with desk() as place:
        issued = await place.issue(person(1))
        # The same entry again breaks the key of the table.
        rows = [issued.row]
        refused = await place.ledger.refusal(place.ledger.write(rows), rows, float("inf"))
        assert refused is not None


async def test_what_was_revoked_while_it_was_made_may_not_leave() -> None:
    async with desk() as place:
        await place.ledger.prepare(2)
        began = 1.0  # on the monotonic clock: long ago
        one = place.ledger.allot(person(1), code(), issued_at=NOW, expires_at=NOW)
        two = place.ledger.allot(person(2), code(), issued_at=NOW, expires_at=NOW)
        assert one is not None
        assert two is not None
        await place.ledger.revoke([person(1)])
        for made, leaves in ((one, False), (two, True)):
            rows = [made.row]
            refused = await place.ledger.refusal(place.ledger.write(rows), rows, began)
            assert (refused is None) is leaves
        again = await place.issue(person(1))
        assert place.value(again) == 0


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({}, 30),
        ({"kind": "attestation"}, 30),
        ({"key_id": KEY.key_id}, 30),
        ({"prefix": "330102"}, 18),
        ({"scheme": "ex-jkm@2020-03"}, 12),
        ({"first_serial": 1, "last_serial": 2}, FEWEST_COUNTED),
        ({"first_serial": int(NOW.timestamp()) // 3600, "last_serial": 2**40}, 30),
        ({"signed_until": NOW + timedelta(seconds=1)}, 30),
        ({"signed_from": NOW + timedelta(seconds=1)}, FEWEST_COUNTED),
        ({"kind": "policy"}, FEWEST_COUNTED),
    ],
)
async def test_what_a_rule_touches_is_counted_but_nobody_is(
    narrowed: dict[str, Any], expected: int
) -> None:
    async with desk() as place:
        for number in range(18):
            await place.issue(person(number))
        for number in range(12):
            await place.issue(person(number), code("ex-jkm@2020-03", "330111"))
        rule = DistrustRule(**{"issuer": REGION, "signed_from": NOW, **narrowed})
        assert await place.ledger.count_live(rule) == expected
        place.clock.now += timedelta(seconds=LIFE)
        assert await place.ledger.count_live(rule) == FEWEST_COUNTED


async def test_a_count_reads_the_file_beside_the_writer(tmp_path: Path) -> None:
    async with desk(tmp_path / "issued.db") as place:
        for number in range(12):
            await place.issue(person(number))
        assert await place.ledger.count_live(DistrustRule(REGION, NOW)) == 12


async def test_a_watcher_gets_what_stands_and_then_only_what_is_new() -> None:
    async with desk(period_seconds=3600) as place:
        draining = asyncio.Event()
        frames = place.ledger.board.watch(300, draining)
        issued = await place.issue(person(1))
        first, second = await anext(frames), await anext(frames)
        assert [each.WhichOneof("frame") for each in (first, second)] == ["list", "change"]
        base = verify_status_list(first.list.token, TRUST, now=NOW)
        assert base.uri == issued.reference.uri
        coming = asyncio.ensure_future(anext(frames))
        await place.ledger.revoke([person(1)])
        change = verify_status_change((await coming).change, TRUST, now=NOW)
        assert apply_change(base, change).get(issued.reference.index) == 1
        # What was superseded while nobody read is skipped.
        for number in range(2, 6):
            await place.issue(person(number))
            await place.ledger.revoke([person(number)])
        newest = verify_status_change((await anext(frames)).change, TRUST, now=NOW)
        assert newest.sequence == place.ledger.board.posted[base.uri].sequence
        coming = asyncio.ensure_future(anext(frames))
        place.clock.now += timedelta(seconds=3600 + LIFE + 200)
        await place.ledger.tick()
        seen = [await coming]
        while seen[-1].WhichOneof("frame") != "ended":
            seen.append(await anext(frames))
        assert seen[-1].ended == base.uri
        await frames.aclose()
        assert place.ledger.board.watchers == 0
