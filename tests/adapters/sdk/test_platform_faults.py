"""Every fault of a platform, over a real socket: an outcome, in time, never a level."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hutong.v1 import code_pb2

from gateway.codes.levels import Level
from tests.adapters.sdk.adapter_world import (
    OTHER_PERSON,
    PERSON,
    Platform,
    World,
    as_json,
    by_document,
    record,
    world,
)

pytestmark = pytest.mark.asyncio


async def ask(place: World, **more: Any) -> Any:
    (answer,) = await place.asker.query(by_document(), **more)
    assert answer.WhichOneof("result") == "outcome"
    return answer.outcome


def name(outcome: Any) -> str:
    return code_pb2.Outcome.Name(outcome.outcome).removeprefix("OUTCOME_")


STATUSES = [
    (400, "SOURCE_UNPARSABLE"),
    (401, "SOURCE_UNPARSABLE"),
    (403, "SOURCE_UNPARSABLE"),
    (404, "NOT_FOUND"),
    (408, "SOURCE_TIMED_OUT"),
    (429, "SOURCE_BUSY"),
    (500, "SOURCE_UNPARSABLE"),
    (502, "SOURCE_BUSY"),
    (503, "SOURCE_BUSY"),
    (504, "SOURCE_TIMED_OUT"),
    (204, "SOURCE_UNPARSABLE"),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
async def test_a_status_that_is_no_answer_is_its_outcome(status: int, expected: str) -> None:
    async with world() as place:
        # The body would be green, were it read.
        green = as_json({"code": "0", "data": [record("绿码")]})
        place.platform.status = status
        place.platform.raw = green if status != 204 else b""
        assert name(await ask(place)) == expected


async def test_a_redirect_is_not_followed() -> None:
    async with world() as place:
        place.platform.status = 302
        place.platform.headers = {"Location": place.platform.url + "/query"}
        assert name(await ask(place)) == "SOURCE_UNPARSABLE"
        assert place.platform.asked == 1


async def test_the_time_to_retry_after_is_passed_on() -> None:
    async with world() as place:
        place.platform.status, place.platform.headers = 429, {"Retry-After": "7"}
        outcome = await ask(place)
        assert (name(outcome), outcome.retry_after_ms) == ("SOURCE_BUSY", 7000)
        place.platform.headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
        assert (await ask(place)).retry_after_ms == 0


GARBAGE = [
    b"",
    b"{",
    b"<html>",
    b"\xff\xfe",
    b"null",
    b'"0"',
    b"[" * 100_000,
    as_json([]),
    as_json({"data": [record()]}),
    as_json({"code": None, "data": [record()]}),
    as_json({"code": True, "data": [record()]}),
    as_json({"code": "1", "data": [record()]}),
    as_json({"code": "0", "data": "x"}),
    as_json({"code": "0", "data": ["x"]}),
    as_json({"code": "0", "data": [{**record(), "state": None}]}),
    as_json({"code": "0", "data": [{**record(), "state": ""}]}),
    as_json({"code": "0", "data": [{**record(), "state": True}]}),
    as_json({"code": "0", "data": [{**record(), "state": ["绿码"]}]}),
    as_json({"code": "0", "data": [{**record(), "state": "绿" * 65}]}),
    as_json({"code": "0", "data": [{**record(), "city": "北京市"}]}),
    as_json({"code": "0", "data": [{**record(), "at": "yesterday"}]}),
    as_json({"code": "0", "data": [{**record(), "at": "20201301000000"}]}),
    as_json({"code": "0", "data": [{**record(), "at": None}]}),
    as_json({"code": "0", "data": [{**record(), "at": ""}]}),
    as_json({"code": "0", "data": [record()] * 17}),
    as_json({"code": "0", "data": [{k: v for k, v in record().items() if k != "number"}]}),
]


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_cannot_be_understood_is_unparsable(raw: bytes) -> None:
    async with world() as place:
        place.platform.raw = raw
        assert name(await ask(place)) == "SOURCE_UNPARSABLE"


async def test_an_answer_over_the_bound_is_unparsable_and_not_read_to_its_end() -> None:
    async with world() as place:
        green = as_json({"code": "0", "data": [record("绿码")]})
        place.platform.raw = green + b" " * 70_000
        assert name(await ask(place)) == "SOURCE_UNPARSABLE"


@pytest.mark.parametrize("found", [None, []])
async def test_a_platform_that_holds_nothing_is_not_found(found: Any) -> None:
    async with world() as place:
        place.platform.records[PERSON] = found
        assert name(await ask(place)) == "NOT_FOUND"


async def test_records_of_two_people_are_ambiguous_even_when_both_are_green() -> None:
    async with world() as place:
        place.platform.records[PERSON] = [record(), {**record(), "number": "another"}]
        assert name(await ask(place)) == "AMBIGUOUS_SUBJECT"


async def test_a_quota_that_is_used_up_is_busy_with_the_time_the_scheme_names() -> None:
    async with world() as place:
        place.platform.raw = as_json({"code": "18", "data": [record("绿码")]})
        outcome = await ask(place)
        assert (name(outcome), outcome.retry_after_ms) == ("SOURCE_BUSY", 30_000)


async def test_a_platform_that_does_not_answer_in_its_time_is_timed_out() -> None:
    async with world(timeout_seconds=0.1) as place:
        place.platform.hold = asyncio.Event()
        assert name(await ask(place)) == "SOURCE_TIMED_OUT"


async def test_a_hurried_caller_cannot_open_the_breaker_for_others() -> None:
    async with world(breaker_failures=1) as place:
        place.platform.hold = asyncio.Event()
        for _ in range(3):
            assert name(await ask(place, seconds=0.2)) == "SOURCE_TIMED_OUT"
        place.platform.hold.set()
        place.platform.records[PERSON] = [record("绿码")]
        (answer,) = await place.asker.query(by_document())
        assert place.asker.verify(answer).code.level is Level.GREEN


async def test_a_platform_that_is_killed_is_busy_then_left_alone_and_never_green() -> None:
    async with world(breaker_failures=2) as place:
        place.platform.records[PERSON] = [record("绿码")]
        (answer,) = await place.asker.query(by_document())
        assert place.asker.verify(answer).code.level is Level.GREEN
        await place.runner.cleanup()
        outcomes = [await ask(place) for _ in range(4)]
        assert {name(outcome) for outcome in outcomes} == {"SOURCE_BUSY"}
        assert outcomes[-1].retry_after_ms > 0
        asked = place.platform.asked
        assert name(await ask(place)) == "SOURCE_BUSY"
        assert place.platform.asked == asked


async def test_a_platform_killed_while_it_answers_is_busy_and_the_adapter_lives() -> None:
    async with world() as place:
        place.platform.hold = asyncio.Event()
        asking = asyncio.create_task(ask(place))
        await place.platform.called.wait()
        await place.runner.cleanup()
        assert name(await asking) == "SOURCE_BUSY"
        (answer,) = await place.asker.query(by_document(OTHER_PERSON))
        assert answer.WhichOneof("result") == "outcome"


class Flaky(Platform):
    """Answers 503 the first time, then well."""

    async def answer(self, request: Any) -> Any:
        self.status = 503 if not self.asked else 200
        return await super().answer(request)


async def test_an_idempotent_call_is_tried_once_more_and_another_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.adapters.sdk.adapter_world.Platform", Flaky)
    async with world() as place:
        place.platform.records[PERSON] = [record("绿码")]
        (answer,) = await place.asker.query(by_document())
        assert place.asker.verify(answer).code.level is Level.GREEN
        assert place.platform.asked == 2


async def test_the_breaker_opens_after_failures_and_lets_the_platform_be() -> None:
    async with world(breaker_failures=2) as place:
        place.platform.status = 500
        assert [name(await ask(place)) for _ in range(4)] == [
            "SOURCE_UNPARSABLE",
            "SOURCE_UNPARSABLE",
            "SOURCE_BUSY",
            "SOURCE_BUSY",
        ]
        assert place.platform.asked == 2
