"""A travel card beside a code: asked about, weighed, and never a way in."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import error_pb2

from gateway.codes import Itinerary, Outcome, Place
from gateway.recognition import OutcomeEvidence, RefusedEvidence, Verdict
from tests.edge.world import (
    GUANGZHOU,
    NOW,
    World,
    edge_world,
    hangzhou_qr,
    scheme_document,
)
from tests.recognition.samples import ADMIT_GREEN, document

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge.result import Result

pytestmark = pytest.mark.asyncio

CAICT = "100002"
CARD = "https://xck.example/card/0123456789abcdef0123456789abcdef"
STARRED: dict[str, Any] = {
    "id": "starred",
    "when": {"level": ["GREEN"], "itinerary": {"starred": True}},
    "verdict": "REFER",
}


def itinerary(*, starred: bool = False) -> Itinerary:
    return Itinerary(14, NOW - timedelta(hours=10), (Place("330100", starred), Place("310000")))


def with_cards(world: World, *rules: dict[str, Any]) -> None:
    world.federation.add_region(CAICT, name_zh="行程卡", name_en="Travel card")
    world.federation.publish_scheme(CAICT, scheme_document("travelcard"))
    world.federation.publish_policy(GUANGZHOU, document(*rules))
    world.give_trust()
    world.hub.people[CARD] = Outcome.EVIDENCE_ONLY
    world.hub.itinerary = itinerary()


async def ask(world: World, shown: str | None = None, beside: str | None = CARD) -> Result:
    return await world.pipeline.ask(
        shown or hangzhou_qr(), origin=None, timeout_seconds=30, beside=beside
    )


async def test_a_clean_card_lets_a_green_code_pass(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, STARRED, ADMIT_GREEN)
        result = await ask(world)
    assert result.decision.verdict is Verdict.ADMIT
    assert result.to_json()["beside"] == {
        "outcome": "EVIDENCE_ONLY",
        "window_days": 14,
        "places": [
            {"division": "330100", "starred": False},
            {"division": "310000", "starred": False},
        ],
    }


async def test_a_star_is_weighed_by_the_policy(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, STARRED, ADMIT_GREEN)
        world.hub.itinerary = itinerary(starred=True)
        result = await ask(world)
    assert (result.decision.verdict, result.decision.rule_id) == (Verdict.REFER, "starred")


async def test_a_card_alone_is_no_code(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, ADMIT_GREEN)
        result = await ask(world, CARD, None)
    assert result.evidence == OutcomeEvidence(Outcome.EVIDENCE_ONLY, CAICT, itinerary())
    assert result.decision.verdict is Verdict.REFER


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Outcome.SOURCE_TIMED_OUT, OutcomeEvidence(Outcome.SOURCE_TIMED_OUT, CAICT)),
        (Outcome.CODE_EXPIRED, OutcomeEvidence(Outcome.CODE_EXPIRED, CAICT)),
        (
            error_pb2.ERROR_REASON_ADAPTER_UNREACHABLE,
            RefusedEvidence("ADAPTER_UNREACHABLE", CAICT),
        ),
    ],
)
async def test_a_card_that_cannot_be_checked_admits_nobody(
    tmp_path: Path, reply: Any, told: Any
) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, STARRED, ADMIT_GREEN)
        world.hub.people[CARD] = reply
        world.hub.itinerary = None
        result = await ask(world)
    assert result.beside == told
    assert result.decision.verdict is Verdict.REFER
    assert result.decision.reasons[0].code == "TRAVEL_CARD_NOT_CHECKED"


@pytest.mark.parametrize("beside", ["nothing anybody knows", hangzhou_qr(1), "\x00"])
async def test_what_is_no_travel_card_admits_nobody_either(tmp_path: Path, beside: str) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, STARRED, ADMIT_GREEN)
        result = await ask(world, beside=beside)
    assert result.decision.verdict is Verdict.REFER


async def test_places_beside_another_outcome_are_the_adapters_fault(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        with_cards(world, ADMIT_GREEN)
        world.hub.people[CARD] = Outcome.NOT_FOUND
        result = await ask(world, CARD, None)
    assert result.evidence == RefusedEvidence("ADAPTER_MISBEHAVED", CAICT)
