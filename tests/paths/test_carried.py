"""Path 4, holder-carried: green recognised, data not connected.

The holder fetches an attestation for the destination beforehand; the destination's
gate reads it with no network. How long it lives is the origin's to say: six hours, or a
day where the origin's scheme grants it. How old a green may be is the destination's: six
hours at Macao's border.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.attestation import from_armour, to_armour
from gateway.attestation.claims import claims_to_json
from gateway.attestation.signing import TOKEN_TYPE, sign_payload
from gateway.edge import Checkpoint
from gateway.recognition import Verdict
from tests.paths.world import world

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.edge import CheckpointSettings, Result
    from tests.paths.world import World

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

MACAO, GUANGDONG = "820000", "440000"


def codes(result: Result) -> list[str]:
    return [reason.code for reason in result.decision.reasons]


async def carried(place: World, gate: CheckpointSettings, city: str, story: str) -> tuple[str, Any]:
    """Fetch at home; the text, and what was attested."""
    async with place.gate(gate) as checkpoint:
        fetched = await checkpoint.fetch(place[city].document(story), origin=place[city].region)
        assert fetched.armour is not None
        evidence: Any = fetched.result.evidence
        return fetched.armour, evidence.attestation


async def shown(place: World, gate: CheckpointSettings, text: str) -> Result:
    """Show it at the gate, which has no network."""
    async with Checkpoint.open(gate, online=False, clock=place.clock) as checkpoint:
        return checkpoint.verify_offline(text)


async def test_macao_takes_six_hours_of_what_lives_a_day(tmp_path: Path) -> None:
    async with world(tmp_path, "guangdong", policies=[MACAO]) as place:
        gate = await place.checkpoint(MACAO)
        texts = [await carried(place, gate, "guangdong", "recently-tested") for _ in range(3)]
        red, _ = await carried(place, gate, "guangdong", "red")
    # Hub, platform and adapter are gone; the two back ends never talked.
    for _, attestation in texts:
        assert attestation.expires_at - attestation.issued_at == timedelta(hours=24)
    result = await shown(place, gate, texts[0][0])
    assert result.decision.verdict is Verdict.ADMIT_WITH_CONDITIONS, codes(result)
    assert "CARRIED_GREEN_PASSES" in codes(result)
    assert (await shown(place, gate, red)).decision.verdict is Verdict.REFER
    place.clock.advance(hours=4)
    assert (await shown(place, gate, texts[1][0])).is_admitted
    place.clock.advance(hours=2, minutes=2)
    result = await shown(place, gate, texts[2][0])
    assert result.decision.verdict is Verdict.REFER
    assert "ASSESSMENT_TOO_OLD" in codes(result)


def living_a_day(text: str) -> str:
    changed = text.replace("carried_max_seconds: 21600", "carried_max_seconds: 86400")
    assert changed != text
    return changed


async def test_a_day_to_guangdong_where_the_origin_s_scheme_grants_it(tmp_path: Path) -> None:
    changes = {"hangzhou": living_a_day}
    async with world(tmp_path, "hangzhou", policies=[GUANGDONG], changes=changes) as place:
        gate = await place.checkpoint(GUANGDONG)
        first, attestation = await carried(place, gate, "hangzhou", "green")
        second, _ = await carried(place, gate, "hangzhou", "green")
        assert attestation.expires_at - attestation.issued_at == timedelta(hours=24)
    place.clock.advance(hours=23, minutes=50)
    result = await shown(place, gate, first)
    assert result.is_admitted, codes(result)
    place.clock.advance(minutes=12)
    result = await shown(place, gate, second)
    assert not result.is_admitted
    assert "ATTESTATION_EXPIRED" in codes(result)


async def test_nobody_stretches_what_is_carried(tmp_path: Path) -> None:
    """The asker names no life; what is signed for longer is refused, whoever signed."""
    async with world(tmp_path, "hangzhou", policies=[GUANGDONG]) as place:
        gate = await place.checkpoint(GUANGDONG)
        text, attestation = await carried(place, gate, "hangzhou", "green")
        assert attestation.expires_at - attestation.issued_at == timedelta(hours=6)
        key = place["hangzhou"].keys.attest

        def living(hours: int) -> str:
            claims = json.loads(claims_to_json(attestation))
            longer = {**claims, "exp": claims["iat"] + hours * 3600, "jti": os.urandom(16).hex()}
            return sign_payload(json.dumps(longer).encode(), key, TOKEN_TYPE)

        # Changed by its holder: the signature says so.
        head, _, signature = from_armour(text).split(".")
        _, payload, _ = living(24).split(".")
        result = await shown(place, gate, f"{head}.{payload}.{signature}")
        assert "SIGNATURE_INVALID" in codes(result)
        # Signed by the region's own key for a day and a bit: no reader takes it.
        result = await shown(place, gate, living(25))
        assert not result.is_admitted
        assert set(codes(result)) & {"CLAIMS_INVALID", "LIFETIME_TOO_LONG"}
        assert (await shown(place, gate, to_armour(living(24)))).is_admitted
        assert (await shown(place, gate, text)).is_admitted
