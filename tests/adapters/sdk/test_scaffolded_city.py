"""From an empty folder to an answer through a real hub: scaffold, enrol, serve, ask."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import stat
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hutong.v1 import (
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
)

from adapters.sdk import (
    AdapterConfigError,
    EnrolmentError,
    load_adapter,
    load_city,
    load_keys,
    load_settings,
)
from adapters.sdk.enrolment import (
    city_identity,
    enrol_city,
    read_policy,
    wait_until_active,
)
from adapters.sdk.scaffold import make_keys, scaffold_city
from gateway.attestation import (
    AttestationVerifier,
    Binding,
    Profile,
    open_answer,
    seal_question,
    verification_key_from_jwk,
)
from gateway.attestation.keys import public_jwk
from gateway.codes.divisions import DivisionError
from gateway.codes.levels import Level
from gateway.trust import FeedError, make_anchor, parse_anchor
from gateway.wire.enrolment import enrol, enrolment_state
from gateway.wire.errors import RpcFailure
from tests.hub.hub_world import GATE, HUB, HubWorld, checkpoint, hub_world, signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHAOXING = "urn:hutong:region:330600"
NOW = datetime(2020, 4, 8, 8, 0, tzinfo=UTC)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    folder = tmp_path / "shaoxing"
    scaffold_city(folder, "shaoxing", "330600", now=datetime.now(UTC))
    return folder


def stand_in(city: Path) -> Any:
    spec = importlib.util.spec_from_file_location("city_platform", city / "city_platform.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def platform(module: Any) -> AsyncIterator[str]:
    runner = web.AppRunner(module.make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def approve(hub: HubWorld, channel: Any, urn: str) -> None:
    async with hub.operator_tokens() as tokens:
        await registry_service_pb2_grpc.RegistryServiceStub(channel).Approve(
            registry_service_pb2.ApproveRequest(urn=urn),
            metadata=await hub.metadata(tokens, "registry.approve"),
            timeout=10,
        )


def test_what_is_scaffolded_passes_its_own_tests_at_once(city: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "tests",
        ],
        cwd=city,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_secrets_are_readable_by_their_owner_alone_and_never_overwritten(city: Path) -> None:
    private = [*city.glob("keys/*"), *city.glob("tls/*"), *city.glob("secrets/*")]
    assert len(private) == 8
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in private}
    with pytest.raises(AdapterConfigError, match="exists already and is kept"):
        make_keys(city, now=NOW)
    assert {path: path.read_bytes() for path in private} == before


def test_a_key_that_others_may_read_is_refused(city: Path) -> None:
    (city / "keys/attest.json").chmod(0o640)
    with pytest.raises(AdapterConfigError, match="readable by others"):
        load_keys(city / "keys")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b"{}"),
        ("attest.json", b"not json"),
        ("authenticate.json", b"[]"),
        ("seal.json", b'{"kty":"EC"}'),
        ("pseudonym.key", b"short"),
        ("state.json", b" " * 20_000),
    ],
)
def test_a_key_file_that_holds_no_key_is_named(city: Path, name: str, content: bytes) -> None:
    (city / "keys" / name).write_bytes(content)
    with pytest.raises(AdapterConfigError, match=name):
        load_keys(city / "keys")


def test_both_profiles_can_stand_side_by_side_the_preferred_one_first(tmp_path: Path) -> None:
    make_keys(tmp_path, now=NOW, profiles=(Profile.HPKE, Profile.JWE))
    assert [key.profile for key in load_keys(tmp_path / "keys").seal] == [
        Profile.HPKE,
        Profile.JWE,
    ]


def test_a_folder_that_is_not_empty_or_a_place_that_does_not_exist_is_refused(
    city: Path, tmp_path: Path
) -> None:
    with pytest.raises(AdapterConfigError, match="not empty"):
        scaffold_city(city, "shaoxing", "330600", now=NOW)
    with pytest.raises(AdapterConfigError, match="lower-case"):
        scaffold_city(tmp_path / "x", "Shao Xing", "330600", now=NOW)
    with pytest.raises(DivisionError):
        scaffold_city(tmp_path / "y", "nowhere", "339900", now=NOW)
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("region", ["110000", "310000", "440100", "330106", "500000", "650000"])
def test_a_city_anywhere_scaffolds_and_loads(tmp_path: Path, region: str) -> None:
    scaffold_city(tmp_path / "c", "any-where", region, now=NOW)
    assert load_city(tmp_path / "c").authority == region


@pytest.mark.asyncio
async def test_a_scaffolded_city_enrols_serves_and_answers_through_the_hub(
    city: Path, tmp_path: Path
) -> None:
    module = stand_in(city)
    async with hub_world(tmp_path / "hub") as hub, platform(module) as url:
        anchor = (tmp_path / "hub/anchor.json").read_bytes()
        (city / "anchor.json").write_bytes(anchor)
        settings = load_settings(city)
        settings = settings.model_copy(
            update={
                "platform": settings.platform.model_copy(update={"url": url}),
                "grpc": settings.grpc.model_copy(update={"port": 0}),
            }
        )
        adapter = load_adapter(settings)
        port = await adapter.start()
        scheme, keys = load_city(city), load_keys(city / "keys")
        now = datetime.now(UTC)
        identity = city_identity(settings, keys, scheme, now=now, endpoint=f"127.0.0.1:{port}")
        gate = checkpoint(GATE, slot="scaffold-gate", not_before=now)
        try:
            async with hub.channel() as channel:
                enrolled = await enrol_city(
                    channel, identity, anchor=parse_anchor(anchor), scheme=scheme, now=now
                )
                assert enrolled.state == "PENDING"
                assert await enrolment_state(channel, enrolled.enrolment_id) == "PENDING"
                waiting = asyncio.create_task(
                    wait_until_active(channel, enrolled.enrolment_id, poll_seconds=0.02)
                )
                await approve(hub, channel, SHAOXING)
                assert await waiting == "ACTIVE"
                await enrol(channel, gate, hub_urn=HUB, now=now)
                await approve(hub, channel, GATE)
                levels = [await ask(hub, channel, keys, number) for number in module.PEOPLE]
                assert levels == [Level.GREEN, Level.YELLOW, Level.RED]
        finally:
            await adapter.stop()


async def ask(hub: HubWorld, channel: Any, keys: Any, number: str) -> Level:
    question = exchange_pb2.Question(nonce=os.urandom(16), use=exchange_pb2.ATTESTATION_USE_ONLINE)
    question.document.type = 10  # type: ignore[assignment]  # wrong on purpose, or a number for the enum
    question.document.number = number
    batch = exchange_pb2.QuestionBatch(
        reply_key=os.urandom(32), audience="urn:hutong:region:440100", questions=[question]
    )
    batch.asked_at.FromDatetime(datetime.now(UTC))
    binding = Binding(SHAOXING, GATE, "CHECKPOINT")
    sealed = exchange_pb2.SealedQuestion(
        region="330600",
        purpose=exchange_pb2.PURPOSE_CHECKPOINT,
        key_id=keys.seal[0].key_id,
        envelope=seal_question(keys.seal[0].public, batch.SerializeToString(), binding),
    )
    async with hub.tokens(GATE, signing_key("scaffold-gate/auth")) as tokens:
        reply = await exchange_service_pb2_grpc.ExchangeServiceStub(channel).Query(
            exchange_service_pb2.ExchangeServiceQueryRequest(question=sealed),
            metadata=await hub.metadata(tokens, "exchange.query"),
            timeout=10,
        )
    plaintext = open_answer(batch.reply_key, reply.envelope, binding, keys.seal[0].profile)
    (answer,) = exchange_pb2.AnswerBatch.FromString(plaintext).answers
    key = verification_key_from_jwk(
        public_jwk(keys.attest),
        issuer=SHAOXING,
        prefixes=("3306",),
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
    )

    class Keys:
        def attestation_key(self, issuer: str, key_id: str) -> Any:
            assert (issuer, key_id) == (SHAOXING, key.key_id)
            return key

    attestation = AttestationVerifier(Keys()).verify(
        answer.attestation,
        audience="urn:hutong:region:440100",
        now=datetime.now(UTC),
        nonce=question.nonce,
    )
    return attestation.code.level


@pytest.mark.asyncio
async def test_a_wait_ends_when_nobody_decides_and_an_unknown_enrolment_is_refused(
    city: Path, tmp_path: Path
) -> None:
    async with hub_world(tmp_path / "hub") as hub, hub.channel() as channel:
        settings, scheme = load_settings(city), load_city(city)
        now = datetime.now(UTC)
        identity = city_identity(settings, load_keys(city / "keys"), scheme, now=now)
        anchor = parse_anchor((tmp_path / "hub/anchor.json").read_bytes())
        enrolled = await enrol_city(channel, identity, anchor=anchor, scheme=scheme, now=now)
        with pytest.raises(EnrolmentError, match="no operator"):
            await wait_until_active(
                channel, enrolled.enrolment_id, poll_seconds=0.01, timeout_seconds=0.1
            )
        with pytest.raises(RpcFailure) as caught:
            await enrolment_state(channel, "unknown")
        assert caught.value.code == "NOT_FOUND"
        # Proofs for another hub are worth nothing here.
        with pytest.raises(RpcFailure) as caught:
            await enrol(channel, identity, hub_urn="urn:hutong:hub:440000", now=now)
        assert caught.value.code == "POSSESSION_NOT_PROVEN"


@pytest.mark.asyncio
async def test_a_hub_that_is_not_the_one_of_the_trust_anchor_is_handed_nothing(
    city: Path, tmp_path: Path
) -> None:
    async with hub_world(tmp_path / "hub") as hub, hub.channel() as channel:
        settings, scheme, now = load_settings(city), load_city(city), datetime.now(UTC)
        identity = city_identity(settings, load_keys(city / "keys"), scheme, now=now)
        # The same name, other keys.
        other = make_anchor(HUB, feed_keys=[signing_key("f")], token_keys=[signing_key("t")])
        with pytest.raises(FeedError) as caught:
            await enrol_city(channel, identity, anchor=other, scheme=scheme, now=now)
        assert caught.value.code == "FEED_SIGNATURE"
        assert hub.hub.registry.members.get(SHAOXING) is None


def test_a_policy_file_is_a_mapping_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("region: '330600'\n", "utf-8")
    assert read_policy(path) == {"region": "330600"}
    for text in ("- 1\n", "a: [", "a: &x 1\n"):
        path.write_text(text, "utf-8")
        with pytest.raises(AdapterConfigError):
            read_policy(path)
    with pytest.raises(AdapterConfigError, match="cannot be read"):
        read_policy(tmp_path / "none.yaml")


SETTINGS_CHANGES = [
    ('scheme = "."', 'scheme = "."\nshceme = "."', "shceme"),
    ("port = 7450", "port = 99999", "grpc.port"),
    ('url = "http://127.0.0.1:8450"', "", "platform.url"),
    ("[platform]", "[platform]\ntimeout_seconds = -1", "platform.timeout_seconds"),
    ('scheme = "."', "scheme = ", "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "expected"), SETTINGS_CHANGES)
def test_a_wrong_setting_is_named_and_its_value_is_not(
    city: Path, old: str, new: str, expected: str
) -> None:
    path = city / "adapter.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(AdapterConfigError, match=expected) as caught:
        load_settings(city)
    assert "99999" not in str(caught.value)


def test_the_environment_wins_over_the_file(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_ADAPTER_GRPC__PORT", "7999")
    settings = load_settings(city)
    assert settings.grpc.port == 7999
    assert settings.grpc.host == "127.0.0.1"
    assert settings.keys == (city / "keys").resolve()


def test_an_adapter_whose_vectors_fail_or_whose_secret_is_missing_does_not_start(
    city: Path,
) -> None:
    (city / "anchor.json").write_bytes(
        make_anchor(HUB, feed_keys=[signing_key("f")], token_keys=[signing_key("t")]).to_bytes()
    )
    settings = load_settings(city)
    load_adapter(settings)
    (city / "secrets/token").unlink()
    with pytest.raises(AdapterConfigError, match="secrets/token"):
        load_adapter(settings)
    no_secrets = settings.platform.model_copy(update={"secrets": {}})
    with pytest.raises(AdapterConfigError, match="needs the secrets token"):
        load_adapter(settings.model_copy(update={"platform": no_secrets}))
    plain = settings.platform.model_copy(update={"url": "http://platform.example", "secrets": {}})
    with pytest.raises(AdapterConfigError, match="plain http"):
        load_adapter(settings.model_copy(update={"platform": plain}))
    vectors = city / "vectors.yaml"
    text = vectors.read_text("utf-8").replace("outcome: CODE_EXPIRED", "level: GREEN")
    vectors.write_text(text, "utf-8")
    with pytest.raises(Exception, match="green-ends-with-the-day: expected GREEN"):
        load_adapter(settings)
