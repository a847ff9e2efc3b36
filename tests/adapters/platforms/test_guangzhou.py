from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import Faults, Garbage, RunningPlatform, scenario
from adapters.platforms.guangzhou import COLOUR_SINCE, pass_qr_text

if TYPE_CHECKING:
    import aiohttp

    from tests.adapters.platforms.support import Clock

GOLDEN = Path(__file__).parent / "golden"
BEARER = {"Authorization": "Bearer synthetic-skm-token"}


async def post(
    http: aiohttp.ClientSession,
    city: RunningPlatform,
    body: Any,
    headers: dict[str, str] = BEARER,
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{city.base_url}/skm/api/v2/verify"
    async with http.post(url, data=data, headers=headers) as answer:
        return answer.status, await answer.json()


def by_card(story: str) -> dict[str, str]:
    number = scenario(f"guangzhou/{story}").document_number
    return {"queryType": "CARD", "cardType": "10", "cardNo": number}


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["red", "two-records", "not-found"])
async def test_the_wire_keeps_its_shape(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, story: str
) -> None:
    status, answer = await post(http, guangzhou, by_card(story))
    assert status == 200
    golden = (GOLDEN / f"guangzhou-{story}.json").read_text(encoding="utf-8")
    assert json.dumps(answer, ensure_ascii=False, indent=1) + "\n" == golden


@pytest.mark.asyncio
async def test_identity_comes_back_masked(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    _, answer = await post(http, guangzhou, by_card("green"))
    assert by_card("green")["cardNo"] not in json.dumps(answer)
    assert "**" in answer["result"]["holder"]["name"]


@pytest.mark.asyncio
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "é"}])
async def test_without_the_token_nobody_is_answered(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, answer = await post(http, guangzhou, by_card("green"), headers)
    assert (status, answer["resultCode"], answer["result"]) == (401, "1401", None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        [],
        {},
        {"queryType": "QR"},
        {"queryType": "QR", "qrCode": 1},
        {"queryType": "CARD", "cardNo": "x"},
        {"queryType": "CARD", "cardType": 10, "cardNo": "x"},
        {"queryType": "FACE", "qrCode": "x"},
    ],
)
async def test_a_question_of_another_shape_is_refused(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, body: Any
) -> None:
    status, answer = await post(http, guangzhou, body)
    assert (status, answer["resultCode"]) == (400, "1400")


@pytest.mark.asyncio
async def test_a_body_without_end_is_cut_off(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    url = f"{guangzhou.base_url}/skm/api/v2/verify"
    async with http.post(url, data=b"x" * 20_000, headers=BEARER) as answer:
        assert answer.status == 413


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "code"),
    [
        ("not-applied", "2002"),
        ("no-face-check", "2005"),
        ("not-found", "2001"),
    ],
)
async def test_who_holds_no_code_is_told_apart(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, story: str, code: str
) -> None:
    status, answer = await post(http, guangzhou, by_card(story))
    assert (status, answer["resultCode"], answer["result"]) == (200, code, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (scenario("guangzhou/green").qr_text, "0"),
        (scenario("guangzhou/expired-code").qr_text, "2003"),
        (scenario("guangzhou/not-found").qr_text, "2001"),
        ((scenario("guangzhou/green").qr_text or "")[:-1] + "0", "2001"),
        (scenario("hangzhou/green").qr_text, "2004"),
        ("", "2004"),
    ],
)
async def test_a_qr_is_resolved_or_says_why_not(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, text: str, code: str
) -> None:
    _, answer = await post(http, guangzhou, {"queryType": "QR", "qrCode": text})
    assert answer["resultCode"] == code


@pytest.mark.asyncio
async def test_before_the_colours_there_is_a_pass_of_seven_days_without_one(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    clock.now = datetime(2020, 3, 10, 4, 0, tzinfo=UTC)
    _, answer = await post(http, guangzhou, {"queryType": "QR", "qrCode": pass_qr_text(0)})
    (report,) = answer["result"]["reports"]
    assert (report["codeState"], report["gateStatus"]) == ("已申报", "")
    declared = datetime.fromisoformat(report["declaredAt"])
    assert datetime.fromisoformat(report["expiresAt"]) - declared == timedelta(days=7)
    expired = scenario("guangzhou/expired-code").qr_text
    _, answer = await post(http, guangzhou, {"queryType": "QR", "qrCode": expired})
    assert answer["result"]["reports"][0]["codeState"] == "已失效"


@pytest.mark.asyncio
async def test_the_permanent_code_begins_at_midnight_of_its_day(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    question = {"queryType": "QR", "qrCode": scenario("guangzhou/green").qr_text}
    clock.now = COLOUR_SINCE - timedelta(seconds=1)
    assert (await post(http, guangzhou, question))[1]["resultCode"] == "2004"
    clock.now = COLOUR_SINCE
    _, answer = await post(http, guangzhou, question)
    assert answer["result"]["reports"][0]["codeState"] == "绿码"


@pytest.mark.asyncio
async def test_a_quota_fault_is_429_with_a_time(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    guangzhou.platform.faults = Faults(quota=True)
    url = f"{guangzhou.base_url}/skm/api/v2/verify"
    async with http.post(url, json=by_card("green"), headers=BEARER) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "30")


@pytest.mark.asyncio
@pytest.mark.parametrize("garbage", Garbage)
async def test_garbage_is_nothing_that_a_strict_reader_takes(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession, garbage: Garbage
) -> None:
    guangzhou.platform.faults = Faults(garbage=garbage)
    url = f"{guangzhou.base_url}/skm/api/v2/verify"
    async with http.post(url, json=by_card("green"), headers=BEARER) as answer:
        body = await answer.read()
    with pytest.raises(ValueError, match=r"."):
        json.loads(body.decode("utf-8"))


@pytest.mark.asyncio
async def test_stale_disagree_and_ordinal_show_in_the_reports(
    guangzhou: RunningPlatform, http: aiohttp.ClientSession
) -> None:
    guangzhou.platform.faults = Faults(stale=True)
    _, answer = await post(http, guangzhou, by_card("red"))
    (report,) = answer["result"]["reports"]
    assert (report["codeState"], report["updatedAt"][:10]) == ("绿码", "2020-05-27")
    guangzhou.platform.faults = Faults(disagree=True)
    _, answer = await post(http, guangzhou, by_card("red"))
    assert [r["codeState"] for r in answer["result"]["reports"]] == ["红码", "绿码"]
    guangzhou.platform.faults = Faults(ordinal=True)
    _, answer = await post(http, guangzhou, by_card("green"))
    assert answer["result"]["reports"][0]["codeState"] == "00"
