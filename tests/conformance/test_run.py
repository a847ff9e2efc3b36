"""A run judges by reasons, voids what has no sound twin, and tells scripts the truth."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from conformance_tests import report
from conformance_tests.bench import open_bench
from conformance_tests.cli import app
from conformance_tests.model import Case, Exit, Observed, Role, Status, judge
from conformance_tests.peer.adapter import ReferenceAdapter
from conformance_tests.peer.serve import serve_peer
from conformance_tests.profile import ProfileError, load_profile
from conformance_tests.registry import load_cases
from conformance_tests.runner import run_cases

_REFUSED = Case(
    id="X-1",
    role=Role.HUB,
    title="is refused",
    requirements=("HT-EXC-3",),
    change={"token.present": False},
    expect={"refused": {"codes": ["UNAUTHENTICATED"], "reasons": ["TOKEN_MISSING"]}},
)


@pytest.mark.parametrize(
    "seen",
    [
        Observed(kind="answer"),
        Observed(code="INTERNAL", reason="TOKEN_MISSING"),
        Observed(code="UNAUTHENTICATED", reason="TOKEN_INVALID"),
        Observed(code="UNAUTHENTICATED", reason=""),
        Observed(code="UNAUTHENTICATED", reason="TOKEN_MISSING", notes=("repeats a value",)),
    ],
)
def test_a_refusal_counts_only_with_its_code_and_reason_and_nothing_told(seen) -> None:
    assert judge(_REFUSED, seen)[0] is Status.FAIL


def test_a_refusal_with_the_right_reason_passes() -> None:
    seen = Observed(code="UNAUTHENTICATED", reason="TOKEN_MISSING")
    assert judge(_REFUSED, seen)[0] is Status.PASS


@pytest.mark.asyncio
async def test_a_negative_check_is_void_when_its_sound_twin_fails(tmp_path) -> None:
    async with serve_peer(Role.ADAPTER, tmp_path) as path:
        entries = yaml.safe_load(path.read_text())
        # No sound exchange: the adapter does not trust this key.
        entries["hub"]["token_key"] = entries["import"]["origin"]["attest"]
        profile = replace(load_profile(path), entries=entries)
        cases = [case for case in load_cases(Role.ADAPTER) if case.id == "A-GRANT-001"]
        results = await run_cases(profile, open_bench(profile), cases)
    assert [result.status for result in results] == [Status.VOID]
    assert report.verdict(results) is Exit.NOT_CONFORMANT


@pytest.mark.asyncio
async def test_what_is_not_declared_does_not_apply_and_what_is_declared_in_vain_fails(
    tmp_path,
) -> None:
    async with serve_peer(Role.ADAPTER, tmp_path) as path:
        entries = yaml.safe_load(path.read_text())
        del entries["people"]["green"]
        profile = replace(load_profile(path), entries=entries)
        cases = [case for case in load_cases(Role.ADAPTER) if case.id == "A-ANSWER-001"]
        declared = await run_cases(profile, open_bench(profile), cases)
        undeclared = replace(profile, capabilities=frozenset())
        skipped = await run_cases(undeclared, open_bench(undeclared), cases)
    assert declared[0].status is Status.UNTESTABLE
    assert skipped[0].status is Status.NOT_APPLICABLE
    assert report.verdict(skipped) is Exit.COULD_NOT_RUN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "mapping"),
        ("[", "line 1"),
        ("role: nobody", "role"),
        ("role: hub", "target"),
        ("role: hub\ntarget: x:1\ncapabilities: all", "capabilities"),
    ],
)
def test_a_broken_profile_names_what_to_mend(tmp_path, text: str, words: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=words):
        load_profile(path)


def test_the_command_line_lists_explains_and_refuses_in_its_own_codes(tmp_path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["list", "--json"])
    assert listed.exit_code == 0
    assert len(json.loads(listed.stdout)) >= 20
    assert "HT-SEAL-6" in runner.invoke(app, ["explain", "A-SEAL-002"]).stdout
    assert "replay" in runner.invoke(app, ["explain", "replay-accepted"]).stdout
    assert runner.invoke(app, ["explain", "nothing"]).exit_code == Exit.COULD_NOT_RUN
    assert runner.invoke(app, ["run", "--role", "nobody"]).exit_code == Exit.USAGE
    missing = ["run", "--role", "hub", "--profile", str(tmp_path / "none.yaml")]
    assert runner.invoke(app, missing).exit_code == Exit.COULD_NOT_RUN
    assert runner.invoke(app, ["coverage"]).exit_code == 0


def test_a_target_that_does_not_answer_is_no_verdict(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("conformance_tests.roles.calls.CONNECT_SECONDS", 0.3)
    profile = ReferenceAdapter().write_profile(tmp_path, "127.0.0.1:9")  # discard, unused
    run = ["run", "--role", "adapter", "--profile", str(profile)]
    done = CliRunner().invoke(app, run)
    assert done.exit_code == Exit.COULD_NOT_RUN
    assert "nothing answers" in done.stderr


@pytest.mark.asyncio
async def test_the_report_is_json_and_junit_of_the_same_run(tmp_path) -> None:
    async with serve_peer(Role.ADAPTER, tmp_path, fault="stale-accepted") as path:
        profile = load_profile(path)
        results = await run_cases(profile, open_bench(profile), load_cases(Role.ADAPTER))
    value = report.to_json(Role.ADAPTER, profile.target, results)
    assert value["conformant"] is False
    assert value["counts"]["fail"] == 1
    assert b'failures="1"' in report.to_junit(Role.ADAPTER, results)
