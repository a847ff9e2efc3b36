"""Audit, notices, keys of the past, changes of keys under way and tombstones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from gateway.store import AuditRow, ChallengeRow, EnrolmentRow, FeedRow, Store, StoreError, schema
from tests.store.test_store import NOW, entry, member

pytestmark = pytest.mark.asyncio

LINE = AuditRow(NOW, "urn:hutong:operator:first", "approve", "urn:hutong:region:330100", "", 3)


async def test_the_audit_is_numbered_and_read_newest_first(store: Store) -> None:
    async with store.write() as change:
        assert await change.add_audit(LINE) == 1
        assert await change.add_audit(replace(LINE, subject="urn:other")) == 2
        assert await change.add_audit(replace(LINE, action="suspend", reason="a key leaked")) == 3
    assert [row.number for row in await store.audit(limit=2)] == [3, 2]
    assert [row.number for row in await store.audit(limit=2, before=2)] == [1]
    about = await store.audit(limit=9, subject=LINE.subject)
    assert about == (
        replace(LINE, action="suspend", reason="a key leaked", number=3),
        replace(LINE, number=1),
    )


@pytest.mark.parametrize(
    "change_of", [sa.update(schema.audit).values(reason=""), sa.delete(schema.audit)]
)
async def test_the_audit_cannot_be_changed(store: Store, change_of: sa.sql.dml.UpdateBase) -> None:
    async with store.write() as change:
        await change.add_audit(LINE)
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change._connection.execute(change_of)
    assert await store.audit(limit=9) == (replace(LINE, number=1),)


async def test_a_change_that_fails_leaves_no_line(store: Store) -> None:
    async def change_and_raise() -> None:
        async with store.write() as change:
            await change.add_audit(LINE)
            raise LookupError

    with pytest.raises(LookupError):
        await change_and_raise()
    assert await store.audit(limit=9) == ()


async def test_a_notice_is_given_once(store: Store) -> None:
    async with store.write() as change:
        assert await change.give_notice("key-expiring:k:30", at=NOW)
        assert not await change.give_notice("key-expiring:k:30", at=NOW)
    async with store.write() as change:
        assert not await change.give_notice("key-expiring:k:30", at=NOW)
        assert await change.give_notice("key-expiring:k:7", at=NOW)


async def test_a_key_of_the_past_belongs_to_nobody(store: Store) -> None:
    urn = member().urn
    async with store.write() as change:
        await change.put_member(member())
        await change.hold_keys(urn, ["a", "b"])
        await change.end_keys(urn, at=NOW, key_ids=["a"])
        assert await change.key_holders(["a", "b"]) == {"a": "", "b": urn}
        await change.hold_keys(urn, ["c"])
        assert await change.key_holders(["a", "b", "c"]) == {"a": "", "c": urn}
        await change.end_keys(urn, at=NOW)
        assert await change.key_holders(["a", "c"]) == {"a": "", "c": ""}
    with pytest.raises(StoreError):
        async with store.write() as change:
            await change.hold_keys(urn, ["a"])


async def test_only_changes_of_keys_without_their_proof_are_forgotten(store: Store) -> None:
    def change_of(name: str, kind: str) -> EnrolmentRow:
        challenges = (ChallengeRow("k" * 43, b"1" * 32),)
        return EnrolmentRow(name, member().urn, "token", "key", NOW, NOW, challenges, kind)

    async with store.write() as change:
        await change.put_member(member())
        for name, kind in (("first", "enrolment"), ("done", "keys"), ("open", "keys")):
            await change.add_enrolment(change_of(name, kind))
        await change.mark_proven("done")
        await change.remove_key_changes(member().urn)
    assert [row.enrolment_id for row in await store.key_changes(member().urn)] == ["done"]
    assert await store.enrolment("first") == change_of("first", "enrolment")


async def test_what_a_member_brought_comes_back(store: Store) -> None:
    brought = member(approvals=("urn:a", "urn:b"), report={"digest": "d", "passed": 3, "failed": 0})
    async with store.write() as change:
        await change.put_member(brought)
    assert (await store.load(0, 0)).members == (replace(brought, revision=1),)


async def test_a_tombstone_leaves_with_what_it_ended(store: Store) -> None:
    def tombstone(sequence: int, subject: str) -> FeedRow:
        return replace(entry(sequence, subject), withdrawn=True)

    async with store.write() as change:
        await change.append_feed([entry(1, "a"), tombstone(2, "a"), entry(3, "b"), entry(4, "c")])
    async with store.write() as change:
        assert await change.compact_feed(1) == 1
    assert [row.sequence for row in (await store.load(0, 0)).entries] == [2, 3, 4]
    async with store.write() as change:
        await change.append_feed([tombstone(5, "c")])
        assert await change.compact_feed(5) == 2
    loaded = await store.load(0, 0)
    assert [(row.sequence, row.withdrawn) for row in loaded.entries] == [(3, False), (5, True)]
