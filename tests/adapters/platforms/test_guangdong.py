from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from adapters.platforms import Faults, platform, scenario, serve_platform
from adapters.platforms.guangdong.platform import sign_fields
from tests.adapters.platforms.support import ADMIN_TOKEN, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from adapters.platforms import RunningPlatform

TRAVELLER = scenario("hangzhou/green").document_number
ANSWERS = {"symptoms": "0", "contact": "0", "travel": "0"}


@pytest_asyncio.fixture
async def guangdong(clock: Clock) -> AsyncIterator[RunningPlatform]:
    async with await serve_platform(
        platform("guangdong", clock=clock), admin_token=ADMIN_TOKEN
    ) as running:
        yield running


def signed(clock: Clock, key: str = "synthetic-ykm-key", **fields: str) -> dict[str, str]:
    fields |= {
        "appId": "synthetic-ykm-app",
        "timestamp": str(int(clock.now.timestamp() * 1000)),
        "nonce": "0" * 32,
    }
    return {**fields, "sign": sign_fields(fields, key)}


async def post(
    http: aiohttp.ClientSession, city: RunningPlatform, path: str, form: dict[str, str]
) -> tuple[str, Any]:
    async with http.post(f"{city.base_url}/ebus/ykm/{path}", data=form) as answer:
        document = await answer.json()
        assert answer.status == (401 if document["head"]["code"] == "4001" else 200)
    return document["head"]["code"], document["body"]


def conversion(clock: Clock, reference: str = "r1", **changed: str) -> dict[str, str]:
    tested = (clock.now - timedelta(days=2)).astimezone(UTC) + timedelta(hours=8)
    fields = {
        "reference": reference,
        "idType": "01",
        "idNo": TRAVELLER,
        "name": "测试甲",
        "origin": "330100",
        "testTime": f"{tested:%Y-%m-%d %H:%M:%S}",
        "validUntil": "",
        **ANSWERS,
    }
    return signed(clock, **(fields | changed))


@pytest.mark.asyncio
@pytest.mark.parametrize("change", ["sign", "appId", "timestamp", "nonce", "idNo"])
async def test_a_form_that_is_changed_after_signing_is_refused(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, change: str
) -> None:
    number = scenario("guangdong/green").document_number
    form = signed(clock, idType="01", idNo=number)
    code, body = await post(http, guangdong, "query", form)
    assert (code, body["records"][0]["state"]) == ("0000", "绿码")
    assert await post(http, guangdong, "query", form | {change: "1"}) == ("4001", None)


@pytest.mark.asyncio
async def test_an_old_signature_is_refused(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    form = signed(clock, qrText=scenario("guangdong/green").qr_text or "")
    clock.now += timedelta(minutes=6)
    assert (await post(http, guangdong, "query", form))[0] == "4001"


@pytest.mark.asyncio
@pytest.mark.parametrize("fields", [{}, {"idType": "01"}, {"idType": "02", "idNo": TRAVELLER}])
async def test_a_question_of_another_shape_is_refused(
    guangdong: RunningPlatform,
    http: aiohttp.ClientSession,
    clock: Clock,
    fields: dict[str, str],
) -> None:
    assert await post(http, guangdong, "query", signed(clock, **fields)) == ("4000", None)


@pytest.mark.asyncio
async def test_yellow_exists_from_2022_on_only(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    city = guangdong.platform

    def states() -> set[str]:
        people = map(city.population.person, range(20, 1_000))
        return {record.state for person in people for record in city.records_of(person)}

    assert states() == {"绿码", "红码"}
    clock.now = datetime(2022, 1, 1, tzinfo=UTC)
    assert states() == {"绿码", "黄码", "红码"}


@pytest.mark.asyncio
async def test_a_converted_code_is_accepted_at_the_gates_and_keeps_the_date_of_the_test(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    code, made = await post(http, guangdong, "convert", conversion(clock))
    assert code == "0000"
    assert made["testedAt"] == "2020-05-30 12:00:00"
    assert made["expiresAt"] == "2020-06-02 12:00:00"
    for path in ("gate", "query"):
        form = signed(clock, qrText=made["qrText"], site="synthetic")
        code, body = await post(http, guangdong, path, form)
        assert (code, body.get("pass", True)) == ("0000", True)
        (record,) = body["records"]
        assert (record["state"], record["testedAt"]) == ("绿码", made["testedAt"])
        assert record["expiresAt"] == made["expiresAt"]
    clock.now += timedelta(hours=24)
    assert (await post(http, guangdong, "gate", signed(clock, qrText=made["qrText"])))[0] == "1004"


@pytest.mark.asyncio
async def test_the_same_reference_finds_the_same_code(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    first = await post(http, guangdong, "convert", conversion(clock))
    clock.now += timedelta(minutes=1)
    assert await post(http, guangdong, "convert", conversion(clock)) == first
    another = scenario("hangzhou/red").document_number
    assert await post(http, guangdong, "convert", conversion(clock, idNo=another)) == ("2002", None)
    assert (await post(http, guangdong, "convert", conversion(clock, "r2")))[1] != first[1]


@pytest.mark.asyncio
async def test_a_code_ends_when_the_origin_says_if_that_is_sooner(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    sooner = conversion(clock, validUntil="2020-06-01 18:00:00")
    assert (await post(http, guangdong, "convert", sooner))[1]["expiresAt"] == "2020-06-01 18:00:00"
    later = conversion(clock, "r2", validUntil="2020-06-09 18:00:00")
    assert (await post(http, guangdong, "convert", later))[1]["expiresAt"] == "2020-06-02 12:00:00"
    over = conversion(clock, "r3", validUntil="2020-06-01 12:00:00")
    assert await post(http, guangdong, "convert", over) == ("4000", None)


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["red", "red-at-home", "two-records", "unknown-state"])
async def test_who_is_less_than_green_here_is_not_converted(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, story: str
) -> None:
    number = scenario(f"guangdong/{story}", clock.now).document_number
    code, body = await post(http, guangdong, "convert", conversion(clock, idNo=number))
    assert (code, body) == ("2001", None)


@pytest.mark.asyncio
@pytest.mark.parametrize("story", ["green", "not-applied"])
async def test_who_is_green_here_or_nothing_is_converted(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock, story: str
) -> None:
    number = scenario(f"guangdong/{story}", clock.now).document_number
    code, _ = await post(http, guangdong, "convert", conversion(clock, idNo=number))
    assert code == "0000"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changed",
    [
        {"symptoms": "1"},
        {"contact": ""},
        {"travel": "yes"},
        {"testTime": "2020-06-01"},
        {"validUntil": "tomorrow"},
        {"reference": ""},
        {"reference": "x" * 129},
        {"idNo": ""},
        {"origin": "33"},
        {"origin": "杭州市浙江省"},
        {"name": "x" * 65},
    ],
)
async def test_a_conversion_that_is_wrong_in_one_thing_is_refused(
    guangdong: RunningPlatform,
    http: aiohttp.ClientSession,
    clock: Clock,
    changed: dict[str, str],
) -> None:
    form = conversion(clock, **changed)
    assert await post(http, guangdong, "convert", form) == ("4000", None)


@pytest.mark.asyncio
async def test_no_fault_makes_a_conversion_or_opens_the_gate(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    _, made = await post(http, guangdong, "convert", conversion(clock))
    gate = signed(clock, qrText=made["qrText"])
    for faults, code in (
        (Faults(quota=True), "4290"),
        (Faults(must_update=True), "1003"),
        (Faults(wrong_province=True), "1005"),
        (Faults(qr_expired=True), "1004"),
    ):
        guangdong.platform.faults = faults
        assert await post(http, guangdong, "convert", conversion(clock, "r9")) == (code, None)
        assert await post(http, guangdong, "gate", gate) == (code, None)
    for faults in (Faults(disagree=True), Faults(shared_phone=True), Faults(empty=True)):
        guangdong.platform.faults = faults
        assert (await post(http, guangdong, "gate", gate))[1]["pass"] is False


@pytest.mark.asyncio
async def test_an_imported_code_that_was_never_made_is_unknown(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    text = guangdong.platform.qr_text(900_000_000) or ""
    assert (await post(http, guangdong, "query", signed(clock, qrText=text)))[0] == "1001"


@pytest.mark.asyncio
async def test_the_catalogue_is_paged_and_signed(
    guangdong: RunningPlatform, http: aiohttp.ClientSession, clock: Clock
) -> None:
    url = f"{guangdong.base_url}/catalogue"
    async with http.get(url, params=signed(clock, after="0", limit="3")) as answer:
        page = await answer.json()
    assert len(page["rows"]) == 3
    assert page["rows"][0]["number"] == scenario("guangdong/red").document_number
    assert page["takenAt"] == "2020-06-01T04:00:00Z"
    async with http.get(url, params=signed(clock, after=page["next"], limit="3")) as answer:
        assert (await answer.json())["rows"] != page["rows"]
    for wrong in ({"after": "-1"}, {"limit": "0"}, {"limit": "1001"}, {"after": "x"}):
        async with http.get(url, params=signed(clock, **wrong)) as answer:
            assert answer.status == 400
    guangdong.platform.faults = Faults(quota=True)
    async with http.get(url, params=signed(clock)) as answer:
        assert answer.status == 429
