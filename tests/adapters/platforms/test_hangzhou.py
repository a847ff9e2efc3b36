from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.platforms import Faults, Garbage, HangzhouPlatform, RunningPlatform, scenario
from tests.adapters.platforms.support import Clock, get_json, signed

GOLDEN = Path(__file__).parent / "golden"
APP_SECRET = "synthetic-app-secret"


async def refresh(
    http: aiohttp.ClientSession, city: RunningPlatform, clock: Clock
) -> dict[str, Any]:
    url = f"{city.base_url}/gateway/app/refreshTokenByKey"
    answer = await get_json(http, url, signed(clock, APP_SECRET))
    assert answer["code"] == "00"
    secrets: dict[str, Any] = json.loads(answer["datas"])
    return secrets


async def ask(
    http: aiohttp.ClientSession, city: RunningPlatform, clock: Clock, **fields: str
) -> Any:
    secret = (await refresh(http, city, clock))["requestSecret"]
    name = "ewmcxjkm" if "ewm" in fields else "qsjkmxxcx"
    url = f"{city.base_url}/gateway/api/{name}/1.0"
    return await get_json(http, url, signed(clock, secret, **fields))


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["red", "two-records", "not-found"])
async def test_the_wire_keeps_its_shape(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, story: str
) -> None:
    answer = await ask(http, hangzhou, clock, sfzh=scenario(f"hangzhou/{story}").document_number)
    golden = (GOLDEN / f"hangzhou-{story}.json").read_text(encoding="utf-8")
    assert json.dumps(answer, ensure_ascii=False, indent=1) + "\n" == golden


@pytest.mark.asyncio
async def test_the_answer_is_a_document_inside_a_document(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    answer = await ask(http, hangzhou, clock, ewm=scenario("hangzhou/green").qr_text or "")
    assert answer["code"] == "00"
    assert isinstance(answer["datas"], str)
    inner = json.loads(answer["datas"])
    assert inner["success"] is True
    (record,) = inner["data"]
    assert record["mzt"] == "绿码"
    assert record["mffd"] == "杭州市"
    assert record["zjgxsj"].endswith("+0000")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sign": "0" * 32}, "13"),
        ({"sign": "é"}, "13"),
        ({"sign": ""}, "11"),
        ({"appKey": "another"}, "12"),
        ({"requestTime": "1"}, "11"),
        ({"requestTime": "９" * 13}, "11"),
        ({"requestTime": "1000000000000"}, "14"),
        ({"sfzh": ""}, "11"),
    ],
)
async def test_a_call_that_differs_in_one_thing_is_refused(
    hangzhou: RunningPlatform,
    http: aiohttp.ClientSession,
    clock: Clock,
    change: dict[str, str],
    code: str,
) -> None:
    secret = (await refresh(http, hangzhou, clock))["requestSecret"]
    good = signed(clock, secret, sfzh=scenario("hangzhou/green").document_number)
    url = f"{hangzhou.base_url}/gateway/api/qsjkmxxcx/1.0"
    assert (await get_json(http, url, good))["code"] == "00"
    answer = await get_json(http, url, good | change)
    assert answer["code"] == code
    assert answer["datas"] == ""


@pytest.mark.asyncio
async def test_the_app_secret_signs_no_query(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    url = f"{hangzhou.base_url}/gateway/api/qsjkmxxcx/1.0"
    number = scenario("hangzhou/green").document_number
    assert (await get_json(http, url, signed(clock, APP_SECRET, sfzh=number)))["code"] == "15"
    await refresh(http, hangzhou, clock)
    assert (await get_json(http, url, signed(clock, APP_SECRET, sfzh=number)))["code"] == "13"


@pytest.mark.asyncio
async def test_a_secret_lives_fifteen_minutes_and_is_renewed_by_the_refresh_secret(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    secrets = await refresh(http, hangzhou, clock)
    ends_in = secrets["requestSecretEndTime"] - clock.now.timestamp() * 1000
    assert ends_in == 900_000
    url = f"{hangzhou.base_url}/gateway/api/qsjkmxxcx/1.0"
    number = scenario("hangzhou/green").document_number

    async def code(secret: str) -> str:
        answer = await get_json(http, url, signed(clock, secret, sfzh=number))
        return str(answer["code"])

    clock.now += timedelta(seconds=899)
    assert await code(secrets["requestSecret"]) == "00"
    clock.now += timedelta(seconds=1)
    assert await code(secrets["requestSecret"]) == "15"
    by_secret = f"{hangzhou.base_url}/gateway/app/refreshTokenBySec"
    answer = await get_json(http, by_secret, signed(clock, secrets["refreshSecret"]))
    assert await code(json.loads(answer["datas"])["requestSecret"]) == "00"


@pytest.mark.asyncio
async def test_codes_are_recomputed_every_night(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    number = scenario("hangzhou/green").document_number

    async def updated() -> str:
        answer = await ask(http, hangzhou, clock, sfzh=number)
        text: str = json.loads(answer["datas"])["data"][0]["zjgxsj"]
        return text

    assert (await updated()).startswith("2020-05-31T19:")
    clock.now += timedelta(days=1)
    assert (await updated()).startswith("2020-06-01T19:")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (scenario("hangzhou/expired-code").qr_text, "JKM_QR_EXPIRED"),
        (scenario("hangzhou/not-found").qr_text, "JKM_QR_UNKNOWN"),
        ((scenario("hangzhou/green").qr_text or "")[:-1] + "0", "JKM_QR_UNKNOWN"),
        (scenario("guangzhou/green").qr_text, "JKM_QR_NOT_OURS"),
        ("x" * 2048, "JKM_QR_NOT_OURS"),
    ],
)
async def test_a_qr_that_leads_to_nobody_says_why(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, text: str, error: str
) -> None:
    inner = json.loads((await ask(http, hangzhou, clock, ewm=text))["datas"])
    assert (inner["success"], inner["errorCode"], inner["data"]) == (False, error, [])


@pytest.mark.asyncio
async def test_one_phone_may_show_two_people(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    answer = await ask(http, hangzhou, clock, ewm=scenario("hangzhou/shared-phone").qr_text or "")
    inner = json.loads(answer["datas"])
    assert len({record["sfzh"] for record in inner["data"]}) == 2


@pytest.mark.asyncio
async def test_a_quota_fault_answers_with_the_code_of_the_real_gateway(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(quota=True)
    assert (await ask(http, hangzhou, clock, sfzh="x"))["code"] == "18"


@pytest.mark.asyncio
async def test_a_disagreeing_fault_gives_everybody_a_second_colour(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(disagree=True)
    for story in ("green", "red"):
        number = scenario(f"hangzhou/{story}").document_number
        inner = json.loads((await ask(http, hangzhou, clock, sfzh=number))["datas"])
        assert {record["mzt"] for record in inner["data"]} == {"绿码", "红码"}


@pytest.mark.asyncio
async def test_a_stale_fault_shows_an_old_green(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(stale=True)
    number = scenario("hangzhou/red").document_number
    inner = json.loads((await ask(http, hangzhou, clock, sfzh=number))["datas"])
    (record,) = inner["data"]
    assert record["mzt"] == "绿码"
    assert record["zjgxsj"] < "2020-05-27"


@pytest.mark.asyncio
@pytest.mark.parametrize("garbage", Garbage)
async def test_garbage_is_nothing_that_a_strict_reader_takes(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, garbage: Garbage
) -> None:
    params = signed(clock, APP_SECRET)
    hangzhou.platform.faults = Faults(garbage=garbage)
    async with http.get(
        f"{hangzhou.base_url}/gateway/app/refreshTokenByKey", params=params
    ) as answer:
        body = await answer.read()
    with pytest.raises(ValueError, match=r"."):
        json.loads(body.decode("utf-8"))


@pytest.mark.asyncio
async def test_a_platform_that_is_down_drops_the_connection(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(down=True)
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"{hangzhou.base_url}/gateway/app/refreshTokenByKey")


@pytest.mark.asyncio
async def test_maintenance_is_a_page_for_humans(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    hangzhou.platform.faults = Faults(maintenance=True)
    async with http.get(f"{hangzhou.base_url}/gateway/app/refreshTokenByKey") as answer:
        assert answer.status == 503
        assert answer.content_type == "text/html"


@pytest.mark.asyncio
async def test_a_slow_platform_answers_late_and_stops_at_once(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(slow_seconds=60)
    url = f"{hangzhou.base_url}/gateway/app/refreshTokenByKey"
    with pytest.raises(TimeoutError):
        await http.get(url, timeout=aiohttp.ClientTimeout(total=0.2))
    hangzhou.platform.faults = Faults(slow_seconds=0.05)
    await refresh(http, hangzhou, clock)


@pytest.mark.asyncio
async def test_an_ordinal_fault_writes_a_number_for_the_colour(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    hangzhou.platform.faults = Faults(ordinal=True)
    number = scenario("hangzhou/green").document_number
    inner = json.loads((await ask(http, hangzhou, clock, sfzh=number))["datas"])
    assert inner["data"][0]["mzt"] == "1"


def test_every_story_has_a_person() -> None:
    names = HangzhouPlatform().scenarios().keys()
    assert {"green", "yellow", "red", "expired-code", "not-found", "not-applied"} <= names


def conversion(**changed: str) -> dict[str, str]:
    form = {
        "ywlsh": "r1",
        "zjlx": "IDENTITY_CARD",
        "sfzh": scenario("guangdong/green").document_number,
        "xm": "测试甲",
        "lydq": "440000",
        "hsjcsj": "2020-05-30T04:00:00.000+0000",
        "yxqz": "",
    }
    return form | changed


async def convert(
    http: aiohttp.ClientSession, city: RunningPlatform, clock: Clock, **changed: str
) -> Any:
    params = signed(clock, (await refresh(http, city, clock))["requestSecret"])
    url = f"{city.base_url}/gateway/api/jkmhr/1.0"
    async with http.post(url, params=params, data=conversion(**changed)) as answer:
        assert answer.status == 200
        document = await answer.json()
    return json.loads(document["datas"]) if document["datas"] else document["code"]


@pytest.mark.asyncio
async def test_a_converted_code_is_asked_about_like_any_other_until_it_ends(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    made = (await convert(http, hangzhou, clock))["data"]
    assert (made["yxqz"], made["hsjcsj"]) == (
        "2020-06-02T04:00:00.000+0000",
        "2020-05-30T04:00:00.000+0000",
    )
    (record,) = json.loads((await ask(http, hangzhou, clock, ewm=made["ewm"]))["datas"])["data"]
    assert (record["mzt"], record["mffd"], record["mlx"]) == ("绿码", "杭州市", "跨域互认码")
    assert (record["yxqz"], record["hsjcsj"]) == (made["yxqz"], made["hsjcsj"])
    assert record["sfzh"] == scenario("guangdong/green").document_number
    assert (await convert(http, hangzhou, clock))["data"] == made
    clock.now += timedelta(hours=24)
    inner = json.loads((await ask(http, hangzhou, clock, ewm=made["ewm"]))["datas"])
    assert inner["errorCode"] == "JKM_QR_EXPIRED"


@pytest.mark.asyncio
async def test_a_conversion_overwrites_nothing(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    for story in ("yellow", "red", "two-records", "two-cities", "within-domain-red"):
        number = scenario(f"hangzhou/{story}").document_number
        inner = await convert(http, hangzhou, clock, sfzh=number, ywlsh=story)
        assert (inner["success"], inner["errorCode"]) == (False, "JKM_OWN_RECORD")
    await convert(http, hangzhou, clock)
    inner = await convert(http, hangzhou, clock, lydq="420000")
    assert inner["errorCode"] == "JKM_CONFLICT"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changed",
    [{"sfzh": ""}, {"ywlsh": ""}, {"lydq": "44"}, {"hsjcsj": "2020-05-30"}, {"yxqz": "x"}],
)
async def test_a_conversion_that_is_wrong_in_one_thing_is_a_bad_request(
    hangzhou: RunningPlatform,
    http: aiohttp.ClientSession,
    clock: Clock,
    changed: dict[str, str],
) -> None:
    assert await convert(http, hangzhou, clock, **changed) == "11"


@pytest.mark.asyncio
async def test_a_phone_finds_everybody_who_is_registered_on_it(
    hangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    secret = (await refresh(http, hangzhou, clock))["requestSecret"]
    url = f"{hangzhou.base_url}/gateway/api/sjhcxjkm/1.0"
    stories = list(hangzhou.platform.table.stories)
    for story, people in (("green", 1), ("shared-phone", 2)):
        phone = hangzhou.platform.population.person(stories.index(story)).phone
        answer = await get_json(http, url, signed(clock, secret, sjh=phone))
        records = json.loads(answer["datas"])["data"]
        assert len({record["sfzh"] for record in records}) == people
    for phone in ("10099999999", "1", "13800000000", "１００" + "0" * 8):
        answer = await get_json(http, url, signed(clock, secret, sjh=phone))
        assert json.loads(answer["datas"])["data"] == []
