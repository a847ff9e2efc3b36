"""The checkpoint in a real federation: hub, adapter and platform on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapters.platforms import Faults, scenario
from gateway.codes import DocumentType, parse_document
from gateway.edge import Checkpoint, parse_manifest
from gateway.recognition import Verdict
from tests.edge.federation import GATE, federation, gate

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import Result

pytestmark = pytest.mark.asyncio


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def test_travellers_from_hangzhou_are_decided_in_guangzhou(tmp_path: Path) -> None:
    async with gate(tmp_path) as (_, checkpoint):
        verdicts = {
            "green": (Verdict.ADMIT, "LEVEL_GREEN"),
            "yellow": (Verdict.OBSERVE_HOME, "LEVEL_YELLOW"),
            "red": (Verdict.OBSERVE_CENTRAL, "LEVEL_RED"),
            "expired-code": (Verdict.REFER, "CODE_EXPIRED"),
        }
        for story, (verdict, code) in verdicts.items():
            shown = scenario(f"hangzhou/{story}").qr_text
            assert shown is not None
            result = await checkpoint.ask(shown)
            assert result.decision.verdict is verdict, codes(result)
            assert code in codes(result)
            assert result.origin == "330100"
            assert result.decision.ages.trust_seconds is not None
        document = parse_document(
            DocumentType.RESIDENT_IDENTITY_CARD, scenario("hangzhou/green").document_number
        )
        assert (await checkpoint.ask(document, origin="3301")).is_admitted


async def test_a_crowd_shares_the_line(tmp_path: Path) -> None:
    async with gate(tmp_path) as (_, checkpoint):
        shown = [scenario(f"hangzhou/{story}").qr_text for story in ("green", "red")]
        results = await asyncio.gather(
            # The longest that the wire allows: how fast a busy machine is says nothing here.
            *(checkpoint.ask(shown[n % 2] or "", timeout_seconds=60) for n in range(200))
        )
        assert [result.is_admitted for result in results] == [n % 2 == 0 for n in range(200)]


async def test_what_is_carried_is_admitted_offline_and_once(tmp_path: Path) -> None:
    async with federation(tmp_path) as place:
        document = parse_document(10, scenario("hangzhou/green").document_number)
        async with Checkpoint.open(place.settings) as checkpoint:
            await checkpoint.refresh()
            fetched = await checkpoint.fetch(document, origin="330100")
            assert fetched.armour is not None
            assert fetched.armour not in repr(fetched)
    # Hub, adapter and platform are gone.
    async with Checkpoint.open(place.settings, online=False) as checkpoint:
        first = checkpoint.verify_offline(fetched.armour)
        assert first.is_admitted
        assert first.path == "offline"
        second = checkpoint.verify_offline(fetched.armour)
        assert "ATTESTATION_SEEN_BEFORE" in codes(second)
        with pytest.raises(Exception, match="only be asked about online"):
            checkpoint.verify_offline(scenario("hangzhou/green").qr_text or "")


async def test_a_platform_that_is_down_refers(tmp_path: Path) -> None:
    async with gate(tmp_path) as (place, checkpoint):
        place.platform.platform.faults = Faults(down=True)
        result = await checkpoint.ask(scenario("hangzhou/green").qr_text or "")
        assert result.decision.verdict is Verdict.REFER


async def test_a_suspended_region_is_known_within_the_line(tmp_path: Path) -> None:
    async with gate(tmp_path) as (place, checkpoint):
        await place.world.hub.registry.suspend("urn:hutong:region:330100", by="synthetic")
        shown = scenario("hangzhou/green").qr_text or ""
        # Told by the hub at first, and by this checkpoint's own replica soon after.
        found = set()
        while "AUTHORITY_SUSPENDED" not in found:
            result = await checkpoint.ask(shown)
            found.update(codes(result))
            await asyncio.sleep(0.01)
        assert not result.is_admitted
        assert checkpoint.status().feed_failure is None


async def test_a_suspended_checkpoint_is_told_so(tmp_path: Path) -> None:
    async with gate(tmp_path) as (place, checkpoint):
        shown = scenario("hangzhou/green").qr_text or ""
        assert (await checkpoint.ask(shown)).is_admitted
        await place.world.hub.registry.suspend(GATE, by="synthetic")
        result = await checkpoint.ask(shown)
        assert result.decision.verdict is Verdict.REFER
        assert "CALLER_SUSPENDED" in codes(result)


async def test_a_batch_has_an_outcome_a_row(tmp_path: Path) -> None:
    async with gate(tmp_path) as (_, checkpoint):
        green, red = scenario("hangzhou/green"), scenario("hangzhou/red")
        rows = parse_manifest(
            "\n".join(
                [
                    "ref,origin,document_type,document_number,qr_text",
                    f"a,330100,10,{green.document_number},",
                    f"b,,,,{red.qr_text}",
                    "c,,,,https://nobody.example/",
                    "d,330100,10,123456,",
                ]
            ).encode()
        )
        seen: dict[str, Result] = {}
        await checkpoint.batch(rows, on_result=lambda row, result: seen.update({row.ref: result}))
        assert seen["a"].is_admitted
        assert "LEVEL_RED" in codes(seen["b"])
        assert "PRESENTATION_UNRECOGNISED" in codes(seen["c"])
        assert "DOCUMENT_INVALID" in codes(seen["d"])
        assert all(not seen[ref].is_admitted for ref in "bcd")
