from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import adapter_service_pb2

from adapters.platforms import CREDENTIALS, platform, serve_platform
from adapters.sdk import OutcomeReport, UpstreamReply
from adapters.sdk.issued import IssuedLedger, StatusSettings
from adapters.sdk.watching import CURSOR, PlatformChanges
from gateway.attestation import generate_signing_key
from gateway.attestation.status_change import apply_change, verify_status_change
from gateway.attestation.status_list import verify_status_list
from gateway.codes.levels import Level, Outcome
from gateway.codes.unified import UnifiedCode
from gateway.wire.errors import failure_from_rpc_error
from tests.adapters.platforms.support import ADMIN_TOKEN, Clock
from tests.adapters.schemes.support import City, card, load_city, open_city
from tests.adapters.sdk.adapter_world import AUTHORITY, Asker, World, by_document, world
from tests.attestation.status_world import trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from adapters.sdk import Deadline
    from adapters.sdk.issued import Allotment
    from gateway.codes import Document

pytestmark = pytest.mark.asyncio

NOW = datetime(2020, 6, 1, 4, 0, tzinfo=UTC)
SECRET = bytes(range(32))
KEY = generate_signing_key()
GREEN, RED = "绿码", "红码"


@asynccontextmanager
async def ledger(clock: Clock, **settings: Any) -> AsyncIterator[IssuedLedger]:
    made = IssuedLedger(
        StatusSettings(**{"entries": 1024, **settings}),
        authority=AUTHORITY,
        key=KEY,
        pseudonym_secret=SECRET,
        max_seconds=3600,
        clock=clock,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def issue(held: IssuedLedger, person: Document | str, clock: Clock) -> Allotment:
    code = UnifiedCode(
        level=Level.GREEN,
        scheme="hz-jkm@2020-02",
        state=GREEN,
        assessed_at=clock.now,
        source_at=clock.now,
        issued_by="330100",
    )
    await held.prepare(1)
    made = held.allot(person, code, issued_at=clock.now, expires_at=clock.now + timedelta(hours=1))
    assert made is not None
    await asyncio.wrap_future(held.write([made.row]))
    return made


def value(held: IssuedLedger, made: Allotment, clock: Clock) -> int:
    posted, trust = held.board.posted[made.reference.uri], trusting(KEY)
    base = verify_status_list(posted.base, trust, now=clock.now)
    change = verify_status_change(posted.change, trust, now=clock.now)
    return apply_change(base, change).get(made.reference.index)


@dataclass
class Told:
    """A platform's doors, told what to answer."""

    pages: list[Any] = field(default_factory=list)
    listed: list[Any] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def changes(
        self, path: str, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        assert path == "/changes"
        self.asked.append(dict(fields))
        return self._reply(self.pages.pop(0))

    async def catalogue(
        self, fields: Mapping[str, str], deadline: Deadline
    ) -> UpstreamReply | OutcomeReport:
        return self._reply(self.listed.pop(0))

    async def close(self) -> None: ...

    def _reply(self, page: Any) -> UpstreamReply | OutcomeReport:
        if isinstance(page, Outcome):
            return OutcomeReport(page)
        return UpstreamReply(200, page if isinstance(page, bytes) else json.dumps(page).encode())


def page(
    cursor: str, *changes: tuple[str, list[str]], reset: bool = False, **more: Any
) -> dict[str, Any]:
    told = [{"number": number, "states": states, **more} for number, states in changes]
    return {"next": cursor, "changes": told, "reset": reset}


def row(number: str) -> dict[str, Any]:
    moment = "2020-06-01T03:00:00Z"
    return {
        "number": number,
        "division": "330100",
        "state": RED,
        "assessedAt": moment,
        "updatedAt": moment,
    }


PERSON = card("330102199001010055")
OTHER = card("330102199001010063")
NUMBER, OTHER_NUMBER = "330102199001010055", "330102199001010063"


def following(door: Any, clock: Clock) -> PlatformChanges:
    return PlatformChanges(door, "/changes", load_city("hangzhou"), clock=clock, sleep=_no_pause)


async def _no_pause(_: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("states", "kinds", "revoked"),
    [
        ([RED], [], 1),
        (["黄码"], [""], 1),
        ([GREEN, RED], [], 1),
        (["紫码"], [], 1),
        ([], [], 1),
        ([GREEN], ["本域内通行码"], 1),
        ([GREEN], [""], 0),
        ([GREEN, GREEN], ["", "跨域互认码"], 0),
    ],
)
async def test_whoever_is_not_surely_green_loses_what_was_issued(
    states: list[str], kinds: list[str], revoked: int
) -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        made, other = await issue(held, PERSON, clock), await issue(held, OTHER, clock)
        await held.remember(CURSOR, "0")
        door = Told([page("1", (NUMBER, states), kinds=kinds)])
        await following(door, clock).step(held)
        assert value(held, made, clock) == revoked
        assert value(held, other, clock) == 0
        assert await held.remembered(CURSOR) == "1"
        assert door.asked == [{"after": "0", "wait": "0"}]


async def test_a_state_that_is_no_level_puts_on_hold() -> None:
    clock = Clock(NOW)
    async with ledger(clock, bits=2) as held:
        made, other = await issue(held, PERSON, clock), await issue(held, OTHER, clock)
        await held.remember(CURSOR, "0")
        door = Told([page("1", (NUMBER, ["紫码"]), (OTHER_NUMBER, [RED]))])
        await following(door, clock).step(held)
        assert (value(held, made, clock), value(held, other, clock)) == (2, 1)


async def test_after_a_gap_everybody_who_is_listed_loses_what_was_issued() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        made, other = await issue(held, PERSON, clock), await issue(held, OTHER, clock)
        await held.remember(CURSOR, "lost")
        listed = {"takenAt": "2020-06-01T04:00:00Z", "rows": [row(NUMBER.lower())], "next": None}
        follower = following(Told([page("9", reset=True)], [listed]), clock)
        await follower.step(held)
        assert (value(held, made, clock), value(held, other, clock)) == (1, 0)
        assert (follower.state.sweeps, await held.remembered(CURSOR)) == (1, "9")


async def test_a_gap_that_cannot_be_closed_is_not_passed_over() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        made = await issue(held, PERSON, clock)
        await held.remember(CURSOR, "lost")
        gap = page("9", reset=True)
        listed = {"takenAt": "2020-06-01T04:00:00Z", "rows": [row(NUMBER)], "next": None}
        door = Told([gap, gap, gap, page("9")], [Outcome.SOURCE_BUSY, b"no page", listed])
        follower = following(door, clock)
        task = asyncio.create_task(follower.follow(held))
        await until(lambda: follower.state.answers >= 2)
        task.cancel()
        assert value(held, made, clock) == 1
        assert [asked["after"] for asked in door.asked[:4]] == ["lost", "lost", "lost", "9"]


async def test_without_a_catalogue_a_gap_costs_everybody() -> None:
    clock = Clock(NOW)

    told = Told([page("9", reset=True)])

    class Door:
        changes = told.changes
        close = told.close

    async with ledger(clock) as held:
        made = await issue(held, PERSON, clock)
        await held.remember(CURSOR, "lost")
        await following(Door(), clock).step(held)
        assert value(held, made, clock) == 1


async def test_the_first_start_over_a_file_that_holds_something_asks_who_is_not_green() -> None:
    clock = Clock(NOW)
    listed = {"takenAt": "2020-06-01T04:00:00Z", "rows": [], "next": None}
    async with ledger(clock) as held:
        door = Told([page("1")], [])
        await following(door, clock).step(held)
        assert door.asked == [{}]
    async with ledger(clock) as held:
        await issue(held, PERSON, clock)
        follower = following(Told([page("1")], [listed]), clock)
        await follower.step(held)
        assert follower.state.sweeps == 1


@pytest.mark.parametrize(
    "answer",
    [
        Outcome.SOURCE_BUSY,
        b"<html>",
        b'{"next":""}',
        b"{}",
        b'{"next":"2","changes":[{}]}',
        b"\xff",
    ],
)
async def test_an_answer_that_is_none_moves_nothing(answer: Any) -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        made = await issue(held, PERSON, clock)
        await held.remember(CURSOR, "1")
        follower = following(Told([answer, page("2", (NUMBER, [RED]))]), clock)
        with pytest.raises(Exception, match=r"change feed|did not answer"):
            await follower.step(held)
        assert (value(held, made, clock), await held.remembered(CURSOR)) == (0, "1")
        await follower.step(held)
        assert value(held, made, clock) == 1


async def test_a_change_about_nobody_is_counted_and_costs_no_other() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        made = await issue(held, PERSON, clock)
        await held.remember(CURSOR, "1")
        follower = following(Told([page("2", ("nobody", [RED]), (NUMBER, [RED]))]), clock)
        await follower.step(held)
        assert (value(held, made, clock), follower.state.unreadable) == (1, 1)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - of something that tells nobody
        await asyncio.sleep(0.005)


async def test_a_person_turned_red_by_a_city_is_refused_by_whoever_watches() -> None:
    clock = Clock(NOW)
    async with open_city("hangzhou", clock) as city, _adapter(city, clock) as place:
        person = city.platform.scenarios()["green"]
        (answer,) = await place.asker.query(by_document(person.document_number, carried=True))
        attestation = _verified(place.asker, answer, clock)
        assert attestation.code.level is Level.GREEN
        assert attestation.serial == int(NOW.timestamp()) // 3600
        reference = attestation.status
        described = await place.asker.stub.Describe(
            adapter_service_pb2.DescribeRequest(), timeout=10
        )
        assert described.watches
        call = place.asker.stub.WatchChanges(
            adapter_service_pb2.WatchChangesRequest(heartbeat_seconds=1)
        )
        trust = place.asker
        base = verify_status_list((await call.read()).list.token, trust, now=NOW)
        assert base.uri == reference.uri
        change = verify_status_change((await call.read()).change, trust, now=NOW)
        assert apply_change(base, change).get(reference.index) == 0

        city.platform.turn(city.platform.population.person(0), RED)  # somebody else
        found = city.platform.population.find(person.document_number)
        city.platform.turn(found, RED)
        while apply_change(base, change).get(reference.index) == 0:
            frame = await call.read()
            if frame.WhichOneof("frame") == "change":
                change = verify_status_change(frame.change, trust, now=NOW)
        # What is fetched now says red, and what was revoked stays revoked when all is well.
        (answer,) = await place.asker.query(by_document(person.document_number, carried=True))
        assert _verified(place.asker, answer, clock).code.level is Level.RED
        city.platform.turn(found, None)
        follower = place.adapter._changes
        told = follower.state.answers
        await until(lambda: follower.state.answers > told)
        (answer,) = await place.asker.query(by_document(person.document_number, carried=True))
        fresh = _verified(place.asker, answer, clock)
        assert fresh.code.level is Level.GREEN
        posted = place.adapter.ledger.board.posted[reference.uri]
        entries = apply_change(base, verify_status_change(posted.change, trust, now=NOW))
        assert (entries.get(reference.index), entries.get(fresh.status.index)) == (1, 0)
        call.cancel()


async def test_a_city_that_forgets_its_changes_is_asked_who_is_not_green() -> None:
    clock = Clock(NOW)
    small = platform("hangzhou", clock=clock, size=300)
    running = await serve_platform(small, admin_token=ADMIN_TOKEN)
    secrets, scheme = CREDENTIALS["hangzhou"], load_city("hangzhou")
    city = City(running, scheme, secrets, clock, timeout_seconds=30.0)
    async with running, aclosing(_Closing(city)), ledger(clock) as held:
        person = city.platform.scenarios()["green"]
        found = city.platform.population.find(person.document_number)
        follower = PlatformChanges(
            city.connector, "/changes", city.scheme, clock=clock, wait_seconds=0
        )
        await follower.step(held)
        made = await issue(held, card(person.document_number), clock)
        city.platform.turn(found, RED)
        city.platform.changes.forget()
        await follower.step(held)
        assert follower.state.sweeps == 1
        assert value(held, made, clock) == 1


async def test_a_watch_ends_with_the_server_and_a_rule_about_another_is_refused() -> None:
    async with world(status=StatusSettings(entries=1024)) as place:
        await place.adapter.ledger.prepare(1)
        call = place.asker.stub.WatchChanges(adapter_service_pb2.WatchChangesRequest())
        assert (await call.read()).WhichOneof("frame") == "list"
        request = adapter_service_pb2.CountLiveRequest()
        request.rule.issuer = AUTHORITY
        request.rule.signed_from.FromDatetime(NOW)
        response = await place.asker.stub.CountLive(request, timeout=10)
        assert response.attestations == 10
        request.rule.issuer = "urn:hutong:region:440100"
        assert await _refusal(place.asker.stub.CountLive(request, timeout=10)) == "DISTRUST_INVALID"
        request.rule.issuer = AUTHORITY
        request.rule.first_serial = 2
        assert await _refusal(place.asker.stub.CountLive(request, timeout=10)) == "DISTRUST_INVALID"
        stopping = asyncio.create_task(place.adapter.stop())

        async def rest() -> None:
            while await call.read() is not grpc.aio.EOF:
                pass

        assert await _refusal(rest()) == "SHUTTING_DOWN"
        await stopping


async def test_an_adapter_without_lists_says_so() -> None:
    async with world() as place:
        described = await place.asker.stub.Describe(
            adapter_service_pb2.DescribeRequest(), timeout=10
        )
        assert not described.watches
        call = place.asker.stub.WatchChanges(
            adapter_service_pb2.WatchChangesRequest(heartbeat_seconds=1)
        )
        assert (await call.read()).WhichOneof("frame") == "heartbeat"
        call.cancel()


async def _refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return failure_from_rpc_error(caught.value).code


@asynccontextmanager
async def _adapter(city: City, clock: Clock) -> AsyncIterator[World]:
    """The adapter of a reference city, at the city's clock."""
    changes = PlatformChanges(city.connector, "/changes", city.scheme, clock=clock, wait_seconds=1)
    async with world(
        scheme=city.scheme,
        connector=_Kept(city),
        status=StatusSettings(entries=1024),
        changes=changes,
        at=clock,
    ) as place:
        await until(lambda: changes.state.answers)
        yield place


class _Closing:
    """A city to be closed as a generator is."""

    def __init__(self, city: City) -> None:
        self.aclose = city.close


class _Kept:
    """A city's connector, closed by the city."""

    def __init__(self, city: City) -> None:
        self.fetch = city.connector.fetch

    async def close(self) -> None: ...


def _verified(asker: Asker, answer: Any, clock: Clock) -> Any:
    return asker.verify(answer, carried=True)


@dataclass
class Listening:
    """A hub's side of `WatchChanges`: frames as they come."""

    frames: list[adapter_service_pb2.WatchChangesResponse] = field(default_factory=list)

    async def listen(self, held: IssuedLedger, heartbeat_seconds: int = 300) -> None:
        async with aclosing(held.board.watch(heartbeat_seconds, asyncio.Event())) as frames:
            async for frame in frames:
                self.frames.append(frame)


async def test_frames_say_up_to_when_the_platform_was_heard_and_it_stays_while_it_is_down() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        held.board.follow(NOW - timedelta(days=1))
        await issue(held, PERSON, clock)
        await held.remember(CURSOR, "0")
        door = Told([page("0"), Outcome.SOURCE_BUSY, page("1", (NUMBER, [RED]))])
        follower = following(door, clock)
        hub = Listening()
        task = asyncio.create_task(hub.listen(held))
        await until(lambda: hub.frames)
        assert {frame.as_of.ToDatetime(UTC) for frame in hub.frames} == {NOW - timedelta(days=1)}
        seen = len(hub.frames)
        # Heard at last: it is told without waiting for the next heartbeat.
        await follower.step(held)
        await until(lambda: len(hub.frames) > seen)
        assert hub.frames[-1].WhichOneof("frame") == "heartbeat"
        assert hub.frames[-1].as_of.ToDatetime(UTC) == NOW
        clock.now += timedelta(hours=2)
        with pytest.raises(Exception, match="did not answer"):
            await follower.step(held)
        assert held.board.followed == NOW
        # A list that turns meanwhile is a word of the adapter, and none of its platform.
        await held.revoke([OTHER])
        await held.use(generate_signing_key())
        await until(lambda: hub.frames[-1].WhichOneof("frame") == "change")
        assert hub.frames[-1].as_of.ToDatetime(UTC) == NOW
        assert hub.frames[-1].now.ToDatetime(UTC) == clock.now
        # Back: what it says comes before the word that it is heard.
        await follower.step(held)
        await until(lambda: hub.frames[-1].as_of.ToDatetime(UTC) == clock.now)
        assert "change" in {frame.WhichOneof("frame") for frame in hub.frames[seen + 1 :]}
        task.cancel()


async def test_an_answer_that_leaves_something_out_is_no_word_on_this_moment() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        held.board.follow(NOW - timedelta(days=1))
        await held.remember(CURSOR, "0")
        door = Told([{**page("1"), "more": True}, page("2")])
        follower = following(door, clock)
        await follower.step(held)
        assert held.board.followed == NOW - timedelta(days=1)
        await follower.step(held)
        assert held.board.followed == NOW


async def test_an_adapter_that_follows_no_platform_says_nothing_of_one() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        await issue(held, PERSON, clock)
        hub = Listening()
        task = asyncio.create_task(hub.listen(held))
        await until(lambda: hub.frames)
        assert not any(frame.HasField("as_of") for frame in hub.frames)
        task.cancel()


async def test_the_first_answer_after_a_fault_is_asked_for_at_once() -> None:
    clock = Clock(NOW)
    async with ledger(clock) as held:
        await held.remember(CURSOR, "0")
        pages = [page("0"), page("0"), Outcome.SOURCE_BUSY, page("0"), page("0")]
        door = Told(pages)
        follower = following(door, clock)
        task = asyncio.create_task(follower.follow(held))
        await until(lambda: len(door.asked) >= 5)
        task.cancel()
        assert [asked["wait"] for asked in door.asked[:5]] == ["0", "10", "10", "0", "10"]
