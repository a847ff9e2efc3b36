"""A count of changes is no count of people, at the first revocation and at the last (HT-STS-16)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.issued_lists import LiveList, Revoked, make_list
from gateway.attestation.status_list import REVOKED
from tests.adapters.sdk.test_issued import KEY, NOW, Clock, desk, person
from tests.attestation.status_world import REGION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.sdk.test_issued import Desk

ENTRIES = 1024


def revoked_by(place: Desk) -> dict[str, set[int]]:
    """Every entry that stands revoked, by list."""
    return {
        uri: {entry for entry, _ in place.stands(uri).entries()}
        for uri in place.ledger.board.posted
    }


async def fill(place: Desk) -> None:
    """Give out all that one list gives out."""
    while len({each.reference.uri for each in place.issued}) < 2:
        await place.issue(person(len(place.issued)))
    place.issued.pop()


async def revoke_alone(place: Desk, number: int) -> int:
    """Revoke one person, and return how many entries of nobody change with theirs."""
    mine = place.issued[number].reference
    others = {each.reference.index for each in place.issued if each.reference.uri == mine.uri}
    before = revoked_by(place)
    assert await place.ledger.revoke([person(number)]) == 1
    changed = revoked_by(place)[mine.uri] - before[mine.uri]
    assert changed & others == {mine.index}
    return len(changed - others)


@pytest.mark.asyncio
async def test_each_revocation_changes_a_decoy_until_a_full_list_has_nobody_left() -> None:
    async with desk(entries=ENTRIES) as place:
        await fill(place)
        many = len(place.issued)
        # Two masses, of which each could take all that is left of nobody's, and then the rest.
        for start, end in ((0, 200), (200, 400)):
            assert await place.ledger.revoke(map(person, range(start, end))) == end - start
        assert many > 480
        for number in range(400, many):
            assert await revoke_alone(place, number) >= 1


@pytest.mark.asyncio
async def test_after_everybody_was_revoked_a_list_has_decoys_for_whom_it_takes_then() -> None:
    async with desk(entries=ENTRIES) as place:
        for number in range(150):
            await place.issue(person(number))
        assert await place.ledger.revoke_all() == 150
        for number in range(150, 200):
            await place.issue(person(number))
        assert len({each.reference.uri for each in place.issued}) == 1
        for number in range(150, 200):
            assert await revoke_alone(place, number) >= 1


@pytest.mark.asyncio
async def test_what_was_a_decoy_is_given_to_nobody_also_after_a_start(tmp_path: Path) -> None:
    path, clock = tmp_path / "issued.db", Clock()
    async with desk(path, clock=clock, entries=ENTRIES) as place:
        for number in range(100):
            await place.issue(person(number))
        assert await place.ledger.revoke(map(person, range(90))) == 90
        held, before = place.issued, revoked_by(place)
    async with desk(path, clock=clock, entries=ENTRIES) as place:
        assert revoked_by(place) == before
        place.issued = held
        await fill(place)
        (taken,) = before.values()
        assert not taken & {each.reference.index for each in held[100:]}
        for number in range(90, 130):
            assert await revoke_alone(place, number) >= 1


@pytest.mark.asyncio
async def test_a_revocation_that_the_disk_refuses_is_said_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "issued.db"
    async with desk(path, entries=ENTRIES) as place:
        for number in range(3):
            await place.issue(person(number))
        before = revoked_by(place)
        store = place.ledger._store
        name = "no_decoy"
        await store.run(
            lambda connection: connection.execute(
                f"CREATE TRIGGER {name} BEFORE INSERT ON decoys"
                " BEGIN SELECT RAISE(ABORT, 'synthetic'); END"
            )
        )
        with pytest.raises(Exception, match="synthetic"):
            await place.ledger.revoke([person(0)])
        assert revoked_by(place) == before
        await store.run(lambda connection: connection.execute(f"DROP TRIGGER {name}"))
        assert await revoke_alone(place, 0) >= 1


def live_list(random_below: Callable[[int], int]) -> tuple[LiveList, set[int]]:
    """A new list, and its first decoys."""
    now = int(NOW.timestamp())
    row, decoys = make_list(
        KEY,
        authority=REGION,
        bits=1,
        entries=256,
        opened_at=NOW,
        closes_at=now + 3600,
        ends_at=now + 7200,
        random_below=random_below,
    )
    places = {entry for entry, _ in decoys}
    return LiveList(row, places, decoys), places


@given(
    steps=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100)), max_size=8),
    seed=st.integers(0, 2**32),
)
def test_whatever_is_given_out_and_revoked_there_is_a_decoy_for_each_revocation(
    steps: list[tuple[int, int]], seed: int
) -> None:
    """Any steps of giving out and revoking, and then each that is left, alone."""
    draw = Random(seed).randrange  # noqa: S311 - nothing secret
    held, decoys = live_list(draw)
    given_out: list[int] = []
    standing: list[int] = []

    def revoke(count: int) -> None:
        gone = [standing.pop() for _ in range(count)]
        drawn = held.draw_decoys(len(gone), draw)
        assert 1 <= len(drawn) <= len(gone) + 2
        assert len(set(drawn)) == len(drawn)
        assert not decoys & set(drawn)
        assert not set(given_out) & set(drawn)
        decoys.update(drawn)
        held.apply(Revoked(1, 2, (*gone, *drawn), len(gone)), REVOKED)

    for wanted, unwanted in steps:
        for entry in (held.draw(draw) for _ in range(wanted)):
            if entry is not None:
                assert entry not in decoys
                assert entry not in given_out
                given_out.append(entry)
                standing.append(entry)
        if unwanted and standing:
            revoke(min(unwanted, len(standing)))
    while standing:
        revoke(1)
    assert len(given_out) + len(decoys) <= held.row.size
