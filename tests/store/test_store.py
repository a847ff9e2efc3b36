from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway.store import (
    ChallengeRow,
    EnrolmentRow,
    FeedRow,
    FeedStateRow,
    MemberRow,
    StatementRow,
    Store,
    StoreCorruptError,
    StoreError,
    UsageRow,
    schema,
)

pytestmark = pytest.mark.asyncio

NOW = datetime(2020, 4, 8, 0, 0, 0, tzinfo=UTC)


def member(urn: str = "urn:hutong:region:330100", **changes: object) -> MemberRow:
    row = MemberRow(
        urn=urn,
        kind="REGION",
        state="PENDING",
        display_name="杭州市",
        record={"endpoint": "adapter.invalid:7500", "prefixes": ["3301"]},
        enrolment_id="enrolment-1",
        changed_at=NOW,
    )
    return replace(row, **changes)  # type: ignore[arg-type]  # wrong on purpose, or built loosely


def entry(sequence: int, subject: str = "urn:hutong:region:330100") -> FeedRow:
    return FeedRow(
        sequence=sequence,
        kind="authority",
        subject=subject,
        token=f"token-{sequence}",
        digest=f"digest-{sequence}",
        issued_at=NOW,
    )


async def test_a_member_comes_back_as_it_was_put(store: Store) -> None:
    async with store.write() as change:
        put = await change.put_member(member(approved_at=NOW))
    loaded = await store.load(0, 0)
    assert loaded.members == (put,)
    assert put == member(approved_at=NOW, revision=1)


async def test_every_change_of_a_member_gets_the_next_revision(store: Store) -> None:
    async with store.write() as change:
        await change.put_member(member())
        await change.put_member(member("urn:hutong:region:440100"))
    async with store.write() as change:
        await change.put_member(member(state="ACTIVE"))
    loaded = await store.load(2, 0)
    assert [(m.urn, m.state, m.revision) for m in loaded.members] == [
        ("urn:hutong:region:330100", "ACTIVE", 3)
    ]


async def test_a_change_that_raises_leaves_nothing(store: Store) -> None:
    class ExpectedError(Exception):
        pass

    async def change_and_raise() -> None:
        async with store.write() as change:
            await change.put_member(member())
            await change.append_feed([entry(1)])
            raise ExpectedError

    with pytest.raises(ExpectedError):
        await change_and_raise()
    loaded = await store.load(0, 0)
    assert loaded.members == ()
    assert loaded.entries == ()
    assert loaded.feed_state == FeedStateRow(floor=0, last_sequence=0, last_digest="")


async def test_a_change_is_there_after_reopening(dsn: str) -> None:
    async with await Store.open(dsn) as store, store.write() as change:
        await change.put_member(member())
        await change.append_feed([entry(1), entry(2)])
    async with await Store.open(dsn) as store:
        loaded = await store.load(0, 0)
    assert [m.urn for m in loaded.members] == ["urn:hutong:region:330100"]
    assert [e.token for e in loaded.entries] == ["token-1", "token-2"]
    assert loaded.feed_state == FeedStateRow(
        floor=0, last_sequence=2, last_digest="digest-2", last_issued_at=NOW
    )


async def test_an_entry_that_does_not_follow_is_refused(store: Store) -> None:
    with pytest.raises(StoreCorruptError):
        async with store.write() as change:
            await change.append_feed([entry(2)])


async def test_a_feed_whose_newest_entry_is_gone_is_refused(store: Store) -> None:
    async with store.write() as change:
        await change.append_feed([entry(1), entry(2)])
        await change._connection.execute(
            sa.delete(schema.feed_entries).where(schema.feed_entries.c.sequence == 2)
        )
    with pytest.raises(StoreCorruptError):
        await store.load(0, 0)


async def test_feed_entries_cannot_be_changed(store: Store) -> None:
    async with store.write() as change:
        await change.append_feed([entry(1)])
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change._connection.execute(sa.update(schema.feed_entries).values(token="other"))
    assert (await store.load(0, 0)).entries[0].token == "token-1"


async def test_compaction_keeps_what_is_in_force_and_everything_above_the_floor(
    store: Store,
) -> None:
    other = "urn:hutong:region:440100"
    async with store.write() as change:
        await change.append_feed([entry(1, other), entry(2), entry(3), entry(4), entry(5)])
    async with store.write() as change:
        assert await change.compact_feed(3) == 2
        assert await change.compact_feed(3) == 0
    loaded = await store.load(0, 0)
    assert [e.sequence for e in loaded.entries] == [1, 4, 5]
    assert loaded.feed_state.floor == 3


async def test_enrolment_and_challenges_come_back(store: Store) -> None:
    enrolment = EnrolmentRow(
        enrolment_id="enrolment-1",
        urn=member().urn,
        statement="header.body.signature",
        statement_key_id="s" * 43,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=10),
        challenges=(ChallengeRow("a" * 43, b"1" * 32), ChallengeRow("b" * 43, b"2" * 32)),
    )
    async with store.write() as change:
        await change.put_member(member())
        await change.add_enrolment(enrolment)
        assert await change.enrolment("enrolment-1") == enrolment
        await change.mark_proven("enrolment-1")
    read = await store.enrolment("enrolment-1")
    assert read is not None
    assert [c.proven for c in read.challenges] == [True, True]
    assert await store.enrolment("enrolment-2") is None


async def test_an_enrolment_of_nobody_is_refused_by_the_database(store: Store) -> None:
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change.add_enrolment(
                EnrolmentRow("e", "urn:hutong:region:110000", "t", "k", NOW, NOW)
            )


async def test_statements_move_from_waiting_to_published(store: Store) -> None:
    statement = StatementRow("d" * 64, member().urn, "scheme", "hz-jkm", "token", NOW)
    async with store.write() as change:
        await change.put_member(member())
        await change.put_statement(statement)
        assert await change.statements(member().urn, published=False) == (statement,)
        await change.put_statement(replace(statement, sequence=7))
        assert await change.statements(member().urn, published=False) == ()
        assert await change.statements(member().urn, published=True) == (
            replace(statement, sequence=7),
        )
        await change.remove_enrolments(member().urn)
        assert await change.statement("d" * 64) == replace(statement, sequence=7)


async def test_two_members_cannot_hold_one_prefix(store: Store) -> None:
    async with store.write() as change:
        await change.put_member(member())
        await change.put_member(member("urn:hutong:region:330000"))
        await change.hold_prefixes("urn:hutong:region:330100", ["3301"])
        await change.hold_prefixes("urn:hutong:region:330000", ["33"])
        assert await change.prefix_holders(["33", "3301", "44"]) == {
            "33": "urn:hutong:region:330000",
            "3301": "urn:hutong:region:330100",
        }
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change.hold_prefixes("urn:hutong:region:330000", ["33", "3301"])


async def test_two_members_cannot_hold_one_key(store: Store) -> None:
    async with store.write() as change:
        await change.put_member(member())
        await change.put_member(member("urn:hutong:region:440100"))
        await change.hold_keys("urn:hutong:region:330100", ["a", "b"])
        await change.hold_keys("urn:hutong:region:330100", ["b", "c"])
        assert await change.key_holders(["a", "b"]) == {"b": "urn:hutong:region:330100"}
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change.hold_keys("urn:hutong:region:440100", ["c"])


async def test_a_proof_spent_in_a_change_that_fails_is_not_spent(store: Store) -> None:
    async def spend_and_raise() -> None:
        async with store.write() as change:
            assert await change.spend_proof("urn:a", "proof", expires_at=NOW)
            assert not await change.spend_proof("urn:a", "proof", expires_at=NOW)
            raise LookupError

    with pytest.raises(LookupError):
        await spend_and_raise()
    assert await store.spend_proof("urn:a", "proof", expires_at=NOW)


async def test_a_proof_is_spent_once(store: Store) -> None:
    until = NOW + timedelta(minutes=5)
    spent = await asyncio.gather(
        *(store.spend_proof("urn:a", "proof", expires_at=until) for _ in range(8))
    )
    assert spent.count(True) == 1
    assert await store.spend_proof("urn:b", "proof", expires_at=until)
    assert await store.spend_proof("urn:", "aproof", expires_at=until)


async def test_a_void_proof_is_forgotten_and_a_live_one_is_not(store: Store) -> None:
    assert await store.spend_proof("urn:a", "old", expires_at=NOW)
    assert await store.spend_proof("urn:a", "new", expires_at=NOW + timedelta(minutes=5))
    assert await store.forget_proofs(before=NOW + timedelta(seconds=1)) == 1
    assert not await store.spend_proof("urn:a", "new", expires_at=NOW)


async def test_usage_adds_up(store: Store) -> None:
    row = UsageRow("urn:a", "330100", "CHECKPOINT", NOW, 1, 10)
    other = replace(row, region="440100")
    await store.add_usage([row, other])
    await store.add_usage([row])
    await store.add_usage([])
    assert await store.usage(since=NOW) == (
        replace(row, envelopes=2, bytes=20),
        other,
    )
    assert await store.usage(since=NOW + timedelta(hours=1)) == ()


async def test_two_processes_on_one_database_never_interleave_their_changes(dsn: str) -> None:
    async def append(store: Store, times: int) -> None:
        for _ in range(times):
            async with store.write() as change:
                state = await change.feed_state()
                await asyncio.sleep(0)
                await change.append_feed([entry(state.last_sequence + 1)])

    async with await Store.open(dsn) as first, await Store.open(dsn) as second:
        await asyncio.gather(append(first, 20), append(second, 20))
        loaded = await first.load(0, 0)
    assert [e.sequence for e in loaded.entries] == list(range(1, 41))


async def test_a_failure_of_the_database_names_no_value(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        async with store.write() as change:
            await change.put_member(member(display_name=None))
    assert "杭州" not in str(caught.value)
    assert "330100" not in str(caught.value)


async def test_ping_answers(store: Store) -> None:
    await store.ping()
