from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from adapters.platforms import city_names
from adapters.platforms.records import Record
from adapters.platforms.turning import Changes
from adapters.sdk import Deadline, OutcomeReport
from adapters.sdk.connectors import change_feed_path
from adapters.sdk.watching import ChangeDoor
from gateway.codes import Level
from tests.adapters.platforms.support import ADMIN_TOKEN, Clock
from tests.adapters.schemes.support import card, open_city, words

pytestmark = pytest.mark.asyncio

BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
NOW = Clock().now


def tell(changes: Changes, *numbers: str) -> None:
    for number in numbers:
        changes.tell(number, (Record(state="红码"),), NOW)


async def test_a_feed_tells_what_came_after_a_cursor() -> None:
    changes = Changes()
    tell(changes, "1")
    here = await changes.page(None, 0)
    assert (here["changes"], here["reset"]) == ([], False)
    tell(changes, "2", "3")
    found: Any = await changes.page(str(here["next"]), 0)
    assert [change["number"] for change in found["changes"]] == ["2", "3"]
    assert found["changes"][0]["states"] == ["红码"]
    again: Any = await changes.page(found["next"], 0)
    assert (again["changes"], again["next"]) == ([], found["next"])


async def test_a_call_is_held_until_there_is_something_to_tell() -> None:
    changes = Changes()
    here: Any = await changes.page(None, 0)
    held = asyncio.create_task(changes.page(here["next"], 3600))
    await asyncio.sleep(0)
    assert not held.done()
    tell(changes, "1")
    found: Any = await held
    assert [change["number"] for change in found["changes"]] == ["1"]


@pytest.mark.parametrize("cursor", ["", "x", "0000-0", "{epoch}-9", "{epoch}--1", "{epoch}-x"])
async def test_a_cursor_that_cannot_be_followed_says_so(cursor: str) -> None:
    changes = Changes()
    tell(changes, "1")
    found: Any = await changes.page(cursor.format(epoch=changes._epoch), 0)
    assert (found["reset"], found["changes"]) == (True, [])
    assert not (await changes.page(found["next"], 0))["reset"]


async def test_what_is_forgotten_is_a_gap_and_so_is_a_new_beginning() -> None:
    changes = Changes(kept=2)
    here: Any = await changes.page(None, 0)
    tell(changes, "1", "2")
    assert not (await changes.page(here["next"], 0))["reset"]
    tell(changes, "3")
    assert (await changes.page(here["next"], 0))["reset"]
    here = await changes.page(None, 0)
    changes.forget()
    assert (await changes.page(here["next"], 0))["reset"]


@pytest.mark.parametrize("name", city_names())
async def test_every_city_tells_who_was_turned_to_whoever_proves_who_asks(name: str) -> None:
    async with open_city(name, Clock()) as city:
        path = change_feed_path(city.scheme)
        assert path == "/changes"
        door: Any = city.connector
        assert isinstance(door, ChangeDoor)

        async def ask(**fields: str) -> Any:
            reply = await door.changes(path, fields, Deadline.after(10))
            assert not isinstance(reply, OutcomeReport)
            url = city.running.base_url + path
            async with aiohttp.ClientSession() as http, http.get(url) as bare:
                # Some cities say "refused" with the status of success.
                assert b'"changes"' not in await bare.read()
            return reply.body

        assert b'"changes":[]' in await ask()
        state = city.platform.table.version_at(city.clock()).states[-1].word
        person = city.platform.population.person(city.platform.population.size - 1)
        before = city.platform.changes._page([], 0)["next"]
        city.platform.turn(person, state)
        body = await ask(after=str(before), wait="0")
        assert person.number.encode() in body
        assert state.encode() in body


async def test_an_operator_turns_a_person_and_the_adapter_sees_it() -> None:
    async with open_city("hangzhou", Clock()) as city, aiohttp.ClientSession() as http:
        url = f"{city.running.admin_url}/admin/people"
        person = city.platform.scenarios()["green"]
        asked = card(person.document_number)

        async def turn(**body: Any) -> int:
            async with http.post(url, json=body, headers=BEARER) as answer:
                return answer.status

        assert words(await city.ask(asked)) == (Level.GREEN,)
        assert await turn(person="green", state="红码", reason="密切接触者") == 200
        assert words(await city.ask(asked)) == (Level.RED,)
        city.clock.now += timedelta(days=1)
        assert words(await city.ask(asked)) == (Level.RED,)
        assert await turn(person=person.document_number, state=None) == 200
        assert words(await city.ask(asked)) == (Level.GREEN,)
        for body, status in (
            ({"person": "green", "state": "紫码"}, 400),
            ({"person": "green"}, 400),
            ({"person": 1, "state": None}, 400),
            ({"person": "nobody", "state": "红码"}, 404),
        ):
            assert await turn(**body) == status
        async with http.post(url, json={"person": "green", "state": None}) as answer:
            assert answer.status == 401
        query = {"after": "x", "wait": "x"}
        assert isinstance(
            await city.connector.changes("/changes", query, Deadline.after(5)),  # type: ignore[attr-defined]
            OutcomeReport,
        )
