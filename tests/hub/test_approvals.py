"""Several operators approve; members are withdrawn; everything is in the audit."""

from __future__ import annotations

import json

import pytest

from gateway.hub.registry_base import Constraint
from gateway.store import Store
from gateway.trust import MemberKind, MemberState, StatementKind, TrustLookupError
from gateway.wire.enrolment import enrol_request
from tests.hub.hub_world import (
    HANGZHOU,
    HUB,
    OPERATOR,
    RegistryWorld,
    checkpoint,
    operator,
    policy,
    region,
    registry_world,
    scheme,
    statement,
)
from tests.hub.registry_world import refused, replica_of

pytestmark = pytest.mark.asyncio

SECOND = "urn:hutong:operator:second"


async def test_two_different_operators_approve_a_member(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store, approvals_needed=2)
        await world.mirror.load()
        await world.pending(region())
        first = await world.registry.approve(HANGZHOU, by=OPERATOR)
        assert first.member.state is MemberState.PENDING
        assert first.sequence == 0
        again = await world.registry.approve(HANGZHOU, by=OPERATOR)
        assert again.member.row.approvals == (OPERATOR,)
        assert world.feed.sequence == 0
    async with await Store.open(dsn) as store:
        world = registry_world(store, world.clock, approvals_needed=2)
        await world.mirror.load()
        second = await world.registry.approve(HANGZHOU, by=SECOND)
        assert second.member.is_active
        assert second.member.row.approvals == (OPERATOR, SECOND)
        # One is enough to stop it, and one to let it in again.
        await world.registry.suspend(HANGZHOU, by=SECOND, reason="a key leaked")
        assert (await world.registry.approve(HANGZHOU, by=OPERATOR)).member.is_active
        lines = await store.audit(subject=HANGZHOU, limit=9)
    assert [(row.action, row.actor, row.sequence) for row in lines] == [
        ("approve", OPERATOR, 3),
        ("suspend", SECOND, 2),
        ("approve", SECOND, 1),
        ("approve", OPERATOR, 0),
        ("approve", OPERATOR, 0),
    ]
    assert lines[1].reason == "a key leaked"


async def test_a_rejected_member_is_looked_at_by_all_of_them_again(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store, approvals_needed=2)
        await world.mirror.load()
        await world.pending(checkpoint())
        urn = checkpoint().body.urn
        await world.registry.approve(urn, by=OPERATOR)
        await world.registry.suspend(urn, by=SECOND)
        once = await world.registry.approve(urn, by=SECOND)
        assert not once.member.is_active
        assert (await world.registry.approve(urn, by=OPERATOR)).member.is_active


async def test_a_hub_with_one_operator_can_have_a_second(dsn: str) -> None:
    async with await Store.open(dsn) as store:
        world = registry_world(store, approvals_needed=2)
        await world.mirror.load()
        assert world.registry.approvals_needed(MemberKind.OPERATOR) == 1
        await world.pending(operator(OPERATOR))
        assert (await world.registry.approve(OPERATOR)).member.is_active
        await world.pending(operator(SECOND))
        assert (await world.registry.approve(SECOND, by=OPERATOR)).member.is_active
        assert world.registry.approvals_needed(MemberKind.OPERATOR) == 2
        assert world.registry.approvals_needed(MemberKind.CHECKPOINT) == 2


async def test_an_enrolment_brings_its_report(world: RegistryWorld) -> None:
    request = enrol_request(region(), hub_urn=HUB, now=world.clock())
    enrol = world.registry.enrol
    report = json.dumps({"counts": {"pass": 40, "fail": 1, "void": 2, "warn": 3}}).encode()
    for broken in (b"{", b"[]", b'{"counts": 3}', b'{"counts": {"pass": "many"}}'):
        assert await refused(enrol(request.statement, request.key_proofs, [], "", broken)) == (
            "STATEMENT_INVALID"
        )
    enrolled = await enrol(request.statement, request.key_proofs, [], "", report)
    member = await world.registry.enrolled(enrolled.enrolment_id)
    assert member.row.report is not None
    assert (member.row.report["passed"], member.row.report["failed"]) == (40, 3)


# --- withdrawal


async def test_a_withdrawn_member_leaves_its_name_and_its_keys_as_history(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who, schemes=[scheme()], policy=policy())
    withdrawn = await world.registry.withdraw(HANGZHOU, by=OPERATOR, reason="merged")
    assert withdrawn.member.state is MemberState.WITHDRAWN
    replica = replica_of(world)
    (kept,) = replica.bundle.authorities()
    assert kept.state is MemberState.WITHDRAWN
    assert {key.key_id for key in kept.keys} == {key.key_id for key in who.body.keys}
    assert replica.bundle.schemes() == ()
    with pytest.raises(TrustLookupError) as caught:
        replica.bundle.authority(HANGZHOU)
    assert caught.value.code == "AUTHORITY_WITHDRAWN"
    assert world.registry.members.adapters() == []
    assert world.registry.members.caller(HANGZHOU) is None
    assert await refused(world.registry.approve(HANGZHOU, by=OPERATOR)) == "WRONG_STATE"
    assert await refused(world.registry.suspend(HANGZHOU, by=OPERATOR)) == "WRONG_STATE"
    assert await refused(world.registry.withdraw(HANGZHOU, by=OPERATOR)) == "WRONG_STATE"


async def test_a_name_that_is_free_again_is_another_authority_with_keys_of_its_own(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who, schemes=[scheme()])
    token = statement(who, StatementKind.SCHEME, scheme(), world.clock())
    await world.registry.withdraw(HANGZHOU, by=HANGZHOU, reason="moved")
    # Not with a key of the past: two authorities are never merged.
    assert await refused(world.enrol(region())) == "KEY_MALFORMED"
    heir = region(slot="heir")
    await world.active(heir)
    (held,) = replica_of(world).bundle.authorities()
    assert {key.key_id for key in held.keys} == {key.key_id for key in heir.body.keys}
    assert await refused(world.registry.publish(HANGZHOU, token)) == "STATEMENT_INVALID"
    assert [row.action for row in await world.store.audit(limit=9, subject=HANGZHOU)] == [
        "approve",
        "withdraw",
        "approve",
    ]


async def test_the_prefix_of_a_withdrawn_member_is_free(world: RegistryWorld) -> None:
    province = region("urn:hutong:region:330000", prefixes=["3301"])
    await world.active(province)
    assert await refused(world.enrol(region())) == "PREFIX_TAKEN"
    await world.registry.withdraw(province.body.urn, by=OPERATOR)
    assert (await world.active(region())).member.is_active
    assert replica_of(world).bundle.authority_for("330106").urn == HANGZHOU


async def test_only_an_approved_member_is_withdrawn_and_no_operator_by_itself(
    world: RegistryWorld,
) -> None:
    assert await refused(world.registry.withdraw(HANGZHOU, by=OPERATOR)) == "NOT_FOUND"
    await world.pending(region())
    assert await refused(world.registry.withdraw(HANGZHOU, by=OPERATOR)) == "WRONG_STATE"
    await world.active(operator(SECOND))
    assert await refused(world.registry.withdraw(SECOND, by=SECOND)) == "WRONG_STATE"
    assert (await world.registry.withdraw(SECOND, by=OPERATOR)).sequence == 0


# --- constraints


async def test_a_constraint_is_published_and_what_it_forbids_is_withdrawn(dsn: str) -> None:
    who = region()
    async with await Store.open(dsn) as store:
        world = registry_world(store)
        await world.mirror.load()
        await world.active(who, schemes=[scheme()], policy=policy())
        assert await world.registry.constrain() == 0
    bounds = Constraint(frozenset({"attestation", "policy"}), max_attestation_seconds=3600)
    async with await Store.open(dsn) as store:
        world = registry_world(store, world.clock, constraints={HANGZHOU: bounds})
        await world.mirror.load()
        assert await world.registry.constrain() == 1
        assert await world.registry.constrain() == 0
        bundle = replica_of(world).bundle
        held = bundle.authority(HANGZHOU)
        assert (held.kinds, held.max_attestation_seconds) == (bounds.kinds, 3600)
        assert bundle.schemes() == ()
        assert bundle.policy("330100") == policy()
        token = statement(who, StatementKind.SCHEME, scheme(), world.clock())
        assert await refused(world.registry.publish(HANGZHOU, token)) == "STATEMENT_INVALID"
        # It stays through a suspension and an approval.
        await world.registry.suspend(HANGZHOU, by=OPERATOR)
        await world.registry.approve(HANGZHOU, by=OPERATOR)
        assert replica_of(world).bundle.authority(HANGZHOU).kinds == bounds.kinds
        assert [row.action for row in await store.audit(limit=3)][-1] == "constrain"
