"""One of two hub processes on one PostgreSQL is killed: the other goes on as if it were both.

Real processes and SIGKILL. Operators approve and distrust through both until one dies;
what either acknowledged, and what watchers of the dead one saw, is held against the
one that is left.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import grpc
import pytest
from hutong.v1 import feed_service_pb2, registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.errors import HutongError
from gateway.hub.distrusting import rule_to_proto
from gateway.trust import DistrustRule, parse_anchor
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import enrol
from gateway.wire.errors import failure_from_rpc_error
from tests.hub.hub_process import Life, living, now
from tests.hub.hub_world import HUB, make_directory, region, scheme
from tests.store.databases import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.postgres,
    pytest.mark.timeout(300),
]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CALL_SECONDS = 60
# Regions admitted through the process that is killed, and through the other: before
# and after.
THERE, HERE, AFTER = "02", "11", "12"
WATCHERS = 3


@dataclass
class Told:
    """What operators were told."""

    approved: dict[str, int] = field(default_factory=dict)
    distrusted: dict[str, int] = field(default_factory=dict)
    some: asyncio.Event = field(default_factory=asyncio.Event)
    """A region was approved and distrusted."""

    @property
    def newest(self) -> int:
        return max(*self.approved.values(), *self.distrusted.values())


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with database("postgres", tmp_path) as dsn:
        yield dsn


async def operate(life: Life, told: Told, county: str, distrusts: int | None) -> None:
    """Admit a region and distrust what it signed, so often or until the line is gone."""
    urn = f"urn:hutong:region:3301{county}"
    who = region(urn, prefixes=[f"3301{county}"], not_before=LONG_AGO)
    schemes = [scheme(f"3301{county}", f"ex-{county}")]
    async with life.channel() as channel, life.tokens() as tokens:
        stub = RegistryServiceStub(channel)
        await enrol(
            channel, who, hub_urn=HUB, now=now(), timeout_seconds=CALL_SECONDS, schemes=schemes
        )
        metadata = (("authorization", f"Bearer {await tokens.token('registry.approve')}"),)
        approved = await stub.Approve(
            registry_service_pb2.ApproveRequest(urn=urn), metadata=metadata, timeout=CALL_SECONDS
        )
        told.approved[urn] = approved.sequence
        for number in count() if distrusts is None else range(distrusts):
            signed_from = LONG_AGO + timedelta(seconds=number)
            rule = rule_to_proto(DistrustRule(issuer=urn, signed_from=signed_from))
            distrusted = await stub.Distrust(
                registry_service_pb2.DistrustRequest(rule=rule, reason="synthetic"),
                metadata=metadata,
                timeout=CALL_SECONDS,
            )
            told.distrusted[distrusted.distrust] = distrusted.sequence
            told.some.set()


class Watcher:
    """An edge's view: a replica that refuses a gap and a second entry of one number."""

    def __init__(self, anchor: bytes) -> None:
        self.replica = FeedReplica(parse_anchor(anchor))
        self.tokens: list[str] = []
        self.begun = asyncio.Event()

    async def follow(self, life: Life, until: int | None = None) -> None:
        """Go on from where it stands, to a number or until the line is gone."""
        async with life.channel() as channel:
            request = feed_service_pb2.WatchRequest(after_sequence=self.replica.sequence)
            call = FeedServiceStub(channel).Watch(request)
            async for response in call:
                assert response.WhichOneof("frame") in {"entries", "head"}
                for token in response.entries.entries:
                    self.replica.apply_entry(token, now())
                    self.tokens.append(token)
                    self.begun.set()
                if until is not None and self.replica.sequence >= until:
                    call.cancel()
                    return


def is_lost_line(outcome: object) -> bool:
    if isinstance(outcome, grpc.aio.AioRpcError):
        outcome = failure_from_rpc_error(outcome)
    lost = {"PEER_UNREACHABLE", "TOKEN_ENDPOINT_UNREACHABLE"}
    return isinstance(outcome, HutongError) and outcome.code in lost


async def test_the_process_that_is_left_lost_nothing(shared: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await make_directory(first, shared, now().replace(microsecond=0))
    shutil.copytree(first, second)
    anchor = (first / "anchor.json").read_bytes()
    there, here = Told(), Told()
    watchers = [Watcher(anchor) for _ in range(WATCHERS)]
    async with living(first) as dies, living(second) as stays:
        following = [asyncio.create_task(watcher.follow(dies)) for watcher in watchers]
        dying = asyncio.create_task(operate(dies, there, THERE, None))
        staying = asyncio.create_task(operate(stays, here, HERE, 3))
        for wanted in (there.some, here.some, *(watcher.begun for watcher in watchers)):
            await wanted.wait()
        dies.process.send_signal(signal.SIGKILL)
        await dies.process.wait()
        for outcome in await asyncio.gather(dying, *following, return_exceptions=True):
            assert is_lost_line(outcome), outcome
        await staying
        # The last word: nothing the dead process had begun can come after it.
        await operate(stays, here, AFTER, 1)

        reference = Watcher(anchor)
        await reference.follow(stays, until=here.newest)
        assert here.newest > there.newest
        for watcher in watchers:
            # What the dead process had sent is what this one has, number by number.
            assert watcher.tokens == reference.tokens[: len(watcher.tokens)]
            await watcher.follow(stays, until=reference.replica.sequence)
            assert watcher.tokens == reference.tokens
            assert watcher.replica.live_tokens() == reference.replica.live_tokens()
        bundle = reference.replica.bundle
        assert {item.distrust_id for item in bundle.distrusts()} >= (
            there.distrusted.keys() | here.distrusted.keys()
        )
        async with stays.channel() as channel, stays.tokens() as tokens:
            metadata = (("authorization", f"Bearer {await tokens.token('registry.read')}"),)
            listed = await RegistryServiceStub(channel).ListMembers(
                registry_service_pb2.ListMembersRequest(page_size=500),
                metadata=metadata,
                timeout=CALL_SECONDS,
            )
        active = registry_service_pb2.MEMBER_STATE_ACTIVE
        assert {member.urn for member in listed.members if member.state == active} >= (
            there.approved.keys() | here.approved.keys()
        )
