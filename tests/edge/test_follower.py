"""The replica on disk and the follower: resume, refuse, survive kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import feed_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub

from gateway.edge.errors import ReplicaError
from gateway.errors import TrustError
from gateway.trust import FeedError
from gateway.trust.anchor import parse_anchor
from gateway.wire.errors import RpcFailure
from gateway.wire.feed_follower import FeedFollower
from gateway.wire.replica_store import ReplicaStore
from tests.edge.world import HANGZHOU, NOW, Clock, World, edge_world
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hutong.v1.feed_service_pb2 import WatchResponse


@contextlib.asynccontextmanager
async def following(world: World, *, run: bool = True) -> AsyncIterator[FeedFollower]:
    """A follower with a store of its own, empty at first."""
    world.store = ReplicaStore(world.state / "followed.replica", world.federation.anchor)
    world.store.load(world.clock())
    follower = FeedFollower(
        FeedServiceStub(world.channel),
        world.store,
        clock=world.clock,
        heartbeat_seconds=15,
        on_change=lambda: None,
    )
    task = asyncio.ensure_future(follower.run()) if run else None
    try:
        yield follower
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - bounded by the test's own time limit
        await asyncio.sleep(0.005)


def on_disk(world: World) -> ReplicaStore:
    store = ReplicaStore(world.state / "followed.replica", world.federation.anchor)
    store.load(world.clock())
    return store


@pytest.mark.asyncio
async def test_it_begins_with_a_snapshot_and_follows_every_change(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world):
        await until(lambda: world.store.sequence == 5)
        assert world.hub.snapshots == 1
        world.federation.suspend(HANGZHOU)
        world.hub.tell()
        await until(lambda: world.store.sequence == 6)
        with pytest.raises(TrustError):
            world.store.bundle.authority_for(HANGZHOU)
        await until(lambda: on_disk(world).sequence == 6)


@pytest.mark.asyncio
async def test_it_resumes_from_disk_without_a_snapshot(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        async with following(world, run=False) as follower:
            await follower.refresh()
        world.federation.suspend(HANGZHOU)
        async with following(world, run=False) as follower:
            assert world.store.sequence == 5
            await follower.refresh()
            assert world.store.sequence == 6
        assert world.hub.snapshots == 1


@pytest.mark.asyncio
async def test_a_refresh_waits_for_no_watch_of_the_follower_itself(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world) as follower:
        async with asyncio.timeout(5):
            for _ in range(5):
                await follower.refresh()
            given_up = asyncio.ensure_future(follower.refresh())
            await asyncio.gather(follower.refresh(), follower.refresh())
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            world.federation.suspend(HANGZHOU)
            world.hub.tell()
            await until(lambda: world.store.sequence == 6)


@pytest.mark.asyncio
async def test_a_head_makes_trust_young_again_also_across_a_restart(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world):
        await until(lambda: world.store.is_usable)
        world.clock.advance(hours=3)
        assert world.store.age_seconds(world.clock()) == 3 * 3600
        world.hub.tell()
        await until(lambda: world.store.age_seconds(world.clock()) == 0)
        await until(lambda: on_disk(world).age_seconds(world.clock()) == 0)


@pytest.mark.asyncio
async def test_a_gap_and_a_resync_lead_to_a_snapshot(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world, run=False) as follower:
        await follower.refresh()
        world.federation.suspend(HANGZHOU)
        last = world.federation.resume(HANGZHOU)
        frames: list[list[WatchResponse]] = [
            [_entries(last.token)],
            [feed_service_pb2.WatchResponse(resync=feed_service_pb2.Resync(oldest_sequence=9))],
        ]
        world.hub.watch_frames = frames[0]
        await follower.refresh()
        assert world.store.sequence == 7
        world.federation.suspend(HANGZHOU)
        world.hub.watch_frames = frames[1]
        await follower.refresh()
        assert world.store.sequence == 8
        assert world.hub.snapshots == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["rolled_back", "forked", "foreign", "garbage", "future"])
async def test_what_does_not_hold_is_refused_and_changes_nothing(tmp_path: Path, kind: str) -> None:
    async with edge_world(tmp_path) as world, following(world, run=False) as follower:
        await follower.refresh()
        before = (world.state / "followed.replica").read_bytes()
        last = world.federation.entries[-1]
        stranger = FederationSimulator(now=world.clock())
        frames: dict[str, tuple[WatchResponse, str]] = {
            "rolled_back": (
                _entries(world.federation.entries[0].token),
                "FEED_ROLLED_BACK",
            ),
            "forked": (
                _entries(world.federation.resign(last, seq=6, prev="A" * 43)),
                "FEED_FORK",
            ),
            "foreign": (_head(stranger.head()), "FEED_SIGNATURE"),
            "garbage": (_head("not a token"), "FEED_MALFORMED"),
            "future": (
                _head(world.federation.head(now=world.federation.tick(3600))),
                "FEED_FROM_FUTURE",
            ),
        }
        frame, code = frames[kind]
        world.hub.watch_frames = [frame]
        with pytest.raises(FeedError) as caught:
            await follower.refresh()
        assert caught.value.code == code
        assert follower.last_failure == code
        assert world.store.sequence == 5
        assert on_disk(world).sequence == 5
        assert len(before) == len((world.state / "followed.replica").read_bytes())


@pytest.mark.asyncio
async def test_a_rolled_back_snapshot_is_refused(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world, run=False) as follower:
        await follower.refresh()
        world.federation.entries.pop()
        world.hub.watch_frames = [
            feed_service_pb2.WatchResponse(resync=feed_service_pb2.Resync(oldest_sequence=1))
        ]
        with pytest.raises(FeedError) as caught:
            await follower.refresh()
        assert caught.value.code == "FEED_ROLLED_BACK"
        assert world.store.sequence == 5
        world.hub.watch_frames = None
        with pytest.raises(RpcFailure) as failure:
            await follower.refresh()
        # The hub in this process says so by the status alone, without our details.
        assert failure.value.code == "INTERNAL"
        assert world.store.sequence == 5


@pytest.mark.asyncio
async def test_while_the_hub_is_away_the_age_tells(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, following(world) as follower:
        await until(lambda: world.store.is_usable)
        await world.server.stop(None)
        await until(lambda: follower.last_failure == "PEER_UNREACHABLE")
        world.clock.advance(seconds=40)
        assert world.store.age_seconds(world.clock()) == 40
        with pytest.raises(RpcFailure):
            await follower.refresh()


@pytest.mark.asyncio
async def test_an_edge_that_never_synchronised_says_so(tmp_path: Path) -> None:
    anchor = FederationSimulator().anchor
    store = ReplicaStore(tmp_path / "feed.replica", anchor)
    assert not store.load(NOW)
    assert store.age_seconds(NOW) is None
    with pytest.raises(ReplicaError) as caught:
        _ = store.bundle
    assert caught.value.code == "REPLICA_MISSING"


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", ["torn", "changed", "empty", "garbage"])
async def test_a_damaged_file_is_set_aside_and_not_trusted(tmp_path: Path, damage: str) -> None:
    async with edge_world(tmp_path) as world:
        async with following(world, run=False) as follower:
            await follower.refresh()
        path = world.state / "followed.replica"
        data = path.read_bytes()
        path.write_bytes(
            {
                "torn": data[:-20],
                "changed": data[:500] + b"A" + data[501:],
                "empty": b"",
                "garbage": os.urandom(500),
            }[damage]
        )
        store = on_disk(world)
        assert not store.is_usable
        assert not path.exists()
        assert path.with_name("followed.replica.damaged").exists()


@pytest.mark.asyncio
async def test_a_replica_of_another_hub_is_not_trusted(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        async with following(world, run=False) as follower:
            await follower.refresh()
        stranger = FederationSimulator()
        store = ReplicaStore(world.state / "followed.replica", stranger.anchor)
        assert not store.load(world.clock())


@pytest.mark.asyncio
async def test_a_clock_that_runs_behind_does_not_cost_the_replica(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        async with following(world, run=False) as follower:
            await follower.refresh()
        path = world.state / "followed.replica"
        newest = world.clock()
        world.clock.advance(days=-400)
        behind = on_disk(world)
        assert not behind.is_usable
        # Nothing is believed of it, but by how much the clock is wrong.
        assert behind.ahead is not None
        assert abs(behind.ahead - newest) < timedelta(minutes=1)
        assert path.exists()
        world.clock.advance(days=400)
        assert on_disk(world).is_usable


_WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.wire.replica_store import ReplicaStore
from tests.trust.simulator import FederationSimulator

async def main():
    federation = FederationSimulator()
    federation.add_region("330100")
    Path(sys.argv[1] + ".anchor").write_bytes(federation.anchor.to_bytes())
    store = ReplicaStore(Path(sys.argv[1]), federation.anchor)
    await store.take_snapshot(*federation.snapshot(), federation.now)
    while True:
        entry = federation.publish_policy("330100")
        await store.take_entries([entry.token], federation.now)
        print(entry.sequence, flush=True)
        federation.tick()
        await store.take_head(federation.head(), federation.now)

asyncio.run(main())
"""


@pytest.mark.processes
@pytest.mark.parametrize("writes", [1, 7, 20])
def test_a_killed_process_leaves_a_replica_that_loads_and_lost_nothing(
    tmp_path: Path, writes: int
) -> None:
    path = tmp_path / "feed.replica"
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    reported = 0
    for line in process.stdout:
        reported = int(line)
        if reported > writes:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split("\n")[:-1]
    reported = max([reported, *(int(line) for line in rest)])
    process.stdout.close()
    process.wait()
    anchor = parse_anchor((tmp_path / "feed.replica.anchor").read_bytes())

    async def load() -> int:
        store = ReplicaStore(path, anchor)
        clock = Clock(FederationSimulator().now)
        clock.advance(hours=1)
        assert store.load(clock())
        return store.sequence

    assert asyncio.run(load()) >= reported


def _entries(*tokens: str) -> WatchResponse:
    return feed_service_pb2.WatchResponse(
        entries=feed_service_pb2.FeedEntries(entries=list(tokens))
    )


def _head(token: str) -> WatchResponse:
    return feed_service_pb2.WatchResponse(head=token)
