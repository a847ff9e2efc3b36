from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.hub.directory import CallerKind
from gateway.trust import MemberState, StatementKind
from gateway.wire.enrolment import enrol_request
from tests.hub.hub_world import (
    GATE,
    GUANGZHOU,
    HANGZHOU,
    HUB,
    ZHEJIANG,
    RegistryWorld,
    checkpoint,
    open_all,
    operator,
    policy,
    region,
    scheme,
    signing_key,
    statement,
)
from tests.hub.registry_world import refused, replica_of

pytestmark = pytest.mark.asyncio


async def test_a_region_goes_from_challenged_over_pending_to_active(world: RegistryWorld) -> None:
    who = region()
    enrolled = await world.enrol(who, schemes=[scheme()], policy=policy())
    assert enrolled.state is MemberState.CHALLENGED
    assert [c.key_id for c in enrolled.challenges] == [who.sealing_keys[0].key_id]
    assert (await world.registry.enrolled(enrolled.enrolment_id)).state is MemberState.CHALLENGED
    assert await world.prove(who, enrolled) is MemberState.PENDING
    assert world.feed.sequence == 0
    changed = await world.registry.approve(HANGZHOU)
    assert changed.member.is_active
    assert changed.sequence == 3
    bundle = replica_of(world).bundle
    assert bundle.authority_for("330106").urn == HANGZHOU
    assert bundle.policy("330100") == policy()


async def test_nothing_of_a_member_takes_effect_before_it_is_approved(world: RegistryWorld) -> None:
    await world.pending(region())
    await world.pending(checkpoint())
    members = world.registry.members
    assert members.adapters() == []
    assert members.caller(HANGZHOU) is None
    assert members.caller(GATE) is None
    assert members.oauth_client(GATE, world.clock()) is None
    assert world.feed.sequence == 0


async def test_a_checkpoint_without_sealing_keys_is_pending_at_once(world: RegistryWorld) -> None:
    enrolled = await world.enrol(checkpoint())
    assert enrolled.state is MemberState.PENDING
    changed = await world.registry.approve(GATE)
    assert changed.sequence == 0
    caller = world.registry.members.caller(GATE)
    assert caller is not None
    assert caller.active
    assert caller.kind is CallerKind.CHECKPOINT
    assert caller.region == "440100"
    assert caller.scopes == {"exchange.query"}
    assert "CHECKPOINT" in caller.purposes


async def test_an_approved_region_is_an_adapter_and_a_caller(world: RegistryWorld) -> None:
    await world.active(region())
    (adapter,) = world.registry.members.adapters()
    assert (adapter.authority, adapter.prefixes, adapter.active) == (HANGZHOU, ("3301",), True)
    caller = world.registry.members.caller(HANGZHOU)
    assert caller is not None
    assert caller.purposes == {"PLATFORM", "HOLDER"}


async def test_a_suspension_counts_at_once_and_an_approval_restores_everything(
    world: RegistryWorld,
) -> None:
    changes: list[int] = []
    world.registry.members.subscribe(lambda: changes.append(world.feed.sequence))
    await world.active(region(), schemes=[scheme()])
    suspended = await world.registry.suspend(HANGZHOU, by="urn:hutong:operator:first")
    assert suspended.sequence == 3
    assert not world.registry.members.adapters()[0].active
    assert world.registry.members.oauth_client(HANGZHOU, world.clock()) is None
    # When the directory calls, the feed says the same already.
    assert changes[-1] == 3
    again = await world.registry.approve(HANGZHOU)
    assert again.sequence == 4
    assert world.registry.members.adapters()[0].active
    assert len(replica_of(world).bundle.schemes()) == 1


@pytest.mark.parametrize("state", ["active", "unknown", "challenged"])
async def test_only_pending_and_suspended_members_are_approved(
    world: RegistryWorld, state: str
) -> None:
    if state == "active":
        await world.active(region())
    elif state == "challenged":
        await world.enrol(region())
    code = await refused(world.registry.approve(HANGZHOU))
    assert code == ("NOT_FOUND" if state == "unknown" else "WRONG_STATE")


async def test_a_member_is_suspended_once(world: RegistryWorld) -> None:
    assert await refused(world.registry.suspend(HANGZHOU, by="x")) == "NOT_FOUND"
    await world.active(region())
    await world.registry.suspend(HANGZHOU, by="x")
    assert await refused(world.registry.suspend(HANGZHOU, by="x")) == "WRONG_STATE"


async def test_an_operator_does_not_lock_itself_out(world: RegistryWorld) -> None:
    urn = "urn:hutong:operator:second"
    await world.active(operator(urn))
    assert await refused(world.registry.suspend(urn, by=urn)) == "WRONG_STATE"


# --- names, prefixes, keys


async def test_an_approved_name_is_taken_also_by_its_own_holder(world: RegistryWorld) -> None:
    await world.active(region())
    assert await refused(world.enrol(region(slot="thief"))) == "AUTHORITY_EXISTS"
    assert await refused(world.enrol(region())) == "AUTHORITY_EXISTS"


async def test_a_pending_name_may_be_enrolled_again_by_the_same_statement_key_only(
    world: RegistryWorld,
) -> None:
    first = await world.pending(region())
    assert await refused(world.enrol(region(slot="thief"))) == "AUTHORITY_EXISTS"
    second = await world.enrol(region())
    assert second.state is MemberState.CHALLENGED
    assert await refused(world.registry.enrolled(first.enrolment_id)) == "NOT_FOUND"


async def test_a_lapsed_challenge_frees_the_name(world: RegistryWorld) -> None:
    await world.enrol(region(slot="squatter"))
    assert await refused(world.enrol(region())) == "AUTHORITY_EXISTS"
    world.clock.advance(601)
    await world.pending(region())
    assert (await world.registry.approve(HANGZHOU)).member.is_active


async def test_a_rejected_enrolment_frees_the_name(world: RegistryWorld) -> None:
    await world.pending(region(slot="squatter"))
    rejected = await world.registry.suspend(HANGZHOU, by="x")
    assert rejected.sequence == 0
    assert world.registry.members.adapters() == []
    await world.pending(region())
    assert (await world.registry.approve(HANGZHOU)).member.is_active


async def test_an_unproven_enrolment_that_was_rejected_cannot_be_approved(
    world: RegistryWorld,
) -> None:
    await world.enrol(region())
    await world.registry.suspend(HANGZHOU, by="x")
    assert await refused(world.registry.approve(HANGZHOU)) == "WRONG_STATE"


async def test_a_longer_prefix_inside_anothers_has_its_own_holder(world: RegistryWorld) -> None:
    await world.active(region(ZHEJIANG))
    await world.active(region(HANGZHOU))
    bundle = replica_of(world).bundle
    assert bundle.authority_for("330106").urn == HANGZHOU
    assert bundle.authority_for("330200").urn == ZHEJIANG


async def test_the_same_prefix_twice_is_refused_also_while_its_holder_is_suspended(
    world: RegistryWorld,
) -> None:
    await world.active(region(ZHEJIANG, prefixes=["3301", "3302"]))
    await world.registry.suspend(ZHEJIANG, by="x")
    assert await refused(world.enrol(region(HANGZHOU))) == "PREFIX_TAKEN"


async def test_of_two_pending_claims_the_first_approved_wins(world: RegistryWorld) -> None:
    await world.pending(region(ZHEJIANG, prefixes=["3301"]))
    await world.pending(region(HANGZHOU))
    await world.registry.approve(HANGZHOU)
    assert await refused(world.registry.approve(ZHEJIANG)) == "PREFIX_TAKEN"
    assert world.registry.members.get(ZHEJIANG).state is MemberState.PENDING


async def test_a_key_has_one_member(world: RegistryWorld) -> None:
    await world.pending(region(HANGZHOU, slot="shared"))
    assert await refused(world.enrol(region(GUANGZHOU, slot="shared"))) == "KEY_MALFORMED"


async def test_an_unproven_key_blocks_nobody(world: RegistryWorld) -> None:
    thief = region(GUANGZHOU, slot="thief")
    stolen = replace(
        thief.body,
        keys=(*thief.body.keys[:3], region(HANGZHOU).body.keys[3]),
    )
    await world.enrol(replace(thief, body=stolen))
    assert (await world.pending(region(HANGZHOU))).state is MemberState.CHALLENGED


# --- possession


async def test_a_wrong_answer_to_a_challenge_proves_nothing(world: RegistryWorld) -> None:
    who = region()
    enrolled = await world.enrol(who)
    key_id = who.sealing_keys[0].key_id
    prove = world.registry.prove
    assert await refused(prove(enrolled.enrolment_id, {key_id: bytes(32)})) == (
        "POSSESSION_NOT_PROVEN"
    )
    assert await refused(prove(enrolled.enrolment_id, {})) == "POSSESSION_NOT_PROVEN"
    assert await refused(prove("unknown", {key_id: bytes(32)})) == "NOT_FOUND"
    assert await world.prove(who, enrolled) is MemberState.PENDING


async def test_proving_twice_changes_nothing_and_late_proves_nothing(world: RegistryWorld) -> None:
    who = region()
    enrolled = await world.enrol(who)
    await world.prove(who, enrolled)
    assert await world.prove(who, enrolled) is MemberState.PENDING
    await world.registry.approve(HANGZHOU)
    assert await refused(world.prove(who, enrolled)) == "WRONG_STATE"
    other = region(GUANGZHOU)
    late = await world.enrol(other)
    world.clock.advance(601)
    assert await refused(world.prove(other, late)) == "POSSESSION_NOT_PROVEN"


async def test_a_challenge_of_another_enrolment_proves_nothing(world: RegistryWorld) -> None:
    who = region()
    first = await world.enrol(who)
    second = await world.enrol(who)
    opened = open_all(who, first.challenges)
    code = await refused(world.registry.prove(second.enrolment_id, opened))
    assert code == "POSSESSION_NOT_PROVEN"


async def test_a_key_proof_is_accepted_once(world: RegistryWorld) -> None:
    request = enrol_request(checkpoint(), hub_urn=HUB, now=world.clock())
    enrol = world.registry.enrol
    await enrol(request.statement, request.key_proofs, [], "")
    code = await refused(enrol(request.statement, request.key_proofs, [], ""))
    assert code == "POSSESSION_NOT_PROVEN"


async def test_a_missing_key_proof_is_refused(world: RegistryWorld) -> None:
    request = enrol_request(region(), hub_urn=HUB, now=world.clock())
    code = await refused(world.registry.enrol(request.statement, request.key_proofs[:1], [], ""))
    assert code == "POSSESSION_NOT_PROVEN"
    code = await refused(world.registry.enrol("nonsense", request.key_proofs, [], ""))
    assert code == "STATEMENT_INVALID"


# --- statements


async def test_schemes_and_policies_that_do_not_load_are_refused(world: RegistryWorld) -> None:
    assert await refused(world.enrol(region(), schemes=[scheme() | {"name": 1}])) == (
        "SCHEME_INVALID"
    )
    assert await refused(world.enrol(region(), policy=policy() | {"rules": []})) == (
        "POLICY_INVALID"
    )
    assert world.registry.members.get(HANGZHOU) is None


async def test_a_region_speaks_only_for_its_own_prefixes(world: RegistryWorld) -> None:
    for foreign in (scheme("440100"), scheme() | {"prefixes": ["44"]}):
        assert await refused(world.enrol(region(), schemes=[foreign])) == "STATEMENT_INVALID"
    assert await refused(world.enrol(region(), policy=policy("440100"))) == "STATEMENT_INVALID"


async def test_only_a_region_brings_statements(world: RegistryWorld) -> None:
    assert await refused(world.enrol(checkpoint(), policy=policy("440100"))) == (
        "STATEMENT_INVALID"
    )


async def test_a_statement_is_published_and_the_same_one_again_gives_its_entry(
    world: RegistryWorld,
) -> None:
    who = region()
    await world.active(who)
    token = statement(who, StatementKind.SCHEME, scheme(), world.clock())
    assert await world.registry.publish(HANGZHOU, token) == 2
    assert await world.registry.publish(HANGZHOU, token) == 2
    world.clock.advance(1)
    newer = statement(who, StatementKind.SCHEME, scheme(), world.clock())
    assert await world.registry.publish(HANGZHOU, newer) == 3
    assert len(replica_of(world).bundle.schemes()) == 1


async def test_an_older_statement_never_supersedes_a_newer_one(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    now = world.clock()
    newer = statement(who, StatementKind.POLICY, policy(), now)
    older = statement(who, StatementKind.POLICY, policy(), now - timedelta(hours=1))
    await world.registry.publish(HANGZHOU, newer)
    assert await refused(world.registry.publish(HANGZHOU, older)) == "STATEMENT_INVALID"
    assert world.feed.sequence == 2


async def test_nobody_publishes_for_another_or_while_suspended(world: RegistryWorld) -> None:
    who, other = region(), region(GUANGZHOU)
    await world.active(who)
    await world.active(other)
    token = statement(who, StatementKind.SCHEME, scheme(), world.clock())
    assert await refused(world.registry.publish(GUANGZHOU, token)) == "STATEMENT_INVALID"
    await world.registry.suspend(HANGZHOU, by="x")
    assert await refused(world.registry.publish(HANGZHOU, token)) == "STATEMENT_INVALID"
    assert await refused(world.registry.publish(GATE, token)) == "STATEMENT_INVALID"


async def test_a_statement_by_another_key_of_the_member_is_refused(world: RegistryWorld) -> None:
    who = region()
    await world.active(who)
    wrong = replace(who, state_key=signing_key(f"{HANGZHOU}/attest"))
    token = statement(wrong, StatementKind.SCHEME, scheme(), world.clock())
    assert await refused(world.registry.publish(HANGZHOU, token)) == "STATEMENT_INVALID"
