"""A carried attestation whose issuer keeps a status list, at a gate that may be offline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import feed_service_pb2
from hutong.v1 import feed_service_pb2_grpc as feed_grpc

from gateway.attestation.claims import StatusReference
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import REVOKED, StatusList, sign_status_list
from gateway.attestation.status_tokens import token_digest
from gateway.edge.list_fetcher import ListFetcher
from gateway.edge.revocation import StatusFolder
from gateway.errors import HutongError
from gateway.recognition import Verdict, shipped_policy
from gateway.trust import FeedKind, KeyUse, silence_body, withdrawal_change
from gateway.wire.channel import unsafe_open_insecure_channel
from tests.edge.world import GUANGZHOU, HANGZHOU, World, edge_world, hangzhou_qr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from gateway.edge.result import Result

pytestmark = pytest.mark.asyncio

URI = f"urn:hutong:status:{HANGZHOU}:a1"
SIZE = 1024


@dataclass
class Issuer:
    """Hangzhou with one status list, which the hub publishes."""

    world: World
    token: str = field(init=False)
    sequence: int = 0

    def __post_init__(self) -> None:
        now = self.world.clock()
        self.token = sign_status_list(
            StatusList(1, SIZE),
            self.key,
            uri=URI,
            issued_at=now - timedelta(hours=1),
            expires_at=now + timedelta(days=2),
            ttl_seconds=3600,
        )
        self.world.hub.change_attestation = lambda one: replace(
            one, status=StatusReference(URI, 17)
        )

    @property
    def key(self) -> Any:
        return self.world.hub.region(HANGZHOU).signing[KeyUse.ATTEST]

    @property
    def digest(self) -> str:
        return token_digest(self.token.encode())

    def say(self, *revoked: int) -> None:
        """Publish the newest word and hand the gate the feed."""
        self.sequence += 1
        federation, now = self.world.federation, self.world.clock()
        federation.now = now
        statement = sign_status_change(
            self.key,
            base=StatusBase(self.digest, SIZE, 1),
            uri=URI,
            sequence=self.sequence,
            changes={REVOKED: revoked} if revoked else {},
            issued_at=now,
        )
        federation.append(FeedKind.STATUS, URI, {"statement": statement})
        self.world.give_trust()

    def keep(self) -> None:
        folder(self.world).put(self.digest, self.token.encode())


def folder(world: World) -> StatusFolder:
    return StatusFolder(world.state / "status")


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_a_green_revoked_at_noon_is_refused_at_the_next_showing(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        issuer.say()
        issuer.keep()
        morning, other = world.hub.carried(), world.hub.carried()
        assert world.pipeline.verify_offline(morning).is_admitted
        issuer.say(17)
        for token in (other, morning):
            # The signature was verified and remembered before; the status was not.
            result = world.pipeline.verify_offline(token)
            assert result.decision.verdict is Verdict.REFUSE
            assert "ATTESTATION_REVOKED" in codes(result)


async def test_what_is_fetched_waits_for_a_list_that_was_just_begun(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)

        async def freshen() -> None:
            issuer.say()
            issuer.keep()

        shown = hangzhou_qr()
        token, result = await world.pipeline.fetch(shown, origin=None, timeout_seconds=30)
        assert token is not None, codes(result)
        assert "STATUS_UNKNOWN" in codes(result)
        token, result = await world.pipeline.fetch(
            shown, origin=None, timeout_seconds=30, freshen=freshen
        )
        assert token is not None
        assert result.is_admitted


async def test_what_is_not_known_of_a_status_is_for_a_person(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        token = world.hub.carried()
        result = world.pipeline.verify_offline(token)  # no statement at all
        assert (result.decision.verdict, "STATUS_UNKNOWN" in codes(result)) == (
            Verdict.REFER,
            True,
        )
        issuer.say()  # a statement, and no list
        assert "STATUS_UNKNOWN" in codes(world.pipeline.verify_offline(token))
        issuer.keep()
        result = world.pipeline.verify_offline(token)
        assert result.is_admitted
        assert result.decision.ages.status_seconds == 0
        assert result.to_json()["ages"]["status_seconds"] == 0


async def test_an_old_word_on_the_list_warns_then_refers_then_refuses(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        issuer.say()
        issuer.keep()
        for hours, verdict, code in (
            (7, Verdict.ADMIT, None),
            (25, Verdict.REFER, "STATUS_TOO_OLD"),
            (46, Verdict.REFER, "STATUS_TOO_OLD"),
        ):
            world.clock.now = world.federation.now + timedelta(hours=hours)
            token = world.hub.carried()
            # The hub goes on vouching for the feed; the issuer says nothing.
            issuer.world.store._replica.apply_head(
                world.federation.head(now=world.clock()), world.clock()
            )
            result = world.pipeline.verify_offline(token)
            assert result.decision.verdict is verdict, codes(result)
            assert result.decision.ages.status_seconds == hours * 3600
            warned = [warning.code for warning in result.decision.warnings]
            assert ("STATUS_AGEING" in warned) is (code is None)
            assert code is None or code in codes(result)


def vouch(world: World) -> None:
    """The hub goes on vouching for the feed, as of now."""
    world.store._replica.apply_head(world.federation.head(now=world.clock()), world.clock())


def fall_silent(world: World, since: datetime) -> None:
    world.federation.now = world.clock()
    world.federation.append(FeedKind.SILENCE, f"urn:hutong:region:{HANGZHOU}", silence_body(since))
    world.give_trust()


def apply_policy(world: World, status: dict[str, int] | None) -> None:
    """The destination's own policy, with other steps for the age of a status."""
    document = shipped_policy(GUANGZHOU).to_document()
    document["freshness"] = {} if status is None else {"status": status}
    if status is None:
        del document["freshness"]
    world.federation.publish_policy(GUANGZHOU, document)
    world.give_trust()


@pytest.mark.parametrize(
    ("steps", "hours", "verdict", "told"),
    [
        ({"warn_hours": 1, "refer_hours": 12}, 0.1, Verdict.ADMIT, {"ISSUER_NOT_HEARD"}),
        (
            {"warn_hours": 1, "refer_hours": 12},
            2,
            Verdict.ADMIT,
            {"ISSUER_NOT_HEARD", "STATUS_AGEING"},
        ),
        ({"refer_hours": 1}, 2, Verdict.REFER, {"STATUS_TOO_OLD"}),
        ({"refer_hours": 1, "refuse_hours": 2}, 3, Verdict.REFUSE, {"STATUS_BEYOND_USE"}),
        # Without steps of its own the limit of trust refers, which is a day.
        (None, 23, Verdict.ADMIT, {"ISSUER_NOT_HEARD"}),
        (None, 25, Verdict.REFER, {"STATUS_TOO_OLD"}),
    ],
)
async def test_a_region_that_its_hub_does_not_hear_is_as_old_as_its_silence(
    tmp_path: Path, steps: dict[str, int] | None, hours: float, verdict: Verdict, told: set[str]
) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        issuer.say()
        issuer.keep()
        apply_policy(world, steps)
        since = world.clock().replace(microsecond=0)
        world.clock.now += timedelta(hours=hours)
        vouch(world)
        heard = world.pipeline.verify_offline(world.hub.carried())
        fall_silent(world, since)
        result = world.pipeline.verify_offline(world.hub.carried())
        assert result.decision.verdict is verdict, codes(result)
        reasons = result.decision.reasons + result.decision.warnings
        assert told <= {reason.code for reason in reasons}
        assert result.decision.ages.status_seconds == round(hours * 3600)
        assert result.decision.ages.trust_seconds == 0
        assert result.silent_since == since
        assert result.to_json()["silent_since"] == since.isoformat()
        # One that its hub hears is as fresh as the hub's word, and admitted.
        assert heard.silent_since is None
        # Heard again: nothing is left of it.
        world.federation.append(
            *withdrawal_change(FeedKind.SILENCE, f"urn:hutong:region:{HANGZHOU}", "heard again")
        )
        world.give_trust()
        again = world.pipeline.verify_offline(world.hub.carried())
        assert (again.silent_since, again.is_admitted) == (None, heard.is_admitted)


async def test_silence_is_about_revocations_and_nothing_else(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        issuer.say(17)
        issuer.keep()
        revoked = world.hub.carried()
        fall_silent(world, world.clock() - timedelta(days=3))
        # What was said before is obeyed as ever.
        result = world.pipeline.verify_offline(revoked)
        assert result.decision.verdict is Verdict.REFUSE
        assert "ATTESTATION_REVOKED" in codes(result)
        assert result.silent_since is None
        # What names no list could not be revoked on a day when its region is heard either.
        world.hub.change_attestation = lambda one: one
        unlisted = world.pipeline.verify_offline(world.hub.carried())
        assert unlisted.is_admitted, codes(unlisted)
        assert (unlisted.silent_since, unlisted.decision.warnings) == (None, ())
        # An answer that comes at all is the region's own word of this moment.
        online = await world.pipeline.ask(hangzhou_qr(), origin=None, timeout_seconds=30)
        assert online.is_admitted, codes(online)
        assert online.silent_since is None


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(hours=3)])
async def test_a_gate_whose_clock_is_wrong_never_takes_it_for_green(
    tmp_path: Path, skew: timedelta
) -> None:
    async with edge_world(tmp_path) as world:
        issuer = Issuer(world)
        issuer.say()
        issuer.keep()
        token = world.hub.carried(life=timedelta(hours=1))
        world.clock.now += skew
        result = world.pipeline.verify_offline(token)
        assert not result.is_admitted
        expected = "NOT_YET_VALID" if skew < timedelta() else "EXPIRED"
        assert f"ATTESTATION_{expected}" in codes(result)


class Lists(feed_grpc.FeedServiceServicer):
    """A hub that serves lists in chunks."""

    def __init__(self) -> None:
        self.lists: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def GetStatusList(self, request: Any, context: Any) -> Any:
        self.asked.append(request.digest)
        data = self.lists.get(request.digest)
        if data is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "none")
            return
        for start in range(0, len(data), 64):
            yield feed_service_pb2.GetStatusListResponse(chunk=data[start : start + 64])


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Lists, feed_grpc.FeedServiceStub]]:
    lists = Lists()
    server = grpc.aio.server()
    feed_grpc.add_FeedServiceServicer_to_server(lists, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = unsafe_open_insecure_channel(f"127.0.0.1:{port}")
    try:
        yield lists, feed_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
    finally:
        await channel.close(None)
        await server.stop(None)


async def test_a_list_is_fetched_when_the_feed_names_it_and_nothing_false_is_kept(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world, serving() as (lists, stub):
        issuer = Issuer(world)
        issuer.say()
        held = folder(world)
        fetcher = ListFetcher(stub, held, view=lambda: world.pipeline._view().revocations)
        with pytest.raises(HutongError):
            await fetcher.fetch_missing()
        lists.lists[issuer.digest] = b"another list"
        with pytest.raises(HutongError, match="not the list"):
            await fetcher.fetch_missing()
        assert not held.has(issuer.digest)
        lists.lists[issuer.digest] = issuer.token.encode()
        task = asyncio.create_task(fetcher.run())
        try:
            fetcher.wake()
            async with asyncio.timeout(20):
                while not held.has(issuer.digest):  # noqa: ASYNC110 - a file tells nobody
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await fetcher.fetch_missing() == 0
        assert world.pipeline.verify_offline(world.hub.carried()).is_admitted
