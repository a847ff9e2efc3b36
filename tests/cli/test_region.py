"""A region becomes a member, rotates, and is looked at by an operator, at a real hub."""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import typer
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1.distrust_pb2 import DistrustRule
from typer.testing import CliRunner

from adapters.sdk.keys import load_keys
from adapters.sdk.scaffold import scaffold_city
from adapters.sdk.settings import load_settings
from gateway.cli.adapter_hub import HubDoor
from gateway.cli.hub_trust import _rule
from gateway.cli.operator_trust import TrustClient
from gateway.cli.region import app
from gateway.cli.region_enrol import object_uri
from gateway.cli.region_enrol_command import Checklist, EnrolPlan, enrol_region
from gateway.cli.region_keys import RotationPlan, Surroundings, rotate
from gateway.cli.region_line import open_region, system_clock
from gateway.cli.region_options import instant, lives, span
from gateway.cli.terminal import Exit
from gateway.hub.setup import load_operator_profile
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.keys import KeyState, KeyUse
from gateway.wire.files import FileError
from tests.hub.hub_world import hub_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.hub.hub_world import HubWorld

URN = "urn:hutong:region:530300"


def city(folder: Path) -> Path:
    scaffold_city(folder, "qujing", "530300", now=datetime.now(UTC))
    for name in ("keys", "tls"):
        shutil.rmtree(folder / name)
    return folder


def plan(folder: Path, world: HubWorld, *, checks: bool = False, anyway: bool = False) -> EnrolPlan:
    shutil.copy(world.directory / "anchor.json", folder / "anchor.json")
    target = f"localhost:{world.hub.grpc_port}"
    return EnrolPlan(
        folder=folder,
        settings=load_settings(folder),
        door=HubDoor(target, world.ca_pem, (folder / "anchor.json").read_bytes()),
        pkcs11=None,
        profile=folder / "profile.yaml" if checks else None,
        anyway=anyway,
        wait_seconds=None,
    )


async def no_sleep(seconds: float) -> None:
    raise AssertionError(f"nobody is connected, so nobody is waited for ({seconds})")


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_region_enrols_rotates_and_is_looked_at(tmp_path: Path) -> None:
    folder = city(tmp_path / "qujing")
    async with hub_world(tmp_path / "hub") as world:
        wanted, checklist = plan(folder, world), Checklist()
        enrolled = await enrol_region(wanted, checklist)
        assert enrolled is not None
        assert (enrolled["urn"], enrolled["state"], enrolled["approvals_left"]) == (
            URN,
            "PENDING",
            1,
        )
        names = [step.name for step in checklist.steps]
        assert names == ["keys", "scheme, vectors, policy", "hub", "conformance", "enrolment"]
        assert [step.sign for step in checklist.steps] == [
            *["done"] * 3,
            "skipped",
            "done",
        ]
        made = load_keys(wanted.settings.keys)
        assert enrolled["key_id"] == made.attest.key_id
        # Every key has an end, so the linter has no word to say.
        assert checklist.steps[1].note == "nothing to remark"
        row = world.hub.registry.members.get(URN)
        assert row is not None
        lives = {key.use: key.not_after - key.not_before for key in row.body.keys if key.not_after}
        assert lives == KEY_LIVES

        # Run again, it asks how far it is and makes nothing.
        again = Checklist()
        found = await enrol_region(wanted, again)
        assert found == enrolled
        assert [step.name for step in again.steps] == ["enrolment"]
        await world.hub.registry.approve(URN)
        found = await enrol_region(wanted, Checklist())
        assert found is not None
        assert found["state"] == "ACTIVE"

        around = Surroundings(system_clock, no_sleep, lambda _: None, lambda _: False)
        hour = timedelta(hours=1)
        rotation = RotationPlan(begin_in=hour, overlap=timedelta(0), patience=hour)
        async with open_region(wanted.settings, wanted.door, world.url) as region:
            for slot in ("attest", "seal"):
                done = await rotate(region.folder, slot, region.line, rotation, around)
                assert not done.stopped
                standing = await region.line.standing()
                states = {key.key_id: key.state for key in standing.keys}
                assert states[done.key_id] is KeyState.PUBLISHED
                ends = {key.key_id: key.not_after for key in standing.keys}
                assert [ends[key_id] for key_id, _ in done.retired] == [done.begins]

        profile = load_operator_profile(world.directory / "operator/operator.toml")
        changed = profile.model_copy(
            update={
                "hub": f"localhost:{world.hub.grpc_port}",
                "token_url": f"{world.url}/oauth2/token",
            }
        )
        async with TrustClient(changed) as operator:
            await operate(operator)


async def operate(operator: TrustClient) -> None:
    rule = DistrustRule(issuer=URN, signed_from=Timestamp(seconds=1), kind="scheme")
    preview = await operator.preview(rule)
    assert len(preview.published) == 1
    assert preview.to_json()["edges_connected"] == 0
    distrust, sequence = await operator.distrust(rule, "synthetic")
    assert await operator.undo(distrust, "found") == sequence + 1
    lines = [line async for line in operator.audit(distrust)]
    assert [line.action for line in lines] == ["undo-distrust", "distrust"]
    assert lines[0].to_json()["reason"] == "found"
    assert (await operator.standing(URN)).urn == URN
    (member,) = [one async for one in operator.members() if one.urn == URN]
    assert (member.approvals_needed, member.to_json()["report"]) == (1, None)
    gone, _ = await operator.withdraw(URN, "synthetic")
    assert gone.state == "WITHDRAWN"


@asynccontextmanager
async def serving_platform(folder: Path) -> AsyncIterator[None]:
    """The stand-in platform of a city, at a free port that its settings name."""
    spec = importlib.util.spec_from_file_location("city_platform", folder / "city_platform.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    runner = web.AppRunner(module.make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = folder / "adapter.toml"
    port = str(runner.addresses[0][1])
    settings.write_text(settings.read_text("utf-8").replace(":8450", f":{port}"), "utf-8")
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.asyncio
@pytest.mark.processes
@pytest.mark.timeout(180)
async def test_the_report_of_the_checks_is_handed_in(tmp_path: Path) -> None:
    folder = city(tmp_path / "qujing")
    async with serving_platform(folder), hub_world(tmp_path / "hub") as world:
        checklist = Checklist()
        enrolled = await enrol_region(plan(folder, world, checks=True), checklist)
        note = next(step.note for step in checklist.steps if step.name == "conformance")
        assert note.endswith("passed, 0 failed"), note
        assert enrolled is not None
        row = world.hub.registry.members.get(URN)
        assert row is not None
        # Nothing of the trial is left in the region's folder.
        assert not list(folder.glob("issued.db*"))


def test_a_token_is_named_and_no_object() -> None:
    where = "pkcs11:token=city?module-path=m.so&pin-source=file:pin"
    assert object_uri(where, "attest") == (
        "pkcs11:token=city;object=attest?module-path=m.so&pin-source=file:pin"
    )
    for wrong in ("pkcs11:token=city", "nonsense", where.replace("token=", "slot=")):
        with pytest.raises(FileError):
            object_uri(wrong, "attest")


def test_lives_of_keys_are_read_or_refused() -> None:
    assert lives(()) == KEY_LIVES
    assert lives(["attest=30d", "seal=48h"]) == {
        **KEY_LIVES,
        KeyUse.ATTEST: timedelta(days=30),
        KeyUse.SEAL: timedelta(days=2),
    }
    for wrong in ("attest", "feed=30d", "attest=1h", "attest=4000d", "attest=soon"):
        with pytest.raises(typer.BadParameter):
            lives([wrong])


def test_spans_and_instants_are_read_or_refused() -> None:
    assert span("90s") == timedelta(seconds=90)
    assert span("2d") == timedelta(days=2)
    assert instant("2020-03-01T12:00:00+08:00").timestamp() == 1583035200
    for wrong in ("", "10", "1w", "-5m"):
        with pytest.raises(typer.BadParameter):
            span(wrong)
    for wrong in ("yesterday", "2020-03-01T12:00:00"):
        with pytest.raises(typer.BadParameter):
            instant(wrong)


@pytest.mark.parametrize(
    ("serials", "kind", "prefix"), [("9-3", "", ""), ("x", "", ""), ("", "word", ""), ("", "", "1")]
)
def test_a_rule_that_names_nothing_is_a_usage_error(serials: str, kind: str, prefix: str) -> None:
    with pytest.raises(typer.BadParameter):
        _rule(URN, ("2020-03-01T12:00:00Z", None), (kind, "", prefix, ""), serials)


def test_a_rule_is_read_as_the_hub_reads_it() -> None:
    rule = _rule(
        URN,
        ("2020-03-01T12:00:00Z", "2020-03-01T13:00:00Z"),
        ("attestation", "", "530300", "qujing-jkm@2020-05"),
        "3-9",
    )
    assert (rule.prefix, rule.first_serial, rule.last_serial) == ("5303", 3, 9)
    assert rule.signed_until.seconds - rule.signed_from.seconds == 3600


@pytest.mark.parametrize(
    "words",
    [
        ("rotate", "--use", "nonsense"),
        ("rotate", "--use", "attest", "--in", "soon"),
        ("taint", "abcd", "--from", "yesterday", "--reason", "x"),
        ("enrol", "--http", "http://127.0.0.1:1"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(words: tuple[str, ...]) -> None:
    from gateway.cli.main import build  # noqa: F401  sets the exit code of usage errors

    assert CliRunner().invoke(app, list(words)).exit_code == Exit.USAGE


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", str(tmp_path / "nowhere")])
    assert result.exit_code == Exit.COULD_NOT_RUN
    assert "nowhere" in result.stderr
