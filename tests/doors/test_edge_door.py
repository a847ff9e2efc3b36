"""The edge's doors under bad input: what is scanned, and what a hub streams as its feed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation import to_armour
from gateway.errors import HutongError
from gateway.trust import FeedError
from gateway.trust.replica import FeedReplica
from tests.edge.world import NOW, edge_world, hangzhou_qr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

CODES = {
    "PRESENTATION_MALFORMED", "PRESENTATION_TOO_LONG", "PRESENTATION_UNRECOGNISED",
    "ARMOUR_INVALID",
}  # fmt: skip


def run_examples(test: Any) -> Any:
    return settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )(test)


def turned(draw: st.DrawFn, text: str) -> str:
    """A text with one to three characters lost, changed, added or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.sampled_from("cdi"))
        if kind == "c":
            text = text[:at]
        elif kind == "d":
            text = text[:at] + text[at + 1 :]
        else:
            text = text[:at] + draw(st.characters()) + text[at:]
    return text


async def test_whatever_is_scanned_is_decided_or_refused_and_never_admitted(
    tmp_path: Path,
) -> None:
    async with edge_world(tmp_path) as world:
        token = world.hub.carried()
        armour, shown = to_armour(token), hangzhou_qr()
        loop = asyncio.get_running_loop()

        @st.composite
        def scanned(draw: st.DrawFn) -> tuple[str, str]:
            base = draw(st.sampled_from([token, armour, shown, "HUTONG1:", ""]))
            text = draw(st.text(max_size=60)) if not base else turned(draw, base)
            return base, text

        async def decide(text: str) -> Any:
            try:
                return world.pipeline.verify_offline(text)
            except HutongError as error:
                return error

        before = world.store.sequence, world.hub.snapshots
        with structlog.testing.capture_logs() as logs:

            @run_examples
            @given(case=scanned())
            def tried(case: tuple[str, str]) -> None:
                base, text = case
                coroutine = decide(text)
                result = asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)
                if isinstance(result, HutongError):
                    assert result.code in CODES
                    if len(text.strip()) > 3:
                        assert text.strip() not in str(result)
                # A blank beside a token is a scanner's, not the traveller's.
                elif "".join(text.split()) != "".join(base.split()):
                    assert not result.is_admitted
                    assert len(text) <= 60 or text not in json.dumps(result.to_json())

            await asyncio.to_thread(tried)
        assert not [entry for entry in logs if entry["event"] == "incident"]
        assert (world.store.sequence, world.hub.snapshots) == before
        kept = (tmp_path / "decisions.jsonl").read_text()
        for planted in (token[:60], armour[:60], shown):
            assert planted not in kept


async def test_a_hub_that_streams_anything_moves_no_replica(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        manifest, entries = world.federation.snapshot()
        replica = FeedReplica(world.federation.anchor)
        replica.load_snapshot(manifest, entries, NOW)
        before = replica.to_bytes()

        @st.composite
        def streamed(draw: st.DrawFn) -> tuple[str, str]:
            original = draw(st.sampled_from([manifest, world.federation.head(), *entries]))
            return original, turned(draw, original) if draw(st.booleans()) else draw(st.text())

        @run_examples
        @given(case=streamed(), way=st.sampled_from(["entry", "head", "snapshot"]))
        def tried(case: tuple[str, str], way: str) -> None:
            original, text = case
            if text == original:
                return
            apply = {
                "entry": lambda: replica.apply_entry(text, NOW),
                "head": lambda: replica.apply_head(text, NOW),
                "snapshot": lambda: replica.load_snapshot(manifest, [*entries[:-1], text], NOW),
            }[way]
            with pytest.raises(FeedError) as caught:
                apply()
            assert len(text) < 20 or text not in str(caught.value)
            assert replica.to_bytes() == before

        tried()
