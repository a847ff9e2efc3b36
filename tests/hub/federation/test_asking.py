"""What hubs ask each other: live attestations, readers, and what a superior allows.

One federation of three hubs for the module; what a test changes it puts back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2
from hutong.v1.adapter_service_pb2_grpc import AdapterServiceStub

from adapters.platforms import scenario
from gateway.attestation.keys import generate_signing_key
from gateway.codes import DocumentType, parse_document
from gateway.edge import Checkpoint
from gateway.hub.directory import CallerKind, CallerRecord
from gateway.hub.federation_metrics import FederationCollector
from gateway.hub.live_counts import FEWEST_COUNTED
from gateway.hub.rule_proto import rule_to_proto
from gateway.hub.superior import hub_identity
from gateway.store import UsageRow
from gateway.trust import DistrustRule, KeyUse, signing_member_key
from gateway.wire.enrolment import enrol
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from gateway.wire.hub_tokens import EXCHANGE_SCOPE
from tests.hub.federation.gates import (
    fetched,
    refusal,
    shown,
    until_admitted,
    until_true,
    until_trusted,
)
from tests.hub.federation.world import (
    GUANGDONG,
    HANGZHOU,
    NATION,
    ZHEJIANG,
    Country,
    Place,
    country,
    join_plan,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hutong.v1.distrust_pb2 import DistrustRule as ProtoRule

    from gateway.cli.operator_trust import TrustClient
    from gateway.wire.key_change import MemberLine

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # One federation for all of them, and room for a machine that is busy.
    pytest.mark.xdist_group("asking-hubs"),
    pytest.mark.timeout(300),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Country]:
    async with country(tmp_path_factory.mktemp("country")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(place: Country) -> AsyncIterator[Checkpoint]:
    async with Checkpoint.open(place.gate) as checkpoint:
        await until_trusted(checkpoint, lambda bundle: bundle.authority(HANGZHOU))
        yield checkpoint


async def test_what_the_nation_would_distrust_of_a_city_is_counted_through_its_hub(
    place: Country, gate: Checkpoint
) -> None:
    document = parse_document(
        DocumentType.RESIDENT_IDENTITY_CARD, scenario("hangzhou/green").document_number
    )
    # Live from now on.
    await fetched(gate, document)
    # By a gate that only Guangdong knows; written in groups, so here by hand.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    asked = UsageRow(place.gate.urn, "330100", "CHECKPOINT", hour, 1, 1)
    await place.guangdong.hub.store.add_usage([asked])
    rule = DistrustRule(issuer=HANGZHOU, signed_from=datetime.now(UTC) - timedelta(hours=1))
    message = rule_to_proto(rule)
    for asking in (place.nation, place.guangdong, place.zhejiang):
        async with asking.operator() as operator:
            preview = await operator.preview(message)
        # A few were issued; nobody is told of fewer than ten.
        assert (preview.attestations or 0) >= FEWEST_COUNTED
        assert (preview.uncounted, preview.unknown) == ("", ())
    async with place.nation.operator() as operator:
        counted = {item.hub: item for item in (await operator.preview(message)).elsewhere}
        assert counted.keys() == {ZHEJIANG, GUANGDONG}
        assert counted[GUANGDONG].connected > 0
        assert {hub: item.callers for hub, item in counted.items()} == {GUANGDONG: 1, ZHEJIANG: 0}
        policy = f"{HANGZHOU}#330100"
        await until_true(lambda: _touches(operator, message, policy))
    # The word of a hub counts below it: Guangdong's, of Hangzhou, with its own readers.
    async with place.guangdong.operator() as operator:
        assert (await operator.preview(message)).elsewhere == ()
    # And Zhejiang's, of its own city, with everybody's.
    async with place.zhejiang.operator() as operator:
        hubs = {item.hub for item in (await operator.preview(message)).elsewhere}
    assert hubs == {NATION, GUANGDONG}


async def test_the_nation_distrusts_a_city_of_a_province_and_takes_it_back(
    place: Country, gate: Checkpoint
) -> None:
    rule = DistrustRule(
        issuer=HANGZHOU,
        signed_from=datetime.now(UTC) - timedelta(hours=1),
        kind="attestation",
    )
    async with place.nation.operator() as operator:
        name, _ = await operator.distrust(rule_to_proto(rule), "synthetic")
        try:
            await until_trusted(gate, lambda bundle: bundle.distrusts())
            result = await gate.ask(shown("green"), timeout_seconds=20)
            assert not result.is_admitted
        finally:
            await operator.undo(name, "synthetic")
        await until_trusted(gate, lambda bundle: not bundle.distrusts())
    await until_admitted(gate)


async def test_what_cannot_be_counted_is_named(place: Country, gate: Checkpoint) -> None:
    rule = rule_to_proto(DistrustRule(issuer=HANGZHOU, signed_from=datetime.now(UTC)))
    async with place.nation.operator() as operator:
        for line in place.zhejiang.lines:
            await line.cut()
        try:
            preview = await operator.preview(rule)
            assert (preview.attestations, preview.uncounted) == (None, ZHEJIANG)
            assert preview.unknown == (ZHEJIANG,)
            assert [item.hub for item in preview.elsewhere] == [GUANGDONG]
            async with place.guangdong.operator() as far:
                # Guangdong reaches the nation, and the nation says where it ends.
                assert (await far.preview(rule)).uncounted == ZHEJIANG
        finally:
            for line in place.zhejiang.lines:
                line.heal()
    await until_whole(place)
    await until_admitted(gate)


async def test_a_key_is_rehearsed_with_the_readers_of_another_province(
    place: Country, gate: Checkpoint
) -> None:
    key, now = generate_signing_key(), datetime.now(UTC)
    coming = signing_member_key(key, KeyUse.ATTEST, not_before=now + timedelta(hours=1))
    async with place.zhejiang.member(place.hangzhou) as member:
        name, _ = await member.rehearse(coming, key, place.hangzhou.state_key, now=now)
        # Guangdong's gate hears of it over three hubs, tries it, and tells its own hub.
        await until(lambda: name in {tried.rehearsal_id for tried in gate._trust.rehearsals()})
        assert gate._line is not None
        await gate._line.acknowledger.tell()
        seen = await member.rehearsal(name)
        counted = {item.hub: item for item in seen.elsewhere}
        assert counted.keys() == {NATION, GUANGDONG}
        assert (counted[GUANGDONG].verified, counted[GUANGDONG].failing) == (1, ())
        assert counted[NATION].connected == 0
        assert seen.unknown == ()
        assert not seen.is_failing
        for line in place.zhejiang.lines:
            await line.cut()
        try:
            away = await member.rehearsal(name)
            assert away.elsewhere == ()
            assert away.unknown == (NATION, GUANGDONG)
            assert not away.is_complete
        finally:
            for line in place.zhejiang.lines:
                line.heal()
    await until_whole(place)
    await until_admitted(gate)


async def test_what_a_superior_does_not_allow_fails_a_rehearsal_elsewhere(
    place: Country, gate: Checkpoint
) -> None:
    key, now = generate_signing_key(), datetime.now(UTC)
    coming = signing_member_key(key, KeyUse.ATTEST, not_before=now + timedelta(hours=1))
    await place.nation.hub.registry.suspend(ZHEJIANG, by="synthetic")
    try:
        await until_trusted(gate, lambda _: refusal(gate, HANGZHOU) == "AUTHORITY_SUSPENDED")
        async with place.zhejiang.member(place.hangzhou) as member:
            name, _ = await member.rehearse(coming, key, place.hangzhou.state_key, now=now)
            await until(lambda: name in {tried.rehearsal_id for tried in gate._trust.rehearsals()})
            assert gate._line is not None
            await gate._line.acknowledger.tell()
            # Nobody above takes a question of a hub that is suspended.
            assert (await member.rehearsal(name)).unknown == (NATION, GUANGDONG)
    finally:
        await place.nation.hub.registry.approve(ZHEJIANG)
    async with place.zhejiang.member(place.hangzhou) as member:
        await until_true(lambda: _has_failed(member, name))
    await until_trusted(gate, lambda _: refusal(gate, HANGZHOU) == "")
    await until_whole(place)
    await until_admitted(gate)


async def test_an_approval_says_what_it_grants(place: Country) -> None:
    async with place.nation.operator() as operator:
        members = {member.urn: member async for member in operator.members()}
    allowed = members[ZHEJIANG].allowance
    assert allowed is not None
    assert (allowed.path_length, allowed.max_attestation_seconds) == (0, 86_400)
    assert allowed.kinds == ("attestation", "policy", "scheme", "status")
    # It stands right below the highest.
    assert not allowed.only_here
    assert members["urn:hutong:operator:first"].allowance is None


async def test_who_would_approve_a_hub_that_nobody_else_believes_is_told(place: Country) -> None:
    # The nation grants Zhejiang no hub below it. It only asks to be let in.
    below, above = place.guangdong, place.zhejiang
    now = datetime.now(UTC).replace(microsecond=0)
    plan = join_plan(above, below, "44", above.hub.grpc_port, below.hub.grpc_port)
    identity = hub_identity(below.settings, plan, above.urn, now=now)
    async with above.channel() as channel:
        await enrol(channel, identity, hub_urn=above.urn, now=now)
    async with above.operator() as operator:
        members = {member.urn: member async for member in operator.members("pending")}
        allowed = members[GUANGDONG].allowance
        assert allowed is not None
        assert allowed.only_here
        await operator.suspend(GUANGDONG, "synthetic")


async def test_a_hub_stands_as_every_member_does(place: Country) -> None:
    async with place.nation.operator() as operator:
        # Both provinces follow this feed, once a line that was cut is back.
        await until_true(lambda: _has_readers(operator, 2))
        standing = await operator.standing(ZHEJIANG)
    assert (standing.urn, standing.state) == (ZHEJIANG, "ACTIVE")
    assert {key.use for key in standing.keys} == {"state", "authenticate", "feed", "token"}
    assert not any(finding.is_error for finding in standing.findings)
    collector = FederationCollector(NATION, place.nation.hub.feeds, lambda: datetime.now(UTC))
    await until(lambda: connected_hubs(collector) == {"330000": 1.0, "440000": 1.0})


async def test_a_hub_asks_only_those_next_to_it_and_no_loop(place: Country) -> None:
    federation = place.zhejiang.hub.federation
    assert federation is not None
    rule = rule_to_proto(DistrustRule(issuer=HANGZHOU, signed_from=datetime.now(UTC)))
    minter = federation._grants
    for record, code in (
        (hub_record(ZHEJIANG), "TOKEN_INVALID"),  # by its own word: no hub next to it
        (caller_record(), "TOKEN_INVALID"),
    ):
        with pytest.raises(RpcFailure) as refused:
            await ask_count(place.zhejiang, rule, minter.grant(record, ZHEJIANG).text)
        assert refused.value.code == code
    above = place.nation.hub.federation
    assert above is not None
    for record, code in (
        # A question that has passed this hub; and a traveller's gate, which is no hub.
        (replace(hub_record(ZHEJIANG), via=(ZHEJIANG,)), "ROUTE_LOOP"),
        (caller_record(), "TOKEN_INVALID"),
    ):
        with pytest.raises(RpcFailure) as refused:
            await ask_count(place.zhejiang, rule, above._grants.grant(record, ZHEJIANG).text)
        assert refused.value.code == code


async def _touches(operator: TrustClient, rule: ProtoRule, subject: str) -> bool:
    return subject in (await operator.preview(rule)).published


async def _has_readers(operator: TrustClient, count: int) -> bool:
    return (await operator.standing()).readers_connected >= count


def connected_hubs(collector: FederationCollector) -> dict[str, float]:
    """What Prometheus is told of the lines."""
    return {
        sample.labels["hub"]: sample.value
        for family in collector.collect()
        if family.name == "hutong_hub_connected"
        for sample in family.samples
    }


async def until_whole(place: Country) -> None:
    """Wait until every hub reaches every other: a line that is back is found by and by."""
    rule = rule_to_proto(DistrustRule(issuer=HANGZHOU, signed_from=datetime.now(UTC)))
    for hub in (place.nation, place.zhejiang, place.guangdong):
        async with hub.operator() as operator:
            await until_true(partial(_counts, operator, rule))


async def _counts(operator: TrustClient, rule: ProtoRule) -> bool:
    preview = await operator.preview(rule)
    return preview.attestations is not None and not preview.unknown


async def _has_failed(member: MemberLine, name: str) -> bool:
    seen = await member.rehearsal(name)
    return ("AUTHORITY_SUSPENDED", 1) in [
        item for hub in seen.elsewhere if hub.hub == GUANGDONG for item in hub.failing
    ]


def hub_record(urn: str) -> CallerRecord:
    """A hub that asks on its own behalf."""
    return CallerRecord(
        urn, CallerKind.HUB, urn[-6:], frozenset({EXCHANGE_SCOPE}), frozenset(), active=True
    )


def caller_record() -> CallerRecord:
    """A gate of the nation."""
    return CallerRecord(
        "urn:hutong:checkpoint:110000:gate",
        CallerKind.CHECKPOINT,
        "110000",
        frozenset({EXCHANGE_SCOPE}),
        frozenset({"CHECKPOINT"}),
        active=True,
    )


async def ask_count(place: Place, rule: ProtoRule, grant: str) -> None:
    """Ask a hub for a count under a grant."""
    async with place.channel() as channel:
        try:
            await AdapterServiceStub(channel).CountLive(
                adapter_service_pb2.CountLiveRequest(rule=rule),
                timeout=20,
                metadata=(("hutong-grant", grant),),
            )
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
