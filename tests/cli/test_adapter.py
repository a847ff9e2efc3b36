from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc
from typer.testing import CliRunner

from gateway.attestation import generate_signing_key
from gateway.cli.adapter import app
from gateway.trust import make_anchor
from gateway.wire.channel import open_channel

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


def run(*words: object) -> Any:
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def city(tmp_path: Path) -> Path:
    folder = tmp_path / "shaoxing"
    made = run("new", "shaoxing", "--region", "330600", "--dir", folder)
    assert made.exit_code == 0, made.output
    return folder


def test_a_new_city_lints_and_tests_clean(city: Path) -> None:
    assert run("lint", city).exit_code == 0
    tested = run("test", city)
    assert tested.exit_code == 0
    assert "7 passed, 0 failed" in tested.output


def test_json_says_the_same_as_the_table(city: Path) -> None:
    linted = run("lint", city, "--json")
    found = json.loads(linted.stdout)
    assert (found["loads"], found["problems"], found["warnings"]) == (True, [], [])
    tested = json.loads(run("test", city, "--json").stdout)
    assert (tested["passed"], tested["failed"]) == (7, 0)
    explained = json.loads(run("explain", city, "--json").stdout)
    (version,) = explained["versions"]
    assert version["id"] == "shaoxing-jkm@1"
    assert [s["result"] for s in version["states"]] == ["GREEN", "YELLOW", "RED", "NOT_APPLIED"]
    assert version["states"][2]["release"]["days"] == 14


def test_a_problem_is_shown_with_file_line_and_fix_and_the_exit_code_is_1(city: Path) -> None:
    path = city / "scheme.yaml"
    text = path.read_text("utf-8")
    line = text[: text.index("level: YELLOW")].count("\n") + 1
    path.write_text(text.replace("level: YELLOW", "level: ORANGE"), "utf-8")
    linted = run("lint", city)
    assert linted.exit_code == 1
    assert f"scheme.yaml:{line} " in linted.output
    assert "fix: use GREEN, YELLOW, RED, RESTRICTED" in linted.output
    assert run("test", city).exit_code == 2
    assert "hutong adapter lint" in run("explain", city).output


def test_problems_of_connector_and_vectors_are_found_too(city: Path) -> None:
    scheme, vectors = city / "scheme.yaml", city / "vectors.yaml"
    text = scheme.read_text("utf-8").replace("{number}", "{passport}")
    scheme.write_text(text, "utf-8")
    found = json.loads(run("lint", city, "--json").stdout)
    assert [p["path"] for p in found["problems"]] == ["connector.http.ask.document.fields.number"]
    assert found["problems"][0]["line"] > 40
    vectors.write_text(vectors.read_text("utf-8").replace("name: red", "name: green"), "utf-8")
    linted = run("lint", city)
    assert linted.exit_code == 1
    assert "vectors.yaml:" in linted.output


def test_a_vector_that_comes_out_otherwise_is_exit_code_1(city: Path) -> None:
    path = city / "vectors.yaml"
    text = path.read_text("utf-8").replace("outcome: CODE_EXPIRED", "level: GREEN")
    path.write_text(text, "utf-8")
    tested = run("test", city, "--json")
    assert tested.exit_code == 1
    (failed,) = [v for v in json.loads(tested.stdout)["vectors"] if not v["passed"]]
    assert (failed["expected"], failed["got"]) == ("GREEN", "CODE_EXPIRED")


def test_explain_shows_the_version_in_force_then(city: Path) -> None:
    explained = run("explain", city, "--at", "2020-03-01T12:00:00+08:00")
    assert explained.exit_code == 0
    assert "RED" in explained.output
    assert run("explain", city, "--at", "2019-01-01T00:00:00Z").exit_code == 2
    assert run("explain", city, "--at", "yesterday").exit_code != 0


def test_keys_are_made_once(city: Path, tmp_path: Path) -> None:
    again = run("keygen", city)
    assert again.exit_code == 2
    assert "kept" in again.output
    made = json.loads(run("keygen", tmp_path / "other", "--jwe", "--json").stdout)
    assert len(made["files"]) == 8


@pytest.mark.parametrize(
    "words",
    [
        ("lint", "/nonexistent"),
        ("serve", "/nonexistent"),
        ("enrol", "/nonexistent"),
        ("new", "Bad Name", "--region", "330600"),
        ("new", "fine", "--region", "999999"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert "error:" in done.output
    assert "Traceback" not in done.output


def test_every_command_has_an_example_in_its_help() -> None:
    for command in ("new", "keygen", "lint", "test", "explain", "enrol", "publish", "serve"):
        shown = run(command, "--help")
        assert shown.exit_code == 0
        assert f"hutong adapter {command}" in shown.output


@pytest.mark.processes
def test_serve_answers_over_tls_until_it_is_told_to_stop(city: Path) -> None:
    key = generate_signing_key()
    anchor = make_anchor(
        "urn:hutong:hub:000000", feed_keys=[generate_signing_key()], token_keys=[key]
    )
    (city / "anchor.json").write_bytes(anchor.to_bytes())
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "adapter", "serve", city, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert said["authority"] == "urn:hutong:region:330600"

        async def describe() -> Any:
            ca = (city / "tls/adapter.pem").read_bytes()
            async with open_channel(f"127.0.0.1:{said['port']}", ca_pem=ca) as channel:
                stub = adapter_service_pb2_grpc.AdapterServiceStub(channel)
                described = await stub.Describe(adapter_service_pb2.DescribeRequest(), timeout=10)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Query(adapter_service_pb2.AdapterServiceQueryRequest(), timeout=10)
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                return described

        assert list(asyncio.run(describe()).schemes) == ["shaoxing-jkm@1"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
