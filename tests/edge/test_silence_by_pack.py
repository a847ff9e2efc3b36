"""A gate without a line learns from a pack that a region is not heard, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.recognition import Verdict
from gateway.trust import FeedKind, silence_body, withdrawal_change
from tests.edge.test_packs import HANGZHOU, Stick, opened

if TYPE_CHECKING:
    from pathlib import Path

URN = f"urn:hutong:region:{HANGZHOU}"


@pytest.mark.asyncio
async def test_a_pack_carries_a_silence_and_its_end(tmp_path: Path) -> None:
    stick = Stick(tmp_path)
    stick.say()
    since = stick.clock().replace(microsecond=0)
    stick.clock.advance(hours=2)
    stick.federation.now = stick.clock()
    stick.federation.append(FeedKind.SILENCE, URN, silence_body(since))
    morning, held = stick.pack(), stick.federation.log.sequence
    stick.clock.advance(hours=1)
    stick.federation.now = stick.clock()
    stick.federation.append(*withdrawal_change(FeedKind.SILENCE, URN, "heard again"))
    noon = stick.pack(after=held)
    async with opened(stick) as checkpoint:
        checkpoint.load_pack(morning)
        (silent,) = checkpoint.status().silent
        assert (silent.urn, silent.since) == (URN, since)
        assert checkpoint.status().to_json()["silent"] == [{"urn": URN, "since": since.isoformat()}]
        result = checkpoint.verify_offline(stick.carried())
        # Older than the pack itself, which is an hour old by now.
        assert result.decision.ages.trust_seconds == 3600
        assert result.decision.ages.status_seconds == 3 * 3600
        assert result.silent_since == since
        assert result.decision.verdict is Verdict.ADMIT
        assert "ISSUER_NOT_HEARD" in {one.code for one in result.decision.warnings}
        # What names no list could not be revoked on any day.
        assert checkpoint.verify_offline(stick.carried(listed=False)).silent_since is None
        # It goes on ageing where no newer pack comes.
        stick.clock.advance(hours=22)
        assert not checkpoint.verify_offline(stick.carried()).is_admitted
        stick.clock.now -= timedelta(hours=22)
        checkpoint.load_pack(noon)
        result = checkpoint.verify_offline(stick.carried())
        assert (result.silent_since, checkpoint.status().silent) == (None, ())
        assert result.is_admitted
