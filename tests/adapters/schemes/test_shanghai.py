from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.platforms import CREDENTIALS, Faults, platform
from adapters.platforms.shanghai.platform import ShanghaiPlatform
from adapters.platforms.times import shanghai as moment
from adapters.sdk import (
    AdapterConfigError,
    Deadline,
    OutcomeReport,
    QrText,
    Reports,
    Upstream,
    UpstreamSettings,
    open_connector,
    translate,
)
from gateway.codes.levels import Level, Outcome
from gateway.codes.schemes import load_scheme
from tests.adapters.platforms.support import Clock
from tests.adapters.schemes.support import City, card, load_city, open_city, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock(moment("2020-06-01 12:00"))


@pytest_asyncio.fixture
async def shanghai(clock: Clock) -> AsyncIterator[City]:
    async with open_city("shanghai", clock) as city:
        yield city


@pytest.mark.asyncio
async def test_every_story_comes_out_as_told(shanghai: City) -> None:
    for person in shanghai.platform.scenarios().values():
        if person.qr_text is not None:
            assert words(await shanghai.by_qr(person)) == (person.expected, *person.also)
        assert words(await shanghai.by_document(person))[0] == person.expected_by_document


@pytest.mark.asyncio
async def test_a_text_that_leads_to_a_person_is_not_green(shanghai: City) -> None:
    answer = await shanghai.by_qr(shanghai.platform.scenarios()["identity-only"])
    assert isinstance(answer, OutcomeReport)
    assert (answer.outcome, answer.state) == (Outcome.EVIDENCE_ONLY, "身份已核验")


@pytest.mark.asyncio
async def test_without_an_interface_for_the_colour_nobody_is_anything_but_known(
    shanghai: City, clock: Clock
) -> None:
    document = load_city("shanghai").to_document()
    document["connector"] = {"python": "adapters.schemes.shanghai.connector:ShanghaiConnector"}
    secrets = CREDENTIALS["shanghai"]
    identity = City(shanghai.running, load_scheme(document), secrets, clock)
    for story in ("green", "red", "identity-only"):
        person = shanghai.platform.scenarios()[story]
        assert words(await identity.by_qr(person)) == (Outcome.EVIDENCE_ONLY,)
        assert words(await identity.by_document(person)) == (Outcome.NOT_FOUND,)
    await identity.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\r"])
async def test_what_a_scanner_leaves_behind_a_text_is_taken_off(
    shanghai: City, ending: str
) -> None:
    text = shanghai.platform.scenarios()["green"].qr_text or ""
    assert words(await shanghai.ask(QrText(text + ending))) == (Level.GREEN,)


@pytest.mark.asyncio
@pytest.mark.parametrize("change", ["\n{}", "{}\n\n", "{} ", "x{}"])
async def test_any_other_change_of_a_text_is_another_region_s(shanghai: City, change: str) -> None:
    text = change.format(shanghai.platform.scenarios()["green"].qr_text)
    assert words(await shanghai.ask(QrText(text))) == (Outcome.WRONG_REGION,)


@pytest.mark.asyncio
async def test_a_session_that_ended_is_opened_anew_once(shanghai: City, clock: Clock) -> None:
    assert isinstance(shanghai.platform, ShanghaiPlatform)
    person = shanghai.platform.scenarios()["green"]
    assert words(await shanghai.by_qr(person)) == (Level.GREEN,)
    shanghai.platform.end_sessions()
    assert words(await shanghai.by_qr(person)) == (Level.GREEN,)
    clock.now += timedelta(hours=2)
    assert words(await shanghai.by_qr(person)) == (Level.GREEN,)


@pytest.mark.asyncio
@pytest.mark.parametrize("secret", ["user", "password", "colour_key"])
async def test_wrong_credentials_of_either_system_are_no_answer(
    shanghai: City, clock: Clock, secret: str
) -> None:
    secrets = {**CREDENTIALS["shanghai"], secret: "wrong"}
    stranger = City(shanghai.running, load_city("shanghai"), secrets, clock)
    answer = await stranger.by_qr(shanghai.platform.scenarios()["green"])
    await stranger.close()
    assert words(answer) == (Outcome.SOURCE_UNPARSABLE,)


@pytest.mark.asyncio
async def test_a_slow_library_ends_with_the_item(shanghai: City) -> None:
    shanghai.platform.faults = Faults(slow_seconds=60)
    text = shanghai.platform.scenarios()["green"].qr_text or ""
    assert words(await shanghai.ask(QrText(text), 0.2)) == (Outcome.SOURCE_TIMED_OUT,)


@pytest.mark.asyncio
async def test_whose_text_it_was_makes_the_pseudonym_that_of_the_person(shanghai: City) -> None:
    person = shanghai.platform.scenarios()["green"]
    fetched = await shanghai.connector.fetch(QrText(person.qr_text or ""), Deadline.after(5))
    assert isinstance(fetched, Reports)
    assert fetched.subject == card(person.document_number)
    assert person.document_number not in repr(fetched)


def library(identity: object, colour: object = None, status: int = 200) -> web.Application:
    """Both systems by themselves, so that one of them can be at fault alone."""

    async def login(_: web.Request) -> web.Response:
        return web.json_response({"code": "0", "data": {"sessionId": "1"}})

    async def scan(_: web.Request) -> web.Response:
        return web.json_response({"code": "0", "data": identity})

    async def query(_: web.Request) -> web.Response:
        return web.json_response(colour, status=status)

    app = web.Application()
    app.router.add_post("/elicence/login", login)
    app.router.add_post("/elicence/scanCertQrCode", scan)
    app.router.add_post("/ssm/colour/query", query)
    return app


async def ask_library(app: web.Application, clock: Clock) -> tuple[str, ...]:
    scheme = load_city("shanghai")
    async with TestServer(app) as server:
        upstream = Upstream(UpstreamSettings(url=str(server.make_url(""))))
        secrets = CREDENTIALS["shanghai"]
        connector = open_connector(scheme, upstream=upstream, secrets=secrets, now=clock)
        text = platform("shanghai", clock=clock).scenarios()["green"].qr_text or ""
        fetched = await connector.fetch(QrText(text), Deadline.after(5))
        await connector.close()
    if isinstance(fetched, OutcomeReport):
        return words(fetched)
    return words(translate(scheme, fetched.reports, clock()))


NUMBER = platform("shanghai").population.person(0).number
OTHER = platform("shanghai").population.person(1).number


def row(**members: str) -> dict[str, str]:
    at = "2020-06-01 11:02:00"
    row = {"zjhm": NUMBER, "issuer": "上海市", "color": "绿码", "evalTime": at, "updateTime": at}
    return {**row, **members}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("colour", "status", "expected"),
    [
        ({"code": "0", "data": [row()]}, 200, Level.GREEN),
        ({"code": "0", "data": [row(zjhm=NUMBER.lower())]}, 200, Level.GREEN),
        ({"code": "0", "data": []}, 200, Outcome.EVIDENCE_ONLY),
        ({"code": "404", "data": None}, 200, Outcome.EVIDENCE_ONLY),
        ({"code": "420", "data": None}, 200, Outcome.NOT_APPLIED),
        ({"code": "429", "data": None}, 200, Outcome.SOURCE_BUSY),
        ({"code": "999", "data": None}, 200, Outcome.SOURCE_UNPARSABLE),
        ({"code": "0", "data": [row(zjhm=OTHER)]}, 200, Outcome.SOURCE_UNPARSABLE),
        ({"code": "0", "data": [row(color="1")]}, 200, Outcome.CANNOT_DETERMINE),
        ({"code": "0", "data": [row(color="")]}, 200, Outcome.SOURCE_UNPARSABLE),
        ({"code": "0", "data": [row(issuer="北京市")]}, 200, Outcome.SOURCE_UNPARSABLE),
        (None, 200, Outcome.SOURCE_UNPARSABLE),
        ({"code": "0", "data": [row()]}, 503, Outcome.SOURCE_BUSY),
        ({"code": "0", "data": [row()]}, 504, Outcome.SOURCE_TIMED_OUT),
        ({"code": "0", "data": [row()]}, 404, Outcome.SOURCE_UNPARSABLE),
    ],
)
async def test_a_fault_after_the_person_is_known_is_that_fault_and_no_evidence(
    clock: Clock, colour: object, status: int, expected: str
) -> None:
    app = library({"zjhm": NUMBER}, colour, status)
    assert await ask_library(app, clock) == (expected,)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("identity", "outcome"),
    [
        (None, Outcome.NOT_FOUND),
        ([], Outcome.NOT_FOUND),
        ({}, Outcome.NOT_FOUND),
        ({"xm": "测试"}, Outcome.SOURCE_UNPARSABLE),
        ({"zjhm": "x"}, Outcome.SOURCE_UNPARSABLE),
        ({"zjhm": 7}, Outcome.SOURCE_UNPARSABLE),
        ("测试", Outcome.SOURCE_UNPARSABLE),
        ([{"zjhm": NUMBER}, {"zjhm": OTHER}], Outcome.AMBIGUOUS_SUBJECT),
    ],
)
async def test_an_identity_that_is_none_ends_as_an_outcome(
    clock: Clock, identity: object, outcome: Outcome
) -> None:
    colour = {"code": "0", "data": [row()]}
    assert await ask_library(library(identity, colour), clock) == (outcome,)


def test_a_connector_without_its_secrets_is_not_made(clock: Clock) -> None:
    upstream = Upstream(UpstreamSettings(url="http://127.0.0.1:1"))
    for secrets in ({}, {"user": "u", "password": "p"}):
        with pytest.raises(AdapterConfigError, match="secret"):
            open_connector(load_city("shanghai"), upstream=upstream, secrets=secrets, now=clock)
