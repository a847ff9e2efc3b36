from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.platforms import (
    Faults,
    Garbage,
    HangzhouPlatform,
    platform,
    scenario,
    serve_platform,
)
from adapters.sdk import AdapterConfigError, OutcomeReport, QrText
from gateway.codes import Document, DocumentType, UnifiedCode
from gateway.codes.levels import Basis, Level, Outcome
from gateway.codes.schemes import load_scheme
from tests.adapters.platforms.support import ADMIN_TOKEN
from tests.adapters.schemes.support import City, card, load_city, words

if TYPE_CHECKING:
    from aiohttp import web

    from tests.adapters.platforms.support import Clock

STORIES = sorted(person.name for person in platform("hangzhou").scenarios().values())
SECRETS = {"app_key": "synthetic-app", "app_secret": "synthetic-app-secret"}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", STORIES)
async def test_every_story_comes_out_as_told(hangzhou: City, name: str) -> None:
    person = scenario(name)
    if person.qr_text is not None:
        assert words(await hangzhou.by_qr(person)) == (person.expected, *person.also)
    document = words(await hangzhou.by_document(person))
    assert document[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_a_green_code_carries_the_city_the_state_and_last_night(
    hangzhou: City, clock: Clock
) -> None:
    code = await hangzhou.by_qr(scenario("hangzhou/green"))
    assert isinstance(code, UnifiedCode)
    assert (code.scheme, code.state, code.issued_by) == ("hz-jkm@2020-02", "绿码", "330100")
    assert code.assessed_at == code.source_at
    assert timedelta(0) <= clock.now - code.source_at <= timedelta(hours=25)
    assert code.declared_at is None
    assert code.release is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("story", "basis"),
    [
        ("green", set()),
        ("yellow", {Basis.DECLARATION}),
        ("red", {Basis.CONTACT}),
        ("released", {Basis.ADMINISTRATIVE}),
    ],
)
async def test_the_reason_becomes_a_basis(hangzhou: City, story: str, basis: set[Basis]) -> None:
    code = await hangzhou.by_document(scenario(f"hangzhou/{story}"))
    assert isinstance(code, UnifiedCode)
    assert code.basis == basis


@pytest.mark.asyncio
async def test_a_pass_of_one_domain_says_so_in_its_state(hangzhou: City) -> None:
    answer = await hangzhou.by_qr(scenario("hangzhou/within-domain"))
    assert isinstance(answer, OutcomeReport)
    assert (answer.outcome, answer.state) == (Outcome.CANNOT_DETERMINE, "绿码/本域内通行码")


@pytest.mark.asyncio
async def test_an_adapter_of_the_province_states_the_records_of_every_city(
    hangzhou: City, clock: Clock
) -> None:
    document: dict[str, Any] = load_city("hangzhou").to_document()
    document |= {"authority": "330000", "prefixes": ["33"]}
    document["connector"] = {"python": "adapters.schemes.zhejiang.connector:ProvincialConnector"}
    document["versions"][0] |= {"scopes": ["杭州市", "金华市"]}
    province = City(hangzhou.running, load_scheme(document), SECRETS, clock)
    code = await province.by_qr(scenario("hangzhou/two-cities"))
    await province.close()
    assert isinstance(code, UnifiedCode)
    assert [(c.level, c.issued_by) for c in code.reports] == [
        (Level.RED, "330700"),
        (Level.GREEN, "330100"),
    ]


FAULTS = {
    "down": (Faults(down=True), Outcome.SOURCE_BUSY),
    "maintenance": (Faults(maintenance=True), Outcome.SOURCE_BUSY),
    "quota": (Faults(quota=True), Outcome.SOURCE_BUSY),
    "html": (Faults(garbage=Garbage.HTML), Outcome.SOURCE_UNPARSABLE),
    "truncated": (Faults(garbage=Garbage.TRUNCATED), Outcome.SOURCE_UNPARSABLE),
    "encoding": (Faults(garbage=Garbage.ENCODING), Outcome.SOURCE_UNPARSABLE),
    "stale": (Faults(stale=True), Outcome.CANNOT_DETERMINE),
    "ordinal": (Faults(ordinal=True), Outcome.CANNOT_DETERMINE),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_no_fault_ends_as_a_level(hangzhou: City, fault: str, *, warm: bool) -> None:
    if warm:
        assert words(await hangzhou.by_qr(scenario("hangzhou/green"))) == (Level.GREEN,)
    faults, outcome = FAULTS[fault]
    hangzhou.platform.faults = faults
    for story in ("green", "red"):
        person = scenario(f"hangzhou/{story}")
        for answer in (await hangzhou.by_qr(person), await hangzhou.by_document(person)):
            assert isinstance(answer, OutcomeReport)
            assert answer.outcome is outcome


@pytest.mark.asyncio
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_a_slow_platform_times_out_within_the_deadline(hangzhou: City, *, warm: bool) -> None:
    if warm:
        await hangzhou.by_qr(scenario("hangzhou/green"))
    hangzhou.platform.faults = Faults(slow_seconds=60)
    answer = await hangzhou.ask(QrText(scenario("hangzhou/green").qr_text or ""), 0.2)
    assert words(answer) == (Outcome.SOURCE_TIMED_OUT,)


@pytest.mark.asyncio
async def test_after_a_fault_the_next_question_is_answered_again(hangzhou: City) -> None:
    person = scenario("hangzhou/green")
    for faults, _ in FAULTS.values():
        hangzhou.platform.faults = faults
        await hangzhou.by_qr(person)
        hangzhou.platform.faults = Faults()
        assert words(await hangzhou.by_qr(person)) == (Level.GREEN,)


@pytest.mark.asyncio
async def test_records_that_disagree_are_both_stated(hangzhou: City) -> None:
    hangzhou.platform.faults = Faults(disagree=True)
    for story in ("green", "red"):
        answer = await hangzhou.by_qr(scenario(f"hangzhou/{story}"))
        assert words(answer) == (Level.RED, Level.GREEN)


class CountingPlatform(HangzhouPlatform):
    """Counts what it is asked, by path."""

    def application(self) -> web.Application:
        self.asked: Counter[str] = Counter()
        app = super().application()

        async def count(request: web.Request, _: web.StreamResponse) -> None:
            self.asked[request.path.rsplit("/", 2)[-1 if "app" in request.path else -2]] += 1

        app.on_response_prepare.append(count)
        return app


@pytest.mark.asyncio
async def test_a_hundred_questions_at_once_refresh_the_secret_once(clock: Clock) -> None:
    platform = CountingPlatform(clock=clock)
    async with await serve_platform(platform, admin_token=ADMIN_TOKEN) as running:
        city = City(running, load_city("hangzhou"), SECRETS, clock)
        people = [platform.population.person(index).number for index in range(100)]
        await asyncio.gather(*(city.ask(card(number)) for number in people))
        assert platform.asked == {"refreshTokenByKey": 1, "qsjkmxxcx": 100}
        clock.now += timedelta(minutes=15)
        await asyncio.gather(*(city.ask(card(number)) for number in people))
        await city.close()
    assert platform.asked["refreshTokenByKey"] == 1
    assert platform.asked["refreshTokenBySec"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("away", [timedelta(seconds=880), timedelta(hours=1), timedelta(days=3)])
async def test_a_secret_that_ended_is_renewed_on_the_way(
    hangzhou: City, clock: Clock, away: timedelta
) -> None:
    person = scenario("hangzhou/green")
    assert words(await hangzhou.by_qr(person)) == (Level.GREEN,)
    clock.now += away
    assert words(await hangzhou.by_qr(person)) == (Level.GREEN,)


@pytest.mark.asyncio
async def test_a_gateway_that_forgot_every_secret_is_asked_again_with_a_fresh_one(
    clock: Clock,
) -> None:
    platform = CountingPlatform(clock=clock)
    person = scenario("hangzhou/green")
    async with await serve_platform(platform, admin_token=ADMIN_TOKEN) as running:
        city = City(running, load_city("hangzhou"), SECRETS, clock)
        assert words(await city.by_qr(person)) == (Level.GREEN,)
        platform._request_secrets.clear()
        platform._refresh_secrets.clear()
        assert words(await city.by_qr(person)) == (Level.GREEN,)
        await city.close()
    assert platform.asked["ewmcxjkm"] == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", ["app_key", "app_secret"])
async def test_wrong_credentials_end_as_an_outcome(
    hangzhou: City, clock: Clock, wrong: str
) -> None:
    stranger = City(hangzhou.running, load_city("hangzhou"), SECRETS | {wrong: "wrong"}, clock)
    answer = await stranger.by_qr(scenario("hangzhou/green"))
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
@pytest.mark.parametrize("missing", ["app_key", "app_secret"])
async def test_a_secret_that_is_not_configured_is_told_at_the_start(
    hangzhou: City, clock: Clock, missing: str
) -> None:
    with pytest.raises(AdapterConfigError, match=missing):
        City(hangzhou.running, load_city("hangzhou"), SECRETS | {missing: ""}, clock)


@pytest.mark.asyncio
async def test_another_city_s_qr_is_not_even_asked_about(hangzhou: City) -> None:
    hangzhou.platform.faults = Faults(down=True)
    for text in (scenario("guangzhou/green").qr_text or "", "x", "https://hzjkm.example/code"):
        assert words(await hangzhou.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_a_passport_is_not_found(hangzhou: City) -> None:
    answer = await hangzhou.ask(Document(DocumentType.PASSPORT, "SYNTHETIC1"))
    assert words(answer) == (Outcome.NOT_FOUND,)


@pytest.mark.asyncio
async def test_before_the_scheme_began_nothing_is_green(hangzhou: City, clock: Clock) -> None:
    clock.now = datetime(2020, 2, 10, 4, 0, tzinfo=UTC)
    answer = await hangzhou.by_document(scenario("hangzhou/green"))
    assert words(answer) == (Outcome.CANNOT_DETERMINE,)


@pytest.mark.asyncio
async def test_exactly_those_are_green_whose_every_record_is_green_for_everywhere(
    hangzhou: City,
) -> None:
    population = hangzhou.platform.population
    outcomes: Counter[str] = Counter()
    for index in range(500):
        person = population.person(index)
        records = hangzhou.platform.records_of(person)
        answer = words(await hangzhou.ask(card(person.number)))
        plain = {(r.division, r.state, r.kind) for r in records}
        assert (answer[0] == Level.GREEN) == (plain == {("330100", "绿码", "跨域互认码")})
        outcomes[answer[0]] += 1
    assert {Level.GREEN, Level.YELLOW, Level.RED, Outcome.NOT_APPLIED} <= outcomes.keys()
