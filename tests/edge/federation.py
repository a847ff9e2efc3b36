"""A real federation on loopback: hub, Hangzhou's platform and adapter, a checkpoint.

Everything speaks its real wire over real TLS; the people are synthetic. Guangzhou
is enrolled for its policy and its scheme; nobody asks its adapter.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.platforms import HangzhouPlatform, hangzhou_population, serve_platform
from adapters.sdk import AdapterParts, AdapterServer, generate_keys
from adapters.sdk.city import load_city
from adapters.sdk.server import platform_connector
from adapters.sdk.settings import PlatformSettings
from gateway.attestation import public_sealing_jwk
from gateway.edge import Checkpoint, CheckpointSettings, create_keys, load_keys, load_settings
from gateway.edge.enrolment import checkpoint_identity
from gateway.recognition import shipped_policy
from gateway.trust import (
    EnrolmentBody,
    KeyUse,
    MemberKind,
    parse_anchor,
    sealing_member_key,
    signing_member_key,
)
from gateway.wire.certificates import issue_certificate, make_authority
from gateway.wire.enrolment import MemberIdentity, enrol
from gateway.wire.server import ServerSettings
from tests.hub.hub_world import HubWorld, hub_world, now_region

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.platforms import RunningPlatform
    from adapters.sdk.keys import AdapterKeys
    from gateway.codes.schemes import Scheme

GATE = "urn:hutong:checkpoint:440100:north-gate"
SCHEMES = Path(__file__).parents[2] / "adapters" / "schemes"
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Federation:
    """What runs, and the settings of the checkpoint."""

    world: HubWorld
    platform: RunningPlatform
    adapter: AdapterServer
    settings: CheckpointSettings
    config: Path


@asynccontextmanager
async def federation(folder: Path, *, enrolled: bool = True) -> AsyncIterator[Federation]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(hub_world(folder / "hub"))
        anchor_file = folder / "anchor.json"
        anchor_file.write_bytes(world.hub.feed.anchor.to_bytes())
        platform = await serve_platform(
            HangzhouPlatform(population=hangzhou_population(size=200)), admin_token="synthetic"
        )
        stack.push_async_callback(platform.stop)
        scheme = load_city(SCHEMES / "hangzhou")
        keys = generate_keys()
        adapter = _adapter(folder, scheme, keys, platform.base_url, anchor_file)
        port = await adapter.start()
        stack.push_async_callback(adapter.stop)
        async with world.channel() as channel:
            now = world.clock()
            hangzhou = _region(folder, keys, port)
            await enrol(
                channel,
                hangzhou,
                hub_urn=world.settings.urn,
                now=now,
                schemes=[scheme.to_document()],
            )
            guangzhou = now_region("urn:hutong:region:440100")
            await enrol(
                channel,
                guangzhou,
                hub_urn=world.settings.urn,
                now=now,
                schemes=[load_city(SCHEMES / "guangzhou").to_document()],
                policy=shipped_policy("440100").to_document(),
            )
            for urn in (hangzhou.body.urn, guangzhou.body.urn):
                await world.hub.registry.approve(urn)
            config = _config(folder, world, anchor_file)
            settings = load_settings(config)
            if enrolled:
                create_keys(settings.key_file)
                gate = checkpoint_identity(settings, load_keys(settings.key_file), now=now)
                await enrol(channel, gate, hub_urn=world.settings.urn, now=now)
                await world.hub.registry.approve(GATE)
        yield Federation(world, platform, adapter, settings, config)


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[tuple[Federation, Checkpoint]]:
    """The federation with its checkpoint opened and synchronised."""
    async with federation(folder) as place, Checkpoint.open(place.settings) as checkpoint:
        await checkpoint.refresh()
        yield place, checkpoint


def _adapter(
    folder: Path, scheme: Scheme, keys: AdapterKeys, url: str, anchor_file: Path
) -> AdapterServer:
    authority = make_authority("Synthetic Hangzhou", now=datetime.now(UTC))
    issued = issue_certificate(authority, ["localhost", "127.0.0.1"], now=datetime.now(UTC))
    (folder / "adapter-ca.pem").write_bytes(authority.certificate_pem)
    for name, text in (
        ("adapter.pem", issued.certificate_pem),
        ("adapter-key.pem", issued.key_pem),
        ("app_key", b"synthetic-app"),
        ("app_secret", b"synthetic-app-secret"),
    ):
        (folder / name).write_bytes(text)
        (folder / name).chmod(0o600)
    return AdapterServer(
        AdapterParts(
            scheme=scheme,
            connector=platform_connector(
                scheme,
                PlatformSettings(
                    url=url,
                    secrets={name: folder / name for name in ("app_key", "app_secret")},
                ),
            ),
            keys=keys,
            anchor=parse_anchor(anchor_file.read_bytes()),
            server=ServerSettings(
                tls_certificate=folder / "adapter.pem", tls_key=folder / "adapter-key.pem"
            ),
        )
    )


def _region(folder: Path, keys: AdapterKeys, port: int) -> MemberIdentity:
    body = EnrolmentBody(
        urn="urn:hutong:region:330100",
        kind=MemberKind.REGION,
        name_zh="杭州市",
        name_en="Hangzhou",
        prefixes=("3301",),
        endpoint=f"localhost:{port}",
        tls_ca_pem=(folder / "adapter-ca.pem").read_text(),
        keys=(
            signing_member_key(keys.state, KeyUse.STATE, not_before=SINCE),
            signing_member_key(keys.attest, KeyUse.ATTEST, not_before=SINCE),
            signing_member_key(keys.authenticate, KeyUse.AUTHENTICATE, not_before=SINCE),
            *(sealing_member_key(public_sealing_jwk(key), not_before=SINCE) for key in keys.seal),
        ),
    )
    return MemberIdentity(body, keys.state, (keys.attest, keys.authenticate), keys.seal)


def _config(folder: Path, world: HubWorld, anchor_file: Path) -> Path:
    (folder / "hub-ca.pem").write_bytes(world.ca_pem)
    config = folder / "checkpoint.toml"
    config.write_text(
        f"""\
urn = "{GATE}"
region = "440100"
hub = "localhost:{world.hub.grpc_port}"
http = "{world.url}"
ca_file = "hub-ca.pem"
trust_anchor = "{anchor_file.name}"
key_file = "checkpoint-key.json"
state_dir = "state"
heartbeat_seconds = 1
"""
    )
    return config
