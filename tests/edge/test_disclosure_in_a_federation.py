"""A part of a code through a real hub and a real adapter, then with all of them gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.platforms import scenario
from gateway.attestation import from_armour, to_armour
from gateway.attestation.sd_jwt import MINIMAL_MEMBERS, Disclosure, disclosed_names, keep
from gateway.codes import parse_document
from gateway.edge import Checkpoint
from gateway.recognition import Verdict
from tests.edge.federation import federation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_part_is_asked_for_sealed_answered_carried_and_read_offline(tmp_path: Path) -> None:
    async with federation(tmp_path) as place:
        document = parse_document(10, scenario("hangzhou/green").document_number)
        async with Checkpoint.open(place.settings) as checkpoint:
            await checkpoint.refresh()
            taken = {
                part: await checkpoint.fetch(document, origin="330100", disclosure=part)
                for part in Disclosure
            }
            asked = await checkpoint.ask(document, origin="330100", disclosure=Disclosure.SELECTIVE)
            assert asked.is_admitted
    armours = {part: fetched.armour or "" for part, fetched in taken.items()}
    assert disclosed_names(from_armour(armours[Disclosure.MINIMAL])) == MINIMAL_MEMBERS
    # Hub, adapter and platform are gone.
    async with Checkpoint.open(place.settings, online=False) as checkpoint:
        minimal = checkpoint.verify_offline(armours[Disclosure.MINIMAL])
        assert minimal.decision.verdict is Verdict.REFER
        assert minimal.to_json()["level"] == "GREEN"
        assert "DISCLOSE_MORE" in [reason.code for reason in minimal.decision.reasons]
        selective = from_armour(armours[Disclosure.SELECTIVE])
        stripped = checkpoint.verify_offline(to_armour(keep(selective, MINIMAL_MEMBERS)))
        assert stripped.decision.verdict is Verdict.REFER
        assert checkpoint.verify_offline(armours[Disclosure.SELECTIVE]).is_admitted
