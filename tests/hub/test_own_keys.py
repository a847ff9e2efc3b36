"""A running hub lives through rotations of its own keys, wherever the command is stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import feed_service_pb2, registry_service_pb2
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.attestation import base64url
from gateway.cli.hub_keys import replace_now, rotate
from gateway.cli.region_keys import Rehearsed, RotationPlan, Surroundings
from gateway.hub.errors import HubSetupError, RegistryError
from gateway.hub.keys import HubKeyRing
from gateway.hub.notices import Notices
from gateway.hub.own_keys import OwnKeys, open_own_keys
from gateway.hub.rehearsals import Rehearsals
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.trust import KeyState, KeyUse, parse_anchor
from gateway.trust.errors import KeyChangeError
from gateway.trust.jws import take_apart
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import check_hub
from gateway.wire.key_change import RehearsalView, rehearsal_view, standing_view
from gateway.wire.token_client import TokenError
from tests.hub.hub_world import HUB, OPERATOR, HubWorld, hub_world, make_directory
from tests.store.databases import migrated_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

MINUTE = timedelta(minutes=1)
PLAN = RotationPlan(begin_in=2 * MINUTE, overlap=timedelta(0), patience=MINUTE)
NOBODY = Rehearsed(0, RehearsalView(0, (), ()))


class StoppedError(Exception):
    """Stands for the kill."""


class Clock:
    """Real time, and what is added to it: TLS and tokens want it near."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclasses.dataclass
class Running:
    """A hub, and the command's view of it."""

    world: HubWorld
    clock: Clock
    seen: list[Rehearsed] = dataclasses.field(default_factory=list)

    @asynccontextmanager
    async def own(self) -> AsyncIterator[OwnKeys]:
        profile = load_operator_profile(self.world.directory / OPERATOR_FILE)
        async with open_own_keys(self.world.settings, profile, clock=self.clock) as own:
            yield own

    def around(self) -> Surroundings:
        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        return Surroundings(self.clock, sleep, self.seen.append, lambda _: False)

    async def rotate(self, use: str, *, plan: RotationPlan = PLAN) -> Any:
        async def asked(_: str) -> Rehearsed:
            return NOBODY

        async with self.own() as own:
            done = await rotate(own, KeyUse(use), None, plan, self.around(), asked)
        await self.catch_up()
        return done

    async def catch_up(self) -> None:
        await self.world.hub.mirror.refresh()

    def private_ids(self, use: str) -> list[str]:
        ring = HubKeyRing(self.world.settings)
        keys = ring.feed if use == "feed" else ring.token
        return [path.name for path in keys.files()]

    async def replica(self, anchor: bytes) -> FeedReplica:
        """What a reader with this anchor makes of the hub's snapshot, head included."""
        await self.catch_up()
        replica = FeedReplica(parse_anchor(anchor))
        snapshot = self.world.hub.feed.snapshot()
        replica.load_snapshot(snapshot.manifest, snapshot.entries, self.clock())
        replica.apply_head(self.world.hub.feed.head(), self.clock())
        async with self.world.channel() as channel:
            await check_hub(channel, parse_anchor(anchor))
        return replica

    async def token(self) -> tuple[str, str]:
        """An access token that the hub takes, and the key that signed it."""
        async with self.world.operator_tokens() as tokens:
            metadata = await self.world.metadata(tokens, "registry.read")
        async with self.world.channel() as channel:
            await RegistryServiceStub(channel).ListMembers(
                registry_service_pb2.ListMembersRequest(), metadata=metadata, timeout=30
            )
        token = metadata[0][1].removeprefix("Bearer ")
        return token, take_apart(token, typ="at+jwt", max_bytes=4096).key_id

    async def standing(self) -> Any:
        async with self.world.operator_tokens() as tokens:
            metadata = await self.world.metadata(tokens, "registry.read")
        async with self.world.channel() as channel:
            return standing_view(
                await RegistryServiceStub(channel).GetStanding(
                    registry_service_pb2.GetStandingRequest(urn=HUB), metadata=metadata, timeout=30
                )
            )


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Running]:
    clock = Clock()
    async with hub_world(directory, clock=clock) as world:
        yield Running(world, clock)


async def test_a_feed_key_is_followed_by_the_next_one_without_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        first = (tmp_path / "anchor.json").read_bytes()
        before = hub.world.hub.feed.anchor
        done = await hub.rotate("feed")
        assert not done.resumed
        assert [key_id for key_id, _ in done.retired] == list(before.feed_keys)
        assert (await hub.replica(first)).anchor.number == 1
        hub.clock.ahead += 3 * MINUTE
        await hub.catch_up()
        after = hub.world.hub.feed.head()
        assert json_of(after)["kid"] == done.key_id
        for anchor in (first, (tmp_path / "anchor.json").read_bytes()):
            replica = await hub.replica(anchor)
            assert replica.anchor.times() == hub.world.hub.feed.anchor.times()
        # For everybody to read, as `init` left it.
        assert (tmp_path / "anchor.json").stat().st_mode == (tmp_path / "hub.toml").stat().st_mode
        states = {key.key_id: key.state for key in (await hub.standing()).keys if key.use == "feed"}
        assert states[done.key_id] is KeyState.ACTIVE
        assert sorted(states.values()) == ["active", "retired"]


async def test_a_token_key_is_followed_and_what_the_old_one_signed_still_holds(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as hub:
        _, old = await hub.token()
        done = await hub.rotate("token")
        async with (
            hub.world.session() as session,
            session.get(f"{hub.world.url}/.well-known/jwks.json") as response,
        ):
            shown = {key["kid"] for key in (await response.json())["keys"]}
        assert shown == {old, done.key_id}
        earlier, signer = await hub.token()
        assert signer == old
        hub.clock.ahead += 3 * MINUTE
        async with hub.world.channel() as channel:
            await RegistryServiceStub(channel).ListMembers(
                registry_service_pb2.ListMembersRequest(),
                metadata=(("authorization", f"Bearer {earlier}"),),
                timeout=30,
            )
        assert (await hub.token())[1] == done.key_id


async def test_a_leaked_token_key_is_taken_back_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        earlier, old = await hub.token()
        async with hub.own() as own:
            done, unheard = await replace_now(own, None, "copied")
        await hub.catch_up()
        assert unheard is None
        assert [key_id for key_id, _ in done.retired] == [old]
        async with hub.world.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="unknown key"):
                await RegistryServiceStub(channel).ListMembers(
                    registry_service_pb2.ListMembersRequest(),
                    metadata=(("authorization", f"Bearer {earlier}"),),
                    timeout=30,
                )
        assert (await hub.token())[1] == done.key_id
        assert set(hub.world.hub.feed.anchor.token_keys) == {done.key_id}


@pytest.mark.parametrize(
    ("use", "step", "when"),
    [
        *(("feed", step, "after") for step in ("make", "rehearse", "publish", "name", "export")),
        ("feed", "publish", "before"),
        ("token", "publish", "after"),
        ("token", "name", "after"),
    ],
)
async def test_stopped_anywhere_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, step: str, when: str
) -> None:
    async with running(tmp_path) as hub:
        first = (tmp_path / "anchor.json").read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(OwnKeys, step, _stopping(getattr(OwnKeys, step), when))
            with pytest.raises(StoppedError):
                await hub.rotate(use)
        await hub.catch_up()
        await hub.replica(first)
        done = await hub.rotate(use)
        assert hub.world.hub.feed.anchor.number == 1
        assert hub.private_ids(use) == [f"{use}.json", f"{use}-{int(done.begins.timestamp())}.json"]
        assert not list((tmp_path / "keys").glob("*.next"))
        hub.clock.ahead += 3 * MINUTE
        for anchor in (first, (tmp_path / "anchor.json").read_bytes()):
            assert (await hub.replica(anchor)).anchor.number == 1
        signer = json_of(hub.world.hub.feed.head())["kid"] if use == "feed" else ""
        assert done.key_id in (signer, (await hub.token())[1])
        # Nothing is left of it: the next run begins the next rotation.
        assert (await hub.rotate(use)).key_id != done.key_id


def _stopping(step: Any, when: str) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(step):

        async def stop(*args: Any) -> None:
            if when == "after":
                await step(*args)
            raise StoppedError

        return stop

    def stop_at_once(*args: Any) -> None:
        if when == "after":
            step(*args)
        raise StoppedError

    return stop_at_once


async def test_a_restart_in_the_middle_signs_with_the_key_whose_time_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        first = (tmp_path / "anchor.json").read_bytes()
        done = await hub.rotate("feed")
        await hub.rotate("token")
        ahead = hub.clock.ahead + 3 * MINUTE
    # The first files are put away once nothing is signed with them any more.
    for name in ("feed.json", "token.json"):
        (tmp_path / "keys" / name).rename(tmp_path / name)
    clock = Clock()
    clock.ahead = ahead
    async with hub_world(tmp_path, clock=clock) as world:
        again = Running(world, clock)
        assert json_of(world.hub.feed.head())["kid"] == done.key_id
        assert (await again.replica(first)).anchor.number == 2
        await again.token()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    with migrated_database("postgres", tmp_path) as dsn:
        yield dsn


@pytest.mark.postgres
async def test_two_processes_on_one_database_change_over_together(
    shared: str, tmp_path: Path
) -> None:
    clock = Clock()
    first, second = tmp_path / "one", tmp_path / "two"
    await make_directory(first, shared, datetime.now(UTC).replace(microsecond=0))
    shutil.copytree(first, second)
    async with hub_world(first, clock=clock) as one, hub_world(second, clock=clock) as two:
        hub, other = Running(one, clock), Running(two, clock)
        feed, token = await hub.rotate("feed"), await hub.rotate("token")
        await other.catch_up()
        # The new files are copied before their time comes; here one of them is late.
        _, old = await other.token()
        assert old != token.key_id
        shutil.copy(first / "keys" / other_file(feed), second / "keys")
        clock.ahead += 3 * MINUTE
        for running_hub in (hub, other):
            await running_hub.catch_up()
            signed = running_hub.world.hub.feed.head()
            assert json_of(signed)["kid"] == feed.key_id
        with pytest.raises(TokenError):
            await other.token()
        shutil.copy(first / "keys" / other_file(token), second / "keys")
        assert (await other.token())[1] == token.key_id


def other_file(done: Any) -> str:
    """The name of the file of a rotation's new key."""
    return f"{done.slot}-{int(done.begins.timestamp())}.json"


async def test_without_the_file_of_its_key_a_hub_does_not_start(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.rotate("feed")
        ahead = hub.clock.ahead + 3 * MINUTE
    (tmp_path / "keys" / hub.private_ids("feed")[1]).unlink()
    clock = Clock()
    clock.ahead = ahead
    with pytest.raises(HubSetupError, match="whose time it is"):
        async with hub_world(tmp_path, clock=clock):
            pass


async def test_while_a_key_is_to_come_no_further_rotation_begins(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        done = await hub.rotate("feed")
        again = await hub.rotate("feed")
        assert (again.key_id, again.resumed) == (done.key_id, True)
        assert hub.world.hub.feed.anchor.number == 1
        # The other use is another matter.
        assert not (await hub.rotate("token")).resumed
        assert hub.world.hub.feed.anchor.number == 2


async def test_a_key_that_readers_cannot_have_seen_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        with pytest.raises(KeyChangeError) as caught:
            await hub.rotate("feed", plan=dataclasses.replace(PLAN, begin_in=MINUTE / 2))
        assert caught.value.code == "LEAD_TIME_TOO_SHORT"
        assert hub.world.hub.feed.anchor.number == 0


async def test_two_operators_at_once_do_not_rotate_twice(tmp_path: Path) -> None:
    async with running(tmp_path) as hub, hub.own() as one, hub.own() as other:
        mine = one.make(KeyUse.TOKEN, int((one.now() + 2 * MINUTE).timestamp()))
        await one.publish(mine)
        with pytest.raises((RegistryError, KeyChangeError)) as caught:
            await other.publish(dataclasses.replace(mine))
        assert caught.value.code == "WRONG_STATE"


async def test_the_audit_says_who_changed_the_hubs_keys(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.rotate("feed")
        rows = await hub.world.hub.store.audit(subject=HUB, before=0, limit=10)
        assert [(row.actor, row.action) for row in rows] == [
            (OPERATOR, "rotate-hub-feed"),
            (OPERATOR, "rehearse-hub-key"),
        ]


async def test_a_stranger_changes_no_keys(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        profile = load_operator_profile(tmp_path / OPERATOR_FILE)
        for other in (
            profile.model_copy(update={"urn": HUB}),
            profile.model_copy(update={"key": tmp_path / "keys/feed.json"}),
        ):
            with pytest.raises(HubSetupError, match="no active operator"):
                async with open_own_keys(hub.world.settings, other, clock=hub.clock):
                    pass


async def test_a_reader_that_would_not_verify_the_key_stops_the_rotation(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:

        async def asked(rehearsal: str) -> Rehearsed:
            await hub.catch_up()
            async with hub.world.operator_tokens() as tokens:
                metadata = await hub.world.metadata(tokens, "registry.read")
            async with hub.world.channel() as channel:
                said = rehearsal_view(
                    await RegistryServiceStub(channel).GetRehearsal(
                        registry_service_pb2.GetRehearsalRequest(rehearsal=rehearsal),
                        metadata=metadata,
                        timeout=30,
                    )
                )
            failing = (("urn:hutong:checkpoint:330100:gate", "KEY_MALFORMED"),)
            return Rehearsed(1, dataclasses.replace(said, failures=failing))

        async with hub.own() as own:
            done = await rotate(own, KeyUse.FEED, None, PLAN, hub.around(), asked)
        assert done.stopped
        await hub.catch_up()
        assert hub.world.hub.feed.anchor.number == 0
        assert hub.private_ids("feed") == ["feed.json"]


async def test_the_feed_tells_ahead_of_the_end_of_a_hubs_key(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        await hub.rotate("token")
        async with hub.world.channel() as channel:
            chunks = FeedServiceStub(channel).Snapshot(feed_service_pb2.SnapshotRequest())
            assert [chunk async for chunk in chunks]
        running_hub = hub.world.hub
        notices = Notices(
            running_hub.registry,
            running_hub.feed,
            Rehearsals(running_hub.registry, running_hub.feed, running_hub.readers),
        )
        assert await notices.look() == 1
        (notice,) = running_hub.feed.bundle.notices()
        assert (notice.urn, notice.topic) == (HUB, "key-expiring")
        hub.clock.ahead += 3 * MINUTE
        assert await notices.look() == 1
        assert not running_hub.feed.bundle.notices()


def json_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64url.decode(token.split(".", maxsplit=1)[0].encode()))
    return found
