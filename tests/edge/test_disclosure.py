"""A market gate: it asks for level, validity and region, and sees nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import from_armour, to_armour
from gateway.attestation.disclosed import DisclosedAttestation
from gateway.attestation.sd_jwt import Disclosure, disclosed_names, keep
from gateway.cli.terminal import console
from gateway.cli.verdict import render
from gateway.codes import Level
from gateway.edge.listed import listed_since
from gateway.edge.reasons import SUBJECT_WITHHELD
from gateway.recognition import Verdict, VerifiedEvidence, shipped_policy
from tests.edge.test_status_at_the_gate import Issuer
from tests.edge.world import GUANGZHOU, HANGZHOU, NOW, World, edge_world, hangzhou_qr, unified

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge.result import Result

pytestmark = pytest.mark.asyncio

MARKET: dict[str, Any] = {
    "id": "market-gate",
    "when": {"level": ["GREEN"], "withheld": True, "max_age_hours": 12},
    "verdict": "ADMIT",
    "choice": "a market asks for no more than level, validity and region",
}
CODE = unified(
    state="绿码", valid_until=NOW + timedelta(hours=10), area="330106", rule="synthetic-rule"
)


def be_a_market(world: World) -> None:
    document = shipped_policy(GUANGZHOU).to_document()
    document["rules"] = [MARKET, *document["rules"]]
    world.federation.publish_policy(GUANGZHOU, document)
    world.give_trust()
    world.hub.default = CODE


async def fetched(world: World, disclosure: Disclosure) -> str:
    token, _ = await world.pipeline.fetch(
        hangzhou_qr(), origin=None, timeout_seconds=30, disclosure=disclosure
    )
    assert token is not None
    return token


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_a_minimal_one_is_fetched_carried_and_admitted_once(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        text = to_armour(await fetched(world, Disclosure.MINIMAL))
        await world.server.stop(None)
        result = world.pipeline.verify_offline(text)
        assert result.decision.verdict is Verdict.ADMIT
        assert result.origin == HANGZHOU
        assert result.to_json()["level"] == "GREEN"
        assert result.to_json()["scheme"] is None
        assert isinstance(result.evidence, VerifiedEvidence)
        assert isinstance(result.evidence.attestation, DisclosedAttestation)
        console.print(render(result, console))
        assert "ATTESTATION_SEEN_BEFORE" in codes(world.pipeline.verify_offline(text))


async def test_the_gate_holds_nothing_but_level_validity_and_region(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        token = await fetched(world, Disclosure.MINIMAL)
        assert disclosed_names(token) == ("level", "valid_until", "issued_by")
        result = world.pipeline.verify_offline(token)
        assert isinstance(result.evidence, VerifiedEvidence)
        seen = result.evidence.attestation
        assert isinstance(seen, DisclosedAttestation)
        assert (seen.code.state, seen.code.scheme, seen.subject) == (None, None, None)


async def test_an_ordinary_gate_wants_more_and_the_holder_may_show_it(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.default = CODE
        token = await fetched(world, Disclosure.SELECTIVE)
        part = world.pipeline.verify_offline(keep(token, ()))
        assert part.decision.verdict is Verdict.REFER
        assert "DISCLOSE_MORE" in codes(part)
        assert world.pipeline.verify_offline(to_armour(token)).decision.verdict is Verdict.ADMIT


async def test_an_online_question_may_ask_for_a_part(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        result = await world.pipeline.ask(
            hangzhou_qr(), origin=None, timeout_seconds=30, disclosure=Disclosure.MINIMAL
        )
        assert result.decision.verdict is Verdict.ADMIT
        world.hub.default = replace(CODE, level=Level.RED, state="红码")
        result = await world.pipeline.ask(
            hangzhou_qr(), origin=None, timeout_seconds=30, disclosure=Disclosure.MINIMAL
        )
        assert not result.is_admitted
        assert result.to_json()["level"] == "RED"


async def test_more_than_was_asked_for_is_not_taken(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        whole = world.hub.carried(CODE)
        selective = world.hub.carried(CODE, disclosure=Disclosure.SELECTIVE)
        minimal = world.hub.carried(CODE, disclosure=Disclosure.MINIMAL)
        for answer, asked in (
            (whole, Disclosure.MINIMAL),
            (whole, Disclosure.SELECTIVE),
            (selective, Disclosure.MINIMAL),
            (selective, None),
            (minimal, None),
        ):
            world.hub.change_token = lambda _: answer
            token, result = await world.pipeline.fetch(
                hangzhou_qr(), origin=None, timeout_seconds=30, disclosure=asked
            )
            assert token is None
            assert "ADAPTER_MISBEHAVED" in codes(result)


async def test_where_catalogues_are_held_a_part_is_left_to_a_person(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        token = await fetched(world, Disclosure.MINIMAL)
        result = world.pipeline.verify_offline(token)
        assert isinstance(result.evidence, VerifiedEvidence)
        shown = result.evidence.attestation
        assert listed_since(tmp_path / "catalogues.sqlite", shown) is SUBJECT_WITHHELD
        assert listed_since(None, shown) is None


async def test_a_spoiled_one_is_refused_and_recorded(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        token = await fetched(world, Disclosure.MINIMAL)
        result = world.pipeline.verify_offline(token + "AAAA~")
        assert "DISCLOSURE_INVALID" in codes(result)
        assert not result.is_admitted
        assert from_armour(to_armour(token)) == token


async def test_one_in_part_is_held_against_the_status_list_too(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        be_a_market(world)
        issuer = Issuer(world)
        tokens = [world.hub.carried(CODE, disclosure=part) for part in Disclosure for _ in range(2)]
        assert "STATUS_UNKNOWN" in codes(world.pipeline.verify_offline(tokens[0]))
        issuer.say()
        issuer.keep()
        assert world.pipeline.verify_offline(tokens[0]).is_admitted
        issuer.say(17)
        for token in tokens:
            result = world.pipeline.verify_offline(keep(token, ()))
            assert result.decision.verdict is Verdict.REFUSE
            assert "ATTESTATION_REVOKED" in codes(result)
