"""Path 1, shared data: Beijing's platform asks where a traveller comes from.

The platform is a client of the hub under its region's own name. What another region
says feeds Beijing's own rule and stands beside Beijing's own record, never over it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import Faults
from adapters.platforms.beijing.shared import SharedSourceError
from adapters.platforms.hangzhou.table import CITY as HANGZHOU_CITY
from gateway.cli.shared import sharing
from gateway.codes import Level, Outcome
from tests.paths.world import MANY, card, post, world

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import CheckpointSettings
    from tests.paths.world import World

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

BEIJING = "urn:hutong:region:110000"
CLEAR, UNSURE = "未见异常", "系统暂不能确认"
TOKEN = "synthetic-jkb-token"


def platform_s(place: World) -> CheckpointSettings:
    """Beijing's platform uses the key of Beijing's adapter: they are one region."""
    key = place["beijing"].folder / "keys" / "authenticate.json"
    return place.settings(BEIJING, purpose="PLATFORM", key_file=str(key))


async def arrive(url: str, number: str, origin: str = "330100") -> dict[str, Any]:
    answer = await post(
        f"{url}/jingxinju/jkb/arrival",
        json={"cardType": "10", "cardNo": number, "from": origin},
        headers={"X-Jkb-Token": TOKEN},
    )
    assert answer["code"] == "0", answer
    data: dict[str, Any] = answer["data"]
    return data


async def test_a_green_of_hangzhou_is_clear_in_beijing_s_words_and_says_from_whom(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, "hangzhou", "beijing") as place:
        settings = platform_s(place)
        async with sharing(settings, follow=False, clock=place.clock) as source:
            place["beijing"].platform.shared = source  # type: ignore[attr-defined]  # Beijing's
            url = place["beijing"].running.base_url
            expected = {
                "green": (CLEAR, CLEAR),
                "red": (UNSURE, "非未见异常"),
                "yellow": (UNSURE, "非未见异常"),
                "two-records": (UNSURE, "非未见异常"),
                "not-found": (UNSURE, "无法核验"),
                "unknown-state": (UNSURE, "无法核验"),
            }
            for story, (state, finding) in expected.items():
                told = await arrive(url, place["hangzhou"].story(story).document_number)
                assert (told["state"], told["own"]) == (state, "尚未掌握"), story
                (shared,) = told["shared"]
                assert (shared["from"], shared["statedBy"]) == ("330100", "330100")
                assert shared["finding"] == finding, story
                assert bool(shared["reference"]) == (finding != "无法核验"), story

            # The source fails, in four ways; nothing of it is a word about health.
            green = place["hangzhou"].story("green").document_number
            place["hangzhou"].platform.faults = Faults(down=True)
            assert (await arrive(url, green))["state"] == UNSURE
            place["hangzhou"].platform.faults = Faults()
            assert (await arrive(url, green))["state"] == CLEAR
            told = await arrive(url, place["hangzhou"].story("released").document_number, "530000")
            assert (told["state"], told["shared"][0]["finding"]) == (UNSURE, "未取得")
            await place["hangzhou"].stop()
            assert (await arrive(url, green))["state"] == UNSURE
            place.clock.advance(days=3)
            with pytest.raises(SharedSourceError) as caught:
                await source.ask(card(green), "330100")
            assert caught.value.code == "TRUST_TOO_OLD"
            assert green not in str(caught.value)


async def test_a_finding_is_what_was_verified(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "beijing") as place:
        async with sharing(platform_s(place), follow=False, clock=place.clock) as source:
            found = await source.ask(place["hangzhou"].document("green"), "330100")
            assert (found.origin, found.level, found.outcome) == ("330100", Level.GREEN, None)
            assert found.valid_until is not None
            assert found.valid_until > place.clock()
            assert found.assessed_at is not None
            assert found.attestation
            assert "GREEN" not in repr(found)
            found = await source.ask(place["hangzhou"].document("not-found"), "330100")
            assert (found.level, found.outcome) == (None, Outcome.NOT_FOUND)
        kept = platform_state(tmp_path)
        assert place["hangzhou"].document("green").number.encode() not in kept


async def test_beijing_s_own_record_stands_in_every_case(tmp_path: Path) -> None:
    """The same people live in both places."""
    people = HANGZHOU_CITY.counties
    async with world(
        tmp_path, "hangzhou", "beijing", counties={"hangzhou": people, "beijing": people}
    ) as place:
        north, south = place["beijing"].platform, place["hangzhou"].platform
        by_words: dict[tuple[str, str], str] = {}
        for index in range(MANY):
            person = north.population.person(index)
            pair = tuple(
                "+".join(record.state for record in city.records_of(person))
                for city in (north, south)
            )
            by_words.setdefault((pair[0], pair[1]), person.number)
        url = place["beijing"].running.base_url
        async with sharing(platform_s(place), follow=False, clock=place.clock) as source:
            place["beijing"].platform.shared = source  # type: ignore[attr-defined]  # Beijing's
            for own, there, shown in (
                ("居家观察", "绿码", "居家观察"),  # a green elsewhere frees nobody here
                (CLEAR, "绿码", CLEAR),
                (CLEAR, "红码", UNSURE),  # and a red elsewhere makes nobody red here
                (CLEAR, "黄码", UNSURE),
            ):
                told = await arrive(url, by_words[own, there])
                assert (told["own"], told["state"]) == (own, shown), (own, there)


async def test_only_a_region_asks_as_a_platform(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "beijing") as place:
        settings = platform_s(place)
        forged = settings.model_copy(update={"key_file": tmp_path / "hangzhou/keys/state.json"})
        async with sharing(forged, follow=False, clock=place.clock) as source:
            with pytest.raises(SharedSourceError) as caught:
                await source.ask(place["hangzhou"].document("green"), "330100")
            assert caught.value.code == "TOKEN_REFUSED"


@pytest.mark.processes
async def test_one_command_serves_beijing_with_its_eyes_open(tmp_path: Path) -> None:
    async with world(tmp_path, "hangzhou", "beijing") as place:
        settings = platform_s(place)
        config = settings.replica_file.parents[1] / "checkpoint.toml"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "platform", "run", "beijing",
            "--shared", str(config), "--port", "0", "--admin-port", "0", "--size", "200", "--json",
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert process.stdout is not None
        try:
            doors = json.loads(await process.stdout.readline())
            shown = [
                (await arrive(doors["url"], place["hangzhou"].story(story).document_number))[
                    "state"
                ]
                for story in ("green", "red")
            ]
        finally:
            process.terminate()
            await process.wait()
        assert shown == [CLEAR, UNSURE]


def platform_state(folder: Path) -> bytes:
    state = folder / BEIJING.replace(":", "_") / "state"
    return b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
