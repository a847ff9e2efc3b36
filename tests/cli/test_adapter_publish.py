"""``hutong adapter publish``: a region's own word reaches its checkpoints."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from adapters.platforms import scenario
from adapters.sdk.keys import AdapterKeys, save_keys
from adapters.sdk.publishing import publish
from gateway.attestation import generate_signing_key
from gateway.cli.adapter import app
from gateway.cli.terminal import Exit
from gateway.recognition import Verdict
from gateway.trust import FeedError, StatementKind, make_anchor, parse_anchor
from gateway.wire.errors import RpcFailure
from tests.edge.federation import SCHEMES, Federation, gate
from tests.hub.hub_world import now_region, policy

if TYPE_CHECKING:
    from pathlib import Path

GUANGZHOU = "urn:hutong:region:440100"


def city_folder(folder: Path, place: Federation) -> Path:
    """Guangzhou as its own officers keep it, with a policy that nobody has seen yet."""
    folder.mkdir()
    who = now_region(GUANGZHOU)
    attest, authenticate = who.signing_keys
    save_keys(
        folder / "keys",
        AdapterKeys(who.state_key, attest, authenticate, who.sealing_keys, bytes(32)),
    )
    document = policy("440100") | {"id": "440100@2020-05"}
    (folder / "policy.yaml").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    (folder / "adapter.toml").write_text(
        f'scheme = "{SCHEMES / "guangzhou"}"\nanchor = "{place.settings.trust_anchor}"\n'
        'policy = "policy.yaml"\n[platform]\nurl = "http://127.0.0.1:1"\n',
        "utf-8",
    )
    return folder


async def run_publish(city: Path, place: Federation, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "adapter", "publish", str(city), *words),
        *("--hub", f"localhost:{place.world.hub.grpc_port}", "--http", place.world.url),
        *("--ca", str(place.settings.ca_file)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.asyncio
@pytest.mark.processes
@pytest.mark.timeout(120)
async def test_a_checkpoint_decides_by_the_policy_that_its_region_has_just_published(
    tmp_path: Path,
) -> None:
    async with gate(tmp_path) as (place, checkpoint):
        city = city_folder(tmp_path / "guangzhou", place)
        red = scenario("hangzhou/red").qr_text or ""
        assert (await checkpoint.ask(red)).decision.verdict is Verdict.OBSERVE_CENTRAL
        before = checkpoint.status().sequence
        assert before is not None

        code, out, err = await run_publish(city, place, "--policy", "--json")
        assert code == 0, err
        entry = {"kind": "policy", "sequence": before + 1}
        assert json.loads(out) == {"urn": GUANGZHOU, "published": [entry]}
        await checkpoint.refresh()
        decision = (await checkpoint.ask(red)).decision
        assert (decision.verdict, decision.policy_id) == (Verdict.REFER, "440100@2020-05")

        code, out, err = await run_publish(city, place)
        assert code == 0, err
        assert out.splitlines() == [
            f"{GUANGZHOU}: scheme is entry {before + 2}",
            f"{GUANGZHOU}: policy is entry {before + 3}",
        ]

        text = (city / "policy.yaml").read_text("utf-8")
        (city / "policy.yaml").write_text(text.replace('"ADMIT"', '"ADMITT"'), "utf-8")
        code, out, err = await run_publish(city, place, "--policy")
        assert (code, out) == (2, "")
        error, fix = err.splitlines()
        assert "policy.yaml:1 " in error
        assert error.endswith("[POLICY_INVALID]")
        assert fix.strip().startswith("fix: ")
        await checkpoint.refresh()
        assert checkpoint.status().sequence == before + 3


@pytest.mark.asyncio
async def test_a_foreign_hub_is_handed_nothing_and_a_policy_for_another_region_is_refused(
    tmp_path: Path,
) -> None:
    async with gate(tmp_path) as (place, _), place.world.channel() as channel:
        who, now = now_region(GUANGZHOU), datetime.now(UTC)
        feed, token = generate_signing_key(), generate_signing_key()
        foreign = make_anchor(place.world.settings.urn, feed_keys=[feed], token_keys=[token])
        own = parse_anchor(place.settings.trust_anchor.read_bytes())
        before = place.world.hub.feed.sequence
        async with place.world.tokens(GUANGZHOU, who.signing_keys[1]) as tokens:

            async def attempt(anchor: Any, code: str) -> None:
                await publish(
                    channel,
                    tokens,
                    anchor=anchor,
                    urn=GUANGZHOU,
                    key=who.state_key,
                    documents={StatementKind.POLICY: policy(code)},
                    now=now,
                )

            with pytest.raises(FeedError) as caught:
                await attempt(foreign, "440100")
            assert caught.value.code == "FEED_SIGNATURE"
            with pytest.raises(RpcFailure) as refused:
                await attempt(own, "330100")
            assert refused.value.code == "STATEMENT_INVALID"
        assert place.world.hub.feed.sequence == before


def test_what_cannot_be_published_says_why(tmp_path: Path) -> None:
    made = CliRunner().invoke(
        app, ["new", "shaoxing", "--region", "330600", "--dir", str(tmp_path / "city")]
    )
    assert made.exit_code == 0, made.output
    city = tmp_path / "city"
    plain = CliRunner().invoke(app, ["publish", str(city), "--http", "http://127.0.0.1:7480"])
    assert plain.exit_code == Exit.USAGE
    assert "https" in plain.stderr
    feed, token = generate_signing_key(), generate_signing_key()
    anchor = make_anchor("urn:hutong:hub:000000", feed_keys=[feed], token_keys=[token])
    (city / "anchor.json").write_bytes(anchor.to_bytes())
    settings = city / "adapter.toml"
    lines = settings.read_text("utf-8").splitlines()
    without = [line for line in lines if not line.startswith("policy = ")]
    assert len(without) == len(lines) - 1
    settings.write_text("\n".join(without), "utf-8")
    none = CliRunner().invoke(app, ["publish", str(city), "--policy"])
    assert none.exit_code == 2
    assert "names no policy" in none.stderr
