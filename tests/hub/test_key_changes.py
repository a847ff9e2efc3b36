"""Keys of a member: added, retired, tainted, revoked; and half a rotation."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.store import Store, WriteTransaction
from gateway.trust import KeyChange, KeyState, KeyUse, StatementKind
from tests.hub.hub_world import (
    GUANGZHOU,
    HANGZHOU,
    RegistryWorld,
    checkpoint,
    policy,
    region,
    registry_world,
    scheme,
    signing_key,
    statement,
)
from tests.hub.registry_world import refused, replica_of
from tests.hub.trust_world import (
    LEAD,
    change_keys,
    change_request,
    key_of,
    move,
    next_key,
    next_sealing_key,
    open_with,
    trust_world,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.trust import Authority, MemberKey

pytestmark = pytest.mark.asyncio


def authority(world: RegistryWorld, urn: str = HANGZHOU) -> Authority:
    return replica_of(world).bundle.authority(urn)


def published(world: RegistryWorld, key_id: str) -> MemberKey:
    return next(key for key in authority(world).keys if key.key_id == key_id)


def fetched_by(world: RegistryWorld) -> frozenset[str] | None:
    """The keys whose access tokens count."""
    caller = world.mirror.members.caller(HANGZHOU)
    return None if caller is None else caller.client_keys


async def test_a_new_signing_key_is_published_with_its_lead_time(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    private, key = next_key("next/attest", KeyUse.ATTEST, world.clock())
    changed = await change_keys(world, who, KeyChange(add=(key,)), private)
    assert (changed.sequence, changed.challenges) == (2, ())
    assert published(world, key.key_id).state(world.clock()) is KeyState.PUBLISHED
    world.clock.advance(60)
    assert published(world, key.key_id).state(world.clock()) is KeyState.ACTIVE
    old = key_of(who, KeyUse.ATTEST)
    assert published(world, old.key_id).state(world.clock()) is KeyState.ACTIVE


async def test_a_key_that_would_be_used_too_soon_is_refused(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    private, key = next_key("next/attest", KeyUse.ATTEST, world.clock() - timedelta(seconds=1))
    code = await refused(change_keys(world, who, KeyChange(add=(key,)), private))
    assert code == "LEAD_TIME_TOO_SHORT"
    assert world.feed.sequence == 1


async def test_a_new_signing_key_without_its_proof_is_refused(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    _, key = next_key("next/attest", KeyUse.ATTEST, world.clock())
    assert await refused(change_keys(world, who, KeyChange(add=(key,)))) == (
        "POSSESSION_NOT_PROVEN"
    )
    wrong = signing_key("other")
    assert await refused(change_keys(world, who, KeyChange(add=(key,)), wrong)) == (
        "POSSESSION_NOT_PROVEN"
    )


async def test_half_a_rotation_leaves_the_old_keys_working_whoever_dies(dsn: str) -> None:
    who = region()
    old = key_of(who, KeyUse.SEAL)
    async with await Store.open(dsn) as store:
        first = registry_world(store)
        await first.mirror.load()
        await first.active(who)
        new = next_sealing_key("next/seal", first.clock())
        change = KeyChange(add=(new,), retire=(move(old.key_id, first.clock() + 2 * LEAD),))
        changed = await change_keys(first, who, change)
        assert changed.sequence == 0
        assert authority(first).sealing_key(first.clock()).key_id == old.key_id
    # The hub was killed with the challenge open: it knows of it, and nobody else does.
    async with await Store.open(dsn) as store:
        second = registry_world(store, first.clock)
        await second.mirror.load()
        assert len(authority(second).keys) == len(who.body.keys)
        standing = await trust_world(second).parts.standings.standing(HANGZHOU)
        states = {key.key_id: key.state(second.clock()) for key in standing.keys}
        assert states[new.key_id] is KeyState.PREPARED
        assert states[old.key_id] is KeyState.ACTIVE
        state = await second.registry.prove(
            changed.enrolment_id, open_with(who, "next/seal", changed)
        )
        assert state.name == "ACTIVE"
    # And once more after it was proven; proving again changes nothing.
    async with await Store.open(dsn) as store:
        third = registry_world(store, first.clock)
        await third.mirror.load()
        assert third.feed.sequence == 2
        await third.registry.prove(changed.enrolment_id, open_with(who, "next/seal", changed))
        assert third.feed.sequence == 2
        assert published(third, old.key_id).state(third.clock()) is KeyState.ACTIVE
        third.clock.advance(60)
        assert authority(third).sealing_key(third.clock()).key_id == new.key_id
        third.clock.advance(60)
        assert published(third, old.key_id).state(third.clock()) is KeyState.RETIRED


@pytest.mark.parametrize(
    "step", ["mark_proven", "append_feed", "add_keys", "put_member", "end_keys", "add_audit"]
)
async def test_a_hub_that_dies_at_a_step_of_the_last_commit_has_done_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        pass

    async def die(*_: object, **__: object) -> None:
        raise KilledError

    who = region()
    dsn = f"sqlite:///{tmp_path / 'hub.db'}"
    async with await Store.open(dsn) as store:
        first = registry_world(store)
        await first.mirror.load()
        await first.active(who)
        new = next_sealing_key("next/seal", first.clock())
        changed = await change_keys(first, who, KeyChange(add=(new,)))
        opened = open_with(who, "next/seal", changed)
        with monkeypatch.context() as dying:
            dying.setattr(WriteTransaction, step, die)
            with pytest.raises(KilledError):
                await first.registry._prove(changed.enrolment_id, opened)
    async with await Store.open(dsn) as store:
        second = registry_world(store, first.clock)
        await second.mirror.load()
        assert second.feed.sequence == 1
        assert len(authority(second).keys) == len(who.body.keys)
        await second.registry.prove(changed.enrolment_id, opened)
        assert second.feed.sequence == 2
        assert published(second, new.key_id).published_at == second.clock()


async def test_a_challenge_never_answered_lapses_and_the_change_is_asked_for_anew(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who)
    late = await change_keys(
        world, who, KeyChange(add=(next_sealing_key("next/seal", world.clock()),))
    )
    world.clock.advance(601)
    code = await refused(world.registry.prove(late.enrolment_id, open_with(who, "next/seal", late)))
    assert code == "POSSESSION_NOT_PROVEN"
    assert len(authority(world).keys) == len(who.body.keys)
    key = next_sealing_key("next/seal", world.clock())
    again = await change_keys(world, who, KeyChange(add=(key,)))
    await world.registry.prove(again.enrolment_id, open_with(who, "next/seal", again))
    assert published(world, key.key_id).published_at == world.clock()


async def test_a_lead_time_counts_from_publication(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    key = next_sealing_key("next/seal", world.clock())
    changed = await change_keys(world, who, KeyChange(add=(key,)))
    world.clock.advance(1)
    prove = world.registry.prove(changed.enrolment_id, open_with(who, "next/seal", changed))
    assert await refused(prove) == "LEAD_TIME_TOO_SHORT"
    assert world.feed.sequence == 1


async def test_the_newest_change_that_waits_replaces_an_older_one(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    now = world.clock()
    first = await change_keys(world, who, KeyChange(add=(next_sealing_key("one", now),)))
    second = await change_keys(world, who, KeyChange(add=(next_sealing_key("two", now),)))
    prove = world.registry.prove
    assert await refused(prove(first.enrolment_id, open_with(who, "one", first))) == "NOT_FOUND"
    await prove(second.enrolment_id, open_with(who, "two", second))
    assert world.feed.sequence == 2


async def test_a_tainted_key_ends_what_it_signed_from_then_on(world: RegistryWorld) -> None:
    who = region()
    await world.active(who, policy=policy())
    spare, spare_key = next_key("next/state", KeyUse.STATE, world.clock())
    await change_keys(world, who, KeyChange(add=(spare_key,)), spare)
    world.clock.advance(3600)
    leaked_at = world.clock() - timedelta(minutes=30)
    token = statement(who, StatementKind.SCHEME, scheme(), world.clock())
    await world.registry.publish(HANGZHOU, token)
    leaked = key_of(who, KeyUse.STATE)
    await change_keys(world, who, KeyChange(taint=(move(leaked.key_id, leaked_at, "stolen"),)))
    bundle = replica_of(world).bundle
    assert bundle.schemes() == ()
    assert bundle.policy("330100") == policy()
    assert published(world, leaked.key_id).state(world.clock()) is KeyState.TAINTED
    # The key cannot speak for the member any more.
    assert (
        await refused(change_keys(world, who, KeyChange(untaint=(move(leaked.key_id),))))
        == "STATEMENT_INVALID"
    )
    actions = [(row.action, row.reason) for row in await world.store.audit(limit=3)]
    assert ("taint-key", "stolen") in actions
    assert "withdraw-scheme" in {action for action, _ in actions}


async def test_a_revoked_key_never_comes_back(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    old = key_of(who, KeyUse.ATTEST)
    private, key = next_key("next/attest", KeyUse.ATTEST, world.clock() - LEAD)
    # All of its use are revoked: the next one cannot wait.
    await change_keys(
        world, who, KeyChange(add=(key,), revoke=(move(old.key_id, reason="lost"),)), private
    )
    assert published(world, old.key_id).state(world.clock()) is KeyState.REVOKED
    assert published(world, key.key_id).state(world.clock()) is KeyState.ACTIVE
    other = region(GUANGZHOU)
    await world.active(other)
    stolen = next_key(f"{HANGZHOU}/attest", KeyUse.ATTEST, world.clock())
    assert await refused(change_keys(world, other, KeyChange(add=(stolen[1],)), stolen[0])) == (
        "KEY_MALFORMED"
    )
    assert await refused(change_keys(world, who, KeyChange(add=(stolen[1],)), stolen[0])) == (
        "WRONG_STATE"
    )


async def test_a_key_to_come_ends_with_the_one_that_leaked_and_a_third_begins_at_once(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who)
    old = key_of(who, KeyUse.ATTEST)
    private, coming = next_key("next/attest", KeyUse.ATTEST, world.clock())
    await change_keys(world, who, KeyChange(add=(coming,)), private)
    third, at_once = next_key("third/attest", KeyUse.ATTEST, world.clock() - LEAD)
    taint = (move(old.key_id, world.clock()),)
    world.clock.advance(1)
    # While one waits to begin, another has no reason to hurry.
    hasty = KeyChange(add=(at_once,), taint=taint)
    assert await refused(change_keys(world, who, hasty, third)) == "LEAD_TIME_TOO_SHORT"
    whole = KeyChange(add=(at_once,), taint=taint, revoke=(move(coming.key_id),))
    await change_keys(world, who, whole, third)
    states = {
        key.key_id: key.state(world.clock())
        for key in authority(world).keys
        if key.use is KeyUse.ATTEST
    }
    assert states == {
        old.key_id: KeyState.TAINTED,
        coming.key_id: KeyState.REVOKED,
        at_once.key_id: KeyState.ACTIVE,
    }


async def test_two_members_never_hold_one_key(world: RegistryWorld) -> None:
    one, other = region(), region(GUANGZHOU)
    await world.active(one)
    await world.active(other)
    private, key = next_key("shared", KeyUse.ATTEST, world.clock())
    await change_keys(world, one, KeyChange(add=(key,)), private)
    code = await refused(change_keys(world, other, KeyChange(add=(key,)), private))
    assert code == "KEY_MALFORMED"
    # Two ask for one sealing key: it is the first's who proves it.
    sealing = next_sealing_key("shared/seal", world.clock())
    asked = [await change_keys(world, who, KeyChange(add=(sealing,))) for who in (one, other)]
    await world.registry.prove(asked[1].enrolment_id, open_with(other, "shared/seal", asked[1]))
    code = await refused(
        world.registry.prove(asked[0].enrolment_id, open_with(one, "shared/seal", asked[0]))
    )
    assert code == "KEY_MALFORMED"


async def test_an_old_change_cannot_be_played_back(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    old = key_of(who, KeyUse.ATTEST)
    await change_keys(world, who, KeyChange(taint=(move(old.key_id, world.clock()),)))
    world.clock.advance(1)
    untaint, _ = change_request(who, KeyChange(untaint=(move(old.key_id),)), world.clock())
    await world.registry.change_keys(HANGZHOU, untaint, [])
    world.clock.advance(1)
    await change_keys(world, who, KeyChange(taint=(move(old.key_id, world.clock()),)))
    assert await refused(world.registry.change_keys(HANGZHOU, untaint, [])) == "STATEMENT_INVALID"
    world.clock.advance(3601)
    never_handed_in, _ = change_request(
        who, KeyChange(untaint=(move(old.key_id),)), world.clock() - timedelta(seconds=3601)
    )
    code = await refused(world.registry.change_keys(HANGZHOU, never_handed_in, []))
    assert code == "STATEMENT_INVALID"


async def test_nobody_changes_the_keys_of_another_or_while_suspended(world: RegistryWorld) -> None:
    one, other = region(), region(GUANGZHOU)
    for who in (one, other, checkpoint()):
        await world.active(who)
    change = KeyChange(taint=(move(key_of(one, KeyUse.ATTEST).key_id, world.clock()),))
    token, _ = change_request(one, change, world.clock())
    assert await refused(world.registry.change_keys(GUANGZHOU, token, [])) == "STATEMENT_INVALID"
    gate = checkpoint()
    ending = KeyChange(taint=(move(key_of(gate, KeyUse.STATE).key_id, world.clock()),))
    assert await refused(change_keys(world, gate, ending)) == "STATEMENT_INVALID"
    await world.registry.suspend(HANGZHOU, by="x")
    assert await refused(world.registry.change_keys(HANGZHOU, token, [])) == "STATEMENT_INVALID"


async def test_a_suspension_keeps_the_history_of_keys(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    private, key = next_key("next/attest", KeyUse.ATTEST, world.clock())
    await change_keys(world, who, KeyChange(add=(key,)), private)
    await world.registry.suspend(HANGZHOU, by="x")
    await world.registry.approve(HANGZHOU)
    assert published(world, key.key_id).published_at == world.clock()


async def test_a_key_that_is_taken_back_takes_the_tokens_it_fetched_with_it(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who)
    old = key_of(who, KeyUse.AUTHENTICATE)
    assert fetched_by(world) == frozenset({old.key_id})
    private, new = next_key("next/authenticate", KeyUse.AUTHENTICATE, world.clock())
    retire = KeyChange(add=(new,), retire=(move(old.key_id, world.clock() + LEAD),))
    await change_keys(world, who, retire, private)
    world.clock.advance(2 * LEAD.total_seconds())
    # Retired: what it fetched last is good for its minutes.
    assert fetched_by(world) == frozenset({old.key_id, new.key_id})
    await change_keys(world, who, KeyChange(revoke=(move(old.key_id),)))
    assert fetched_by(world) == frozenset({new.key_id})
