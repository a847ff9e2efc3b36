"""Distrust, rehearsals, notices and standing on one hub process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc

from gateway.hub.distrusting import Distrusting, rule_from_proto, rule_to_proto
from gateway.hub.hub_metrics import use_ends
from gateway.hub.live_counts import FEWEST_COUNTED, LiveCounts
from gateway.hub.notices import due_notices
from gateway.store import Store, UsageRow
from gateway.trust import (
    DistrustRule,
    KeyUse,
    StatementKind,
    rehearsal_body,
    sign_statement,
)
from gateway.trust.findings import FindingName
from tests.hub.hub_world import (
    GATE,
    GUANGZHOU,
    HANGZHOU,
    OPERATOR,
    START,
    RegistryWorld,
    checkpoint,
    policy,
    region,
    registry_world,
    scheme,
)
from tests.hub.registry_world import refused, replica_of
from tests.hub.trust_world import TrustWorld, ending, next_key, trust_world
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.hub.directory import AdapterRecord

pytestmark = pytest.mark.asyncio

RULE = DistrustRule(issuer=HANGZHOU, signed_from=START - timedelta(hours=1))


@pytest.fixture
def dsn(tmp_path: Path) -> Iterator[str]:
    """SQLite only: what these parts ask of a store is tested on both in tests/store."""
    with migrated_database("sqlite", tmp_path) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def trust(world: RegistryWorld) -> TrustWorld:
    await world.active(region(), schemes=[scheme()], policy=policy())
    return trust_world(world)


# --- distrust


async def test_a_distrust_counts_at_once_and_can_be_taken_back(trust: TrustWorld) -> None:
    world, distrusting = trust.world, trust.parts.distrusting
    rule = replace(RULE, kind="scheme")
    name, sequence = await distrusting.distrust(rule, by=OPERATOR, reason="a scheme was forged")
    assert sequence == 4
    bundle = replica_of(world).bundle
    assert bundle.schemes() == ()
    assert bundle.policy("330100") == policy()
    (held,) = bundle.distrusts()
    assert (held.distrust_id, held.rule, held.reason) == (name, rule, "a scheme was forged")
    assert await distrusting.undo(name, by=OPERATOR, reason="checked") == 5
    bundle = replica_of(world).bundle
    assert bundle.distrusts() == ()
    assert len(bundle.schemes()) == 1
    assert await refused(distrusting.undo(name, by=OPERATOR, reason="")) == "NOT_FOUND"
    lines = await world.store.audit(subject=name, limit=9)
    assert [(row.action, row.actor, row.reason, row.sequence) for row in lines] == [
        ("undo-distrust", OPERATOR, "checked", 5),
        ("distrust", OPERATOR, "a scheme was forged", 4),
    ]


async def test_two_who_undo_one_distrust_write_one_entry(trust: TrustWorld) -> None:
    distrusting = trust.parts.distrusting
    name, _ = await distrusting.distrust(RULE, by=OPERATOR, reason="synthetic")
    done = await asyncio.gather(
        *(distrusting.undo(name, by=OPERATOR, reason="") for _ in range(2)),
        return_exceptions=True,
    )
    assert sorted(type(item).__name__ for item in done) == ["RegistryError", "int"]
    assert trust.world.feed.sequence == 5


async def test_whom_the_feed_does_not_name_is_not_distrusted(trust: TrustWorld) -> None:
    rule = replace(RULE, issuer=GUANGZHOU)
    distrusting = trust.parts.distrusting
    assert await refused(distrusting.distrust(rule, by=OPERATOR, reason="x")) == "DISTRUST_INVALID"
    assert await refused(distrusting.preview(rule)) == "DISTRUST_INVALID"


class Counting(adapter_service_pb2_grpc.AdapterServiceServicer):
    """An adapter that counts, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.count = 1234

    async def CountLive(self, request: Any, context: Any) -> Any:
        del context
        self.asked.append(request.rule)
        return adapter_service_pb2.CountLiveResponse(attestations=self.count)


@dataclass
class Counter:
    servicer: Counting
    port: int

    def channel(self, record: AdapterRecord) -> grpc.aio.Channel:
        assert record.authority == HANGZHOU
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")


def previewing(trust: TrustWorld, counter: Counter) -> Distrusting:
    """The part that previews, with this counter for an adapter."""
    world = trust.world
    return Distrusting(
        world.registry,
        world.feed,
        world.store,
        live=LiveCounts(world.registry.members, None, channel_to=counter.channel),
        readers=trust.parts.reader_counts,
    )


@asynccontextmanager
async def counting() -> AsyncIterator[Counter]:
    server = grpc.aio.server()
    servicer = Counting()  # type: ignore[abstract]  # the other methods are never called
    adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Counter(servicer, port)
    finally:
        await server.stop(None)


async def test_a_preview_counts_and_names_what_a_distrust_would_touch(trust: TrustWorld) -> None:
    world = trust.world
    hour = START.replace(minute=0)
    rows = [
        UsageRow(GATE, "330106", "CHECKPOINT", hour, 1, 1),
        UsageRow("", "330106", "CHECKPOINT", hour, 1, 1),
        UsageRow("urn:elsewhere", "440100", "CHECKPOINT", hour, 1, 1),
        UsageRow("urn:long-ago", "330106", "CHECKPOINT", hour - timedelta(days=2), 1, 1),
    ]
    await world.store.add_usage(rows)
    watching = world.feed.watch(0, None)
    assert watching is not None
    rule = replace(RULE, first_serial=3, last_serial=9)
    async with counting() as counter:
        distrusting = previewing(trust, counter)
        preview = await distrusting.preview(rule)
        assert rule_from_proto(counter.servicer.asked[0]) == rule
    assert preview.attestations == 1234
    assert preview.edges_connected == 1
    assert preview.callers == (GATE,)
    everything = await distrusting.preview(RULE)
    # The adapter is gone by now: nothing is said of what it would have counted.
    assert everything.attestations is None
    assert everything.uncounted == HANGZHOU
    assert (everything.elsewhere, everything.unknown) == ((), ())
    assert set(everything.published) == {f"{HANGZHOU}#ex-jkm", f"{HANGZHOU}#330100"}
    assert world.feed.sequence == 3


async def test_no_adapter_makes_a_hub_count_fewer_than_ten(trust: TrustWorld) -> None:
    async with counting() as counter:
        counter.servicer.count = 3
        preview = await previewing(trust, counter).preview(RULE)
        assert preview.attestations == FEWEST_COUNTED
        # Only an attestation is live: nobody is asked about the rest, and a hub signs none.
        policies = await previewing(trust, counter).preview(replace(RULE, kind="policy"))
        assert (policies.attestations, len(counter.servicer.asked)) == (0, 1)


@pytest.mark.parametrize(
    "rule",
    [
        RULE,
        replace(RULE, kind="attestation", prefix="3301", first_serial=0, last_serial=7),
        replace(RULE, signed_until=START, key_id="k" * 43, scheme="ex-jkm@2020-02"),
    ],
)
async def test_a_rule_goes_over_the_wire_and_back(rule: DistrustRule) -> None:
    assert rule_from_proto(rule_to_proto(rule)) == rule


# --- rehearsals


@dataclass(frozen=True)
class Answer:
    rehearsal: str
    verified: bool
    reason: str = ""


def rehearsal_token(world: RegistryWorld, slot: str = "next/attest", **changes: Any) -> str:
    who = region()
    private, key = next_key(slot, KeyUse.ATTEST, world.clock())
    body = rehearsal_body(key, private, issuer=HANGZHOU, now=world.clock()) | changes
    return sign_statement(StatementKind.REHEARSAL, HANGZHOU, body, who.state_key, now=world.clock())


async def test_readers_say_whether_a_new_key_would_verify(trust: TrustWorld) -> None:
    world, rehearsals = trust.world, trust.parts.rehearsals
    trust.readers.acknowledge("urn:before", "", 3)
    name, sequence = await rehearsals.begin(HANGZHOU, rehearsal_token(world))
    assert sequence == 4
    (held,) = replica_of(world).bundle.rehearsals()
    held.check()
    trust.readers.acknowledge(GATE, "", 4, [Answer(name, verified=True)])
    trust.readers.acknowledge("urn:old", "", 4, [Answer(name, verified=False, reason="KEY_TYPE")])
    trust.readers.acknowledge("urn:odd", "", 4, [Answer("unknown", verified=True)])
    result = rehearsals.result(name, asked_by=HANGZHOU)
    assert (result.connected, result.verified) == (4, 1)
    assert result.failures == {"urn:old": "KEY_TYPE"}
    assert result.silent == ("urn:before", "urn:odd")
    with pytest.raises(Exception, match="under way"):
        rehearsals.result(name, asked_by=GUANGZHOU)


async def test_a_rehearsal_ends_when_the_next_begins_or_after_an_hour(trust: TrustWorld) -> None:
    world, rehearsals = trust.world, trust.parts.rehearsals
    first, _ = await rehearsals.begin(HANGZHOU, rehearsal_token(world))
    second, _ = await rehearsals.begin(HANGZHOU, rehearsal_token(world, "another"))
    assert [held.rehearsal_id for held in world.feed.bundle.rehearsals()] == [second]
    await rehearsals.end_old()
    assert len(world.feed.bundle.rehearsals()) == 1
    world.clock.advance(3600)
    await rehearsals.end_old()
    assert world.feed.bundle.rehearsals() == ()
    with pytest.raises(Exception, match="under way"):
        rehearsals.result(first)


async def test_a_rehearsal_that_shows_nothing_is_refused(trust: TrustWorld) -> None:
    world, rehearsals = trust.world, trust.parts.rehearsals
    for token in (rehearsal_token(world, sample="a.b.c"), rehearsal_token(world, key={})):
        assert await refused(rehearsals.begin(HANGZHOU, token)) in {
            "STATEMENT_INVALID",
            "KEY_MALFORMED",
        }
    assert await refused(rehearsals.begin(GUANGZHOU, rehearsal_token(world))) == (
        "STATEMENT_INVALID"
    )
    assert world.feed.sequence == 3


# --- notices and standing


async def test_notices_come_ahead_of_an_expiry_each_once(world: RegistryWorld) -> None:
    end = START + timedelta(days=200)
    await world.active(ending(region(), end))
    trust = trust_world(world)
    assert await trust.parts.notices.look() == 0
    for days in (30, 7, 1):
        world.clock.now = end - timedelta(days=days)
        # Two processes look at once: the store knows what was given.
        others = trust_world(world).parts.notices
        written = [await trust.parts.notices.look(), await others.look()]
        assert written == [1, 0]
        assert await trust.parts.notices.look() == 0
    (notice,) = replica_of(world).bundle.notices()
    assert (notice.urn, notice.topic, notice.at) == (HANGZHOU, "key-expiring", end)
    assert {key["use"] for key in notice.body["keys"]} == {
        "attest", "state", "seal", "authenticate"
    }  # fmt: skip
    await world.registry.suspend(HANGZHOU, by=OPERATOR)
    assert await trust.parts.notices.look() == 1
    assert replica_of(world).bundle.notices() == ()


async def test_a_short_lived_key_is_told_of_in_proportion(world: RegistryWorld) -> None:
    begin = START - timedelta(days=1)
    await world.active(ending(region(), begin + timedelta(days=12)))
    (member,) = world.registry.members.all()
    told = []
    for hours in range(12 * 24):
        names = {due.name for due in due_notices(member, begin + timedelta(hours=hours))}
        told.append(len(names))
    assert told[0] == 0
    assert told[9 * 24 - 1] == 0
    assert told[9 * 24] == 4
    assert told[-1] == 12


async def test_a_standing_shows_keys_findings_and_readers(world: RegistryWorld) -> None:
    end = START + timedelta(hours=8)
    await world.active(ending(region(), end), policy=policy())
    trust = trust_world(world)
    trust.readers.acknowledge(GATE, "", 2)
    trust.readers.acknowledge("urn:slow", "", 1)
    trust.readers.acknowledge("urn:elsewhere", "urn:hutong:hub:330000", 7)
    standing = await trust.parts.standings.standing(HANGZHOU)
    assert len(standing.keys) == 4
    assert {item.name for item in standing.findings} == {
        FindingName.KEY_EXPIRES_SOON,
        FindingName.KEY_WITHOUT_SUCCESSOR,
    }
    assert [(reader.urn, reader.sequence) for reader in standing.readers] == [
        ("urn:slow", 1),
        (GATE, 2),
    ]
    assert await refused(trust.parts.standings.standing(GUANGZHOU)) == "NOT_FOUND"


async def test_the_metric_tells_when_a_use_is_left_without_a_key() -> None:
    end = START + timedelta(days=20)
    keys = ending(region(), end).body.keys
    assert set(use_ends(keys, START).values()) == {end}
    assert use_ends(region().body.keys, START) == {}
    tainted = tuple(replace(key, tainted_from=START - timedelta(hours=1)) for key in keys)
    assert set(use_ends(tainted, START).values()) == {START - timedelta(hours=1)}


async def test_the_linter_sees_what_another_region_has_published(trust: TrustWorld) -> None:
    world = trust.world
    other = region(GUANGZHOU)
    await world.active(other)
    document = scheme("440100", "gd-jkm")
    token = sign_statement(
        StatementKind.SCHEME, GUANGZHOU, document, other.state_key, now=world.clock()
    )
    assert await trust.parts.standings.lint(GUANGZHOU, token, reach=True) == ()
    foreign = await trust.parts.standings.lint(HANGZHOU, token, reach=False)
    assert {item.name for item in foreign} >= {
        FindingName.STATEMENT_SIGNATURE,
        FindingName.STATEMENT_SCOPE,
    }
    assert world.feed.sequence == 4


async def test_an_endpoint_that_is_not_there_is_a_warning(
    world: RegistryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.hub.standing.REACH_SECONDS", 0.1)
    trust = trust_world(world)
    who = region(endpoint="127.0.0.1:1")
    token = sign_statement(
        StatementKind.ENROLMENT, HANGZHOU, who.body.to_body(), who.state_key, now=world.clock()
    )
    findings = await trust.parts.standings.lint(HANGZHOU, token, reach=True)
    assert {item.name for item in findings} == {
        FindingName.KEY_WITHOUT_END,
        FindingName.ENDPOINT_UNREACHABLE,
    }


async def test_an_answer_may_come_to_a_process_that_did_not_begin(dsn: str) -> None:
    async with await Store.open(dsn) as one, await Store.open(dsn) as two:
        first = registry_world(one)
        second = registry_world(two, first.clock)
        await first.mirror.load()
        await first.active(region())
        await first.active(checkpoint())
        await second.mirror.load()
        begun, answered = trust_world(first), trust_world(second)
        name, _ = await begun.parts.rehearsals.begin(HANGZHOU, rehearsal_token(first))
        await second.mirror.refresh()
        answered.readers.acknowledge(GATE, "", 2, [Answer(name, verified=True)])
        assert answered.parts.rehearsals.result(name).verified == 1
        begun.readers.acknowledge("urn:here", "", 2, [Answer(name, verified=False, reason="no\0")])
        # Each process knows the whole once the other has written.
        await answered.parts.sharing.close()
        await begun.parts.sharing.refresh(name)
        whole = begun.parts.rehearsals.result(name)
        assert (whole.connected, whole.verified) == (2, 1)
        assert whole.failures == {"urn:here": "UNKNOWN"}
        standing = await begun.parts.standings.standing(HANGZHOU)
        assert [(reader.urn, reader.sequence) for reader in standing.readers] == [
            ("urn:here", 2),
            (GATE, 2),
        ]
