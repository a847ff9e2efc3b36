"""The issuer as a source of codes for hubs: its vectors, its clocks, its faults."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk.city import load_city
from adapters.sdk.connectors import open_connector
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.reports import Deadline, OutcomeReport, QrText, Reports
from adapters.sdk.translation import translate
from adapters.sdk.upstream import Upstream, UpstreamSettings
from adapters.sdk.vectors import check_vectors
from gateway.codes import Basis, Level, Outcome, UnifiedCode
from gateway.issuer.connector import STATES, IssuerConnector
from gateway.issuer.qr import Medium, ShownCodes
from gateway.issuer.values import AreaRisk, ContactKind
from tests.issuer.core.conftest import dsn, world  # noqa: F401  fixtures
from tests.issuer.core.world import BEGIN, WUHAN, document

if TYPE_CHECKING:
    from tests.issuer.core.world import World

SCHEME = load_city(SCHEMES_FOLDER / "native")


def test_its_vectors_come_out() -> None:
    check_vectors(SCHEME)
    assert set(SCHEME.version_at(BEGIN).states) == set(STATES.values())


def test_nobody_else_can_serve_it() -> None:
    upstream = Upstream(UpstreamSettings(url="https://platform.invalid"))
    with pytest.raises(AdapterConfigError, match="national issuer"):
        open_connector(SCHEME, upstream=upstream, secrets={}, now=lambda: BEGIN)


class Asked:
    def __init__(self, world: World) -> None:  # noqa: F811  a fixture of this name
        self.world = world
        self.codes = ShownCodes(world.issuer.store, os.urandom)
        self.connector = IssuerConnector(world.issuer, self.codes)

    async def fetch(self, presentation: Any, seconds: float = 5) -> Any:
        return await self.connector.fetch(presentation, Deadline.after(seconds))

    async def translated(self, presentation: Any) -> UnifiedCode | OutcomeReport:
        fetched = await self.fetch(presentation)
        assert isinstance(fetched, Reports)
        return translate(SCHEME, fetched.reports, self.world.clock.now)

    async def shown(self, index: int, medium: Medium = Medium.PHONE) -> QrText:
        code = await self.world.code(index)
        made = await self.codes.make(code.person_id, medium, client="app", now=self.world.clock.now)
        return QrText(made.text)


@pytest.mark.asyncio
async def test_what_is_held_becomes_the_unified_code(world: World) -> None:  # noqa: F811
    asked = Asked(world)
    await world.declare(1)
    green = await asked.translated(document(1))
    assert isinstance(green, UnifiedCode)
    assert (green.level, green.scheme, green.issued_by) == (
        Level.GREEN,
        "cn-native@2020-02",
        "100000",
    )
    assert green.declaration_valid_until == BEGIN + timedelta(days=14)
    await world.report(1, ContactKind.CLOSE)
    red = await asked.translated(document(1))
    assert isinstance(red, UnifiedCode)
    assert (red.level, red.rule) == (Level.RED, "native-2020-02/red-contact")
    assert red.basis == {Basis.CONTACT}
    assert red.release is not None
    assert (red.release.days_done, red.release.days_needed) == (0, 14)


@pytest.mark.asyncio
async def test_the_area_a_level_rests_on_travels_along(world: World) -> None:  # noqa: F811
    asked = Asked(world)
    await world.declare(1)
    await world.publish({WUHAN: AreaRisk.HIGH}, in_days=-6)
    await world.stay(1, WUHAN, 5, 2)
    code = await asked.translated(document(1))
    assert isinstance(code, UnifiedCode)
    assert (code.level, code.area) == (Level.RED, WUHAN)
    assert {Basis.SPACE, Basis.TIME} <= code.basis


@pytest.mark.asyncio
async def test_the_two_clocks_are_two_outcomes(world: World) -> None:  # noqa: F811
    asked = Asked(world)
    await world.declare(1)
    phone = await asked.shown(1)
    fetched = await asked.fetch(phone)
    assert fetched.subject == document(1)
    assert isinstance(await asked.translated(phone), UnifiedCode)
    world.clock.days(300 / 86400)
    expired = await asked.translated(phone)
    assert isinstance(expired, OutcomeReport)
    assert expired.outcome is Outcome.CODE_EXPIRED
    world.clock.days(10)
    paper = await asked.shown(1, Medium.PAPER)
    await world.recompute()
    assert isinstance(await asked.translated(paper), UnifiedCode)
    world.clock.days(4)
    await world.recompute()
    for presentation in (document(1), paper):
        over = await asked.translated(presentation)
        assert isinstance(over, OutcomeReport)
        assert over.outcome is Outcome.DECLARATION_EXPIRED


@pytest.mark.asyncio
async def test_a_level_that_no_daily_run_confirmed_is_none(world: World) -> None:  # noqa: F811
    asked = Asked(world)
    await world.declare(1)
    world.clock.days(1.5)
    assert isinstance(await asked.translated(document(1)), UnifiedCode)
    world.clock.days(1 / 86400)
    stale = await asked.translated(document(1))
    assert isinstance(stale, OutcomeReport)
    assert stale.outcome is Outcome.CANNOT_DETERMINE
    await world.recompute()
    assert isinstance(await asked.translated(document(1)), UnifiedCode)


@pytest.mark.asyncio
async def test_whoever_is_not_held_is_an_outcome_and_never_a_level(
    world: World,  # noqa: F811
) -> None:
    asked = Asked(world)
    await world.declare(1)
    for presentation, outcome in (
        (document(2), Outcome.NOT_APPLIED),
        (QrText("HTCN1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), Outcome.NOT_FOUND),
        (QrText("https://hzjkm.example/code?id=1"), Outcome.WRONG_REGION),
        (QrText("HTCN1:ABC"), Outcome.WRONG_REGION),
    ):
        assert await asked.fetch(presentation) == OutcomeReport(outcome)
    late = await asked.fetch(document(1), seconds=0)
    assert late == OutcomeReport(Outcome.SOURCE_TIMED_OUT)


@pytest.mark.asyncio
async def test_a_database_that_fails_is_busy(world: World) -> None:  # noqa: F811
    import sqlalchemy as sa

    asked = Asked(world)
    await world.declare(1)
    async with world.issuer.store.write() as connection:
        await connection.execute(sa.text("ALTER TABLE codes RENAME TO codes_gone"))
    try:
        fetched = await asked.fetch(document(1))
    finally:
        async with world.issuer.store.write() as connection:
            await connection.execute(sa.text("ALTER TABLE codes_gone RENAME TO codes"))
    assert fetched == OutcomeReport(Outcome.SOURCE_BUSY, retry_after_seconds=30.0)


def test_every_level_of_the_rule_has_a_word_of_the_scheme() -> None:
    version = SCHEME.version_at(BEGIN)
    assert {level: version.states[word].level for level, word in STATES.items()} == {
        level: level for level in STATES
    }
