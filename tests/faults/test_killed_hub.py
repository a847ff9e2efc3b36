"""A hub killed at each step of a rotation and of a distrust, on the same store.

Real processes and SIGKILL. After each life a reader that followed all of them goes on from
where it was: the feed is one history, what was acknowledged is in it, what was not may be
asked for again.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import distrust_pb2, feed_service_pb2
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1.feed_service_pb2_grpc import FeedServiceStub
from hutong.v1.registry_service_pb2_grpc import RegistryServiceStub

from gateway.attestation.sealing import public_sealing_jwk
from gateway.trust import KeyChange, KeyState, KeyUse, parse_anchor, signing_member_key
from gateway.trust.keys import sealing_member_key
from gateway.trust.replica import FeedReplica
from gateway.wire.enrolment import MemberIdentity, enrol
from gateway.wire.errors import failure_from_rpc_error
from tests.hub.hub_process import Life, living
from tests.hub.hub_world import HANGZHOU, HUB, make_directory, now_region, sealing_key, signing_key
from tests.hub.trust_world import change_request, key_of, move, open_with

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.timeout(300),
]

LATER = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Reader:
    """Follows the feed over all lives; anything but one history raises."""

    replica: FeedReplica

    async def follow(self, life: Life) -> None:
        """Take everything up to the head of this life."""
        async with life.channel() as channel:
            request = feed_service_pb2.WatchRequest(after_sequence=self.replica.sequence)
            call: Any = FeedServiceStub(channel).Watch(request)
            while True:
                frame = await call.read()
                kind = frame.WhichOneof("frame")
                assert kind in {"entries", "head"}
                if kind == "head":
                    self.replica.apply_head(frame.head, datetime.now(UTC))
                    break
                for token in frame.entries.entries:
                    self.replica.apply_entry(token, datetime.now(UTC))
            call.cancel()

    def state(self, key_id: str, at: datetime) -> KeyState:
        keys = self.replica.bundle.authority(HANGZHOU).keys
        return next(key for key in keys if key.key_id == key_id).state(at)

    @property
    def key_ids(self) -> set[str]:
        return {key.key_id for key in self.replica.bundle.authority(HANGZHOU).keys}


async def call(life: Life, method: str, request: Any, who: MemberIdentity | None = None) -> Any:
    """Call the registry as a member, or as the operator."""
    if who is None:
        tokens, scope = life.tokens(), "registry.approve"
    else:
        tokens, scope = life.tokens(), "registry.publish"
        tokens = type(tokens)(
            f"{life.http}/oauth2/token",
            who.body.urn,
            who.signing_keys[1],
            life.ca_pem,
            lambda: datetime.now(UTC),
        )
    async with tokens, life.channel() as channel:
        metadata = (("authorization", f"Bearer {await tokens.token(scope)}"),)
        stub = RegistryServiceStub(channel)
        return await getattr(stub, method)(request, metadata=metadata, timeout=60)


def kill(life: Life) -> None:
    life.process.send_signal(signal.SIGKILL)


@pytest.fixture
def who() -> MemberIdentity:
    return now_region()


async def begin(directory: Path, who: MemberIdentity) -> Reader:
    """A hub's directory with one region that is active; the hub has been killed."""
    await make_directory(directory, None, now())
    reader = Reader(FeedReplica(parse_anchor((directory / "anchor.json").read_bytes())))
    async with living(directory) as life:
        async with life.channel() as channel:
            await enrol(channel, who, hub_urn=HUB, now=now())
        await call(life, "Approve", pb.ApproveRequest(urn=who.body.urn))
        await reader.follow(life)
        kill(life)
    return reader


async def test_a_hub_killed_at_each_step_of_a_rotation_and_a_distrust_loses_nothing(
    tmp_path: Path, who: MemberIdentity
) -> None:
    directory = tmp_path / "hub"
    reader = await begin(directory, who)
    old = {use: key_of(who, use).key_id for use in (KeyUse.ATTEST, KeyUse.SEAL)}
    begins = now() + LATER
    attest = signing_key("killed/attest")
    seal = sealing_member_key(public_sealing_jwk(sealing_key("killed/seal")), not_before=begins)
    new = {KeyUse.ATTEST: attest.key_id, KeyUse.SEAL: seal.key_id}
    change = KeyChange(
        add=(signing_member_key(attest, KeyUse.ATTEST, not_before=begins), seal),
        retire=tuple(move(key_id, begins) for key_id in old.values()),
    )
    statement, proofs = change_request(who, change, now(), attest)
    leaked = Timestamp()
    leaked.FromDatetime(now() - LATER)
    rule = distrust_pb2.DistrustRule(issuer=HANGZHOU, signed_from=leaked, kind="attestation")

    # Accepted, the challenge of the sealing key open; a distrust looked at and not made.
    async with living(directory) as life:
        request = pb.ChangeKeysRequest(statement=statement, key_proofs=proofs)
        changed = await call(life, "ChangeKeys", request, who)
        assert changed.challenges
        await call(life, "PreviewDistrust", pb.PreviewDistrustRequest(rule=rule))
        kill(life)
    prove = pb.ProvePossessionRequest(
        enrolment_id=changed.enrolment_id,
        challenges=[
            pb.OpenedChallenge(key_id=key_id, plaintext=plaintext)
            for key_id, plaintext in open_with(who, "killed/seal", changed).items()
        ],
    )
    async with living(directory) as life:
        # The hub knows of the change, no reader does.
        await reader.follow(life)
        assert reader.key_ids == {key.key_id for key in who.body.keys}
        assert reader.replica.bundle.distrusts() == ()
        # Proven: published, and acknowledged.
        await call(life, "ProvePossession", prove, who)
        kill(life)
    # Between publication and first use: the old keys work, the new ones wait.
    async with living(directory) as life:
        await reader.follow(life)
        assert {reader.state(key_id, now()) for key_id in old.values()} == {KeyState.ACTIVE}
        assert {reader.state(key_id, now()) for key_id in new.values()} == {KeyState.PUBLISHED}
        # Asked once more by a client that did not hear: nothing more is published.
        sequence = reader.replica.sequence
        await call(life, "ProvePossession", prove, who)
        await reader.follow(life)
        assert reader.replica.sequence == sequence
        made = await call(life, "Distrust", pb.DistrustRequest(rule=rule, reason="synthetic leak"))
        kill(life)
    # After the first use, in the reader's own hands, with the hub gone.
    assert {reader.state(key_id, begins) for key_id in old.values()} == {KeyState.RETIRED}
    assert {reader.state(key_id, begins) for key_id in new.values()} == {KeyState.ACTIVE}
    bundle = reader.replica.bundle
    assert bundle.sealing_key("330100", now=now()).key_id == old[KeyUse.SEAL]
    assert bundle.sealing_key("330100", now=begins).key_id == new[KeyUse.SEAL]
    await undone(directory, reader, made)


async def undone(directory: Path, reader: Reader, made: pb.DistrustResponse) -> None:
    """A distrust is taken back, with a kill before and one after."""
    undo = pb.UndoDistrustRequest(distrust=made.distrust, reason="checked")
    async with living(directory) as life:
        await reader.follow(life)
        assert reader.replica.sequence == made.sequence
        assert len(reader.replica.bundle.distrusts()) == 1
        last = await call(life, "UndoDistrust", undo)
        kill(life)
    async with living(directory) as life:
        await reader.follow(life)
        assert reader.replica.sequence == last.sequence
        assert reader.replica.bundle.distrusts() == ()
        # Undone is undone, also for a client that asks again.
        with pytest.raises(grpc.aio.AioRpcError) as again:
            await call(life, "UndoDistrust", undo)
        assert failure_from_rpc_error(again.value).code == "NOT_FOUND"
