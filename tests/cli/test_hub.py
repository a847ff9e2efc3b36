from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from typer.testing import CliRunner

from gateway.cli.hub import app
from gateway.cli.terminal import Exit
from gateway.hub.keys import load_signing_key
from gateway.hub.settings import load_settings
from gateway.hub.setup import load_operator_profile
from gateway.trust import parse_anchor
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import enrol
from tests.hub.hub_world import GATE, HUB, checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PUBLIC = ["anchor.json", "hub.toml", "tls/ca.pem", "tls/hub.pem", "operator/operator.toml"]
PRIVATE = [
    "keys/feed.json",
    "keys/token.json",
    "tls/ca-key.pem",
    "tls/hub-key.pem",
    "operator/key.json",
    "operator/state.json",
]

runner = CliRunner()


@pytest.fixture(autouse=True)
def log_stays_where_it_is() -> Iterator[None]:
    """``run`` points the log at the runner's standard error, which is gone afterwards."""
    kept, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**kept)
    root.handlers[:] = handlers
    root.setLevel(level)


def invoke(*arguments: object) -> Any:
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hub") / "made"
    result = invoke(
        *("init", "--dir", directory, "--approvals", 1),
        *("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
    )
    assert result.exit_code == Exit.OK, result.output
    assert load_settings(directory).approvals_needed == 1
    return directory


def test_init_makes_a_whole_hub_and_says_what_to_hand_over(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    result = invoke("init", "--dir", directory, "--json")
    assert result.exit_code == Exit.OK
    said = json.loads(result.stdout)
    assert said["urn"] == HUB
    assert said["anchor"] == str(directory / "anchor.json")
    for name in (*PUBLIC, *PRIVATE, "hub.db"):
        assert (directory / name).exists(), name
    settings = load_settings(directory)
    assert (settings.grpc.port, settings.http.port) == (7443, 7480)
    assert settings.approvals_needed == 2
    profile = load_operator_profile(Path(said["operator"]))
    assert profile.hub == "localhost:7443"
    assert profile.token_url == "https://localhost:7480/oauth2/token"
    load_signing_key(profile.key)


@pytest.mark.parametrize("name", PRIVATE)
def test_private_files_are_their_owners_alone(made: Path, name: str) -> None:
    assert stat.S_IMODE((made / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_hold_no_secret(made: Path, name: str) -> None:
    text = (made / name).read_text()
    assert "PRIVATE KEY" not in text
    assert '"d"' not in text


def test_the_certificate_names_what_was_asked_for(tmp_path: Path) -> None:
    from cryptography import x509

    result = invoke(
        "init", "--dir", tmp_path / "hub", "--name", "hub.invalid", "--name", "10.0.0.1"
    )
    assert result.exit_code == Exit.OK
    certificate = x509.load_pem_x509_certificate((tmp_path / "hub/tls/hub.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hub.invalid"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert load_operator_profile(tmp_path / "hub/operator/operator.toml").hub == "hub.invalid:7443"


def test_init_never_overwrites(made: Path) -> None:
    before = {name: (made / name).read_bytes() for name in (*PUBLIC, *PRIVATE)}
    result = invoke("init", "--dir", made)
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert "holds a hub already" in result.stderr
    assert before == {name: (made / name).read_bytes() for name in before}


def test_init_takes_tls_files_that_are_given(made: Path, tmp_path: Path) -> None:
    result = invoke(
        "init",
        *("--dir", tmp_path / "hub"),
        *("--tls-certificate", made / "tls/hub.pem"),
        *("--tls-key", made / "tls/hub-key.pem"),
        *("--tls-ca", made / "tls/ca.pem"),
    )
    assert result.exit_code == Exit.OK
    assert not (tmp_path / "hub/tls").exists()
    assert load_settings(tmp_path / "hub").tls.certificate == made / "tls/hub.pem"
    assert (tmp_path / "hub/operator/ca.pem").read_bytes() == (made / "tls/ca.pem").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--grpc", "nonsense"),
        ("--http", "127.0.0.1:99999"),
        ("--tls-key", "x.pem"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(tmp_path: Path, arguments: tuple[str, str]) -> None:
    from gateway.cli.main import build  # noqa: F401  sets the exit code of usage errors

    result = invoke("init", "--dir", tmp_path / "hub", *arguments)
    assert result.exit_code == Exit.USAGE
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--operator", "Not A Label"), "cannot name an operator"),
        (("--urn", "urn:hutong:region:330100"), "anchor"),
        (("--store", "mysql://x/y"), "sqlite: or postgresql:"),
    ],
)
def test_a_hub_that_cannot_be_made_is_not_half_made(
    tmp_path: Path, arguments: tuple[str, str], says: str
) -> None:
    result = invoke("init", "--dir", tmp_path / "hub", *arguments)
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert says in result.stderr
    again = invoke("init", "--dir", tmp_path / "hub")
    assert again.exit_code == Exit.OK, again.stderr


def test_a_store_that_another_hub_signed_is_refused(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "hub.db", tmp_path / "copy.db")
    first = invoke("init", "--dir", tmp_path / "a", "--store", f"sqlite:///{tmp_path}/copy.db")
    assert first.exit_code == Exit.COULD_NOT_RUN
    assert "the operator exists already" in first.stderr


def test_anchor_prints_what_the_file_holds(made: Path) -> None:
    result = invoke("anchor", "--dir", made, "--json")
    assert json.loads(result.stdout) == json.loads((made / "anchor.json").read_bytes())
    anchor = parse_anchor((made / "anchor.json").read_bytes())
    table = invoke("anchor", "--dir", made).stdout
    assert all(key_id in table for key_id in (*anchor.feed_keys, *anchor.token_keys))


def test_a_directory_without_a_hub_is_named_with_a_fix(tmp_path: Path) -> None:
    for command in ("run", "status", "members", "anchor"):
        result = invoke(command, "--dir", tmp_path)
        assert result.exit_code == Exit.COULD_NOT_RUN
        assert "there is no" in result.stderr
        assert "fix:" in result.stderr


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    invoke("init", "--dir", tmp_path / "hub")
    (tmp_path / "hub/keys/feed.json").chmod(0o644)
    result = invoke("run", "--dir", tmp_path / "hub")
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert "readable by others" in result.stderr
    assert "chmod 600" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "is not TOML"),
        ("unknown = 1", "unknown"),
        ('urn = "x"', "urn"),
        ("[grpc]\nport = 70000", "grpc.port"),
        ("x" * 70_000, "longer than"),
        ("\xff", "is not TOML"),
    ],
)
def test_settings_that_do_not_load_name_the_member(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "hub.toml").write_bytes(text.encode("latin-1"))
    result = invoke("run", "--dir", tmp_path)
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert says in result.stderr.replace("\n", "")


def test_a_hub_that_does_not_run_is_said_to_be_unreachable(tmp_path: Path) -> None:
    invoke("init", "--dir", tmp_path / "hub", "--grpc", "127.0.0.1:1", "--http", "127.0.0.1:1")
    result = invoke("members", "--dir", tmp_path / "hub")
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert "TOKEN_ENDPOINT_UNREACHABLE" in result.stderr
    assert "is the hub running?" in result.stderr


@contextmanager
def running(directory: Path) -> Iterator[dict[str, str]]:
    """Run the hub as a process and give its operator the ports it chose."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "hub", "run", "--dir", str(directory), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos/gen")])},
    )
    assert process.stdout is not None
    try:
        listening = json.loads(process.stdout.readline())
        path = directory / "operator/operator.toml"
        grpc = listening["grpc"].replace("127.0.0.1", "localhost")
        text = re.sub(r'hub = ".*"', f'hub = "{grpc}"', path.read_text())
        token_url = f"{listening['http']}/oauth2/token"
        path.write_text(re.sub(r'token_url = ".*"', f'token_url = "{token_url}"', text))
        yield listening
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stdout.close()
        assert process.wait() == 0


async def _enrol(grpc: str, ca_pem: bytes) -> str:
    who = checkpoint(not_before=datetime(2020, 1, 1, tzinfo=UTC))
    async with open_channel(grpc.replace("127.0.0.1", "localhost"), ca_pem=ca_pem) as channel:
        await enrol(channel, who, hub_urn=HUB, now=datetime.now(UTC))
    return who.state_key.key_id


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.timeout(120)
def test_the_hubs_own_key_is_rotated_beside_the_running_hub(made: Path, tmp_path: Path) -> None:
    made = Path(shutil.copytree(made, tmp_path / "own"))
    with running(made):
        done = invoke("rotate", "--use", "feed", "--in", "10m", "--dir", made, "--json")
        assert done.exit_code == Exit.OK, done.stderr
        (rotated,) = json.loads(done.stdout)
        assert rotated["key"] == "feed"
        assert not rotated["resumed"]
        again = invoke("rotate", "--use", "feed", "--in", "10m", "--dir", made, "--json")
        assert json.loads(again.stdout)[0] == rotated | {"resumed": True, "sequence": 0}
        # A process looks at a store of its own every few seconds.
        while rotated["key_id"][:12] not in invoke("standing", HUB, "--dir", made).stdout:
            pass
        short = invoke("rotate", "--use", "token", "--in", "1s", "--dir", made)
        assert short.exit_code == Exit.NEGATIVE
        assert "LEAD_TIME_TOO_SHORT" in short.stderr
        audit = invoke("audit", "--subject", HUB, "--dir", made, "--json")
        assert "rotate-hub-feed" in [line["action"] for line in json.loads(audit.stdout)]


def test_a_feed_key_is_not_taken_back_by_a_command(made: Path) -> None:
    refused = invoke("rotate", "--use", "feed", "--now", "--reason", "synthetic", "--dir", made)
    assert refused.exit_code == Exit.COULD_NOT_RUN
    assert "new anchor" in refused.stderr


@pytest.mark.timeout(120)
def test_an_operator_lists_approves_and_suspends_through_the_api(made: Path) -> None:
    with running(made) as listening:
        key_id = asyncio.run(_enrol(listening["grpc"], (made / "tls/ca.pem").read_bytes()))
        pending = invoke("members", "--dir", made, "--state", "pending", "--json")
        assert [member["urn"] for member in json.loads(pending.stdout)] == [GATE]
        wrong = invoke("approve", GATE, "--dir", made, "--key", "x" * 43)
        assert wrong.exit_code == Exit.NEGATIVE
        assert "KEY_MISMATCH" in wrong.stderr
        approved = invoke("approve", GATE, "--dir", made, "--key", key_id)
        assert approved.exit_code == Exit.OK, approved.stderr
        assert "active" in approved.stdout
        again = invoke("approve", GATE, "--dir", made)
        assert again.exit_code == Exit.NEGATIVE
        assert "WRONG_STATE" in again.stderr
        suspended = invoke("suspend", GATE, "--dir", made, "--reason", "synthetic", "--json")
        assert json.loads(suspended.stdout)["state"] == "SUSPENDED"
        unknown = invoke("suspend", "urn:hutong:region:110000", "--dir", made)
        assert unknown.exit_code == Exit.NEGATIVE
        assert "NOT_FOUND" in unknown.stderr
        status = json.loads(invoke("status", "--dir", made, "--json").stdout)
        keys = status.pop("keys")
        assert [(key["use"], key["state"]) for key in keys] == [
            ("feed", "active"),
            ("token", "active"),
        ]
        assert status == {
            "hub": HUB,
            "serving": True,
            "sequence": 0,
            "members": {"CHECKPOINT": {"SUSPENDED": 1}, "OPERATOR": {"ACTIVE": 1}},
            "hubs": [],
        }
        table = invoke("members", "--dir", made)
        assert "suspended" in table.stdout
        other = made / "operator/operator.toml"
        assert invoke("status", "--operator", other).exit_code == Exit.OK
