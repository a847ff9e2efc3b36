"""A checkpoint in Guangzhou asks Hangzhou: over Guangdong's, the nation's and Zhejiang's hub.

One federation for the module; what a test changes it puts back.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2, feed_service_pb2
from hutong.v1.adapter_service_pb2_grpc import AdapterServiceStub
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from adapters.platforms import scenario
from gateway.attestation.keys import generate_signing_key
from gateway.codes import DocumentType, parse_document
from gateway.edge import Checkpoint
from gateway.hub.errors import RegistryError
from gateway.hub.silence import SILENT_SECONDS
from gateway.hub.superior import hub_identity, load_superior
from gateway.recognition import Verdict
from gateway.trust import KeyUse, StatementKind, sign_statement, signing_member_key
from gateway.trust.errors import TrustLookupError
from gateway.trust.key_proofs import key_proof
from gateway.trust.lifecycle import KeyChange
from gateway.trust.statements import statement_digest
from gateway.wire.enrolment import enrol
from gateway.wire.errors import RpcFailure
from tests.hub.federation.gates import (
    codes,
    fetched,
    refusal,
    shown,
    until_admitted,
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
from tests.hub.hub_world import now_region

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.hub.relay import RelayedFeed

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # One federation for all of them, and room for a machine that is busy.
    pytest.mark.timeout(300),
]

SHENZHEN = "urn:hutong:region:440300"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Country]:
    async with country(tmp_path_factory.mktemp("country")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(place: Country) -> AsyncIterator[Checkpoint]:
    async with Checkpoint.open(place.gate) as checkpoint:
        await until_trusted(checkpoint, lambda bundle: bundle.authority(HANGZHOU))
        yield checkpoint


async def test_a_question_crosses_three_hubs_and_comes_back(
    place: Country, gate: Checkpoint
) -> None:
    verdicts = {"green": Verdict.ADMIT, "red": Verdict.OBSERVE_CENTRAL}
    for story, verdict in verdicts.items():
        result = await gate.ask(shown(story), timeout_seconds=30)
        assert result.decision.verdict is verdict, codes(result)
        assert result.origin == "330100"
        assert result.decision.ages.trust_seconds is not None
    # The nation counts the hub that asked, and nobody behind it.
    assert place.nation.hub.mirror.members.get(place.gate.urn) is None


async def test_a_hub_says_whom_it_stands_below_and_which_feeds_it_passes_on(
    place: Country, gate: Checkpoint
) -> None:
    federation = place.guangdong.hub.federation
    assert federation is not None
    await until(lambda: federation.superiors() == (GUANGDONG, NATION))
    await until(lambda: ZHEJIANG in place.guangdong.hub.feeds)
    async with place.guangdong.channel() as channel:
        said = await AdapterServiceStub(channel).Describe(
            adapter_service_pb2.DescribeRequest(), timeout=20
        )
        assert said.authority == GUANGDONG
        assert list(said.prefixes) == ["44"]
        assert list(said.superiors) == [GUANGDONG, NATION]
        listed = await FeedServiceStub(channel).ListHubs(
            feed_service_pb2.ListHubsRequest(), timeout=20
        )
    feeds = {feed.hub: feed for feed in listed.feeds}
    assert listed.feeds[0].hub == GUANGDONG
    assert feeds.keys() == {GUANGDONG, NATION, ZHEJIANG}
    assert feeds[NATION].superior
    assert not feeds[ZHEJIANG].superior
    # Byte by byte: what Guangdong passes on is what Zhejiang signed.
    relayed = cast("RelayedFeed", place.guangdong.hub.feeds[ZHEJIANG])
    signed = place.zhejiang.hub.feed
    await until(lambda: relayed.sequence == signed.sequence)
    live = relayed.live_tokens()
    # A snapshot also holds what was withdrawn not long ago.
    assert live == tuple(entry for entry in signed.snapshot().entries if entry in live)
    assert len(live) == len(signed.live)


async def test_a_key_of_a_city_is_known_at_a_checkpoint_of_another_province(
    place: Country, gate: Checkpoint
) -> None:
    key = generate_signing_key()
    now = datetime.now(UTC)
    coming = signing_member_key(key, KeyUse.ATTEST, not_before=now + timedelta(hours=1))
    body = KeyChange(add=(coming,)).to_body()
    state = place.hangzhou.state_key
    token = sign_statement(StatementKind.KEYS, HANGZHOU, body, state, now=now)
    proof = key_proof(
        key, statement_digest(token), issuer=HANGZHOU, audience=place.zhejiang.urn, now=now
    )
    await place.zhejiang.hub.registry.change_keys(HANGZHOU, token, [proof])
    await until_trusted(gate, lambda bundle: bundle.attestation_key(HANGZHOU, key.key_id))
    # By the URN and the key together, and never under another authority.
    with pytest.raises(TrustLookupError):
        gate._trust.bundle.attestation_key("urn:hutong:region:440100", key.key_id)


async def test_who_turns_red_in_hangzhou_is_refused_with_the_code_of_the_morning(
    place: Country, gate: Checkpoint
) -> None:
    story = scenario("hangzhou/green")
    document = parse_document(DocumentType.RESIDENT_IDENTITY_CARD, story.document_number)
    # Their list comes from Hangzhou over three hubs, by its digest: the first may outrun it.
    first = await fetched(gate, document)
    second = await fetched(gate, document)
    assert gate.verify_offline(first).is_admitted
    platform = place.platform.platform
    person = platform.population.find(story.document_number)
    platform.turn(person, "红码")
    try:
        await until_trusted(gate, lambda bundle: any(s.changes() for s in bundle.statuses()))
        noon = gate.verify_offline(second)
        assert "ATTESTATION_REVOKED" in codes(noon)
        assert not noon.is_admitted
    finally:
        platform.turn(person, None)


async def test_a_city_that_its_province_does_not_hear_is_told_in_the_next_province(
    place: Country, gate: Checkpoint
) -> None:
    document = parse_document(
        DocumentType.RESIDENT_IDENTITY_CARD, scenario("hangzhou/green").document_number
    )
    first = await fetched(gate, document)
    second = await fetched(gate, document)
    intake = place.zhejiang.hub.status_intake
    assert intake is not None
    silences, later = intake.silences, [0.0]
    silences._monotonic = lambda: time.monotonic() + later[0]
    await until(lambda: HANGZHOU in silences._heard)
    await place.adapter_line.cut()
    try:
        await until(lambda: HANGZHOU not in intake.connected)
        last = silences._heard[HANGZHOU].at
        later[0] += SILENT_SECONDS
        silences.look()
        # Over Zhejiang's feed, which the nation's hub and Guangdong's pass on.
        await until_trusted(gate, lambda bundle: bundle.silence(HANGZHOU))
        result = gate.verify_offline(first)
        assert result.silent_since == last.replace(microsecond=0)
        assert "ISSUER_NOT_HEARD" in {one.code for one in result.decision.warnings}
        assert [silent.urn for silent in gate.status().silent] == [HANGZHOU]
        assert place.guangdong.hub.feed.bundle.silences() == ()
    finally:
        place.adapter_line.heal()
    await until(lambda: silences._heard[HANGZHOU].at > last)
    silences.look()
    await until_trusted(gate, lambda bundle: not bundle.silences())
    result = gate.verify_offline(second)
    assert result.is_admitted, codes(result)
    assert result.silent_since is None


async def test_a_province_that_speaks_outside_its_prefix_is_not_believed(
    place: Country, gate: Checkpoint
) -> None:
    foreign = now_region(SHENZHEN)
    await place.zhejiang.admit(foreign)
    await until_trusted(gate, lambda _: refusal(gate, SHENZHEN) == "CONSTRAINT_EXCEEDED")
    bundle = gate._trust.bundle
    attest = next(key for key in foreign.body.keys if key.use is KeyUse.ATTEST)
    for ask in (
        lambda: bundle.attestation_key(SHENZHEN, attest.key_id),
        lambda: bundle.authority_for("440300"),
        lambda: bundle.sealing_key("440300", now=datetime.now(UTC)),
    ):
        with pytest.raises(TrustLookupError):
            ask()
    assert SHENZHEN not in {item.urn for item in bundle.authorities()}


async def test_a_suspended_province_is_cut_off_and_comes_back(
    place: Country, gate: Checkpoint
) -> None:
    registry = place.nation.hub.registry
    await registry.suspend(ZHEJIANG, by="synthetic")
    await until_trusted(gate, lambda _: refusal(gate, HANGZHOU) == "AUTHORITY_SUSPENDED")
    result = await gate.ask(shown("green"), timeout_seconds=20)
    assert not result.is_admitted
    await registry.approve(ZHEJIANG)
    await until_trusted(gate, lambda _: refusal(gate, HANGZHOU) == "")
    await until_admitted(gate)


async def test_a_line_that_is_cut_leaves_each_province_its_own(
    place: Country, gate: Checkpoint
) -> None:
    async with Checkpoint.open(place.home_gate) as home:
        await until_trusted(home, lambda bundle: bundle.authority(HANGZHOU))
        for line in place.zhejiang.lines:
            await line.cut()
        try:
            feeds = place.zhejiang.hub.feeds
            await until(lambda: not feeds[NATION].connected)
            # Zhejiang serves Zhejiang, on the word of its own hub.
            await until_admitted(home)
            result = await gate.ask(shown("green"), timeout_seconds=20)
            assert result.decision.verdict is Verdict.REFER
            assert "HUB_UNREACHABLE" in codes(result)
        finally:
            for line in place.zhejiang.lines:
                line.heal()
        # Nobody is started anew.
        await until_admitted(gate)
        await until(lambda: feeds[NATION].connected)


async def test_a_loop_is_refused_at_registration(place: Country, gate: Checkpoint) -> None:
    federation = place.guangdong.hub.federation
    assert federation is not None
    await until(lambda: NATION in federation.superiors())
    with pytest.raises(RegistryError) as refused:
        await admit_below(place.nation, place.guangdong, "11")
    assert refused.value.code == "ROUTE_LOOP"


async def test_a_prefix_has_one_hub(place: Country, gate: Checkpoint) -> None:
    with pytest.raises(RpcFailure) as refused:
        await place.nation.admit(now_region("urn:hutong:region:330000", prefixes=["33"]))
    assert refused.value.code == "PREFIX_TAKEN"


async def test_the_superior_is_read_back(place: Country) -> None:
    superior = load_superior(place.guangdong.settings.superior)
    assert superior is not None
    assert (superior.urn, superior.prefixes) == (NATION, ("44",))


async def admit_below(below: Place, above: Place, prefix: str) -> None:
    """Enrol a hub below another, without writing it down."""
    now = datetime.now(UTC).replace(microsecond=0)
    plan = join_plan(above, below, prefix, above.hub.grpc_port, below.hub.grpc_port)
    identity = hub_identity(below.settings, plan, above.urn, now=now)
    async with above.channel() as channel:
        await enrol(channel, identity, hub_urn=above.urn, now=now)
    await above.hub.registry.approve(below.urn)
