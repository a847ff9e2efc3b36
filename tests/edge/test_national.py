"""A region without an adapter is answered by the national code, and by nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.codes import Document, DocumentType, Outcome
from gateway.edge.identify import NATIONAL_REGION
from gateway.recognition import OutcomeEvidence, RefusedEvidence, Verdict, VerifiedEvidence
from tests.edge.world import HANGZHOU, PERSON, World, edge_world, unified

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge.result import Result

pytestmark = pytest.mark.asyncio

HUNAN = "430000"
DOCUMENT = Document(DocumentType.RESIDENT_IDENTITY_CARD, PERSON)


def national(world: World) -> None:
    world.federation.add_region(NATIONAL_REGION, name_zh="全国", name_en="National")
    world.give_trust()
    world.hub.default = unified(scheme="cn-native@2020-02", issued_by=NATIONAL_REGION)


async def ask(world: World, origin: str | None, shown: Any = DOCUMENT) -> Result:
    return await world.pipeline.ask(shown, origin=origin, timeout_seconds=30)


async def test_a_region_that_nobody_serves_is_answered_by_the_national_code(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world:
        national(world)
        result = await ask(world, HUNAN)
    assert isinstance(result.evidence, VerifiedEvidence)
    assert (result.origin, result.instead_of) == (NATIONAL_REGION, HUNAN)
    assert result.to_json()["instead_of"] == HUNAN


async def test_a_region_with_an_adapter_is_asked_itself(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        national(world)
        world.hub.default = Outcome.NOT_FOUND
        result = await ask(world, HANGZHOU)
    assert result.evidence == OutcomeEvidence(Outcome.NOT_FOUND, HANGZHOU)
    assert result.instead_of is None


async def test_a_suspended_region_is_not_replaced(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        national(world)
        world.federation.suspend(HANGZHOU)
        world.give_trust()
        result = await ask(world, HANGZHOU)
    assert isinstance(result.evidence, RefusedEvidence)
    assert (result.origin, result.instead_of) == (HANGZHOU, None)
    assert result.decision.verdict is Verdict.REFER


async def test_without_a_national_code_nobody_is_asked(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        result = await ask(world, HUNAN)
    assert result.evidence == RefusedEvidence("UNKNOWN_REGION", HUNAN)
    assert result.instead_of is None


async def test_what_the_holder_carries_comes_from_the_national_code_too(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        national(world)
        token, result = await world.pipeline.fetch(DOCUMENT, origin=HUNAN, timeout_seconds=30)
    assert token is not None
    assert result.instead_of == HUNAN
