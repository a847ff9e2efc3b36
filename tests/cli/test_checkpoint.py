"""``hutong checkpoint``: exit codes, output, and what never appears in it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hutong.v1 import error_pb2
from rich.console import Console
from typer.testing import CliRunner

from adapters.platforms import scenario
from gateway.attestation import generate_signing_key, to_armour
from gateway.cli.checkpoint import app
from gateway.cli.checkpoint_join import _enrol
from gateway.cli.verdict import age_text, age_text_zh, masked, render
from gateway.codes import Level, Outcome, parse_document
from gateway.recognition import Verdict
from gateway.trust import FeedError, make_anchor
from tests.edge.federation import GATE, federation
from tests.edge.world import edge_world, hangzhou_qr, unified
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = scenario("hangzhou/green").document_number


def invoke(*words: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, words, input=stdin, env={"NO_COLOR": "1", "COLUMNS": "100"})


async def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
    """The command in a process of its own, as a person starts it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        "checkpoint",
        *words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1", "COLUMNS": "100"},
    )
    out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.asyncio
@pytest.mark.processes
@pytest.mark.timeout(120)
async def test_a_gate_from_enrolment_to_a_batch_and_offline(  # noqa: PLR0915 - one long day
    tmp_path: Path,
) -> None:
    async with federation(tmp_path, enrolled=False) as place:
        config = ("--config", str(place.config))

        code, out, err = await run("enrol", *config, "--json")
        assert (code, json.loads(out)["state"]) == (1, "PENDING"), err
        await place.world.hub.registry.approve(GATE)
        code, out, err = await run("enrol", *config)
        assert (code, out) == (0, f"{GATE}: ACTIVE\n"), err
        assert place.settings.key_file.stat().st_mode & 0o077 == 0

        code, out, err = await run("sync", *config, "--json")
        assert (code, json.loads(out)["policy"]) == (0, "440100@2020-04"), err

        green, red = scenario("hangzhou/green"), scenario("hangzhou/red")
        code, out, err = await run("ask", red.qr_text or "", *config)
        assert code == 1, err
        assert "集中观察 14 天  OBSERVE CENTRALLY, 14 DAYS" in out
        assert "RED_IS_OBSERVED" in out
        assert re.search(r"trust \d+ s old", out)
        assert err == ""

        code, out, err = await run(
            "ask", "--document-file", "-", "--from", "330100", *config, stdin=NUMBER + "\n"
        )
        assert code == 0, err
        assert "放行  ADMIT" in out
        assert NUMBER not in out + err
        assert NUMBER[-2:] in out

        ticket = tmp_path / "ticket"
        number = tmp_path / "number"
        number.write_text(NUMBER)
        code, out, err = await run(
            "fetch",
            "--document-file",
            str(number),
            "--from",
            "330100",
            "--out",
            str(ticket),
            *config,
            "--json",
        )
        assert code == 0, err
        assert json.loads(out)["attestation"].startswith("HUTONG1:")
        assert ticket.with_suffix(".png").stat().st_mode & 0o077 == 0

        manifest = tmp_path / "list.csv"
        manifest.write_text(
            "ref,origin,document_type,document_number,qr_text\n"
            f"a,330100,10,{NUMBER},\nb,,,,{red.qr_text}\nc,330100,10,123,\n"
        )
        results = tmp_path / "results.csv"
        code, out, err = await run(
            "batch", str(manifest), "--results", str(results), *config, "--json"
        )
        assert code == 1, err
        assert json.loads(out)["verdicts"] == {"ADMIT": 1, "OBSERVE_CENTRAL": 1, "REFER": 1}
        text = results.read_text()
        assert NUMBER not in text
        assert "GREEN_IS_FRESH LEVEL_GREEN" in text
        code, out, err = await run("batch", str(manifest), "--results", str(results), *config)
        assert code == 2
        assert "RESULTS_MISMATCH" in err
        code, out, err = await run(
            "batch", str(manifest), "--results", str(results), "--resume", *config
        )
        assert code == 1, err
        assert results.read_text() == text
    # Everything but the checkpoint is gone.
    code, out, err = await run("ask", red.qr_text or "", *config)
    assert code == 1
    assert "PEER_UNREACHABLE" in out or "TOKEN_ENDPOINT_UNREACHABLE" in out
    code, out, err = await run("verify", "--file", str(ticket) + ".png", *config, "--json")
    assert code == 0, err
    shown = json.loads(out)
    assert (shown["verdict"], shown["path"], shown["level"]) == ("ADMIT", "offline", "GREEN")
    code, out, err = await run(
        "verify", "-", *config, stdin=(ticket.with_suffix(".txt")).read_text()
    )
    assert code == 1
    assert "ATTESTATION_SEEN_BEFORE" in out
    assert green.document_number not in out


def test_without_settings_it_says_what_to_do() -> None:
    result = invoke("status", "--config", "/nonexistent/checkpoint.toml")
    assert result.exit_code == 2
    assert "SETTINGS_INVALID" in result.stderr
    assert "hutong checkpoint init" in result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a checkpoint that has never met its hub."""
    (tmp_path / "anchor.json").write_bytes(FederationSimulator().anchor.to_bytes())
    result = invoke(
        "init",
        "--urn",
        GATE,
        "--hub",
        "localhost:1",
        "--http",
        "https://localhost:1",
        "--anchor",
        str(tmp_path / "anchor.json"),
        "--config",
        str(tmp_path / "checkpoint.toml"),
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "checkpoint.toml"


def test_init_writes_settings_and_keys_and_overwrites_nothing(config: Path) -> None:
    key = config.parent / "checkpoint-key.json"
    assert key.stat().st_mode & 0o077 == 0
    before = key.read_bytes()
    result = invoke(
        "init", "--urn", GATE, "--hub", "h:1", "--http", "https://h", "--anchor", "a",
        "--config", str(config),
    )  # fmt: skip
    assert result.exit_code == 2
    assert key.read_bytes() == before


def test_init_leaves_nothing_behind_when_it_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "checkpoint.toml"
    result = invoke(
        "init", "--urn", "urn:hutong:checkpoint:440100:NORTH", "--hub", "h:1",
        "--http", "https://h", "--anchor", "a", "--config", str(config),
    )  # fmt: skip
    assert result.exit_code == 2
    assert not config.exists()


def test_a_checkpoint_that_never_synchronised_says_so(config: Path) -> None:
    result = invoke("status", "--config", str(config), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["sequence"] is None
    result = invoke("verify", "aaaa.bbbb.cccc", "--config", str(config))
    assert result.exit_code == 2
    assert "REPLICA_MISSING" in result.stderr
    assert "hutong checkpoint sync" in result.stderr


def test_a_key_file_that_others_may_read_is_refused(config: Path) -> None:
    (config.parent / "checkpoint-key.json").chmod(0o644)
    result = invoke("sync", "--config", str(config))
    assert result.exit_code == 2
    assert "chmod 600" in result.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "code", "exit_code"),
    [
        (["verify"], None, "", 2),
        (["verify", "x", "--file", "y"], None, "", 2),
        (["ask", "x", "--document"], None, "", 2),
        (["verify", "-"], b"\xff\xfe\x00", "PRESENTATION_MALFORMED", 2),
        (["verify", "-"], b"x" * 20_000, "PRESENTATION_TOO_LONG", 2),
        (["ask", "--document-file", "-"], b"not a number", "DOCUMENT_INVALID", 2),
        (["ask", "--document-file", "-", "--document-type", "77"], b"AB12", "DOCUMENT_INVALID", 2),
        (["ask", "--file", "/nonexistent"], None, "SETTINGS_INVALID", 2),
        (["batch", "/nonexistent.csv"], None, "SETTINGS_INVALID", 2),
    ],
)
def test_bad_input_at_the_command_line_has_its_reason(
    config: Path, words: list[str], stdin: bytes | None, code: str, exit_code: int
) -> None:
    result = invoke(*words, "--config", str(config), stdin=stdin)
    assert result.exit_code in (exit_code, 64)
    assert code in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "name", ["init", "enrol", "sync", "status", "ask", "fetch", "verify", "batch"]
)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"hutong checkpoint {name}" in result.stdout


@pytest.mark.asyncio
async def test_a_gate_hands_nothing_to_a_hub_that_is_not_the_one_of_its_trust_anchor(
    tmp_path: Path,
) -> None:
    async with federation(tmp_path, enrolled=False) as place:
        feed, token = generate_signing_key(), generate_signing_key()
        hub = place.world.settings.urn
        anchor = make_anchor(hub, feed_keys=[feed], token_keys=[token])
        place.settings.trust_anchor.write_bytes(anchor.to_bytes())
        with pytest.raises(FeedError) as caught:
            await _enrol(place.settings, wait=False)
        assert caught.value.code == "FEED_SIGNATURE"
        assert not place.settings.enrolment_file.exists()
        assert place.world.hub.registry.members.get(GATE) is None


# --- the verdict --------------------------------------------------------------------


def drawn(renderable: object, console: Console) -> str:
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.asyncio
async def test_a_verdict_reads_with_and_without_colour(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        for level, verdict in (
            (Level.GREEN, Verdict.ADMIT),
            (Level.RED, Verdict.OBSERVE_CENTRAL),
            (Level.RESTRICTED, Verdict.REFER),
        ):
            world.hub.default = unified(level)
            result = await world.pipeline.ask(hangzhou_qr(), origin=None, timeout_seconds=5)
            assert result.decision.verdict is verdict
            plain = Console(file=io.StringIO(), width=80, no_color=True, color_system=None)
            text = drawn(render(result, plain), plain)
            assert "\x1b" not in text
            assert all(len(line) <= 80 for line in text.splitlines())
            colour = Console(
                file=io.StringIO(), width=60, force_terminal=True, color_system="truecolor"
            )
            styled = drawn(render(result, colour), colour)
            assert "\x1b[" in styled
            for reason in result.decision.reasons:
                assert reason.code in text
                assert reason.zh[:8] in text
                assert reason.en[:20] in text
            assert "trust 0 s old · policy 0 s old · status 0 s old · source 2 h old" in text
            assert "信任 0 秒前" in text
            assert "浙江省杭州市 330100" in text


@pytest.mark.asyncio
async def test_a_verdict_shows_the_officer_what_was_seen(tmp_path: Path) -> None:
    other = unified(Level.GREEN, state="绿[/]码", issued_by="330106")
    seen: list[tuple[Any, tuple[str, ...]]] = [
        (
            unified(Level.RESTRICTED, state="[red]橙\x1b[2J\n码"),
            ("code 健康码 ", "RESTRICTED 受限", "[red]橙�[2J�码", "hz-jkm@2020-02"),
        ),
        (
            unified(Level.YELLOW, state="黄码", also=(other,)),
            (
                *("code 健康码 1", "YELLOW 黄码  浙江省杭州市 330100", "黄码  hz-jkm@2020-02"),
                *(
                    "code 健康码 2",
                    "GREEN 绿码  浙江省杭州市西湖区 330106",
                    "绿[/]码  hz-jkm@2020-02",
                ),
            ),
        ),
        (Outcome.NOT_APPLIED, ("outcome 结果", "NOT_APPLIED")),
        (error_pb2.ERROR_REASON_ADAPTER_UNREACHABLE, ("refused 不予采信", "ADAPTER_UNREACHABLE")),
    ]
    async with edge_world(tmp_path) as world:
        for reply, expected in seen:
            world.hub.default = reply
            result = await world.pipeline.ask(hangzhou_qr(), origin=None, timeout_seconds=5)
            plain = Console(file=io.StringIO(), width=80, no_color=True, color_system=None)
            text = drawn(render(result, plain), plain)
            assert [word for word in expected if word not in text] == []
            assert "S" * 43 not in text


@pytest.mark.asyncio
async def test_a_carried_attestation_shown_as_a_verdict_names_nobody(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        armour = to_armour(world.hub.carried())
        result = world.pipeline.verify_offline(armour)
        console = Console(file=io.StringIO(), width=80, color_system=None)
        text = drawn(render(result, console), console)
        assert armour[8:40] not in text
        assert "S" * 43 not in text + json.dumps(result.to_json())


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (None, "unknown", "未知"),
        (0, "0 s", "0 秒"),
        (3, "3 s", "3 秒"),
        (119, "119 s", "119 秒"),
        (120, "2 min", "2 分钟"),
        (7200, "2 h", "2 小时"),
        (3 * 86400, "3 d", "3 天"),
    ],
)
def test_ages_are_for_people(seconds: int | None, en: str, zh: str) -> None:
    assert (age_text(seconds), age_text_zh(seconds)) == (en, zh)


def test_a_document_is_masked() -> None:
    document = parse_document(10, NUMBER)
    assert NUMBER[:-2] not in masked(document)
    assert masked(document).endswith(NUMBER[-2:])
