"""Killing the hub at any moment loses no acknowledged change and no feed entry.

Real processes, SIGKILL, concurrent members; what a client was told before the
kill is held against what the hub says after the next start.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import feed_service_pb2, registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.errors import HutongError
from gateway.trust import parse_anchor
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import enrol
from gateway.wire.errors import RpcFailure, failure_from_rpc_error
from tests.hub.hub_process import Life, living, now
from tests.hub.hub_world import HUB, checkpoint, make_directory, region, scheme
from tests.store.databases import BACKENDS, database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.timeout(180),
]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
COUNTIES = ["02", "05", "06", "08", "09", "10", "11", "12", "13", "14", "22", "27"]
# After how many acknowledgements each life of the hub ends.
KILLS = [1, 14]
WORKERS = 4


@dataclass
class Told:
    """What clients were told and saw, over all lives of the hub."""

    enrolled: dict[str, str] = field(default_factory=dict)
    approved: dict[str, int] = field(default_factory=dict)
    suspended: dict[str, int] = field(default_factory=dict)
    entries: dict[int, str] = field(default_factory=dict)
    acknowledged: int = 0
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    """An entry reached the reader."""


async def work(life: Life, told: Told, number: int, kill_after: asyncio.Semaphore) -> None:
    """Enrol, approve and suspend until the hub is gone."""
    async with life.channel() as channel, life.tokens() as tokens:
        stub = RegistryServiceStub(channel)

        def acknowledged() -> None:
            told.acknowledged += 1
            kill_after.release()

        async def change(method: Any, request: Any) -> int:
            metadata = (("authorization", f"Bearer {await tokens.token('registry.approve')}"),)
            response = await method(request, metadata=metadata, timeout=20)
            return int(response.sequence)

        for step in range(1000):
            county = COUNTIES[(number + WORKERS * step) % len(COUNTIES)]
            urn = f"urn:hutong:region:3301{county}"
            if step % 2 or urn in told.enrolled:
                urn = f"urn:hutong:checkpoint:440100:gate-{told.acknowledged}-{number}-{step}"
                who, documents = checkpoint(urn, slot=urn, not_before=LONG_AGO), {}
            else:
                who = region(urn, prefixes=[f"3301{county}"], not_before=LONG_AGO)
                documents = {"schemes": [scheme(f"3301{county}", f"ex-{county}")]}
            try:
                enrolled = await enrol(
                    channel, who, hub_urn=HUB, now=now(), timeout_seconds=20, **documents
                )
            except RpcFailure as failure:
                if failure.code in {"AUTHORITY_EXISTS", "KEY_MALFORMED"}:
                    # Enrolled by a life that died before it could say so.
                    continue
                raise
            told.enrolled[urn] = enrolled.enrolment_id
            acknowledged()
            told.approved[urn] = await change(
                stub.Approve, registry_service_pb2.ApproveRequest(urn=urn)
            )
            acknowledged()
            if step % 3 == 2:
                told.suspended[urn] = await change(
                    stub.Suspend, registry_service_pb2.SuspendRequest(urn=urn)
                )
                acknowledged()


async def watch(life: Life, told: Told, replica: FeedReplica) -> None:
    """Follow the feed, resuming where the life before ended."""
    async with life.channel() as channel:
        request = feed_service_pb2.WatchRequest(after_sequence=replica.sequence)
        async for response in FeedServiceStub(channel).Watch(request):
            frame = response.WhichOneof("frame")
            assert frame in {"entries", "head"}
            for token in response.entries.entries:
                entry = replica.apply_entry(token, now())
                told.entries[entry.sequence] = token
                told.seen.set()


async def live_until_killed(
    directory: Path, told: Told, replica: FeedReplica, kills: int, *, is_last: bool
) -> None:
    async with living(directory) as life:
        count = asyncio.Semaphore(0)
        workers = [
            asyncio.create_task(work(life, told, number, count)) for number in range(WORKERS)
        ]
        workers.append(asyncio.create_task(watch(life, told, replica)))
        for _ in range(kills):
            await count.acquire()
        if is_last:
            # On a busy machine the lives before may have ended before the reader began.
            await told.seen.wait()
        life.process.send_signal(signal.SIGKILL)
        await life.process.wait()
        for outcome in await asyncio.gather(*workers, return_exceptions=True):
            # Every client ends because the line is gone, and for nothing else.
            if isinstance(outcome, grpc.aio.AioRpcError):
                outcome = failure_from_rpc_error(outcome)  # noqa: PLW2901  the same, with a code
            assert isinstance(outcome, HutongError), outcome
            assert outcome.code in {"PEER_UNREACHABLE", "TOKEN_ENDPOINT_UNREACHABLE"}, outcome


async def hold_against(directory: Path, told: Told, replica: FeedReplica) -> None:
    """Ask the next life for everything that was ever acknowledged."""
    async with living(directory) as life, life.channel() as channel, life.tokens() as tokens:
        stub = RegistryServiceStub(channel)
        metadata = (("authorization", f"Bearer {await tokens.token('registry.read')}"),)
        listed = await stub.ListMembers(
            registry_service_pb2.ListMembersRequest(page_size=500), metadata=metadata, timeout=20
        )
        states = {
            member.urn: registry_service_pb2.MemberState.Name(member.state)
            for member in listed.members
        }
        for urn, enrolment_id in told.enrolled.items():
            assert urn in states
            if urn not in told.approved:
                found = await stub.GetEnrolment(
                    registry_service_pb2.GetEnrolmentRequest(enrolment_id=enrolment_id), timeout=20
                )
                assert found.member.urn == urn
        for urn in told.approved:
            assert states[urn] in {"MEMBER_STATE_ACTIVE", "MEMBER_STATE_SUSPENDED"}
        for urn in told.suspended:
            assert states[urn] == "MEMBER_STATE_SUSPENDED"
        newest = max([0, *told.approved.values(), *told.suspended.values(), *told.entries])
        stream = FeedServiceStub(channel).Watch(feed_service_pb2.WatchRequest())
        entries: dict[int, str] = {}
        reader = FeedReplica(replica.anchor)
        async for response in stream:
            if response.WhichOneof("frame") == "head":
                reader.apply_head(response.head, now())
                break
            for token in response.entries.entries:
                entries[reader.apply_entry(token, now()).sequence] = token
        stream.cancel()
        assert reader.sequence >= newest
        assert told.entries.items() <= entries.items()
        # The reader that followed all lives is on the same chain, without a resync.
        for sequence in range(replica.sequence + 1, reader.sequence + 1):
            replica.apply_entry(entries[sequence], now())
        assert replica.live_tokens() == reader.live_tokens()
        life.process.send_signal(signal.SIGTERM)
        assert await life.process.wait() == 0


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_killed_hub_loses_nothing_it_acknowledged(backend: str, tmp_path: Path) -> None:
    opened = database(backend, tmp_path)
    # Its set-up runs a loop of its own, which a running loop forbids.
    dsn = await asyncio.to_thread(opened.__enter__)
    try:
        directory = tmp_path / "hub"
        await make_directory(directory, dsn, now().replace(microsecond=0))
        told = Told()
        replica = FeedReplica(parse_anchor((directory / "anchor.json").read_bytes()))
        for life, kills in enumerate(KILLS, start=1):
            await live_until_killed(directory, told, replica, kills, is_last=life == len(KILLS))
        await hold_against(directory, told, replica)
        assert told.acknowledged >= sum(KILLS)
        assert told.entries
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
