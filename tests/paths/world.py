"""A federation on loopback for the four ways: a hub, cities with platform and adapter.

Everything speaks its real wire; gRPC and the hub's doors are behind TLS. One clock,
near the real one and moved by hand, serves hub, adapters, platforms and checkpoints.
All people are synthetic.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from adapters.platforms import CREDENTIALS, platform, serve_platform
from adapters.platforms.people import Population
from adapters.schemes import SCHEMES_FOLDER
from adapters.sdk import AdapterParts, AdapterServer, generate_keys
from adapters.sdk.city import load_city
from adapters.sdk.keys import save_keys
from adapters.sdk.replica import HubReplica, ReplicaSettings
from adapters.sdk.server import platform_connector
from adapters.sdk.settings import PlatformSettings
from gateway.attestation import public_sealing_jwk
from gateway.codes import Declarations, TriState, parse_document, region_urn
from gateway.codes.divisions import division_prefix
from gateway.edge import Checkpoint, create_keys, load_keys, load_settings
from gateway.edge.enrolment import checkpoint_identity
from gateway.recognition.loading import shipped_policy, shipped_regions
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
from tests.hub.hub_world import HubWorld, hub_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from adapters.platforms import RunningPlatform
    from adapters.platforms.base import AnyCity
    from adapters.sdk.keys import AdapterKeys
    from gateway.codes import Document
    from gateway.codes.schemes import Scheme
    from gateway.edge import CheckpointSettings

SINCE = datetime(2020, 1, 1, tzinfo=UTC)
NO = Declarations(contact=TriState.NO, risk_area=TriState.NO, overseas=TriState.NO)
NAME = "测试甲"
PEOPLE = 200
MANY = 3000
"""Where two places have the same people: enough for every pair of states."""


class Clock:
    """The real time, and what it was moved by: TLS and gRPC keep the real one."""

    def __init__(self) -> None:
        self.moved = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def advance(self, **delta: float) -> None:
        self.moved += timedelta(**delta)


@dataclass
class City:
    """One region: its platform, its adapter, and what both are made of."""

    name: str
    scheme: Scheme
    keys: AdapterKeys
    running: RunningPlatform
    folder: Path
    make: Callable[[int], tuple[AdapterServer, HubReplica]]
    adapter: AdapterServer | None = None
    replica: HubReplica | None = None
    port: int = 0

    async def start(self) -> int:
        self.adapter, self.replica = self.make(self.port)
        self.port = await self.adapter.start()
        return self.port

    async def stop(self) -> None:
        adapter, self.adapter, self.replica = self.adapter, None, None
        if adapter is not None:
            await adapter.stop()

    async def refresh(self) -> None:
        """Bring the adapter's replica of the feed up to date."""
        if self.replica is not None:
            await self.replica.refresh()

    @property
    def platform(self) -> AnyCity:
        return self.running.platform  # type: ignore[return-value]  # only cities are served here

    @property
    def region(self) -> str:
        return self.scheme.authority

    @property
    def urn(self) -> str:
        return region_urn(self.region)

    def story(self, name: str) -> Any:
        return self.platform.scenarios()[name]

    def document(self, story: str) -> Document:
        return card(self.story(story).document_number)


@dataclass
class World:
    """What runs."""

    folder: Path
    clock: Clock
    hub: HubWorld
    cities: dict[str, City]

    def __getitem__(self, name: str) -> City:
        return self.cities[name]

    async def refresh(self) -> None:
        """Bring every adapter's replica up to date."""
        for city in self.cities.values():
            await city.refresh()

    async def checkpoint(self, region: str, **members: str) -> CheckpointSettings:
        """Enrol a checkpoint that stands in a region."""
        settings = self.settings(f"urn:hutong:checkpoint:{region}:gate", **members)
        create_keys(settings.key_file)
        now = self.clock()
        identity = checkpoint_identity(settings, load_keys(settings.key_file), now=now)
        async with self.hub.channel() as channel:
            await enrol(channel, identity, hub_urn=self.hub.settings.urn, now=now)
        await self.hub.hub.registry.approve(settings.urn)
        return settings

    def settings(self, urn: str, **members: str) -> CheckpointSettings:
        """Write checkpoint.toml into a folder of its own."""
        folder = self.folder / urn.replace(":", "_")
        folder.mkdir()
        (folder / "hub-ca.pem").write_bytes(self.hub.ca_pem)
        told = {
            "urn": urn,
            "region": urn.split(":")[3],
            "hub": f"localhost:{self.hub.hub.grpc_port}",
            "http": self.hub.url,
            "ca_file": "hub-ca.pem",
            "trust_anchor": str(self.folder / "anchor.json"),
            "key_file": "checkpoint-key.json",
            "state_dir": "state",
            **members,
        }
        lines = [f'{name} = "{value}"\n' for name, value in told.items()]
        (folder / "checkpoint.toml").write_text("".join(lines) + "heartbeat_seconds = 1\n")
        return load_settings(folder / "checkpoint.toml")

    @asynccontextmanager
    async def gate(self, settings: CheckpointSettings) -> AsyncIterator[Checkpoint]:
        """A checkpoint, opened and synchronised."""
        async with Checkpoint.open(settings, follow=False, clock=self.clock) as checkpoint:
            await checkpoint.refresh()
            yield checkpoint


@asynccontextmanager
async def world(
    folder: Path,
    *cities: str,
    hub: Callable[..., Any] = hub_world,
    changes: Mapping[str, Callable[[str], str]] | None = None,
    counties: Mapping[str, Sequence[str]] | None = None,
    policies: Sequence[str] = (),
) -> AsyncIterator[World]:
    """Start a federation.

    Args:
        folder: of everything.
        cities: names of reference cities.
        hub: what starts the hub.
        changes: name of a city → what is done to the text of its scheme.
        counties: name of a city → counties of its people, where they are another's.
        policies: regions that have a policy and neither platform nor adapter.
    """
    clock = Clock()
    async with AsyncExitStack() as stack:
        taking = {} if hub is not hub_world else {"clock": clock}
        hub_there = await stack.enter_async_context(hub(folder / "hub", **taking))
        (folder / "anchor.json").write_bytes(hub_there.hub.feed.anchor.to_bytes())
        made = World(folder, clock, hub_there, {})
        for name in cities:
            people = (counties or {}).get(name)
            scheme = _scheme(folder / f"scheme-{name}", name, (changes or {}).get(name))
            made.cities[name] = await _city(stack, made, name, scheme, people)
        for region in policies:
            await _policy_only(made, region)
        await made.refresh()
        yield made


def card(number: str) -> Document:
    return parse_document(10, number)


async def post(url: str, **kwargs: Any) -> Any:
    async with aiohttp.ClientSession() as http, http.post(url, **kwargs) as answer:
        return await answer.json()


def _scheme(folder: Path, name: str, change: Callable[[str], str] | None) -> Scheme:
    if change is None:
        return load_city(SCHEMES_FOLDER / name)
    folder.mkdir()
    for file in ("scheme.yaml", "vectors.yaml"):
        text = (SCHEMES_FOLDER / name / file).read_text(encoding="utf-8")
        (folder / file).write_text(change(text) if file == "scheme.yaml" else text, "utf-8")
    return load_city(folder)


async def _city(
    stack: AsyncExitStack, place: World, name: str, scheme: Scheme, people: Sequence[str] | None
) -> City:
    folder = place.folder / name
    folder.mkdir()
    options = (
        {}
        if people is None
        else {"population": Population(tuple(people), size=MANY, seed=len(name))}
    )
    running = await serve_platform(
        platform(name, clock=place.clock, **(options or {"size": PEOPLE})), admin_token="synthetic"
    )
    stack.push_async_callback(running.stop)
    keys = generate_keys()
    save_keys(folder / "keys", keys)
    anchor = parse_anchor((place.folder / "anchor.json").read_bytes())
    secrets = {secret: folder / secret for secret in CREDENTIALS[name]}
    for secret, path in secrets.items():
        path.write_text(CREDENTIALS[name][secret])
        path.chmod(0o600)
    authority = make_authority(f"Synthetic {name}", now=datetime.now(UTC))
    issued = issue_certificate(authority, ["localhost", "127.0.0.1"], now=datetime.now(UTC))
    (folder / "tls.pem").write_bytes(issued.certificate_pem)
    (folder / "tls-key.pem").write_bytes(issued.key_pem)
    (folder / "tls-key.pem").chmod(0o600)

    def adapter(port: int) -> tuple[AdapterServer, HubReplica]:
        """A fresh process would remember as little."""
        replica = HubReplica(
            anchor,
            ReplicaSettings(
                target=f"localhost:{place.hub.hub.grpc_port}",
                path=folder / "feed.replica",
                ca_pem=place.hub.ca_pem,
                heartbeat_seconds=1,
            ),
            clock=place.clock,
        )
        platform_settings = PlatformSettings(
            url=running.base_url, secrets=secrets, timeout_seconds=20
        )
        parts = AdapterParts(
            scheme=scheme,
            connector=platform_connector(scheme, platform_settings, clock=place.clock),
            keys=keys,
            anchor=anchor,
            server=ServerSettings(
                port=port,
                tls_certificate=folder / "tls.pem",
                tls_key=folder / "tls-key.pem",
                drain_seconds=1,
            ),
            replica=replica,
            clock=place.clock,
        )
        return AdapterServer(parts), replica

    city = City(name, scheme, keys, running, folder, adapter)
    port = await city.start()
    stack.push_async_callback(city.stop)
    identity = _identity(scheme, keys, port, authority.certificate_pem.decode())
    await _join(place, identity, schemes=[scheme.to_document()], region=scheme.authority)
    return city


async def _policy_only(place: World, region: str) -> None:
    keys = generate_keys()
    identity = _identity_of(region, (division_prefix(region),), keys, "adapter.invalid:7500", None)
    await _join(place, identity, schemes=[], region=region)


async def _join(
    place: World, identity: MemberIdentity, *, schemes: list[dict[str, Any]], region: str
) -> None:
    policy = shipped_policy(region).to_document() if region in shipped_regions() else None
    async with place.hub.channel() as channel:
        await enrol(
            channel,
            identity,
            hub_urn=place.hub.settings.urn,
            now=place.clock(),
            schemes=schemes,
            policy=policy,
        )
    await place.hub.hub.registry.approve(identity.body.urn)


def _identity(scheme: Scheme, keys: AdapterKeys, port: int, ca_pem: str) -> MemberIdentity:
    return _identity_of(scheme.authority, scheme.prefixes, keys, f"localhost:{port}", ca_pem)


def _identity_of(
    region: str, prefixes: Sequence[str], keys: AdapterKeys, endpoint: str, ca_pem: str | None
) -> MemberIdentity:
    body = EnrolmentBody(
        urn=region_urn(region),
        kind=MemberKind.REGION,
        name_zh="测试地区",
        name_en="Synthetic region",
        prefixes=tuple(prefixes),
        endpoint=endpoint,
        tls_ca_pem=ca_pem,
        keys=(
            signing_member_key(keys.state, KeyUse.STATE, not_before=SINCE),
            signing_member_key(keys.attest, KeyUse.ATTEST, not_before=SINCE),
            signing_member_key(keys.authenticate, KeyUse.AUTHENTICATE, not_before=SINCE),
            *(sealing_member_key(public_sealing_jwk(key), not_before=SINCE) for key in keys.seal),
        ),
    )
    return MemberIdentity(body, keys.state, (keys.attest, keys.authenticate), keys.seal)
