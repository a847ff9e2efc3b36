from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import adapter_service_pb2, exchange_pb2

from gateway.attestation.keys import generate_signing_key
from gateway.hub import adapter_link, link_line
from gateway.hub.access import GrantMinter
from gateway.hub.accounting import Tally
from gateway.hub.adapter_link import AdapterLink, Entry
from gateway.hub.link_line import LinkSettings
from gateway.hub.questions import Headings, sort_questions
from gateway.wire.channel import unsafe_open_insecure_channel
from gateway.wire.errors import RpcFailure, failure_from_item
from tests.hub.exchange_world import (
    GATE,
    HANGZHOU,
    HUB,
    OTHER_GATE,
    Clock,
    MemoryAdapter,
    edge_of,
    gate,
    hub_with_adapter,
    question,
    reason_of_item,
    serve_adapter,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.wire.fragments import Run

pytestmark = pytest.mark.asyncio

QUICK = LinkSettings(first_pause_seconds=0.05, longest_pause_seconds=0.1, connect_seconds=1.0)


class Asker:
    """Collects answers."""

    def __init__(self) -> None:
        self.in_flight: dict[int, Entry] = {}
        self.answers: asyncio.Queue[exchange_pb2.SealedAnswer] = asyncio.Queue()

    def push(self, answers: Run) -> None:
        message = adapter_service_pb2.AdapterServiceQueryStreamResponse.FromString(answers.data)
        assert len(message.answers) == answers.items
        for answer in message.answers:
            self.answers.put_nowait(answer)

    async def reason(self) -> str:
        return failure_from_item((await self.answers.get()).error).code


def ask(
    link: AdapterLink, asker: Asker, *items: exchange_pb2.SealedQuestion, urn: str = GATE
) -> int:
    (run,) = sort_questions(items, Headings(), ()).runs
    handle, now = link.introduce(gate(urn)), asyncio.get_running_loop().time()
    return link.ask(asker, run, room=1_000, handle=handle, now=now, tally=Tally())


@asynccontextmanager
async def link_to(port: int, settings: LinkSettings = QUICK) -> AsyncIterator[AdapterLink]:
    link = AdapterLink(
        HANGZHOU,
        lambda: unsafe_open_insecure_channel(f"127.0.0.1:{port}"),
        GrantMinter(HUB, generate_signing_key(), clock=Clock()),
        settings=settings,
        jitter=lambda: 0.5,
    )
    try:
        yield link
    finally:
        await link.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  the link has no reason to offer an event
        await asyncio.sleep(0)


async def until_refused(link: AdapterLink) -> RpcFailure:
    """Introduce callers until the link knows that it is down."""
    while True:
        try:
            link.introduce(gate())
        except RpcFailure as failure:
            return failure
        await asyncio.sleep(0)


async def test_questions_of_many_askers_share_one_stream_and_find_their_way_back() -> None:
    adapter = MemoryAdapter()
    server = await serve_adapter(adapter)
    async with link_to(server.port) as link:
        one, two = Asker(), Asker()
        ask(link, one, question(1, envelope=b"one"), question(2, envelope=b"uno"))
        ask(link, two, question(1, envelope=b"two"), urn=OTHER_GATE)
        got = {(await one.answers.get()).envelope for _ in range(2)}
        assert got == {b"ONE", b"UNO"}
        assert (await two.answers.get()).envelope == b"TWO"
        assert adapter.streams == 1
        assert len(adapter.grants) == 2
        assert one.in_flight == two.in_flight == {}
        assert link.connected
    await server.stop()


async def test_what_is_asked_before_the_connection_stands_leaves_in_one_message() -> None:
    adapter = MemoryAdapter()
    server = await serve_adapter(adapter)
    async with link_to(server.port) as link:
        asker = Asker()
        for item in range(1, 101):
            ask(link, asker, question(item))
        for _ in range(100):
            await asker.answers.get()
        assert [len(batch.questions) for batch in adapter.batches] == [100]
    await server.stop()


async def test_callers_beyond_the_bound_take_over_the_oldest_handle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter_link, "_MAX_INTRODUCED", 2)
    adapter = MemoryAdapter()
    server = await serve_adapter(adapter)
    async with link_to(server.port) as link:
        urns = [f"urn:hutong:checkpoint:440100:gate-{number}" for number in range(3)]
        handles = [link.introduce(gate(urn)) for urn in (*urns, urns[1], urns[0])]
        assert handles == [1, 2, 1, 2, 2]
        asker = Asker()
        ask(link, asker, question(1), urn=urns[0])
        await asker.answers.get()
        introduced = [caller.handle for batch in adapter.batches for caller in batch.callers]
        assert introduced == [1, 2, 1, 2]
    await server.stop()


async def test_an_adapter_that_is_not_there_refuses_with_the_time_of_the_next_attempt() -> None:
    async with link_to(free_port()) as link:
        asker = Asker()
        assert ask(link, asker, question(1)) == 1
        answer = await asker.answers.get()
        failure = failure_from_item(answer.error)
        assert failure.code == "ADAPTER_UNREACHABLE"
        assert failure.retry_after_seconds
        again = await until_refused(link)
        assert again.code == "ADAPTER_UNREACHABLE"
        assert again.retry_after_seconds
        assert not link.connected
        assert link.in_flight == 0


async def test_an_adapter_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = LinkSettings(connect_seconds=0.1, first_pause_seconds=0.05)
        async with link_to(mute.getsockname()[1], settings) as link:
            asker = Asker()
            ask(link, asker, question(1))
            assert await asker.reason() == "ADAPTER_UNREACHABLE"


async def test_the_link_comes_back_when_the_adapter_does() -> None:
    port = free_port()
    async with link_to(port) as link:
        asker = Asker()
        ask(link, asker, question(1))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
        adapter = MemoryAdapter()
        server = await serve_adapter(adapter, port=port)
        await until(lambda: link.connected)
        ask(link, asker, question(2, envelope=b"again"))
        assert (await asker.answers.get()).envelope == b"AGAIN"
        # A new stream knows nobody: the caller was introduced on it.
        assert len(adapter.grants) == 1
        await server.stop()


AN_HOUR = LinkSettings(
    first_pause_seconds=3600.0, longest_pause_seconds=3600.0, wake_pause_seconds=0.0
)


async def test_the_first_question_after_a_restart_ends_the_pause_and_is_answered() -> None:
    port = free_port()
    async with link_to(port, AN_HOUR) as link:
        asker = Asker()
        ask(link, asker, question(1))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
        server = await serve_adapter(MemoryAdapter(), port=port)
        await until(lambda: link._pause is not None)
        ask(link, asker, question(2, envelope=b"first"), question(3, envelope=b"second"))
        assert (await asker.answers.get()).envelope == b"FIRST"
        assert (await asker.answers.get()).envelope == b"SECOND"
        await server.stop()


async def test_questions_that_woke_a_dead_adapter_in_vain_are_refused_and_may_wake_it_again() -> (
    None
):
    async with link_to(free_port(), AN_HOUR) as link:
        asker = Asker()
        for item in range(1, 4):
            assert ask(link, asker, question(item)) == 1
            assert await asker.reason() == "ADAPTER_UNREACHABLE"
            await until(lambda: link._pause is not None)
        assert link.in_flight == 0
        assert asker.in_flight == {}


async def test_questions_wait_for_a_mute_adapter_no_longer_than_the_attempt_they_woke() -> None:
    settings = replace(AN_HOUR, connect_seconds=0.05, wake_connect_seconds=0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with link_to(mute.getsockname()[1], settings) as link:
            asker = Asker()
            for item in (1, 2):
                ask(link, asker, question(item, timeout_ms=60_000))
                assert await asker.reason() == "ADAPTER_UNREACHABLE"
                await until(lambda: link._pause is not None)


async def test_a_dead_adapter_is_not_tried_again_before_its_shortest_pause_is_over() -> None:
    settings = replace(AN_HOUR, wake_pause_seconds=60.0)
    async with link_to(free_port(), settings) as link:
        ask(link, asker := Asker(), question(1))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
        await until(lambda: link._pause is not None)
        for _ in range(100):
            with pytest.raises(RpcFailure) as caught:
                link.introduce(gate())
            assert caught.value.retry_after_seconds == pytest.approx(60.0, abs=5.0)
        assert link._pause is not None
        assert not link._pause.is_set()


async def test_pauses_grow_and_stay_below_the_longest() -> None:
    pauses: list[float] = []
    settings = LinkSettings(first_pause_seconds=0.01, longest_pause_seconds=0.04)
    async with link_to(free_port(), settings) as link:
        original = link._unreachable

        def noted() -> RpcFailure:
            pauses.append(link._retry_at - asyncio.get_running_loop().time())
            return original()

        link._unreachable = noted  # type: ignore[method-assign]  # looks inside
        link.introduce(gate())
        await until(lambda: len(pauses) >= 5)
    waits = [round(pause, 3) for pause in pauses[:5]]
    # Jitter stands at one half, so a pause is three quarters of its bound.
    assert waits == pytest.approx([0.0075, 0.015, 0.03, 0.03, 0.03], abs=0.002)


async def test_an_adapter_killed_midway_fails_what_is_in_flight_and_hangs_nothing() -> None:
    adapter = MemoryAdapter()
    adapter.hold = True
    server = await serve_adapter(adapter)
    async with link_to(server.port) as link:
        asker = Asker()
        ask(link, asker, *(question(item) for item in range(1, 51)))
        for _ in range(50):
            await adapter.got.get()
        await server.stop()
        reasons = {await asker.reason() for _ in range(50)}
        assert reasons == {"ADAPTER_UNREACHABLE"}
        assert link.in_flight == 0
        assert asker.in_flight == {}


async def test_a_stream_that_ends_fails_what_was_not_answered() -> None:
    class Quitter(MemoryAdapter):
        async def QueryStream(self, requests: Any, context: Any) -> Any:
            async for batch in requests:
                yield adapter_service_pb2.AdapterServiceQueryStreamResponse(
                    answers=[self.answer(batch.questions[0])]
                )
                return

    server = await serve_adapter(Quitter())
    async with link_to(server.port) as link:
        asker = Asker()
        ask(link, asker, question(1), question(2))
        assert (await asker.answers.get()).envelope == b"SEALED"
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
    await server.stop()


async def test_an_adapter_that_answers_nonsense_is_left_and_tried_again() -> None:
    async def garbage(requests: Any, context: Any) -> Any:
        async for _ in requests:
            yield b"\x0a\xff\xff"

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "hutong.v1.AdapterService",
                {"QueryStream": grpc.stream_stream_rpc_method_handler(garbage)},
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with link_to(port) as link:
        asker = Asker()
        ask(link, asker, question(1))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
        await until(lambda: link.connected)
        ask(link, asker, question(2))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
    await server.stop(0)


async def test_an_adapter_without_the_method_is_unreachable() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with link_to(port) as link:
        asker = Asker()
        ask(link, asker, question(1))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
    await server.stop(0)


async def test_closing_the_link_refuses_what_is_in_flight() -> None:
    adapter = MemoryAdapter()
    adapter.hold = True
    server = await serve_adapter(adapter)
    asker = Asker()
    async with link_to(server.port) as link:
        ask(link, asker, question(1))
        await adapter.got.get()
    assert await asker.reason() == "ADAPTER_UNREACHABLE"
    with pytest.raises(RpcFailure):
        link.introduce(gate())
    await server.stop()


async def test_a_writer_that_fails_is_a_lost_connection_and_the_link_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = MemoryAdapter()
    server = await serve_adapter(adapter)

    def fail_once(runs: object) -> bytes:
        monkeypatch.undo()
        raise MemoryError

    async with link_to(server.port) as link:
        asker = Asker()
        ask(link, asker, question(1))
        await asker.answers.get()
        monkeypatch.setattr(link_line, "join_runs", fail_once)
        ask(link, asker, question(2))
        assert await asker.reason() == "ADAPTER_UNREACHABLE"
        await until(lambda: link.connected)
        ask(link, asker, question(3))
        assert (await asker.answers.get()).envelope == b"SEALED"
    await server.stop()


async def test_a_late_answer_reaches_nobody() -> None:
    adapter = MemoryAdapter()
    adapter.hold = True
    server = await serve_adapter(adapter)
    async with link_to(server.port) as link:
        asker = Asker()
        ask(link, asker, question(1, timeout_ms=50), question(2))
        assert await asker.reason() == "DEADLINE_EXCEEDED"
        adapter.release()
        assert (await asker.answers.get()).id == 2
        assert link.unknown_answers == 1
        assert asker.answers.empty()
    await server.stop()


async def test_an_edge_sees_the_loss_of_an_adapter_as_an_outcome_of_its_items_alone() -> None:
    lost = MemoryAdapter()
    async with hub_with_adapter(link=QUICK) as (hub, _), edge_of(hub) as edge:
        lost_server = await serve_adapter(lost)
        lost.hold = True
        hub.add_adapter(lost_server, "urn:hutong:region:440100", ("4401",))
        await edge.send(question(1, region="440100"), question(2))
        await lost.got.get()
        assert (await edge.answer()).id == 2
        await lost_server.stop()
        answer = await edge.answer()
        assert (answer.id, reason_of_item(answer)) == (1, "ADAPTER_UNREACHABLE")
        assert answer.error.retry_after_ms
        await edge.send(question(3))
        assert (await edge.answer()).envelope == b"SEALED"
